"""JUnit: a suite a family, a test case a case, and no build turns green on what was not proved."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from mta_sts_lab.model import Grade, Verdict
from mta_sts_lab.reports.writers.junit import junit_xml

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


@pytest.mark.parametrize(
    ("grade", "tag"),
    [
        (Grade.FAIL, "failure"),
        (Grade.LAB_ERROR, "error"),
        (Grade.INCONCLUSIVE, "error"),
        (Grade.UNSUPPORTED, "skipped"),
        (Grade.WEAK, "system-out"),
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
