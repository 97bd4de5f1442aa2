"""Whether a step's message fared as the scenario demands, and for the right reason."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.events import (
    ConnectionAccepted,
    ConnectionDenied,
    DnsAnswered,
    Event,
    PolicyRequested,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge.checks.soundness import FARED, WITHOUT_A_POLICY, control_against_all_advice, control_outcome
from mta_sts_lab.judge.facts import MessageFacts
from mta_sts_lab.judge.older_policy import LOOKS_IN_TIME, older_policy
from mta_sts_lab.judge.returned import policy_checks
from mta_sts_lab.judge.view import CaseView, inconclusive, numbers
from mta_sts_lab.model import Expectation, Grade, Judgement, Mode, Outcome, Step

#: The obligations that an outcome breaks whatever the story is.
LOST = "SMTP-4.5.4.1-01"

#: Held, or returned, under a policy that asks for delivery, because this sender does so with or without a policy.
AS_WITHOUT_A_POLICY = {
    Outcome.DEFERRED: "held-as-without-a-policy",
    Outcome.BOUNCED: "returned-as-without-a-policy",
}

#: Without a policy a message may fare no better than this; the order of the losses (ambiguity A30).
_LOSS = {
    Outcome.DELIVERED_AUTHENTICATED: 0,
    Outcome.DELIVERED_UNAUTHENTICATED: 0,
    Outcome.DELIVERED_CLEAR: 0,
    Outcome.DEFERRED: 1,
    Outcome.BOUNCED: 2,
    Outcome.LOST: 2,
}


def the_message_fared_as_demanded(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Compare the outcome of a step's message with what the scenario demands of it."""
    expect, message = step.expect, view.message(step)
    if expect is None or message is None:
        return
    outcome = message.outcome()
    if outcome is Outcome.UNSETTLED:
        return
    if outcome is Outcome.LOST and _arrived_later(view, step):
        yield inconclusive(
            "the-queue-told-the-truth",
            "queue-belied",
            "the target's queue no longer held the message, and yet it arrived later: its view proves nothing",
            step.name,
            blame="target",
        )
        return
    if _met_before_the_step(view, step, message):
        yield inconclusive(
            "the-message-met-the-attack",
            "not-met-by-the-attack",
            f"{outcome.value} over a connection that the target had opened before this step",
            step.name,
        )
        return
    if "as-absent" in expect.outcome:
        yield from _not_worse_than_without_a_policy(view, step, expect, message)
    elif "any" in expect.outcome:
        yield _judged(step, Grade.INFO, "recorded-only", expect, message)
    elif _admits(expect.outcome, outcome):
        yield from _as_demanded(view, step, expect, message)
    elif outcome.delivered and view.case.mode is Mode.ENFORCE and view.not_primed(message):
        yield inconclusive(
            "the-policy-was-learned",
            "not-primed",
            f"{outcome.value}; the target had asked for the policy, but its fetch never came to an end",
            step.name,
        )
    else:
        yield _otherwise(view, step, expect, message)


def _arrived_later(view: CaseView, step: Step) -> bool:
    message = view.message_at_the_end(step)
    return message is not None and bool(message.copies())


def _met_before_the_step(view: CaseView, step: Step, message: MessageFacts) -> bool:
    """Whether every copy came over a connection from before the step: what the step is about cannot have met it."""
    times = view.step_times(step.name)
    sessions = {copy.via or copy.session for _, copy in message.copies()}
    opened = {fact.session: event.at for event, fact in view.facts.of_kind(ConnectionAccepted)}
    return bool(sessions and times) and all(opened.get(name, math.inf) < times[0] for name in sessions if times)


def _admits(words: tuple[str, ...], outcome: Outcome) -> bool:
    return outcome.value in words or (outcome.delivered and "delivered" in words)


def _judged(
    step: Step, grade: Grade, reason: str, expect: Expectation, message: MessageFacts, obligation: str = ""
) -> Judgement:
    outcome = message.outcome()
    evidence = (
        [event for event, _ in message.copies()] + message.bounces() + [event for event, _ in message.queue()[-1:]]
    )
    return Judgement(
        FARED,
        grade,
        reason,
        obligation=obligation or expect.obligation,
        step=step.name,
        expected=" or ".join(expect.outcome) + (f" ({expect.note})" if expect.note else ""),
        observed=outcome.value,
        blame="target" if grade in (Grade.FAIL, Grade.WEAK) else "nobody",
        evidence=numbers(evidence),
    )


