"""JUnit: a suite a family, a test case a case, and no build turns green on what was not proved."""

from dataclasses import replace
from itertools import combinations_with_replacement
from xml.etree import ElementTree as ET

import pytest
from mta_sts_lab.events import CaseBegan
from mta_sts_lab.judge.checks.evidence import ENDED_WITH_ITS_FIRST_MESSAGE
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure, compare_with_known
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports.summary import (
    AS_EXPECTED,
    FINDING,
    INCONCLUSIVE,
    LAB_ERROR,
    NOTHING_SELECTED,
    summarise,
)
from mta_sts_lab.reports.writers.junit import KNOWN_AS, junit_xml

from ..records import HOSTILE, REQUIREMENTS, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)


def _parsed(verdicts: list[Verdict], complete: bool = True) -> ET.Element:
    return ET.fromstring(junit_xml(strip_record(True, complete), verdicts, REQUIREMENTS))


def _as(grade: Grade) -> Verdict:
    return replace(
        _VERDICTS[0], grade=grade, judgements=(replace(_VERDICTS[0].judgements[0], grade=grade, reason="why"),)
    )


def test_a_suite_for_the_family_with_a_test_for_each_case() -> None:
    root = _parsed(_VERDICTS)
    (suite,) = root.findall("testsuite")
    assert suite.get("name") == "starttls"
    assert [test.get("name") for test in suite.findall("testcase")] == [verdict.case for verdict in _VERDICTS]
    assert {test.get("classname") for test in suite.findall("testcase")} == {"starttls/strip"}
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert properties["run"] == "20260302-093000-c0ffee"
    assert properties["target.postfix"] == "3.10.2"


def test_a_failure_tells_the_obligation_and_the_evidence() -> None:
    failure = _parsed(_VERDICTS).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "fail: read-in-clear"
    assert failure.text is not None
    assert "STS-5-03 (MUST NOT): Under enforce" in failure.text
    assert "evidence: 66" in failure.text


