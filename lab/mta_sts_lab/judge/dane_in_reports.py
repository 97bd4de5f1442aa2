"""What a TLS report may say of a domain's DANE: its TLSA records, and what was wrong with them (RFC 8460, 4.3.2.1)."""

from __future__ import annotations

from mta_sts_lab.events import ConnectionAccepted, StepBegan
from mta_sts_lab.judge.report_window import Window
from mta_sts_lab.judge.sessions import Session
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode, Step
from mta_sts_lab.rfc.dane_demands import DaneDemand, dane_demands
from mta_sts_lab.rfc.tlsa import read_tlsa


def tlsa_records_answered(view: CaseView) -> tuple[tuple[str, ...], ...] | None:
    """Return the secure TLSA record sets that the target was given, each once; None if there were none."""
    sets = (
        tuple(text for text in fact.answers if read_tlsa(text) is not None)
        for _, fact in view.facts.tlsa_asked()
        if fact.security == "secure"
    )
    return tuple(dict.fromkeys(one for one in sets if one)) or None


def policy_types(view: CaseView, window: Window, types: frozenset[str]) -> frozenset[str]:
    """Return which policy types are right, given those that are right without DANE.

    A host that has no TLSA records has no policy of DANE. Of a policy and DANE both may be reported, or one of them
    (RFC 8460, section 4).
    """
    if not view.case.has_dane:
        return types
    with_dane = [
        len(dane_demands(step.world, view.facts.domain)) == len(step.world.mx) for step in _steps(view, window)
    ]
    without = types if view.case.mode is not Mode.DANE or not all(with_dane) else frozenset[str]()
    some = any(dane_demands(step.world, view.facts.domain) for step in _steps(view, window))
    return without | ({"tlsa"} if some else set())


def dane_failures(view: CaseView, window: Window) -> tuple[str, ...]:
    """Return what was wrong with the TLSA records in some time, by the problems of `RIGHT_RESULT_TYPES`."""
    if not view.case.has_dane:
        return ()
    demands = [one for step in _steps(view, window) for one in dane_demands(step.world, view.facts.domain)]
    found = {
        "dnssec-broken": any(one.lookup_failed for one in demands),
        "tlsa-unusable": any(one.certificates is None and not one.lookup_failed for one in demands),
    }
    return tuple(failure for failure, met in found.items() if met)


def failure_under_dane(
    view: CaseView, accepted: ConnectionAccepted, session: Session, failure: str | None
) -> str | None:
    """Return what was wrong with a session, given what would be wrong without DANE.

    None if nothing was. Where TLSA records can be used they alone say which certificates are right.
    """
    demand = _demand(view, accepted)
    shown = session.established or session.failed
    if demand is None or shown is None or not shown.certificate:
        return failure
    if demand.certificates is None:
        return failure if session.established is None or session.failed is not None else None
    if view.facts.certificate_of(accepted.session) in demand.certificates:
        return "handshake-broken" if session.failed is not None else None
    return _named(demand, shown.certificate)


def has_usable_tlsa(view: CaseView, accepted: ConnectionAccepted) -> bool:
    """Whether the host of a session had TLSA records that can be used: what was wrong then has to be reported."""
    demand = _demand(view, accepted)
    return demand is not None and demand.certificates is not None


def _demand(view: CaseView, accepted: ConnectionAccepted) -> DaneDemand | None:
    demands = (one.dane_of(accepted.host) for one in view.facts.in_force(accepted.session))
    return next((one for one in demands if one is not None), None)


def _named(demand: DaneDemand, certificate: str) -> str:
    return "expired" if demand.by_authority and certificate == "expired" else "tlsa-mismatch"


def _steps(view: CaseView, window: Window) -> list[Step]:
    """Return the steps that had begun by the end of some time."""
    begun = {event.step for event, _ in view.facts.of_kind(StepBegan) if event.at <= window.until}
    return [step for step in view.case.steps if step.name in begun]
