"""Delivery is judged by the protection in force, in every case and every step, whatever the scenario asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.events import Event, MessageAccepted
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.monitors import arrives_less_protected
from mta_sts_lab.judge.checks.outcome import is_admitted
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.protection import OF_DANE
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.verdict import Judgement


@check(
    scope=Scope.EVERY_STEP,
    obligations=("STS-4-01", "STS-5-02", "STS-5-03", *OF_DANE),
)
def delivery_allowed_by_protection(view: CaseView, step: Step) -> Iterator[Judgement]:
    """No copy goes where the policy in force forbids it, also where the scenario only asks for delivery.

    Where the scenario itself forbids the outcome, that finding says the same.
    """
    for own in view.case.steps:
        message = view.message_at_the_end(own)
        for event, copy in message.copies() if message else []:
            breach = message.breach_of(copy) if message and event.step == step.name else None
            if breach is None or message is None or _found_by_the_scenario(view, own, message, event, copy):
                continue
            expected = "mail only where the policy in force allows it"
            observed = f"delivered to {breach.observed}"
            found = view.broken(breach.obligation, breach.reason, step.name, expected, observed, [event], breach.harm)
            yield replace(found, evidence=(event.number,))


def _found_by_the_scenario(
    view: CaseView, own: Step, message: MessageFacts, event: Event, copy: MessageAccepted
) -> bool:
    """Whether the expectation of a message's step, or the watch over held messages, forbids this copy."""
    if event.step != own.name:
        return arrives_less_protected(view, message, event, copy)
    at_the_end_of_step = view.message(own)
    return (
        own.expect is not None
        and at_the_end_of_step is not None
        and not {"any", "as-absent"} & set(own.expect.outcome)
        and not is_admitted(own.expect.outcome, at_the_end_of_step.outcome())
    )
