"""What became of the message under attack in one case, in a few facts and one sentence, all of it from the events.

An *arm* is a case beside its siblings: the same attack with no policy, a policy in mode none, in testing, in enforce.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.events import (
    AttackFired,
    Event,
    LabFailed,
    MessageAccepted,
    PolicyRequested,
    StepBegan,
    StepEnded,
    TargetFailed,
    TokenRead,
)
from mta_sts_lab.judge.facts import CaseFacts, MessageFacts, message_of_step
from mta_sts_lab.judge.sessions import Sessions
from mta_sts_lab.model import Outcome, Verdict

#: Of several messages under attack the one that fared worst is told.
_WORST_FIRST = (
    Outcome.DELIVERED_CLEAR,
    Outcome.DELIVERED_UNAUTHENTICATED,
    Outcome.LOST,
    Outcome.BOUNCED,
    Outcome.UNSETTLED,
    Outcome.DEFERRED,
    Outcome.DELIVERED_AUTHENTICATED,
)


@dataclass(frozen=True, slots=True)
class Arm:
    """The facts of one arm. `outcome` is that of the message under attack; None when none was sent."""

    case: str
    mode: str
    outcome: Outcome | None = None
    #: Whether the policy was fetched (status 200) before the attack began.
    policy_learned: bool = False
    #: The answers to policy requests, in order (200, 404, 0 for none at all).
    policy_answers: tuple[int, ...] = ()
    #: The attacks in force, and those that fired.
    attacks: tuple[str, ...] = ()
    fired: tuple[str, ...] = ()
    #: How much outsiders read of the message: "message", "token" (how much more is not on record) or "" for nothing.
    read: str = ""
    #: Who read it: attacker, or path for anybody on it.
    reader: str = ""
    #: Why the target holds the message, in its own words.
    reason: str = ""
    #: How it arrived after the attack; None when it did not.
    later: Outcome | None = None
    #: Whether the body arrived as it was sent; None when it did not arrive at a genuine host.
    untouched: bool | None = None
    ended: bool = False
    #: An error of the lab, or a target that died: nothing is proved then.
    spoilt: bool = False
    #: The judge's word, where it has spoken.
    verdict: str = ""

    @property
    def sentence(self) -> str:
        """What happened, in one line: "delivered in clear and read by the attacker"."""
        if self.outcome is None:
            return self._qualified("no message was sent under attack")
        return self._qualified(_HAPPENED[self.outcome] + self._leaked() + self._afterwards())

    def _qualified(self, sentence: str) -> str:
        if self.spoilt:
            return f"{sentence}; but the lab or the sender itself failed, so this arm proves nothing"
        return sentence if self.ended else f"{sentence}; this arm was not played to its end"

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


_HAPPENED = {
    Outcome.DELIVERED_AUTHENTICATED: "delivered inside TLS to the authenticated host",
    Outcome.DELIVERED_UNAUTHENTICATED: "delivered inside TLS, but not to an authenticated host",
    Outcome.DELIVERED_CLEAR: "delivered in clear",
    Outcome.DEFERRED: "deferred",
    Outcome.BOUNCED: "bounced",
    Outcome.LOST: "lost",
    Outcome.UNSETTLED: "neither delivered nor provably deferred",
}

_ARRIVED = {
    Outcome.DELIVERED_AUTHENTICATED: "authenticated",
    Outcome.DELIVERED_UNAUTHENTICATED: "unauthenticated",
    Outcome.DELIVERED_CLEAR: "in clear",
}


def arm(
    case: str, mode: str, events: Sequence[Event], verdict: Verdict | None = None, retry_seconds: float = 0.0
) -> Arm:
    """Read the facts of an arm from its events. Where the judge has spoken, its word on the outcome is taken over.

    `retry_seconds` is as in the record's header; the judge's definition of "deferred" needs it.
    """
    facts = CaseFacts(case, events, retry_seconds)
    steps = attacked_steps(events)
    first = min((event.at for event in events if event.step in steps), default=float("inf"))
    told = Arm(
        case=case,
        mode=mode,
        policy_learned=bool(facts.policy_fetched(first)),
        policy_answers=tuple(fact.status for _, fact in facts.of_kind(PolicyRequested)),
        attacks=tuple(dict.fromkeys(name for _, fact in facts.of_kind(StepBegan) for name in fact.attacks)),
        fired=tuple(dict.fromkeys(fact.attack for _, fact in facts.of_kind(AttackFired))),
        ended=facts.ended,
        spoilt=bool(facts.of_kind(LabFailed) or facts.of_kind(TargetFailed)),
        verdict=verdict.grade.value if verdict else "",
    )
    found = _worst_message(facts, steps)
    return _with_message(told, found[0], found[1], verdict) if found else told


def attacked_steps(events: Sequence[Event]) -> tuple[str, ...]:
    """Return the steps with an attack in force; without any, the step named attack (there the world itself is bad)."""
    begun = [(event.step, event.fact.attacks) for event in events if isinstance(event.fact, StepBegan)]
    with_attack = tuple(step for step, attacks in begun if attacks)
    return with_attack or tuple(step for step, _ in begun if step == "attack")


def _worst_message(facts: CaseFacts, steps: Sequence[str]) -> tuple[str, MessageFacts] | None:
    """Return, of the messages of some steps, the one that fared worst when its step ended, with its step."""
    found = []
    for step in steps:
        ends = [event.at for event, _ in facts.of_kind(StepEnded, step)]
        message = message_of_step(facts, step, ends[-1] if ends else float("inf"))
        if message is not None:
            found.append((step, message))
    return min(found, key=lambda pair: _WORST_FIRST.index(pair[1].outcome()), default=None)


def _with_message(told: Arm, step: str, message: MessageFacts, verdict: Verdict | None) -> Arm:
    whole = MessageFacts(message.facts, message.token, message.injected, float("inf"))
    arrived = [fact for _, fact in whole.copies() if fact.role == "mx"]
    sent = message.facts.message_of(step)
    already = message.copies()
    after = [copy for event, copy in whole.copies() if all(event.number != before.number for before, _ in already)]
    read, reader = _reading(message.facts.events, message.token)
    judged = next((r.outcome for r in verdict.steps if r.step == step), None) if verdict else None
    reasons = [fact.reason for _, fact in message.queue() if fact.reason]
    return replace(
        told,
        outcome=judged or message.outcome(),
        read=read,
        reader=reader,
        reason=reasons[-1] if reasons else "",
        later=min((whole.kind_of(copy) for copy in after), key=_WORST_FIRST.index, default=None),
        untouched=all(copy.body_digest == sent[1].body_digest for copy in arrived) if arrived and sent else None,
    )


def _reading(events: Sequence[Event], token: str) -> tuple[str, str]:
    """Return how much of a message was read, and by whom.

    It was the whole message if the token was seen after the receiver had asked for the message, or if the session that
    it was seen on went on to deliver it.
    """
    sessions = Sessions()
    seen: dict[str, str] = {}
    whole = False
    for event in events:
        sessions.follow(event)
        fact = event.fact
        if isinstance(fact, TokenRead) and fact.token == token:
            seen[fact.session] = fact.reader
            whole = whole or sessions.of(fact.session).in_data
        elif isinstance(fact, MessageAccepted) and token in fact.tokens:
            whole = whole or fact.session in seen or fact.via in seen
    if not seen:
        return "", ""
    return "message" if whole else "token", "attacker" if "attacker" in seen.values() else "path"
