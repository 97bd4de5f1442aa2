"""What the watch over the queue writes down, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed, LabFailed, QueueSeen, TargetFailed, TargetFlushed
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.queue_watch import LOOKS_BEFORE_GONE, QueueWatch, pause_after
from mta_sts_lab.targets.contract import Held, NotNow, NotOffered, TargetError
from mta_sts_lab.timeouts import QUEUE_POLL, QUEUE_POLL_SHORTEST, Deadline

CASE = "family/name[enforce]"
TOKEN = "0123456789abcdef"
RECIPIENT = "probe@Domain.example"
Answer = Sequence[Held] | BaseException


def held(state: str = "deferred", reason: str = "451 later", recipient: str = RECIPIENT) -> Held:
    return Held(recipient, "lab@sender.example", state, reason)


class Listing:
    """A target that is nothing but a queue: it gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.looks = 0
        self.flushes = 0
        self.flush_error: BaseException | None = None
        self.before_answer: Callable[[], None] = lambda: None
        self._looked = asyncio.Condition()

    async def queue(self) -> tuple[Held, ...]:
        self.before_answer()
        answer = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        async with self._looked:
            self._looked.notify_all()
        if isinstance(answer, BaseException):
            raise answer
        return tuple(answer)

    async def flush(self) -> None:
        if self.flush_error is not None:
            raise self.flush_error
        self.flushes += 1

    async def looked(self, times: int) -> None:
        """Wait until the watch has looked so many times, and has dealt with all but the last look."""
        async with asyncio.timeout(5), self._looked:
            await self._looked.wait_for(lambda: self.looks >= times)


@pytest.mark.parametrize(
    ("look", "pause"),
    [(0.0, QUEUE_POLL_SHORTEST.seconds), (0.05, 0.2), (2.0, QUEUE_POLL.seconds)],
    ids=["quick", "busy", "very-busy"],
)
def test_a_busy_target_is_asked_less_often(look: float, pause: float) -> None:
    assert pause_after(look, QUEUE_POLL.seconds) == pytest.approx(pause)


class Watching:
    """A watch that is started and stopped around a test."""

    def __init__(self, listing: Listing, flush_pause: float = 0.0, while_active: float = 0.0) -> None:
        self.recorder = Recorder()
        self.listing = listing
        self.watch = QueueWatch(
            listing,  # type: ignore[arg-type]
            self.recorder,
            Deadline("queue-poll", 0.001),
            flush_pause=Deadline("flush-pause", flush_pause),
            flush_while_active=Deadline("flush-while-active", while_active),
        )

    async def __aenter__(self) -> Watching:
        self.watch.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watch.stop()

    def seen(self) -> list[tuple[str, str]]:
        facts = [event.fact for event in self.recorder.of_case(CASE)]
        return [(fact.state, fact.reason) for fact in facts if isinstance(fact, QueueSeen)]

    def of_run(self, kind: type) -> list[object]:
        return [event.fact for event in self.recorder.of_case("") if isinstance(event.fact, kind)]


async def test_nobody_is_asked_while_nobody_waits() -> None:
    async with Watching(Listing([])) as watching:
        await asyncio.sleep(0.01)
        assert watching.listing.looks == 0
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(1)
        watching.watch.forget(TOKEN)
        await watching.listing.looked(1)
        await asyncio.sleep(0.01)
        assert watching.listing.looks <= 2


async def test_a_look_is_dated_by_its_beginning_and_what_happens_meanwhile_is_worth_another() -> None:
    listing = Listing([held()])
    async with Watching(listing) as watching:
        closed: list[float] = []

        def close_meanwhile() -> None:
            if not closed:
                closed.append(watching.recorder.write(ConnectionClosed(session="s1"), CASE).at)

        listing.before_answer = close_meanwhile
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await listing.looked(6)
        looks = [event.fact.looked for event in watching.recorder.of_case(CASE) if isinstance(event.fact, QueueSeen)]
        assert len(looks) == 2
        assert looks[0] <= closed[0] < looks[1]


async def test_a_message_is_gone_only_after_two_looks_without_it() -> None:
    assert LOOKS_BEFORE_GONE == 2
    async with Watching(Listing([held()], [], [held()], [], [])) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(4)
        assert [state for state, _ in watching.seen()] == ["deferred"]
        await watching.listing.looked(8)
        assert [state for state, _ in watching.seen()] == ["deferred", "gone"]


async def test_a_look_that_began_before_the_message_came_says_nothing_of_it() -> None:
    listing = Listing([], [], [held()])
    async with Watching(listing) as watching:
        watching.watch.follow("another", "another/case[enforce]", "other@domain.example")
        follow = lambda: watching.watch.follow(TOKEN, CASE, RECIPIENT)  # noqa: E731
        listing.before_answer = follow
        await listing.looked(4)
        assert [state for state, _ in watching.seen()] == ["deferred"]


async def test_letter_case_of_a_recipient_does_not_matter() -> None:
    async with Watching(Listing([held(recipient=RECIPIENT.upper())])) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(2)
        assert watching.seen() == [("deferred", "451 later")]


