"""`pytest --sts-target`: the lab's cases as test items, against the reference sender."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from mta_sts_lab.judge.known_failures import compare_with_known, read_known_failures
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.pytest_plugin.distribution import shards_of_nodes
from mta_sts_lab.pytest_plugin.playing import PlayedCase
from mta_sts_lab.pytest_plugin.shards import shard_of_each
from mta_sts_lab.runs import RunResult, load_shipped_catalogue
from mta_sts_lab.shipped_files import shipped_files

from tests.reports.records import strip_record, strip_verdicts

pytest_plugins = ["pytester"]

#: Two scenarios; a sender that ignores policies fails each under enforce.
SELECTION = ("--sts-case", "starttls/strip", "--sts-case", "starttls/mask")

#: Fits the flaw under enforce in the first scenario, names a wrong code in the second, and one that never occurs.
KNOWN = """
[[known-failure]]
case = "starttls/strip[enforce]"
obligation = "STS-5-03"
result = "fail"
codes = ["delivered-clear", "read-in-clear", "envelope-in-clear"]
reason = "policies are not looked at yet"
evidence = "a ticket"

[[known-failure]]
case = "starttls/strip[enforce]"
obligation = "STS-6-03"
result = "weak"
codes = ["failure-not-reported"]
reason = "nor are they reported"
evidence = "a ticket"

[[known-failure]]
case = "starttls/strip[none]"
obligation = "STS-5-03"
result = "fail"
codes = ["delivered-clear"]
reason = "thought to fail under none"
evidence = "a ticket"
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        "-p", "mta_sts_lab.pytest_plugin", "-p", "no:asyncio", "--strict-markers", *arguments
    )


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("sts-lab::")]


def test_each_case_is_an_item_with_family_and_mode_as_markers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_own(): pass")
    (pytester.path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\ntimeout = 1\n")
    every = run(pytester, "--sts-target", "reference", "--collect-only", "-q")
    assert len(ids(every)) > 300
    assert "test_each_case_is_an_item_with_family_and_mode_as_markers.py::test_own" in every.outlines
    some = run(
        pytester, "--sts-target", "reference", "--collect-only", "-q", "-k", "strip", "-m", "starttls and enforce"
    )
    assert ids(some) == ["sts-lab::starttls/strip[enforce]"]
    named = run(pytester, "--sts-target", "reference", "--collect-only", "-q", "sts-lab::starttls/strip[enforce]")
    assert ids(named) == ["sts-lab::starttls/strip[enforce]"]
    assert "test_own" not in named.stdout.str()
    without = run(pytester, "--collect-only", "-q")
    assert not ids(without)


def test_a_verdict_is_the_outcome_of_its_item(pytester: pytest.Pytester) -> None:
    (pytester.path / "known.toml").write_text(KNOWN)
    base = ("--sts-target", "reference", "--sts-flaw", "ignores_policy", *SELECTION, "--sts-known", "known.toml")
    result = run(pytester, *base, "-rfxX", "-v", "-n", "2", "--junitxml", "report.xml", "--sts-out", "kept")
    shown = {
        found[3]: (found[1], found[2])
        for line in result.outlines
        if (found := re.match(r"\[(gw\d)\] \[ *\d+%\] (\w+) sts-lab::(\S+)", line))
    }
    outcomes = {case: outcome for case, (_, outcome) in shown.items()}
    assert outcomes["starttls/strip[enforce]"] == "XFAIL"
    assert outcomes["starttls/strip[none]"] == "FAILED"
    assert outcomes["starttls/strip[absent]"] == "PASSED"
    assert outcomes["starttls/mask[enforce]"] == "FAILED"
    # A scenario and its control case are on one worker, and each worker makes one run.
    workers = {
        case.partition("[")[0]: {shown[one][0] for one in shown if one.startswith(case.partition("[")[0])}
        for case in shown
    }
    assert sorted(len(each) for each in workers.values()) == [1, 1]
    assert len(set().union(*workers.values())) == 2
    assert len(list((pytester.path / "kept").iterdir())) == 2
    text = result.stdout.str()
    assert "policies are not looked at yet; nor are they reported" in text
    assert "[XPASS(strict)] thought to fail under none" in text
    assert "FAILED sts-lab::starttls/mask[enforce] - fail: delivered-clear" in text
    assert "Under enforce, the sender" in text
    assert "repeat      sts-lab run 'starttls/mask[enforce]'" in text
    cases = {case.get("name"): case for case in ET.parse(pytester.path / "report.xml").iter("testcase")}
    assert float(cases["starttls/strip[enforce]"].get("time", "0")) < 60
    properties = {one.get("name"): one.get("value") for one in cases["starttls/strip[enforce]"].iter("property")}
    assert properties["sts-lab verdict"] == "fail"
    again = run(pytester, *base, "--lf", "--collect-only", "-q")
    assert set(ids(again)) == {f"sts-lab::{case}" for case, outcome in outcomes.items() if outcome == "FAILED"}


@pytest.mark.parametrize(
    ("selection", "workers", "status"),
    [
        (("rpt-mail/file-name",), "0", 5),
        (("rpt-mail/file-name",), "2", 5),
        (("rpt-mail/file-name", "starttls/strip[absent]"), "0", 0),
    ],
)
def test_where_all_is_unsupported_nothing_was_judged(
    pytester: pytest.Pytester, selection: tuple[str, ...], workers: str, status: int
) -> None:
    """A black box is not asked for its reports. `sts-lab run` has the same exit status."""
    pytester.makepyfile("def test_own(): pass")
    chosen = [word for pattern in selection for word in ("--sts-case", pattern)]
    result = run(pytester, "--sts-target", "reference", "--sts-black-box", *chosen, "-n", workers)
    assert result.ret == status
    assert result.parseoutcomes()["skipped"] > 0
    assert ("nothing was judged: all that was selected is unsupported" in result.stdout.str()) is (status == 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sts-target", "refrence"), "did you mean reference"),
        (("--sts-target", "reference", "--sts-case", "starttls/stripp"), "did you mean starttls/strip"),
        (("--sts-target", "reference", "--sts-command", "./mta"), "leave out --sts-target"),
        (("--sts-smtp", "2525"), "--sts-command, which is missing"),
        (("--sts-case", "starttls/*"), "does not say against what"),
        (("--sts-target", "reference", "--sts-known", "nowhere.toml"), "nowhere.toml: there is no such file"),
        (("--sts-target", "reference", "--sts-scenarios", "nowhere"), "--sts-scenarios: nowhere is no folder"),
        (("--sts-command", "./no-such-program", "--sts-case", "starttls/strip"), "no-such-program"),
    ],
)
def test_a_mistake_is_one_message(pytester: pytest.Pytester, arguments: tuple[str, ...], said: str) -> None:
    result = run(pytester, *arguments)
    assert result.ret != 0
    assert said in result.stdout.str() + result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def own_scenarios(folder: Path) -> Path:
    """A folder with one scenario, a copy of a shipped one under another name."""
    shipped = shipped_files() / "scenarios" / "starttls"
    (folder / "own-attacks").mkdir(parents=True)
    shutil.copy(shipped / "family.toml", folder / "own-attacks")
    shutil.copy(shipped / "strip.toml", folder / "own-attacks" / "our-strip.toml")
    return folder


