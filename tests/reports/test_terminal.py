"""Findings answer: which obligation, what happened, whose fault, where to look, how to repeat."""

from dataclasses import replace
from pathlib import PurePath

import pytest
from mta_sts_lab.events import CaseBegan
from mta_sts_lab.judge.comparison import Comparison, Field
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.reports.causes import causes_of
from mta_sts_lab.reports.summary import Summary, summarise
from mta_sts_lab.reports.terminal import (
    Evidence,
    finding_block,
    findings,
    report_page,
    summary_line,
    summary_page,
)
from mta_sts_lab.reports.writers.mitm import mitm_name

from .records import (
    HOSTILE,
    HOSTILE_VISIBLE,
    REQUIREMENTS,
    assert_fits,
    hostile_events,
    record_of,
    rendered,
    strip_record,
    strip_verdicts,
    without_colour,
)

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)
_EVIDENCE = Evidence.of(_RECORD, PurePath("runs/20260302-093000-c0ffee"))


def _graded(grade: Grade, blame: str = "nobody", **changes: object) -> Verdict:
    judgement = replace(_VERDICTS[0].judgements[0], grade=grade, blame=blame)
    return replace(replace(_VERDICTS[0], grade=grade, judgements=(judgement,)), **changes)  # type: ignore[arg-type]


def test_a_block_answers_what_a_reader_asks() -> None:
    shown = rendered(finding_block(_VERDICTS[0], _EVIDENCE, REQUIREMENTS))
    for words in (
        "FAIL  starttls/strip[enforce]",
        "STS-5-03 (MUST NOT, RFC 8461 section 5): Under enforce",
        "no-message-read (read-in-clear)",
        "expected    nobody but the genuine host can read the message",
        "observed    the attacker read the whole message in clear",
        "to blame    the mail server under test",
        "can read message 6f1c0a9b...: addresses, Subject",
        "runs/20260302-093000-c0ffee/record.jsonl",
        "runs/20260302-093000-c0ffee/flows/starttls.strip.enforce.mitm",
        "sts-lab run 'starttls/strip[enforce]' --target postfix",
    ):
        assert words in shown
    assert_fits(shown)


def test_a_terminal_shows_the_same_words() -> None:
    on_terminal = rendered(finding_block(_VERDICTS[0], _EVIDENCE, REQUIREMENTS), terminal=True)
    assert_fits(on_terminal)
    assert "\x1b[1;31mFAIL" in on_terminal
    assert without_colour(on_terminal) == rendered(finding_block(_VERDICTS[0], _EVIDENCE, REQUIREMENTS))


@pytest.mark.parametrize(
    ("blame", "words"),
    [
        ("target", "the mail server under test"),
        ("lab", "the lab, not the mail server"),
        ("nobody", "nothing is proved"),
    ],
)
def test_blame_is_said_in_words(blame: str, words: str) -> None:
    assert words in rendered(finding_block(_graded(Grade.INCONCLUSIVE, blame), _EVIDENCE, REQUIREMENTS))


@pytest.mark.parametrize("grade", list(Grade))
def test_passes_are_silent_and_everything_doubtful_is_not(grade: Grade) -> None:
    expected = grade in (Grade.WEAK, Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.FAIL)
    assert bool(causes_of([_graded(grade)])) is expected
    assert not causes_of([_graded(grade, control_only=True)])
    assert (grade.value.upper() in rendered(findings([_graded(grade)], _EVIDENCE, REQUIREMENTS))) is expected


def test_the_worst_finding_comes_last() -> None:
    shown = rendered(findings([_VERDICTS[0], _graded(Grade.WEAK)], _EVIDENCE, REQUIREMENTS))
    assert shown.index("WEAK") < shown.index("FAIL")


def test_a_finding_without_a_judgement_says_so() -> None:
    shown = rendered(finding_block(_graded(Grade.INCONCLUSIVE, judgements=()), _EVIDENCE, REQUIREMENTS))
    assert "no check of this case came to a result" in shown


