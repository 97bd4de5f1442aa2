"""The lab sees for itself whether it is in order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mta_sts_lab.events import ConnectionAccepted, DnsAnswered, LabUnhealthy
from mta_sts_lab.model import Case, Mode, MxHost, Step, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner import health
from mta_sts_lab.runner.health import Health
from mta_sts_lab.world.internet import CaseWorld, Internet
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.pki import Authority

CASE = Case("starttls/strip[enforce]", "starttls/strip", Mode.ENFORCE, (Step("prime", World(mx=(MxHost("mx1", 10),))),))


class Clocks:
    """Takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.moved = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now + self.moved


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def internet(recorder: Recorder) -> AsyncIterator[Internet]:
    internet = await Internet.open(LoopbackNetwork(), Authority.create(), recorder)
    yield internet
    await internet.close()


def unhealthy(recorder: Recorder, case: str = "") -> list[tuple[str, float, bool]]:
    facts = [event.fact for event in recorder.of_case(case)]
    return [(fact.part, fact.seconds, fact.lasting) for fact in facts if isinstance(fact, LabUnhealthy)]


async def test_a_late_beat_and_a_moved_clock(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks()
    monkeypatch.setattr(health, "time", clocks)
    watched = Health(internet, recorder)
    clocks.now += 2.0
    clocks.moved += 0.9
    watched.look()
    assert unhealthy(recorder) == []
    clocks.now += 10
    watched.look()
    assert unhealthy(recorder) == [("event loop", 10.0, False)]
    clocks.now += 0.5
    clocks.moved -= 86400
    watched.look()
    watched.look()
    assert unhealthy(recorder)[1:] == [("clock", 0.0, True)]


async def test_a_loop_that_is_late_half_of_the_time(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks()
    monkeypatch.setattr(health, "time", clocks)
    watched, told = Health(internet, recorder), list[float]()
    watched.on_lag(told.append)
    for _ in range(100):
        clocks.now += 0.15
        watched.look()
    assert unhealthy(recorder) == [], "a third of the time is no trouble"
    assert told == pytest.approx([0.05] * 100)
    for _ in range(12):
        clocks.now += 0.35
        watched.look()
    ((part, seconds, lasting),) = unhealthy(recorder)
    assert (part, lasting) == ("event loop", False)
    assert 3.5 < seconds < 4.5


async def _asked(internet: Internet, recorder: Recorder, world: CaseWorld) -> list[tuple[str, float, bool]]:
    await Health(internet, recorder).ask_hosts(world)
    assert not [event for event in recorder.of_case(world.case) if isinstance(event.fact, ConnectionAccepted)]
    return unhealthy(recorder, world.case)


async def test_hosts_that_do_not_answer(internet: Internet, recorder: Recorder) -> None:
    world = await internet.add_case(CASE)
    assert await _asked(internet, recorder, world) == []
    world.mx[0].reachable = False
    assert await _asked(internet, recorder, world) == [], "it is not meant to"
    (listener,) = world.policy_server._listeners.values()
    listener.close()
    assert await _asked(internet, recorder, world) == [("policy host", 0.0, False)]


async def test_the_name_server(internet: Internet, recorder: Recorder) -> None:
    assert await internet.dns.answers()
    assert not [event for event in recorder.of_case("") if isinstance(event.fact, DnsAnswered)]
    await internet.dns.close()
    assert not await internet.dns.answers(seconds=0.05)
