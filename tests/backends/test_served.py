"""The runner in the lab's container: what of it can be tried without one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from mta_sts_lab.backends.served import wait_until_ready
from mta_sts_lab.backends.served_plan import ServedPlan
from mta_sts_lab.model.world import Family
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import Deadline

from tests.runner.arena import CATALOGUE

READY = Deadline("target-ready", 0.4)


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """A port that takes connections and never says a word."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def answering() -> AsyncIterator[int]:
    """A contract that answers."""

    async def about(_: web.Request) -> web.Response:
        return web.json_response({"contract": 1, "name": "half-up"})

    application = web.Application()
    application.add_routes([web.get("/about", about)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    await runner.cleanup()


async def never_ready(target: RemoteTarget) -> str:
    began = time.monotonic()
    with pytest.raises(TargetError) as caught:
        await wait_until_ready(target, READY)
    assert time.monotonic() - began < 5
    message = str(caught.value)
    assert message.startswith("target-ready: the target is not up after 0.4 s: ")
    return message


async def test_a_contract_that_takes_connections_and_never_answers(silent: int) -> None:
    assert "does not answer" in await never_ready(
        RemoteTarget("127.0.0.1", contract_port=silent, inject=Inject(port=silent))
    )


async def test_a_port_that_nobody_listens_on(unused_tcp_port: int) -> None:
    message = await never_ready(
        RemoteTarget("127.0.0.1", contract_port=unused_tcp_port, inject=Inject(port=unused_tcp_port))
    )
    assert f"127.0.0.1:{unused_tcp_port}/about" in message


async def test_a_contract_that_answers_before_mail_is_taken(answering: int, unused_tcp_port: int) -> None:
    message = await never_ready(RemoteTarget("127.0.0.1", contract_port=answering, inject=Inject(port=unused_tcp_port)))
    assert "does not take mail" in message


def test_the_plan_survives_the_way_into_the_container() -> None:
    plan = plan_run(CATALOGUE.find([]), CATALOGUE.cases, ("sts-lab", "run"), 7)
    served = ServedPlan(
        plan=plan,
        prefixes={Family.IPV4: "198.18.8.0/21"},
        target_address="198.18.0.3",
        inject=Inject(),
        contract_port=8025,
        ready_seconds=60,
    )
    assert msgspec.json.decode(msgspec.json.encode(served), type=ServedPlan).plan == plan


def test_who_starts_a_container_loads_nothing_of_the_runner() -> None:
    """It would take half a second of each run in Docker."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, mta_sts_lab.backends.docker.run; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "mta_sts_lab.backends.served_plan" in loaded
    assert not {"mta_sts_lab.runner.run", "mta_sts_lab.attacks", "aiohttp", "mitmproxy"} & set(loaded)
