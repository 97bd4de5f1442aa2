"""The record: whole, or refused with the line, what is wrong there, and what to do."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mta_sts_lab.events import ConnectionClosed, DnsAnswered, Event, LabFailed, StepBegan
from mta_sts_lab.model.case import PUBLISHED_POLICY, Case, Mode, Step
from mta_sts_lab.model.target import About
from mta_sts_lab.model.world import World
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Record, Recorder, RecordError, RecordFile
from mta_sts_lab.record_reading import parse_record, read_record

CASE = "starttls/strip[enforce]"
HEADER = Header(
    record=RECORD_VERSION,
    run="20260101-000000-abcdef",
    started="2026-01-01T00:00:00+00:00",
    command=("sts-lab", "run"),
    versions={"mta-sts-lab": "0.1.0"},
    seed=7,
    cases=(Case(CASE, "starttls/strip", Mode.ENFORCE, (Step("prime", World()),)),),
    about=About("reference", capabilities=("mta-sts",)),
)


def recorded() -> Recorder:
    recorder = Recorder()
    recorder.enter_step(CASE, "prime")
    recorder.write(StepBegan(attacks=("strip_starttls",)), CASE)
    recorder.write(DnsAnswered(name="a.example", type="MX", transport="udp", rcode="NOERROR"), CASE)
    recorder.lab_failed("somewhere", ValueError("Grüße\x1b[31m\n\ud800"), CASE)
    recorder.write(ConnectionClosed(session="s1"))
    return recorder


def write(path: Path, complete: bool | None = True) -> Recorder:
    """Write a whole record, or (with None) one whose run broke off."""
    recorder = recorded()
    with RecordFile(path) as file:
        file.header(HEADER)
        recorder.listen(file.event)
        if complete is not None:
            file.footer(recorder.footer(complete))
    return recorder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "record.jsonl")
    return tmp_path / "record.jsonl"


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def refused(path: Path) -> str:
    with pytest.raises(RecordError) as caught:
        read_record(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message


class TestRoundTrip:
    def test_what_was_written_is_read(self, path: Path) -> None:
        recorder = recorded()
        record = read_record(path)
        assert record.header == HEADER
        assert record.footer == Footer(
            RECORD_VERSION,
            4,
            True,
            {"StepBegan": 1, "DnsAnswered": 1, "LabFailed": 1, "ConnectionClosed": 1},
        )
        assert [event.fact for event in record.events[:2]] == [event.fact for event in recorder.of_case(CASE)[:2]]
        assert [event.number for event in record.events] == [1, 2, 3, 4]
        assert [(event.case, event.step) for event in record.events] == [(CASE, "prime")] * 3 + [("", "")]

    def test_an_exception_is_one_line_whatever_it_says(self, path: Path) -> None:
        facts = [event.fact for event in read_record(path).events if isinstance(event.fact, LabFailed)]
        assert [fact.error.startswith("ValueError: Grüße") for fact in facts] == [True]
        assert len(lines_of(path)) == 6

    def test_what_is_no_text_does_not_cost_an_event(self, path: Path) -> None:
        (failure,) = [event.fact for event in read_record(path).events if isinstance(event.fact, LabFailed)]
        assert failure.error.endswith("\x1b[31m\n?")

    def test_every_line_is_on_disk_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "record.jsonl"
        recorder = Recorder()
        with RecordFile(path) as file:
            file.header(HEADER)
            recorder.listen(file.event)
            recorder.write(ConnectionClosed(session="s1"))
            assert len(lines_of(path)) == 2

    def test_whoever_listens_late_hears_what_was_before(self) -> None:
        recorder = recorded()
        heard: list[Event] = []
        recorder.listen(heard.append)
        recorder.write(ConnectionClosed(session="s2"))
        assert [event.number for event in heard] == [1, 2, 3, 4, 5]

    def test_times_are_seconds_since_the_run_began(self) -> None:
        now = [100.0]
        recorder = Recorder(lambda: now[0])
        now[0] = 101.5
        assert recorder.write(ConnectionClosed(session="s1")).at == 1.5

    async def test_waiting_ends_with_the_next_event_of_the_case_only(self) -> None:
        recorder = Recorder()
        assert not await recorder.changed(CASE, 0.01)
        recorder.write(ConnectionClosed(session="s1"))
        assert not await recorder.changed(CASE, 0.01)


class TestCutShort:
    def test_at_any_line(self, path: Path, tmp_path: Path) -> None:
        lines = lines_of(path)
        cut = tmp_path / "cut.jsonl"
        for kept in range(len(lines)):
            cut.write_bytes(b"".join(line + b"\n" for line in lines[:kept]))
            message = refused(cut)
            assert "repeat" in message
            if kept:
                assert f"line {kept}: truncated" in message

    def test_at_any_octet(self, path: Path, tmp_path: Path) -> None:
        whole = path.read_bytes()
        cut = tmp_path / "cut.jsonl"
        for kept in range(len(whole) - 1):
            cut.write_bytes(whole[:kept])
            refused(cut)
        cut.write_bytes(whole[:-1])
        assert read_record(cut) == read_record(path), "only the last line feed is missing: nothing is lost"

    def test_a_line_that_is_missing_in_the_middle(self, path: Path) -> None:
        lines = lines_of(path)
        for missing in range(1, len(lines) - 1):
            path.write_bytes(b"\n".join(lines[:missing] + lines[missing + 1 :]))
            assert "the footer counts 4 events, and 3 are there" in refused(path)

    def test_a_line_that_took_the_place_of_another_one(self, path: Path) -> None:
        lines = lines_of(path)
        lines[1], lines[2] = lines[2], lines[1]
        path.write_bytes(b"\n".join(lines))
        assert "line 2: event 2 stands where event 1 belongs" in refused(path)

    def test_an_empty_line(self, path: Path) -> None:
        lines = lines_of(path)
        path.write_bytes(b"\n".join([*lines[:2], b"", *lines[2:]]))
        assert "line 3" in refused(path)


class TestWrongFooter:
    @pytest.mark.parametrize(
        "changes",
        [{"events": 3}, {"events": 5}, {"kinds": {}}, {"kinds": {"StepBegan": 4}}, {"kinds": {"LabFailed": 0}}],
    )
    def test_counts(self, path: Path, changes: dict[str, object]) -> None:
        lines = lines_of(path)
        lines[-1] = json.dumps(json.loads(lines[-1]) | changes).encode()
        path.write_bytes(b"\n".join(lines))
        assert "the footer counts" in refused(path)

    def test_two_footers(self, path: Path) -> None:
        lines = lines_of(path)
        path.write_bytes(b"\n".join([*lines, lines[-1]]))
        assert "line 6" in refused(path)


def test_the_events_of_merged_runs_have_to_be_all_there(path: Path) -> None:
    lines = lines_of(path)
    header = json.loads(lines[0])
    header["parts"] = [{"header": header | {"run": "one"}, "events": 1}]
    path.write_bytes(b"\n".join([json.dumps(header).encode(), *lines[1:], b""]))
    assert "the events are not those of the merged runs" in refused(path)


class TestAnOlderRecord:
    def test_version_3_had_what_the_target_says_in_fields_of_its_own(self, path: Path) -> None:
        lines = lines_of(path)
        header = json.loads(lines[0])
        del header["about"], header["parts"]
        header |= {
            "record": 3,
            "target": {"name": "postfix", "openssl": "3.5"},
            "capabilities": ["mta-sts"],
            "retry_seconds": 2.5,
            "policy_cache": "volatile",
            "dkim_records": {"k._domainkey.x": "v=DKIM1"},
            "set_aside": ["tls-rpt"],
            "own_retry_seconds": 9.0,
            "unknown_in_about": ["versoin"],
            "reports_end_the_day": True,
        }
        path.write_bytes(b"\n".join([json.dumps(header).encode(), *lines[1:], b""]))
        read = read_record(path).header
        assert read.about == About(
            name="postfix",
            versions={"openssl": "3.5"},
            capabilities=("mta-sts",),
            retry_seconds=2.5,
            policy_cache="volatile",
            dkim_records={"k._domainkey.x": "v=DKIM1"},
            reports_end_the_day=True,
            own_retry_seconds=9.0,
            set_aside=("tls-rpt",),
            unknown=("versoin",),
        )
        assert msgspec.structs.replace(read, about=HEADER.about) == HEADER

    def test_in_version_4_no_attack_said_that_it_needs_a_policy(self, path: Path) -> None:
        lines = lines_of(path)
        header = json.loads(lines[0])
        header["record"] = 4
        steps = header["cases"][0]["steps"]
        steps[0]["attacks"] = [{"name": name, "channel": "dns"} for name in ("hide_policy_record", "forge_mx")]
        path.write_bytes(b"\n".join([json.dumps(header).encode(), *lines[1:], b""]))
        read = read_record(path).header
        assert read.record == RECORD_VERSION
        assert [(use.name, use.needs) for use in read.cases[0].steps[0].attacks] == [
            ("hide_policy_record", PUBLISHED_POLICY),
            ("forge_mx", ""),
        ]


class TestNoRecordOfOurs:
    def test_another_version_says_so_even_if_its_header_is_another(self, path: Path) -> None:
        lines = lines_of(path)
        lines[0] = json.dumps({"record": RECORD_VERSION + 1, "something": "new"}).encode()
        path.write_bytes(b"\n".join(lines))
        message = refused(path)
        assert f"line 1: version {RECORD_VERSION + 1} of the record format" in message
        assert f"this program reads 3 to {RECORD_VERSION}" in message

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"no record\n", b"{}\n{}\n", b"[]\n", b"\xff\xfe\n\x00\n", b'{"record": "1"}\n', b"[" * 100_000],
        ids=["empty", "blank", "text", "objects", "list", "binary", "string", "deep"],
    )
    def test_not_a_record(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "record.jsonl"
        path.write_bytes(content)
        refused(path)

    def test_missing_or_a_folder(self, tmp_path: Path) -> None:
        assert "No such file" in refused(tmp_path / "record.jsonl")
        assert "directory" in refused(tmp_path).lower()

    def test_unknown_event_kind(self, path: Path) -> None:
        lines = lines_of(path)
        event = json.loads(lines[2])
        event["fact"]["kind"] = "Rumour"
        lines[2] = json.dumps(event).encode()
        path.write_bytes(b"\n".join(lines))
        message = refused(path)
        assert "line 3" in message
        assert "Rumour" in message
        assert "repeat the run" in message

    @pytest.mark.parametrize("damage", ["extra", "missing", "type"])
    def test_an_event_that_does_not_fit_its_kind(self, path: Path, damage: str) -> None:
        lines = lines_of(path)
        event = json.loads(lines[2])
        match damage:
            case "extra":
                event["fact"]["colour"] = "red"
            case "missing":
                del event["fact"]["rcode"]
            case _:
                event["fact"]["answers"] = 7
        lines[2] = json.dumps(event).encode()
        path.write_bytes(b"\n".join(lines))
        assert "line 3" in refused(path)

    @pytest.mark.parametrize(
        "damage", [{"cases": []}, {"started": "yesterday"}, {"cases": "twice"}, {"cases": "no steps"}, {"seed": "x"}]
    )
    def test_a_header_that_the_judge_could_not_use(self, path: Path, damage: dict[str, object]) -> None:
        lines = lines_of(path)
        header = json.loads(lines[0])
        case = header["cases"][0]
        match damage.get("cases"):
            case "twice":
                damage = {"cases": [case, case]}
            case "no steps":
                damage = {"cases": [case | {"steps": []}]}
        lines[0] = json.dumps(header | damage).encode()
        path.write_bytes(b"\n".join(lines))
        if damage == {"cases": []}:
            assert read_record(path).header.cases == (), "empty is poor, not wrong"
        else:
            assert "line 1" in refused(path)

    def test_too_large(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mta_sts_lab.record_reading.LARGEST_RECORD", 100)
        assert "larger than 100 octets" in refused(path)

    @given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
    @settings(max_examples=150, deadline=None)
    def test_a_damaged_octet_is_refused_or_harmless(self, where: int, octet: int) -> None:
        octets = bytearray(_WHOLE)
        octets[where % len(octets)] = octet
        lines = bytes(octets).split(b"\n")[:-1]
        try:
            record = parse_record(lines, "here")
        except RecordError as error:
            assert str(error).startswith("here")  # noqa: PT017
        else:
            assert isinstance(record, Record)
            assert len(record.events) == 4


def _whole() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "record.jsonl")
        return (Path(folder) / "record.jsonl").read_bytes()


_WHOLE = _whole()


class TestInterrupted:
    def test_a_run_that_breaks_off_leaves_an_incomplete_footer(self, tmp_path: Path) -> None:
        path = tmp_path / "record.jsonl"
        write(path, complete=None)
        record = read_record(path)
        assert record.footer.complete is False
        assert record.footer.events == len(record.events) == 4
        assert Counter(record.footer.kinds) == Counter(type(event.fact).__name__ for event in record.events)

    def test_by_an_interrupt_in_the_middle_of_anything(self, tmp_path: Path) -> None:
        path = tmp_path / "record.jsonl"

        def interrupted() -> None:
            recorder = Recorder()
            with RecordFile(path) as file:
                file.header(HEADER)
                recorder.listen(file.event)
                recorder.write(ConnectionClosed(session="s1"))
                # The event is numbered, and the interrupt comes before it is written.
                recorder._number += 1
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert read_record(path).footer.complete is False

    def test_by_an_interrupt_after_the_footer_was_written(self, tmp_path: Path) -> None:
        path = tmp_path / "record.jsonl"

        def interrupted() -> None:
            recorder = recorded()
            with RecordFile(path) as file:
                file.header(HEADER)
                recorder.listen(file.event)
                file._append(recorder.footer(True))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert read_record(path).footer.complete is True

    def test_before_its_first_line_leaves_nothing_that_looks_like_a_record(self, tmp_path: Path) -> None:
        path = tmp_path / "record.jsonl"
        with RecordFile(path) as file:
            file.footer(Recorder().footer(False))
            assert not file.begun
        assert path.read_bytes() == b""
        assert "empty: the run never began" in refused(path)

    def test_an_incomplete_run_says_so_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "record.jsonl"
        write(path, complete=False)
        assert read_record(path).footer.complete is False


def test_a_failure_of_the_lab_spoils_its_own_case_and_one_of_the_run_all_of_them() -> None:
    recorder = recorded()
    assert recorder.has_failed(CASE)
    assert not recorder.has_failed("starttls/strip[absent]")
    recorder.lab_failed("everywhere", ValueError("x"))
    assert recorder.has_failed("starttls/strip[absent]")
