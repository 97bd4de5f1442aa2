"""A target over the network: the contract over HTTP, injection by SMTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import aiohttp
import msgspec

from mta_sts_lab.model.target import About
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.targets.contract import Held, NotAnswering, NotNow, NotOffered, TargetError
from mta_sts_lab.targets.contract_http import (
    CONTRACT_VERSION,
    PORT,
    AboutBody,
    ClockBody,
    ClockRequest,
    ErrorBody,
    FlushedBody,
    QueueBody,
    ReportsBody,
    RestartedBody,
    RestartRequest,
    unknown_in_about,
)
from mta_sts_lab.targets.injection import Connect, Inject, Injector, SmtpSession
from mta_sts_lab.timeouts import CONTRACT_CALL, SEND_REPORTS, Deadline

T = TypeVar("T")


def _as_injected(address: str) -> str:
    """Return an address with the A-labels in which it was handed over: chasquid and Courier show U-labels."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{a_labels(domain)}"


#: Octets. A queue of 1,000 messages has about 300 KiB.
LARGEST_ANSWER = 8 * 1024 * 1024

#: Octets of log that are read; the log of a whole catalogue on Postfix has 2 MiB.
LARGEST_LOG = 64 * 1024 * 1024

#: Characters that are kept of the beginning and of the end of a long error.
_ERROR_BEGINS, _ERROR_ENDS = 100, 300


class RemoteTarget:
    """A `Target` at a host: HTTP contract and SMTP. Make it inside a running event loop.

    `inject` says how it takes mail; by default plain relay on port 25. `connect` opens connections to its SMTP port
    where the host's address cannot be used. `ended` is what says how the target has ended, where somebody knows.
    """

    def __init__(
        self,
        host: str,
        *,
        contract_port: int = PORT,
        inject: Inject | None = None,
        connect: Connect | None = None,
        ended: Callable[[], str] = str,
        call_seconds: float = CONTRACT_CALL.seconds,
        reports_seconds: float = SEND_REPORTS.seconds,
    ) -> None:
        self._where = f"http://{host}:{contract_port}"
        self._ended = ended
        self._one_call = Deadline(CONTRACT_CALL.name, call_seconds)
        self._send_reports = Deadline(SEND_REPORTS.name, reports_seconds)
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        way = inject or Inject()
        self._injector = Injector(f"the target at {host} port {way.port}", lambda: SmtpSession.open(host, way, connect))

    async def about(self) -> About:
        """See `Target`."""
        answer = await self._call("GET", "/about", b"", LARGEST_ANSWER)
        said = self._decode("/about", answer, AboutBody)
        if said.contract != CONTRACT_VERSION:
            raise TargetError(
                f"{self._where}/about: the target keeps version {said.contract} of the contract, "
                f"the lab speaks {CONTRACT_VERSION}"
            )
        return About(
            said.name,
            said.versions,
            said.capabilities,
            said.retry_seconds,
            said.policy_cache,
            said.dkim_records,
            said.dns_memory_seconds,
            said.reports_end_the_day,
            said.report_channels,
            said.own_retry_seconds,
            unknown=unknown_in_about(self._decode("/about", answer, dict[str, msgspec.Raw]), said.capabilities),
        )

    async def greet(self) -> None:
        """Check that the target accepts mail, without sending any. Raises `TargetError`."""
        await self._injector.greet()

    async def open_session(self) -> SmtpSession:
        """Open an SMTP session as for an injection, and leave it to the caller. Raises `TargetError`."""
        return await self._injector.open()

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        """See `Target`."""
        return await self._injector.inject(sender, recipient, message, options)

    async def queue(self) -> tuple[Held, ...]:
        """See `Target`."""
        held = await self._get("/queue", QueueBody)
        return tuple(Held(_as_injected(one.recipient), one.sender, one.state, one.reason) for one in held.messages)

    async def flush(self) -> None:
        """See `Target`."""
        async with self._injector.pause():
            done = await self._post("/flush", None, FlushedBody)
        if not done.flushed:
            raise NotNow(f"POST {self._where}/flush: not now")

    async def restart(self, signal: str) -> None:
        """See `Target`."""
        try:
            asked = msgspec.convert({"signal": signal}, RestartRequest)
        except msgspec.ValidationError as error:
            raise TargetError(f"unknown signal {signal!r}; there are TERM and KILL") from error
        await self._post("/restart", asked, RestartedBody)

    async def advance(self, seconds: int) -> None:
        """See `Target`."""
        try:
            asked = ClockRequest(seconds)
        except ValueError as error:
            raise TargetError(str(error)) from error
        await self._post("/clock", asked, ClockBody)

    async def reports(self) -> None:
        """See `Target`."""
        await self._post("/reports", None, ReportsBody, self._send_reports)

    async def logs(self) -> str:
        """See `Target`."""
        return (await self._call("GET", "/logs", b"", LARGEST_LOG)).decode("utf-8", "replace")

    def ended(self) -> str:
        """See `Target`."""
        return self._ended()

    async def close(self) -> None:
        """Close the connections. The target itself is ended by the code that started it."""
        await self._injector.close()
        await self._http.close()

    async def _get(self, path: str, kind: type[T]) -> T:
        return self._decode(path, await self._call("GET", path, b"", LARGEST_ANSWER), kind)

    async def _post(self, path: str, body: msgspec.Struct | None, kind: type[T], deadline: Deadline | None = None) -> T:
        octets = b"{}" if body is None else msgspec.json.encode(body)
        return self._decode(path, await self._call("POST", path, octets, LARGEST_ANSWER, deadline), kind)

    def _decode(self, path: str, answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TargetError(f"{self._where}{path}: the answer does not keep the contract: {error}") from error

    async def _call(self, method: str, path: str, body: bytes, largest: int, deadline: Deadline | None = None) -> bytes:
        """Make one call. Raises `NotOffered` for 404, `NotAnswering`, and `TargetError` for other errors."""
        deadline = deadline or self._one_call
        what = f"{method} {self._where}{path}"
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._http.request(
                method,
                self._where + path,
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=deadline.seconds),
            ) as response:
                answer = await _bounded(response, largest)
                status = response.status
        except TimeoutError as error:
            raise NotAnswering(f"{what}: no answer within {deadline.seconds:g} s ({deadline.name})") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotAnswering(f"{what}: {error or type(error).__name__}") from error
        if answer is None:
            raise TargetError(f"{what}: the answer has more than {largest} octets")
        if status == 404:
            raise NotOffered(f"{what}: the target does not offer this")
        if status != 200:
            raise TargetError(f"{what}: HTTP status {status}: {_error_text(answer)}")
        return answer


async def _bounded(response: aiohttp.ClientResponse, largest: int) -> bytes | None:
    """Read a body; None when it is too large."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > largest:
            return None
    return bytes(body)


def _error_text(answer: bytes) -> str:
    """Return the error that an answer names. Of a long one the end counts: there a traceback says what was wrong."""
    try:
        error = msgspec.json.decode(answer, type=ErrorBody).error
    except msgspec.MsgspecError:
        return repr(answer[:200])
    if len(error) <= _ERROR_BEGINS + _ERROR_ENDS:
        return error
    return f"{error[:_ERROR_BEGINS]} ... {error[-_ERROR_ENDS:]}"
