"""Plays cases: builds each case's world, sets the attacks, sends, and waits until what happened is settled.

All ordinary cases are played at once, each under names and addresses of its own. Cases that change the target itself
(restart, clock) are played afterwards, the arms of one scenario side by side, the change made once for all of them.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from lab.attacks.campaign import Campaign
from lab.deadlines import Deadline
from lab.events import (
    BounceReceived,
    CaseEnded,
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    DeadlinePassed,
    DnsAnswered,
    InjectionRefused,
    MessageAccepted,
    MessageInjected,
    NotSupported,
    PolicyRequested,
    QueueSeen,
    StepBegan,
    StepEnded,
    TargetFailed,
    TlsFailed,
)
from lab.judge.facts import CaseFacts, MessageFacts
from lab.model import Case, Mode, Outcome, Step
from lab.record import Recorder
from lab.runner.change import TargetChange, arms_of_changing_cases
from lab.runner.patience import Patience
from lab.runner.queue_watch import QueueWatch
from lab.runner.report_call import CAPABILITY, ReportCall
from lab.targets.contract import About, InjectionRefusedError, NotOffered, Target, TargetError
from lab.world.internet import SENDER_DOMAIN, CaseWorld, Internet
from lab.world.message import ProbeMessage, probe_message

#: Seconds between two looks while nothing happens: only deadlines pass then, and those are ten times longer.
_LOOK_UP = 0.25

#: What can change the outcome of a message: only these wake up who waits for it.
_DECISIVE = (MessageAccepted, BounceReceived, QueueSeen)

#: Where no queue is shown a hold is proved by the attempts, and those begin with a query.
_DECISIVE_WITHOUT_QUEUE = (MessageAccepted, BounceReceived, DnsAnswered)


class LabBroken(Exception):
    """The lab itself failed: there is no use in playing on, and what came of it would be blamed on the target."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that cases are played on."""

    target: Target
    about: About
    internet: Internet
    campaign: Campaign
    recorder: Recorder
    watch: QueueWatch
    patience: Patience
    random: random.Random


async def play(stage: Stage, cases: Sequence[Case], supporting: frozenset[str]) -> None:
    """Play all cases. Whatever goes wrong in one is on record and leaves the others alone."""
    stage.watch.start()
    try:
        gate = asyncio.Semaphore(stage.patience.cases_at_once)
        playable = [case for case in cases if set(case.needs) <= set(stage.about.capabilities)]
        ordinary = [case for case in playable if not case.changes_target]
        call = ReportCall(stage.target, stage.recorder, ordinary, CAPABILITY in stage.about.capabilities)
        try:
            async with asyncio.TaskGroup() as group:
                for case in ordinary:
                    playing = _Playing(stage, case, case.id in supporting, gate=gate, call=call)
                    group.create_task(_gated(gate, playing.play()), name=case.id)
        except BaseException:
            await call.abandon()
            raise
        # Before the target is restarted or its clock is moved: both may cost it what it has counted.
        if not stage.watch.broken:
            await call.finish()
        for arms in arms_of_changing_cases(playable):
            change = TargetChange(stage.target, stage.watch, stage.recorder, [case.id for case in arms])
            async with asyncio.TaskGroup() as group:
                for case in arms:
                    playing = _Playing(stage, case, case.id in supporting, change=change)
                    group.create_task(playing.play(), name=case.id)
        await _quiet_queue(stage)
    finally:
        await stage.watch.stop()


async def _gated(gate: asyncio.Semaphore, work: Awaitable[None]) -> None:
    async with gate:
        await work


async def _quiet_queue(stage: Stage) -> None:
    """Wait until the target has nothing of ours left, so that a late second copy is still on record."""
    give_up = time.monotonic() + stage.patience.bounce.seconds
    while time.monotonic() < give_up and not stage.watch.broken:
        try:
            held = await stage.target.queue()
        except TargetError:
            return
        if not held:
            return
        await stage.recorder.changed("", stage.watch.pause.seconds)


@dataclass(slots=True)
class _Sent:
    """A message that the target took."""

    token: str
    recipient: str
    at: float


