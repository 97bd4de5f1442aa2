"""What is different between two runs."""

import json
from dataclasses import replace
from typing import Any

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports.run_diff import diff_document, diff_page, differences
from mta_sts_lab.reports.verdicts_reading import JudgedRun, parse_verdicts
from mta_sts_lab.reports.writers.verdicts_json import encode, verdicts_document

from .records import REQUIREMENTS, rendered, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)


def _run(verdicts: list[Verdict], **changes: Any) -> JudgedRun:
    run = parse_verdicts(encode(verdicts_document(_RECORD, verdicts, REQUIREMENTS)), "here")
    return replace(run, **changes)


_BEFORE = _run(_VERDICTS)


def test_a_run_and_itself() -> None:
    assert not differences(_BEFORE, _BEFORE)
    assert "No case is different (4 cases compared)." in rendered(diff_page(_BEFORE, _BEFORE))
    cut_short = replace(_BEFORE, complete=False)
    assert "the second run was interrupted" in rendered(diff_page(_BEFORE, cut_short))


def test_each_kind_of_difference() -> None:
    enforce, testing, none, absent = _VERDICTS
    assert enforce.grade is Grade.FAIL
    (judgement, *others) = enforce.judgements
    other_reason = replace(enforce, judgements=(replace(judgement, reason="delivered-elsewhere"), *others))
    worse = replace(testing, grade=Grade.FAIL, judgements=(judgement,))
    after = _run([other_reason, worse, replace(absent, control_only=True)], target="exim")
    kinds = {change.case: change.kind for change in differences(_BEFORE, after)}
    assert kinds == {
        enforce.case: "otherwise",
        testing.case: "worse",
        none.case: "only in the first",
        absent.case: "only in the first",
    }
    text = rendered(diff_page(_BEFORE, after))
    assert "target: postfix; then exim" in text
    assert "1 worse, 2 only in the first, 1 otherwise (2 cases compared)." in text
    assert f"new: {judgement.obligation} delivered-elsewhere" in " ".join(text.split())
    back = {change.case: change.kind for change in differences(after, _BEFORE)}
    assert back[testing.case] == "better"
    assert back[none.case] == "only in the second"
    document = json.loads(diff_document(_BEFORE, after))
    assert [case["id"] for case in document["cases"] if case["kind"] == "worse"] == [testing.case]


def test_findings_of_the_run_are_different_too() -> None:
    side = Judgement(Grade.WEAK, "subject-form", "RPT-5.3-09", check="subject-is-well-formed")
    enforce, *others = _VERDICTS
    after = _run([replace(enforce, of_the_run=(side,)), *others])
    (change,) = differences(_BEFORE, after)
    assert (change.case, change.kind, change.new) == ("run", "worse", ("RPT-5.3-09 subject-form",))
    (back,) = differences(after, _BEFORE)
    assert (back.kind, back.gone) == ("better", ("RPT-5.3-09 subject-form",))
    assert "run: was pass, is weak; new: RPT-5.3-09 subject-form" in rendered(diff_page(_BEFORE, after))
    assert not differences(after, after)
    # A case that only one run has is named, and what was seen in it alone is no difference of the run.
    assert {one.case for one in differences(_run(others), after)} == {enforce.case}
