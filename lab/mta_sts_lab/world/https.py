"""HTTPS on one connection at a time: aiohttp's server over the lab's own TLS layer."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod

from aiohttp import web

from mta_sts_lab.timeouts import SESSION_IDLE
from mta_sts_lab.world.host import AcceptingHost
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.tls import ServerTls, Witness

PORT = 443

# A target may send any nonsense: aiohttp answers it with 400 and would print a traceback.
_silent = logging.getLogger("mta_sts_lab.world.https")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class HttpsHost(AcceptingHost):
    """A host that speaks HTTP/1.1 inside TLS."""

    async def _speak(self, accepted: Accepted, via: str) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await self._answer(request, accepted, tls.sni)
            except web.HTTPException:
                raise
            except (OSError, web.RequestPayloadError):
                return web.Response(status=400)  # the client left, or what it sent is no body
            except Exception as error:  # noqa: BLE001 - recorded
                where = f"request in session {accepted.session} to {self.name}"
                self._ground.recorder.lab_failed(where, error, self.case)
                return web.Response(status=500)

        server = web.Server(
            handle,
            handler_cancellation=True,
            keepalive_timeout=SESSION_IDLE.seconds,
            access_log=None,
            logger=_silent,
        )
        witness = Witness(self._ground.recorder, accepted.session, self.case)
        tls = ServerTls(server(), self._ground.certificates, self._choose_credentials, witness, alpn=("http/1.1",))
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: tls, accepted.sock)
        except BaseException:
            accepted.sock.close()
            raise
        try:
            await tls.closed.wait()
        finally:
            tls.give_up()
            transport.abort()
            await tls.closed.wait()
            # aiohttp has cancelled the request with the connection; it needs a turn to end, and has no event for that.
            while server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def _choose_credentials(self, sni: str) -> Credentials | None:
        """RFC 8461, section 7.1: the chain that matches the server name asked for, or none at all."""
        if sni != self.name:
            return None
        return self._ground.certificates.authority.credentials(self._certificate_variant(), self.name)

    def _certificate_variant(self) -> str:
        """Return the variant that is shown now."""
        return "valid"

    @abstractmethod
    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        """Answer a request. Exceptions are recorded as the lab's, except aiohttp's own refusals."""
