"""The addresses that a run's hosts get, each of them once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

from mta_sts_lab.model.world import Family

#: The prefixes of a world in this process. Any part of the lab's blocks would do: nothing of it leaves the process.
PREFIXES: Mapping[Family, str] = {Family.IPV4: "198.18.64.0/18", Family.IPV6: "2001:db8:64::/64"}


class NoAddressLeft(Exception):
    """The prefix is too small for so many cases."""


class AddressPool:
    """Gives addresses of a prefix for each family, one after the other."""

    def __init__(self, prefixes: Mapping[Family, str]) -> None:
        self._left = {family: _usable_addresses(prefix) for family, prefix in prefixes.items()}

    def next(self, families: Iterable[Family]) -> tuple[str, ...]:
        """Return an address of each of these families. Raises `NoAddressLeft`."""
        return tuple(self.next_in(family) for family in families)

    def next_in(self, family: Family) -> str:
        """Return an address of one family. Raises `NoAddressLeft`."""
        address = next(self._left.get(family, iter(())), None)
        if address is None:
            raise NoAddressLeft("the prefix has no address left: give the lab a larger one")
        return address


def _usable_addresses(prefix: str) -> Iterator[str]:
    """Return the addresses of a prefix, but for those that look like a network's own or its broadcast address."""
    for address in ipaddress.ip_network(prefix):
        if int(address) % 256 not in (0, 255):
            yield str(address)
