"""What a failure means for the mail."""

from __future__ import annotations

import pytest
from mta_sts_lab.judge.checks.soundness import FARED
from mta_sts_lab.model import Grade, Judgement, Verdict
from mta_sts_lab.reports.matrix.harm import Harm, harm_of
from mta_sts_lab.reports.matrix.table import matrix_of
from mta_sts_lab.reports.matrix.words import harm

from tests.reports.matrix.judged import judged


def failed(case: str, *found: tuple[str, str], grade: Grade = Grade.FAIL) -> Verdict:
    return Verdict(case, grade, (), tuple(Judgement(check, grade, reason) for check, reason in found), 0.0, 1.0)


@pytest.mark.parametrize(
    ("case", "check", "reason", "expected"),
    [
        ("starttls/strip[enforce]", FARED, "delivered-clear", Harm.LET_OUT),
        ("starttls/strip[enforce,454]", FARED, "delivered-clear-policy-never-fetched", Harm.LET_OUT),
        ("starttls/strip[enforce]", "no-message-was-read", "read-in-clear", Harm.LET_OUT),
        ("starttls/strip[testing]", FARED, "delivered-clear", Harm.NONE),
        ("starttls/strip[testing]", FARED, "worse-than-without-policy", Harm.KEPT_BACK),
        ("starttls/strip[absent]", FARED, "held-without-a-policy", Harm.KEPT_BACK),
        ("policy/redirect[enforce,301]", FARED, "held-as-without-a-policy", Harm.KEPT_BACK),
        ("starttls/strip[enforce]", FARED, "lost", Harm.KEPT_BACK),
        ("starttls/strip[enforce]", "what-was-held-arrived", "arrived-delivered-clear", Harm.LET_OUT),
        ("starttls/strip[enforce]", "what-was-held-arrived", "lost-instead-of-retried", Harm.KEPT_BACK),
        ("starttls/strip[testing]", "nothing-vanished-in-between", "lost", Harm.KEPT_BACK),
        ("starttls/strip[enforce]", "no-message-arrived-twice", "delivered-twice", Harm.NONE),
        ("rpt-mail/structure[enforce]", "the-report-is-well-formed", "no-subject", Harm.NONE),
    ],
)
def test_harm(case: str, check: str, reason: str, expected: Harm) -> None:
    assert harm_of(failed(case, (check, reason))) is expected
    assert harm_of(failed(case, (check, reason), grade=Grade.WEAK)) is Harm.NONE


def test_what_got_out_weighs_more_than_what_was_kept() -> None:
    both = failed("starttls/strip[enforce]", (FARED, "bounced"), ("no-message-was-read", "read-in-clear"))
    assert harm_of(both) is Harm.LET_OUT


def test_totals_count_it_and_say_it() -> None:
    out = failed("starttls/strip[enforce]", (FARED, "delivered-clear"))
    kept = [failed(f"mx/{name}[absent]", (FARED, "held-without-a-policy")) for name in "ab"]
    bad, good = matrix_of([judged([out, *kept], target="one"), judged([], target="two")]).columns
    assert (bad.totals.let_out, bad.totals.kept_back) == (1, 2)
    assert harm(bad.totals) == "let mail out in 1, kept mail back in 2"
    assert harm(good.totals) == ""


def test_who_lets_mail_out_stands_before_who_keeps_more_of_it_back() -> None:
    out = failed("starttls/strip[enforce]", (FARED, "delivered-clear"))
    kept = [failed(f"mx/{name}[absent]", (FARED, "held-without-a-policy")) for name in "abc"]
    columns = matrix_of([judged(kept, target="careful"), judged([out], target="careless")]).columns
    assert [column.label for column in columns] == ["careless", "careful"]
