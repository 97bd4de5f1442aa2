from __future__ import annotations

import asyncio

import pytest
from mta_sts_lab.attacks.toolkit.controller import BlockedPath
from mta_sts_lab.events import AttackFired, ConnectionClosed, ConnectionDenied, DeadlinePassed, LabFailed
from mta_sts_lab.timeouts import Deadline

from tests.attacks.loopback_hosts import POLICY_NAME, LoopbackHosts, loopback_hosts


async def dial(here: LoopbackHosts) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*here.policy_at)


async def test_refused_connections_find_no_listener() -> None:
    async with loopback_hosts() as here:
        here.policy_server.path = BlockedPath("block_policy_host", "refuse", here.recorder)
        with pytest.raises(ConnectionRefusedError):
            await dial(here)


async def test_reset_connections_are_reset() -> None:
    async with loopback_hosts() as here:
        here.policy_server.path = BlockedPath("block_policy_host", "reset", here.recorder)
        reader, writer = await dial(here)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        (denied,) = await here.until(ConnectionDenied)
        (fired,) = here.facts(AttackFired)
        assert (denied.how, denied.role, denied.host) == ("reset", "policy-host", POLICY_NAME)
        assert (fired.channel, fired.session) == ("https", denied.session)


async def test_a_stalled_connection_lasts_until_the_step_ends() -> None:
    async with loopback_hosts() as here:
        path = BlockedPath("block_policy_host", "stall", here.recorder)
        here.policy_server.path = path
        reader, writer = await dial(here)
        writer.write(b"hello?")
        (denied,) = await here.until(ConnectionDenied)
        assert denied.how == "stalled"
        assert not here.facts(ConnectionClosed)
        await path.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await here.until(ConnectionClosed)
        assert not here.facts(DeadlinePassed)
        assert not here.facts(LabFailed)


async def test_a_stall_has_a_deadline() -> None:
    async with loopback_hosts() as here:
        here.policy_server.path = BlockedPath("block_policy_host", "stall", here.recorder, Deadline("stall", 0.1))
        reader, writer = await dial(here)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        (passed,) = await here.until(DeadlinePassed)
        assert passed.deadline == "stall"
        assert POLICY_NAME in passed.waited_for
