from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
import struct

import pytest
from mta_sts_lab.attacks.garbage_after_220 import GARBAGE
from mta_sts_lab.attacks.toolkit.attack import SmtpAttack
from mta_sts_lab.attacks.toolkit.instructions import Script, Shown
from mta_sts_lab.attacks.toolkit.interpose import Interposer, play_script
from mta_sts_lab.attacks.toolkit.session import Session
from mta_sts_lab.attacks.toolkit.smtp import reply
from mta_sts_lab.events import (
    AttackFired,
    ClientHelloSeen,
    ConnectionAccepted,
    ConnectionClosed,
    DeadlinePassed,
    LabFailed,
    MessageAccepted,
    SenderLeft,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
    TokenRead,
)
from mta_sts_lab.model.case import AttackForm
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.timeouts import ATTACK_SESSION, Deadline
from mta_sts_lab.world.path import Accepted

from tests.attacks.loopback_hosts import (
    AUTHORITY,
    CASE,
    MESSAGE,
    MX_NAME,
    TOKEN,
    LoopbackHosts,
    client_context,
    deliver_in_thread,
    loopback_hosts,
)


def of_target(here: LoopbackHosts, kind: type) -> list:
    """Facts of one kind on the target's own leg."""
    legs = {fact.session for fact in here.facts(ConnectionAccepted) if not fact.via}
    return [fact for fact in here.facts(kind) if fact.session in legs]


async def until_target(here: LoopbackHosts, kind: type) -> list:
    """Wait for a fact of one kind on the target's own leg."""
    while not (found := of_target(here, kind)):
        assert await here.recorder.changed(CASE, 10), f"no {kind.__name__}"
    return found


def play(here: LoopbackHosts, script, deadline: Deadline = ATTACK_SESSION) -> Interposer:
    """Put a script of the test's own in front of the MX host."""
    attack = SmtpAttack(AttackForm("test_attack", "smtp", ""), lambda session, parameters: script(session))
    path = Interposer(play_script(attack, {}), here.recorder, AUTHORITY, deadline)
    here.mx.path = path
    return path


async def dial(here: LoopbackHosts) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*here.mx_at)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_strip_reaches_an_opportunistic_sender_in_clear() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")
        assert await deliver_in_thread(here, client_context(verifies=True)) is False
        (accepted,) = await here.until(MessageAccepted)
        assert accepted.via
        assert not accepted.secured
        assert [(fact.token, fact.secured, fact.reader) for fact in of_target(here, TokenRead)] == [
            (TOKEN, False, "attacker")
        ]
        (fired,) = here.facts(AttackFired)
        assert (fired.attack, fired.channel, fired.session) == ("strip_starttls", "smtp", accepted.via)
        removed = [fact for fact in of_target(here, SmtpSaid) if fact.altered]
        assert [(fact.speaker, fact.instead_of) for fact in removed] == [("attacker", "250-STARTTLS")]
        assert not here.facts(LabFailed)
        assert len(await here.until(ConnectionClosed, 2)) == 2


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_sender_who_verifies_refuses_and_its_alert_is_on_record(newest: ssl.TLSVersion) -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate", certificate="untrusted")
        context = client_context(verifies=True)
        context.maximum_version = newest
        with pytest.raises(ssl.SSLCertVerificationError):
            await deliver_in_thread(here, context)
        (failed,) = await until_target(here, TlsFailed)
        assert (failed.alert, failed.certificate) == ("unknown ca", "untrusted")
        (fired,) = here.facts(AttackFired)
        assert "untrusted" in fired.detail
        assert [fact.sni for fact in of_target(here, ClientHelloSeen)] == [MX_NAME]
        assert not of_target(here, TlsEstablished)
        assert not here.facts(MessageAccepted)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_who_hung_up_is_on_record_only_if_it_was_the_sender() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")
        reader, writer = await asyncio.open_connection(*here.mx_at)
        assert await reader.readline()
        writer.close()
        (left,) = await here.until(SenderLeft)
        ends = await here.until(ConnectionClosed, 2)
        assert left.session in {fact.session for fact in ends}
    async with loopback_hosts() as here:
        here.attack("drop_after_starttls")
        reader, writer = await asyncio.open_connection(*here.mx_at)
        assert await reader.readline()
        writer.write(b"EHLO client.example\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
        writer.write(b"STARTTLS\r\n")
        assert (await reader.readline()).startswith(b"220")
        outgoing = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            client_context(verifies=False).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=MX_NAME).do_handshake()
        writer.write(outgoing.read())
        assert await reader.read() == b""
        writer.close()
        await here.until(ConnectionClosed, 2)
        (front, _) = here.facts(ConnectionAccepted)
        assert front.session not in {fact.session for fact in here.facts(SenderLeft)}


