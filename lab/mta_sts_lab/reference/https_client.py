"""HTTPS as the sender speaks it, and the fetch of a policy (RFC 8461, section 3.3).

Names are resolved by the lab's resolver and dialled through the address book; the real name stays in the request, in
SNI and in the certificate check. No redirects, no cookies, no cache, no proxy.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mta_sts_lab.reference.certificate_flaws import refused_policy_host
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.policy import Policy, PolicyInvalid, parse_policy
from mta_sts_lab.reference.resolver import Found, Resolver
from mta_sts_lab.reference.tls import SELF_SIGNED, Problem, unverified_context
from mta_sts_lab.world.network import Network, UnsafeAddress, socket_family

USER_AGENT = "mta-sts-lab-reference"


class NamedAddresses(AbstractResolver):
    """Tells aiohttp where to dial a host and port."""

    def __init__(self, resolver: Resolver, network: Network) -> None:
        self._resolver = resolver
        self._network = network

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `OSError` when there is no address, or none of the lab's."""
        answer = await self._resolver.addresses(host)
        if not isinstance(answer, Found):
            raise OSError(f"no address for {host}: {getattr(answer, 'reason', 'no such record')}")
        places = []
        for address in answer.values:
            try:
                places.append(self._network.where(address, port))
            except UnsafeAddress as error:
                raise OSError(str(error)) from error
        return [
            ResolveResult(
                hostname=host,
                host=place[0],
                port=place[1],
                family=socket_family(place[0]),
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for place in places
        ]

    async def close(self) -> None:
        """Nothing is held open."""


def open_session(
    resolver: Resolver,
    network: Network,
    context: ssl.SSLContext,
    seconds: float,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
) -> aiohttp.ClientSession:
    """Return a session for requests to named hosts; a whole request may take so many seconds."""
    connector = aiohttp.TCPConnector(
        resolver=NamedAddresses(resolver, network),
        use_dns_cache=False,
        # Address by address, as for SMTP: no second connection is begun while the first one is on its way.
        happy_eyeballs_delay=None,
        ssl=context,
        force_close=True,
        limit=0,
    )
    return aiohttp.ClientSession(
        connector=connector,
        request_class=request_class,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


class CertificateRefused(aiohttp.ClientError):
    """The certificate of a host verifies, and is not accepted all the same. The message says why."""


def checked_request(problem: Callable[[bytes], Awaitable[Problem | None]], flaws: Flaws) -> type[aiohttp.ClientRequest]:
    """Return a kind of request that is only sent if nothing is wrong with the host's certificate.

    `problem` takes the certificate, in DER, once TLS has verified it. Sending raises `CertificateRefused`.
    """

    class CheckedRequest(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            tls = conn.transport.get_extra_info("ssl_object") if conn.transport is not None else None
            shown = tls.getpeercert(binary_form=True) if tls is not None else None
            if shown and (refused := refused_policy_host(flaws, self.url.host or "", shown)):
                raise CertificateRefused(refused)
            found = await problem(shown) if shown else None
            if found is not None:
                raise CertificateRefused(found.text)
            return await super().send(conn)

    return CheckedRequest


def is_named_https(url: URL) -> bool:
    """Whether a URL is https and names a host: an address literal would be dialled past the address book."""
    if url.scheme != "https" or not url.host:
        return False
    try:
        ipaddress.ip_address(url.host)
    except ValueError:
        return True
    return False


#: Octets; the ceiling that RFC 8461, section 3.3 suggests.
LARGEST_BODY = 64 * 1024

#: Only for the flaw that follows redirects.
_MOST_REDIRECTS = 3


#: Why there is no policy where its host says nothing for too long.
TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """Why there is no fresh policy. `result_type` is that of RFC 8460, section 4.3.2.2."""

    result_type: str
    reason: str


@dataclass(eq=False, repr=False)
class PolicyFetcher:
    """Fetches policies through one HTTP session."""

    session: aiohttp.ClientSession
    flaws: Flaws
    #: Only for the flaw that takes the hoster's name: returns the name that a host's own is an alias of.
    alias_target: Callable[[str], Awaitable[str]] | None = None
    #: Only for the flaw that names another server: the policy hosts that were asked before.
    _asked_before: set[str] = field(default_factory=set, init=False)
    #: Only for the flaw that heeds it: the field of the last answer.
    _cache_control: str = field(default="", init=False)

    async def fetch(self, domain: str) -> Policy | PolicyProblem:
        """GET the policy of a policy domain."""
        if self.flaws.fetches_policies_in_u_labels and "xn--" in domain:
            return PolicyProblem("sts-policy-fetch-error", "there is no such host in U-labels")
        url = URL(f"https://mta-sts.{domain}/.well-known/mta-sts.txt")
        problem = await self._fetched(url)
        if isinstance(problem, Policy):
            return problem
        refused = problem.result_type == "sts-webpki-invalid"
        if self.flaws.fetches_over_http or (self.flaws.fetches_over_http_after_bad_certificate and refused):
            again = await self._fetched(url.with_scheme("http"))
            return again if isinstance(again, Policy) else problem
        if self.flaws.accepts_name_of_policy_hoster and self.alias_target is not None:
            again = await self._fetched(url, await self.alias_target(str(url.host)))
            return again if isinstance(again, Policy) else problem
        return problem

    async def _fetched(
        self, url: URL, server_name: str | None = None, context: ssl.SSLContext | None = None
    ) -> Policy | PolicyProblem:
        """GET a policy. Server name and verification are the usual ones, unless a flaw knows others."""
        try:
            body = await self._body(url, server_name, context)
        except aiohttp.ClientConnectorCertificateError as error:
            own = getattr(error.certificate_error, "verify_code", None) == SELF_SIGNED
            if own and self.flaws.accepts_policy_host_self_signed:
                return await self._fetched(url, server_name, unverified_context())
            reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return PolicyProblem("sts-webpki-invalid", str(reason))
        except CertificateRefused as error:
            return PolicyProblem("sts-webpki-invalid", str(error))
        except aiohttp.ClientConnectorSSLError as error:
            return PolicyProblem("sts-policy-fetch-error", f"TLS failed: {error.strerror or error}")
        except TimeoutError:
            return PolicyProblem("sts-policy-fetch-error", TIMED_OUT)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return PolicyProblem("sts-policy-fetch-error", str(error) or type(error).__name__)
        if isinstance(body, PolicyProblem):
            return body
        try:
            return self._for_so_long(parse_policy(body, self.flaws))
        except PolicyInvalid as error:
            return PolicyProblem("sts-policy-invalid", str(error))

    def _for_so_long(self, policy: Policy) -> Policy:
        """Flaw: a policy ends when HTTP's caches let go of it."""
        found = re.search(r"max-age=(\d+)", self._cache_control) if self.flaws.heeds_cache_control else None
        return replace(policy, max_age=min(policy.max_age, int(found[1]))) if found else policy

    async def _body(self, url: URL, server_name: str | None, context: ssl.SSLContext | None) -> bytes | PolicyProblem:
        flaws = self.flaws
        headers = {"If-None-Match": '"known"'} if flaws.asks_conditionally else {}
        if flaws.asks_with_head_first:
            async with self.session.head(url, allow_redirects=False):
                pass
        for _ in range(_MOST_REDIRECTS):
            named = server_name or self._other_server_name(url)
            async with self.session.get(
                url, allow_redirects=False, headers=headers, server_hostname=named, ssl=context or True
            ) as response:
                location = response.headers.get("Location", "")
                if self.flaws.follows_redirects and 300 <= response.status < 400 and location:
                    url = url.join(URL(location))
                    if not is_named_https(url):
                        return PolicyProblem("sts-policy-fetch-error", f"redirected to {url}")
                    continue
                return await self._accepted(response)
        return PolicyProblem("sts-policy-fetch-error", "redirected too often")

    def _other_server_name(self, url: URL) -> str | None:
        """Flaw: the name in the client hello of a second fetch; None: that of the URL."""
        host = url.host or ""
        again = host in self._asked_before
        self._asked_before.add(host)
        return host.partition(".")[2] if again and self.flaws.names_domain_to_policy_host else None

    async def _accepted(self, response: aiohttp.ClientResponse) -> bytes | PolicyProblem:
        if response.status != 200 and not self.flaws.ignores_http_status:
            return PolicyProblem("sts-policy-fetch-error", f"HTTP status {response.status}")
        # Parameters, a charset say, are ignored (RFC 8461, section 3.2).
        media_type = response.headers.get("Content-Type", "").strip().lower()
        if not self.flaws.refuses_media_type_parameters:
            media_type = media_type.partition(";")[0].strip()
        if media_type != "text/plain" and not self.flaws.ignores_media_type:
            return PolicyProblem("sts-policy-fetch-error", f"media type {media_type or 'missing'}, not text/plain")
        if self.flaws.demands_length_of_policies and "Content-Length" not in response.headers:
            return PolicyProblem("sts-policy-fetch-error", "the length of the policy is not told")
        self._cache_control = response.headers.get("Cache-Control", "")
        body = bytearray()
        transport = response.connection.transport if response.connection is not None else None
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST_BODY:
                    return PolicyProblem("sts-policy-fetch-error", f"more than {LARGEST_BODY} octets")
                if self.flaws.takes_first_piece_of_policies:
                    break
        except aiohttp.ClientPayloadError:
            if not self.flaws.takes_policies_that_were_cut:
                raise
        counted = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
        if not counted and not _has_said_goodbye(tls) and not self.flaws.takes_policies_that_were_cut:
            return PolicyProblem("sts-policy-fetch-error", "the connection ended in the middle of the policy")
        return bytes(body)


def _has_said_goodbye(tls: ssl.SSLObject | None) -> bool:
    """Whether a connection that has ended did so by close_notify.

    A body that ends with its connection is whole only then (RFC 9112, sections 8 and 9.8), and asyncio does not tell.
    """
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