@dataclass(slots=True)
class _Playing:
    """One case while it is played."""

    stage: Stage
    case: Case
    supporting: bool
    #: What the arms of a case that changes the target have in common; an ordinary case has the other two instead.
    change: TargetChange | None = None
    gate: asyncio.Semaphore | None = None
    call: ReportCall | None = None
    sent: list[_Sent] = field(default_factory=list)
    _case_facts: CaseFacts | None = None

    async def play(self) -> None:
        """Play the case from its first step to its last."""
        recorder = self.stage.recorder
        try:
            world = await self.stage.internet.add_case(self.case, supporting=self.supporting)
            for number, step in enumerate(self.case.steps):
                await self._step(world, step)
                if number == 0 and self.sent and not self._facts(self.sent[0]).outcome().delivered:
                    # Without an honest delivery the case proves nothing: the judge will say so, and why wait longer.
                    await self._leave()
                    break
            recorder.write(CaseEnded(), self.case.id)
        except LabBroken:
            await self._leave()
        except NotOffered as error:
            recorder.write(NotSupported(what=str(error)), self.case.id)
            await self._leave()
        except (TargetError, asyncio.BrokenBarrierError) as error:
            recorder.write(TargetFailed(what=str(error) or "another arm of this scenario failed"), self.case.id)
            await self._leave()
        except Exception as error:  # noqa: BLE001 - on record as a lab error, which no verdict survives as a pass
            recorder.lab_failed(f"while playing {self.case.id}", error, self.case.id)
            await self._leave()
        finally:
            for message in self.sent:
                self.stage.watch.forget(message.token)
            if self.call is not None:
                self.call.leave(self.case.id)

    async def _leave(self) -> None:
        if self.change is not None:
            await self.change.leave()

    async def _step(self, world: CaseWorld, step: Step) -> None:
        self._give_up_when_hopeless()
        recorder = self.stage.recorder
        recorder.enter_step(self.case.id, step.name)
        await world.end_sessions()
        await self._answers_forgotten(step)
        await world.arrange(step.world)
        await self.stage.campaign.begin(world, step.attacks)
        recorder.write(StepBegan(attacks=tuple(attack.name for attack in step.attacks)), self.case.id)
        if (step.restart or step.advance) and self.change is not None:
            try:
                await self.change.make(step)
            except NotOffered:
                # The case ends here, and what is still held must not meet an attack that nobody watches.
                await self.stage.campaign.end(world)
                raise
        if step.send:
            await self._send(world, step)
        if step.recovers and self._lets_mail_through(step):
            await self._recover()
        if step.reports:
            await self._reports()
        recorder.write(StepEnded(), self.case.id)
        await self.stage.campaign.end(world)

    async def _answers_forgotten(self, step: Step) -> None:
        """Let the target forget what DNS told it, before an attack on the answers: it could not meet that otherwise."""
        if all(attack.channel != "dns" for attack in step.attacks):
            return
        give_up = time.monotonic() + self.stage.about.dns_memory_seconds
        while (remaining := give_up - time.monotonic()) > 0:
            self._give_up_when_hopeless()
            await self.stage.recorder.changed(self.case.id, remaining)

    async def _reports(self) -> None:
        """Have the target send its reports now, together with whoever else waits for that."""
        if CAPABILITY not in self.stage.about.capabilities:
            return
        if self.change is not None:
            await self.change.reports()
        elif self.call is not None and self.gate is not None:
            await self.call.wait(self.case.id, self.gate)

    # -- sending

    async def _send(self, world: CaseWorld, step: Step) -> None:
        token = f"{self.stage.random.getrandbits(64):016x}"
        message = probe_message(token, SENDER_DOMAIN, world.domain, "The figures for the third quarter")
        recorder = self.stage.recorder
        try:
            reply = await self._injected(message)
        except InjectionRefusedError as error:
            recorder.write(InjectionRefused(token=token, recipient=message.recipient, reply=str(error)), self.case.id)
            return
        event = recorder.write(
            MessageInjected(
                token=token,
                sender=message.sender,
                recipient=message.recipient,
                reply=reply,
                body_digest=message.digest,
            ),
            self.case.id,
        )
        sent = _Sent(token, message.recipient, event.at)
        self.sent.append(sent)
        self.stage.watch.follow(token, self.case.id, message.recipient)
        # A step that demands nothing of its message is there to see it delivered; being held is no end of that.
        unfinished = (Outcome.UNSETTLED,) if step.expect is not None else (Outcome.UNSETTLED, Outcome.DEFERRED)
        await self._settle(sent, self.stage.patience.settle, lambda outcome: outcome not in unfinished)
        unsettled = self._facts(sent).outcome() is Outcome.UNSETTLED
        if step.learns_policy and self.case.mode is not Mode.ABSENT and not unsettled:
            await self._policy_learned()

    async def _injected(self, message: ProbeMessage) -> str:
        """Hand a message to the target; stop waiting for its reply as soon as the target is known to be broken."""
        deadline, watch = self.stage.patience.inject, self.stage.watch
        injecting = asyncio.ensure_future(self.stage.target.inject(message.sender, message.recipient, message.content))
        breaking = asyncio.ensure_future(watch.breaks.wait())
        try:
            await asyncio.wait({injecting, breaking}, timeout=deadline.seconds, return_when=asyncio.FIRST_COMPLETED)
            if injecting.done():
                return injecting.result()
        finally:
            injecting.cancel()
            breaking.cancel()
            await asyncio.gather(injecting, breaking, return_exceptions=True)
        self._give_up_when_hopeless()
        raise TargetError(f"{deadline.name}: no reply to an injected message within {deadline.seconds:g} s")

    # -- waiting

    def _facts(self, sent: _Sent) -> MessageFacts:
        if self._case_facts is None:
            # The list grows while the case is played, and what has been sorted of it stays sorted.
            events = self.stage.recorder.of_case(self.case.id)
            self._case_facts = CaseFacts(self.case.id, events, self.stage.about.retry_seconds)
        return MessageFacts(self._case_facts, sent.token, sent.at, math.inf)

    async def _settle(self, sent: _Sent, deadline: Deadline, done: Callable[[Outcome], bool]) -> None:
        """Wait until a message's outcome satisfies `done`, asking for another attempt while it is merely held."""
        began = time.monotonic()
        gone_since = 0.0
        seen = -1
        while True:
            events = self.stage.recorder.of_case(self.case.id)
            decisive = _DECISIVE if self.stage.watch.offered else _DECISIVE_WITHOUT_QUEUE
            if any(isinstance(event.fact, decisive) for event in events[max(seen, 0) :]) or seen < 0:
                outcome = self._facts(sent).outcome()
            seen = len(events)
            now = time.monotonic()
            if outcome is Outcome.LOST:
                gone_since = gone_since or now
            if done(outcome) and (outcome is not Outcome.LOST or now - gone_since > self._bounce_seconds):
                if outcome.delivered:
                    await self._handed_over(sent)
                return
            self._give_up_when_hopeless()
            longest = self._longest(sent, deadline)
            if now - began > longest.seconds:
                self._passed(longest, f"{sent.recipient} is {outcome.value}")
                return
            if now - began >= self.stage.about.retry_seconds and self._idle(sent):
                self.stage.watch.retry(sent.token)
            await self.stage.recorder.changed(self.case.id, _LOOK_UP)

    def _longest(self, sent: _Sent, deadline: Deadline) -> Deadline:
        """Return a deadline with room for retries and, while the target says that it is at work, for the attempt."""
        patience, about = self.stage.patience, self.stage.about
        longest = patience.with_retries(deadline, about.retry_seconds, self.stage.watch.flushes)
        seen = self._facts(sent).queue()
        if not seen or seen[-1][1].state != "active":
            return longest
        return Deadline(patience.attempt.name, longest.seconds + patience.attempt.seconds)

    @property
    def _bounce_seconds(self) -> float:
        return self.stage.patience.bounce.seconds

    def _idle(self, sent: _Sent) -> bool:
        """Whether the target holds the message and is not trying it now. One that is busy is not to be pushed again."""
        message = self._facts(sent)
        seen = message.queue()
        if not seen:
            return not self.stage.watch.offered
        at = seen[-1][0].at
        return seen[-1][1].state == "deferred" and not message.facts.contacts(at)

    async def _handed_over(self, sent: _Sent) -> None:
        """Wait until the target knows, too, that its message was accepted.

        Whoever ends an attacker's session between the MX's 250 and the target makes the target send a second copy, and
        would then blame it for that (RFC 5321, section 4.2.5).
        """
        deadline = self.stage.patience.hand_over
        give_up = time.monotonic() + deadline.seconds
        while not self._target_knows(sent):
            self._give_up_when_hopeless()
            remaining = give_up - time.monotonic()
            if remaining <= 0:
                self._passed(deadline, f"the target to let go of {sent.recipient}")
                return
            await self.stage.recorder.changed(self.case.id, remaining)

    def _target_knows(self, sent: _Sent) -> bool:
        message = self._facts(sent)
        if self.stage.watch.offered:
            return message.gone()
        closed = {fact.session for _, fact in message.facts.of_kind(ConnectionClosed)}
        return all((copy.via or copy.session) in closed for _, copy in message.copies())

    def _give_up_when_hopeless(self) -> None:
        """Stop waiting once nothing more can be proved: the target is broken, or the lab is."""
        if self.stage.watch.broken:
            raise TargetError(self.stage.watch.broken)
        if self.stage.recorder.has_failed(self.case.id):
            raise LabBroken("the lab failed; the record says where")

    def _passed(self, deadline: Deadline, waited_for: str) -> None:
        self.stage.recorder.write(
            DeadlinePassed(deadline=deadline.name, seconds=deadline.seconds, waited_for=waited_for), self.case.id
        )

    def _lets_mail_through(self, step: Step) -> bool:
        """Whether older mail can be waited for. A step that sends shows it by its own message: held is held."""
        return not step.send or self._facts(self.sent[-1]).outcome() is not Outcome.DEFERRED

    async def _recover(self) -> None:
        """Wait until everything that earlier steps left in the queue has arrived."""
        deadline = self.stage.patience.recover
        for sent in self.sent:
            outcome = self._facts(sent).outcome()
            if outcome in (Outcome.DEFERRED, Outcome.UNSETTLED):
                await self._settle(sent, deadline, lambda outcome: outcome not in (Outcome.DEFERRED, Outcome.UNSETTLED))
            elif outcome is Outcome.LOST:
                await self._turn_up(sent)

    async def _turn_up(self, sent: _Sent) -> None:
        """Give a message that the queue does not show the chance to arrive all the same.

        One that does was never lost: then it is the view of the queue that is wrong, and nothing is proved by it.
        """
        give_up = time.monotonic() + self._bounce_seconds
        self.stage.watch.retry(sent.token)
        while self._facts(sent).outcome() is Outcome.LOST and time.monotonic() < give_up:
            self._give_up_when_hopeless()
            await self.stage.recorder.changed(self.case.id, min(_LOOK_UP, self._bounce_seconds))

    async def _policy_learned(self) -> None:
        """Wait until the target has been at the policy host, which RFC 8461 lets it do after the delivery."""
        deadline = self.stage.patience.learn_policy
        give_up = time.monotonic() + deadline.seconds
        while not self._policy_host_answered():
            self._give_up_when_hopeless()
            remaining = give_up - time.monotonic()
            if remaining <= 0:
                self._passed(deadline, "a policy request")
                return
            await self.stage.recorder.changed(self.case.id, remaining)
        await self._policy_stored()

    async def _policy_stored(self) -> None:
        """Give a target that fetched after it had delivered the time to take in what it got.

        Nothing on the wire shows when that is done, and an attack that begins before would blame it for that.
        """
        step = self.stage.recorder.step_of(self.case.id)
        facts = CaseFacts(self.case.id, self.stage.recorder.of_case(self.case.id))
        delivered = [event.at for event, _ in facts.of_kind(MessageAccepted, step)]
        answered = [event.at for event, _ in facts.of_kind(PolicyRequested, step)]
        if not delivered or not answered or answered[-1] < delivered[0]:
            return
        give_up = time.monotonic() + self.stage.patience.policy_stored.seconds
        while (remaining := give_up - time.monotonic()) > 0:
            self._give_up_when_hopeless()
            await self.stage.recorder.changed(self.case.id, remaining)

    def _policy_host_answered(self) -> bool:
        """Whether the target has got an answer, a refusal, or left the policy host by itself."""
        step = self.stage.recorder.step_of(self.case.id)
        events = [event for event in self.stage.recorder.of_case(self.case.id) if event.step == step]
        facts = CaseFacts(self.case.id, events)
        reached = [event.fact for event in facts.policy_host_reached()]
        sessions = {fact.session for fact in reached if isinstance(fact, ConnectionAccepted)}
        ended = [fact for _, fact in facts.of_kind(ConnectionClosed)] + [fact for _, fact in facts.of_kind(TlsFailed)]
        return (
            bool(facts.of_kind(PolicyRequested))
            or any(isinstance(fact, ConnectionDenied) for fact in reached)
            or any(fact.session in sessions for fact in ended)
        )
