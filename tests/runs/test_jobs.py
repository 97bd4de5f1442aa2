"""One run in several processes: one record and one verdict at the end, and nothing left behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mta_sts_lab.backends.in_process import InProcess
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.events import CaseBegan, CaseEnded, Event, ReportReceived
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.writers.mitm import has_flows
from mta_sts_lab.runs import RunRequest, RunResult, Watcher, judge_run, load_shipped_catalogue, plan, run
from mta_sts_lab.runs.jobs import parts_of, processors

from tests.cli.program import LONGEST, Shell, end, start, until

CATALOGUE = load_shipped_catalogue()
SELECTION = ("starttls/strip", "mx/forged-mx", "policy/max-age-lapses")
#: Two groups of cases, one for each process, in both of which each report is a finding of the run.
REPORTS = ("rpt-content/heartbeat[enforce]", "rpt-content/starttls-failures")


class TestPlans:
    def test_the_parts_come_to_the_whole(self) -> None:
        planned = plan(RunRequest(seed=7), CATALOGUE)
        parts = parts_of(planned, 3)
        selected = [case.id for part in parts for case in part.cases if case.id not in part.control_only]
        assert sorted(selected) == sorted(case.id for case in planned.cases)
        assert [part.run for part in parts] == [f"{planned.run}-{number}" for number in (1, 2, 3)]
        assert {part.at_once for part in parts} == {3}
        assert len({part.seed for part in parts}) == 3
        assert [part.seed for part in parts_of(planned, 3)] == [part.seed for part in parts], "the seed repeats them"

    def test_control_cases_that_nobody_selected_stay_such(self) -> None:
        planned = plan(RunRequest(SELECTION, modes=("enforce",)), CATALOGUE)
        parts = parts_of(planned, 2)
        assert planned.control_only
        assert frozenset[str]().union(*(part.control_only for part in parts)) == planned.control_only
        assert all(part.control_only <= {case.id for case in part.cases} for part in parts)

    def test_each_part_that_moves_the_clock_sees_whether_it_moved(self) -> None:
        selection = ("policy/late-in-life", "policy/renewed-in-time", "queue/given-up", "rpt-mail/two-days")
        planned = plan(RunRequest(selection, modes=("enforce",)), CATALOGUE)
        assert {"policy/max-age-lapses[enforce]", "policy/max-age-lapses[absent]"} <= planned.control_only
        for part in parts_of(planned, 3):
            assert "policy/max-age-lapses[enforce]" in {case.id for case in part.cases}
        untouched = plan(RunRequest(("starttls/strip",)), CATALOGUE)
        assert not untouched.control_only

    def test_few_cases_are_played_in_one_process_unless_more_are_asked_for(self) -> None:
        planned = plan(RunRequest(SELECTION), CATALOGUE)
        assert parts_of(planned, None) == (planned,)
        assert len(parts_of(planned, 2)) == 2
        assert len(parts_of(planned, 50)) < 50, "what belongs together is not divided"
        whole = plan(RunRequest(), CATALOGUE)
        assert len(parts_of(whole, None)) == min(processors(), len(whole.cases) // 48)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, list[Event], list[str]]:
    events: list[Event] = []
    said: list[str] = []
    request = RunRequest(SELECTION, out=tmp_path_factory.mktemp("runs"), jobs=2, flaws=("ignores_policy",))
    return run(request, Watcher(event=events.append, say=said.append), CATALOGUE), events, said


@pytest.mark.xdist_group("played-by-two")
def test_one_run_comes_of_it(played: tuple[RunResult, list[Event], list[str]]) -> None:
    result, _, said = played
    selected = [case.id for case in CATALOGUE.find(SELECTION)]
    assert [verdict.case for verdict in result.verdicts] == selected, "in the order of the catalogue"
    assert result.record.header.run == result.folder.name
    assert result.record.footer.complete
    parts = [part.header.run for part in result.record.runs()]
    assert parts[:2] == [f"{result.folder.name}-1", f"{result.folder.name}-2"], "cases may have been played again"
    assert {verdict.case for verdict in result.verdicts if verdict.grade == "fail"} >= {"starttls/strip[enforce]"}
    assert (result.folder / "target" / "log.txt").read_text().count("--- ") == 2
    assert not (result.folder / "parts").exists()
    assert not [line for line in said if "process" in line]


@pytest.mark.xdist_group("played-by-two")
def test_the_verdicts_are_those_of_the_whole_record(played: tuple[RunResult, list[Event], list[str]]) -> None:
    result = played[0]
    flows = {path.name for path in (result.folder / "flows").iterdir()}
    document = (result.folder / "verdicts.json").read_bytes()
    again = judge_run(result.folder, CATALOGUE)
    assert again.verdicts == result.verdicts
    assert again.document == document
    assert {path.name for path in (result.folder / "flows").iterdir()} == flows
    assert len(flows) == len([verdict for verdict in result.verdicts if has_flows(verdict)])


def test_what_rests_on_the_cases_of_another_process_is_judged_with_them(tmp_path: Path) -> None:
    """Alone, the part that gets no report cannot tell whether this sender sends any."""
    names = ("rpt-dns/not-wanted[enforce,never]", "rpt-dns/alias[enforce]")
    result = run(RunRequest(names, out=tmp_path, jobs=2), catalogue=CATALOGUE)
    assert len(result.record.runs()) >= 2
    assert {verdict.case: verdict.grade for verdict in result.verdicts if verdict.case in names} == dict.fromkeys(
        names, Grade.PASS
    )
    assert judge_run(result.folder, CATALOGUE).verdicts == result.verdicts


def test_the_evidence_of_findings_of_the_run_is_numbered_as_in_the_whole_record(tmp_path: Path) -> None:
    request = RunRequest(REPORTS, modes=("enforce",), out=tmp_path, jobs=2, flaws=("sends_unsigned_reports",))
    result = run(request, catalogue=CATALOGUE)
    first, *_ = result.record.runs()
    cited = {number for verdict in result.verdicts for one in verdict.of_the_run for number in one.evidence}
    assert max(cited) > len(first.events), "some of it is in the second part"
    assert {type(result.record.events[number - 1].fact) for number in cited} == {ReportReceived}
    assert judge_run(result.folder, CATALOGUE).verdicts == result.verdicts


@pytest.mark.xdist_group("played-by-two")
def test_the_watcher_sees_how_far_it_is(played: tuple[RunResult, list[Event], list[str]]) -> None:
    result, events, _ = played
    cases = sorted(verdict.case for verdict in result.verdicts)
    for kind in (CaseBegan, CaseEnded):
        seen = [event.case for event in events if isinstance(event.fact, kind)]
        assert sorted(case for case in seen if not case.startswith("adapter/")) == cases


def test_an_exception_of_the_watcher_is_raised_at_the_end(tmp_path: Path) -> None:
    def fail(_: Event) -> None:
        raise ValueError("from the watcher")

    with pytest.raises(ValueError, match="from the watcher"):
        run(RunRequest(SELECTION[:2], out=tmp_path, jobs=2), Watcher(event=fail), CATALOGUE)
    (folder,) = tmp_path.iterdir()
    assert (folder / "verdicts.json").exists()


def test_a_target_of_which_one_can_be_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_one(_: InProcess, target: TargetFolder) -> str:
        return f"{target.name} takes a lock of this machine"

    monkeypatch.setattr(InProcess, "one_at_a_time", only_one)
    said: list[str] = []
    result = run(RunRequest(SELECTION[:2], out=tmp_path, jobs=2), Watcher(say=said.append), CATALOGUE)
    assert said[0] == "played in one process, not in 2: reference takes a lock of this machine"
    assert result.record.runs()[0].header.run == result.folder.name
    assert result.summary.exit_code == 0


class TestEnded:
    def test_by_a_signal(self, shell: Shell) -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            process, parts = self._started(shell, "AttackFired")
            process.send_signal(number)
            message = end(process).message(128 + number)
            folder = shell.runs()[-1]
            assert f"runs/{folder.name}/, marked as incomplete" in message
            assert not any(_alive(part) for part in parts)
            record = read_record(folder / "record.jsonl")
            assert record.footer.complete is False
            assert record.events
            assert sorted(item.name for item in folder.iterdir()) == ["record.jsonl", "target"]

    def test_by_kill(self, shell: Shell) -> None:
        process, parts = self._started(shell, "MessageInjected")
        process.kill()
        assert end(process).status == -signal.SIGKILL
        _wait_until(lambda: not any(_alive(part) for part in parts))
        (folder,) = shell.runs()
        assert "was killed" in shell("clean").out
        assert not folder.exists()

    def test_by_the_end_of_one_process(self, shell: Shell) -> None:
        process, parts = self._started(shell, "MessageInjected")
        os.kill(parts[0], signal.SIGKILL)
        answer = end(process)
        assert "of the run ended with signal SIGKILL; nothing is judged" in answer.message(3)
        assert not any(_alive(part) for part in parts)
        (folder,) = shell.runs()
        assert not (folder / "verdicts.json").exists()

    def _started(self, shell: Shell, moment: str) -> tuple[subprocess.Popen[bytes], list[int]]:
        """Start a run, and wait until both of its processes have something on record."""
        process = start(shell.folder, "run", "starttls/*", "--jobs", "2")
        begun = len(shell.runs())

        def on_record() -> bool:
            records = [path for folder in shell.runs()[-1:] for path in folder.glob("parts/*/record.jsonl")]
            return len(records) == 2 and all(moment in path.read_text() for path in records)

        until(process, lambda: len(shell.runs()) >= max(begun, 1) and on_record())
        parts = _children(process.pid)
        assert len(parts) == 2
        return process, parts


def test_a_target_that_never_comes_up(shell: Shell) -> None:
    (shell.folder / "mta").mkdir()
    (shell.folder / "mta" / "target.toml").write_text(
        'name = "mta"\ntitle = "mta"\ndescription = ""\nbackend = "unheard-of"\n'
    )
    assert "there is no backend 'unheard-of'" in shell("run", "--target", "./mta", "--jobs", "2").message(2)
    assert shell.runs() == []


def test_less_than_one_job(shell: Shell) -> None:
    assert shell("run", "--jobs", "0").status == 2


def _children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(child) for child in listed.split()]


def _alive(process: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)
