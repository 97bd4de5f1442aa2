"""Whether a target lives by a policy that was replaced without its knowledge.

RFC 8461, section 5.1: while a cached policy lasts a sender uses it; it may look for a newer one with every message, and
has to before it returns mail. So one that did not look since the policy was replaced breaks no MUST by keeping the
older. But domains are told that a new id is seen once the record's TTL has passed (section 8.1), and senders are not to
wait until a policy expires (section 10.2): that is advice, and it was not followed. One that looks and does not see is
another matter.
"""

from __future__ import annotations

from mta_sts_lab.events import StepBegan
from mta_sts_lab.judge.facts import CaseFacts, MessageFacts
from mta_sts_lab.model import Case, Policy

#: The advice that such a sender does not follow.
LOOKS_IN_TIME = "STS-10.2-01"


def older_policy(case: Case, facts: CaseFacts, message: MessageFacts) -> Policy | None:
    """Return the policy that the target fetched last, if it was replaced before a message and nobody looked since."""
    served = {step.name: step.world.policy for step in case.steps}
    fetched = facts.policy_fetched(message.until)
    held = served.get(fetched[-1].step) if fetched else None
    if held is None:
        return None
    last = fetched[-1]
    began = [event for event, _ in facts.of_kind(StepBegan) if last.at < event.at <= message.until]
    replaced = next((event.at for event in began if served.get(event.step) not in (None, held)), None)
    if replaced is None or any(replaced < event.at <= message.until for event in facts.policy_asked()):
        return None
    return held
