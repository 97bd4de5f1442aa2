"""The policies that a report must describe: what was served, what the target fetched, and which fetches failed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mta_sts_lab.events import AttackFired, ConnectionAccepted, ConnectionDenied, DnsAnswered, PolicyRequested
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.policies_in_force import Fetched, fetched_policies, served_texts
from mta_sts_lab.judge.policy_lookups import still_lasts
from mta_sts_lab.judge.report_window import COUNTED_WITHIN, Window
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY
from mta_sts_lab.rfc.domain_names import policy_host_name
from mta_sts_lab.rfc.policy import Policy


@dataclass(frozen=True, slots=True)
class ServedPolicies:
    """The policies of a case, as far as they matter to a report about some time."""

    #: What each step serves; empty where the case has no policy.
    served: dict[str, Policy]
    #: The valid policies that a session may have been under, the last one first.
    in_force: tuple[Fetched, ...]
    #: The lines of the texts that were fetched and are no policy.
    refused: tuple[tuple[str, ...], ...]
    #: What went wrong on the way to the policy, by the problems of `RIGHT_RESULT_TYPES`.
    failures: tuple[str, ...]
    #: Which policy types are right in a report. More than one: a first session may precede the policy.
    types: frozenset[str]
    #: Those of `in_force` that were there for certain.
    certain: tuple[Fetched, ...] = ()

    @property
    def published(self) -> tuple[tuple[str, ...], ...]:
        """The lines of each policy that the case published, the last one first, whether or not it was fetched."""
        return tuple(dict.fromkeys(policy.lines for policy in reversed(self.served.values())))


@lru_cache(maxsize=8)
def served_policies(view: CaseView, window: Window) -> ServedPolicies:
    """Return the policies of a case that matter to a report about some time.

    What was fetched before that time began is in force in it until the next valid policy has taken its place.
    """
    mode, domain = view.case.mode, view.facts.domain
    served = served_texts(view.case, domain)
    failures = policy_failures(view, window, served)
    if mode is Mode.ABSENT:
        return ServedPolicies({}, (), (), failures, frozenset({"no-policy-found"}))
    fetched = fetched_policies(view.case, view.facts, window.until)
    valid = [one for one in fetched if one.policy.valid]
    since = max((one.at for one in valid if one.at < window.after - COUNTED_WITHIN), default=0.0)
    in_force = tuple(one for one in reversed(valid) if one.at >= since)
    refused = tuple(dict.fromkeys(one.policy.lines for one in fetched if not one.policy.valid))
    certain = _certain(in_force, bool(failures))
    return ServedPolicies(served, in_force, refused, failures, _types(view, window, certain), certain)


def under_a_policy(view: CaseView, certain: tuple[Fetched, ...], at: float) -> bool:
    """Whether one of the policies that were there for certain was in force at some time.

    A target that was restarted may have forgotten it.
    """
    if any(step.restart for step in view.case.steps):
        return False
    ages = ((one.at, one.policy.max_age) for one in certain if one.at < at)
    return any(still_lasts(since, max_age, at, view.of_run, forgets=False) for since, max_age in ages)


def policy_failures(view: CaseView, window: Window, served: dict[str, Policy]) -> tuple[str, ...]:
    """Return what went wrong on the way to the policy in some time."""
    requested = window.within(view.facts.of_kind(PolicyRequested))
    answered = {fact.session: fact.status for _, fact in requested}
    unreachable = any(status != 200 for status in answered.values()) or _policy_host_was_away(view, window)
    untrusted = False
    for _, host in window.within(view.facts.of_kind(ConnectionAccepted)):
        if host.role == "policy-host":
            session = view.facts.session(host.session)
            handshake = session.established or session.failed
            if handshake and handshake.certificate not in ("", *CERTIFICATES_THAT_VERIFY):
                untrusted = True
            else:
                unreachable = unreachable or host.session not in answered
    # Only what was answered with 200 can have been seen to be no policy.
    broken = any(
        not served[event.step].valid for event, fact in requested if fact.status == 200 and event.step in served
    )
    found = {"policy-unreachable": unreachable, "policy-host-untrusted": untrusted, "policy-broken": broken}
    return tuple(failure for failure, met in found.items() if met)


def _policy_host_was_away(view: CaseView, window: Window) -> bool:
    """Whether the policy host or its record was kept away. A port that refuses leaves a question for the address."""
    if any(fact.role == "policy-host" for _, fact in window.within(view.facts.of_kind(ConnectionDenied))):
        return True
    # Of an attack that let no connection come about nothing else is on record.
    refused = (
        fact.channel == "https" and not fact.session for _, fact in window.within(view.facts.of_kind(AttackFired))
    )
    if any(refused):
        return True
    away = {step.name for step in view.case.steps if not step.world.policy_host.reachable}
    name = policy_host_name(view.facts.domain)
    return any(
        (fact.name == name and event.step in away) or (fact.tampered_by and fact.name.startswith("_mta-sts."))
        for event, fact in window.within(view.facts.of_kind(DnsAnswered))
    )


def _certain(in_force: tuple[Fetched, ...], has_failed: bool) -> tuple[Fetched, ...]:
    """Return the policies that were there for certain.

    Where something was wrong, only what was fetched beyond all doubt; and none where one of them asks for nothing.
    """
    if any(one.policy.mode == "none" for one in in_force):
        return ()
    return tuple(one for one in in_force if one.plainly or not has_failed)


def _types(view: CaseView, window: Window, certain: tuple[Fetched, ...]) -> frozenset[str]:
    """Return which policy types are right.

    A policy that was had stays in force while a newer one cannot be had (RFC 8461, section 5.1): no failure turns it
    into one that was not found.
    """
    met = [event.at for event, fact in window.within(view.facts.of_kind(ConnectionAccepted)) if fact.role in RECEIVING]
    if certain and all(under_a_policy(view, certain, at) for at in met):
        return frozenset({"sts"})
    return frozenset({"sts", "no-policy-found"})
