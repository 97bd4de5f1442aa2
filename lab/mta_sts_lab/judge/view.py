"""One case as the checks see it: what was played, its facts, and its control case."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from mta_sts_lab.events import (
    ConnectionAccepted,
    DnsAnswered,
    Event,
    MessageInjected,
    NotSupported,
    StepBegan,
    StepEnded,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts, message_of_step
from mta_sts_lab.judge.policies_in_force import fetched_policies
from mta_sts_lab.judge.policy_lookups import older_policy, saw_a_newer_policy, still_lasts
from mta_sts_lab.judge.protection import CLEAR_UNDER_DANE, MISMATCH_UNDER_DANE, OF_DANE, OF_REQUIRETLS
from mta_sts_lab.model.case import Case, Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade, Outcome, Requirement, least
from mta_sts_lab.model.target import About
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.rfc.require_tls import goes_without_tls

#: The obligations that an expectation may let count for more than their level, and for how much.
ABOVE_THEIR_LEVEL = {
    # "Messages may be delivered" under testing: who holds them breaks no word of it, and holds mail for nothing.
    "STS-5-05": Grade.WEAK,
}

#: How the obligations of a sender that looks for policies, fetches and keeps them begin (RFC 8461, section 3).
_DISCOVERY = "STS-3."

#: How the obligations begin that are about notices alone (RFC 5321, section 6.1).
_NOTICES = "SMTP-6.1-"

#: To go on to the next address forbids no leak either (RFC 5321, section 5.1).
_NEXT_ADDRESS = "SMTP-5.1-06"

#: How the field is written that waives what a policy demands (RFC 8689): whoever follows no policy has misread nothing.
_WAIVER = "RTLS-3-04"

#: The outcomes in which nobody on the path reads a message.
_PROTECTED_OUTCOMES = {"deferred", "bounced", "delivered-authenticated"}

#: What DANE says of mail in clear, and under a certificate that does not count.
_SAME_UNDER_DANE = {"STS-5-03": CLEAR_UNDER_DANE, "STS-5-02": MISMATCH_UNDER_DANE}


@dataclass(frozen=True, slots=True, eq=False)
class CaseView:
    """The input of a check."""

    case: Case
    facts: CaseFacts
    #: Facts about the whole run (the lab's own failures, a target that died).
    of_run: CaseFacts
    #: The same scenario without a policy; None for the control case itself, or when it is not on record.
    control: CaseFacts | None
    #: The verdict on the control case.
    control_verdict: Verdict | None
    requirements: Mapping[str, Requirement]
    #: What the target says about itself.
    about: About
    #: When the clock of the record stood at 0 (RFC 3339); empty if the record does not say.
    clock_began: str = ""
    #: Whether a report of the target's arrived in any case of the run.
    sends_reports: bool = True
    #: The copies, in any case of the run, that arrived after the target's queue no longer held their message.
    belying_the_queue: tuple[Event, ...] = ()
    #: Whether anything in the record shows that the target's clock moved when it was asked to.
    clock_seen_to_move: bool = True

    @property
    def end(self) -> float:
        """When the case's last event happened, in seconds since the run began."""
        return self.facts.events[-1].at if self.facts.events else 0.0

    @property
    def is_protected(self) -> bool:
        """Whether mail may not be delivered just anyhow: by a policy that is enforced, by DANE, or by REQUIRETLS."""
        required = any(step.message.requiretls for step in self.case.steps)
        return self.case.mode is Mode.ENFORCE or self.case.has_dane or required

    def step_times(self, step: str) -> tuple[float, float] | None:
        """Return when a step began and ended; None if it was not played to its end."""
        began = self.facts.of_kind(StepBegan, step)
        ended = self.facts.of_kind(StepEnded, step)
        return (began[0][0].at, ended[-1][0].at) if began and ended else None

    def offered(self, step: Step) -> bool:
        """Whether the target offered what a step needs, and every step before it: the others were not played."""
        lacking = [event.step for event, _ in self.facts.of_kind(NotSupported)]
        if not lacking:
            return True
        names = [step.name for step in self.case.steps]
        return lacking[0] in names and names.index(step.name) < names.index(lacking[0])

    def ended_with_its_first_message(self) -> Outcome | None:
        """Return what became of the first message, if it was not delivered and the runner played no further step."""
        first, *others = self.case.steps
        played = [event.step for event, _ in self.facts.of_kind(StepBegan)]
        message = self.message(first) if others and self.facts.ended and played == [first.name] else None
        return message.outcome() if message is not None and not message.outcome().delivered else None

    def message(self, step: Step) -> MessageFacts | None:
        """Return the message of a step, as things stood when the step ended.

        A message that the queue no longer held by then was not lost if a notice of its failure came later: it was
        returned, and things are taken as they stood when that arrived.
        """
        times = self.step_times(step.name)
        message = message_of_step(self.facts, step.name, times[1]) if times else None
        if message is None and times and step.expect is not None and not step.send:
            message = self._watched_in(*times)
        if message is None or message.outcome() is not Outcome.LOST:
            return message
        at_the_end = replace(message, until=self.end)
        notices = at_the_end.bounces()
        return replace(message, until=notices[0].at) if notices and not at_the_end.copies() else message

    def _watched_in(self, began: float, ended: float) -> MessageFacts | None:
        """Return the message that was sent last before a step, as the step that watches it saw it."""
        sent = [fact.token for event, fact in self.facts.of_kind(MessageInjected) if event.at < began]
        return MessageFacts(self.facts, sent[-1], began, ended) if sent else None

    def attempts_began(self, step: Step) -> float:
        """Return when the target first looked for the domain's hosts in a step; infinity if it never did.

        What came before belongs to an attempt from before the step, when the domain may have been another one. A target
        that remembers the hosts asks for none: its attempts began when it was handed the step's message, if none from
        before was still waiting.
        """
        times = self.step_times(step.name)
        asked = self.facts.queries("MX", *times) if times else []
        message = self.message_at_the_end(step)
        if asked or times is None or message is None or not self.remembers_the_hosts(step):
            return min(asked, default=math.inf)
        return math.inf if self._waits_from_before(times[0]) else message.handed_over_since()

    def connections(self, step: Step, hosts: Collection[str]) -> list[tuple[Event, ConnectionAccepted]]:
        """Return the target's connections to some hosts that began in a step, after it had looked for the hosts."""
        since = self.attempts_began(step)
        return [
            (event, fact)
            for event, fact in self.facts.of_kind(ConnectionAccepted, step.name)
            if fact.host in hosts and fact.role == "mx" and not fact.via and event.at >= since
        ]

    def _waits_from_before(self, began: float) -> bool:
        """Whether a message from before a step may have been tried in it."""
        sent = [fact.token for event, fact in self.facts.of_kind(MessageInjected) if event.at < began]
        return any(not MessageFacts(self.facts, token, 0.0, began).copies() for token in sent)

    def remembers_the_hosts(self, step: Step) -> bool:
        """Whether the target asked for no MX record in a step, not even of an alias: it went by what it remembered."""
        return all(fact.type != "MX" for _, fact in self.facts.of_kind(DnsAnswered, step.name))

    def watched_later(self, step: Step) -> bool:
        """Whether a later step that sends nothing says what has to become of a step's message."""
        own, steps = self.facts.message_of(step.name), self.case.steps
        watching = [one for one in steps[steps.index(step) + 1 :] if one.expect is not None and not one.send]
        seen = [message for one in watching if (message := self.message(one)) is not None]
        return own is not None and any(message.token == own[1].token for message in seen)

    def message_at_the_end(self, step: Step) -> MessageFacts | None:
        """Return the message of a step, as things stand at the end of the record."""
        return message_of_step(self.facts, step.name, self.end)

    def grade_of(self, obligation: str, expectation: Expectation | None = None) -> Grade:
        """Return how much breaking an obligation counts here: its level, or less if an expectation says so."""
        requirement = self.requirements.get(obligation)
        level = requirement.grade_when_broken if requirement else Grade.FAIL
        most = ABOVE_THEIR_LEVEL.get(obligation, level)
        if expectation is None or expectation.grade is None or obligation != expectation.obligation:
            return level
        return expectation.grade if expectation.grade is Grade.INCONCLUSIVE else least([expectation.grade, most])

    def broken(
        self,
        obligation: str,
        reason: str,
        step: str,
        expected: str,
        observed: str,
        evidence: list[Event],
        harm: Harm = Harm.NONE,
    ) -> Judgement:
        """Return a finding against the target: an obligation that it broke in a step, as grave as its level has it."""
        return Judgement(
            self.grade_of(obligation),
            reason,
            obligation=obligation,
            step=step,
            expected=expected,
            observed=observed,
            blame="target",
            evidence=numbers(evidence),
            harm=harm,
        )

    def leak_breaks(self, step: Step, otherwise: str) -> str:
        """Return the obligation that mail let out against the policy breaks: the step's own, or else another.

        The step's own counts where it is a MUST (advice, such as to go on to the next host, forbids no leak), and where
        its text can have been broken: a sender without MTA-STS reads no record and keeps no policy in the wrong way.
        """
        own = step.expect.obligation if step.expect else ""
        if otherwise in OF_REQUIRETLS:
            return otherwise
        if not own or self.grade_of(own) is not Grade.FAIL or own.startswith((_NOTICES, _NEXT_ADDRESS)):
            return otherwise
        without = "mta-sts" not in self.about.capabilities and not self.facts.policy_fetched(self.end)
        return otherwise if without and own.startswith((_DISCOVERY, _WAIVER)) else own

    def session_breaks(self, session: str, secured: bool, otherwise: str) -> str:
        """Return the row that mail in a session of the target's breaks: one of DANE if it breaks that, or another."""
        breach = self.facts.breach_in(session, secured)
        if breach is not None and breach.obligation in (*OF_DANE, *OF_REQUIRETLS):
            return breach.obligation
        without_policy = self.case.has_dane and self.case.mode is not Mode.ENFORCE
        return _SAME_UNDER_DANE.get(otherwise, otherwise) if without_policy else otherwise

    def not_primed(self, message: MessageFacts) -> bool:
        """Whether the target had set out for the policy but never got it, so that it could not keep it.

        That is the lab's doing or the machine's (a fetch that timed out), and no judgement on the target. One that
        never set out for the policy is another matter: it has no such excuse.
        """
        set_out = [event for event in self.facts.set_out_for_the_policy() if event.at < message.until]
        return bool(set_out) and not self.facts.policy_fetched(message.until)

    def policies_have_ended(self, at: float) -> bool:
        """Whether the target had fetched a policy, and max_age of each that it had fetched by then had passed."""
        fetched = fetched_policies(self.case, self.facts, at)
        lasting = (still_lasts(one.at, one.policy.max_age, at, self.of_run, forgets=False) for one in fetched)
        return bool(fetched) and not any(lasting)

    def has_nothing_to_keep(self, step: Step, message: MessageFacts) -> bool:
        """Whether the policy had ended when a step's message came, and no other one was to be had in that step.

        A sender that had not looked for a newer one in time left out advice, and no more (RFC 8461, section 10.2). One
        that had seen a newer one announced, and did not fetch it, has no such excuse.
        """
        if self.case.mode is not Mode.ENFORCE or self.case.has_dane or step.message.requiretls:
            return False
        hidden = any(use.channel != "smtp" and self.facts.fired(use.name, step.name) for use in step.attacks)
        fetched = any(event.at > message.injected for event in self.facts.policy_fetched(message.until))
        ended = hidden and not fetched and self.policies_have_ended(message.injected)
        return ended and not saw_a_newer_policy(self.case, self.facts, message)

    def forbids_clear(self, step: Step) -> bool:
        """Whether a message of this step, or one still held in it, may not be seen by an outsider.

        That is so under enforce, or with DANE, where the step demands that messages are held or arrive authenticated,
        and in steps without an expectation of their own (recovery), where the policy is in force and nothing hinders
        keeping it. A step that the target does not offer changed nothing for the target: what held before it still
        holds.
        """
        if not self.is_protected:
            return False
        if not self.offered(step):
            played = [one for one in self.case.steps if self.offered(one)]
            return bool(played) and self.forbids_clear(played[-1])
        whole = self.step_times(step.name) is not None
        message = self.message(step) if whole else self.message_at_the_end(step)
        if message is not None and self._has_no_policy_to_keep(step, message):
            return False
        if step.expect is not None:
            return set(step.expect.outcome) <= _PROTECTED_OUTCOMES and not goes_without_tls(step.message)
        return step.recovers and self._policy_is_kept()

    def _has_no_policy_to_keep(self, step: Step, message: MessageFacts) -> bool:
        unaware = self.not_primed(message) or self._kept_a_laxer_policy(message)
        return unaware or self.has_nothing_to_keep(step, message)

    def _kept_a_laxer_policy(self, message: MessageFacts) -> bool:
        older = older_policy(self.case, self.facts, message, self.of_run, self.about)
        return older is not None and older.mode not in ("", Mode.ENFORCE.value)

    def _policy_is_kept(self) -> bool:
        judged = [step.expect for step in self.case.steps if step.expect is not None]
        return bool(judged) and set(judged[-1].outcome) <= _PROTECTED_OUTCOMES


def inconclusive(reason: str, observed: str, step: str = "", blame: str = "nobody") -> Judgement:
    """Return an inconclusive judgement: something needed for a proof is missing."""
    return Judgement(Grade.INCONCLUSIVE, reason, step=step, observed=observed, blame=blame)


def numbers(events: list[Event]) -> tuple[int, ...]:
    """Return the numbers of some events, as evidence. The first few say enough."""
    return tuple(event.number for event in events[:8])
