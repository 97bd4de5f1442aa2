"""What a sender makes of a certificate that its authority has revoked (RFC 8461, sections 3.3, 4.2 and 10.5).

It may look, and need not: what it does is recorded. See docs/ambiguities.md#revocation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.events import Event, RevocationListRequested
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.policies_in_force import fetched_policies
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode, Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import REVOKED
from mta_sts_lab.rfc.domain_names import policy_host_name
from mta_sts_lab.rfc.policy import lists

OF_MX_HOST = "STS-4.2-05"
OF_POLICY_HOST = "STS-3.3-07"

_EXPECTED = "a sender may look whether a certificate was revoked, and need not: sts-lab docs ambiguities#revocation"


@check(scope=Scope.STEP, obligations=(OF_MX_HOST,))
def revoked_mx_certificate(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Record that mail went to an MX host under a revoked certificate, where a policy demands a valid one."""
    message = view.message(step)
    if message is None or not _demands_certificates(view):
        return
    for event, copy in message.copies():
        if view.facts.certificate_of(copy.session) == REVOKED:
            done = f"delivered to {copy.host}, whose certificate"
            yield _recorded(view, step, OF_MX_HOST, "delivered-under-a-revoked-certificate", done, [event])


@check(scope=Scope.STEP, obligations=(OF_POLICY_HOST,))
def revoked_policy_host_certificate(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Record that a policy was used whose host shows a revoked certificate.

    That shows where mail goes to a host that the policy before it did not list: under that one the mail would wait.
    """
    message, times = view.message(step), view.step_times(step.name)
    if message is None or times is None or step.world.policy_host.certificate != REVOKED:
        return
    fetched = [one for one in fetched_policies(view.case, view.facts, message.until) if one.policy.valid]
    before, since = ([one for one in fetched if (one.at > times[0]) is late] for late in (False, True))
    kept = before[-1].protection.hosts if before and since else None
    if kept is None or not _demands_certificates(view):
        return
    for event, copy in message.copies():
        if not lists(kept, copy.host):
            done = f"used a policy of {policy_host_name(view.facts.domain)}, whose certificate"
            yield _recorded(view, step, OF_POLICY_HOST, "used-a-policy-of-a-revoked-host", done, [event])


def _demands_certificates(view: CaseView) -> bool:
    """Whether the case is about a policy that demands valid certificates, and about a target that keeps policies."""
    return view.case.mode is Mode.ENFORCE and "mta-sts" in view.about.capabilities


def _recorded(view: CaseView, step: Step, obligation: str, reason: str, done: str, evidence: list[Event]) -> Judgement:
    asked = [event for event, _ in view.facts.of_kind(RevocationListRequested, step.name)]
    looked = "although it asked for" if asked else "and it did not ask for"
    observed = f"{done} its authority has revoked, {looked} the list that says so"
    found = view.broken(obligation, reason, step.name, _EXPECTED, observed, [*evidence, *asked])
    return replace(found, blame="nobody")
