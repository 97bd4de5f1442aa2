"""What is written down of a message's outcome: what it breaks, and what the target and the record say about it."""

from __future__ import annotations

from dataclasses import replace

from mta_sts_lab.events import BounceReceived, Event
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.protection import HOST_NOT_LISTED
from mta_sts_lab.judge.view import CaseView, numbers
from mta_sts_lab.judge.wrong_sessions import Wrong, wrong_session
from mta_sts_lab.model.case import Expectation, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.require_tls import goes_without_tls

#: What a message that is lost breaks in every case, and where it had waited until the sender was killed.
LOST = "SMTP-4.5.4.1-01"
LOST_IN_A_CRASH = "SMTP-6.1-04"

#: What a message that is let out against an enforced policy breaks (RFC 8461, section 5), by how it was delivered.
LEAKS = {Outcome.DELIVERED_CLEAR: "STS-5-03", Outcome.DELIVERED_UNAUTHENTICATED: "STS-5-02"}

#: What REQUIRETLS mail breaks (RFC 8689) whose bounce never comes, and that goes out under an old version of TLS.
BOUNCE_DISCARDED = "RTLS-5-06"
OLD_TLS_UNDER_REQUIRETLS = "RTLS-4.2.1-06"


def judged(
    step: Step,
    grade: Grade,
    reason: str,
    expect: Expectation,
    message: MessageFacts,
    obligation: str = "",
    harm: Harm = Harm.NONE,
) -> Judgement:
    """Return a judgement on the outcome of a step's message, with what the target itself said of it."""
    evidence = [
        *(event for event, _ in message.copies()),
        *message.bounces(),
        *(one for one, _ in message.queue()[-1:]),
    ]
    return Judgement(
        grade,
        reason,
        obligation=obligation or expect.obligation,
        step=step.name,
        expected=" or ".join(expect.outcome) + (f" ({expect.note})" if expect.note else ""),
        observed=message.outcome().value + _how_unprotected(message) + _said_by_the_target(message),
        blame="target" if grade in (Grade.FAIL, Grade.WEAK) else "nobody",
        evidence=numbers(evidence),
        harm=harm,
    )


def _said_by_the_target(message: MessageFacts) -> str:
    """Quote why the target held a message, from its queue, or returned it, from its notice."""
    outcome = message.outcome()
    if outcome is Outcome.DEFERRED:
        reasons = [one.reason for _, one in message.queue() if one.reason]
        return f' (its queue says "{reasons[-1]}")' if reasons else ""
    if outcome is Outcome.BOUNCED:
        notices = [event.fact for event in message.bounces() if isinstance(event.fact, BounceReceived)]
        said = [one.diagnostic or f"status {one.status}" for one in notices if one.diagnostic or one.status]
        return f' (its notice says "{said[-1]}")' if said else ""
    return ""


def leak_of(message: MessageFacts, outcome: Outcome) -> str:
    """Return what a message that was let out against an enforced policy breaks."""
    breaches = [breach for _, copy in message.copies() if (breach := message.breach_of(copy))]
    found = sorted(breaches, key=lambda one: one.reason != HOST_NOT_LISTED)
    return found[0].obligation if found else LEAKS[outcome]


def requiretls_row(message: MessageFacts, outcome: Outcome) -> str:
    """Return what the outcome of a message with REQUIRETLS breaks where it is not the one that is demanded.

    Empty: what the scenario is about. RFC 8689, section 5 knows that bounces of such mail can be lost, and advises
    against it.
    """
    if outcome is Outcome.LOST:
        return BOUNCE_DISCARDED
    sessions = [copy.via or copy.session for _, copy in message.copies()]
    if any(wrong_session(message.facts, one).wrong is Wrong.VERSION for one in sessions):
        return OLD_TLS_UNDER_REQUIRETLS
    breaches = [breach for _, copy in message.copies() if (breach := message.breach_of(copy))]
    return breaches[0].obligation if breaches else ""


def _how_unprotected(message: MessageFacts) -> str:
    """Say to which host a message went that the policy in force does not list, or why its host was not authenticated.

    The certificate of such a host may be in order.
    """
    copies = [copy for _, copy in message.copies()]
    breaches = (message.breach_of(copy) for copy in copies)
    unlisted = next((f" to {one.observed}" for one in breaches if one and one.reason == HOST_NOT_LISTED), "")
    kinds = {message.kind_of(copy): copy for copy in copies}
    if unlisted or message.outcome() is not Outcome.DELIVERED_UNAUTHENTICATED:
        return unlisted
    copy = kinds[Outcome.DELIVERED_UNAUTHENTICATED]
    return f" {wrong_session(message.facts, copy.via or copy.session).words}"


def broken(
    view: CaseView,
    step: Step,
    reason: str,
    expect: Expectation,
    message: MessageFacts,
    obligation: str = "",
    grade: Grade | None = None,
) -> Judgement:
    """Return the finding that an outcome is not what is demanded."""
    outcome = message.outcome()
    protected = view.is_protected and not goes_without_tls(step.message)
    if not obligation and step.message.requiretls:
        # Where the header contradicts the envelope, the step is about which of them counts.
        obligation = expect.obligation if step.message.header else requiretls_row(message, outcome)
    if not obligation and protected and outcome in LEAKS:
        obligation = view.leak_breaks(step, leak_of(message, outcome))
    obligation = obligation or expect.obligation
    grade = grade or view.grade_of(obligation, expect if obligation == expect.obligation else None)
    harm = Harm.KEPT_BACK if not outcome.delivered else Harm.LET_OUT if protected else Harm.NONE
    return judged(step, grade, reason, expect, message, obligation, harm)


def because(found: Judgement, why: str, evidence: list[Event]) -> Judgement:
    """Return a judgement with its reason, and the events that show it."""
    return replace(found, observed=f"{found.observed}: {why}", evidence=found.evidence + numbers(evidence))