def test_scenarios_of_ones_own_are_played(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    own_scenarios(pytester.path / "mine")
    base = ("--sts-target", "reference", "-m", "enforce")
    by_option = run(pytester, *base, "--sts-scenarios", "mine", "--collect-only", "-q")
    assert ids(by_option) == ["sts-lab::own-attacks/our-strip[enforce]"]
    (pytester.path / "sub").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path))
    (pytester.path / "pytest.ini").write_text("[pytest]\nsts_scenarios = mine\nfilterwarnings = error\n")
    # Two workers, and without the temporary folders of pytest.
    by_file = run(
        pytester, *base, "--rootdir", ".", "-n", "2", "-p", "no:tmpdir", "--sts-flaw", "ignores_policy", "sub"
    )
    by_file.assert_outcomes(failed=1)
    assert "repeat      sts-lab run 'own-attacks/our-strip[enforce]'" in by_file.stdout.str()
    assert "--scenarios" in by_file.stdout.str()


def test_a_scenario_file_with_a_mistake_is_named(pytester: pytest.Pytester) -> None:
    own_scenarios(pytester.path / "mine")
    (pytester.path / "mine" / "own-attacks" / "wrong.toml").write_text("titel = 'A mistake'\n")
    result = run(pytester, "--sts-target", "reference", "--sts-scenarios", "mine")
    assert result.ret != 0
    assert "own-attacks/wrong.toml" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_a_case_and_its_control_case_are_on_one_shard() -> None:
    cases = load_shipped_catalogue().find(["starttls/*"])
    shards = shard_of_each(cases, 4)
    assert set(shards.values()) == {0, 1, 2, 3}
    for case in cases:
        assert not case.control or shards[case.id] == shards[case.control]
    nodes = ["test_own.py::test_x[a]", *(f"sts-lab::{case.id}" for case in cases)]
    assert shards_of_nodes(load_shipped_catalogue(), nodes, 4) == {
        f"sts-lab::{case}": shard for case, shard in shards.items()
    }


OF_THE_RUN = """
[[known-failure]]
case = "starttls/strip[none]"
of-the-run = true
obligation = "RPT-5.3-09"
result = "weak"
codes = ["subject-form"]
reason = "being mended"
evidence = "a ticket"
"""