async def test_the_same_state_is_written_once_and_again_when_the_case_moved_on() -> None:
    async with Watching(Listing([held()])) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(5)
        assert watching.seen() == [("deferred", "451 later")]
        watching.recorder.write(ConnectionClosed(session="s1"), CASE)
        await watching.listing.looked(watching.listing.looks + 3)
        assert watching.seen() == [("deferred", "451 later")] * 2


async def test_another_state_or_reason_is_written_at_once() -> None:
    answers = [[held("active", "")], [held()], [held(reason="452 still later")]]
    async with Watching(Listing(*answers)) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(5)
        assert watching.seen() == [("active", ""), ("deferred", "451 later"), ("deferred", "452 still later")]


async def test_gone_is_written_again_once_the_target_has_met_a_host() -> None:
    """The queue of a target that hides what it is delivering was empty before the connection, and is so still."""
    listing = Listing([])
    async with Watching(listing) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await listing.looked(LOOKS_BEFORE_GONE + 2)
        met = watching.recorder.write(ConnectionAccepted("s1", "mx", "mx1.domain.example", "198.18.0.1", 25), CASE)
        await listing.looked(listing.looks + 3)
    events = [event for event in watching.recorder.of_case(CASE) if isinstance(event.fact, QueueSeen)]
    assert [event.fact.state for event in events if isinstance(event.fact, QueueSeen)] == ["gone", "gone"]
    assert isinstance(events[-1].fact, QueueSeen)
    assert events[-1].fact.looked >= met.at


async def test_gone_is_written_once_and_taken_back() -> None:
    async with Watching(Listing([], [], [], [held()])) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.recorder.write(ConnectionClosed(session="s1"), CASE)
        await watching.listing.looked(6)
        assert [state for state, _ in watching.seen()] == ["gone", "deferred"]


async def test_a_long_reason_is_cut() -> None:
    async with Watching(Listing([held(reason="x" * 100_000)])) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(2)
        assert [len(reason) for _, reason in watching.seen()] == [400]


async def test_a_queue_that_is_not_offered_is_not_asked_for_again() -> None:
    async with Watching(Listing(NotOffered("no queue"))) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.retry(TOKEN)
        async with asyncio.timeout(5):
            while not watching.listing.flushes:
                await asyncio.sleep(0)
        assert not watching.watch.offered
        assert watching.listing.looks == 1
        assert not watching.watch.broken
        assert watching.seen() == []
        assert watching.of_run(TargetFlushed) == [TargetFlushed()]


async def test_a_retry_is_one_flush_for_all_who_asked() -> None:
    async with Watching(Listing([held()])) as watching:
        for number in range(3):
            watching.watch.follow(f"{number}", CASE, f"{number}@domain.example")
            watching.watch.retry(f"{number}")
        await watching.listing.looked(4)
        assert watching.listing.flushes == 1
        watching.watch.retry("unknown")
        await watching.listing.looked(watching.listing.looks + 2)
        assert watching.listing.flushes == 1


async def test_a_flush_that_is_not_offered_is_no_failure() -> None:
    listing = Listing([held()])
    listing.flush_error = NotOffered("no flush")
    async with Watching(listing) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.retry(TOKEN)
        await listing.looked(4)
        assert watching.watch.flushes is False
        assert not watching.watch.broken
        assert watching.of_run(TargetFlushed) == []


async def test_a_target_that_cannot_flush_now_is_asked_again_until_it_can() -> None:
    listing = Listing([held()])
    listing.flush_error = NotNow("busy")
    async with Watching(listing) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.retry(TOKEN)
        await listing.looked(4)
        assert watching.of_run(TargetFlushed) == []
        assert not watching.watch.flushes, "its own retries are waited for as long as it never did"
        listing.flush_error = None
        await listing.looked(listing.looks + 3)
        assert listing.flushes == 1
        (flushed,) = watching.of_run(TargetFlushed)
        assert isinstance(flushed, TargetFlushed)
        assert flushed.seconds < 5
        assert watching.watch.flushes
        assert not watching.watch.broken


@pytest.mark.parametrize("call", ["queue", "flush"])
async def test_a_target_that_fails_is_on_record_and_everybody_learns_it(call: str) -> None:
    listing = Listing(TargetError("connection refused") if call == "queue" else [held()])
    listing.flush_error = TargetError("connection refused")
    async with Watching(listing) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.retry(TOKEN)
        assert await watching.recorder.changed("", 5) or watching.of_run(TargetFailed)
        assert watching.watch.broken == "connection refused"
        assert watching.of_run(TargetFailed) == [
            TargetFailed(what="the target's queue cannot be seen: connection refused")
        ]
        looks = listing.looks
        await asyncio.sleep(0.01)
        assert listing.looks == looks, "nobody asks a dead target again"


async def test_a_fault_of_the_lab_in_the_watch_is_a_fault_of_the_lab() -> None:
    async with Watching(Listing(ZeroDivisionError("oops"))) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        assert await watching.recorder.changed("", 5) or watching.of_run(LabFailed)
        assert watching.of_run(LabFailed) == [LabFailed(where="queue watch", error="ZeroDivisionError: oops")]
        assert watching.watch.broken


