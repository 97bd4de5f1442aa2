"""Which names count for a sender that does DANE although nobody has signed the MX records (RFC 7672, section 3.2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.dane import is_judged_by_dane
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.model.world import World
from mta_sts_lab.rfc.dane_demands import DaneDemand, dane_demands

ONE_NAME = "DANE-3.2.2-05"

#: The certificate that is for the next hop alone: it counts where the MX records are signed.
_FOR_NEXT_HOP = "for-domain"


@check(scope=Scope.STEP, obligations=(ONE_NAME,))
def one_name_counts_over_insecure_mx(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A certificate for the next hop alone is no match under DANE-TA if nobody has signed the MX records.

    Only for a sender that does DANE there, which it need not: it has held mail for a mismatch before in the case.
    """
    if not is_judged_by_dane(view, step) or not _mx_is_insecure(step.world):
        return
    demands = _demands_if_signed(step.world, view.facts.domain)
    named = [demand for demand in demands if demand.by_authority and demand.certificates == (_FOR_NEXT_HOP,)]
    message = view.message(step)
    if len(named) != len(step.world.mx) or message is None or not _does_dane_there(view, step):
        return
    copies = [event for event, _ in message.copies()]
    if copies:
        expected = "no delivery: the certificate is for the recipient's domain, and the MX records are not signed"
        observed = f"delivered under the certificate variant {_FOR_NEXT_HOP!r}"
        yield view.broken(ONE_NAME, "next-hop-counts", step.name, expected, observed, copies, Harm.LET_OUT)


def _does_dane_there(view: CaseView, step: Step) -> bool:
    """Whether a message of an earlier step was held because no TLSA record of such a domain matched."""
    for earlier in view.case.steps[: view.case.steps.index(step)]:
        demands = _demands_if_signed(earlier.world, view.facts.domain) if _mx_is_insecure(earlier.world) else ()
        message = view.message(earlier)
        mismatch = len(demands) == len(earlier.world.mx) and all(demand.certificates == () for demand in demands)
        if mismatch and message is not None and message.outcome() is Outcome.DEFERRED:
            return True
    return False


def _mx_is_insecure(world: World) -> bool:
    return world.dns.security == "secure" and world.dns.mx_security == "insecure"


def _demands_if_signed(world: World, domain: str) -> tuple[DaneDemand, ...]:
    return dane_demands(replace(world, dns=replace(world.dns, mx_security="")), domain)
