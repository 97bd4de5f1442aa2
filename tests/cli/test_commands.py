"""Each command: what it answers, what it leaves, and its exit status."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
from mta_sts_lab import __version__
from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.backends.folder import read_folder
from mta_sts_lab.cli.commands import app
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.model.case import AttackUse
from mta_sts_lab.model.target import CAPABILITIES
from mta_sts_lab.model.world import Family
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.runs.writing import keep_known_failures, kept_known_failures
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.network import has_ipv6_loopback
from mta_sts_lab.world.policy_host import PolicyServer

from tests.cli.program import ROOT, Shell, end, start
from tests.reports.records import schema

STRIP = "starttls/strip"


class TestRun:
    def test_all_as_expected(self, shell: Shell) -> None:
        answer = shell("run", STRIP)
        assert answer.status == 0
        assert "4 cases: 4 pass. All as expected." in answer.out
        (place,) = shell.runs()
        assert f"record and verdicts: runs/{place.name}/" in answer.out
        assert {path.name for path in place.iterdir()} == {
            "record.jsonl",
            "verdicts.json",
            "findings.sarif",
            "junit.xml",
            "target",
        }
        assert (place / "target" / "log.txt").read_text()
        assert read_record(place / "record.jsonl").footer.complete
        assert answer.err == "", "no progress line where nobody can see it live"
        assert shell("judge", place.name, "--flows").status == 0
        assert len(list((place / "flows").glob("*.mitm"))) == 4

    def test_nothing_but_unsupported_is_not_as_expected(self, shell: Shell) -> None:
        answer = shell("run", "rpt-schema/shape", "--black-box")
        assert answer.status == 5
        told = " ".join(answer.out.split())
        assert "unsupported. Nothing was judged: all that was selected is unsupported." in told
        assert "expected" not in told

    def test_a_finding(self, shell: Shell) -> None:
        answer = shell("run", f"{STRIP}[enforce]", "--flaw", "ignores_policy")
        assert answer.status == 1
        assert "FAIL" in answer.out
        assert "STS-4-02" in answer.out or "STS-5-03" in answer.out

    def test_an_error_in_the_lab(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        async def stumble(self: PolicyServer, accepted: object, via: str) -> None:
            accepted.sock.close()  # type: ignore[attr-defined]
            raise RuntimeError("the policy host fell over")

        monkeypatch.setattr(PolicyServer, "_speak", stumble)
        answer = shell("run", f"{STRIP}[enforce]")
        assert answer.status == 3
        assert "the policy host fell over" in re.sub(r"\s+", " ", answer.out)

    def test_inconclusive(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        class Idle(AttackController):
            async def begin(self, world: CaseWorld, attacks: Sequence[AttackUse]) -> None:
                await self.end(world)

        monkeypatch.setattr("mta_sts_lab.runner.run.AttackController", Idle)
        answer = shell("run", f"{STRIP}[testing]")
        assert answer.status == 4
        assert "attack-not-fired" in answer.out

    def test_json_is_the_verdicts_and_nothing_else(self, shell: Shell) -> None:
        answer = shell("run", STRIP, "--json")
        assert answer.status == 0
        (place,) = shell.runs()
        assert answer.out == (place / "verdicts.json").read_text()
        document = json.loads(answer.out)
        jsonschema.validate(document, schema("verdicts"), cls=jsonschema.Draft202012Validator)
        assert document["exit"]["code"] == 0
        assert document["command"] == ["sts-lab", "run", STRIP, "--json"]
        assert {case["verdict"] for case in document["cases"]} == {"pass"}

    def test_a_black_box_fares_as_it_does_when_it_shows_itself(self, shell: Shell) -> None:
        selection = (f"{STRIP}[enforce]", "policy/cache-survives-restart[enforce]")
        seen = json.loads(shell("run", *selection, "--json").out)
        hidden = json.loads(shell("run", *selection, "--json", "--black-box").out)
        words = [{case["id"]: case["verdict"] for case in document["cases"]} for document in (seen, hidden)]
        assert words[0] == dict.fromkeys(words[0], "pass")
        assert words[1] == words[0] | {
            # It expects a report, too, and nobody asked for one.
            f"{STRIP}[enforce]": "info",
            "policy/cache-survives-restart[enforce]": "unsupported",
            "policy/cache-survives-restart[absent]": "unsupported",
        }
        strip = [
            next(case for case in document["cases"] if case["id"] == f"{STRIP}[enforce]") for document in (seen, hidden)
        ]
        outcomes = [[step["outcome"] for step in case["steps"]] for case in strip]
        assert outcomes[0] == outcomes[1] == ["delivered-authenticated", "deferred", None]
        # "ipv6" is only claimed where the machine has it.
        claimed = {one for one in hidden["target"]["capabilities"] if one != "ipv6"}
        assert claimed == set(CAPABILITIES) - {"tls-rpt", "queue-clock"}
        reasons = [one["reason"] for one in strip[1]["judgements"] if one["result"] != "pass"]
        assert reasons == ["reports-not-asked-for"]

    def test_one_mode_brings_its_control_arm_along(self, shell: Shell) -> None:
        document = json.loads(shell("run", STRIP, "--mode", "enforce", "--json").out)
        assert [(case["mode"], case["control_only"]) for case in document["cases"]] == [
            ("enforce", False),
            ("absent", True),
        ]

    def test_a_seed_repeats_the_names(self, shell: Shell) -> None:
        for _ in range(2):
            assert shell("run", f"{STRIP}[absent]", "--seed", "11").status == 0
        domains = [
            {event.fact.domain for event in read_record(place / "record.jsonl").events if hasattr(event.fact, "domain")}
            for place in shell.runs()
        ]
        assert domains[0] == domains[1]
        assert len(shell.runs()) == 2


class TestTargetCheck:
    def test_a_good_adapter(self, shell: Shell) -> None:
        answer = shell("target-check", "reference")
        assert answer.status == 0, answer.out
        assert "the adapter keeps the contract." in answer.out
        (place,) = shell.runs()
        assert {path.name for path in place.iterdir()} == {"record.jsonl", "adapter.json", "flows", "target"}
        assert f"record and findings: runs/{place.name}/" in answer.out

    def test_a_claim_that_is_not_true(self, shell: Shell) -> None:
        answer = shell("target-check", "reference", "--flaw", "ignores_policy", "--json")
        assert answer.status == 1
        document = json.loads(answer.out)
        assert document["exit"] == {"code": 1, "meaning": "the adapter has to be mended"}
        assert set(document["target"]["capabilities"]) == set(CAPABILITIES)
        (wrong,) = [finding for finding in document["findings"] if finding["result"] == "fault"]
        assert wrong["code"] == "claimed-and-not-there"
        assert wrong["remedy"]
        (place,) = shell.runs()
        assert answer.out == (place / "adapter.json").read_text()

    def test_its_record_has_no_verdicts(self, shell: Shell) -> None:
        shell("target-check", "reference")
        (place,) = shell.runs()
        assert "the record of a target-check" in shell("judge", place.name).message(2)

    def test_an_error_in_the_lab(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        async def stumble(self: PolicyServer, accepted: object, via: str) -> None:
            accepted.sock.close()  # type: ignore[attr-defined]
            raise RuntimeError("the policy host fell over")

        monkeypatch.setattr(PolicyServer, "_speak", stumble)
        answer = shell("target-check", "reference")
        assert answer.status == 3
        assert "the policy host fell over" in re.sub(r"\s+", " ", answer.out)


WRONG = [
    (["target-check", "nothing-like-it"], 2, "(a folder of your own is given as a path: ./my-mta)"),
    (["target-check", "./no-such-folder"], 2, "no-such-folder/target.toml"),
    (["target-check", "postfix", "--flaw", "ignores_policy"], 2, "postfix has only the flaws it has"),
    (["run", "--target", "refrence"], 2, "did you mean reference or reference-docker?"),
    (["run", "--target", "nothing-like-it"], 2, ", postfix, "),
    (["run", "--target", "./no-such-folder"], 2, "a target's folder has a file target.toml"),
    (["run", "--smtp", "2525", STRIP], 2, "describe the program of --command, which is missing"),
    (["run", "--ready", "9", STRIP], 2, "describe the program of --command, which is missing"),
    (["run", "--mode", "enforced"], 2, "the modes are enforce, testing, none, "),
    (["run", "--flaw", "ignores_polcy"], 2, "did you mean ignores_policy"),
    (["run", "--target", "postfix", "--flaw", "ignores_policy"], 2, "--flaw is for the reference sender"),
    (["run", "starttls/stripp"], 5, "did you mean starttls/strip"),
    (["run", "nonsense"], 5, "the families are"),
    (["run", f"{STRIP}[enforce]", "--mode", "testing"], 5, "no case under testing"),
    (["run", "STS-5-003"], 5, "did you mean STS-5-03"),
    (["run", "DANE-2.2.1-06"], 5, "no case is about DANE-2.2.1-06, whose status is"),
    (["run", "--level", "must"], 2, "the levels are MUST, MUST NOT"),
    (["run", "starttls/strip", "--level", "lc-must"], 5, "no case about an obligation of level lc-must"),
    (["run", "--since", "no-such-run"], 2, "there are no runs in runs/"),
    (["diff", "no-such-run", "nor-this"], 2, "there are no runs in runs/"),
    (["run", "--flaw", "nope"], 2, "`kills` in each scenario names some"),
    (["list", "starttls/stripp"], 5, "did you mean starttls/strip"),
    (["list", "--mode", "enforced"], 2, "the modes are"),
    (["show", "starttls/strip[enforcing]"], 5, "did you mean starttls/strip[enforce]"),
    (["demo", "stripp"], 5, "did you mean"),
    (["demo", "strip", "--pause"], 2, "there is no terminal"),
    (["serve", "--network", "n", "--container", "c", "--family", "ipv6"], 2, "gives the world's hosts IPv4 addresses"),
    (["up", "starttls/strip[enforce]", "--family", "ipv7"], 2, "it is one of ipv4, ipv6, both"),
    (["demo", "xyzzy"], 5, "`sts-lab list` shows them all"),
    (["demo", "strip", "--mode", "bogus"], 2, "the modes are"),
    (["demo", "strip", "--vector", "bogus"], 2, "has no vector 'bogus'; it has none: leave out --vector"),
    (["requirements", "STS-5-003"], 2, "did you mean STS-5-03"),
    (["docs", "operators"], 2, "there is no document 'operators'; did you mean operator?"),
    (["docs", "xyzzy"], 2, "`sts-lab docs` lists them"),
    (["docs", "ambiguities#endofday"], 2, "did you mean ambiguities#end-of-day?"),
    (["docs", "ambiguities#xyzzy"], 2, "`sts-lab docs ambiguities` has all of it"),
    (["judge", "no-such-run"], 2, "there are no runs in runs/"),
    (["judge", "x" * 5000], 2, "no record of a run there"),
]


@pytest.mark.parametrize(
    ("arguments", "status", "hint"), WRONG, ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None
)
def test_what_cannot_be_done_is_one_message(shell: Shell, arguments: list[str], status: int, hint: str) -> None:
    message = shell(*arguments).message(status)
    assert hint in message
    assert len(message) < 1000 or "x" * 5000 in message
    assert len(message.splitlines()) <= 2
    assert shell.left() == [], "and nothing is left behind"


@pytest.mark.parametrize(
    "arguments", [["run", "--seed", "x"], ["run", "--no-such-option"], ["no-such-command"], ["show"]]
)
def test_what_the_parser_refuses(shell: Shell, arguments: list[str]) -> None:
    answer = shell(*arguments)
    assert answer.status == 2
    assert "Traceback" not in answer.err
    assert shell.left() == []


@pytest.mark.parametrize("target", ["reference-docker", "postfix"])
def test_no_docker_engine(shell: Shell, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    message = shell("run", STRIP, "--target", target).message(3)
    assert "no Docker engine answers: start one" in message
    assert "The reference sender needs none" in message
    assert [name for name in shell.left() if name != "runs"] == []


@pytest.mark.parametrize("arguments", [["clean"], ["targets", "--build"]])
def test_no_docker_engine_for_what_needs_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "no Docker engine answers" in shell(*arguments).message(3)


def test_documents_are_listed_and_read(shell: Shell) -> None:
    listed = shell("docs").out.splitlines()
    assert "glossary            Glossary" in listed
    whole, part = shell("docs", "ambiguities").out, shell("docs", "docs/ambiguities.md#end-of-day").out
    assert part.startswith("#### end-of-day\n")
    assert part in whole
    assert part == shell("docs", "ambiguities#end-of-day").out


def test_the_list_of_targets_needs_no_docker(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    answer = shell("targets")
    assert answer.status == 0
    assert all(name in answer.out for name in ("reference", "reference-docker", "postfix"))


class TestOut:
    def test_a_file_in_the_way(self, shell: Shell) -> None:
        (shell.folder / "runs").write_text("in the way")
        message = shell("run", STRIP).message(2)
        assert message.startswith("sts-lab: --out runs: the folder of the run cannot be made there")
        assert shell.left() == ["runs"]

    def test_a_place_where_nothing_can_be_made(self, shell: Shell) -> None:
        assert "--out /proc/here" in shell("run", STRIP, "--out", "/proc/here").message(2)

    def test_another_folder(self, shell: Shell) -> None:
        assert shell("run", f"{STRIP}[absent]", "--out", "else/where").status == 0
        assert len(list((shell.folder / "else" / "where").glob("*/verdicts.json"))) == 1


class TestScenarioFiles:
    """What a wrong scenario file says: its place, what is wrong, and what would be right."""

    FAMILY = Path(__file__).resolve().parents[2] / "scenarios" / "starttls"
    GOOD = (FAMILY / "strip.toml").read_text()

    @pytest.fixture
    def files(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = shell.folder / "checkout"
        (folder / "scenarios" / "starttls").mkdir(parents=True)
        (folder / "scenarios" / "starttls" / "family.toml").write_text((self.FAMILY / "family.toml").read_text())
        monkeypatch.setattr("mta_sts_lab.runs.scenarios.shipped_files", lambda: folder)
        return folder / "scenarios" / "starttls" / "strip.toml"

    @pytest.mark.parametrize("command", [["lint"], ["run", STRIP], ["list"], ["demo", "strip"]])
    @pytest.mark.parametrize(
        ("change", "line", "hint"),
        [
            (("[attack]", "[attack"), True, ""),
            (("[attack]", "[atack]"), True, "attack"),
            (('smtp = "strip_starttls"', 'smtp = "strip_startls"'), True, "strip_starttls"),
            (("[expect.testing]", "[expect.testin]"), True, "testing"),
            (('outcome = "deferred"', 'outcome = "defered"'), True, "deferred"),
            (('"STS-5-03"', '"STS-5-003"'), True, "STS-5-03"),
        ],
        ids=["malformed", "key", "attack", "mode", "outcome", "requirement"],
    )
    def test_one_mistake(
        self, shell: Shell, files: Path, command: list[str], change: tuple[str, str], line: bool, hint: str
    ) -> None:
        assert change[0] in self.GOOD
        files.write_text(self.GOOD.replace(*change, 1))
        before = shell.left()
        message = shell(*command).message(2)
        assert re.search(r"starttls/strip\.toml.*\b\d+\b", message), "it says where"
        assert hint in message
        assert shell.left() == before

    def test_no_scenarios_at_all(self, shell: Shell, files: Path) -> None:
        assert "no scenarios" in shell("lint").message(2)

    def test_the_shipped_ones_are_right(self, shell: Shell) -> None:
        answer = shell("lint")
        assert answer.status == 0
        assert "no errors" in answer.out


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was judged: each test gets a copy."""
    folder = tmp_path_factory.mktemp("judged")
    assert end(start(folder, "run", STRIP)).status == 0
    return folder / "runs"


