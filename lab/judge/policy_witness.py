"""What the record knows of the policy that a report speaks of: how it was published, and what lay on the way to it."""

from __future__ import annotations

from lab.events import ConnectionAccepted, ConnectionDenied, DnsAnswered, Event, PolicyRequested
from lab.judge.facts import CERTIFICATES_THAT_VERIFY
from lab.judge.handshakes import facts_of, handshake
from lab.judge.report_window import Window
from lab.judge.view import CaseView
from lab.model import Mode, Step, World
from lab.targets.reference.policy import PolicyInvalid, parse_policy
from lab.world.policy_host import served_policy
from lab.world.zone import absolute


def policy_troubles(view: CaseView, window: Window) -> tuple[str, ...]:
    """Return what went wrong on the way to the policy."""
    found: dict[str, None] = {}
    events = window.of(view.facts.events)
    hosts = {fact.session: fact for fact in facts_of(events, ConnectionAccepted) if fact.role == "policy-host"}
    answered = {fact.session: fact.status for fact in facts_of(events, PolicyRequested)}
    if any(status != 200 for status in answered.values()) or _policy_host_was_away(view, events):
        found["policy-unreachable"] = None
    for session in hosts:
        established, failed = handshake(events, session)
        shown = (established or failed).certificate if (established or failed) else ""  # type: ignore[union-attr]
        if shown and shown not in CERTIFICATES_THAT_VERIFY:
            found["policy-host-untrusted"] = None
        elif session not in answered:
            found["policy-unreachable"] = None
    if any(fact.tampered_by and fact.name.startswith("_mta-sts.") for fact in facts_of(events, DnsAnswered)):
        found["policy-unreachable"] = None
    served = {event.step for event in events if isinstance(event.fact, PolicyRequested) and event.fact.status == 200}
    if any(_is_broken(view, step) for step in view.case.steps if step.name in served):
        found["policy-broken"] = None
    return tuple(found)


def _policy_host_was_away(view: CaseView, events: list[Event]) -> bool:
    """Whether the policy host could not be connected to. A port that refuses leaves a question for its address."""
    if any(fact.role == "policy-host" for fact in facts_of(events, ConnectionDenied)):
        return True
    away = {step.name for step in view.case.steps if not step.world.policy_host.reachable}
    name = f"mta-sts.{view.facts.domain}"
    asked = [event.step for event in events if isinstance(event.fact, DnsAnswered) and event.fact.name == name]
    return any(step in away for step in asked)


def _is_broken(view: CaseView, step: Step) -> bool:
    """Whether the body that a step serves is no valid policy (RFC 8461, section 3.2)."""
    try:
        parse_policy(_served(view, step.world))
    except PolicyInvalid:
        return True
    return False


def _served(view: CaseView, world: World) -> bytes:
    return served_policy(world, view.case.mode.value, view.facts.domain)


def published(view: CaseView) -> tuple[tuple[str, ...], ...]:
    """Return the lines of each policy that the case published, the last one first."""
    bodies = [_served(view, step.world) for step in view.case.steps]
    return tuple(dict.fromkeys(tuple(body.decode().splitlines()) for body in reversed(bodies)))


def policy_types(view: CaseView, window: Window, *, troubled: bool) -> frozenset[str]:
    """Return which policy types are right (A45, A49, A67; and A01: a first session may precede the policy)."""
    if view.case.mode is Mode.ABSENT:
        return frozenset({"no-policy-found"})
    fetched = view.facts.policy_fetched(window.until)
    sessions = [
        event.at for event, fact in view.facts.of_kind(ConnectionAccepted) if fact.role in ("mx", "attacker-mx")
    ]
    learnt_first = bool(fetched) and (not sessions or fetched[0].at < sessions[0])
    modes = {view.case.mode.value, *(step.world.policy.mode for step in view.case.steps)}
    if "none" in modes or troubled or not learnt_first:
        return frozenset({"sts", "no-policy-found"})
    return frozenset({"sts"})


def hosts_away(view: CaseView, events: list[Event]) -> list[tuple[str, str]]:
    """Return the MX hosts, with their addresses, that DNS named while nobody answered there: once for each answer."""
    away = {
        (step.name, absolute(mx.name, view.facts.domain))
        for step in view.case.steps
        for mx in step.world.mx
        if not mx.reachable
    }
    answers = [(event.step, event.fact) for event in events if isinstance(event.fact, DnsAnswered)]
    return [
        (fact.name, address)
        for step, fact in answers
        if fact.type == "A" and (step, fact.name) in away
        for address in fact.answers
    ]