def test_a_failure_quotes_the_log_of_the_target() -> None:
    began = next(
        event for event in _RECORD.events if isinstance(event.fact, CaseBegan) and event.case == _VERDICTS[0].case
    )
    assert isinstance(began.fact, CaseBegan)
    log = f"smtp: {began.fact.domain}: \x1b TLS is required\nqmgr: of nobody\n"
    wrong = _as(Grade.FAIL)
    failure = ET.fromstring(junit_xml(_RECORD, [wrong, *_VERDICTS[1:]], REQUIREMENTS, log=log)).find(".//failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text.splitlines()[-1] == f"its log: smtp: {began.fact.domain}: \\x1b TLS is required"


@pytest.mark.parametrize(
    ("grade", "tag"),
    [
        (Grade.FAIL, "failure"),
        (Grade.LAB_ERROR, "error"),
        (Grade.INCONCLUSIVE, "error"),
        (Grade.UNSUPPORTED, "skipped"),
        (Grade.WEAK, "failure"),
        (Grade.INFO, "system-out"),
        (Grade.PASS, None),
    ],
)
def test_every_verdict_has_its_place(grade: Grade, tag: str | None) -> None:
    test = _parsed([_as(grade), *_VERDICTS[1:]]).find(".//testcase")
    assert test is not None
    assert [child.tag for child in test] == ([tag] if tag else [])
    if tag == "system-out":
        assert (test[0].text or "").startswith(grade.value)


def test_a_verdict_without_a_judgement_is_still_an_error() -> None:
    error = _parsed([replace(_as(Grade.INCONCLUSIVE), judgements=()), *_VERDICTS[1:]]).find(".//error")
    assert error is not None
    assert error.get("message") == "inconclusive: nothing was proved"


def test_supporting_cases_are_left_out() -> None:
    root = _parsed([*_VERDICTS[:3], replace(_VERDICTS[3], control_only=True)])
    assert root.get("tests") == "3"


def test_a_case_without_a_verdict_and_an_interrupted_run_are_errors() -> None:
    root = _parsed(_VERDICTS[1:], complete=False)
    assert root.get("errors") == "2"
    assert {suite.get("name") for suite in root} == {"starttls", "run"}
    messages = " ".join(error.get("message") or "" for error in root.iter("error"))
    assert "the case has no verdict" in messages
    assert "was interrupted" in messages


_ENTRY = KnownFailure("starttls/strip[enforce]", "STS-5-03", "fail", ("delivered-clear",), "being mended", "a ticket")


@pytest.mark.parametrize("grades", list(combinations_with_replacement([*Grade], 2)), ids="-".join)
@pytest.mark.parametrize("listed", ["nothing", "known", "vanished", "unmatched"])
def test_it_agrees_with_the_exit_status(grades: tuple[Grade, Grade], listed: str) -> None:
    verdicts = [_as(grades[0]), replace(_as(grades[1]), case=_VERDICTS[1].case), *_passing(_VERDICTS[2:])]
    known = KnownComparison(
        {one.case: ("why",) for one in verdicts if listed == "known" and one.grade in (Grade.FAIL, Grade.WEAK)},
        (_ENTRY,) if listed == "vanished" else (),
        (_ENTRY,) if listed == "unmatched" else (),
    )
    for known_as in KNOWN_AS:
        root = ET.fromstring(junit_xml(_RECORD, verdicts, REQUIREMENTS, known, known_as))
        status = summarise(_RECORD, verdicts, known).exit_code
        red = root.get("failures") != "0" or root.get("errors") != "0"
        assert red == (status != AS_EXPECTED)
        if status == FINDING:
            assert root.get("failures") != "0"
        if status in (LAB_ERROR, INCONCLUSIVE):
            assert root.get("errors") != "0"


def _passing(verdicts: list[Verdict]) -> list[Verdict]:
    return [replace(verdict, grade=Grade.PASS, judgements=()) for verdict in verdicts]


def test_nothing_judged_is_not_green() -> None:
    verdicts = [replace(verdict, grade=Grade.UNSUPPORTED) for verdict in _VERDICTS]
    assert summarise(_RECORD, verdicts).exit_code == NOTHING_SELECTED
    error = ET.fromstring(junit_xml(_RECORD, verdicts)).find(".//error")
    assert error is not None
    assert "all that was selected is unsupported" in (error.get("message") or "")


@pytest.mark.parametrize("known_as", KNOWN_AS)
def test_a_known_failure_is_skipped_or_passes_with_its_reason(known_as: str) -> None:
    known = KnownComparison({_VERDICTS[0].case: ("being mended",)}, (), ())
    document = ET.fromstring(junit_xml(_RECORD, _VERDICTS, REQUIREMENTS, known, known_as))
    test = document.find(".//testcase")
    assert test is not None
    assert document.get("failures") == "0"
    if known_as == "skipped":
        skipped = test.find("skipped")
        assert skipped is not None
        assert skipped.get("message") == "known failure: being mended"
        assert "STS-5-03" in (skipped.text or "")
    else:
        assert {one.get("name"): one.get("value") for one in test.iter("property")} == {
            "known-failure": "being mended",
            "verdict": "fail",
        }
        assert document.get("skipped") == "0"


@pytest.mark.parametrize("known_as", KNOWN_AS)
def test_a_case_that_ended_early_is_an_error_also_if_its_finding_is_known(known_as: str) -> None:
    """As the exit status has it: what the case was about was never played."""
    weak = Judgement(Grade.WEAK, "bounced", "STS-5-03", "prime")
    ended = Judgement(Grade.INCONCLUSIVE, ENDED_WITH_ITS_FIRST_MESSAGE, step="prime")
    verdicts = [replace(_VERDICTS[0], grade=Grade.INCONCLUSIVE, judgements=(ended, weak)), *_VERDICTS[1:]]
    entry = KnownFailure(verdicts[0].case, "STS-5-03", "weak", ("bounced",), "known", "a ticket", "prime")
    known = compare_with_known(verdicts, [entry], [verdict.case for verdict in verdicts])
    assert known.known
    assert summarise(_RECORD, verdicts, known).exit_code == INCONCLUSIVE
    root = ET.fromstring(junit_xml(_RECORD, verdicts, REQUIREMENTS, known, known_as))
    assert [error.get("type") for error in root.iter("error")] == ["inconclusive"]


def test_hostile_text_leaves_the_file_well_formed() -> None:
    judgement = replace(
        _VERDICTS[0].judgements[0], observed=HOSTILE, reason=HOSTILE + "\ufffe", check=HOSTILE, obligation=HOSTILE
    )
    encoded = junit_xml(_RECORD, [replace(_VERDICTS[0], case=f"{HOSTILE}/x", judgements=(judgement,))])
    assert all(octet >= 0x20 or octet in b"\n" for octet in encoded)
    failure = ET.fromstring(encoded).find(".//failure")
    assert failure is not None
    assert failure.text is not None
    assert "\\x1b[31m[bold red]" in failure.text
    assert "<b>&amp;]]>" in failure.text


def test_a_finding_of_the_run_is_a_test_of_its_own() -> None:
    side = replace(_VERDICTS[0].judgements[0], grade=Grade.WEAK, check="subject-is-well-formed", reason="id-form")
    passed = [replace(one, grade=Grade.PASS, judgements=(), of_the_run=(side,)) for one in _VERDICTS[:1]]
    test = ET.fromstring(junit_xml(_RECORD, passed, REQUIREMENTS)).find(".//testcase[@classname='run']")
    assert test is not None
    assert test.get("name") == "subject-is-well-formed (id-form)"
    failure = test.find("failure")
    assert failure is not None
    assert f"seen in: {_VERDICTS[0].case}" in (failure.text or "")
    key = (side.check, side.reason, side.obligation)
    known = KnownComparison({}, (), (), known_of_the_run={key: ("colons",)})
    root = ET.fromstring(junit_xml(_RECORD, passed, REQUIREMENTS, known))
    assert [one.get("message") for one in root.iter("skipped")] == ["known failure: colons"]
    assert not list(root.iter("failure"))