def test_a_finding_of_the_run_fails_one_case_unless_it_is_known(tmp_path: Path) -> None:
    side = Judgement(Grade.WEAK, "subject-form", "RPT-5.3-09", "recover", check="subject-is-well-formed")
    verdicts = [
        replace(verdict, grade=Grade.PASS, judgements=(), of_the_run=(side,))
        for verdict in strip_verdicts(strip_record())
    ]
    first, second = (verdict.case for verdict in verdicts[:2])
    (tmp_path / "known.toml").write_text(OF_THE_RUN.replace("starttls/strip[none]", first))
    for known, failing in (((), [first]), (read_known_failures(tmp_path / "known.toml"), [])):
        compared = compare_with_known(verdicts, known, [first, second])
        result = RunResult(strip_record(), tuple(verdicts), compared, None, tmp_path, b"")  # type: ignore[arg-type]
        blamed = [case for case in (first, second) if PlayedCase.of(result, case).of_the_run]
        assert blamed == failing


SHOW_XFAILS = """
def pytest_collection_modifyitems(items):
    for item in items:
        for mark in item.iter_markers("xfail"):
            print("marked", item.name, mark.kwargs["strict"])
"""


def test_what_the_shipped_target_fails_at_may_fail_and_need_not(pytester: pytest.Pytester) -> None:
    """`sts-lab run` has it so for a configuration of one's own."""
    mine, base = pytester.path / "mine", read_known_failures(shipped_files() / "docker/postfix/known-failures.toml")
    first, second = list(dict.fromkeys(one.case for one in base if not one.of_the_run))[:2]
    mine.mkdir()
    (mine / "target.toml").write_text(
        'name = "mine"\ntitle = "Mine"\ndescription = "My own."\nbased_on = "postfix"\n', encoding="utf-8"
    )
    (mine / "known-failures.toml").write_text(KNOWN.replace("starttls/strip[enforce]", first))
    pytester.makeconftest(SHOW_XFAILS)
    cases = ("--sts-case", first, "--sts-case", second)
    shown = run(pytester, "--sts-target", "./mine", *cases, "--collect-only", "-q").outlines
    assert {line for line in shown if line.startswith("marked")} == {f"marked {first} True", f"marked {second} False"}


#: A case that is known to fail, and a finding of the run that is known, too.
BOTH_KNOWN = """
[[known-failure]]
case = "rpt-content/heartbeat[enforce]"
obligation = "RPT-4.4-06"
result = "fail"
codes = ["policy-type-untrue"]
step = "recover"
reason = "policies are not looked at yet"
evidence = "a ticket"

[[known-failure]]
case = "rpt-content/heartbeat[enforce]"
of-the-run = true
obligation = "RPT-3-11"
result = "fail"
codes = ["no-signature"]
reason = "reports are not signed yet"
evidence = "a ticket"
"""

OF_A_CASE = BOTH_KNOWN.rpartition("[[")[0]


@pytest.mark.parametrize(
    ("flaws", "known", "said"),
    [
        (("ignores_policy", "sends_unsigned_reports"), OF_A_CASE, "FAIL  of the run: seen in 1 case"),
        (("ignores_policy",), BOTH_KNOWN, "no longer occurs, and is on the list: RPT-3-11 (no-signature)"),
        (("ignores_policy", "sends_unsigned_reports"), BOTH_KNOWN, ""),
    ],
    ids=["new", "gone", "known"],
)
def test_a_known_case_hides_no_news_of_the_run(
    pytester: pytest.Pytester, flaws: tuple[str, ...], known: str, said: str
) -> None:
    """`sts-lab run` ends with 1 where something is said here."""
    (pytester.path / "known.toml").write_text(known)
    options = [word for flaw in flaws for word in ("--sts-flaw", flaw)]
    case = "sts-lab::rpt-content/heartbeat[enforce]"
    result = run(pytester, "--sts-target", "reference", *options, "--sts-known", "known.toml", case)
    result.assert_outcomes(failed=1) if said else result.assert_outcomes(xfailed=1)
    assert said in result.stdout.str()


def test_a_finding_of_the_run_that_no_longer_occurs_is_news(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(OF_THE_RUN)
    verdicts = [replace(one, grade=Grade.PASS, judgements=()) for one in strip_verdicts(strip_record())]
    cases = [verdict.case for verdict in verdicts]
    compared = compare_with_known(verdicts, read_known_failures(tmp_path / "known.toml"), cases)
    result = RunResult(strip_record(), tuple(verdicts), compared, None, tmp_path, b"")  # type: ignore[arg-type]
    told = {case: news for case in cases if (news := PlayedCase.of(result, case).news)}
    assert told == {"starttls/strip[none]": "no longer occurs, and is on the list: RPT-5.3-09 (subject-form)"}
