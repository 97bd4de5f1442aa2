"""What became of the message under attack in one case, as a few values and one sentence.

The outcome is the judge's; where a case was not judged, the judge's own functions are asked about its events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.events import (
    AttackFired,
    Event,
    LabFailed,
    PolicyRequested,
    StepBegan,
    StepEnded,
    TargetFailed,
    TokenRead,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts, message_of_step
from mta_sts_lab.judge.policies_in_force import PoliciesInForce
from mta_sts_lab.judge.sessions import Sessions
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What a case shows. `outcome` is that of the message under attack; None when none was sent."""

    case: str
    mode: str
    outcome: Outcome | None = None
    #: Whether the policy was fetched (status 200) before the attack began.
    policy_learned: bool = False
    #: The answers to policy requests, in order (200, 404, 0 for none at all).
    policy_answers: tuple[int, ...] = ()
    #: The attacks in force, without those that had nothing to act on and need not have, and those that fired.
    attacks: tuple[str, ...] = ()
    fired: tuple[str, ...] = ()
    #: How much outsiders read of the message: "message", "token" (how much more is not on record) or "" for nothing.
    read: str = ""
    #: Who read it: attacker, or path for anybody on it.
    reader: str = ""
    #: How it arrived after the attack; None when it did not.
    later: Outcome | None = None
    #: Whether the body arrived as it was sent; None when it did not arrive at a genuine host.
    untouched: bool | None = None
    ended: bool = False
    #: Whether the lab had an error or the target died: nothing is proved then.
    broken: bool = False
    #: The grade of the case, if it was judged.
    verdict: str = ""

    @property
    def sentence(self) -> str:
        """What happened, in one line: "delivered in clear and read by the attacker"."""
        if self.outcome is None:
            return self._qualified("no message was sent under attack")
        return self._qualified(_HAPPENED[self.outcome] + self._leaked() + self._afterwards())

    def _qualified(self, sentence: str) -> str:
        if self.broken:
            return f"{sentence}; but the lab or the sender itself failed, so this case proves nothing"
        return sentence if self.ended else f"{sentence}; this case was not played to its end"

    def _leaked(self) -> str:
        who = "the attacker" if self.reader == "attacker" else "anyone on the path"
        if self.read == "message":
            return f" and read by {who}"
        if self.read == "token":
            return f", its token read by {who}"
        held = self.outcome in (Outcome.DEFERRED, Outcome.BOUNCED)
        return ", nothing leaked" if held and self.ended else ""

    def _afterwards(self) -> str:
        if self.outcome is None or self.outcome.delivered:
            return ""
        if self.later is None:
            return ", not arrived when the case ended" if self.ended else ""
        how = _ARRIVED[self.later]
        if self.untouched is not None:
            how = f"untouched and {how}" if self.untouched else f"altered and {how}"
        return f", arrived {how} once the attack ended"


#: What happened, in words. The worst comes first: of several messages under attack that one is described.
_HAPPENED = {
    Outcome.DELIVERED_CLEAR: "delivered in clear",
    Outcome.DELIVERED_UNAUTHENTICATED: "delivered inside TLS, but not to an authenticated host",
    Outcome.LOST: "lost",
    Outcome.BOUNCED: "bounced",
    Outcome.UNSETTLED: "neither delivered nor provably deferred",
    Outcome.DEFERRED: "deferred",
    Outcome.DELIVERED_AUTHENTICATED: "delivered inside TLS to the authenticated host",
}
_WORST_FIRST = tuple(_HAPPENED)

_ARRIVED = {
    Outcome.DELIVERED_AUTHENTICATED: "authenticated",
    Outcome.DELIVERED_UNAUTHENTICATED: "unauthenticated",
    Outcome.DELIVERED_CLEAR: "in clear",
}


