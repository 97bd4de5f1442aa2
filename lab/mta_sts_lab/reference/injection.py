"""Handing messages to a target by SMTP, over a few connections that are kept open.

A pool, because a run injects hundreds of messages: one connection after the other would cost a target more than the
messages do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from mta_sts_lab.reference.channel import HandshakeFailed
from mta_sts_lab.reference.smtp_client import Envelope, SmtpBroken, SmtpClient, SmtpRefused
from mta_sts_lab.reference.tls import unverified_context
from mta_sts_lab.targets.contract import InjectionRefusedError, TargetError
from mta_sts_lab.targets.inject import Inject
from mta_sts_lab.timeouts import INJECT

#: Connections at one time. Postfix took 63 messages over four of them in 0.3 s.
CONNECTIONS = 4

#: What the lab calls itself to a target.
HELLO_NAME = "lab.example"

#: Opens a session that is ready for MAIL FROM.
OpenSession = Callable[[], Awaitable[SmtpClient]]


def plain_relay(address: Callable[[], tuple[str, int]]) -> OpenSession:
    """Return how to open a session to a relay that takes mail without more ado, wherever it listens now."""

    async def open_session() -> SmtpClient:
        return await SmtpClient.open(address(), HELLO_NAME, INJECT.seconds)

    return open_session


def session_as_told(host: str, inject: Inject) -> OpenSession:
    """Return how to open a session at a host in the way of its `[inject]`.

    Opening one raises `SmtpBroken` or `SmtpRefused`; neither shows the password.
    """
    if not inject.starttls:
        return plain_relay(lambda: (host, inject.port))
    context = unverified_context()

    async def open_session() -> SmtpClient:
        client = await SmtpClient.open((host, inject.port), HELLO_NAME, INJECT.seconds)
        try:
            await _prepare(client, inject, context)
        except BaseException:
            await client.channel.close()
            raise
        return client

    return open_session


async def _prepare(client: SmtpClient, inject: Inject, context: ssl.SSLContext) -> None:
    """Say STARTTLS and, where there is a user, AUTH."""
    if not client.offers_starttls:
        raise SmtpBroken("STARTTLS is not offered, and [inject] of target.toml asks for it")
    try:
        await client.start_tls(context, None)
    except HandshakeFailed as error:
        raise SmtpBroken(f"no TLS came about after STARTTLS: {error}") from error
    await client.hello()
    if inject.user:
        await client.log_in(inject.user, inject.password)


class _OnlyHere(Exception):
    """Not now, over this session: a server may take only so many messages in one (OpenSMTPD 100, then 452 4.5.3)."""


class Injector:
    """Sends messages over pooled sessions; `name` is what the target is called in errors."""

    def __init__(self, name: str, open_session: OpenSession, connections: int = CONNECTIONS) -> None:
        self._name = name
        self._open = open_session
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._pausing = asyncio.Lock()
        self._idle: list[SmtpClient] = []

    async def inject(self, sender: str, recipient: str, message: bytes) -> str:
        """Hand over one message; return the reply to its final dot.

        Raises `InjectionRefusedError` for a refusal and `TargetError` when the dialogue breaks or `INJECT` passes.
        """
        envelope = Envelope(sender, recipient, message)
        try:
            async with asyncio.timeout(INJECT.seconds), self._slots:
                return await self._send(envelope)
        except TimeoutError as error:
            raise TargetError(
                f"{self._name} did not take a message for {recipient} within {INJECT.seconds} s ({INJECT.name})"
            ) from error
        except SmtpRefused as error:
            raise InjectionRefusedError(f"{self._name}: {error}") from error
        except SmtpBroken as error:
            raise TargetError(f"{self._name}: the SMTP dialogue broke while a message was injected: {error}") from error

    async def greet(self) -> None:
        """Open one session and keep it for the first message. Raises `TargetError` when nobody greets."""
        self._idle.append(await self.open())

    async def open(self) -> SmtpClient:
        """Open a session that is the caller's to close. Raises `TargetError` when nobody greets."""
        try:
            async with asyncio.timeout(INJECT.seconds):
                return await self._open()
        except TimeoutError as error:
            waited = f"no session within {INJECT.seconds:g} s ({INJECT.name})"
            raise TargetError(f"{self._name} does not take mail: {waited}") from error
        except (SmtpBroken, SmtpRefused) as error:
            raise TargetError(f"{self._name} does not take mail: {error}") from error

    @contextlib.asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Let the messages that are under way be handed over, and begin no other one meanwhile."""
        async with contextlib.AsyncExitStack() as taken, self._pausing:
            for _ in range(self._connections):
                await taken.enter_async_context(self._slots)
            yield

    async def close(self) -> None:
        """Close the idle sessions."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(client.close() for client in idle))

    async def _send(self, envelope: Envelope) -> str:
        while self._idle:
            client = self._idle.pop()
            try:
                await client.reset()
            except (SmtpBroken, SmtpRefused):
                # The target closed it meanwhile, as servers may; nothing was said on it, so another one is safe.
                await client.channel.close()
            else:
                with contextlib.suppress(_OnlyHere):
                    return await self._over_used(client, envelope)
        return await self._over(await self._open(), envelope)

    async def _over_used(self, client: SmtpClient, envelope: Envelope) -> str:
        """Send over a session that had messages before. Raises `_OnlyHere` when it may be that which is refused."""
        try:
            return await self._over(client, envelope)
        except SmtpRefused as refusal:
            if refusal.permanent:
                raise
            self._idle.remove(client)
            await client.close()
            raise _OnlyHere from refusal

    async def _over(self, client: SmtpClient, envelope: Envelope) -> str:
        try:
            reply = await client.send(envelope)
        except SmtpRefused:
            self._idle.append(client)
            raise
        except BaseException:
            await client.channel.close()
            raise
        self._idle.append(client)
        return reply.text