@pytest.mark.parametrize(
    ("certificate", "alert"),
    [("expired", "certificate expired"), ("wrong-name", "bad certificate"), ("self-signed", "unknown ca")],
)
async def test_the_alert_tells_what_was_wrong(certificate: str, alert: str) -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate", certificate=certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            await deliver_in_thread(here, client_context(verifies=True))
        (failed,) = await until_target(here, TlsFailed)
        assert failed.alert == alert


async def test_a_sender_who_does_not_verify_is_read_inside_tls() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate", certificate="self-signed")
        assert await deliver_in_thread(here, client_context(verifies=False)) is True
        (accepted,) = await here.until(MessageAccepted)
        assert accepted.secured
        assert [(fact.token, fact.secured) for fact in of_target(here, TokenRead)] == [(TOKEN, True)]
        (established,) = of_target(here, TlsEstablished)
        assert (established.certificate, established.shown_by, established.sni, established.version) == (
            "self-signed", "swap_certificate", MX_NAME, "TLSv1.3",
        )  # fmt: skip
        said = [
            fact.line.split(" ")[0] for fact in of_target(here, SmtpSaid) if fact.secured and fact.speaker == "sender"
        ]
        assert said[:5] == ["ehlo", "mail", "rcpt", "data", "."]
        # The receiver was asked for the very name that the target asked for.
        behind = [fact for fact in here.facts(ClientHelloSeen) if fact not in of_target(here, ClientHelloSeen)]
        assert [fact.sni for fact in behind] == [MX_NAME]
        await here.until(ConnectionClosed, 2)
        assert not of_target(here, TlsFailed)
        assert not here.facts(LabFailed)


async def test_a_sender_who_wants_more_than_tls_1_0_sees_protocol_version() -> None:
    async with loopback_hosts() as here:
        here.attack("downgrade_tls", version="1.0")
        with pytest.raises(ssl.SSLError) as refused:
            await deliver_in_thread(here, client_context(verifies=True))
        assert "PROTOCOL_VERSION" in refused.value.reason
        (fired,) = await here.until(AttackFired)
        assert fired.detail == "offered no other version than TLS 1.0"
        (failed,) = await until_target(here, TlsFailed)
        assert failed.alert == "unsupported protocol"
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "name", "oldest"), [("1.0", "TLSv1", ssl.TLSVersion.TLSv1), ("1.1", "TLSv1.1", ssl.TLSVersion.TLSv1_1)]
)
async def test_a_sender_who_takes_an_old_version_gets_it(version: str, name: str, oldest: ssl.TLSVersion) -> None:
    async with loopback_hosts() as here:
        here.attack("downgrade_tls", version=version)
        assert await deliver_in_thread(here, client_context(verifies=True, oldest=oldest)) is True
        (established,) = of_target(here, TlsEstablished)
        assert (established.version, established.certificate, established.shown_by) == (name, "valid", "downgrade_tls")
        assert len(here.facts(AttackFired)) == 1


async def test_a_strict_client_sees_close_notify_after_the_221() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        assert await asyncio.to_thread(_quit_strictly, here.mx_at) == b""


def _quit_strictly(at: tuple[str, int]) -> bytes:
    with socket.create_connection(at, timeout=10) as plain:
        plain.recv(1000)
        plain.sendall(b"STARTTLS\r\n")
        plain.recv(1000)
        with client_context(verifies=False).wrap_socket(plain, suppress_ragged_eofs=False) as secured:
            secured.sendall(b"QUIT\r\n")
            assert secured.recv(1000).startswith(b"221 ")
            return secured.recv(1000)


