"""Checks whether a case proves anything: that nothing happened must be proved, not assumed.

Each check yields a judgement only when something is missing. None of them can make a case pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.check_registry import check_id
from mta_sts_lab.events import (
    AttackFired,
    ClockAdvanced,
    ConnectionAccepted,
    DeadlinePassed,
    Event,
    InjectionRefused,
    LabFailed,
    MessageInjected,
    NotSupported,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TargetFailed,
    TargetRestarted,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.outcome import control_outcome, message_outcome
from mta_sts_lab.judge.facts import CaseFacts, not_killed
from mta_sts_lab.judge.view import CaseView, inconclusive, numbers
from mta_sts_lab.model.case import PUBLISHED_POLICY, AttackUse, Mode, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.target import IPV6
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY
from mta_sts_lab.rfc.dane_demands import DaneDemand, dane_demands
from mta_sts_lab.rfc.domain_names import absolute

#: The reason where an exception in the lab is on record.
LAB_FAILED = "lab-failed"

#: Why the later steps of a case were not played. If its first step has a finding, that is the whole reason.
ENDED_WITH_ITS_FIRST_MESSAGE = "ended-with-its-first-message"


@check(scope=Scope.SUPPORT)
def capability_claimed(view: CaseView) -> Iterator[Judgement]:
    """A case that is about something that the target does not claim to do is not played."""
    lacking = [one for one in view.case.needs if one not in view.about.capabilities]
    if lacking:
        hidden = set(lacking) & set(view.about.set_aside)
        why = "was played as a black box, and not asked about" if hidden else "does not claim"
        observed = f"the target {why} {', '.join(lacking)}"
        if lacking == [IPV6]:
            observed = "the hosts of this run have addresses in one family alone"
        yield Judgement(Grade.UNSUPPORTED, "not-claimed", expected=", ".join(view.case.needs), observed=observed)


def _from_event(
    event: Event, grade: Grade, reason: str, expected: str, observed: str, blame: str = "nobody"
) -> Judgement:
    """Return what one event of the record shows by itself, in the step in which it happened."""
    return Judgement(grade, reason, "", event.step, expected, observed, blame, (event.number,))


@check(scope=Scope.CASE)
def no_lab_error(view: CaseView) -> Iterator[Judgement]:
    """An exception in the lab, in this case or in the run as a whole, is never a verdict on the target."""
    for event, fact in view.facts.of_kind(LabFailed) + view.of_run.of_kind(LabFailed):
        expected, observed = "no exception inside the lab", f"{fact.where}: {fact.error}"
        yield _from_event(event, Grade.LAB_ERROR, LAB_FAILED, expected, observed, "lab")


@check(scope=Scope.CASE)
def case_complete(view: CaseView) -> Iterator[Judgement]:
    """A case that was cut short (an interrupt, a dead target) proves nothing."""
    for event, failure in view.facts.of_kind(TargetFailed) + view.of_run.of_kind(TargetFailed):
        expected, observed = "a target that keeps its contract until the end", failure.what
        yield _from_event(event, Grade.INCONCLUSIVE, "target-failed", expected, observed, "target")
    if view.facts.of_kind(NotSupported):
        return
    if not view.facts.ended:
        yield inconclusive("not-played-to-the-end", "the record stops in mid-case")
    played = [event.step for event, _ in view.facts.of_kind(StepBegan)]
    if became := view.ended_with_its_first_message():
        first, *others = view.case.steps
        observed = (
            f"the first message was {became.value}, so that nothing came of {', '.join(one.name for one in others)}"
        )
        yield inconclusive(ENDED_WITH_ITS_FIRST_MESSAGE, observed, first.name)
    elif view.facts.ended and played != [step.name for step in view.case.steps]:
        yield inconclusive("steps-missing", f"played: {', '.join(played)}")
    over = {event.step for event, _ in view.facts.of_kind(StepEnded)}
    if view.facts.ended and (open_steps := [name for name in played if name not in over]):
        yield inconclusive("step-without-end", "it is not on record when the step ended", open_steps[0])


@check(scope=Scope.CASE)
def needed_parts_offered(view: CaseView) -> Iterator[Judgement]:
    """A case that restarts the target, or moves its clock, is beyond a target that offers neither."""
    for event, fact in view.facts.of_kind(NotSupported):
        expected, observed = "a part of the target contract that this case needs", fact.what
        yield _from_event(event, Grade.UNSUPPORTED, "not-offered", expected, observed)


@check(scope=Scope.CASE)
def restart_done(view: CaseView) -> Iterator[Judgement]:
    """A step that restarts the target needs a restart on record: a target that goes on keeps its memory."""
    restarts = view.of_run.of_kind(TargetRestarted)
    for step in view.case.steps:
        times = view.step_times(step.name)
        if not step.restart or times is None:
            continue
        made = [(event, fact) for event, fact in restarts if times[0] <= event.at <= times[1]]
        if made and not any(not_killed(fact) for _, fact in made):
            continue
        yield Judgement(
            Grade.INCONCLUSIVE,
            "restart-not-done",
            step=step.name,
            expected=f"all processes of the mail server ended with {step.restart}, and started again",
            observed="an SMTP session from before it went on afterwards" if made else "no restart is on record",
            blame="target",
            evidence=numbers([event for event, _ in made]),
        )


@check(scope=Scope.CASE)
def clock_moved(view: CaseView) -> Iterator[Judgement]:
    """A step that moves the target's clock needs that on record: what ages in it has not aged otherwise."""
    for step in view.case.steps:
        times = view.step_times(step.name)
        if not step.advance or times is None:
            continue
        moves = [
            (event, fact) for event, fact in view.of_run.of_kind(ClockAdvanced) if times[0] <= event.at <= times[1]
        ]
        seconds = sum(fact.seconds for _, fact in moves)
        if seconds < step.advance:
            yield Judgement(
                Grade.INCONCLUSIVE,
                "clock-not-moved",
                step=step.name,
                expected=f"the target's clock moved by {step.advance} s",
                observed=f"it was moved by {seconds} s",
                evidence=numbers([event for event, _ in moves]),
            )


