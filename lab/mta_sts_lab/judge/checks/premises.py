"""Makes findings inconclusive where the record does not show that the target alone caused them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mta_sts_lab.check_registry import check_id
from mta_sts_lab.events import (
    AttackFired,
    ConnectionAccepted,
    DeadlinePassed,
    DnsAnswered,
    Event,
    LabFailed,
    LabUnhealthy,
    MessageAccepted,
    ReportsAsked,
)
from mta_sts_lab.judge.checks.dane import hosts_tried_by_preference, tlsa_records_looked_up
from mta_sts_lab.judge.checks.evidence import LAB_FAILED, must_fire
from mta_sts_lab.judge.checks.monitors import (
    held_message_arrives,
    no_duplicate_delivery,
    no_message_lost_between_steps,
)
from mta_sts_lab.judge.checks.outcome import message_outcome
from mta_sts_lab.judge.checks.reports import FILED_ELSEWHERE, OTHER_FAILURE
from mta_sts_lab.judge.checks.routing import best_host_tried_first
from mta_sts_lab.judge.clock_effect import rests_on_the_clock
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.sessions import Session
from mta_sts_lab.judge.view import CaseView, numbers
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.timeouts import POLICY_QUESTION

#: The reason of what cannot be proved because the lab itself was not in order. Such a case is worth another try.
LAB_UNHEALTHY = "lab-not-in-order"

#: The reason of what cannot be proved because the lab had stopped waiting for the question for a policy when it came.
ASKED_LATE = "policy-asked-late"

#: The reason of what cannot be proved because nothing in the record shows that the target's clock moved.
CLOCK_NOT_SEEN = "clock-not-seen-to-move"
_CLOCK_NOT_SEEN = (
    "nothing in this run shows that the target's clock moved: no policy ended by it, and no message bears its time"
)

#: Of such answers a validating resolver gives nothing but SERVFAIL.
_FAILS_VALIDATION = ("bogus", "indeterminate")

#: The checks that may find a message lost.
_ABOUT_LOSS = tuple(check_id(one) for one in (message_outcome, no_message_lost_between_steps, held_message_arrives))

#: The checks that may find what only shows that a target remembers other hosts than there are.
_ABOUT_HOSTS = tuple(
    check_id(one) for one in (message_outcome, best_host_tried_first, hosts_tried_by_preference, tlsa_records_looked_up)
)

#: What the lab answers to no other question about a case unless an attack wants it to.
_NEVER_HONEST = ("SERVFAIL", "TIMEOUT")


#: Seconds that a query may wait in the lab before it is answered. Resolvers ask again after a second or two.
_ANSWERED_IN_TIME = 1.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is missing for a finding, with the events that show it."""

    reason: str
    observed: str
    evidence: tuple[int, ...] = ()
    blame: str = "nobody"


def with_premises(view: CaseView, judgements: Iterable[Judgement]) -> Iterator[Judgement]:
    """Yield the judgements on a case, and instead of a finding that lacks a premise that nothing is proved."""
    unhealthy, late, failures = _lab_unhealthy(view), _asked_late(view), _failures_of_the_lab(view)
    for one in judgements:
        if not view.clock_seen_to_move and rests_on_the_clock(view, one):
            yield _unproved(one, Doubt(CLOCK_NOT_SEEN, _CLOCK_NOT_SEEN, blame="target"))
            continue
        found = one.grade in (Grade.FAIL, Grade.WEAK)
        doubt = (unhealthy or late or _of_a_failure(view, one, failures) or _doubt(view, one)) if found else None
        yield one if doubt is None else _unproved(one, doubt)
        if unhealthy and one.grade is Grade.INCONCLUSIVE:
            # Why nothing is proved may be the lab's doing, too.
            yield _unproved(one, unhealthy)


def _unproved(found: Judgement, doubt: Doubt) -> Judgement:
    return replace(
        found,
        grade=Grade.INCONCLUSIVE,
        reason=doubt.reason,
        obligation="",
        observed=f"{found.reason}, but {doubt.observed}",
        blame=doubt.blame,
        evidence=(*doubt.evidence, *found.evidence),
        harm=Harm.NONE,
    )


def _doubt(view: CaseView, found: Judgement) -> Doubt | None:
    if found.check == check_id(no_duplicate_delivery):
        return _reply_not_read(view, found)
    step = next((one for one in view.case.steps if one.name == found.step), None)
    if step is not None and (doubt := _other_hosts_remembered(view, step, found)):
        return doubt
    if step is not None and found.check in _ABOUT_LOSS and (doubt := _queue_not_to_be_believed(view, step)):
        return doubt
    if step is not None and found.check == check_id(message_outcome):
        return _attack_not_in_force(view, step) or _control_spoiled(view, step, found)
    if step is not None and found.reason in (FILED_ELSEWHERE, OTHER_FAILURE):
        steps = view.case.steps[: view.case.steps.index(step) + 1]
        return next((doubt for one in steps if (doubt := _never_took_effect(view, one))), None)
    return None