async def test_a_pipelined_client_hello_is_not_lost() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await dial(here)
        await reader.readline()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context(verifies=False).wrap_bio(incoming, outgoing, server_hostname=MX_NAME)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        writer.write(b"STARTTLS\r\n" + outgoing.read())
        assert (await reader.readline()).startswith(b"220 ")
        incoming.write(await reader.read(65536))
        client.do_handshake()
        writer.write(outgoing.read())
        await here.until(TlsEstablished)
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_an_alert_after_the_handshake_is_on_record_too() -> None:
    """Under TLS 1.3 a client may finish its handshake and complain then (RFC 8446, section 4.4.2.4; GnuTLS does)."""
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await dial(here)
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context(verifies=False).wrap_bio(incoming, outgoing, server_hostname=MX_NAME)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
        client.do_handshake()
        writer.write(outgoing.read())
        await until_target(here, TlsEstablished)
        incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError):
            client.read()
        writer.write(outgoing.read())
        (failed,) = await until_target(here, TlsFailed)
        assert (failed.alert, failed.certificate) == ("bad record mac", "untrusted")
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


#: What a sender says that gives up TLS and goes on in clear, up to where it would wait for a 354.
IN_CLEAR = b"MAIL FROM:<a@sender.example>\r\n"
ALL_IN_CLEAR = IN_CLEAR + b"RCPT TO:<c@domain.example>\r\nDATA\r\n" + MESSAGE.encode() + b".\r\n"


async def start(here: LoopbackHosts) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Dial, and say STARTTLS."""
    reader, writer = await dial(here)
    await reader.readline()
    writer.write(b"STARTTLS\r\n")
    assert (await reader.readline()).startswith(b"220 ")
    return reader, writer


async def go_on_in_clear(here: LoopbackHosts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say an envelope and a message in clear, first waiting for a reply; both must be on record."""
    writer.write(IN_CLEAR)
    # Behind what was left of TLS, if anything was: tickets, close_notify.
    await asyncio.wait_for(reader.readuntil(b"503 5.5.1 TLS was to be started\r\n"), 10)
    writer.write(ALL_IN_CLEAR + b"QUIT\r\n")
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"221 2.0.0 Bye\r\n")
    await hang_up(writer)
    await here.until(ConnectionClosed, 2)
    heard = [fact.line for fact in of_target(here, SmtpSaid) if fact.speaker == "sender" and not fact.secured]
    assert heard == ["STARTTLS", *(IN_CLEAR + ALL_IN_CLEAR).decode().splitlines(), "QUIT"]
    assert [(fact.token, fact.secured) for fact in of_target(here, TokenRead)] == [(TOKEN, False)]
    assert not here.facts(MessageAccepted)
    assert not here.facts(LabFailed)
    assert not here.facts(DeadlinePassed)


