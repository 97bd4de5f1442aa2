"""Adapters over real sockets, broken on purpose: the reference sender behind its own contract server, one part of it wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web
from mta_sts_lab.adapter_check import Finding, Status, judge_adapter
from mta_sts_lab.adapter_check.run import play_plan
from mta_sts_lab.model.case import Case
from mta_sts_lab.record import Record
from mta_sts_lab.reference.flaws import parse_flaws
from mta_sts_lab.reference.sender import ReferenceSender
from mta_sts_lab.reference.server import build_application
from mta_sts_lab.runner.context import Timeouts
from mta_sts_lab.runner.plan import plan_check
from mta_sts_lab.runner.run import RunningWorld, RunSetup
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.targets.remote import RemoteTarget
from mta_sts_lab.timeouts import Deadline
from mta_sts_lab.world.network import Network

from tests.runner.arena import AUTHORITY, IMPATIENT, QUICK, Kept

Handler = Callable[[web.Request], Awaitable[web.Response]]

#: The sender, with time for the host that is slow to greet.
PATIENT_SENDER = replace(QUICK, connect_seconds=4.0, command_seconds=4.0)

#: A port of 127.0.0.1 that nobody listens on: the discard service.
NOBODY = 9


def says(body: object, status: int = 200) -> Handler:
    """Return a handler that always answers the same; text goes out as it is."""

    async def handle(_: web.Request) -> web.Response:
        return (
            web.Response(text=body, status=status) if isinstance(body, str) else web.json_response(body, status=status)
        )

    return handle


class Elsewhere:
    """The sender's view of the network: one port of the world leads nowhere."""

    def __init__(self, inside: Network, port: int) -> None:
        self._inside, self._port = inside, port

    def where(self, address: str, port: int, transport: str = "tcp") -> tuple[str, int]:
        return self._inside.where("198.18.255.254" if port == self._port else address, port, transport)


@dataclass
class Adapter:
    """A reference sender with its contract, in a process of the test's own, as `RemoteTarget` reaches it."""

    directory: Path
    flaws: tuple[str, ...] = ()
    #: What the contract answers instead, by path; None: 404.
    answers: Mapping[str, Handler | None] = field(default_factory=dict)
    settings: Any = PATIENT_SENDER
    dns: str = ""
    ca_pem: bytes = b""
    network: Callable[[Network], Any] = lambda network: network
    contract_port: int = 0
    smtp_port: int = 0
    #: How it has ended, as who started it would say.
    ended: str = ""
    prepare: Callable[[ReferenceSender], None] = lambda sender: None
    sender: ReferenceSender = field(init=False)
    _runner: web.AppRunner | None = None

    async def start(self, world: RunningWorld) -> RemoteTarget:
        self.sender = ReferenceSender(
            network=self.network(world.network),
            dns=self.dns or world.dns_address,
            ca_pem=(self.ca_pem or world.ca_pem).decode(),
            directory=self.directory,
            flaws=parse_flaws(self.flaws),
            settings=self.settings,
        )
        self.prepare(self.sender)
        await self.sender.start()
        self.sender.listen = self.sender.address  # a restart must come back on the same port
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self.contract_port or self._runner.addresses[0][1]
        inject = Inject(port=self.smtp_port or self.sender.address[1])
        return RemoteTarget("127.0.0.1", inject=inject, contract_port=port, ended=lambda: self.ended, call_seconds=5)

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self.sender.stop(gently=False)

    def _application(self) -> web.Application:
        genuine = build_application(self.sender)
        application = web.Application(middlewares=genuine.middlewares)
        for route in genuine.router.routes():
            path = route.resource.canonical if route.resource else ""
            handler: Any = self.answers.get(path, route.handler)
            if handler is not None and route.method != "HEAD":
                application.router.add_route(route.method, path, handler)
        return application


@dataclass
class Result:
    """What a check found."""

    findings: tuple[Finding, ...]
    record: Record
    log: str

    def statuses(self) -> dict[str, Status]:
        return {finding.part: finding.status for finding in self.findings}

    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings if finding.status is Status.FAULT]

    def of(self, code: str) -> Finding:
        (found,) = [finding for finding in self.findings if finding.code == code]
        return found


#: In process an honest probe settles within 0.1 s; these are for what never comes.
PATIENT = replace(
    IMPATIENT,
    settle=Deadline("settle", 2.0),
    recover=Deadline("recover", 2.0),
    learn_policy=Deadline("learn-policy", 1),
)


#: For adapters that are in order, or nearly: everything comes, and on a busy machine it comes late.
UNHURRIED = replace(
    PATIENT,
    settle=Deadline("settle", 30.0),
    recover=Deadline("recover", 30.0),
    bounce=Deadline("bounce", 5.0),
    inject=Deadline("inject", 20.0),
    queue_look=Deadline("queue-look", 10.0),
)

#: Seconds in which an adapter answers and takes mail, which is 0.05 s on a quiet machine; only the faults of tests that
#: are about nothing else last so long.
COMES_UP = 10.0

#: The same for an adapter that never does; it has to be told on a busy machine, too, that the answer is wrong.
NEVER_COMES_UP = 2.0


async def checked(adapter: Adapter, ready_seconds: float = COMES_UP, timeouts: Timeouts = PATIENT) -> Result:
    """Check an adapter as `sts-lab target-check` does."""
    kept = Kept()
    before = asyncio.all_tasks()
    plan = plan_check(("sts-lab", "target-check"), 7)
    setup = RunSetup(authority=AUTHORITY, timeouts=timeouts)
    try:
        await play_plan(plan, setup, adapter.start, kept.outlet(), ready_seconds)
    finally:
        await adapter.stop()
    assert asyncio.all_tasks() == before
    record = kept.record()
    assert record.footer.complete
    return Result(judge_adapter(record), record, kept.files.get("log.txt", ""))


__all__ = [
    "COMES_UP",
    "NEVER_COMES_UP",
    "NOBODY",
    "PATIENT",
    "UNHURRIED",
    "Adapter",
    "Case",
    "Elsewhere",
    "Result",
    "checked",
    "says",
]
