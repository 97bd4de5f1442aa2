from __future__ import annotations

import socket

import pytest
from mta_sts_lab.model.world import Family
from mta_sts_lab.reference.resolver import (
    Found,
    LookupFailure,
    MxRecord,
    NoData,
    NoSuchName,
    Resolver,
    ascii_domain,
)
from mta_sts_lab.reference.routing import (
    NoRoute,
    Route,
    find_route,
    literal_address,
    recipient_domain,
)

from tests.reference.standin import DNS, Internet


@pytest.fixture
def resolver(internet: Internet) -> Resolver:
    return Resolver(internet.network, DNS, 0.3)


async def test_found_missing_empty_and_failed_are_told_apart(internet: Internet, resolver: Resolver) -> None:
    internet.dns.zone["a.example", "TXT"] = ['"one" "two"', '"three"']
    internet.dns.rcodes["b.example", "TXT"] = "SERVFAIL"
    internet.dns.rcodes["c.example", "TXT"] = "REFUSED"
    internet.dns.rcodes["d.example", "TXT"] = "TIMEOUT"
    found = await resolver.txt("a.example")
    assert isinstance(found, Found)
    assert set(found.values) == {b"onetwo", b"three"}
    assert await resolver.mx("a.example") == NoData()
    assert await resolver.txt("nowhere.example") == NoSuchName()
    assert await resolver.txt("b.example") == LookupFailure("TXT b.example: SERVFAIL")
    assert await resolver.txt("c.example") == LookupFailure("TXT c.example: REFUSED")
    assert await resolver.txt("d.example") == LookupFailure("TXT d.example: timed out", unanswered=True)
    assert internet.dns.queries["d.example", "TXT"] == 2


async def test_a_query_leaves_from_loopback_alone(
    internet: Internet, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[tuple[str, int]] = []
    honest = socket.socket.bind

    def bind(sock: socket.socket, address: tuple[str, int]) -> None:
        bound.append(address)
        honest(sock, address)

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "bind", bind)
        assert await resolver.txt("nowhere.example") == NoSuchName()
    assert [address for address, _ in bound] == ["127.0.0.1"]


async def test_a_truncated_answer_is_asked_for_by_tcp(internet: Internet, resolver: Resolver) -> None:
    internet.dns.zone["a.example", "TXT"] = ['"x"']
    internet.dns.truncates = True
    assert await resolver.txt("a.example") == Found((b"x",))
    assert internet.dns.over_tcp == 1


async def test_aliases_are_followed_to_their_end(internet: Internet, resolver: Resolver) -> None:
    zone = internet.dns.zone
    zone["a.example", "CNAME"] = ["b.example"]
    zone["b.example", "CNAME"] = ["c.example"]
    zone["c.example", "A"] = ["198.18.5.5"]
    zone["loop.example", "CNAME"] = ["loop2.example"]
    zone["loop2.example", "CNAME"] = ["loop.example"]
    zone["dangling.example", "CNAME"] = ["nowhere.example"]
    assert await resolver.addresses("a.example") == Found(("198.18.5.5",), owner="c.example")
    assert await resolver.txt("a.example") == NoData()
    assert isinstance(await resolver.addresses("loop.example"), LookupFailure)
    assert await resolver.addresses("dangling.example") == NoSuchName()


async def test_mx_names_are_lower_case_without_root_dot(internet: Internet, resolver: Resolver) -> None:
    internet.dns.zone["a.example", "MX"] = ["10 MX.A.example."]
    internet.dns.zone["n.example", "MX"] = ["0 ."]
    assert await resolver.mx("A.example.") == Found((MxRecord(10, "mx.a.example"),))
    assert await resolver.mx("n.example") == Found((MxRecord(0, ""),))
    assert await find_route(resolver, "n.example") == NoRoute("n.example takes no mail (RFC 7505)", True, "5.1.10")


async def test_no_name_server_is_a_failure(internet: Internet) -> None:
    assert isinstance(await Resolver(internet.network, "198.18.99.99", 0.1).txt("a.example"), LookupFailure)