def begin_handshake(verifies: bool) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """Return a client that has its ClientHello ready."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(verifies).wrap_bio(incoming, outgoing, server_hostname=MX_NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing


@pytest.mark.parametrize("name", ["drop_after_starttls", "garbage_after_220", "swap_certificate", "downgrade_tls"])
async def test_a_sender_who_says_no_hello_but_goes_on_in_clear_is_read(name: str) -> None:
    async with loopback_hosts() as here:
        here.attack(name)
        await go_on_in_clear(here, *await start(here))
        assert not here.facts(AttackFired)
        failed = [fact.alert for fact in of_target(here, TlsFailed)]
        assert failed == (["not a ClientHello"] if name in ("swap_certificate", "downgrade_tls") else [])


async def test_a_sender_who_goes_on_in_clear_after_garbage_is_read() -> None:
    async with loopback_hosts() as here:
        here.attack("garbage_after_220")
        reader, writer = await start(here)
        client, incoming, outgoing = begin_handshake(verifies=True)
        writer.write(outgoing.read())
        incoming.write(await reader.readexactly(len(GARBAGE)))
        with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version|unknown|record"):
            client.do_handshake()
        writer.write(outgoing.read())
        await go_on_in_clear(here, reader, writer)
        assert len(here.facts(AttackFired)) == 1


@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_sender_who_refuses_the_certificate_and_goes_on_in_clear_is_read(pipelined: bool) -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await start(here)
        client, incoming, outgoing = begin_handshake(verifies=True)
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
        with pytest.raises(ssl.SSLCertVerificationError):
            client.do_handshake()
        writer.write(outgoing.read())
        if not pipelined:
            await until_target(here, TlsFailed)
        await go_on_in_clear(here, reader, writer)
        assert [fact.alert for fact in of_target(here, TlsFailed)] == ["unknown ca"]


async def test_a_sender_who_gets_an_alert_and_goes_on_in_clear_is_read() -> None:
    async with loopback_hosts() as here:
        here.attack("downgrade_tls", version="1.0")
        reader, writer = await start(here)
        client, incoming, outgoing = begin_handshake(verifies=True)
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
        with pytest.raises(ssl.SSLError):
            client.do_handshake()
        await go_on_in_clear(here, reader, writer)
        assert [fact.alert for fact in of_target(here, TlsFailed)] == ["unsupported protocol"]


@pytest.mark.parametrize("how", ["close_notify", "alert"])
async def test_a_sender_who_ends_tls_and_goes_on_in_clear_is_read(how: str) -> None:
    """A client that looks at the certificate only when the handshake is finished."""
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await start(here)
        client, incoming, outgoing = begin_handshake(verifies=False)
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
        client.do_handshake()
        writer.write(outgoing.read())
        await until_target(here, TlsEstablished)
        if how == "alert":
            incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(ssl.SSLError):
                client.read()
        else:
            with pytest.raises(ssl.SSLWantReadError):
                client.unwrap()
        writer.write(outgoing.read())
        await go_on_in_clear(here, reader, writer)


async def test_a_sender_who_goes_on_in_clear_in_the_middle_of_tls_is_read() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await start(here)
        client, incoming, outgoing = begin_handshake(verifies=False)
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
        client.do_handshake()
        writer.write(outgoing.read() + ALL_IN_CLEAR)
        assert [fact.secured for fact in await until_target(here, TokenRead)] == [False]
        assert IN_CLEAR.decode().strip() in [fact.line for fact in of_target(here, SmtpSaid) if not fact.secured]
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_a_sender_who_refuses_the_genuine_host_and_goes_on_in_clear_is_read() -> None:
    async with loopback_hosts() as here:
        here.attack("inject_response")
        reader, writer = await dial(here)
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        await reader.readuntil(b"550 5.7.1 X-INJECTED: not wanted here\r\n")
        _, _, outgoing = begin_handshake(verifies=False)
        writer.write(outgoing.read())
        assert (await reader.read(65536)).startswith(b"\x16\x03")
        writer.write(b"\x15\x03\x01\x00\x02\x02\x30" + ALL_IN_CLEAR)
        assert [fact.secured for fact in await until_target(here, TokenRead)] == [False]
        assert IN_CLEAR.decode().strip() in [fact.line for fact in of_target(here, SmtpSaid)]
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_a_client_that_leaves_within_the_handshake_is_on_record() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await dial(here)
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        await hang_up(writer)
        (failed,) = await until_target(here, TlsFailed)
        assert failed.alert == "connection closed"
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_injected_lines_do_not_hurt_a_careful_sender() -> None:
    async with loopback_hosts() as here:
        here.attack("inject_response")
        reader, writer = await dial(here)
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        segment = await reader.read(65536)
        assert segment.startswith(b"220 ")
        assert segment.endswith(b"550 5.7.1 X-INJECTED: not wanted here\r\n")
        # What was read too far is thrown away, as RFC 3207, section 4.2 wants it.
        await asyncio.wait_for(writer.start_tls(client_context(verifies=True), server_hostname=MX_NAME), 10)
        writer.write(b"EHLO sender.example\r\n")
        assert b"X-INJECTED" not in await reader.readuntil(b"250 HELP\r\n")
        (established,) = await here.until(TlsEstablished)
        assert established.certificate == "valid"
        assert of_target(here, TlsEstablished) == []
        assert [fact.sni for fact in of_target(here, ClientHelloSeen)] == [MX_NAME]
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)


async def test_drop_closes_without_a_word() -> None:
    async with loopback_hosts() as here:
        here.attack("drop_after_starttls")
        with pytest.raises((ssl.SSLError, OSError)):
            await deliver_in_thread(here, client_context(verifies=True))
        await here.until(ConnectionClosed, 2)
        assert [fact.detail for fact in here.facts(AttackFired)] == ["closed the connection after the ClientHello"]
        assert not here.facts(LabFailed)


async def test_garbage_is_answered_with_an_error_at_once() -> None:
    async with loopback_hosts() as here:
        here.attack("garbage_after_220")
        with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version|unknown|record"):
            await deliver_in_thread(here, client_context(verifies=True))
        await here.until(ConnectionClosed, 2)
        assert len(here.facts(AttackFired)) == 1
        assert not here.facts(LabFailed)


@pytest.mark.parametrize(
    ("name", "parameters"), [("refuse_starttls", {"code": 454}), ("mask_starttls", {}), ("refuse_ehlo", {})]
)
async def test_the_other_attacks_deliver_in_clear(name: str, parameters: dict) -> None:
    async with loopback_hosts() as here:
        here.attack(name, **parameters)
        if name == "refuse_starttls":
            with pytest.raises(smtplib.SMTPResponseException) as refused:
                await deliver_in_thread(here, client_context(verifies=True))
            assert refused.value.smtp_code == 454
        else:
            assert await deliver_in_thread(here, client_context(verifies=True)) is False
            assert [fact.secured for fact in of_target(here, TokenRead)] == [False]
        assert len(here.facts(AttackFired)) == 1
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_a_receiver_without_starttls_is_only_read() -> None:
    async with loopback_hosts() as here:
        here.mx.arrange(MxHost(starttls=False))
        here.attack("swap_certificate")
        assert await deliver_in_thread(here, client_context(verifies=True)) is False
        assert not here.facts(AttackFired)


async def test_an_exception_in_a_script_is_a_fault_of_the_lab_and_ends_the_session() -> None:
    def broken(session: Session) -> Script:
        yield from session.relay_greeting()
        raise RuntimeError("a mistake in a script")

    async with loopback_hosts() as here:
        play(here, broken)
        reader, writer = await dial(here)
        assert (await reader.readline()).startswith(b"220 ")
        assert await reader.read() == b""
        (failed,) = await here.until(LabFailed)
        assert "a mistake in a script" in failed.error
        await hang_up(writer)


async def test_an_exception_in_a_script_inside_tls_is_one_too() -> None:
    def broken(session: Session) -> Script:
        yield from session.read_command()
        yield from session.speak(reply(220, "go"))
        yield from session.end_tls(Shown("untrusted", "x"))
        raise RuntimeError("a mistake in a script")

    async with loopback_hosts() as here:
        play(here, broken)
        reader, writer = await dial(here)
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        await writer.start_tls(client_context(verifies=False), server_hostname=MX_NAME)
        assert await reader.read() == b""
        (failed,) = await here.until(LabFailed)
        assert "a mistake in a script" in failed.error
        await hang_up(writer)


async def test_a_certificate_that_cannot_be_issued_is_a_fault_of_the_lab() -> None:
    def broken(session: Session) -> Script:
        yield from session.read_command()
        yield from session.speak(reply(220, "go"))
        yield from session.end_tls(Shown("no such variant", "x"))

    async with loopback_hosts() as here:
        play(here, broken)
        reader, writer = await dial(here)
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        with pytest.raises((ssl.SSLError, OSError)):
            await writer.start_tls(client_context(verifies=False), server_hostname=MX_NAME)
        (failed,) = await here.until(LabFailed)
        assert "no such variant" in failed.error
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)


async def test_a_genuine_host_out_of_reach_is_a_fault_of_the_lab() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")

        async def nowhere(via: str, address: str) -> tuple[str, int]:
            return here.network.where("198.18.99.99", 25)

        here.mx.back_door = nowhere  # type: ignore[method-assign]
        reader, writer = await dial(here)
        assert await reader.read() == b""
        assert await here.until(LabFailed)
        await hang_up(writer)


async def test_attackers_connect_to_nothing_but_loopback() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")

        async def elsewhere(via: str, address: str) -> tuple[str, int]:
            return "198.18.0.9", 25

        here.mx.back_door = elsewhere  # type: ignore[method-assign]
        reader, writer = await dial(here)
        assert await reader.read() == b""
        (failed,) = await here.until(LabFailed)
        assert "not on loopback" in failed.error
        await hang_up(writer)


async def test_an_exception_on_the_way_to_the_host_is_a_fault_of_the_lab() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")

        async def broken(via: str, address: str) -> tuple[str, int]:
            raise RuntimeError("no door")

        here.mx.back_door = broken  # type: ignore[method-assign]
        reader, writer = await dial(here)
        assert await reader.read() == b""
        failed = await here.until(LabFailed)
        assert "no door" in failed[0].error
        await hang_up(writer)


async def test_a_silent_session_ends_with_its_deadline() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls", deadline=Deadline("attack-session", 0.2))
        reader, writer = await dial(here)
        await reader.readline()
        assert await reader.read() == b""
        (passed,) = await here.until(DeadlinePassed)
        assert passed.deadline == "attack-session"
        assert MX_NAME in passed.waited_for
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_closing_ends_live_sessions_and_leaves_no_task() -> None:
    async with loopback_hosts() as here:
        path = here.attack("strip_starttls")
        before = asyncio.all_tasks()
        clients = [await dial(here) for _ in range(5)]
        for reader, _ in clients:
            await reader.readline()
        assert len(asyncio.all_tasks() - before) > 5
        await path.close()
        for reader, writer in clients:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            await hang_up(writer)
        await here.until(ConnectionClosed, 10)
        assert not here.facts(LabFailed)
        assert not here.facts(DeadlinePassed)


async def test_closing_just_after_a_connection_arrived_ends_it_too() -> None:
    async with loopback_hosts() as here:
        path = here.attack("strip_starttls")
        reader, writer = await dial(here)
        await here.until(ConnectionAccepted)
        await path.close()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await hang_up(writer)
        await here.until(ConnectionClosed)
        assert not here.facts(LabFailed)


async def test_a_connection_that_arrives_after_the_end_is_not_served() -> None:
    async with loopback_hosts() as here:
        path = here.attack("strip_starttls")
        await path.close()
        reader, writer = await dial(here)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await hang_up(writer)
        await here.until(ConnectionClosed)
        assert not here.facts(SmtpSaid)


async def test_closing_within_a_handshake_leaves_no_task() -> None:
    async with loopback_hosts() as here:
        path = here.attack("swap_certificate")
        reader, writer = await dial(here)
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        await path.close()
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)
        assert not of_target(here, TlsFailed)


async def test_closing_while_tls_with_the_receiver_begins_is_no_fault_of_the_lab() -> None:
    async with loopback_hosts() as here:
        path = here.attack("swap_certificate")

        async def never_finishes(accepted: Accepted, via: str) -> None:
            """Says 220 twice and then nothing: no handshake ever ends."""
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(accepted.sock, b"220 hello\r\n")
            await loop.sock_recv(accepted.sock, 1000)
            await loop.sock_sendall(accepted.sock, b"220 go\r\n")
            hellos.append(await loop.sock_recv(accepted.sock, 65536))
            waiting.set()
            await loop.sock_recv(accepted.sock, 65536)
            accepted.sock.close()

        hellos: list[bytes] = []
        waiting = asyncio.Event()
        here.mx._speak = never_finishes  # type: ignore[method-assign]
        reader, writer = await dial(here)
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        await writer.start_tls(client_context(verifies=False), server_hostname=MX_NAME)
        await waiting.wait()
        assert hellos[0].startswith(b"\x16\x03")
        await path.close()
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_a_target_that_only_knocks_is_no_fault_of_the_lab() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")
        for _ in range(5):
            _, writer = await dial(here)
            await hang_up(writer)
            with socket.create_connection(here.mx_at) as impatient:
                impatient.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await here.until(ConnectionClosed, 10)
        assert not here.facts(LabFailed)


async def test_a_host_that_closes_takes_its_attacker_along() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")
        reader, writer = await dial(here)
        await reader.readline()
        await here.mx.close()
        await hang_up(writer)
        assert not here.facts(LabFailed)


async def test_a_target_that_resets_the_connection_is_no_fault_of_the_lab() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        reader, writer = await dial(here)
        await reader.readline()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await hang_up(writer)
        await here.until(ConnectionClosed, 2)
        assert not here.facts(LabFailed)


async def test_many_sessions_at_once_are_kept_apart() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate")
        await asyncio.gather(*(deliver_in_thread(here, client_context(verifies=False)) for _ in range(8)))
        assert len(here.facts(MessageAccepted)) == 8
        assert len({fact.session for fact in here.facts(AttackFired)}) == 8
        assert len(here.facts(TokenRead)) == 8
        assert not here.facts(LabFailed)
