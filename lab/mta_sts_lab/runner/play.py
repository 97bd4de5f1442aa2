"""Plays cases: builds each case's world, sets the attacks, sends, and waits until the outcome is settled.

All ordinary cases are played side by side, each under names and addresses of its own. Cases that change the target
itself (restart, clock) are played afterwards, those together that can share a change; see `cases_by_change`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mta_sts_lab.events import (
    CaseEnded,
    Event,
    InjectionBegan,
    InjectionRefused,
    MessageInjected,
    NotSupported,
    OtherMessageInjected,
    StepBegan,
    StepEnded,
    TargetFailed,
)
from mta_sts_lab.judge.report_window import COUNTED_WITHIN
from mta_sts_lab.model.case import Case, Message, Step
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.rfc.published import BESIDE
from mta_sts_lab.rfc.require_tls import REQUIRETLS
from mta_sts_lab.runner.context import LabBroken, RunContext
from mta_sts_lab.runner.pacing import Gate
from mta_sts_lab.runner.settling import Sent, Settling
from mta_sts_lab.runner.shared_calls import ReportCall, TargetChange, cases_by_change, end_day_near_midnight
from mta_sts_lab.targets.contract import TLS_RPT, InjectionRefusedError, NotOffered, TargetError
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.message import ProbeMessage, probe_message


async def play(context: RunContext, cases: Sequence[Case], control_only: frozenset[str]) -> None:
    """Play all cases. An error in one is recorded and does not stop the others."""
    context.watch.start()
    try:
        gate = Gate(context.timeouts.cases_at_once)
        context.health.on_lag(gate.measured)
        playable = [case for case in cases if set(case.needs) <= set(context.about.capabilities)]
        ordinary = [case for case in playable if not case.changes_target]
        look, claimed = context.health.ask_report_hosts, TLS_RPT in context.about.capabilities
        await end_day_near_midnight(context.target, context.about, context.recorder, look, playable, time.time())
        call = ReportCall(context.target, context.recorder, look, ordinary, claimed)
        try:
            async with asyncio.TaskGroup() as group:
                for case in ordinary:
                    playing = _Playing(context, case, case.id in control_only, gate=gate, call=call)
                    group.create_task(_gated(gate, playing), name=case.id)
        except BaseException:
            await call.abandon()
            raise
        # Before the target is restarted or its clock is moved: it may lose its session counts by either.
        if not context.watch.broken:
            await call.finish()
        for together in cases_by_change(playable):
            names = [case.id for case in together]
            change = TargetChange(context.target, context.watch, context.recorder, look, names)
            try:
                async with asyncio.TaskGroup() as group:
                    for case in together:
                        playing = _Playing(context, case, case.id in control_only, change=change)
                        group.create_task(playing.play(), name=case.id)
            except BaseException:
                await change.abandon()
                raise
        await _quiet_queue(context)
    finally:
        await context.watch.stop()


async def _gated(gate: Gate, playing: _Playing) -> None:
    async with gate:
        await playing.play()


async def _quiet_queue(context: RunContext) -> None:
    """Wait until the target's queue is empty, so that a late second copy of a message is still recorded."""
    give_up = time.monotonic() + context.timeouts.bounce.seconds
    while time.monotonic() < give_up and not context.watch.broken:
        try:
            held = await context.target.queue()
        except TargetError:
            return
        if not held:
            return
        await context.recorder.changed("", context.watch.pause.seconds)


