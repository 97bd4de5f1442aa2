"""Where a recipient's mail goes: the MX hosts of a domain in their order, and the addresses of a host."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, replace

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.resolver import (
    Answer,
    Found,
    LookupFailure,
    MxRecord,
    NoData,
    NoSuchName,
    Resolver,
    ascii_domain,
)

#: Why an MX host cannot be used whose name has no address.
NO_ADDRESS = "has no address"


@dataclass(frozen=True, slots=True)
class Route:
    """The MX hosts of a domain, in the order in which they are tried. `secure` says that DNSSEC vouches for them.

    `expanded` is the name that they are at, if the domain's own is an alias.
    """

    hosts: tuple[str, ...]
    secure: bool = False
    expanded: str = ""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of an MX host. `target` is the name that they are at, if the host's own is an alias."""

    values: tuple[str, ...]
    secure: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True)
class NoRoute:
    """There is nowhere to deliver to, now (`permanent` false) or because the domain says so (true).

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


#: Mail to a domain with this label in front is relayed to that domain, as to a smart host.
_BEHIND_SMART_HOST = "behind."


def next_hop(address: str) -> str:
    """Return the domain that mail to an address is handed to: its own, or a smart host's. Raises `ValueError`."""
    return recipient_domain(address).removeprefix(_BEHIND_SMART_HOST)


#: What an IPv6 address literal begins with.
_IPV6_TAG = "ipv6:"


def literal_address(domain: str) -> str | None:
    """Return the address in `[198.18.0.1]` or `[IPv6:2001:db8::1]` (RFC 5321, section 4.1.3).

    Such a recipient has no policy (RFC 8461, section 3.4).
    """
    if not (domain.startswith("[") and domain.endswith("]")):
        return None
    inside = domain[1:-1]
    tagged = inside[: len(_IPV6_TAG)].lower() == _IPV6_TAG
    try:
        return str(ipaddress.IPv6Address(inside[len(_IPV6_TAG) :]) if tagged else ipaddress.IPv4Address(inside))
    except ValueError:
        return None


def is_address(host: str) -> bool:
    """Whether what an MX record holds is an address, against RFC 1035, section 3.3.9."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def find_route(resolver: Resolver, domain: str, flaws: Flaws = NO_FLAWS) -> Route | NoRoute:
    """Look up the MX hosts of a domain."""
    if literal_address(domain) is not None:
        return Route((domain,))
    answer = await resolver.mx(domain)
    if flaws.goes_to_the_domain_without_mx_answer and isinstance(answer, LookupFailure):
        return Route((domain,))
    return _flawed(_route(domain, answer), domain, answer, flaws)


def _flawed(route: Route | NoRoute, domain: str, answer: Answer[MxRecord], flaws: Flaws) -> Route | NoRoute:
    """Return the route that a flawed sender makes of an answer."""
    if isinstance(route, NoRoute):
        keeps = flaws.keeps_mail_for_no_domain and isinstance(answer, NoSuchName)
        returns = flaws.returns_mail_when_mx_lookup_fails and isinstance(answer, LookupFailure)
        return replace(route, permanent=returns or (route.permanent and not keeps))
    if flaws.demands_mx_records and isinstance(answer, NoData):
        return NoRoute("there is no MX record", permanent=True, status="5.4.4")
    hosts = route.hosts[::-1] if flaws.tries_worst_host_first else route.hosts
    hosts = (*hosts[:1], *hosts[:0:-1]) if flaws.tries_worse_hosts_backwards else hosts
    return replace(route, hosts=(*hosts, domain) if flaws.falls_back_to_the_domain else hosts)


async def alias_target(resolver: Resolver, host: str) -> str:
    """Return the name that a host's own is an alias of; the host's own if it is none, or has no addresses."""
    found = await find_addresses(resolver, host)
    return found.target if isinstance(found, Addresses) and found.target else host


async def find_addresses(resolver: Resolver, host: str) -> Addresses | str:
    """Return the addresses of an MX host, or in words why there are none."""
    literal = literal_address(host) or (host if is_address(host) else None)
    if literal is not None:
        return Addresses((literal,))
    answer = await resolver.addresses(host)
    if isinstance(answer, Found):
        return Addresses(answer.values, answer.secure, answer.owner)
    return f"{host}: {answer.reason if isinstance(answer, LookupFailure) else NO_ADDRESS}"


def _route(domain: str, answer: Answer[MxRecord]) -> Route | NoRoute:
    if isinstance(answer, LookupFailure):
        return NoRoute(answer.reason, permanent=False, status="4.4.3")
    if isinstance(answer, NoSuchName):
        return NoRoute(f"{domain} does not exist", permanent=True, status="5.1.2")
    if not isinstance(answer, Found):
        return Route((domain,), answer.secure)
    records = [record for record in answer.values if record.host]
    if not records:
        return NoRoute(f"{domain} takes no mail (RFC 7505)", permanent=True, status="5.1.10")
    random.shuffle(records)
    hosts = tuple(record.host for record in sorted(records, key=lambda record: record.preference))
    return Route(hosts, answer.secure, answer.owner)
