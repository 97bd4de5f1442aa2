"""What DANE demands of sessions with the hosts of a world."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mta_sts_lab.model.world import Dns, MxHost, Tlsa, World
from mta_sts_lab.rfc.dane_demands import DaneDemand, dane_demands

DOMAIN = "d.example"
HOST = "mx1.d.example"
SIGNED = Dns(security="secure")
TA = Tlsa(2, 0, 1, of="authority")


def demand(mx: MxHost, dns: Dns = SIGNED) -> DaneDemand | None:
    return next(iter(dane_demands(World(mx=(mx,), dns=dns), DOMAIN)), None)


@pytest.mark.parametrize(
    ("certificate", "records", "sends", "accepted"),
    [
        ("self-signed", (Tlsa(),), False, ("self-signed",)),
        ("expired", (Tlsa(3, 0, 2),), False, ("expired",)),
        ("valid", (Tlsa(of="nobody"),), False, ()),
        ("valid", (Tlsa(of="self-signed"), Tlsa(of="valid")), False, ("valid",)),
        ("valid", (Tlsa(of="nobody"), Tlsa(matching=7)), False, ()),
        ("valid", (TA,), True, ("valid",)),
        ("valid", (TA,), False, ()),
        ("valid", (Tlsa(2, 0, 0, of="authority"),), False, ("valid",)),
        ("wrong-name", (TA,), True, ()),
        ("expired", (TA,), True, ()),
        ("for-domain", (TA,), True, ("for-domain",)),
        ("untrusted", (TA,), True, ()),
        ("untrusted", (replace(TA, of="stranger"),), True, ("untrusted",)),
        ("valid", (Tlsa(matching=7), Tlsa(usage=1), Tlsa(cut=1)), False, None),
    ],
)
def test_usable_records_decide_which_certificates_count(
    certificate: str, records: tuple[Tlsa, ...], sends: bool, accepted: tuple[str, ...] | None
) -> None:
    mx = MxHost(certificate=certificate, tlsa=records, sends_authority=sends)
    by_authority = any(record.usage == 2 for record in records)
    assert demand(mx) == DaneDemand(HOST, accepted, by_authority=by_authority)


@pytest.mark.parametrize(
    ("mx", "dns"),
    [
        (MxHost(), SIGNED),
        (MxHost(tlsa=(Tlsa(),)), Dns()),
        (MxHost(tlsa=(Tlsa(),)), Dns(security="secure", mx_security="insecure")),
        (MxHost(tlsa=(Tlsa(),), address_security="insecure", tlsa_security="bogus"), SIGNED),
        (MxHost(tlsa=(Tlsa(),), tlsa_security="insecure"), SIGNED),
    ],
)
def test_what_dnssec_does_not_vouch_for_demands_nothing(mx: MxHost, dns: Dns) -> None:
    assert demand(mx, dns) is None


@pytest.mark.parametrize("state", ["bogus", "indeterminate"])
def test_no_mail_may_go_where_a_look_up_failed(state: str) -> None:
    failed = DaneDemand(HOST, lookup_failed=True)
    assert demand(MxHost(tlsa=(Tlsa(),), tlsa_security=state)) == failed
    assert demand(MxHost(address_security=state)) == failed
    assert demand(MxHost(tlsa_security=state)) == failed
    assert demand(MxHost(), Dns(security="secure", mx_security=state)) == failed


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({}, HOST),
        ({"tlsa_below": "target"}, "host.d.example"),
        ({"address_security": "insecure"}, HOST),
        ({"address_security": "insecure", "tlsa_below": "target"}, ""),
        ({"alias_security": "insecure"}, ""),
    ],
)
def test_the_base_domain_of_an_alias(changes: dict[str, str], base: str) -> None:
    found = demand(replace(MxHost(alias_of="host", tlsa=(Tlsa(),)), **changes))  # type: ignore[arg-type]
    assert (found.base if found else "") == base


@pytest.mark.parametrize(
    ("target", "alias", "addresses", "expected"),
    [
        ((Tlsa(of="nobody"),), (Tlsa(),), "secure", ("host.d.example", ())),
        ((Tlsa(),), (Tlsa(of="nobody"),), "secure", ("host.d.example", ("valid",))),
        ((), (Tlsa(),), "secure", (HOST, ("valid",))),
        ((Tlsa(of="nobody"),), (Tlsa(),), "insecure", (HOST, ("valid",))),
    ],
)
def test_the_first_end_of_an_alias_with_records_decides(
    target: tuple[Tlsa, ...], alias: tuple[Tlsa, ...], addresses: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    mx = MxHost(alias_of="host", tlsa=target, tlsa_below="target", tlsa_of_alias=alias, address_security=addresses)
    found = demand(mx)
    assert found is not None
    assert (found.base, found.certificates) == expected


def test_records_between_the_ends_of_an_alias_demand_nothing() -> None:
    mx = MxHost(alias_of="host", alias_through="between", tlsa=(Tlsa(),), tlsa_below="between")
    assert demand(mx) is None
    found = demand(replace(mx, tlsa_of_alias=(Tlsa(),)))
    assert found is not None
    assert found.base == HOST


@pytest.mark.parametrize(
    "certificate",
    [
        "path-too-long",
        "outside-name-constraints",
        "excluded-by-name-constraints",
        "path-at-its-limit",
        "within-name-constraints",
    ],
)
def test_what_an_anchor_forbids_is_advice(certificate: str) -> None:
    mx = MxHost(certificate=certificate, tlsa=(Tlsa(2, 0, 1, of="topmost"),))
    assert demand(mx) == DaneDemand(HOST, (certificate,), by_authority=True)
    assert demand(replace(mx, certificate="valid")) == DaneDemand(HOST, (), by_authority=True)


def test_a_bogus_alias_fails_the_whole_look_up() -> None:
    failed = DaneDemand(HOST, lookup_failed=True)
    assert demand(MxHost(alias_of="host", alias_security="bogus", tlsa=(Tlsa(),))) == failed
