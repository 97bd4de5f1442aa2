"""The MX hosts over real sockets: what they do, and what goes on record of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from mta_sts_lab.events import (
    BounceReceived,
    ClientHelloSeen,
    ConnectionAccepted,
    ConnectionClosed,
    MessageAccepted,
    MessageRead,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
    TokenRead,
)
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.client_hello import authenticates_server
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.message import body_digest, probe_message
from mta_sts_lab.world.path import Accepted, Host
from mta_sts_lab.world.pki import Authority

from tests.world.clients import SmtpClient, careless, trusting
from tests.world.test_message import BOUNCE
from tests.world.watching import PATIENCE, facts, seen

CASE = "starttls/strip[enforce]"
DOMAIN = "c0ffee.example"
NAME = f"mx1.{DOMAIN}"
ADDRESS = "198.18.64.4"
TOKEN = "0123456789abcdef"
PROBE = probe_message(TOKEN, "sender.example", DOMAIN, "Figures")


@pytest.fixture
async def server(services: HostServices) -> AsyncIterator[MxServer]:
    server = MxServer(services, CASE, "mx", NAME, [ADDRESS], domain=DOMAIN)
    server.arrange(MxHost())
    yield server
    await server.close()


async def dial(services: HostServices, address: str = ADDRESS) -> SmtpClient:
    client = await SmtpClient.dial(services.network.where(address, 25))
    assert (await client.reply()).startswith("220 ")
    return client


async def secure(client: SmtpClient, context: ssl.SSLContext, name: str | None = NAME) -> None:
    assert (await client.say("EHLO client.example")).startswith("250")
    assert (await client.say("STARTTLS")).startswith("220 ")
    await client.start_tls(context, name)
    assert (await client.say("EHLO client.example")).startswith("250")


async def deliver(client: SmtpClient) -> str:
    return await client.deliver(PROBE.sender, PROBE.recipient, PROBE.content)


async def quit_(client: SmtpClient) -> None:
    assert (await client.say("QUIT")).startswith("221")
    await client.close()


async def test_an_honest_delivery_inside_tls(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    client = await dial(services)
    await secure(client, trusting(authority, strict=True))
    assert await deliver(client) == "250 2.0.0 OK: the lab has it"
    await quit_(client)
    (closed,) = await seen(recorder, ConnectionClosed, CASE)
    (accepted,) = facts(recorder, ConnectionAccepted, CASE)
    assert accepted == ConnectionAccepted(
        session=closed.session,
        role="mx",
        host=NAME,
        address=ADDRESS,
        port=25,
        peer="127.0.0.1",
        peer_port=accepted.peer_port,
        own_port=services.network.where(ADDRESS, 25)[1],
    )
    assert accepted.peer_port not in (0, accepted.own_port)
    (hello,) = facts(recorder, ClientHelloSeen, CASE)
    assert (hello.session, hello.sni, hello.raw_public_keys, hello.ssl2_form) == (closed.session, NAME, False, False)
    assert any(map(authenticates_server, hello.cipher_suites))
    assert facts(recorder, TlsEstablished, CASE) == [
        TlsEstablished(
            session=closed.session,
            version="TLSv1.3",
            certificate="valid",
            sni=NAME,
            cipher="TLS_AES_256_GCM_SHA384",
        )
    ]
    (message,) = facts(recorder, MessageAccepted, CASE)
    assert message == MessageAccepted(
        session=closed.session,
        role="mx",
        host=NAME,
        address=ADDRESS,
        secured=True,
        certificate="valid",
        mail_from=PROBE.sender,
        recipients=(PROBE.recipient,),
        tokens=(TOKEN,),
        octets=len(PROBE.content),
        body_digest=PROBE.digest,
        via="",
    )
    assert facts(recorder, TokenRead, CASE) == []
    assert facts(recorder, TlsFailed, CASE) == []


async def test_every_word_is_on_record_with_its_protection(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    client = await dial(services)
    await secure(client, trusting(authority))
    await deliver(client)
    await quit_(client)
    said = [(fact.speaker, fact.line, fact.secured) for fact in await said_of(recorder)]
    assert said == [
        ("mx", f"220 {NAME} ESMTP", False),
        ("sender", "EHLO client.example", False),
        ("mx", f"250-{NAME}", False),
        ("mx", "250-SIZE 4194304", False),
        ("mx", "250-8BITMIME", False),
        ("mx", "250-STARTTLS", False),
        ("mx", "250 HELP", False),
        ("sender", "STARTTLS", False),
        ("mx", "220 2.0.0 Ready to start TLS", False),
        ("sender", "EHLO client.example", True),
        ("mx", f"250-{NAME}", True),
        ("mx", "250-SIZE 4194304", True),
        ("mx", "250-8BITMIME", True),
        ("mx", "250 HELP", True),
        ("sender", f"MAIL FROM:<{PROBE.sender}>", True),
        ("mx", "250 OK", True),
        ("sender", f"RCPT TO:<{PROBE.recipient}>", True),
        ("mx", "250 2.1.5 OK", True),
        ("sender", "DATA", True),
        ("mx", "354 End data with <CR><LF>.<CR><LF>", True),
        ("mx", "250 2.0.0 OK: the lab has it", True),
        ("sender", "QUIT", True),
        ("mx", "221 Bye", True),
    ]


async def said_of(recorder: Recorder) -> list[SmtpSaid]:
    await seen(recorder, ConnectionClosed, CASE)
    return facts(recorder, SmtpSaid, CASE)


async def test_a_message_in_clear_can_be_read_by_everybody_on_the_path(
    services: HostServices, server: MxServer, recorder: Recorder
) -> None:
    client = await dial(services)
    await client.say("EHLO client.example")
    await deliver(client)
    await quit_(client)
    (message,) = facts(recorder, MessageAccepted, CASE)
    assert (message.secured, message.certificate, message.tokens) == (False, "", (TOKEN,))
    reading = TokenRead(session=message.session, token=TOKEN, secured=False, reader="path")
    assert facts(recorder, TokenRead, CASE) == [reading, reading]  # in the header, and in the body
    (whole,) = facts(recorder, MessageRead, CASE)
    assert (whole.reader, whole.secured, whole.octets) == ("path", False, message.octets)
    assert "Subject: " in whole.text
    assert whole.text.splitlines()[-1] == f"lab-token:{TOKEN}"


async def test_a_message_in_clear_is_read_even_if_it_is_never_finished(
    services: HostServices, server: MxServer, recorder: Recorder
) -> None:
    client = await dial(services)
    await client.say("EHLO client.example")
    await client.say(f"MAIL FROM:<{PROBE.sender}>")
    await client.say(f"RCPT TO:<{PROBE.recipient}>")
    await client.say("DATA")
    client.writer.write(PROBE.content.partition(b"MIME-Version")[0])
    await seen(recorder, TokenRead, CASE)
    await client.close()
    await seen(recorder, ConnectionClosed, CASE)
    assert facts(recorder, MessageAccepted, CASE) == []


async def test_the_attackers_own_host_reads_whatever_reaches_it(
    services: HostServices, recorder: Recorder, authority: Authority
) -> None:
    evil = MxServer(services, CASE, "attacker-mx", "mx.evil.example", ["198.18.64.9"])
    evil.arrange(MxHost())
    client = await dial(services, "198.18.64.9")
    await secure(client, trusting(authority), "mx.evil.example")
    assert (await deliver(client)).startswith("250")
    await quit_(client)
    (message,) = facts(recorder, MessageAccepted, CASE)
    assert (message.role, message.host, message.secured) == ("attacker-mx", "mx.evil.example", True)
    assert {(fact.reader, fact.secured) for fact in facts(recorder, TokenRead, CASE)} == {("attacker", True)}
    await evil.close()


async def test_mail_for_others_is_refused(services: HostServices, server: MxServer, recorder: Recorder) -> None:
    client = await dial(services)
    await client.say("EHLO client.example")
    await client.say(f"MAIL FROM:<{PROBE.sender}>")
    assert (await client.say("RCPT TO:<x@other.example>")).startswith("550 5.7.1")
    assert (await client.say(f"RCPT TO:<x@notreally{DOMAIN}>")).startswith("550 5.7.1")
    assert (await client.say("DATA")).startswith("503")
    assert (await client.say(f"RCPT TO:<x@Sub.{DOMAIN.upper()}>")).startswith("250")
    await quit_(client)
    assert facts(recorder, MessageAccepted, CASE) == []


@pytest.mark.parametrize(
    ("variant", "alert"),
    [
        ("untrusted", "unknown ca"),
        ("self-signed", "unknown ca"),
        ("missing-intermediate", "unknown ca"),
        ("expired", "certificate expired"),
        ("not-yet-valid", "bad certificate"),
        ("wrong-name", "bad certificate"),
        ("cn-only", "bad certificate"),
    ],
)
async def test_the_alert_of_a_client_that_refuses_is_on_record(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority, variant: str, alert: str
) -> None:
    server.arrange(MxHost(certificate=variant))

    def refuse() -> None:
        # Not asyncio's TLS, which sends no alert (cpython issue 98078).
        host, port = services.network.where(ADDRESS, 25)
        with socket.create_connection((host, port), PATIENCE) as sock, sock.makefile("rwb", buffering=0) as stream:
            stream.readline()
            stream.write(b"STARTTLS\r\n")
            stream.readline()
            with pytest.raises(ssl.SSLCertVerificationError):
                trusting(authority).wrap_socket(sock, server_hostname=NAME)

    await asyncio.to_thread(refuse)
    await seen(recorder, ConnectionClosed, CASE)
    (failed,) = facts(recorder, TlsFailed, CASE)
    assert (failed.alert, failed.certificate) == (alert, variant)
    assert facts(recorder, TlsEstablished, CASE) == []


async def test_a_client_that_does_not_care_is_shown_the_same(
    services: HostServices, server: MxServer, recorder: Recorder
) -> None:
    server.arrange(MxHost(certificate="expired"))
    client = await dial(services)
    await secure(client, careless())
    await deliver(client)
    await quit_(client)
    assert facts(recorder, TlsEstablished, CASE)[0].certificate == "expired"
    (message,) = facts(recorder, MessageAccepted, CASE)
    assert (message.secured, message.certificate) == (True, "expired")


async def test_a_client_that_is_too_old_gets_an_alert(
    services: HostServices, server: MxServer, recorder: Recorder
) -> None:
    """asyncio by itself would just hang up (cpython issue 98078), and the client would not know why."""
    old = careless()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    client = await dial(services)
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        await secure(client, old)
    (failed,) = await seen(recorder, TlsFailed, CASE)
    assert failed.alert == "unsupported protocol"
    await client.close()


async def test_garbage_instead_of_a_handshake(services: HostServices, server: MxServer, recorder: Recorder) -> None:
    client = await dial(services)
    await client.say("EHLO client.example")
    await client.say("STARTTLS")
    client.writer.write(b"EHLO client.example\r\n")
    (failed,) = await seen(recorder, TlsFailed, CASE)
    assert failed.alert in ("wrong version number", "http request", "unknown protocol", "unsupported protocol")
    await client.close()
    await seen(recorder, ConnectionClosed, CASE)


async def test_a_client_that_leaves_during_the_handshake(
    services: HostServices, server: MxServer, recorder: Recorder
) -> None:
    for index, leave in enumerate((asyncio.StreamWriter.close, lambda writer: writer.transport.abort()), start=1):
        client = await dial(services)
        await client.say("EHLO client.example")
        await client.say("STARTTLS")
        leave(client.writer)
        failed = await seen(recorder, TlsFailed, CASE, count=index)
        assert failed[-1].alert == "connection closed"
        await seen(recorder, ConnectionClosed, CASE, count=index)


async def test_a_host_without_starttls(services: HostServices, server: MxServer, recorder: Recorder) -> None:
    server.arrange(MxHost(starttls=False))
    client = await dial(services)
    assert "STARTTLS" not in await client.say("EHLO client.example")
    assert (await client.say("STARTTLS")).startswith("502 ")
    assert (await deliver(client)).startswith("250")
    await quit_(client)


async def test_starttls_is_neither_offered_nor_taken_inside_tls(
    services: HostServices, server: MxServer, authority: Authority
) -> None:
    client = await dial(services)
    await secure(client, trusting(authority))
    assert "STARTTLS" not in await client.say("EHLO client.example")
    assert (await client.say("STARTTLS")).startswith("503 ")
    assert (await client.say("NOOP")).startswith("250")
    await quit_(client)


async def test_what_was_said_in_clear_is_forgotten_after_tls(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    client = await dial(services)
    await client.say("EHLO client.example")
    await client.say(f"MAIL FROM:<{PROBE.sender}>")
    await client.say("STARTTLS")
    await client.start_tls(trusting(authority), NAME)
    # No second greeting comes, and no command counts before a new EHLO.
    assert (await client.say(f"MAIL FROM:<{PROBE.sender}>")).startswith("503 ")
    await client.say("EHLO client.example")
    assert (await client.say(f"RCPT TO:<{PROBE.recipient}>")).startswith("503 ")
    await quit_(client)


@pytest.mark.parametrize("many", [1, 200])
async def test_commands_behind_starttls_in_clear_are_not_taken(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority, many: int
) -> None:
    """The command injection of CVE-2011-0411, with little and with so much that asyncio stops to read meanwhile."""
    client = await dial(services)
    await client.say("EHLO client.example")
    injected = ["NOOP injected"] * (many - 1) + ["EHLO injected.example"]
    assert (await client.say("STARTTLS", *injected)).startswith("220 ")
    await client.start_tls(trusting(authority), NAME)
    assert (await client.say(f"MAIL FROM:<{PROBE.sender}>")).startswith("503 ")
    await quit_(client)
    # The first of them is on record, before the reply, and none was taken up.
    (heard,) = [fact for fact in await said_of(recorder) if "injected" in fact.line]
    assert (heard.speaker, heard.secured) == ("sender", False)


async def test_requiretls_is_taken_where_it_is_announced(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(MxHost(requiretls="inside-tls"))
    client = await dial(services)
    assert "REQUIRETLS" not in await client.say("EHLO client.example")
    assert (await client.say("MAIL FROM:<a@b.example> REQUIRETLS")).startswith("555")
    await secure(client, trusting(authority))
    assert "REQUIRETLS" in await client.say("EHLO client.example")
    assert (await client.say("MAIL FROM:<a@b.example> REQUIRETLS=YES")).startswith("555")
    assert (await client.say(f"MAIL FROM:<{PROBE.sender}> requiretls SIZE=500")).startswith("250")
    assert (await client.say(f"RCPT TO:<{PROBE.recipient}>")).startswith("250")
    assert (await client.say("DATA")).startswith("354")
    client.writer.write(b"TLS-Required:\r\n No\r\n" + PROBE.content + b".\r\n")
    assert (await client.reply()).startswith("250")
    await quit_(client)
    (copy,) = facts(recorder, MessageAccepted, CASE)
    assert (copy.mail_options, copy.tls_required) == (("requiretls", "SIZE=500"), ("No",))


async def test_a_keyword_in_clear_is_not_repeated_inside_tls(
    services: HostServices, server: MxServer, authority: Authority
) -> None:
    server.arrange(MxHost(requiretls="in-clear"))
    client = await dial(services)
    assert "REQUIRETLS" in await client.say("EHLO client.example")
    await secure(client, trusting(authority))
    assert "REQUIRETLS" not in await client.say("EHLO client.example")
    await quit_(client)


async def test_a_host_that_insists_on_tls_takes_no_mail_in_clear(services: HostServices, server: MxServer) -> None:
    server.arrange(MxHost(insists_on_tls=True))
    client = await dial(services)
    assert (await client.say("EHLO client.example")).startswith("250")
    assert (await client.say("MAIL FROM:<a@b.example>")).startswith("530 5.7.0")
    await quit_(client)


async def test_a_host_that_greylists_takes_mail_at_the_second_attempt(services: HostServices, server: MxServer) -> None:
    server.arrange(MxHost(greylists=True))
    for expected in ("451 4.7.1", "250"):
        client = await dial(services)
        assert (await client.say("EHLO client.example")).startswith("250")
        assert (await deliver(client)).startswith(expected)
        await quit_(client)


async def test_auth_is_neither_offered_nor_taken(
    services: HostServices, server: MxServer, authority: Authority
) -> None:
    client = await dial(services)
    await secure(client, trusting(authority))
    assert "AUTH" not in await client.say("EHLO client.example")
    assert (await client.say("AUTH PLAIN AGEAYg==")).startswith("500 ")
    await quit_(client)


@pytest.mark.parametrize(
    ("sni", "variant"),
    [(NAME, "valid"), (NAME.upper(), "valid"), ("other.example", "wrong-name"), (None, "wrong-name")],
)
async def test_a_host_that_wants_sni_never_refuses(
    services: HostServices, server: MxServer, recorder: Recorder, sni: str | None, variant: str
) -> None:
    server.arrange(MxHost(sni_required=True))
    client = await dial(services)
    await secure(client, careless(), sni)
    await quit_(client)
    (established,) = facts(recorder, TlsEstablished, CASE)
    assert (established.certificate, established.sni) == (variant, (sni or "").lower())
    assert facts(recorder, ClientHelloSeen, CASE)[0].sni == (sni or "").lower()


async def test_a_host_that_offers_starttls_alone(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    server.arrange(MxHost(offers_tls_alone=True))
    client = await dial(services)
    await secure(client, trusting(authority))
    await deliver(client)
    await quit_(client)
    said = [(fact.line, fact.secured) for fact in await said_of(recorder) if fact.speaker == "mx"]
    assert said[1:5] == [
        (f"250-{NAME}", False),
        ("250 STARTTLS", False),
        ("220 2.0.0 Ready to start TLS", False),
        (f"250 {NAME}", True),
    ]


async def test_a_host_that_is_slow_to_greet(services: HostServices, server: MxServer, recorder: Recorder) -> None:
    server.arrange(MxHost(greets_after=0.3))
    client = await dial(services)
    await quit_(client)
    (accepted,) = [event.at for event in recorder.of_case(CASE) if isinstance(event.fact, ConnectionAccepted)]
    greeted = next(event.at for event in recorder.of_case(CASE) if isinstance(event.fact, SmtpSaid))
    assert greeted - accepted >= 0.3


async def test_settings_change_and_the_address_stays(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    where = services.network.where(ADDRESS, 25)
    server.arrange(MxHost(certificate="expired"))
    assert services.network.where(ADDRESS, 25) == where
    server.arrange(MxHost(reachable=False))
    with pytest.raises(ConnectionRefusedError):
        await SmtpClient.dial(services.network.where(ADDRESS, 25))
    server.arrange(MxHost())
    client = await dial(services)
    await secure(client, trusting(authority))
    await quit_(client)


async def test_tls_sessions_are_not_resumed_from_step_to_step(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    """A resumed session would let an MTA in under a certificate that the host no longer shows."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(authority)
        context.maximum_version = version
        client = await dial(services)
        await secure(client, context)
        await client.say("NOOP")
        session = client.writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket
        await quit_(client)


