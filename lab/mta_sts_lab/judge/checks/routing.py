"""The order in which MX hosts are tried (RFC 5321, section 5.1), where no DANE has a say in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import MxHost, World
from mta_sts_lab.rfc.domain_names import absolute

BY_PREFERENCE = "SMTP-5.1-05"


@check(scope=Scope.STEP, obligations=(BY_PREFERENCE,))
def best_host_tried_first(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The first connection of a step goes to the host of the best preference among those that can be reached.

    Judged where nothing else is out of order, in this step and before it: a sender may pass over a host that its policy
    leaves out, and one that it remembers as being down.
    """
    before = [one for one in view.case.steps if one.name == step.name or view.step_times(one.name)]
    hosts = [mx for mx in step.world.mx if mx.reachable and mx.address and mx.mx_record and not mx.dead_over]
    in_order = all(_but_for_hosts(one.world) == _but_for_hosts(step.world) and not one.attacks for one in before)
    known = all(mx in one.world.mx for one in before for mx in hosts)
    if view.case.has_dane or not in_order or not known or step.world.policy.mx or len(hosts) < 2:
        return
    yield from first_by_preference(view, step, hosts, BY_PREFERENCE)


def _but_for_hosts(world: World) -> World:
    return replace(world, mx=())


def first_by_preference(view: CaseView, step: Step, hosts: Iterable[MxHost], obligation: str) -> Iterator[Judgement]:
    """Judge whether the first connection of a step to one of these hosts went to one of the best preference."""
    preference = {absolute(mx.name, view.facts.domain): mx.preference for mx in hosts}
    met = view.connections(step, preference)
    if met and preference[met[0][1].host] > min(preference.values()):
        event, fact = met[0]
        best = min(preference, key=lambda host: preference[host])
        expected, observed = (f"{host} first, of preference {preference[host]}" for host in (best, fact.host))
        yield view.broken(obligation, "not-by-preference", step.name, expected, observed, [event])
