"""Where mail for a domain goes: MX records by preference, or the domain itself without any (RFC 5321, section 5.1)."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass

from mta_sts_lab.reference.resolver import Answer, Found, LookupFailure, MxRecord, NoSuchName, Resolver, ascii_domain


@dataclass(frozen=True, slots=True)
class Route:
    """The MX hosts of a domain, in the order in which they are tried."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoRoute:
    """There is nowhere to deliver to, now (`permanent` false) or by the domain's own word (true).

    `status` is an enhanced status code (RFC 3463).
    """

    reason: str
    permanent: bool
    status: str


def recipient_domain(recipient: str) -> str:
    """Return the domain of an address in A-labels, or an address literal as it is. Raises `ValueError`."""
    domain = recipient.rpartition("@")[2]
    if literal_address(domain) is not None:
        return domain
    return ascii_domain(domain)


def literal_address(domain: str) -> str | None:
    """Return the address in `[198.18.0.1]`. Such a recipient has no policy (RFC 8461, section 3.4)."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return None
    try:
        return str(ipaddress.IPv4Address(domain[1:-1]))
    except ValueError:
        return None


async def find_route(resolver: Resolver, domain: str) -> Route | NoRoute:
    """Look up the MX hosts of a domain."""
    if literal_address(domain) is not None:
        return Route((domain,))
    return _route(domain, await resolver.mx(domain))


async def find_addresses(resolver: Resolver, host: str) -> tuple[str, ...] | str:
    """Return the addresses of an MX host, or in words why there are none."""
    literal = literal_address(host)
    if literal is not None:
        return (literal,)
    answer = await resolver.addresses(host)
    if isinstance(answer, Found):
        return answer.values
    return f"{host}: {answer.reason if isinstance(answer, LookupFailure) else 'has no address'}"


def _route(domain: str, answer: Answer[MxRecord]) -> Route | NoRoute:
    if isinstance(answer, LookupFailure):
        return NoRoute(answer.reason, permanent=False, status="4.4.3")
    if isinstance(answer, NoSuchName):
        return NoRoute(f"{domain} does not exist", permanent=True, status="5.1.2")
    if not isinstance(answer, Found):
        return Route((domain,))
    records = [record for record in answer.values if record.host]
    if not records:
        return NoRoute(f"{domain} takes no mail (RFC 7505)", permanent=True, status="5.1.10")
    random.shuffle(records)
    return Route(tuple(record.host for record in sorted(records, key=lambda record: record.preference)))
