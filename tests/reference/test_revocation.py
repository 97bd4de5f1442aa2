"""Which lists of revoked certificates the sender asks for, which of them it believes, and what it makes of them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from mta_sts_lab.reference import revocation
from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.revocation import RevocationChecker, _places
from mta_sts_lab.reference.settings import Revocation
from mta_sts_lab.reference.tls import NO_REVOCATION_LIST, REVOKED
from yarl import URL

from tests.reference.standin import Internet, WebHost, sender

SERIAL, OTHER = 4711, 4712
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
PLACE = "http://crl.there.example/list.crl"

KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(*places: str, name: str = "a host", issuer: str = "the authority") -> x509.Certificate:
    built = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(KEY.public_key())
        .serial_number(SERIAL)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    if places:
        points = [x509.DistributionPoint([x509.UniformResourceIdentifier(place)], None, None, None) for place in places]
        built = built.add_extension(x509.CRLDistributionPoints(points), critical=False)
    return built.sign(KEY, hashes.SHA256())


ROOT = certificate(name="the authority")


def list_of(
    *serial_numbers: int,
    key: ec.EllipticCurvePrivateKey = KEY,
    issuer: str = "the authority",
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + DAY,
) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder().issuer_name(named(issuer)).last_update(begins).next_update(ends)
    for one in serial_numbers:
        entry = x509.RevokedCertificateBuilder().serial_number(one).revocation_date(NOW - DAY).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256())


def checker(
    monkeypatch: pytest.MonkeyPatch,
    lists: Sequence[x509.CertificateRevocationList | None],
    mode: Revocation = "checked",
    flaws: Flaws = NO_FLAWS,
) -> RevocationChecker:
    """A sender that gets these lists, one after the other."""
    left = list(lists)

    async def fetched(_: RevocationChecker, place: URL) -> x509.CertificateRevocationList | None:
        return left.pop(0)

    monkeypatch.setattr(RevocationChecker, "_fetched", fetched)
    session = cast(aiohttp.ClientSession, None)
    return RevocationChecker(session, ROOT.public_bytes(Encoding.PEM).decode(), mode, flaws)


async def code(checking: RevocationChecker, shown: x509.Certificate) -> int | None:
    found = await checking.problem(shown.public_bytes(Encoding.DER))
    return found.code if found is not None else None


LISTS = {
    "it is listed": (list_of(OTHER, SERIAL), REVOKED),
    "another one is listed": (list_of(OTHER), None),
    "none is listed": (list_of(), None),
    "a stranger lists it": (list_of(SERIAL, key=STRANGER), None),
    "another authority lists it": (list_of(SERIAL, issuer="another authority"), None),
    "an older list had it": (list_of(SERIAL, begins=NOW - 3 * DAY, ends=NOW - DAY), None),
    "a list of tomorrow has it": (list_of(SERIAL, begins=NOW + DAY, ends=NOW + 3 * DAY), None),
    "there is no list": (None, None),
}


@pytest.mark.parametrize("which", LISTS)
async def test_what_is_made_of_a_list(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    found, expected = LISTS[which]
    assert await code(checker(monkeypatch, [found]), certificate(PLACE)) == expected
    assert await code(checker(monkeypatch, [found], "unchecked"), certificate(PLACE)) is None


@pytest.mark.parametrize("which", LISTS)
async def test_who_demands_a_list_refuses_where_none_counts(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    found, expected = LISTS[which]
    counts = "is listed" in which
    demanding = checker(monkeypatch, [found], "demanded")
    assert await code(demanding, certificate(PLACE)) == (expected if counts else NO_REVOCATION_LIST)
    assert await code(demanding, certificate()) is None, "a certificate that names no list is asked for none"


async def test_the_first_list_that_counts_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    forged, genuine = list_of(SERIAL, key=STRANGER), list_of(OTHER)
    for mode in ("checked", "demanded"):
        checking = checker(monkeypatch, [forged, genuine], cast(Revocation, mode))
        assert await code(checking, certificate(PLACE, PLACE)) is None


async def test_a_list_of_an_authority_in_between_cannot_be_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list_of(SERIAL, issuer="in between")
    assert await code(checker(monkeypatch, [listed]), certificate(PLACE, issuer="in between")) is None


@pytest.mark.parametrize(
    ("flaw", "found"),
    [
        ("ignores_serial_numbers_of_revoked_certificates", list_of(OTHER)),
        ("trusts_any_revocation_list", list_of(SERIAL, key=STRANGER)),
    ],
)
async def test_each_flaw_refuses_what_was_not_revoked(
    monkeypatch: pytest.MonkeyPatch, flaw: str, found: x509.CertificateRevocationList
) -> None:
    assert await code(checker(monkeypatch, [found]), certificate(PLACE)) is None
    assert await code(checker(monkeypatch, [found], flaws=Flaws(**{flaw: True})), certificate(PLACE)) == REVOKED


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        (PLACE, True),
        ("http://crl.there.example:8080/list.crl", True),
        ("https://crl.there.example/list.crl", False),
        ("ldap://crl.there.example/cn=list", False),
        ("http://198.18.0.2/list.crl", False),
        ("http://[2001:db8::2]/list.crl", False),
        ("http:///list.crl", False),
        ("http://crl.there.example:port/list.crl", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_only_named_hosts_are_asked(place: str, asked: bool) -> None:
    assert list(_places(certificate(place))) == ([URL(place)] if asked else [])


def test_a_certificate_without_the_extension_names_no_place() -> None:
    assert list(_places(certificate())) == []


@pytest.mark.parametrize(
    ("status", "body", "readable"),
    [
        ("200 OK", list_of(SERIAL).public_bytes(Encoding.DER), True),
        ("200 OK", list_of(SERIAL).public_bytes(Encoding.PEM), False),
        ("200 OK", b"", False),
        ("200 OK", b"x" * 4096, False),
        ("404 Not Found", list_of(SERIAL).public_bytes(Encoding.DER), False),
        ("302 Found", list_of(SERIAL).public_bytes(Encoding.DER), False),
    ],
    # Signatures are never the same, and each process of a run has to know a test by the same name.
    ids=["a list", "in PEM", "empty", "no list", "missing", "moved"],
)
async def test_what_is_no_list_is_passed_over(
    internet: Internet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, body: bytes, readable: bool
) -> None:
    monkeypatch.setattr(revocation, "_LARGEST_LIST", 1024)
    host = WebHost(internet.server_context("crl.there.example"))
    host.status, host.body = status, body
    listener = internet.network.open_port("198.18.0.4", 443, host.take)
    internet.dns.zone["crl.there.example", "A"] = ["198.18.0.4"]
    async with sender(internet, tmp_path) as target:
        life = target.sender._life
        assert life is not None
        found = await life.sessions.revocation._fetched(URL(PLACE).with_scheme("https"))
    listener.close()
    assert (found is not None) is readable
    assert len(host.requests) == 1


async def test_a_host_that_is_not_there_is_passed_over(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        life = target.sender._life
        assert life is not None
        assert await life.sessions.revocation._fetched(URL(PLACE)) is None
        internet.dns.zone["crl.there.example", "A"] = ["192.0.2.1"]
        assert await life.sessions.revocation._fetched(URL(PLACE)) is None, "an address that is not the lab's"
