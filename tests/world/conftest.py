"""A small Internet in process, on 127.0.0.1, and an authority that is made once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from mta_sts_lab.events import LabFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.tls import Certificates


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def network() -> LoopbackNetwork:
    return LoopbackNetwork()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    failures = [event.fact for case in list(recorder._events) for event in recorder.of_case(case)]
    assert [fact for fact in failures if isinstance(fact, LabFailed)] == []


@pytest.fixture
def services(network: LoopbackNetwork, recorder: Recorder, authority: Authority) -> HostServices:
    return HostServices(network, recorder, Certificates(authority))


@pytest.fixture
async def internet(network: LoopbackNetwork, recorder: Recorder, authority: Authority) -> AsyncIterator[Internet]:
    before = asyncio.all_tasks()
    internet = await Internet.open(network, authority, recorder, seed=7)
    yield internet
    await internet.close()
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert left == set(), "a task outlived the world"
