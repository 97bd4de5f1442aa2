"""The answer of a run, before any detail: what became of mail under a policy and without one, and of reports.

On a terminal a line for each case comes before it. A case that is not a plain pass says in a phrase why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from mta_sts_lab.judge.checks.reports import CAPABILITY
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.layout import Hanging
from mta_sts_lab.reports.terminal import STYLES

#: So many cases are named; the others are counted.
_NAMED = 5

#: So many reasons of one grade are told; the others are counted.
_REASONS = 4

#: What is told of mail for each harm that was done to it.
_DONE = {Harm.LET_OUT: "let out", Harm.READ: "read on the way", Harm.KEPT_BACK: "kept back"}

#: The protections, in the words by which cases are counted.
_PROTECTIONS = {Mode.ENFORCE: "Under enforce", Mode.DANE: "Under DANE"}
_WITHOUT = "Without"

HELD, DELIVERED = "held", "delivered"


@dataclass(frozen=True, slots=True)
class MailTally:
    """What became of the mail under attack in the cases of one protection: what happened, and to which cases."""

    protection: str
    cases: Mapping[str, tuple[str, ...]]

    @property
    def sentence(self) -> str:
        """`Under enforce: 61 held, 2 let out (starttls/mask[enforce], mx/unlisted[enforce]).`"""
        said = [
            f"{len(names)} {what}" + (f" ({_names(names)})" if what not in (HELD, DELIVERED) else "")
            for what, names in self.cases.items()
        ]
        return f"{self.protection}: {', '.join(said)}."


def tallies(record: Record, verdicts: Sequence[Verdict]) -> tuple[MailTally, ...]:
    """Return what became of mail under each protection, in cases that were selected and proved."""
    cases = {case.id: case for case in record.header.cases}
    words = (HELD, DELIVERED, *_DONE.values())
    found: dict[str, dict[str, list[str]]] = {
        protection: {word: [] for word in words} for protection in (*_PROTECTIONS.values(), _WITHOUT)
    }
    for verdict in verdicts:
        case = cases.get(verdict.case)
        happened = _happened(verdict, case) if case and not verdict.control_only else ""
        if case and happened:
            found[_PROTECTIONS.get(case.mode, _WITHOUT)][happened].append(case.id)
    tallied = ((name, {word: tuple(ids) for word, ids in kinds.items() if ids}) for name, kinds in found.items())
    return tuple(MailTally(name, kinds) for name, kinds in tallied if kinds)


def _happened(verdict: Verdict, case: Case) -> str:
    """Return what became of the mail under attack; empty where that is not proved, or no mail was sent there."""
    if verdict.harm in _DONE:
        return _DONE[verdict.harm]
    if verdict.grade in (Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.UNSUPPORTED):
        return ""
    attacked = {step.name for step in case.steps if step.attacks} or {"attack"}
    outcomes = [result.outcome for result in verdict.steps if result.step in attacked and result.outcome is not None]
    if Outcome.DEFERRED in outcomes:
        return HELD
    return DELIVERED if outcomes and outcomes[-1].delivered else ""


def answer_page(record: Record, verdicts: Sequence[Verdict]) -> RenderableType:
    """Return the answer: mail first, reports apart, then what is not proved, and why cases are info or weak."""
    selected = [verdict for verdict in verdicts if not verdict.control_only]
    lines = [tally.sentence for tally in tallies(record, selected)]
    lines += _reports(record, selected)
    unproved = [one.case for one in selected if one.grade in (Grade.INCONCLUSIVE, Grade.LAB_ERROR)]
    if unproved:
        lines.append(f"Not proved: {len(unproved)} ({_names(unproved)}).")
    parts: list[RenderableType] = [Hanging(Text(), Text(escape_unprintable(line), style="bold")) for line in lines]
    return Group(*parts, *_reasons(selected))


def _reports(record: Record, selected: Sequence[Verdict]) -> Iterator[str]:
    about = {case.id for case in record.header.cases if case.is_about_reports}
    judged = [one for one in selected if one.case in about and one.grade is not Grade.UNSUPPORTED]
    untrue = [one.case for one in selected if _misreports(one, Grade.FAIL)]
    advice = [one.case for one in selected if _misreports(one, Grade.WEAK) and one.case not in untrue]
    if judged and CAPABILITY in record.header.about.set_aside:
        yield "Reports: not judged; nothing but mail was asked of this mail server (--black-box)."
    elif judged and CAPABILITY not in record.header.about.capabilities:
        yield f"Reports: not judged; the mail server does not say that it sends any ({CAPABILITY})."
    elif untrue or advice or judged:
        said = f"{len(untrue)} untrue ({_names(untrue)})" if untrue else "none untrue"
        yield f"Reports: {said}{f', {len(advice)} against advice' if advice else ''}."


def _misreports(verdict: Verdict, grade: Grade) -> bool:
    return any(one.harm is Harm.UNTRUE_REPORT and one.grade is grade for one in verdict.judgements)


def _reasons(selected: Sequence[Verdict]) -> Iterator[RenderableType]:
    """Yield a line for the grades that say nothing by themselves: `info: 20 held for another reason, 2 ...`."""
    for grade in (Grade.INFO, Grade.WEAK):
        reasons = Counter(phrase_of(verdict) for verdict in selected if verdict.grade is grade)
        if reasons:
            told = [f"{count} {reason}" for reason, count in reasons.most_common(_REASONS)]
            others = reasons.total() - sum(count for _, count in reasons.most_common(_REASONS))
            told += [f"{others} for other reasons"] if others else []
            yield Hanging(Text(f"{grade.value}: ", style=STYLES[grade]), Text(escape_unprintable(", ".join(told))))


def phrase_of(verdict: Verdict) -> str:
    """Return in a phrase why a case has its grade: `failure not reported`; empty for a pass."""
    if verdict.grade is Grade.PASS:
        return ""
    reasons = dict.fromkeys(one.reason for one in verdict.judgements if one.grade is verdict.grade)
    return ", ".join(reason.replace("-", " ") for reason in reasons) or "no check came to a result"


def case_lines(verdicts: Iterable[Verdict], known: Mapping[str, Sequence[str]]) -> RenderableType:
    """Return a line for each case, in the order of families."""
    parts: list[RenderableType] = []
    for verdict in verdicts:
        if not verdict.control_only:
            body = Text(escape_unprintable(verdict.case))
            phrase = phrase_of(verdict) + (" (known)" if verdict.case in known else "")
            if phrase:
                body.append(f"  {escape_unprintable(phrase)}", style="dim")
            parts.append(Hanging(Text(f"{verdict.grade.value:<13}", style=STYLES[verdict.grade]), body))
    return Group(*parts)


def _names(cases: Sequence[str]) -> str:
    more = len(cases) - _NAMED
    return ", ".join(cases[:_NAMED]) + (f" and {more} more" if more > 0 else "")
