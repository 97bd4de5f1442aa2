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
from mta_sts_lab.targets import contract_http as contract
from mta_sts_lab.world.network import PrefixNetwork, UnsafeAddress, require_lab_address

T = TypeVar("T", bound=msgspec.Struct)

#: Octets of a request body: the longest legal one has about twenty.
LARGEST_REQUEST = 4096


class ContainerError(Exception):
    """The container cannot run as it was started. The message is one line that says what to change."""


@dataclass(frozen=True)
class ContainerPlaces:
    """Where things are in the container."""

    ca: Path = Path("/lab/ca.pem")
    state: Path = Path("/var/lib/reference")
    listen: str = "0.0.0.0"  # the container's network is internal; nothing outside it can reach this
    smtp_port: int = 25
    contract_port: int = contract.PORT


async def serve_container(environment: Mapping[str, str], places: ContainerPlaces | None = None) -> None:
    """Run a reference sender and its contract until SIGTERM, or until cancelled.

    Reads LAB_DNS, LAB_PREFIX, LAB_HOSTNAME, LAB_SENDER_DOMAIN and LAB_FLAWS, and LAB_CA and LAB_STATE where they are
    set. Raises `ContainerError`.
    """
    places = places or ContainerPlaces(
        ca=Path(environment.get("LAB_CA") or ContainerPlaces.ca),
        state=Path(environment.get("LAB_STATE") or ContainerPlaces.state),
    )
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
        # Whoever starts the container otherwise than the lab does may have none.
        anchor_file = places.ca.with_name("trust-anchor")
        anchor = anchor_file.read_text("ascii") if anchor_file.exists() else ""
    except UnsafeAddress as error:
        raise ContainerError(str(error)) from error
    except UnknownFlaw as error:
        raise ContainerError(f"LAB_FLAWS: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ContainerError(f"the CA at {places.ca} cannot be read: {error}") from error
    except ValueError as error:
        raise ContainerError(f"LAB_PREFIX: {error}") from error
    usual = Settings()
    hostname = environment.get("LAB_HOSTNAME") or usual.hostname
    sender_domain = environment.get("LAB_SENDER_DOMAIN") or usual.sender_domain
    try:
        return ReferenceSender(
            network=network,
            dns=dns,
            ca_pem=ca_pem,
            directory=places.state,
            trust_anchor=anchor,
            flaws=flaws,
            settings=replace(usual, hostname=hostname, sender_domain=sender_domain),
            listen=(places.listen, places.smtp_port),
        )
    except OSError as error:  # ssl.SSLError is one
        raise ContainerError(f"the CA at {places.ca} holds no certificate: {error}") from error


def build_application(sender: ReferenceSender) -> web.Application:
    """Return the HTTP application that offers a sender's contract."""

    async def about(request: web.Request) -> web.Response:
        return _json(_about(sender))

    async def queue(request: web.Request) -> web.Response:
        messages = (
            contract.MessageBody(one.id, one.sender, one.recipient, "active" if one.active else "deferred", one.reason)
            for one in sender.queue()
        )
        return _json(contract.QueueBody(tuple(messages)))

    async def logs(request: web.Request) -> web.Response:
        return web.Response(text=sender.logs())

    async def flush(request: web.Request) -> web.Response:
        sender.flush()
        return _json(contract.FlushedBody(True))

    async def restart(request: web.Request) -> web.Response:
        asked = await _decode(request, contract.RestartRequest)
        await sender.restart(gently=asked.signal == "TERM")
        return _json(contract.RestartedBody(True))

    async def clock(request: web.Request) -> web.Response:
        sender.clock.advance((await _decode(request, contract.ClockRequest)).advance)
        return _json(contract.ClockBody(sender.clock.offset))

    async def reports(request: web.Request) -> web.Response:
        return _json(contract.ReportsBody(await sender.send_reports()))

    application = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[_errors])
    for shown in (about, queue, logs):
        application.router.add_get(f"/{shown.__name__}", shown)
    for done in (flush, restart, clock, reports):
        application.router.add_post(f"/{done.__name__}", done)
    return application


def _about(sender: ReferenceSender) -> contract.AboutBody:
    said = about_sender(sender)
    return contract.AboutBody(
        contract=contract.CONTRACT_VERSION,
        name=said.name,
        versions=dict(said.versions),
        capabilities=said.capabilities,
        retry_seconds=said.retry_seconds,
        policy_cache="volatile" if said.policy_cache == "volatile" else "persistent",
        dkim_records=dict(said.dkim_records),
        report_channels=said.report_channels,
    )


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotRunning as error:
        return _json(contract.ErrorBody(str(error)), status=503)
    except OSError as error:
        return _json(contract.ErrorBody(f"{type(error).__name__}: {error}"), status=500)


async def _decode(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        text = msgspec.json.encode(contract.ErrorBody(str(error))).decode()
        raise web.HTTPBadRequest(text=text, content_type="application/json") from error


def _json(body: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
