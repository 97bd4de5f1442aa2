"""What a sender makes of mx lines that are no patterns (RFC 8461, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.outcome import control_outcome
from mta_sts_lab.judge.policies_in_force import served_texts
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.rfc.domain_names import is_mx_pattern
from mta_sts_lab.rfc.policy import values_of

NO_PATTERN = "STS-3.2-11"
SEVERAL_IN_A_LINE = "STS-3.2-12"


@check(scope=Scope.CASE, obligations=(NO_PATTERN, SEVERAL_IN_A_LINE))
def malformed_pattern_matches_nothing(view: CaseView) -> Iterator[Judgement]:
    """A line that is no pattern lists no host.

    It was taken for one where mail arrives under a certificate that is in order and is held under another one, both
    under the same policy, all of whose lines are such. A sender that takes the policy for no policy delivers both, and
    one that finds no host in it holds both.
    """
    served = served_texts(view.case, view.facts.domain) if view.case.mode.has_policy else {}
    outcomes: dict[str, dict[Outcome, str]] = {}
    for step in view.case.steps:
        if not step.send or step.name not in served or served[step.name].valid:
            continue
        message, values = view.message(step), values_of(served[step.name].lines, "mx")
        if message is None or not values or any(map(is_mx_pattern, values)):
            continue
        outcomes.setdefault("\n".join(values), {})[message.outcome()] = step.name
    for text, found in outcomes.items():
        held, arrived = found.get(Outcome.DEFERRED), found.get(Outcome.DELIVERED_AUTHENTICATED)
        own = next((one for one in view.case.steps if one.name == held), None)
        message = view.message(own) if own is not None else None
        if own is None or arrived is None or message is None or not view.facts.policy_fetched(message.injected):
            continue
        met = [event for use in own.attacks for event in view.facts.fired(use.name, own.name)]
        there = control_outcome(view, own)
        if not met or there is None or not there.delivered:
            continue  # it met no bad certificate, or it holds for one without any policy
        row = SEVERAL_IN_A_LINE if re.search(r"[,\s]", text) else NO_PATTERN
        expected = f"{text!r} matches no host"
        observed = "mail arrived under a valid certificate and waited under a bad one: it was taken for a pattern"
        yield view.broken(row, "malformed-pattern-honoured", own.name, expected, observed, met)
