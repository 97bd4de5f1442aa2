"""The host `mta-sts.<domain>`: it serves the policy by HTTPS (RFC 8461, section 3.3), or fails to in a stated way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

from mta_sts_lab.events import PolicyRequested
from mta_sts_lab.model.world import PolicyHost, Stall
from mta_sts_lab.rfc.domain_names import POLICY_PATH, absolute
from mta_sts_lab.rfc.published import PADDING_LINE
from mta_sts_lab.timeouts import STALL
from mta_sts_lab.world.host import HTTP_PORT, HTTPS_PORT, Document, HostServices, HttpHost, HttpsHost
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.tls import ServerTls

#: Answers that have no body at all (RFC 9110, sections 15.3.5 and 15.4.5).
_WITHOUT_BODY = (204, 304)

_CONDITIONS = ("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a policy host serves, and how."""

    host: PolicyHost = field(default_factory=PolicyHost)
    body: bytes = b""
    policy_id: str = ""


def redirect_host(location: str, domain: str) -> str:
    """Return the name of the other host that a redirect leads to; empty if it stays at the policy host."""
    label = urlsplit(location).netloc
    return absolute(label, domain) if label else ""


class PlainPolicyServer(HttpHost):
    """The policy host's port 80, where nobody may ask for a policy: any request is answered with it, and not recorded.

    That somebody connected is what the record shows.
    """

    def __init__(self, services: HostServices, case: str, name: str, addresses: Sequence[str]) -> None:
        super().__init__(services, case, "plain-policy-host", name, addresses, HTTP_PORT)
        #: The policy.
        self.body = b""

    def _document(self, method: str, path: str, accepted: Accepted) -> Document:
        return Document(self.body)


class OtherPolicyServer(HttpsHost):
    """The policy host of another domain, whose policy is none of the case's: that somebody connected is on record.

    `role` is parent-policy-host or recipient-policy-host.
    """

    def __init__(
        self, services: HostServices, case: str, role: str, name: str, addresses: Sequence[str], body: bytes
    ) -> None:
        super().__init__(services, case, role, name, addresses, HTTPS_PORT)
        self._body = body

    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        return web.Response(body=self._body, content_type="text/plain")


#: Seconds between two octets of an answer that comes slowly.
_OCTET_EVERY = 1.0

#: Seconds before each piece of an answer that comes in pieces.
_PIECE_EVERY = 0.2

#: Lines of an answer without an end, and the seconds between them: a quarter of a MiB a second.
_LINES_AT_ONCE = 1024
_LINES_EVERY = 0.25


