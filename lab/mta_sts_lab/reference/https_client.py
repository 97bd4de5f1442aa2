"""HTTPS as the sender speaks it: names are resolved by the lab's resolver and dialled through the address book.

The real name stays in the request, in SNI and in the certificate check. No redirects, no cookies, no cache, no proxy.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mta_sts_lab.reference.resolver import Found, Resolver
from mta_sts_lab.world.network import Network, UnsafeAddress

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
                hostname=host, host=place[0], port=place[1], family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for place in places
        ]

    async def close(self) -> None:
        """Nothing is held open."""


def open_session(
    resolver: Resolver, network: Network, context: ssl.SSLContext, seconds: float
) -> aiohttp.ClientSession:
    """Return a session for requests to named hosts; a whole request may take so many seconds."""
    connector = aiohttp.TCPConnector(
        resolver=NamedAddresses(resolver, network),
        use_dns_cache=False,
        family=socket.AF_INET,
        ssl=context,
        force_close=True,
        limit=0,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


def is_named_https(url: URL) -> bool:
    """Whether a URL is https and names a host: an address literal would be dialled past the address book."""
    if url.scheme != "https" or not url.host:
        return False
    try:
        ipaddress.ip_address(url.host)
    except ValueError:
        return True
    return False