def _other_hosts_remembered(view: CaseView, step: Step, found: Judgement) -> Doubt | None:
    """A target that goes by what it remembers of a domain's hosts does not meet what a step publishes of them.

    Who returned a message and met no host, or lost it, did not do so because of the hosts that it remembered. Mail that
    leaves unprotected is the sender's own doing, whatever it remembers.
    """
    leaked = found.reason.startswith((Outcome.DELIVERED_CLEAR.value, Outcome.DELIVERED_UNAUTHENTICATED.value))
    if found.check not in _ABOUT_HOSTS or leaked or not step.send or not view.remembers_the_hosts(step):
        return None
    message = view.message(step)
    met = message is not None and bool(view.facts.receiving_sessions(message.step_began(), message.until))
    if found.reason.startswith((Outcome.LOST.value, Outcome.BOUNCED.value)) and not met:
        return None
    before = [one for one in view.case.steps[: view.case.steps.index(step)] if not view.remembers_the_hosts(one)]
    if not before or before[-1].world.routing == step.world.routing:
        return None
    observed = (
        "the domain's hosts are others than when the mail server last asked for its MX record, and in this step it did "
        "not ask: it went by an answer that it remembered, for longer than its dns_memory_seconds"
    )
    return Doubt("hosts-not-looked-up", observed, blame="target")


def _control_spoiled(view: CaseView, step: Step, found: Judgement) -> Doubt | None:
    """A sender that keeps back mail under a policy may do so without one, too: the control case would show it."""
    control = view.control_verdict
    if found.harm is not Harm.KEPT_BACK or not step.attacks or control is None:
        return None
    spoiled = control.grade is Grade.LAB_ERROR or LAB_UNHEALTHY in {one.reason for one in control.judgements}
    observed = "the lab spoiled the control case, which would show whether this sender keeps back such mail anyhow"
    return Doubt("control-not-sound", observed, blame="lab") if spoiled else None


def _queue_not_to_be_believed(view: CaseView, step: Step) -> Doubt | None:
    """That a message is lost rests on the target's queue alone, and that was wrong about another message of the run."""
    then, now = view.message(step), view.message_at_the_end(step)
    lost = any(message is not None and message.outcome() is Outcome.LOST for message in (then, now))
    if not lost or not view.belying_the_queue:
        return None
    observed = "its queue no longer held another message of this run that arrived later: its view proves nothing"
    return Doubt("queue-belied", observed, numbers(list(view.belying_the_queue)), "target")


def _lab_unhealthy(view: CaseView) -> Doubt | None:
    """The lab's own faults while the case was played, and failures of DNS that no attack wanted."""
    if not view.facts.events:
        return None
    began, last = view.facts.events[0].at, _last_that_matters(view)
    found = [(event, fact.observed) for event, fact in view.facts.of_kind(LabUnhealthy)]
    for event, fact in view.of_run.of_kind(LabUnhealthy):
        if event.at - fact.seconds <= last and (fact.lasting or event.at >= began):
            found.append((event, fact.observed))
    for event, answer in view.facts.of_kind(DnsAnswered) + _answers_about_report_hosts(view):
        if answer.waited > _ANSWERED_IN_TIME:
            found.append((event, f"a query for {answer.name} {answer.type} had waited {answer.waited:.1f} s"))
        if answer.rcode in _NEVER_HONEST and not answer.tampered_by and answer.security not in _FAILS_VALIDATION:
            found.append((event, f"the lab answered {answer.name} {answer.type} with {answer.rcode}, and no attack"))
    if not found:
        return None
    observed = f"the lab was not in order: {found[0][1]}"
    return Doubt(LAB_UNHEALTHY, observed, numbers([event for event, _ in found]), "lab")


def _last_that_matters(view: CaseView) -> float:
    """Return until when what befell the whole run matters for a case: reports come after its end."""
    return math.inf if view.case.is_about_reports else view.end


def _answers_about_report_hosts(view: CaseView) -> list[tuple[Event, DnsAnswered]]:
    """The answers that belong to no case, since reports were asked for: the hosts that take reports have such names."""
    asked = [event.at for event, _ in view.of_run.of_kind(ReportsAsked)]
    if not asked or not view.case.is_about_reports:
        return []
    return [one for one in view.of_run.of_kind(DnsAnswered) if one[0].at >= asked[0]]


def _failures_of_the_lab(view: CaseView) -> list[tuple[Event, LabFailed]]:
    """The exceptions in the lab while the case was played, or before its reports."""
    of_run, last = view.of_run.of_kind(LabFailed), _last_that_matters(view)
    return view.facts.of_kind(LabFailed) + [one for one in of_run if one[0].at <= last]


def _of_a_failure(view: CaseView, found: Judgement, failures: list[tuple[Event, LabFailed]]) -> Doubt | None:
    """What a target did may be the answer to an exception in the lab.

    That mail was let out, or could be read, is the target's doing all the same if it had got the policy, unless all of
    that was in sessions that an exception had spoiled.
    """
    let_out = found.harm in (Harm.LET_OUT, Harm.READ) and bool(view.facts.policy_fetched(view.end))
    if not failures or (let_out and not _all_in_spoiled_sessions(view, found, failures)):
        return None
    event, fact = failures[0]
    return Doubt(LAB_FAILED, f"the lab had failed: {fact.where}: {fact.error}", (event.number,), "lab")


