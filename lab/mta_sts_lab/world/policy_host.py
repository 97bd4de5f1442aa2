"""The host `mta-sts.<domain>`: it serves the policy by HTTPS (RFC 8461, section 3.3), or fails to in a stated way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

from mta_sts_lab.events import PolicyRequested
from mta_sts_lab.model import PolicyHost
from mta_sts_lab.rfc.domain_names import POLICY_PATH
from mta_sts_lab.world.host import HTTPS_PORT, HostServices, HttpsHost
from mta_sts_lab.world.path import Accepted

#: Answers that have no body at all (RFC 9110, sections 15.3.5 and 15.4.5).
_WITHOUT_BODY = (204, 304)

_CONDITIONS = ("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a policy host serves, and how."""

    host: PolicyHost = field(default_factory=PolicyHost)
    body: bytes = b""
    policy_id: str = ""


class PolicyServer(HttpsHost):
    """A policy host. `arrange` changes what it serves and keeps its addresses."""

    def __init__(self, services: HostServices, case: str, name: str, addresses: Sequence[str]) -> None:
        super().__init__(services, case, "policy-host", name, addresses, HTTPS_PORT)
        #: What it serves now.
        self.settings = PolicySettings()
        self._redirects: set[str] = set()

    def arrange(self, settings: PolicySettings) -> None:
        """Serve as these settings say from the next connection or request on."""
        self.settings = settings
        self.dead = settings.host.dead_over
        self.reachable = settings.host.reachable

    def _certificate_variant(self) -> str:
        return self.settings.host.certificate

    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        response, served = self._response_to(request.method, request.path)
        accepted.recorder.write(
            PolicyRequested(
                session=accepted.session,
                host=request.headers.get("Host", ""),
                method=request.method,
                path=request.path,
                sni=sni,
                status=response.status,
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
        headers = {"Content-Type": settings.host.content_type}
        if location and 300 <= status < 400:
            headers["Location"] = location
        if status in _WITHOUT_BODY:
            return web.Response(status=status, headers=headers), False
        return web.Response(status=status, headers=headers, body=settings.body), True