async def test_set_aside_means_no_look_meanwhile() -> None:
    async with Watching(Listing([held()])) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        await watching.listing.looked(1)
        async with watching.watch.set_aside():
            looks = watching.listing.looks
            watching.watch.retry(TOKEN)
            await asyncio.sleep(0.02)
            assert watching.listing.looks == looks
            assert watching.listing.flushes == 0
        await watching.listing.looked(looks + 2)
        assert watching.listing.flushes == 1


async def test_it_stops_when_it_is_told_to() -> None:
    before = asyncio.all_tasks()
    watching = Watching(Listing([held()]))
    await watching.watch.stop()  # before it began: nothing happens
    watching.watch.start()
    watching.watch.follow(TOKEN, CASE, RECIPIENT)
    await watching.watch.stop()
    assert asyncio.all_tasks() == before


async def test_no_flush_while_a_watched_message_is_active() -> None:
    busy = [held("active"), held(recipient="other@domain.example")]
    listing = Listing(*[busy] * 8, [held(), held(recipient="other@domain.example")])
    async with Watching(listing, while_active=3600) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.follow("another", "another/case[enforce]", "other@domain.example")
        await listing.looked(2)
        watching.watch.retry("another")
        await listing.looked(5)
        assert listing.flushes == 1, "nothing was asked for yet, so nothing is known to be under way"
        watching.watch.retry("another")
        await listing.looked(8)
        assert listing.flushes == 1
        await listing.looked(12)
        assert listing.flushes == 2


class RetriesWhatWasFlushedMeanwhile(Listing):
    """A queue that tries a message again at once when it was flushed while its attempt lasted.

    An attempt lasts 0.1 s, and others ask for attempts far more often.
    """

    def __init__(self) -> None:
        super().__init__([])
        self._ends, self._again = 0.0, False

    async def flush(self) -> None:
        self.flushes += 1
        self._again = True

    async def queue(self) -> tuple[Held, ...]:
        now = asyncio.get_running_loop().time()
        if now >= self._ends and self._again:
            self._ends, self._again = now + 0.1, False
        state = "active" if now < self._ends else "deferred"
        self.answers = [[held(state), held(recipient="other@domain.example")]]
        return await super().queue()


@pytest.mark.parametrize("while_active", [3600, 0.06], ids=["within the pause", "longer than the pause"])
async def test_a_message_whose_attempts_are_slow_is_seen_at_rest_although_others_ask_for_attempts(
    while_active: float,
) -> None:
    listing = RetriesWhatWasFlushedMeanwhile()
    async with Watching(listing, while_active=while_active) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.follow("another", "another/case[enforce]", "other@domain.example")
        async with asyncio.timeout(5):
            while [state for state, _ in watching.seen()].count("deferred") < 6:
                watching.watch.retry("another")
                watching.recorder.write(ConnectionClosed(session="s1"), CASE)
                await listing.looked(listing.looks + 1)
    assert listing.flushes > 1


class HeldForAMomentBetweenAttempts(RetriesWhatWasFlushedMeanwhile):
    """Such a queue that shows the message as deferred once before it tries it again."""

    def __init__(self) -> None:
        super().__init__()
        self.rests = 0
        self._shown = True

    async def queue(self) -> tuple[Held, ...]:
        over = asyncio.get_running_loop().time() >= self._ends
        if over and not self._shown:
            self._shown = True
            self.rests += not self._again
            again, self._again = self._again, False
            held_now = await super().queue()
            self._again = again
            return held_now
        self._shown = over
        return await super().queue()


async def test_a_moment_between_two_attempts_is_no_rest() -> None:
    listing = HeldForAMomentBetweenAttempts()
    async with Watching(listing, while_active=0.06) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        watching.watch.follow("another", "another/case[enforce]", "other@domain.example")
        async with asyncio.timeout(5):
            while listing.rests < 3:
                watching.watch.retry("another")
                watching.recorder.write(ConnectionClosed(session="s1"), CASE)
                await listing.looked(listing.looks + 1)


async def test_one_that_shows_no_queue_is_not_asked_again_at_once_either() -> None:
    listing = Listing(NotOffered("no queue"))
    async with Watching(listing, flush_pause=0.05) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        began = asyncio.get_running_loop().time()
        for flushes in (1, 2, 3):
            watching.watch.retry(TOKEN)
            async with asyncio.timeout(5):
                while listing.flushes < flushes:
                    await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - began >= 0.1


async def test_one_that_stays_at_work_is_asked_again_after_a_pause() -> None:
    listing = Listing([held("active")])
    async with Watching(listing, while_active=0.005) as watching:
        watching.watch.follow(TOKEN, CASE, RECIPIENT)
        for flushes in (1, 2):
            watching.watch.retry(TOKEN)
            async with asyncio.timeout(5):
                while listing.flushes < flushes:
                    await listing.looked(listing.looks + 1)
