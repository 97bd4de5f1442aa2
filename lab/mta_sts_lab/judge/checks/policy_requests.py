"""How often a target asks a policy host for its policy in a step."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.events import PolicyRequested
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView, numbers
from mta_sts_lab.model.case import PolicyRequests, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement

#: The reason of a target that asked for the policy less often than a step demands.
TOO_SELDOM = "requested-too-seldom"


@check(scope=Scope.STEP)
def policy_request_count(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Count a step's policy requests against the scenario's bounds."""
    bounds = step.expect.policy_requests if step.expect else None
    if bounds is None or view.step_times(step.name) is None:
        return
    requests = [event for event, _ in view.facts.of_kind(PolicyRequested, None if bounds.whole_case else step.name)]
    most = len(requests) if bounds.most is None else bounds.most
    within = bounds.least <= len(requests) <= most
    if not view.facts.policy_asked() and len(requests) < bounds.least and "mta-sts" not in view.about.capabilities:
        # A sender without MTA-STS: that it follows no policy shows elsewhere.
        return
    reason = "requested-too-often" if len(requests) > most else TOO_SELDOM
    yield Judgement(
        Grade.PASS if within else view.grade_of(bounds.obligation),
        "as-often-as-demanded" if within else reason,
        obligation=bounds.obligation,
        step=step.name,
        expected=_bounds(bounds),
        observed=_counted(len(requests)),
        blame="nobody" if within else "target",
        evidence=numbers(requests),
    )


def _bounds(bounds: PolicyRequests) -> str:
    if bounds.most is None:
        return f"{_counted(bounds.least)} at least"
    if bounds.least in (0, bounds.most):
        return f"{_counted(bounds.most)}{' at most' if bounds.least < bounds.most else ''}"
    return f"{bounds.least} to {_counted(bounds.most)}"


def _counted(requests: int) -> str:
    return "no policy request" if not requests else f"{requests} policy request{'' if requests == 1 else 's'}"
