"""What every case of a run shares: the target, the world around it, the deadlines, and the record."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.model.target import About
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.health import Health
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.targets.contract import Target
from mta_sts_lab.targets.injection import CONNECTIONS
from mta_sts_lab.timeouts import (
    ATTEMPT,
    BOUNCE,
    HAND_OVER,
    INJECT,
    LEARN_POLICY,
    LEARN_POLICY_IN_PROCESS,
    LONGEST_RETRY,
    NEXT_POLICY,
    OWN_RHYTHM,
    OWN_RHYTHM_IN_PROCESS,
    POLICY_QUESTION,
    POLICY_STORED,
    QUEUE_LOOK,
    QUEUE_POLL,
    QUEUE_POLL_IN_PROCESS,
    RECOVER,
    SETTLE,
    Deadline,
)
from mta_sts_lab.world.internet import Internet


class LabBroken(Exception):
    """The lab itself failed. Nothing more is played, because the target would be blamed for it."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The deadlines of a run; `mta_sts_lab.timeouts` says what each one means and why it is that long."""

    queue_poll: Deadline
    learn_policy: Deadline
    #: Cases in flight at one time, at most: their number follows the lag of the event loop, see `runner.pacing`.
    cases_at_once: int
    settle: Deadline = SETTLE
    recover: Deadline = RECOVER
    hand_over: Deadline = HAND_OVER
    bounce: Deadline = BOUNCE
    inject: Deadline = INJECT
    attempt: Deadline = ATTEMPT
    longest_retry: Deadline = LONGEST_RETRY
    queue_look: Deadline = QUEUE_LOOK
    policy_question: Deadline = POLICY_QUESTION
    policy_stored: Deadline = POLICY_STORED
    own_rhythm: Deadline = OWN_RHYTHM
    next_policy: Deadline = NEXT_POLICY

    def with_retries(self, deadline: Deadline, about: About, flushes: bool) -> Deadline:
        """Return a deadline with room for the attempts that have to be seen before it passes.

        A target that tries again on request is asked once, after its retry time. One that does not is waited for: its
        third attempt proves what the second came to. Where its pauses double, the third comes after three retry times,
        and the fourth, which delivers when an attack is over, after seven.
        """
        retry = min(max(about.pause_seconds(flushes), 0.0), self.longest_retry.seconds)
        return Deadline(deadline.name, deadline.seconds + (retry if flushes else 4 * retry))


# A mail server that lacks processor time behaves differently: with 150 cases at once on two busy cores the policy
# daemon of Postfix waited more than 5 s for its own cache, and let mail go without a policy. A third of that takes no
# longer, because cases mostly wait.
OVER_THE_NETWORK = Timeouts(QUEUE_POLL, LEARN_POLICY, cases_at_once=48)
IN_PROCESS = Timeouts(
    QUEUE_POLL_IN_PROCESS,
    LEARN_POLICY_IN_PROCESS,
    cases_at_once=96,
    own_rhythm=OWN_RHYTHM_IN_PROCESS,
    next_policy=Deadline(NEXT_POLICY.name, 0),
)


@dataclass(frozen=True, slots=True)
class RunContext:
    """The target, world, deadlines and record that all cases of a run share."""

    target: Target
    about: About
    internet: Internet
    attack_controller: AttackController
    recorder: Recorder
    watch: QueueWatch
    timeouts: Timeouts
    random: random.Random
    health: Health
    #: Whose turn it is to inject. The deadline of an injection counts from there, however many wait.
    injecting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))
    #: Set when the target was seen to ask for a policy, in any case.
    asks_for_policies: asyncio.Event = field(default_factory=asyncio.Event)