def _as_demanded(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Iterator[Judgement]:
    outcome = message.outcome()
    if outcome.delivered and view.case.mode is not Mode.ABSENT:
        missing = _policy_contact_missing(view, expect)
        if missing and outcome is not Outcome.DELIVERED_AUTHENTICATED and "deferred" in expect.outcome:
            # Delivery is let pass for a target that had lost what it knew; this one never set out to know.
            yield _judged(step, Grade.FAIL, f"{outcome.value}-{missing}", expect, message)
            return
        if missing:
            yield _policy_had_no_part(view, step, missing)
    if expect.should and not _admits(expect.should, outcome):
        yield _judged(step, Grade.WEAK, "allowed-but-not-advised", expect, message)
    elif outcome is Outcome.DEFERRED:
        yield from _held_for_the_right_reason(view, step, expect, message)
    else:
        yield _judged(step, Grade.PASS, outcome.value, expect, message)


NEVER_ASKED = "policy-never-asked"

_SAID = {
    NEVER_ASKED: "the target never looked for an MTA-STS record of this domain",
    "policy-host-never-reached": "the target never reached out for the policy that it had to refuse",
}


def _policy_had_no_part(view: CaseView, step: Step, missing: str) -> Judgement:
    """Delivered as demanded, but not for the policy's sake.

    Of a sender without MTA-STS nothing else can be expected: that it follows no policy shows elsewhere, and there is
    nothing to be found out here. Of any other sender it is a doubt.
    """
    check = "the-target-asked-for-the-policy"
    if missing == NEVER_ASKED and "mta-sts" not in view.about.capabilities:
        return Judgement(check, Grade.INFO, missing, step=step.name, observed=_SAID[missing])
    return inconclusive(check, missing, _SAID[missing], step.name)


def _policy_contact_missing(view: CaseView, expect: Expectation) -> str:
    """A policy cannot have been refused, or kept, by a target that never asked for it."""
    if not view.facts.policy_asked():
        return NEVER_ASKED
    no_request_wanted = expect.policy_requests is not None and expect.policy_requests.most == 0
    if not no_request_wanted and not view.facts.policy_host_reached():
        return "policy-host-never-reached"
    return ""


def _otherwise(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    outcome = message.outcome()
    if outcome in WITHOUT_A_POLICY and view.case.mode is Mode.ABSENT:
        return _kept_from_its_recipient_without_a_policy(view, step, expect, message)
    if outcome is Outcome.BOUNCED:
        return _bounced(view, step, expect, message)
    if outcome is Outcome.LOST:
        return _judged(step, view.grade_of(LOST), "lost", expect, message, LOST)
    if outcome is Outcome.DEFERRED and (there := control_against_all_advice(view, step, outcome)):
        # Held, policy or no policy: that says nothing of what the sender made of a policy that it had to let go.
        return _judged(step, there.grade, AS_WITHOUT_A_POLICY[outcome], expect, message, there.obligation)
    if older_policy(view.case, view.facts, message) is not None:
        return _judged(step, view.grade_of(LOOKS_IN_TIME), "lived-by-an-older-policy", expect, message, LOOKS_IN_TIME)
    reason = outcome.value
    if outcome.delivered and view.case.mode is Mode.ENFORCE and not view.facts.policy_fetched(message.injected):
        reason += "-policy-never-fetched"
    return _judged(step, view.grade_of(expect.obligation, expect), reason, expect, message)


def _kept_from_its_recipient_without_a_policy(
    view: CaseView, step: Step, expect: Expectation, message: MessageFacts
) -> Judgement:
    """A sender that holds mail, or returns it, where nobody asked for that, and is seen to do it because of the attack.

    That is its own doing, and no doubt about the attacker: the attack took effect, and the record shows what the sender
    would not accept. A hold that nothing on record explains may as well be the lab's.
    """
    why, evidence = why_held(view, message)
    sessions = view.facts.receiving_sessions(message.step_began(), message.until)
    if not why or not view.facts.target_left(sessions, message.until):
        return _no_reason_on_record(step)
    grade = Grade.FAIL if expect.grade is Grade.INCONCLUSIVE else view.grade_of(expect.obligation, expect)
    return _because(_judged(step, grade, WITHOUT_A_POLICY[message.outcome()], expect, message), why, evidence)


def _bounced(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """No permanent failure before DNS was asked for a newer policy; see `mta_sts_lab.judge.returned`."""
    if not _policy_forbids_delivery(view, expect):
        return _judged(step, view.grade_of(expect.obligation, expect), "bounced", expect, message)
    checks = policy_checks(message)
    judged = _judged(step, view.grade_of(checks.obligation), checks.reason, expect, message, checks.obligation)
    if checks.own or not checks.for_another:
        return judged
    return _because(
        judged, "an older message waited, and the look may have been for its sake", list(checks.for_another)
    )


def _policy_forbids_delivery(view: CaseView, expect: Expectation) -> bool:
    """Whether the policy is what stood in the message's way: elsewhere a bounce breaks what the scenario is about."""
    held = "deferred" in expect.outcome and "delivered-authenticated" not in expect.outcome
    return view.case.mode is Mode.ENFORCE and held


# ---------------------------------------------------------------------------------------------------------------------
# Held for the right reason


def _held_for_the_right_reason(
    view: CaseView, step: Step, expect: Expectation, message: MessageFacts
) -> Iterator[Judgement]:
    """Holding counts only if a policy was there to be kept, and the record shows what the target did not accept."""
    if view.case.mode is Mode.ENFORCE and not view.facts.policy_fetched(message.until):
        if not view.facts.policy_asked() and "mta-sts" not in view.about.capabilities:
            yield _held_for_another_reason(view, step, expect, message)
            return
        yield inconclusive(
            "held-for-the-right-reason",
            "held-without-policy",
            "the target held the message but had never fetched this domain's policy",
            step.name,
        )
        return
    why, evidence = why_held(view, message)
    if not why:
        yield _no_reason_on_record(step)
        return
    yield _because(_judged(step, Grade.PASS, "deferred", expect, message), why, evidence)


def _held_for_another_reason(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """A sender without MTA-STS that held the mail all the same: the mail is safe this time, and the policy had no part.

    Neither a pass (it keeps no policy) nor a failure (nothing was delivered that the policy forbids).
    """
    why, evidence = why_held(view, message)
    if not why:
        return _no_reason_on_record(step)
    return _because(_judged(step, Grade.INFO, "held-for-another-reason", expect, message), why, evidence)


def _no_reason_on_record(step: Step) -> Judgement:
    return inconclusive(
        "held-for-the-right-reason", "no-reason-on-record", "nothing on record shows what the target refused", step.name
    )


def _because(held: Judgement, why: str, evidence: list[Event]) -> Judgement:
    return replace(held, observed=f"{held.observed}: {why}", evidence=held.evidence + numbers(evidence))


def why_held(view: CaseView, message: MessageFacts) -> tuple[str, list[Event]]:
    """Say what the target met in its attempts and did not accept, with the events that show it.

    Empty if nothing does. A quick sender's first attempt begins before its reply to the injection is read.
    """
    window = [event for event in view.facts.events if message.step_began() < event.at <= message.until]
    alerts = [
        event for event in window if isinstance(event.fact, TlsFailed) and _is_receiving(view, event.fact.session)
    ]
    if alerts and isinstance(alerts[-1].fact, TlsFailed):
        return f"TLS failed ({alerts[-1].fact.alert or 'no alert'})", alerts[-1:]
    sessions = [
        event
        for event in window
        if isinstance(event.fact, ConnectionAccepted) and _is_receiving(view, event.fact.session)
    ]
    for session in reversed(sessions):
        why, evidence = _why_left(window, session)
        if why:
            return why, evidence
    if sessions:
        return "", []
    if [event for event in window if isinstance(event.fact, ConnectionDenied) and event.fact.role != "policy-host"]:
        return "", []
    answers = [
        event
        for event in window
        if isinstance(event.fact, DnsAnswered) and event.fact.type == "MX" and event.fact.answers
    ]
    return ("it did not connect to the MX host that DNS named", answers[-1:]) if answers else ("", [])


def _is_receiving(view: CaseView, session: str) -> bool:
    leg = view.facts.leg_of(session)
    return leg is not None and leg.role in ("mx", "attacker-mx") and not leg.via


def _why_left(window: list[Event], accepted: Event) -> tuple[str, list[Event]]:
    """Read from a session's dialogue why the target left without handing over the message."""
    leg = accepted.fact
    if not isinstance(leg, ConnectionAccepted):
        return "", []
    said = [event for event in window if isinstance(event.fact, SmtpSaid) and event.fact.session == leg.session]
    spoken = [
        event.fact.line.upper() for event in said if isinstance(event.fact, SmtpSaid) and event.fact.speaker == "sender"
    ]
    if any(line.startswith("DATA") for line in spoken):
        return "", []
    secured = any(isinstance(event.fact, TlsEstablished) and event.fact.session == leg.session for event in window)
    if secured:
        return "it left after the handshake, before DATA", [accepted, *said[-1:]]
    if any(line.startswith("STARTTLS") for line in spoken):
        return "STARTTLS did not lead to TLS, and it left", [accepted, *said[-1:]]
    if any(line.startswith(("EHLO", "HELO")) for line in spoken):
        # A sender may come back in clear after a broken handshake: then it was offered, and not taken up.
        offer = "offered, and not taken up" if _offers_starttls(said) else "not offered"
        return f"STARTTLS was {offer}, and it left", [accepted, *said[-1:]]
    return "", []


def _offers_starttls(said: list[Event]) -> bool:
    """Whether a server's reply in a dialogue names STARTTLS, as the target heard it."""
    heard = [event.fact.line for event in said if isinstance(event.fact, SmtpSaid) and event.fact.speaker != "sender"]
    return any(line[:3] == "250" and line[4:].strip().upper() == "STARTTLS" for line in heard)


# ---------------------------------------------------------------------------------------------------------------------
# Not worse than without a policy


def _not_worse_than_without_a_policy(
    view: CaseView, step: Step, expect: Expectation, message: MessageFacts
) -> Iterator[Judgement]:
    control = control_outcome(view, step)
    if control is None or control is Outcome.UNSETTLED:
        yield inconclusive(FARED, "control-not-settled", "there is no control arm to compare with", step.name)
        return
    outcome = message.outcome()
    if outcome is Outcome.LOST or _LOSS[outcome] > _LOSS[control]:
        obligation = LOST if outcome is Outcome.LOST else expect.obligation
        yield _judged(step, view.grade_of(obligation, expect), "worse-than-without-policy", expect, message, obligation)
    elif outcome is Outcome.DELIVERED_CLEAR and control in (
        Outcome.DELIVERED_AUTHENTICATED,
        Outcome.DELIVERED_UNAUTHENTICATED,
    ):
        yield _judged(step, Grade.WEAK, "in-clear-although-tls-was-to-be-had", expect, message)
    elif there := control_against_all_advice(view, step, outcome):
        yield _judged(step, there.grade, AS_WITHOUT_A_POLICY[outcome], expect, message, there.obligation)
    else:
        yield _judged(step, Grade.PASS, f"as-without-policy-{outcome.value}", expect, message)


# ---------------------------------------------------------------------------------------------------------------------
# Policy requests


def the_policy_was_requested_as_often_as_demanded(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Count a step's policy requests against the scenario's bounds."""
    bounds = step.expect.policy_requests if step.expect else None
    if bounds is None:
        return
    requests = [event for event, _ in view.facts.of_kind(PolicyRequested, None if bounds.whole_case else step.name)]
    most = len(requests) if bounds.most is None else bounds.most
    within = bounds.least <= len(requests) <= most
    yield Judgement(
        "the-policy-was-requested-as-often-as-demanded",
        Grade.PASS if within else view.grade_of(bounds.obligation),
        "as-often-as-demanded"
        if within
        else ("requested-too-often" if len(requests) > most else "requested-too-seldom"),
        obligation=bounds.obligation,
        step=step.name,
        expected=f"{bounds.least} to {bounds.most if bounds.most is not None else 'any number of'} policy requests",
        observed=f"{len(requests)} policy requests",
        blame="nobody" if within else "target",
        evidence=numbers(requests),
    )