async def test_an_impossible_name_does_not_exist(resolver: Resolver) -> None:
    assert await resolver.txt("a..example") == NoSuchName()
    assert await resolver.txt("x" * 64 + ".example") == NoSuchName()


async def test_hosts_come_in_order_of_preference(internet: Internet, resolver: Resolver) -> None:
    internet.dns.zone["a.example", "MX"] = ["30 c.example.", "10 a.example.", "20 b.example."]
    assert await find_route(resolver, "a.example") == Route(("a.example", "b.example", "c.example"))


async def test_equal_preferences_take_turns(internet: Internet, resolver: Resolver) -> None:
    internet.dns.zone["a.example", "MX"] = ["10 b.example.", "10 c.example."]
    seen = {await find_route(resolver, "a.example") for _ in range(60)}
    assert seen == {Route(("b.example", "c.example")), Route(("c.example", "b.example"))}


def test_domains_in_a_labels() -> None:
    assert ascii_domain("B\u00dcCHER.example.") == "xn--bcher-kva.example"
    assert recipient_domain("a@[198.18.0.1]") == "[198.18.0.1]"
    assert recipient_domain('"x@y"@There.EXAMPLE') == "there.example"
    for wrong in ("a..b", "x" * 64):
        with pytest.raises(ValueError, match="no domain name"):
            ascii_domain(wrong)


BOTH = (Family.IPV6, Family.IPV4)


def _publish(internet: Internet, answers: dict[str, str]) -> None:
    """Give a host these answers, by type: a record, or how the look-up fails."""
    for kind, answer in answers.items():
        if answer.isupper():
            internet.dns.rcodes["mx.a.example", kind] = answer
        else:
            internet.dns.zone["mx.a.example", kind] = [answer]


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"A": "198.18.0.9", "AAAA": "2001:db8::9"}, ("2001:db8::9", "198.18.0.9")),
        ({"A": "198.18.0.9", "AAAA": "SERVFAIL"}, ("198.18.0.9",)),
        ({"A": "SERVFAIL", "AAAA": "2001:db8::9"}, ("2001:db8::9",)),
        ({"A": "198.18.0.9", "AAAA": "NXDOMAIN"}, ("198.18.0.9",)),
        ({"A": "198.18.0.9", "AAAA": "TIMEOUT"}, ("198.18.0.9",)),
        ({"A": "198.18.0.9"}, ("198.18.0.9",)),
        ({"AAAA": "2001:db8::9"}, ("2001:db8::9",)),
    ],
)
async def test_the_addresses_of_one_family_are_enough(
    internet: Internet, answers: dict[str, str], found: tuple[str, ...]
) -> None:
    _publish(internet, answers)
    resolver = Resolver(internet.network, DNS, 0.1, BOTH)
    answer = await resolver.addresses("mx.a.example")
    assert isinstance(answer, Found)
    assert answer.values == found
    flawed = Resolver(internet.network, DNS, 0.1, BOTH, needs_every_family=True)
    failed = {"SERVFAIL", "TIMEOUT"} & set(answers.values())
    assert isinstance(await flawed.addresses("mx.a.example"), LookupFailure if failed else Found)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"A": "SERVFAIL", "AAAA": "SERVFAIL"}, LookupFailure),
        ({"AAAA": "SERVFAIL"}, LookupFailure),
        ({"A": "SERVFAIL"}, LookupFailure),
        ({"TXT": "other"}, NoData),
    ],
)
async def test_without_an_address_it_counts_whether_a_look_up_failed(
    internet: Internet, answers: dict[str, str], kind: type
) -> None:
    _publish(internet, answers)
    answer = await Resolver(internet.network, DNS, 0.1, BOTH).addresses("mx.a.example")
    assert isinstance(answer, kind)


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[198.18.0.1]", "198.18.0.1"),
        ("[IPv6:2001:DB8:0::1]", "2001:db8::1"),
        ("[ipv6:2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]", None),
        ("[IPv6:198.18.0.1]", None),
        ("2001:db8::1", None),
    ],
)
def test_address_literals(domain: str, address: str | None) -> None:
    assert literal_address(domain) == address
