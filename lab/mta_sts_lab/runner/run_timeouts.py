"""How long a run waits for what, in one value: a target over the network needs more than one in this process."""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts_lab.model import About
from mta_sts_lab.timeouts import (
    ATTEMPT,
    BOUNCE,
    HAND_OVER,
    INJECT,
    LEARN_POLICY,
    LEARN_POLICY_IN_PROCESS,
    LONGEST_RETRY,
    OWN_RHYTHM,
    OWN_RHYTHM_IN_PROCESS,
    POLICY_STORED,
    QUEUE_LOOK,
    QUEUE_POLL,
    QUEUE_POLL_IN_PROCESS,
    RECOVER,
    SETTLE,
    Deadline,
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The deadlines of a run. What each one means, and what fixed its length, stands in `mta_sts_lab.timeouts`."""

    queue_poll: Deadline
    learn_policy: Deadline
    #: Cases in flight at one time.
    cases_at_once: int
    settle: Deadline = SETTLE
    recover: Deadline = RECOVER
    hand_over: Deadline = HAND_OVER
    bounce: Deadline = BOUNCE
    inject: Deadline = INJECT
    attempt: Deadline = ATTEMPT
    longest_retry: Deadline = LONGEST_RETRY
    queue_look: Deadline = QUEUE_LOOK
    policy_stored: Deadline = POLICY_STORED
    own_rhythm: Deadline = OWN_RHYTHM

    def with_retries(self, deadline: Deadline, about: About, flushes: bool) -> Deadline:
        """Return a deadline with room for the attempts that have to be seen before it passes.

        A target that tries again on request is asked after its retry time, once; one that does not is waited for: its
        third attempt proves what the second came to, and pauses that double put that at three retry times, the fourth
        attempt, which delivers when an attack is over, at seven.
        """
        retry = min(max(about.pause_seconds(flushes), 0.0), self.longest_retry.seconds)
        return Deadline(deadline.name, deadline.seconds + (retry if flushes else 4 * retry))


# A mail server in need of processor time is another mail server: with 150 cases at once on two busy cores the policy
# daemon of Postfix was seen to wait more than 5 s for its own cache, and to let mail go without a policy. A third of
# that takes no longer, because cases mostly wait.
OVER_THE_NETWORK = Timeouts(QUEUE_POLL, LEARN_POLICY, cases_at_once=48)
IN_PROCESS = Timeouts(
    QUEUE_POLL_IN_PROCESS, LEARN_POLICY_IN_PROCESS, cases_at_once=240, own_rhythm=OWN_RHYTHM_IN_PROCESS
)