@pytest.mark.xdist_group("judged")
class TestJudge:
    @pytest.fixture
    def place(self, shell: Shell, a_run: Path) -> Path:
        shutil.copytree(a_run, shell.folder / "runs")
        return shell.runs()[0]

    def test_nothing_changed(self, shell: Shell, place: Path) -> None:
        verdicts = (place / "verdicts.json").read_bytes()
        for name in (place.name, str(place), str(place / "record.jsonl")):
            answer = shell("judge", name)
            assert answer.status == 0
            assert "no verdict changed" in answer.out
        assert (place / "verdicts.json").read_bytes() == verdicts

    def test_what_changed_is_said(self, shell: Shell, place: Path) -> None:
        document = json.loads((place / "verdicts.json").read_text())
        document["cases"][0]["verdict"] = "fail"
        (place / "verdicts.json").write_text(json.dumps(document))
        answer = shell("judge", place.name)
        assert f"{document['cases'][0]['id']}: was fail, is pass" in answer.out
        assert answer.out.count(": was ") == 1

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"cases": 7}'])
    def test_without_readable_verdicts_it_judges_all_the_same(self, shell: Shell, place: Path, content: str) -> None:
        (place / "verdicts.json").write_text(content)
        assert shell("judge", place.name).status == 0
        assert json.loads((place / "verdicts.json").read_text())["exit"]["code"] == 0

    def test_json(self, shell: Shell, place: Path) -> None:
        answer = shell("judge", place.name, "--json")
        assert answer.out == (place / "verdicts.json").read_text()

    def test_a_truncated_record(self, shell: Shell, place: Path) -> None:
        record, verdicts = place / "record.jsonl", (place / "verdicts.json").read_bytes()
        whole = record.read_bytes()
        for kept in (0, 100, len(whole) // 2, len(whole) - 30):
            record.write_bytes(whole[:kept])
            message = shell("judge", place.name).message(2)
            assert str(record.relative_to(shell.folder)) in message
            assert "repeat" in message or "give the folder of a run" in message
            assert len(message) < 600
            assert (place / "verdicts.json").read_bytes() == verdicts, "yesterday's verdicts stay as they are"

    def test_the_latest_runs_are_offered(self, shell: Shell, place: Path) -> None:
        assert place.name in shell("judge", "nothing").message(2)

    def test_a_folder_that_cannot_be_written(self, shell: Shell, place: Path) -> None:
        (place / "verdicts.json").unlink()
        (place / "verdicts.json").mkdir()
        assert "the verdicts cannot be written" in shell("judge", place.name).message(2)
        assert not list(place.rglob("*.part"))


class TestJudgeAndWhatIsKnown:
    """The list that is kept with a run counts, whatever the target calls itself."""

    @pytest.fixture
    def place(self, shell: Shell) -> Path:
        assert shell("run", f"{STRIP}[enforce]", "--flaw", "ignores_policy").status == 1
        return shell.runs()[0]

    @staticmethod
    def write_known(place: Path) -> None:
        """Write down everything that was found as known."""
        (case,) = [
            case for case in json.loads((place / "verdicts.json").read_text())["cases"] if case["verdict"] == "fail"
        ]
        entries = [
            f'[[known-failure]]\ncase = "{case["id"]}"\nobligation = "{one["obligation"]}"\nresult = "{one["result"]}"\n'
            f'codes = ["{one["reason"]}"]\nreason = "It has no policy."\nevidence = "Seen."\n'
            for one in case["judgements"]
            if one["result"] in ("fail", "weak")
        ]
        assert entries
        (place / "target" / "known-failures.toml").write_text("\n".join(dict.fromkeys(entries)))

    def test_the_kept_list_makes_a_finding_known(self, shell: Shell, place: Path) -> None:
        self.write_known(place)
        answer = shell("judge", place.name)
        assert answer.status == 0
        assert "It has no policy." in answer.out
        assert shell("judge", place.name).status == 0, "the first judging left the list as it was"

    def test_the_name_of_one_of_ours_brings_nothing(self, shell: Shell, place: Path) -> None:
        record = place / "record.jsonl"
        first, *others = record.read_text().splitlines(keepends=True)
        header = json.loads(first)
        header["about"]["name"] = "exim"
        record.write_text("".join([json.dumps(header) + "\n", *others]))
        answer = shell("judge", place.name)
        assert answer.status == 1
        assert json.loads((place / "verdicts.json").read_text())["known_failures"]["vanished"] == []

    def test_where_no_list_was_kept_it_is_said(self, shell: Shell, place: Path) -> None:
        assert "no known failures were kept" not in shell("judge", place.name).out
        (place / "target" / "known-failures.toml").unlink()
        answer = shell("judge", place.name)
        assert answer.status == 1
        assert "no known failures were kept in " in answer.out

    def test_the_file_of_an_older_run_is_read_under_its_old_name(self, shell: Shell, place: Path) -> None:
        self.write_known(place)
        (place / "target" / "known-failures.toml").rename(place / "target" / "known-deviations.toml")
        answer = shell("judge", place.name)
        assert (answer.status, "It has no policy." in answer.out) == (0, True)

    def test_a_broken_list_is_a_message(self, shell: Shell, place: Path) -> None:
        (place / "target" / "known-failures.toml").write_text("[[deviation]]\n")
        assert "known-failures.toml: " in shell("judge", place.name).message(2)

    @pytest.mark.parametrize("content", [b"# nothing yet\n", None])
    def test_a_run_keeps_the_list_of_its_own_target(self, tmp_path: Path, content: bytes | None) -> None:
        folder = tmp_path / "my-mta"
        folder.mkdir()
        (folder / "target.toml").write_text('name = "exim"\ntitle = "Mine"\ndescription = "A fork."\n')
        if content is not None:
            (folder / "known-failures.toml").write_bytes(content)
        (tmp_path / "run" / "target").mkdir(parents=True)
        keep_known_failures(read_folder(folder).known_failures, tmp_path / "run")
        assert kept_known_failures(tmp_path / "run").read_bytes() == (content or b"")


class TestDemo:
    def test_in_a_pipe_it_is_plain_text_of_80_columns(self, shell: Shell) -> None:
        answer = shell("demo", "strip")
        assert answer.status == 0
        assert "\x1b" not in answer.out
        wide = [line for line in answer.out.splitlines() if len(line) > 80]
        assert [line for line in wide if "The record of this run is in" not in line] == []
        for mode in ("enforce", "testing", "none"):
            assert mode in answer.out
        assert answer.out.rstrip().endswith("(section 10.2)."), "its conclusion comes last"

    def test_one_mode_and_its_page(self, shell: Shell, tmp_path: Path) -> None:
        page = tmp_path / "lesson.html"
        assert shell("demo", STRIP, "--mode", "enforce", "--html", str(page)).status == 0
        text = page.read_text(encoding="utf-8")
        assert "the attack failed; the message waited" in text
        assert text.count('role="tab"') == 1
        answer = shell("demo", STRIP, "--mode", "enforce", "--html", str(tmp_path / "none" / "lesson.html"))
        assert answer.status == 2
        assert "there is no folder" in answer.err
        assert not answer.out, "before anything is played"

    def test_a_flaw_is_shown_and_is_a_finding(self, shell: Shell) -> None:
        answer = shell("demo", "strip", "--flaw", "ignores_policy", "--reports", "--mode", "enforce")
        assert answer.status == 1
        assert "The mail server is at fault" in answer.out
        assert "the lab saw" in answer.out


class TestAbout:
    def test_version(self, shell: Shell) -> None:
        assert shell("--version").out == f"sts-lab {__version__}\n"

    @pytest.mark.parametrize(
        "command",
        [command.name or command.callback.__name__ for command in app.registered_commands],  # type: ignore[union-attr]
    )
    def test_help_of_each_command(self, shell: Shell, command: str) -> None:
        name = command.strip("_").replace("_", "-")
        answer = shell(name, "--help")
        hidden = ("play-served-plan", "reference-sender")
        assert answer.status == 0
        assert f"Usage: sts-lab {name}" in answer.out
        assert (re.search(rf"Examples?:\s+sts-lab {name}", answer.out) is not None) is (name not in hidden)

    def test_help_prints_brackets_as_they_are(self, shell: Shell) -> None:
        assert "starttls/strip[enforce]" in shell("show", "--help").out

    def test_each_command_has_its_whole_summary_in_the_list(self, shell: Shell) -> None:
        assert "..." not in shell("--help").out.partition("Commands:")[2]

    def test_show_list_and_requirements(self, shell: Shell) -> None:
        assert "STARTTLS" in shell("show", STRIP).out
        assert "STS-5-03" in shell("requirements", "STS-5-03").out
        assert STRIP in shell("list", STRIP).out
        assert shell("requirements").status == 0


def test_nothing_can_be_captured_of_the_built_in_sender(shell: Shell) -> None:
    message = shell("run", "starttls/strip", "--pcap").message(2)
    assert "no packets to capture" in message
    assert "flows/" in message
    assert "leave out --jobs" in shell("run", "--target", "postfix", "--pcap", "--jobs", "2").message(2)
    assert shell.runs() == []


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no address ::1")
@pytest.mark.parametrize(
    "arguments",
    [
        ("demo", "strip", "--mode", "enforce"),
        ("what-if", "--policy", str(ROOT / "docs" / "example-policy.txt"), "--mx", "mail.example.com"),
    ],
    ids=["demo", "what-if"],
)
def test_each_command_that_plays_can_do_so_over_ipv6(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell(*arguments, "--family", "ipv6")
    (place,) = shell.runs()
    record = read_record(place / "record.jsonl")
    met = [event.fact.address for event in record.events if isinstance(event.fact, ConnectionAccepted)]
    assert record.header.families == (Family.IPV6,)
    assert met
    assert all(address.startswith("2001:db8:") for address in met)
