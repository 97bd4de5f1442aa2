"""What the record knows of the policy that a report speaks of: how it was published, and what lay on the way to it."""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts_lab.events import (
    ClockAdvanced,
    ConnectionAccepted,
    ConnectionDenied,
    DnsAnswered,
    Event,
    PolicyRequested,
)
from mta_sts_lab.judge.facts import CERTIFICATES_THAT_VERIFY, RECEIVING
from mta_sts_lab.judge.handshakes import facts_of, handshake
from mta_sts_lab.judge.report_window import COUNTED_WITHIN, Window
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model import Mode, PolicyHost, Step, World
from mta_sts_lab.rfc.domain_names import absolute, policy_host_name
from mta_sts_lab.rfc.policy import Policy, body_lines, read_policy
from mta_sts_lab.rfc.published import served_policy


@dataclass(frozen=True, slots=True)
class Fetched:
    """A policy text that the target has fetched: when, its lines, and the policy in it; None if that is not valid.

    `plainly` says that nothing about its host or on the way to it gave a reason to refuse it.
    """

    at: float
    lines: tuple[str, ...]
    policy: Policy | None
    plainly: bool


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
    name = policy_host_name(view.facts.domain)
    asked = [event.step for event in events if isinstance(event.fact, DnsAnswered) and event.fact.name == name]
    return any(step in away for step in asked)


def _is_broken(view: CaseView, step: Step) -> bool:
    return _valid(_served(view, step.world)) is None


def _valid(body: bytes) -> Policy | None:
    """Return the policy in a body; None if it is no valid policy (RFC 8461, section 3.2)."""
    policy = read_policy(body)
    return policy if policy.valid else None


def _served(view: CaseView, world: World) -> bytes:
    return served_policy(world, view.case.mode.value, view.facts.domain)


def published(view: CaseView) -> tuple[tuple[str, ...], ...]:
    """Return the lines of each policy that the case published, the last one first, whether or not it was fetched."""
    if view.case.mode is Mode.ABSENT:
        return ()
    bodies = [_served(view, step.world) for step in view.case.steps]
    return tuple(dict.fromkeys(body_lines(body) for body in reversed(bodies)))


def fetched_policies(view: CaseView, until: float) -> list[Fetched]:
    """Return the policy texts that the target had fetched by then, in order. Where no policy is published, none."""
    steps = {step.name: step for step in view.case.steps if view.case.mode is not Mode.ABSENT}
    found: list[Fetched] = []
    for event, fact in view.facts.of_kind(PolicyRequested):
        step = steps.get(event.step)
        if step is None or fact.status != 200 or event.at >= until:
            continue
        body = _served(view, step.world)
        tampered = any(attack.channel == "https" for attack in step.attacks)
        plainly = step.world.policy_host == PolicyHost() and not fact.redirected and not tampered
        found.append(Fetched(event.at, body_lines(body), _valid(body), plainly))
    return found


def policies_in_force(view: CaseView, window: Window) -> list[Fetched]:
    """Return the valid policies that a session of some time may have been under, the last one first.

    What was fetched before that time began is in force in it until the next valid policy has taken its place.
    """
    valid = [one for one in fetched_policies(view, window.until) if one.policy is not None]
    before = [one.at for one in valid if one.at < window.after - COUNTED_WITHIN]
    return [one for one in reversed(valid) if one.at >= max(before, default=0.0)]


def policies_refused(view: CaseView, window: Window) -> tuple[tuple[str, ...], ...]:
    """Return the lines of the texts that were fetched by the end of some time and are no policy."""
    return tuple(dict.fromkeys(one.lines for one in fetched_policies(view, window.until) if one.policy is None))


def policy_types(view: CaseView, window: Window, *, troubled: bool) -> frozenset[str]:
    """Return which policy types are right (A45, A49, A67; and A01: a first session may precede the policy).

    A policy that was had stays in force while a newer one cannot be had (RFC 8461, section 5.1): no trouble turns it
    into one that was not found.
    """
    if view.case.mode is Mode.ABSENT:
        return frozenset({"no-policy-found"})
    known = policies_in_force(view, window)
    # Where something was wrong, only what was fetched beyond all doubt was there for certain.
    certain = [one for one in known if one.plainly or not troubled]
    sessions = [
        event.at
        for event, fact in view.facts.of_kind(ConnectionAccepted)
        if fact.role in RECEIVING and window.may_count(event.at, event.at)
    ]
    learnt = bool(certain) and all(any(_lasts(view, one, at) for one in certain) for at in sessions)
    if any(one.policy and one.policy.mode == "none" for one in known) or not learnt:
        return frozenset({"sts", "no-policy-found"})
    return frozenset({"sts"})


def _lasts(view: CaseView, fetched: Fetched, at: float) -> bool:
    """Whether a policy is known and not yet too old at a time. A target that was restarted may have forgotten it."""
    moved = sum(fact.seconds for event, fact in view.of_run.of_kind(ClockAdvanced) if fetched.at < event.at <= at)
    restarted = any(step.restart for step in view.case.steps)
    lasting = fetched.policy is not None and at - fetched.at + moved < fetched.policy.max_age
    return fetched.at < at and lasting and not restarted


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