class PolicyServer(HttpsHost):
    """A policy host. `arrange` changes what it serves and keeps its addresses."""

    def __init__(self, services: HostServices, case: str, name: str, addresses: Sequence[str]) -> None:
        super().__init__(services, case, "policy-host", name, addresses, HTTPS_PORT)
        #: What it serves now.
        self.settings = PolicySettings()
        #: The same host on port 80.
        self.plain = PlainPolicyServer(services, case, name, addresses)
        self._redirects: set[str] = set()

    def arrange(self, settings: PolicySettings) -> None:
        """Serve as these settings say from the next connection or request on."""
        self.settings = settings
        self.dead = settings.host.dead_over
        self.reachable = settings.host.reachable
        self.plain.body = settings.body
        self.plain.reachable = settings.host.plain_http

    async def close(self) -> None:
        """See `AcceptingHost`."""
        self.reachable = False
        await self.plain.close()
        await super().close()

    def _choose_credentials(self, sni: str) -> Credentials | None:
        """Show the host's certificate to a client that names what it is an alias of as well: who hosts it does so."""
        target, elsewhere = self.settings.host.alias_of, redirect_host(self.settings.host.location, self._domain)
        if elsewhere and sni == elsewhere:
            return self._services.certificates.authority.credentials("valid", elsewhere)
        named = bool(target) and sni == absolute(target, self._domain)
        return super()._choose_credentials(self.name if named else sni)

    @property
    def _domain(self) -> str:
        return self.name.partition(".")[2]

    def _certificate_variant(self) -> str:
        return self.settings.host.certificate

    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        response, served = self._response_to(request.method, request.path)
        stalls = self.settings.host.stalls if served else None
        cut = served and self.settings.host.cut
        accepted.recorder.write(
            PolicyRequested(
                session=accepted.session,
                host=request.headers.get("Host", ""),
                method=request.method,
                path=request.path,
                sni=sni,
                status=0 if stalls or cut else response.status,
                policy_id=self.settings.policy_id if served else "",
                conditional=any(name in request.headers for name in _CONDITIONS),
                user_agent=request.headers.get("User-Agent", ""),
                redirected=request.path in self._redirects,
                policy=self.settings.body.decode("utf-8", "replace") if served else "",
                media_type=self.settings.host.content_type if served else "",
            ),
            self.case,
        )
        if "Location" in response.headers and accepted.session:
            self._redirects.add(urlsplit(response.headers["Location"]).path)
        if cut or (served and self.settings.host.framing != "length"):
            return self._answer_by_hand(request)
        if served and self.settings.host.in_pieces:
            return await self._in_pieces(request)
        return response if stalls is None else await self._never_whole(request, stalls)

    def _answer_by_hand(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send the policy and end the connection; in the middle of the answer, if it is cut.

        A host that has cut an answer takes no more connections, for the same reason as one that stalls. aiohttp would
        send an answer of unknown length in chunks, so that this one does without it.
        """
        body, settings = self.settings.body, self.settings.host
        sent = body[: body.rstrip().rfind(b"\n") + 1] if settings.cut else body
        head = f"HTTP/1.1 {settings.status} OK\r\nContent-Type: {settings.content_type}\r\nConnection: close\r\n"
        if settings.framing == "length":
            head += f"Content-Length: {len(body)}\r\n"
        elif settings.framing == "chunked":
            head += "Transfer-Encoding: chunked\r\n"
            sent = f"{len(sent):x}\r\n".encode() + sent + (b"\r\n" if settings.cut else b"\r\n0\r\n\r\n")
        transport = request.transport
        if transport is not None:
            assert isinstance(transport, ServerTls)
            transport.write(head.encode() + b"\r\n" + sent)
            if settings.cut:
                self.reachable = False
                transport.cut()
            else:
                transport.close()
        return web.Response(status=settings.status)

    async def _in_pieces(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send the whole policy with its length, in two halves behind the header."""
        body, settings = self.settings.body, self.settings.host
        response = web.StreamResponse(status=settings.status, headers={"Content-Type": settings.content_type})
        response.content_length = len(body)
        half = len(body) // 2
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for piece in (body[:half], body[half:]):
                await asyncio.sleep(_PIECE_EVERY)
                await response.write(piece)
            await response.write_eof()
        return response

    async def _never_whole(self, request: web.BaseRequest, stalls: Stall) -> web.StreamResponse:
        """Begin to send the policy and never come to its end, until the client hangs up or the deadline passes.

        Then the host takes no more connections: wget would ask again twenty times, and stall as long each time.
        """
        body, settings = self.settings.body, self.settings.host
        response = web.StreamResponse(status=settings.status, headers={"Content-Type": settings.content_type})
        if stalls is not Stall.ENDLESS:
            response.content_length = len(body)
        await response.prepare(request)
        half = len(body) // 2 if stalls is Stall.HALF else 0
        try:
            async with asyncio.timeout(STALL.seconds):
                await response.write(body if stalls is Stall.ENDLESS else body[:half])
                while stalls is Stall.ENDLESS:
                    await response.write(PADDING_LINE * _LINES_AT_ONCE)
                    await asyncio.sleep(_LINES_EVERY)
                for at in range(half, len(body) - 1):
                    await asyncio.sleep(_OCTET_EVERY)
                    if request.transport is None or request.transport.is_closing():
                        return response
                    if stalls is Stall.DRIP:
                        await response.write(body[at : at + 1])
        except ConnectionError:
            return response
        except TimeoutError:
            pass
        self.reachable = False
        if request.transport is not None:
            request.transport.abort()
        return response

    def _response_to(self, method: str, path: str) -> tuple[web.Response, bool]:
        """Return the answer, and whether it carries the policy.

        Under every status the body is the valid policy: only the status is wrong then, and a fetcher that ignores it is
        caught.
        """
        settings = self.settings
        location = settings.host.location
        if path not in (POLICY_PATH, urlsplit(location).path or POLICY_PATH):
            return web.Response(status=404, text="There is no such document.\n"), False
        if method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}), False
        status = settings.host.status if path == POLICY_PATH else 200
        headers = dict(line.split(": ", 1) for line in settings.host.headers)
        headers["Content-Type"] = settings.host.content_type
        if location and 300 <= status < 400:
            elsewhere = redirect_host(location, self._domain)
            headers["Location"] = f"https://{elsewhere}{urlsplit(location).path}" if elsewhere else location
        if status in _WITHOUT_BODY:
            return web.Response(status=status, headers=headers), False
        return web.Response(status=status, headers=headers, body=settings.body), True