def case_outcome(
    case: str,
    mode: str,
    events: Sequence[Event],
    verdict: Verdict | None = None,
    retry_seconds: float = 0.0,
    played: Case | None = None,
) -> CaseOutcome:
    """Return what a case shows. `retry_seconds` is as in the record's header; "deferred" is defined by it.

    The case as it was `played` says which certificates authenticate hosts that have DANE.
    """
    facts = CaseFacts(case, events, retry_seconds)
    if played is not None and played.has_dane:
        facts.in_force = PoliciesInForce(played, facts, CaseFacts("", ())).for_session
    steps = attacked_steps(events)
    first = min((event.at for event in events if event.step in steps), default=float("inf"))
    in_force = dict.fromkeys(name for _, fact in facts.of_kind(StepBegan) for name in fact.attacks)
    fired = tuple(dict.fromkeys(fact.attack for _, fact in facts.of_kind(AttackFired)))
    uses = [use for step in played.steps for use in step.attacks] if played is not None else []
    optional = {use.name for use in uses if use.optional}
    shown = CaseOutcome(
        case=case,
        mode=mode,
        policy_learned=bool(facts.policy_fetched(first)),
        policy_answers=tuple(fact.status for _, fact in facts.of_kind(PolicyRequested)),
        attacks=tuple(one for one in in_force if one in fired or one not in optional),
        fired=fired,
        ended=facts.ended,
        broken=bool(facts.of_kind(LabFailed) or facts.of_kind(TargetFailed)),
        verdict=verdict.grade.value if verdict else "",
    )
    found = _worst_message(facts, steps, verdict)
    return _with_message(shown, *found) if found else shown


def attacked_steps(events: Sequence[Event]) -> tuple[str, ...]:
    """Return the steps with an attack in force; without any, the step named attack (there the world itself is bad)."""
    begun = [(event.step, event.fact.attacks) for event in events if isinstance(event.fact, StepBegan)]
    with_attack = tuple(step for step, attacks in begun if attacks)
    return with_attack or tuple(step for step, _ in begun if step == "attack")


def _worst_message(
    facts: CaseFacts, steps: Sequence[str], verdict: Verdict | None
) -> tuple[str, MessageFacts, Outcome] | None:
    """Return, of the messages of some steps, the one with the worst outcome when its step ended, with its step."""
    judged = {result.step: result.outcome for result in verdict.steps} if verdict else {}
    found = []
    for step in steps:
        ends = [event.at for event, _ in facts.of_kind(StepEnded, step)]
        message = message_of_step(facts, step, ends[-1] if ends else float("inf"))
        if message is not None:
            found.append((step, message, judged.get(step) or message.outcome()))
    return min(found, key=lambda one: _WORST_FIRST.index(one[2]), default=None)


def _with_message(shown: CaseOutcome, step: str, message: MessageFacts, outcome: Outcome) -> CaseOutcome:
    whole = replace(message, until=float("inf"))
    sent = message.facts.message_of(step)
    already = {event.number for event, _ in message.copies()}
    after = [copy for event, copy in whole.copies() if event.number not in already]
    arrived = [copy for _, copy in whole.copies() if copy.role == "mx"]
    read, reader = reading(whole)
    return replace(
        shown,
        outcome=outcome,
        read=read,
        reader=reader,
        later=min(map(whole.kind_of, after), key=_WORST_FIRST.index, default=None),
        untouched=all(copy.body_digest == sent[1].body_digest for copy in arrived) if arrived and sent else None,
    )


def reading(message: MessageFacts) -> tuple[str, str]:
    """Return how much of a message was read, and by whom.

    It was the whole message if the token was seen after the receiver had asked for the message, or if the session that
    it was seen on went on to deliver it.
    """
    readings = message.readings(secured=False) + message.readings(secured=True)
    seen = {event.fact.session: event.fact.reader for event in readings if isinstance(event.fact, TokenRead)}
    if not seen:
        return "", ""
    whole = any(copy.session in seen or copy.via in seen for _, copy in message.copies())
    numbers = {event.number for event in readings}
    sessions = Sessions()
    for event in message.facts.events:
        sessions.follow(event)
        if event.number in numbers and isinstance(event.fact, TokenRead):
            whole = whole or sessions.of(event.fact.session).in_data
    return "message" if whole else "token", "attacker" if "attacker" in seen.values() else "path"
