"""The host that has the lists of revoked certificates: what it answers, what goes on record, and where it is."""

from __future__ import annotations

import asyncio

import pytest
from cryptography import x509
from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed, RevocationListRequested
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.world import NOT_REVOKED, REVOKED, WITHOUT_LIST, Family, MxHost, PolicyHost, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.revocation_host import RevocationHost

from tests.world.test_internet import case_of, texts
from tests.world.watching import PATIENCE, facts, seen

CASE = "certificate/revoked[enforce]"
NAME = "crl.c0ffee.example"


async def answer(where: tuple[str, int], *lines: str) -> tuple[bytes, bytes]:
    """Send a request and return the head and the body of what comes back."""
    reader, writer = await asyncio.open_connection(*where)
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    async with asyncio.timeout(PATIENCE):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


@pytest.mark.parametrize("address", ["198.18.64.4", "2001:db8::64:4"])
async def test_a_list_is_had_and_the_request_goes_on_record(
    services: HostServices, recorder: Recorder, authority: Authority, address: str
) -> None:
    host = RevocationHost(services, CASE, NAME, [address])
    host.reachable = True
    leaf = x509.load_pem_x509_certificate(authority.credentials(REVOKED, "mx1.c0ffee.example").chain_pem)
    where = services.network.where(address, 80)
    head, body = await answer(where, f"GET /{REVOKED}.crl HTTP/1.1", f"Host: {NAME}")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\n")
    assert x509.load_der_x509_crl(body).get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
    (closed,) = await seen(recorder, ConnectionClosed, CASE)
    (accepted,) = facts(recorder, ConnectionAccepted, CASE)
    assert (accepted.role, accepted.host, accepted.address, accepted.port) == ("revocation-host", NAME, address, 80)
    (fact,) = facts(recorder, RevocationListRequested, CASE)
    assert fact == RevocationListRequested(session=closed.session, method="GET", path=f"/{REVOKED}.crl", status=200)
    await host.close()


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (f"GET /{WITHOUT_LIST}.crl HTTP/1.1", ("GET", f"/{WITHOUT_LIST}.crl")),
        ("GET /../valid.crl HTTP/1.1", ("GET", "/../valid.crl")),
        ("GET", ("GET", "")),
        ("", ("", "")),
        ("\xff\x00 \xfe", ("\xff\x00", "\xfe")),
    ],
)
async def test_whatever_else_is_asked_for_is_not_there(
    services: HostServices, recorder: Recorder, line: str, asked: tuple[str, str]
) -> None:
    host = RevocationHost(services, CASE, NAME, ["198.18.64.4"])
    host.reachable = True
    head, body = await answer(services.network.where("198.18.64.4", 80), line, "")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert body == b"There is no such list.\n"
    (fact,) = facts(recorder, RevocationListRequested, CASE)
    assert (fact.method, fact.path, fact.status) == (*asked, 404)
    await host.close()


async def test_to_head_the_list_is_only_announced(services: HostServices) -> None:
    host = RevocationHost(services, CASE, NAME, ["198.18.64.4"])
    host.reachable = True
    head, body = await answer(services.network.where("198.18.64.4", 80), f"HEAD /{NOT_REVOKED}.crl HTTP/1.1")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 0\r\n" not in head
    assert body == b""
    await host.close()


async def test_a_world_has_the_host_where_a_certificate_names_it(internet: Internet) -> None:
    plain, listed = World(), World(mx=(MxHost(certificate=REVOKED),), policy_host=PolicyHost(certificate=NOT_REVOKED))
    world = await internet.add_case(case_of(plain))
    names = [f"crl.{name}.{world.domain}" for name in ("mx1", "mta-sts")]
    assert world.revocation_host is None
    assert [await texts(internet, name, "A") for name in names] == [[], []]
    await world.arrange(listed)
    assert world.revocation_host is not None
    (address,) = world.revocation_host.addresses
    assert [await texts(internet, name, "A") for name in names] == [[address], [address]]
    await world.arrange(plain)
    assert [await texts(internet, name, "A") for name in names] == [[], []]


async def test_without_a_policy_host_nobody_needs_its_list(internet: Internet) -> None:
    world = await internet.add_case(case_of(World(policy_host=PolicyHost(certificate=REVOKED)), Mode.ABSENT))
    assert world.revocation_host is None


async def test_the_host_has_an_address_of_each_family(
    network: LoopbackNetwork, recorder: Recorder, authority: Authority
) -> None:
    internet = await Internet.open(network, authority, recorder, families=(Family.IPV4, Family.IPV6))
    world = await internet.add_case(case_of(World(mx=(MxHost(certificate=REVOKED),))))
    assert world.revocation_host is not None
    found = [await texts(internet, f"crl.mx1.{world.domain}", kind) for kind in ("A", "AAAA")]
    assert [len(addresses) for addresses in found] == [1, 1]
    assert len(world.revocation_host.listens_at) == 2
    await internet.close()
