"""Holds the words that close a demonstration against the record: what must be said, and what must not."""

from __future__ import annotations

from collections.abc import Sequence

from mta_sts_lab.events import AttackFired, CaseEnded, ClockAdvanced, Event, MessageInjected, SmtpSaid, TokenRead
from mta_sts_lab.judge import views_of
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.conclusion import BEHAVED, Conclusion, conclude
from mta_sts_lab.requirements import load_requirements

#: How the words say that somebody read a message. Obligations that are quoted beside them speak of reading, too.
_READ = ("could read it", "still readable", "was read on the way")

PROVED = (Grade.PASS, Grade.INFO, Grade.WEAK, Grade.FAIL)


def conclusions(record: Record, verdicts: Sequence[Verdict]) -> dict[str, Conclusion]:
    """Return what each case shows."""
    of_case = {verdict.case: verdict for verdict in verdicts}
    return {view.case.id: conclude(view, of_case[view.case.id]) for view in views_of(record, load_requirements())}


def untrue_words(record: Record, verdicts: Sequence[Verdict]) -> list[str]:
    """Return what is wrong with the closing words of each case of a record: nothing, if they are true."""
    told = conclusions(record, verdicts)
    cases = {case.id: case for case in record.header.cases}
    return [
        f"{verdict.case} ({verdict.grade.value}): {fault}: {told[verdict.case].text}"
        for verdict in verdicts
        for fault in _faults(record, cases[verdict.case], verdict, told[verdict.case])
    ]


def _faults(record: Record, case: Case, verdict: Verdict, told: Conclusion) -> list[str]:
    """Compare with the bare events, and not with the functions by which the words were found."""
    text = told.text
    events = [event for event in record.events if event.case == case.id]
    told_steps = _told(case, events)
    faults = [] if text.strip() and text.endswith((".", '."')) else ["it is empty, or no sentence"]
    proved = verdict.grade in PROVED and any(isinstance(event.fact, CaseEnded) for event in events)
    if not proved:
        return faults if "allows no conclusion" in text else [*faults, "it concludes from what proves nothing"]
    faults += _of_behaviour(verdict.grade, text)
    outcomes = {result.step: result.outcome for result in verdict.steps}
    read = _read_of_steps(events, told_steps)
    held = [step for step in told_steps if outcomes.get(step) in (Outcome.DEFERRED, Outcome.BOUNCED)]
    clear = [step for step in told_steps if outcomes.get(step) is Outcome.DELIVERED_CLEAR]
    if read != any(words in text for words in _READ):
        faults.append("it does not say who could read what, or somebody could not")
    if bool(held) != ("the message waited" in text.lower() or "returned to its author" in text):
        faults.append("it does not say that a message was held, or none was")
    if clear and not ("clear text" in text or "readable" in text):
        faults.append("it does not say that a message went out in clear")
    fired = any(isinstance(event.fact, AttackFired) and event.step in told_steps for event in events)
    if "nobody attacked" in text.lower() and fired:
        faults.append("it says that nobody attacked")
    if "the attack failed" in text.lower() and not (fired and held):
        faults.append("it says that an attack failed")
    if told.stopped and not case.has_dane and case.mode is not Mode.ENFORCE and "enforce" not in _modes(case):
        faults.append("it praises a policy that does not enforce anything")
    if case.mode is Mode.ABSENT and ("policy in mode" in text or "of mode none" in text):
        faults.append("it speaks of a policy that is not published")
    if f"{BEHAVED}; the mail was still readable" in text and "because" not in text:
        faults.append("it does not say why the mail was readable")
    moved = any(isinstance(event.fact, ClockAdvanced) for event in record.events if not event.case)
    if any(step.advance for step in case.steps if step.name in told_steps) and moved and " later" not in text:
        faults.append("it does not say that time has passed")
    return faults


def _of_behaviour(grade: Grade, text: str) -> list[str]:
    said = {
        Grade.PASS: BEHAVED in text,
        Grade.INFO: "broke no rule" in text,
        Grade.WEAK: "did not follow advice" in text,
        Grade.FAIL: "is at fault" in text,
    }
    wrong = [other for other, there in said.items() if there and other is not grade]
    return [] if said[grade] and not wrong else ["it misjudges the mail server"]


def _told(case: Case, events: Sequence[Event]) -> list[str]:
    """Return the steps that have to be told: those that demand something of a message, and those under attack."""
    sent = {event.step for event in events if isinstance(event.fact, MessageInjected)}
    steps = [step for step in case.steps if step.name in sent]
    chosen = [step.name for step in steps if step.expect is not None or step.attacks]
    return chosen or [step.name for step in steps[-1:]]


def _read_of_steps(events: Sequence[Event], steps: Sequence[str]) -> bool:
    """Whether somebody could read a message on its way to its recipient.

    The same message may be for somebody at another domain, too, whose policy is another one, or none.
    """
    sent = [event.fact for event in events if isinstance(event.fact, MessageInjected) and event.step in steps]
    named: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event.fact, SmtpSaid) and event.fact.line.upper().startswith("RCPT TO:"):
            named.setdefault(event.fact.session, []).append(event.fact.line.lower())
    return any(
        isinstance(event.fact, TokenRead)
        and event.fact.token == message.token
        and (
            event.fact.session not in named
            or any(message.recipient.lower() in line for line in named[event.fact.session])
        )
        for event in events
        for message in sent
    )


def _modes(case: Case) -> set[str]:
    return {step.world.policy.mode or case.mode.value for step in case.steps}