async def test_a_back_door_takes_one_visitor_and_says_whose_it_is(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    where = await server.back_door("s77", ADDRESS)
    client = await SmtpClient.dial(where)
    assert (await client.reply()).startswith("220 ")
    with pytest.raises(ConnectionRefusedError):
        await SmtpClient.dial(where)
    await client.say("EHLO client.example")
    assert (await deliver(client)).startswith("250")
    await quit_(client)
    (accepted,) = facts(recorder, ConnectionAccepted, CASE)
    assert (accepted.via, accepted.host, accepted.address) == ("s77", NAME, ADDRESS)
    (message,) = facts(recorder, MessageAccepted, CASE)
    assert (message.via, message.secured) == ("s77", False)
    assert facts(recorder, TokenRead, CASE) == [], "the attacker's leg is judged by the attacker's session"
    await seen(recorder, ConnectionClosed, CASE)


class Wall:
    """Refuses."""

    refuses = True

    async def take(self, accepted: Accepted, host: Host) -> None:
        raise AssertionError("nobody can have come here")


class Doorman:
    """Lets everybody in, and remembers whom."""

    refuses = False

    def __init__(self) -> None:
        self.seen: list[Accepted] = []

    async def take(self, accepted: Accepted, host: Host) -> None:
        self.seen.append(accepted)
        await host.serve(accepted)


async def test_whoever_stands_on_the_path_gets_the_connection(services: HostServices, server: MxServer) -> None:
    doorman = Doorman()
    server.path = doorman
    client = await dial(services)
    await quit_(client)
    (accepted,) = doorman.seen
    assert (accepted.case, accepted.role, accepted.host, accepted.port) == (CASE, "mx", NAME, 25)


async def test_a_path_that_refuses_and_one_that_does_not(services: HostServices, server: MxServer) -> None:
    server.path = Wall()
    with pytest.raises(ConnectionRefusedError):
        await SmtpClient.dial(services.network.where(ADDRESS, 25))
    server.path = Doorman()
    client = await dial(services)
    await quit_(client)


async def test_closing_ends_sessions_in_every_state(
    services: HostServices, server: MxServer, recorder: Recorder, authority: Authority
) -> None:
    clear, handshake, secured = [await dial(services) for _ in range(3)]
    await handshake.say("EHLO client.example")
    await handshake.say("STARTTLS")
    await secure(secured, trusting(authority))
    await server.back_door("s99", ADDRESS)
    await server.close()
    assert len(facts(recorder, ConnectionClosed, CASE)) == 3
    assert facts(recorder, TlsFailed, CASE) == [], "the lab cut it, not the client"
    for client in (clear, handshake, secured):
        client.writer.transport.abort()


async def test_hostile_input_is_survived(services: HostServices, server: MxServer, recorder: Recorder) -> None:
    client = await dial(services)
    assert (await client.say("EHLO " + "x" * 600)).startswith("500")
    assert (await client.say("X" * 3000)).startswith("500")
    client.writer.write(b"\xff\xfe\r\n")
    assert (await client.reply()).startswith("500")
    client.writer.write(b"MAIL FROM:<\xff@x>\r\n")
    assert (await client.reply()).startswith("500")
    await client.say("EHLO client.example")
    assert (await client.say(f"MAIL FROM:<a@b.example> SIZE={5 << 20}")).startswith("552")
    big = b"lab-token:none\r\n" + (b"x" * 990 + b"\r\n") * 4400
    assert (await client.deliver(PROBE.sender, PROBE.recipient, big)).startswith("552")
    assert (await deliver(client)).startswith("250")
    await quit_(client)
    assert len(facts(recorder, MessageAccepted, CASE)) == 1


async def test_dots_and_digests(services: HostServices, server: MxServer, recorder: Recorder) -> None:
    client = await dial(services)
    await client.say("HELO client.example")
    await client.deliver("a@b.example", PROBE.recipient, b"Subject: x\r\n\r\n..one\r\n.\xe9\r\n")
    await quit_(client)
    (message,) = facts(recorder, MessageAccepted, CASE)
    assert message.body_digest == body_digest(b"\r\n\r\n.one\r\n\xe9\r\n")
    assert message.tokens == (TOKEN,), "from the envelope"


async def test_bounces_arrive_at_the_sender_s_host(services: HostServices, recorder: Recorder) -> None:
    asked: list[tuple[str, str]] = []

    def case_of_bounce(recipient: str, token: str) -> str:
        asked.append((recipient, token))
        return CASE if recipient.endswith("@c0ffee.example") else ""

    server = MxServer(services, "", "sender-mx", "mx.sender.example", ["198.18.64.2"], domain="sender.example")
    server.case_of_bounce = case_of_bounce
    server.arrange(MxHost())
    client = await dial(services, "198.18.64.2")
    await client.say("EHLO client.example")
    content = BOUNCE.replace(b"\n", b"\r\n")
    assert (await client.deliver("", PROBE.sender, content)).startswith("250")
    assert (await client.deliver("", PROBE.sender, b"Subject: no\r\n\r\nlab-token:none\r\n")).startswith("250")
    assert (await client.deliver("a@b.example", PROBE.sender, PROBE.content)).startswith("250")
    assert (await client.deliver("", PROBE.recipient, content)).startswith("550")
    await quit_(client)
    assert facts(recorder, BounceReceived, CASE) == [
        BounceReceived(
            token=TOKEN,
            action="failed",
            status="5.7.1",
            diagnostic="smtp; 550 5.7.1 not here",
            about="one@c0ffee.example",
            hosts=("target.example",),
        ),
        BounceReceived(
            token=TOKEN, action="delayed", status="4.7.5", about="two@c0ffee.example", hosts=("target.example",)
        ),
    ]
    assert facts(recorder, BounceReceived) == [BounceReceived(token=TOKEN, action="unreadable", status="")]
    assert asked[0] == ("one@c0ffee.example", TOKEN)
    assert [fact.mail_from for fact in facts(recorder, MessageAccepted)] == ["", "", "a@b.example"]
    assert facts(recorder, TokenRead) == [], "a bounce in clear breaks no policy of the recipient's"
    await server.close()