@check(scope=Scope.CASE)
def message_injected(view: CaseView) -> Iterator[Judgement]:
    """A step that sends needs a message inside the target."""
    for event, refusal in view.facts.of_kind(InjectionRefused):
        expected, observed = "the target relays what the lab injects", refusal.reply
        yield _from_event(event, Grade.INCONCLUSIVE, "injection-refused", expected, observed, "target")
    if view.ended_with_its_first_message():
        return
    sent = {event.step for event, _ in view.facts.of_kind(MessageInjected)}
    refused = {event.step for event, _ in view.facts.of_kind(InjectionRefused)}
    for step in view.case.steps:
        if step.send and step.name not in sent | refused and view.offered(step):
            yield inconclusive("nothing-sent", "no message in this step", step.name)


@check(scope=Scope.CASE)
def prime_delivered(view: CaseView) -> Iterator[Judgement]:
    """The step before the attack shows that this target, this hour, delivers to this domain at all."""
    first = view.case.steps[0]
    if not first.send or first.expect is not None:
        return
    message = view.message(first)
    if message is not None and not message.outcome().delivered:
        yield inconclusive(
            "prime-not-delivered",
            f"before the attack the message was {message.outcome().value}",
            first.name,
        )


@check(scope=Scope.STEP)
def target_contact(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Contact: without a query or a connection of its own the target has decided nothing about this case.

    It may come before the injection is on record: a quick sender is at work before its reply has been read.
    """
    message = view.message(step)
    if message is None:
        return
    if not message.contacts():
        yield inconclusive(
            "no-contact",
            "no query and no connection since the step began",
            step.name,
        )


@check(scope=Scope.STEP)
def attack_fired(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The tampering has to be on record, or nothing was resisted."""
    for attack in step.attacks:
        if attack.optional or view.facts.fired(attack.name, step.name):
            continue
        by_its_cache = attack.needs == PUBLISHED_POLICY and _delivers_by_its_cache(view, step)
        if must_fire(view, attack) and not by_its_cache:
            yield inconclusive("attack-not-fired", f"{attack.name} never took effect", step.name)
        elif view.case.mode is not Mode.ABSENT:
            cached = "the target went by the policy that it had, and looked for no newer one"
            never = "the target claims no MTA-STS, and never looked for a policy of this domain"
            yield Judgement(
                Grade.INFO,
                "attack-not-met",
                step=step.name,
                expected=f"a look-up that {attack.name} could act on",
                observed=cached if by_its_cache else never,
            )


def _delivers_by_its_cache(view: CaseView, step: Step) -> bool:
    """Whether a step expects delivery, and the target had a policy already and looked for no other.

    RFC 8461, section 5.1: it may look while the policy lasts, and need not. Where mail is to be held the attack has to
    take effect all the same, or nothing was resisted.
    """
    times, expect = view.step_times(step.name), step.expect
    if times is None or expect is None or not all(one.startswith("delivered") for one in expect.outcome):
        return False
    return bool(view.facts.policy_fetched(times[0])) and not view.facts.looked_for_the_policy(*times)


def must_fire(view: CaseView, attack: AttackUse) -> bool:
    """Whether a step proves nothing unless this attack took effect in it.

    An attack on the way to the policy has nothing to act on where no policy is published, or where the target claims no
    MTA-STS and never looked for one: that resists nothing, and makes no doubt about the attacker either.
    """
    if attack.optional:
        return False
    if attack.needs != PUBLISHED_POLICY or view.case.mode is Mode.ABSENT:
        return attack.needs != PUBLISHED_POLICY
    return "mta-sts" in view.about.capabilities or bool(view.facts.policy_asked())


#: Outcomes by which a defect of a host may have been resisted; the others show that it was not.
_RESISTED = (Outcome.DEFERRED, Outcome.BOUNCED, Outcome.DELIVERED_AUTHENTICATED)


@check(scope=Scope.STEP)
def defect_met(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A host's bad certificate has to have been shown, and a missing STARTTLS seen, or nothing was resisted.

    An attack on the way to the host answers for itself (`attack_fired`): it may be all that the target meets.
    """
    message = view.message(step)
    if message is None or message.outcome() not in _RESISTED or any(use.channel == "smtp" for use in step.attacks):
        return
    shown = {fact.certificate for _, fact in view.facts.of_kind(TlsEstablished, step.name)}
    shown |= {fact.certificate for _, fact in view.facts.of_kind(TlsFailed, step.name)}
    demands = {one.host: one for one in dane_demands(step.world, view.facts.domain)} if view.case.has_dane else {}
    offering = [
        host
        for host in step.world.mx
        if host.reachable and host.starttls and not _fine_by_dane(demands.get(absolute(host.name, view.facts.domain)))
    ]
    wanted = {host.certificate for host in offering} - set(CERTIFICATES_THAT_VERIFY)
    if wanted and not wanted & shown:
        what = f"no host showed a certificate of the kind {' or '.join(sorted(wanted))} in this step"
        yield inconclusive("defect-not-met", what, step.name)
    bare = [host for host in step.world.mx if host.reachable and not host.starttls]
    without = {absolute(host.name, view.facts.domain) for host in bare}
    greeted = {fact.session for _, fact in view.facts.of_kind(SmtpSaid, step.name) if fact.speaker == "sender"}
    met = {fact.host for _, fact in view.facts.of_kind(ConnectionAccepted, step.name) if fact.session in greeted}
    if without and not without & met:
        what = "the target spoke to no host without STARTTLS in this step"
        yield inconclusive("defect-not-met", what, step.name)


def _fine_by_dane(demand: DaneDemand | None) -> bool:
    """Whether the certificate of a host is no defect, or nobody should come to see it."""
    return demand is not None and (demand.lookup_failed or demand.certificates != ())


@check(scope=Scope.STEP)
def control_case_is_sound(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The control case was played, the attack took effect there, and the outcome was as expected.

    Otherwise the attacker may be broken, and whatever the target did under a policy proves nothing.
    """
    if view.case.mode is Mode.ABSENT or not _compares(view, step):
        return
    if view.control is None or view.control_verdict is None or not _played_past(view.control, step):
        yield inconclusive("control-missing", "the control case was not played", step.name)
        return
    # A control case that held or returned the message is no doubt: the attack took effect on it.
    kept = control_outcome(view, step) in (Outcome.DEFERRED, Outcome.BOUNCED)
    doubts = [
        one
        for one in view.control_verdict.judgements
        if one.grade in (Grade.INCONCLUSIVE, Grade.LAB_ERROR)
        or (one.check == check_id(message_outcome) and one.step == step.name and one.grade is Grade.FAIL and not kept)
    ]
    if doubts:
        said = "; ".join(dict.fromkeys(one.reason for one in doubts))
        yield inconclusive("control-not-sound", f"the control case: {said}", step.name)


def _played_past(control: CaseFacts, step: Step) -> bool:
    """Whether a control case was played to its end, or past a step where a later one could not be played."""
    return control.ended or bool(control.of_kind(NotSupported) and control.of_kind(StepEnded, step.name))


def _compares(view: CaseView, step: Step) -> bool:
    """Whether the judgement of a step needs the control case."""
    return bool(step.attacks) or (step.expect is not None and "as-absent" in step.expect.outcome)


@check(scope=Scope.STEP)
def attack_degrades_control_case(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Without a policy the attack must worsen the delivery, or the attacker is broken."""
    if view.case.mode is Mode.ABSENT or not view.case.degrades or not step.attacks:
        return
    if control_outcome(view, step) is not Outcome.DELIVERED_AUTHENTICATED:
        return
    attacked = _left_to_the_attacker(view.control, step) if view.control else []
    if attacked:
        yield Judgement(
            Grade.INFO,
            "attacked-host-left-without-a-policy",
            step=step.name,
            observed="without a policy, too, the target gave the attacked host nothing, and found another",
            evidence=numbers(attacked),
        )
        return
    yield inconclusive("control-not-degraded", "without a policy the message arrived unharmed", step.name, "lab")


def _left_to_the_attacker(control: CaseFacts, step: Step) -> list[Event]:
    """Return where attacks took effect on a session that the target then left, if it is seen to have left all of them.

    Some senders demand TLS of everybody, or of a host that had it before, and go on to the next host policy or no
    policy. That makes no pass, and it is only believed where the target ended the session: an attacker that is broken
    may have done it instead.
    """
    fired = [(event, fact) for event, fact in control.of_kind(AttackFired, step.name) if fact.session]
    gave = {fact.session for _, fact in control.of_kind(SmtpSaid, step.name) if _hands_over(fact)}
    sessions = {fact.session for _, fact in fired}
    return [event for event, _ in fired] if control.target_left(sessions) and not gave & sessions else []


def _hands_over(said: SmtpSaid) -> bool:
    return said.speaker == "sender" and said.line.upper().startswith(("MAIL", "RCPT", "DATA"))


@check(scope=Scope.STEP)
def message_settled(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A message that is neither delivered nor provably held has no outcome yet."""
    message = view.message(step)
    if message is None or message.outcome() is not Outcome.UNSETTLED:
        return
    passed = [(event, fact) for event, fact in view.facts.of_kind(DeadlinePassed, step.name)]
    waited = "; ".join(f"{fact.deadline} ({fact.seconds:g} s) passed: {fact.waited_for}" for _, fact in passed)
    yield Judgement(
        Grade.INCONCLUSIVE,
        "not-settled",
        step=step.name,
        expected="delivered, bounced, or seen to be held after a second attempt",
        observed=waited or "neither delivered nor provably held",
        evidence=numbers([event for event, _ in passed]),
    )
