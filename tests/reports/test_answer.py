"""The answer comes first: mail under each protection, reports apart, and in a phrase why a case is info or weak."""

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab.model.case import Expectation
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.target import About
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.reports.answer import answer_page, case_lines, phrase_of, tallies

from .records import assert_fits, rendered, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_LEAKING = strip_verdicts(_RECORD, leaking_enforce=True)
_HOLDING = strip_verdicts(strip_record())
_ENFORCE = "starttls/strip[enforce]"


def _text(*verdicts: object) -> str:
    return " ".join(rendered(answer_page(_RECORD, verdicts)).split())  # type: ignore[arg-type]


def test_mail_that_was_held_let_out_and_delivered() -> None:
    assert [tally.sentence for tally in tallies(_RECORD, _HOLDING)] == [
        "Under enforce: 1 held.",
        "Without: 3 delivered.",
    ]
    leak = replace(_LEAKING[0], judgements=(replace(_LEAKING[0].judgements[0], harm=Harm.LET_OUT),))
    assert _text(leak, *_LEAKING[1:]).startswith(f"Under enforce: 1 let out ({_ENFORCE}). Without: 3 delivered.")


def test_mail_is_held_only_where_the_attack_was() -> None:
    honest = [replace(one, steps=tuple(replace(step, step="prime") for step in one.steps)) for one in _HOLDING]
    assert not tallies(_RECORD, honest)


def test_what_is_not_proved_is_told_apart() -> None:
    unproved = replace(_HOLDING[0], grade=Grade.INCONCLUSIVE)
    assert _text(unproved, *_HOLDING[1:]) == f"Without: 3 delivered. Not proved: 1 ({_ENFORCE})."


def test_reports_are_apart_and_weak_says_why() -> None:
    untrue = Judgement(Grade.WEAK, "failure-not-reported", "STS-6-03", harm=Harm.UNTRUE_REPORT)
    lie = replace(untrue, grade=Grade.FAIL)
    text = _text(
        replace(_HOLDING[0], grade=Grade.FAIL, judgements=(lie,)),
        replace(_HOLDING[1], grade=Grade.WEAK, judgements=(untrue,)),
        *_HOLDING[2:],
    )
    assert text.startswith("Under enforce: 1 held. Without: 3 delivered.")
    assert f"Reports: 1 untrue ({_ENFORCE}), 1 against advice." in text
    assert text.endswith("weak: 1 failure not reported")


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (About("a", capabilities=("tls-rpt",)), "Reports: none untrue."),
        (About("a"), "Reports: not judged; the mail server does not say that it sends any (tls-rpt)."),
        (About("a", set_aside=("tls-rpt",)), "Reports: not judged; nothing but mail was asked of this mail server"),
    ],
    ids=["reports", "does not report", "black box"],
)
def test_no_report_is_called_true_that_nobody_sends(about: About, said: str) -> None:
    reporting = tuple(
        replace(
            case, steps=(replace(case.steps[0], expect=Expectation(("any",), "", report=("any",))), *case.steps[1:])
        )
        for case in _RECORD.header.cases
    )
    header = msgspec.structs.replace(_RECORD.header, about=about, cases=reporting)
    text = " ".join(rendered(answer_page(replace(_RECORD, header=header), _HOLDING)).split())
    assert said in text


def test_many_names_are_counted() -> None:
    leak = replace(_LEAKING[0].judgements[0], harm=Harm.LET_OUT)
    many = [replace(_LEAKING[0], judgements=(leak,))] * 8
    assert "Under enforce: 8 let out" in _text(*many)
    assert "and 3 more)" in _text(*many)


def test_each_case_has_a_line_with_a_phrase() -> None:
    text = rendered(case_lines(_LEAKING, {_ENFORCE: ("why",)}), terminal=True)
    assert_fits(text)
    shown = [" ".join(line.split()) for line in rendered(case_lines(_LEAKING, {_ENFORCE: ("why",)})).splitlines()]
    assert shown[0].startswith(f"fail {_ENFORCE} read in clear")
    assert "pass starttls/strip[testing]" in shown
    assert phrase_of(_HOLDING[0]) == ""
    assert not rendered(case_lines([replace(one, control_only=True) for one in _LEAKING], {})).strip()
