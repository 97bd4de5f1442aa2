"""What became of the message of each step of a case, and what decided about it: the facts behind a conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.events import AttackFired
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.policy_known import PolicyKnown, policy_known
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.judge.why_held import why_held
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.reports.case_outcome import reading


@dataclass(frozen=True, slots=True)
class ToldStep:
    """A step that sent a message."""

    name: str
    outcome: Outcome
    known: PolicyKnown
    #: How much outsiders read until the end of the case, and who: as in `CaseOutcome`.
    read: str = ""
    reader: str = ""
    #: Whether they read it while the mail server held it.
    read_while_held: bool = False
    #: How it arrived afterwards; None when it did not, or had arrived at once.
    later: Outcome | None = None
    #: The names of the attacks in force, by channel: all, and those that took effect.
    attacks: tuple[tuple[str, str], ...] = ()
    fired: tuple[tuple[str, str], ...] = ()
    #: What the mail server met and did not accept, where it held the message.
    why: str = ""
    #: Whether the scenario demands something of this message.
    judged: bool = False
    #: Whether its body arrived as it was sent.
    untouched: bool = False
    restarted: bool = False
    advanced: int = 0

    @property
    def kept(self) -> bool:
        """Whether it was not delivered."""
        return self.outcome in (Outcome.DEFERRED, Outcome.BOUNCED)

    def fired_on(self, channel: str) -> tuple[str, ...]:
        """Return the attacks on a channel that took effect."""
        return tuple(name for name, on in self.fired if on == channel)


def told_steps(view: CaseView) -> tuple[ToldStep, ...]:
    """Return the steps of a case that are worth telling: those under attack, and those that demand something.

    The honest mail of the first step is left out where something follows. A case without any of these has its last
    message told.
    """
    told = [one for step in view.case.steps if (one := _told(view, step)) is not None]
    chosen = [one for one in told if one.judged or one.attacks] or told[-1:]
    return tuple(one for one in chosen if len(chosen) == 1 or not _is_prelude(one))


def _is_prelude(step: ToldStep) -> bool:
    return step.name == "prime" and not step.attacks and step.outcome is Outcome.DELIVERED_AUTHENTICATED


def _told(view: CaseView, step: Step) -> ToldStep | None:
    message = view.message(step)
    if message is None:
        return None
    outcome = message.outcome()
    whole = replace(message, until=view.end)
    read, reader = reading(whole)
    in_force = {use.name: use.channel for use in step.attacks}
    fired = {fact.attack for _, fact in view.facts.of_kind(AttackFired, step.name)} & in_force.keys()
    return ToldStep(
        step.name,
        outcome,
        policy_known(view, message),
        read,
        reader,
        not outcome.delivered and bool(reading(message)[0]),
        None if outcome.delivered else _later(message, whole),
        tuple(in_force.items()),
        tuple((name, channel) for name, channel in in_force.items() if name in fired),
        why_held(message)[0] if not outcome.delivered else "",
        step.expect is not None,
        _untouched(view, step, whole),
        bool(step.restart),
        step.advance,
    )


def _untouched(view: CaseView, step: Step, message: MessageFacts) -> bool:
    sent = view.facts.message_of(step.name)
    arrived = [copy.body_digest for _, copy in message.copies() if copy.role == "mx"]
    return sent is not None and bool(arrived) and set(arrived) == {sent[1].body_digest}


def _later(message: MessageFacts, whole: MessageFacts) -> Outcome | None:
    before = {event.number for event, _ in message.copies()}
    kinds = [whole.kind_of(copy) for event, copy in whole.copies() if event.number not in before]
    return min(kinds, key=_WORST_FIRST.index, default=None)


_WORST_FIRST: Sequence[Outcome] = (
    Outcome.DELIVERED_CLEAR,
    Outcome.DELIVERED_UNAUTHENTICATED,
    Outcome.DELIVERED_AUTHENTICATED,
)
