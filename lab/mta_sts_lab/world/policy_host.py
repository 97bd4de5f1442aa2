"""The host `mta-sts.<domain>`: it serves the policy by HTTPS (RFC 8461, section 3.3), or fails to in a stated way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

from mta_sts_lab.events import PolicyRequested
from mta_sts_lab.model import Policy, PolicyHost, World
from mta_sts_lab.world.host import Ground
from mta_sts_lab.world.https import PORT, HttpsHost
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.zone import absolute

WELL_KNOWN = "/.well-known/mta-sts.txt"

#: Answers that have no body at all (RFC 9110, sections 15.3.5 and 15.4.5).
_WITHOUT_BODY = (204, 304)

_CONDITIONS = ("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a policy host serves, and how."""

    host: PolicyHost = field(default_factory=PolicyHost)
    body: bytes = b""
    policy_id: str = ""


def policy_id(policy: Policy, domain: str) -> str:
    """Return the id that the domain's TXT record gives its policy: 16 letters and digits (RFC 8461, section 3.1).

    It depends on the policy's revision and on nothing else, so that a body can change behind an unchanged id. Ids have
    no order, and these have none either.
    """
    return hashlib.sha256(f"{domain} {policy.revision}".encode()).hexdigest()[:16]


def policy_body(policy: Policy, mode: str, mx_patterns: Sequence[str]) -> bytes:
    """Return the policy's text with CRLF line ends (RFC 8461, section 3.2). `mode` and the patterns are absolute."""
    lines = policy.lines or ("version: STSv1", "mode: {mode}", "mx: {mx}", "max_age: {max_age}")
    filled: list[str] = []
    for line in lines:
        known = line.replace("{mode}", mode).replace("{max_age}", str(policy.max_age))
        filled += [known.replace("{mx}", pattern) for pattern in mx_patterns] if "{mx}" in known else [known]
    return "".join(f"{line}\r\n" for line in filled).encode()


def served_policy(world: World, mode: str, domain: str) -> bytes:
    """Return the policy that a domain serves in a world; `mode` is the case's, unless the world has another one."""
    patterns = world.policy.mx or tuple(mx.name for mx in world.mx)
    return policy_body(world.policy, world.policy.mode or mode, [absolute(pattern, domain) for pattern in patterns])


class PolicyServer(HttpsHost):
    """A policy host. `arrange` changes what it serves and keeps its address."""

    def __init__(self, ground: Ground, case: str, name: str, address: str) -> None:
        super().__init__(ground, case, "policy-host", name, address, PORT)
        self._settings = PolicySettings()
        self._redirects: set[str] = set()

    def arrange(self, settings: PolicySettings) -> None:
        """Serve as these settings say from the next connection or request on."""
        self._settings = settings
        self.reachable = settings.host.reachable

    def _certificate_variant(self) -> str:
        return self._settings.host.certificate

    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        response, served = self._response_to(request.method, request.path)
        self._ground.recorder.write(
            PolicyRequested(
                session=accepted.session,
                host=request.headers.get("Host", ""),
                method=request.method,
                path=request.path,
                sni=sni,
                status=response.status,
                policy_id=self._settings.policy_id if served else "",
                conditional=any(name in request.headers for name in _CONDITIONS),
                user_agent=request.headers.get("User-Agent", ""),
                redirected=request.path in self._redirects,
            ),
            self.case,
        )
        if "Location" in response.headers:
            self._redirects.add(urlsplit(response.headers["Location"]).path)
        return response

    def _response_to(self, method: str, path: str) -> tuple[web.Response, bool]:
        """Return the answer, and whether it carries the policy.

        Under every status the body is the valid policy: only the status is wrong then, and a fetcher that ignores it is
        caught.
        """
        settings = self._settings
        location = settings.host.location
        if path not in (WELL_KNOWN, urlsplit(location).path or WELL_KNOWN):
            return web.Response(status=404, text="There is no such document.\n"), False
        if method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}), False
        status = settings.host.status if path == WELL_KNOWN else 200
        headers = {"Content-Type": settings.host.content_type}
        if location and 300 <= status < 400:
            headers["Location"] = location
        if status in _WITHOUT_BODY:
            return web.Response(status=status, headers=headers), False
        return web.Response(status=status, headers=headers, body=settings.body), True
