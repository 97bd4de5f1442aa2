"""The order in which MX hosts are tried (RFC 5321, section 5.1), where no DANE has a say in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.rfc.domain_names import absolute

BY_PREFERENCE = "SMTP-5.1-05"


@check(scope=Scope.STEP, obligations=(BY_PREFERENCE,))
def best_host_tried_first(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The first connection of a step goes to a host of the best preference.

    Judged where nothing is out of order, in this step and before it: a sender may pass over a host that its policy
    leaves out, and one that it remembers as being down.
    """
    before = [one for one in view.case.steps if one.name == step.name or view.step_times(one.name)]
    in_order = all(one.world == step.world and not one.attacks for one in before)
    hosts = step.world.mx
    usable = all(mx.reachable and mx.address and mx.mx_record and not mx.dead_over for mx in hosts)
    if view.case.has_dane or not in_order or not usable or step.world.policy.mx or len(hosts) < 2:
        return
    yield from first_by_preference(view, step, hosts, BY_PREFERENCE)


def first_by_preference(view: CaseView, step: Step, hosts: Iterable[MxHost], obligation: str) -> Iterator[Judgement]:
    """Judge whether the first connection of a step to one of these hosts went to one of the best preference."""
    preference = {absolute(mx.name, view.facts.domain): mx.preference for mx in hosts}
    since = view.attempts_began(step)
    met = [
        (event, fact)
        for event, fact in view.facts.of_kind(ConnectionAccepted, step.name)
        if fact.host in preference and fact.role == "mx" and not fact.via and event.at >= since
    ]
    if met and preference[met[0][1].host] > min(preference.values()):
        event, fact = met[0]
        expected, observed = "the host with the lowest preference number first", f"{fact.host} first"
        yield view.broken(obligation, "not-by-preference", step.name, expected, observed, [event])
