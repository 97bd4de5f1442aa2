"""The reference sender as a container: the contract over HTTP, and the entry point that reads the environment."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from mta_sts_lab.reference.flaws import UnknownFlaw, parse_flaws
from mta_sts_lab.reference.sender import NotRunning, ReferenceSender
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.target import about_sender
from mta_sts_lab.targets.contract_http import (
    CONTRACT_VERSION,
    PORT,
    AboutBody,
    ClockBody,
    ClockRequest,
    ErrorBody,
    FlushedBody,
    MessageBody,
    QueueBody,
    ReportsBody,
    RestartedBody,
    RestartRequest,
)
from mta_sts_lab.world.network import PrefixNetwork, UnsafeAddress, require_lab_address

T = TypeVar("T", bound=msgspec.Struct)

#: Octets of a request body: the longest legal one has about twenty.
LARGEST_REQUEST = 4096


class ContainerError(Exception):
    """The container cannot run as it was started. The message is one line that says what to change."""


@dataclass(frozen=True, slots=True)
class ContainerPlaces:
    """Where things are in the container."""

    ca: Path = Path("/lab/ca.pem")
    state: Path = Path("/var/lib/reference")
    listen: str = "0.0.0.0"  # the container's network is internal; nothing outside it can reach this
    smtp_port: int = 25
    contract_port: int = PORT


async def serve_container(environment: Mapping[str, str], places: ContainerPlaces | None = None) -> None:
    """Run a reference sender and its contract until SIGTERM, or until cancelled.

    Reads LAB_DNS, LAB_PREFIX, LAB_HOSTNAME, LAB_SENDER_DOMAIN and LAB_FLAWS. Raises `ContainerError`.
    """
    places = places or ContainerPlaces()
    sender = container_sender(environment, places)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    runner = web.AppRunner(build_application(sender), access_log=None)
    try:
        await sender.start()
        await runner.setup()
        await web.TCPSite(runner, places.listen, places.contract_port).start()
        await ended.wait()
    except OSError as error:
        raise ContainerError(f"the reference sender cannot start: {error}") from error
    finally:
        await runner.cleanup()
        await sender.stop()


def container_sender(environment: Mapping[str, str], places: ContainerPlaces) -> ReferenceSender:
    """Return the sender that an environment describes. Raises `ContainerError`."""
    dns = environment.get("LAB_DNS", "").strip()
    prefix = environment.get("LAB_PREFIX", "").strip()
    if not dns or not prefix:
        raise ContainerError("LAB_DNS (the lab's name server) and LAB_PREFIX (the lab's addresses) must be set")
    try:
        require_lab_address(dns)
        network = PrefixNetwork(prefix)
        flaws = parse_flaws(environment.get("LAB_FLAWS", "").split(","))
        ca_pem = places.ca.read_text("ascii")
    except UnsafeAddress as error:
        raise ContainerError(str(error)) from error
    except UnknownFlaw as error:
        raise ContainerError(f"LAB_FLAWS: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ContainerError(f"the CA at {places.ca} cannot be read: {error}") from error
    except ValueError as error:
        raise ContainerError(f"LAB_PREFIX: {error}") from error
    settings = Settings()
    settings = replace(
        settings,
        hostname=environment.get("LAB_HOSTNAME") or settings.hostname,
        sender_domain=environment.get("LAB_SENDER_DOMAIN") or settings.sender_domain,
    )
    try:
        return ReferenceSender(
            network=network,
            dns=dns,
            ca_pem=ca_pem,
            directory=places.state,
            flaws=flaws,
            settings=settings,
            listen=(places.listen, places.smtp_port),
        )
    except OSError as error:  # ssl.SSLError is one
        raise ContainerError(f"the CA at {places.ca} holds no certificate: {error}") from error


def build_application(sender: ReferenceSender) -> web.Application:
    """Return the HTTP application that offers a sender's contract."""
    contract = _Contract(sender)
    application = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[_errors])
    application.add_routes(
        [
            web.get("/about", contract.about),
            web.get("/queue", contract.queue),
            web.get("/logs", contract.logs),
            web.post("/flush", contract.flush),
            web.post("/restart", contract.restart),
            web.post("/clock", contract.clock),
            web.post("/reports", contract.reports),
        ]
    )
    return application


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotRunning as error:
        return _json(ErrorBody(str(error)), status=503)
    except OSError as error:
        return _json(ErrorBody(f"{type(error).__name__}: {error}"), status=500)


class _Contract:
    """The handlers of the contract."""

    def __init__(self, sender: ReferenceSender) -> None:
        self._sender = sender

    async def about(self, request: web.Request) -> web.Response:
        said = about_sender(self._sender)
        return _json(
            AboutBody(
                contract=CONTRACT_VERSION,
                name=said.name,
                versions=dict(said.versions),
                capabilities=said.capabilities,
                retry_seconds=said.retry_seconds,
                policy_cache="volatile" if said.policy_cache == "volatile" else "persistent",
                dkim_records=dict(said.dkim_records),
            )
        )

    async def queue(self, request: web.Request) -> web.Response:
        held = self._sender.queue()
        return _json(
            QueueBody(
                tuple(
                    MessageBody(one.id, one.sender, one.recipient, "active" if one.active else "deferred", one.reason)
                    for one in held
                )
            )
        )

    async def logs(self, request: web.Request) -> web.Response:
        return web.Response(text=self._sender.logs())

    async def flush(self, request: web.Request) -> web.Response:
        self._sender.flush()
        return _json(FlushedBody(True))

    async def restart(self, request: web.Request) -> web.Response:
        asked = await _decode(request, RestartRequest)
        await self._sender.restart(gently=asked.signal == "TERM")
        return _json(RestartedBody(True))

    async def clock(self, request: web.Request) -> web.Response:
        asked = await _decode(request, ClockRequest)
        self._sender.clock.advance(asked.advance)
        return _json(ClockBody(self._sender.clock.offset))

    async def reports(self, request: web.Request) -> web.Response:
        return _json(ReportsBody(await self._sender.send_reports()))


async def _decode(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        text = msgspec.json.encode(ErrorBody(str(error))).decode()
        raise web.HTTPBadRequest(text=text, content_type="application/json") from error


def _json(body: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
