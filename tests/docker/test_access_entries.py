"""sendmail's access table knows networks by their first numbers: nobody else must be let in, and nobody left out."""

from __future__ import annotations

import ipaddress

import pytest

from tests.docker.programs import load_program

access_entries = load_program("sendmail/access_entries.py")


@pytest.mark.parametrize(
    ("network", "first", "count"),
    [
        ("198.18.160.0/20", "198.18.160", 16),
        ("198.18.0.0/15", "198.18", 2),
        ("198.18.7.0/24", "198.18.7", 1),
        ("198.18.7.64/30", "198.18.7.64", 4),
        ("10.0.0.0/8", "10", 1),
    ],
)
def test_the_entries_cover_the_network_and_nothing_else(network: str, first: str, count: int) -> None:
    found = list(access_entries.beginnings(ipaddress.IPv4Network(network)))
    assert (found[0], len(found), len(set(found))) == (first, count, count)
    sizes = [2 ** (8 * (4 - len(entry.split(".")))) for entry in found]
    assert sum(sizes) == ipaddress.IPv4Network(network).num_addresses
    ends = [ipaddress.IPv4Address(".".join([*entry.split("."), "0", "0", "0"][:4])) for entry in found]
    assert all(end in ipaddress.IPv4Network(network) for end in ends)
