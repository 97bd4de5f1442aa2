"""The zone on the wire, and every answer on record."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.events import DnsAnswered, LabFailed
from mta_sts_lab.record import Recorder
from mta_sts_lab.world.dns import DnsServer
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.zone import Answer, Question, Record, Zone

from tests.world.clients import ask, ask_by_tcp, ask_by_udp
from tests.world.watching import facts, seen

ADDRESS = "198.18.64.1"
DOMAIN = "c0ffee.example"
CASE = "a/b[enforce]"


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    zone.publish(
        DOMAIN,
        [
            Record(DOMAIN, "MX", f"10 mx1.{DOMAIN}"),
            Record(DOMAIN, "MX", f"20 mx2.{DOMAIN}"),
            Record(f"mx1.{DOMAIN}", "A", "198.18.64.4"),
            Record(f"mx1.{DOMAIN}", "AAAA", "2001:db8::4"),
            Record(f"alias.{DOMAIN}", "CNAME", f"mx1.{DOMAIN}"),
            Record(f"_mta-sts.{DOMAIN}", "TXT", "v=STSv1; id=1;"),
            Record(f"long.{DOMAIN}", "TXT", "x" * 700),
        ],
        CASE,
    )
    return zone


@pytest.fixture
async def server(network: LoopbackNetwork, zone: Zone, recorder: Recorder) -> AsyncIterator[DnsServer]:
    server = DnsServer(network, zone, recorder, ADDRESS)
    await server.open()
    yield server
    await server.close()


def data_of(reply: dnslib.DNSRecord) -> list[str]:
    return [str(record.rdata) for record in reply.rr]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "kind", "rcode", "data"),
    [
        (DOMAIN, "MX", "NOERROR", [f"10 mx1.{DOMAIN}.", f"20 mx2.{DOMAIN}."]),
        (f"mx1.{DOMAIN}", "A", "NOERROR", ["198.18.64.4"]),
        (f"mx1.{DOMAIN}", "AAAA", "NOERROR", ["2001:db8::4"]),
        (f"alias.{DOMAIN}", "A", "NOERROR", [f"mx1.{DOMAIN}.", "198.18.64.4"]),
        (f"_mta-sts.{DOMAIN}", "TXT", "NOERROR", ['"v=STSv1; id=1;"']),
        (f"_mta-sts.{DOMAIN}", "A", "NOERROR", []),
        (f"nothing.{DOMAIN}", "A", "NXDOMAIN", []),
        ("example.com", "MX", "REFUSED", []),
    ],
)
async def test_answers(
    network: LoopbackNetwork, recorder: Recorder, transport: str, name: str, kind: str, rcode: str, data: list[str]
) -> None:
    reply = await ask(network, ADDRESS, name, kind, transport=transport)
    assert (dnslib.RCODE[reply.header.rcode], data_of(reply)) == (rcode, data)
    assert (reply.header.qr, reply.header.aa, reply.header.ra, reply.header.tc) == (1, 1, 1, 0)
    case = "" if rcode == "REFUSED" else CASE
    (fact,) = facts(recorder, DnsAnswered, case)
    assert (fact.name, fact.type, fact.transport, fact.rcode, fact.tampered_by) == (name, kind, transport, rcode, "")
    assert len(fact.answers) == len(data)
    assert facts(recorder, DnsAnswered, CASE if case == "" else "") == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", [f"nothing.{DOMAIN}", f"mx2.{DOMAIN}", f"_mta-sts.{DOMAIN}"])
async def test_a_negative_answer_is_forgotten_at_once(network: LoopbackNetwork, name: str) -> None:
    reply = await ask(network, ADDRESS, name, "AAAA")
    (authority,) = reply.auth
    assert str(authority.rname) == f"{DOMAIN}."
    assert (authority.ttl, authority.rdata.times[4]) == (0, 0)


@pytest.mark.usefixtures("server")
async def test_the_client_s_spelling_comes_back(network: LoopbackNetwork, recorder: Recorder) -> None:
    reply = await ask(network, ADDRESS, "mX1.C0fFEe.exAMple", "A")
    assert str(reply.q.qname) == "mX1.C0fFEe.exAMple."
    assert str(reply.rr[0].rname) == "mX1.C0fFEe.exAMple."
    assert facts(recorder, DnsAnswered, CASE)[0].name == f"mx1.{DOMAIN}"


@pytest.mark.usefixtures("server")
async def test_what_does_not_fit_is_asked_for_again_by_tcp(network: LoopbackNetwork) -> None:
    name = f"long.{DOMAIN}"
    short = await ask(network, ADDRESS, name, "TXT")
    assert (short.header.tc, data_of(short)) == (1, [])
    still_short = await ask(network, ADDRESS, name, "TXT", edns=600)
    assert (still_short.header.tc, data_of(still_short)) == (1, [])
    for reply in (
        await ask(network, ADDRESS, name, "TXT", edns=1232),
        await ask(network, ADDRESS, name, "TXT", transport="tcp"),
    ):
        assert reply.header.tc == 0
        assert [len(string) for string in reply.rr[0].rdata.data] == [255, 255, 190]


@pytest.mark.usefixtures("server")
async def test_edns_is_answered_with_edns(network: LoopbackNetwork) -> None:
    with_edns = await ask(network, ADDRESS, DOMAIN, "MX", edns=1232)
    assert [record.rtype for record in with_edns.ar] == [dnslib.QTYPE.OPT]
    assert (await ask(network, ADDRESS, DOMAIN, "MX")).ar == []


@pytest.mark.usefixtures("server")
async def test_an_attack_is_on_record(network: LoopbackNetwork, zone: Zone, recorder: Recorder) -> None:
    zone.tamper(DOMAIN, lambda question, answer: Answer("NXDOMAIN", (), "hide_policy_record"))
    reply = await ask(network, ADDRESS, f"_mta-sts.{DOMAIN}", "TXT")
    assert (reply.header.rcode, data_of(reply)) == (dnslib.RCODE.NXDOMAIN, [])
    (fact,) = facts(recorder, DnsAnswered, CASE)
    assert (fact.rcode, fact.answers, fact.tampered_by) == ("NXDOMAIN", (), "hide_policy_record")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
async def test_failures_on_demand(network: LoopbackNetwork, zone: Zone, rcode: str) -> None:
    zone.tamper(DOMAIN, lambda question, answer: Answer(rcode))
    reply = await ask(network, ADDRESS, DOMAIN, "MX")
    assert (dnslib.RCODE[reply.header.rcode], data_of(reply), reply.auth) == (rcode, [], [])


@pytest.mark.usefixtures("server")
async def test_silence_on_demand(network: LoopbackNetwork, zone: Zone, recorder: Recorder) -> None:
    zone.tamper(DOMAIN, lambda question, answer: Answer("TIMEOUT") if question.type == "TXT" else answer)
    where = network.where(ADDRESS, 53, "udp")
    unanswered = asyncio.create_task(ask_by_udp(where, bytes(dnslib.DNSRecord.question(DOMAIN, "TXT").pack())))
    await seen(recorder, DnsAnswered, CASE)
    assert (await ask(network, ADDRESS, DOMAIN, "MX")).rr
    assert facts(recorder, DnsAnswered, CASE)[0].rcode == "TIMEOUT"
    assert not unanswered.done()
    unanswered.cancel()
    await asyncio.gather(unanswered, return_exceptions=True)


async def test_an_attack_that_breaks_is_a_lab_error(network: LoopbackNetwork, zone: Zone) -> None:
    recorder = Recorder()
    server = DnsServer(network, zone, recorder, ADDRESS)
    await server.open()

    def broken(question: Question, answer: Answer) -> Answer:
        raise RuntimeError("no such luck")

    zone.tamper(DOMAIN, broken)
    assert (await ask(network, ADDRESS, DOMAIN, "MX")).header.rcode == dnslib.RCODE.SERVFAIL
    unknown = Answer("NOERROR", (Record(DOMAIN, "MX", "not a preference"),), "forge_mx")
    zone.tamper(DOMAIN, lambda question, answer: unknown)
    assert (await ask(network, ADDRESS, DOMAIN, "MX")).header.rcode == dnslib.RCODE.SERVFAIL
    first, second = facts(recorder, LabFailed, CASE)
    assert first.error == "RuntimeError: no such luck"
    assert "ValueError" in second.error
    assert [fact.rcode for fact in facts(recorder, DnsAnswered, CASE)] == ["SERVFAIL", "SERVFAIL"]
    await server.close()


@pytest.mark.usefixtures("server")
async def test_malformed_packets_do_not_kill_the_server(network: LoopbackNetwork, recorder: Recorder) -> None:
    where = network.where(ADDRESS, 53, "udp")
    good = bytes(dnslib.DNSRecord.question(DOMAIN, "MX").pack())
    loop_pointer = good[:12] + b"\xc0\x0c" + b"\x00\x0f\x00\x01"
    two_questions = good[:4] + b"\x00\x02" + good[6:] + good[12:]
    status = bytes([good[0], good[1], 0x10]) + good[3:]
    for packet in (good[:-3], loop_pointer, two_questions, status, good[:12] + b"\x01\xff\x00\x00\x0f\x00\x01"):
        reply = await ask_by_udp(where, packet)
        assert reply[:2] == packet[:2]
        assert reply[3] & 15 == dnslib.RCODE.FORMERR
    assert {fact.rcode for fact in facts(recorder, DnsAnswered)} == {"FORMERR"}
    chance = random.Random(1)
    for length in (0, 1, 11, 12, 13, 40, 512):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=where)
        transport.sendto(chance.randbytes(length))
        transport.sendto(bytes([0, 0, 0x80]) + good[3:])  # a response: dropped
        transport.close()
    assert (await ask(network, ADDRESS, DOMAIN, "MX")).rr
    reply = await ask_by_tcp(network.where(ADDRESS, 53), b"\x00" * 12, good)
    assert dnslib.DNSRecord.parse(reply).rr


@pytest.mark.usefixtures("server")
async def test_other_classes_are_refused(network: LoopbackNetwork) -> None:
    query = dnslib.DNSRecord(q=dnslib.DNSQuestion("version.bind", dnslib.QTYPE.TXT, dnslib.CLASS.CH))
    reply = await ask_by_udp(network.where(ADDRESS, 53, "udp"), bytes(query.pack()))
    assert dnslib.DNSRecord.parse(reply).header.rcode == dnslib.RCODE.REFUSED


async def test_closing_ends_a_conversation_that_waits(network: LoopbackNetwork, zone: Zone, recorder: Recorder) -> None:
    server = DnsServer(network, zone, recorder, ADDRESS)
    await server.open()
    reader, writer = await asyncio.open_connection(*network.where(ADDRESS, 53))
    good = bytes(dnslib.DNSRecord.question(DOMAIN, "MX").pack())
    writer.write(len(good).to_bytes(2, "big") + good + b"\x00")
    await reader.readexactly(2)
    await server.close()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(4096)
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*network.where(ADDRESS, 53))


def query(labels: list[bytes], kind: int = 15) -> bytes:
    """Return a query for a name whose labels need not be legal."""
    name = b"".join(bytes([len(label)]) + label for label in labels)
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!HH", kind, 1)


@pytest.mark.parametrize("octets", [64, 65, 127, 128, 191])
def test_a_label_that_is_too_long_is_a_format_error_and_voids_nothing(
    network: LoopbackNetwork, zone: Zone, recorder: Recorder, octets: int
) -> None:
    server = DnsServer(network, zone, recorder, ADDRESS)
    for below in (DOMAIN, "elsewhere.test"):
        reply = server.respond(query([b"x" * octets, *map(str.encode, below.split("."))]), "udp")
        assert reply is not None
        assert dnslib.DNSRecord.parse(reply).header.rcode == dnslib.RCODE.FORMERR
    assert not facts(recorder, LabFailed)


def test_a_name_that_is_too_long_is_a_format_error(network: LoopbackNetwork, zone: Zone, recorder: Recorder) -> None:
    server = DnsServer(network, zone, recorder, ADDRESS)
    for labels, rcode in (([b"x" * 63] * 3 + [b"x" * 61], "REFUSED"), ([b"x" * 63] * 4, "FORMERR")):
        reply = server.respond(query(labels), "udp")
        assert reply is not None
        assert dnslib.RCODE[dnslib.DNSRecord.parse(reply).header.rcode] == rcode
    assert not facts(recorder, LabFailed)


HONEST_QUERIES = [dnslib.DNSRecord.question(f"_mta-sts.{DOMAIN}", kind).pack() for kind in ("TXT", "MX", "ANY")]


@given(
    packet=st.sampled_from(HONEST_QUERIES),
    changes=st.lists(st.tuples(st.integers(2, 60), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 60),
    more=st.binary(max_size=30),
)
def test_no_packet_is_an_error_of_the_lab(packet: bytes, changes: list[tuple[int, int]], cut: int, more: bytes) -> None:
    octets = bytearray(packet)
    for place, octet in changes:
        octets[place % len(octets)] = octet
    recorder, zone = Recorder(), Zone()
    zone.publish(DOMAIN, [Record(f"_mta-sts.{DOMAIN}", "TXT", "v=STSv1; id=1;")], CASE)
    server = DnsServer(LoopbackNetwork(), zone, recorder, ADDRESS)
    for sent in (bytes(octets), bytes(octets[:cut]), bytes(octets) + more):
        for transport in ("udp", "tcp"):
            reply = server.respond(sent, transport)
            assert reply is None or len(reply) >= 12
    assert not recorder.has_failed(CASE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a datagram came in")
@pytest.mark.usefixtures("server")
async def test_a_query_that_waits_for_the_lab_says_for_how_long(network: LoopbackNetwork, recorder: Recorder) -> None:
    packet = bytes(dnslib.DNSRecord.question(DOMAIN, "MX").pack())
    await ask_by_udp(network.where(ADDRESS, 53, "udp"), packet)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(network.where(ADDRESS, 53, "udp"))
        sock.send(packet)
        time.sleep(0.2)  # the fault: the lab's loop stands still
        await asyncio.wait_for(loop.sock_recv(sock, 4096), 5)
    prompt, late = (fact.waited for fact in facts(recorder, DnsAnswered, CASE))
    assert prompt < 0.2 <= late < 5