@dataclass(slots=True)
class _Playing:
    """One case while it is played."""

    context: RunContext
    case: Case
    control_only: bool
    #: The change that this case shares with others, if it changes the target; an ordinary case has the other two.
    change: TargetChange | None = None
    gate: Gate | None = None
    call: ReportCall | None = None
    #: When the last step that sent a message had ended, by the monotonic clock.
    sent_until: float = 0.0
    settling: Settling = field(init=False)

    def __post_init__(self) -> None:
        self.settling = Settling(self.context, self.case)

    async def play(self) -> None:
        """Play the case from its first step to its last."""
        recorder = self.context.recorder
        try:
            world = await self.context.internet.add_case(self.case, control_only=self.control_only)
            for number, step in enumerate(self.case.steps):
                await self._step(world, step)
                if number == 0 and not self.settling.first_was_delivered():
                    # Without this delivery the case proves nothing, and the judge will say so.
                    break
            await self.context.health.ask(world)
            recorder.write(CaseEnded(), self.case.id)
        except LabBroken:
            pass  # on record where it was noticed
        except NotOffered as error:
            recorder.write(NotSupported(what=str(error)), self.case.id)
        except TargetError as error:
            recorder.write(TargetFailed(what=str(error)), self.case.id)
        except Exception as error:  # noqa: BLE001 - on record as a lab error, which no verdict survives as a pass
            recorder.lab_failed(f"while playing {self.case.id}", error, self.case.id)
        finally:
            for message in self.settling.sent:
                self.context.watch.forget(message.token)
            for shared in (self.call, self.change):
                if shared is not None:
                    shared.leave(self.case.id)

    async def _step(self, world: CaseWorld, step: Step) -> None:
        self.settling.give_up_when_hopeless()
        recorder = self.context.recorder
        await world.end_sessions()
        await self.settling.answers_forgotten(step)
        await self.settling.ready_for_next_policy(step)
        # Not before the waits: who tries a held message meanwhile still meets the world of the step before.
        recorder.enter_step(self.case.id, step.name)
        await world.arrange(step.world)
        await self.context.attack_controller.begin(world, step.attacks)
        begun = recorder.write(StepBegan(attacks=tuple(attack.name for attack in step.attacks)), self.case.id)
        await self._until_counted(step)
        if (step.restart or step.advance) and self.change is not None:
            try:
                await self.change.make(self.case.id, step)
            except NotOffered:
                # The case ends here. A message that is still in the queue must not meet the attack after that.
                await self.context.attack_controller.end(world)
                raise
        if step.send:
            await self._send(world, step)
        elif step.expect is not None and self.settling.sent:
            await self._watch(begun)
        if step.recovers and self.settling.lets_mail_through(step):
            await self.settling.recover()
        if step.reports:
            await self._reports()
        # Nothing may come between the end of the wait and this: the judge takes things as they stand here.
        recorder.write(StepEnded(), self.case.id)
        if step.send:
            self.sent_until = time.monotonic()
        await self.context.attack_controller.end(world)
        await self.context.health.knock(world)

    async def _until_counted(self, step: Step) -> None:
        """Wait until the sessions of the step before are counted, if that step and a later one call for reports.

        Otherwise nobody could tell in which of the two reports they have to be.
        """
        later = self.case.steps[self.case.steps.index(step) + 1 :]
        if step.reports and any(one.reports for one in later) and TLS_RPT in self.context.about.capabilities:
            await asyncio.sleep(max(self.sent_until + COUNTED_WITHIN - time.monotonic(), 0.0))

    async def _reports(self) -> None:
        """Have the target send its reports, in one call for all cases that wait for them."""
        if TLS_RPT not in self.context.about.capabilities:
            return
        if self.change is not None:
            await self.change.reports(self.case.id)
        elif self.call is not None and self.gate is not None:
            await self.call.wait(self.case.id, self.gate)

    # -- sending

    async def _send(self, world: CaseWorld, step: Step) -> None:
        token = f"{self.context.random.getrandbits(64):016x}"
        subject = "The figures for the third quarter"
        message = probe_message(token, world.sender_domain, world.recipient_domain(step.message), subject, step.message)
        recorder = self.context.recorder
        for _ in range(step.message.beside):
            await self._send_beside(world)
        other = f"{token}@{BESIDE}.{world.domain}" if step.message.also_beside else ""
        if step.message.null_sender:
            message = replace(message, sender="")
        recorder.write(InjectionBegan(token=token), self.case.id)
        try:
            async with self.context.injecting:
                self.settling.give_up_when_hopeless()
                reply = await self._injected(message, _mail_options(step.message), other)
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
        if other:
            recorder.write(OtherMessageInjected(token=token, recipient=other, reply=reply), self.case.id)
        sent = Sent(token, message.recipient, event.at)
        self.settling.sent.append(sent)
        self.context.watch.follow(token, self.case.id, message.recipient)
        # A step without an expectation waits for a delivery; a held message does not end the wait.
        unfinished = (Outcome.UNSETTLED,) if step.expect is not None else (Outcome.UNSETTLED, Outcome.DEFERRED)
        await self.settling.settle(sent, self.context.timeouts.settle, lambda outcome: outcome not in unfinished)
        unsettled = self.settling.facts(sent).outcome() is Outcome.UNSETTLED
        if step.learns_policy and self.case.mode.has_policy and not unsettled:
            await self.settling.policy_learned(sent)

    async def _send_beside(self, world: CaseWorld) -> None:
        """Send a message to the domain beside the case's own, so that the target has a session with their hosts."""
        token = f"{self.context.random.getrandbits(64):016x}"
        other = probe_message(token, world.sender_domain, f"{BESIDE}.{world.domain}", "Minutes of the meeting")
        try:
            async with self.context.injecting:
                reply = await self._injected(other, ())
        except InjectionRefusedError:
            return  # the message that counts has its own reply
        sent = OtherMessageInjected(token=token, recipient=other.recipient, reply=reply)
        self.context.recorder.write(sent, self.case.id)

    async def _watch(self, begun: Event) -> None:
        """Wait for what becomes of the last message in a step that sends none."""
        last = self.settling.sent[-1]
        watched = Sent(last.token, last.recipient, begun.at)
        await self.settling.settle(watched, self.context.timeouts.settle, lambda one: one is not Outcome.UNSETTLED)

    async def _injected(self, message: ProbeMessage, options: tuple[str, ...], other: str = "") -> str:
        """Send a message to the target, perhaps to another recipient as well.

        It stops waiting for the reply as soon as the target is known to be broken.
        """
        deadline, watch = self.context.timeouts.inject, self.context.watch
        recipients = ",".join(filter(None, (message.recipient, other)))
        injecting = asyncio.ensure_future(
            self.context.target.inject(message.sender, recipients, message.content, options)
        )
        breaking = asyncio.ensure_future(watch.breaks.wait())
        try:
            await asyncio.wait({injecting, breaking}, timeout=deadline.seconds, return_when=asyncio.FIRST_COMPLETED)
            if injecting.done():
                return injecting.result()
        finally:
            injecting.cancel()
            breaking.cancel()
            await asyncio.gather(injecting, breaking, return_exceptions=True)
        self.settling.give_up_when_hopeless()
        raise TargetError(f"{deadline.name}: no reply to an injected message within {deadline.seconds:g} s")


def _mail_options(asks: Message) -> tuple[str, ...]:
    return (*([REQUIRETLS] if asks.requiretls else []), *(["RET=FULL"] if asks.return_whole else []))