def test_lesser_findings_of_the_same_case_say_what_they_are() -> None:
    weak = replace(_VERDICTS[0].judgements[0], grade=Grade.WEAK, check="a-report-came", obligation="RPT-0")
    verdict = replace(_VERDICTS[0], judgements=(weak, *_VERDICTS[0].judgements))
    shown = rendered(finding_block(verdict, _EVIDENCE, REQUIREMENTS))
    assert "weak: a-report-came" in shown
    assert shown.index("no-message-read") < shown.index("a-report-came")
    assert "obligation  RPT-0" in shown


def test_a_known_failure_stays_a_finding_and_gives_its_reason() -> None:
    gone = KnownFailure("tls/*", "STS-5-04", "fail", ("delivered-clear",), "old OpenSSL", "postfix-users", "recover")
    known = KnownComparison(known={_VERDICTS[0].case: ("not implemented",)}, vanished=(gone,), unmatched=(gone,))
    shown = rendered(findings(_VERDICTS, _EVIDENCE, REQUIREMENTS, known))
    assert "FAIL  starttls/strip[enforce]" in shown
    assert "known       not implemented" in shown
    assert "KNOWN FAILURE  tls/*" in shown
    assert "step        recover" in shown
    assert "expected    fail (delivered-clear): old OpenSSL" in shown
    assert "no longer occurs" in shown
    assert "fits no case of the catalogue" in shown
    assert_fits(shown)


def test_hostile_words_do_nothing() -> None:
    record = record_of(hostile_events(_RECORD.events), _RECORD.header.cases)
    bad = Judgement(
        Grade.FAIL, HOSTILE, HOSTILE, HOSTILE, HOSTILE * 20, HOSTILE, HOSTILE, (5, 66, 99999), check=HOSTILE
    )
    verdict = replace(_VERDICTS[0], case=HOSTILE, judgements=(bad, replace(bad, obligation="X")))
    requirements = {"X": Requirement(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)}
    block = finding_block(verdict, Evidence.of(record, PurePath(HOSTILE.replace("\x00", ""))), requirements, (HOSTILE,))
    in_pipe, on_terminal = rendered(block), rendered(block, terminal=True)
    assert_fits(in_pipe)
    assert "[bold red]x[/bold red]" in in_pipe
    assert without_colour(on_terminal) == in_pipe


def test_the_flows_are_where_they_are_said_to_be() -> None:
    assert mitm_name("starttls/strip[enforce,tls1.0]") == "starttls.strip.enforce.tls1.0.mitm"


def _summary(**changes: object) -> Summary:
    return replace(summarise(_RECORD, _VERDICTS), **changes)  # type: ignore[arg-type]


def test_one_line_counts_everything() -> None:
    assert summary_line(_summary()).plain == (
        "4 cases: 3 pass, 1 fail. Findings: the target did not do what is expected of it."
    )
    assert ", 1 without a verdict." in summary_line(_summary(unjudged=("x",))).plain
    assert summary_line(_summary(complete=False)).plain.endswith("; the run was interrupted, or a shard is missing.")
    assert "(1 of them known failures)" in summary_line(_summary(known=("x",))).plain
    assert summary_line(_summary(cases=1, counts={Grade.PASS: 1})).plain.startswith("1 case: 1 pass.")
    assert_fits(rendered(summary_line(_summary(known=("x",), unjudged=("x",), complete=False))))


def test_a_field_stands_beside_its_verdict() -> None:
    fields = (Field("failed sessions", "1 to 2", "14", Grade.FAIL), Field("day", "", "2025-01-06", Grade.PASS))
    shown = rendered(report_page([Comparison("a/b[enforce]", "posted", fields, "14 sessions failed", ())]))
    lines = [line.split() for line in shown.splitlines()]
    assert ["failed", "sessions", "1", "to", "2", "14", "fail"] in lines
    assert ["day", "-", "2025-01-06", "pass"] in lines
    assert 'It tells the domain: "14 sessions failed."' in shown