def _all_in_spoiled_sessions(view: CaseView, found: Judgement, failures: list[tuple[Event, LabFailed]]) -> bool:
    """Whether all that a finding shows of sessions came after an exception in them, or in the leg behind it."""

    def whole(session: str) -> str:
        return view.facts.session(session).via or session

    spoiled: dict[str, int] = {}
    for event, fact in failures:
        spoiled.setdefault(whole(fact.session), event.number)
    shown = [event for event in view.facts.events if event.number in found.evidence and _session_of(event)]
    return bool(shown) and all(event.number > spoiled.get(whole(_session_of(event)), math.inf) for event in shown)


def _session_of(event: Event) -> str:
    return getattr(event.fact, "session", "")


def _asked_late(view: CaseView) -> Doubt | None:
    """A target that claims no MTA-STS and asks for the policy all the same, later than the lab waited for that.

    An attack before it knows its first policy wins against every sender (RFC 8461, section 10.2).
    """
    passed = [event.at for event, fact in view.facts.of_kind(DeadlinePassed) if fact.deadline == POLICY_QUESTION.name]
    questions = [*view.facts.policy_asked(), *view.facts.set_out_for_the_policy()]
    if not passed or not questions or min(one.at for one in questions) < passed[0]:
        return None
    observed = (
        "it does not claim mta-sts, and asked for the policy when the lab had stopped waiting for that: "
        "let it claim mta-sts"
    )
    return Doubt(ASKED_LATE, observed, numbers(questions))


def _attack_not_in_force(view: CaseView, step: Step) -> Doubt | None:
    """An attack that did not take effect is no reason for what became of the message.

    A message that left unprotected is the sender's own doing, attack or no attack.
    """
    message = view.message(step)
    if message is None or message.outcome() in (Outcome.DELIVERED_CLEAR, Outcome.DELIVERED_UNAUTHENTICATED):
        return None
    if doubt := _never_took_effect(view, step):
        return doubt
    for attack in step.attacks:
        fired = view.facts.fired(attack.name, step.name)
        if attack.channel == "smtp" and fired and (spared := _spared(view.facts, step, message, fired)):
            observed = f"{attack.name} did not take effect in the session that decided this"
            return Doubt("attack-not-in-force", observed, numbers(spared))
    return None


def _never_took_effect(view: CaseView, step: Step) -> Doubt | None:
    for attack in step.attacks:
        if must_fire(view, attack) and not view.facts.fired(attack.name, step.name):
            return Doubt("attack-not-in-force", f"{attack.name} never took effect in this step")
    return None


def _spared(facts: CaseFacts, step: Step, message: MessageFacts, fired: list[Event]) -> list[Event]:
    """Return the deciding sessions with an attacked host that the attack left alone.

    A delivery is decided where the message was taken, everything else in the last session that has ended. One in which
    the target went no further than the greeting gave the attack nothing to act on.
    """
    attacked = {event.fact.session for event in fired if isinstance(event.fact, AttackFired)}
    hosts = {facts.session(name).host for name in attacked}
    reached = {
        fact.session: event
        for event, fact in facts.of_kind(ConnectionAccepted, step.name)
        if not fact.via and fact.host in hosts and event.at < message.until
    }
    if message.outcome().delivered:
        deciding = [copy.via or copy.session for _, copy in message.copies()]
    else:
        deciding = [name for name in reached if _went_on(facts.session(name), message.until)][-1:]
    return [reached[name] for name in deciding if name in reached and name not in attacked]


def _went_on(session: Session, until: float) -> bool:
    """Whether a session ended in time, and the target said more in it than its greeting."""
    greetings = ("EHLO", "HELO", "QUIT")
    said = [line for line in session.lines if line.speaker == "sender" and not line.line.upper().startswith(greetings)]
    return bool(said) and session.ended is not None and session.ended <= until


# ---------------------------------------------------------------------------------------------------------------------
# A second copy


def _reply_not_read(view: CaseView, found: Judgement) -> Doubt | None:
    """A target that has not read the reply to its first copy has to send a second one (RFC 5321, section 4.5.4.1)."""
    step = next(one for one in view.case.steps if one.name == found.step)
    message = view.message_at_the_end(step)
    assert message is not None
    unread = [event for event in _copies_before_the_last(message) if not _reply_read(view.facts, event)]
    if not unread:
        return None
    observed = "nothing shows that the target had read the reply to the first: the lab may have cut it off"
    return Doubt("reply-not-read", observed, numbers(unread))


def _copies_before_the_last(message: MessageFacts) -> list[Event]:
    return [event for event, _ in message.copies()[:-1]]


def _reply_read(facts: CaseFacts, accepted: Event) -> bool:
    """Whether the target went on in the session after the reply to its message."""
    copy = next(fact for event, fact in facts.of_kind(MessageAccepted) if event is accepted)
    return facts.went_on(copy.via or copy.session, accepted)