def test_foreign_text_of_a_report_is_escaped() -> None:
    field = Field("policy-domain", "x", HOSTILE, Grade.WEAK)
    shown = rendered(report_page([Comparison(HOSTILE, HOSTILE, (field,), HOSTILE, (HOSTILE,))]))
    assert HOSTILE not in shown
    assert HOSTILE_VISIBLE[:10] in shown


def test_no_report_prints_nothing() -> None:
    assert rendered(report_page([])) == ""


def test_a_finding_says_what_it_means_for_mail() -> None:
    leak = replace(_VERDICTS[0].judgements[0], harm=Harm.LET_OUT)
    shown = rendered(finding_block(replace(_VERDICTS[0], judgements=(leak,)), _EVIDENCE, REQUIREMENTS))
    assert "harm        let out: delivered against the policy or TLSA" in shown


def test_the_text_of_an_obligation_is_printed_once() -> None:
    twice = replace(_VERDICTS[0], judgements=_VERDICTS[0].judgements[:1] * 2)
    shown = rendered(finding_block(twice, _EVIDENCE, REQUIREMENTS))
    assert shown.count("obligation  STS-5-03") == 2
    assert shown.count("Under enforce") == 1


def test_a_block_quotes_the_targets_own_log() -> None:
    domain = next(event.fact.domain for event in _RECORD.events if isinstance(event.fact, CaseBegan))
    line = f"status=sent, to mx1.{domain}\x07"
    evidence = Evidence.of(_RECORD, PurePath("runs/x"), f"{line}\nanother line\n")
    shown = rendered(finding_block(_VERDICTS[0], evidence, REQUIREMENTS))
    assert f"its log     status=sent, to mx1.{domain}" in shown
    assert "\x07" not in shown
    assert "another line" not in shown
    assert "its log" not in rendered(finding_block(_VERDICTS[0], _EVIDENCE, REQUIREMENTS))


def test_cases_with_the_same_findings_share_a_block() -> None:
    other = replace(
        _VERDICTS[0],
        case="starttls/mask[enforce]",
        judgements=tuple(
            replace(one, obligation="STS-5-02" if one.obligation else "", observed="something else")
            for one in _VERDICTS[0].judgements
        ),
    )
    weak = _graded(Grade.WEAK, case="mx/fail-over[enforce]")
    shown = rendered(findings([_VERDICTS[0], weak, other], _EVIDENCE, REQUIREMENTS))
    assert shown.count("FAIL") == 1
    assert "FAIL  2 cases with the same findings" in shown
    assert "cases       starttls/strip[enforce]\n              starttls/mask[enforce]" in shown
    assert "in other cases STS-5-02" in shown
    assert "WEAK  mx/fail-over[enforce]" in shown
    assert_fits(shown)


def test_of_a_cause_that_is_partly_known_the_rest_is_named() -> None:
    other = replace(_VERDICTS[0], case="starttls/mask[enforce]")
    known = KnownComparison({_VERDICTS[0].case: ("it never looks",)}, (), ())
    shown = rendered(findings([_VERDICTS[0], other], _EVIDENCE, REQUIREMENTS, known))
    assert "known       it never looks" in shown
    assert "not known   starttls/mask[enforce]" in shown


def test_a_finding_of_the_run_stands_once_with_its_cases() -> None:
    side = replace(_VERDICTS[0].judgements[0], grade=Grade.WEAK, check="subject-is-well-formed", reason="id-form")
    verdicts = [_graded(Grade.PASS, case=name, of_the_run=(side,)) for name in ("a/b[enforce]", "a/c[enforce]")]
    known = KnownComparison({}, (), (), known_of_the_run={(side.check, side.reason, side.obligation): ("colons",)})
    shown = rendered(findings(verdicts, _EVIDENCE, REQUIREMENTS, known))
    assert shown.count("WEAK") == 1
    assert "WEAK  of the run: seen in 2 cases" in shown
    assert "subject-is-well-formed (id-form)" in shown
    assert "a/b[enforce]\n              a/c[enforce]" in shown
    assert "known       colons" in shown
    line = rendered(summary_page(summarise(_RECORD, verdicts, known)))
    assert "of the run: 1 weak (known)" in " ".join(line.split())
