"""Injection by submission: STARTTLS and AUTH PLAIN, over real sockets against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from mta_sts_lab.targets import injection
from mta_sts_lab.targets.contract import InjectionRefusedError, TargetError
from mta_sts_lab.targets.injection import Inject, Injector, SmtpSession
from mta_sts_lab.timeouts import Deadline

MESSAGE = b"Subject: x\r\n\r\ny\r\n"


class Taken:
    """What a server took: of whom, in TLS or not, and how often somebody logged in."""

    def __init__(self) -> None:
        self.messages: list[tuple[bool, bytes, str]] = []
        self.logins = 0

    def log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins += 1
        assert isinstance(data, LoginPassword)
        fits = (data.login, data.password) == (b"lab@sub.example", b"pass word")
        return AuthResult(success=fits, handled=False, auth_data=data.login)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.messages.append((session.ssl is not None, session.auth_data, envelope.rcpt_tos[0]))
        return "250 taken"


@contextlib.asynccontextmanager
async def server(
    context: ssl.SSLContext | None, taken: Taken | None = None, **options: Any
) -> AsyncIterator[tuple[int, Taken]]:
    """A submission server; its certificate is signed by nobody that the lab knows."""
    taken = taken or Taken()
    options = {"authenticator": taken.log_in, "auth_required": True, **options}

    def session() -> SMTP:
        return SMTP(taken, hostname="sub.example", tls_context=context, **options)

    listening = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], taken
    finally:
        listening.close()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("another-name.example").configure_cert(made)
    return made


@contextlib.asynccontextmanager
async def injecting(**inject: Any) -> AsyncIterator[Injector]:
    told = Inject(**inject)
    injector = Injector("the target", lambda: SmtpSession.open("127.0.0.1", told))
    try:
        yield injector
    finally:
        await injector.close()


LOGIN = {"starttls": True, "user": "lab@sub.example", "password": "pass word"}


async def test_mail_is_handed_over_inside_tls_by_a_user(context: ssl.SSLContext) -> None:
    async with server(context) as (port, taken), injecting(port=port, **LOGIN) as injector:
        await injector.greet()
        for number in range(3):
            assert await injector.inject("a@b.example", f"{number}@c.example", MESSAGE) == "250 taken"
        assert taken.messages == [(True, b"lab@sub.example", f"{number}@c.example") for number in range(3)]
        assert taken.logins == 1, "the session is kept for the next message"


async def test_tls_without_a_user(context: ssl.SSLContext) -> None:
    async with (
        server(context, auth_required=False, require_starttls=True) as (port, taken),
        injecting(port=port, starttls=True) as injector,
    ):
        await injector.inject("a@b.example", "c@d.example", MESSAGE)
        assert taken.messages == [(True, None, "c@d.example")]


async def test_plain_relay_says_neither(context: ssl.SSLContext) -> None:
    async with server(context, auth_required=False) as (port, taken), injecting(port=port) as injector:
        await injector.inject("a@b.example", "c@d.example", MESSAGE)
        assert taken.messages == [(False, None, "c@d.example")]


class Counting(Taken):
    """Takes two messages in a session, and then no more in that one."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Session] = []
        self.reply = "452 4.5.3 Too many recipients: Too many messages sent"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sessions.count(session) >= 2:
            return self.reply
        self.sessions.append(session)
        envelope.mail_from = address
        return "250 OK"


async def test_a_session_that_has_had_enough_is_left_for_another() -> None:
    counting = Counting()
    async with server(None, taken=counting, auth_required=False) as (port, taken), injecting(port=port) as injector:
        for number in range(5):
            assert await injector.inject("a@b.example", f"{number}@c.example", MESSAGE) == "250 taken"
        assert [recipient for _, _, recipient in taken.messages] == [f"{number}@c.example" for number in range(5)]
        assert [counting.sessions.count(one) for one in dict.fromkeys(counting.sessions)] == [2, 2, 1]


async def test_a_refusal_for_good_is_one_at_once_and_so_is_one_over_a_new_session() -> None:
    counting = Counting()
    counting.reply = "550 5.7.1 never"
    async with server(None, taken=counting, auth_required=False) as (port, _), injecting(port=port) as injector:
        for _number in range(2):
            await injector.inject("a@b.example", "c@d.example", MESSAGE)
        with pytest.raises(InjectionRefusedError, match="550"):
            await injector.inject("a@b.example", "c@d.example", MESSAGE)

    class Busy(Taken):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
            return "451 4.3.0 busy"

    async with server(None, taken=Busy(), auth_required=False) as (port, _), injecting(port=port) as injector:
        await injector.greet()
        with pytest.raises(InjectionRefusedError, match="451"):
            await injector.inject("a@b.example", "c@d.example", MESSAGE)


async def test_a_relay_that_wants_more_than_it_is_told_says_so(context: ssl.SSLContext) -> None:
    async with server(context, require_starttls=True) as (port, _), injecting(port=port) as injector:
        with pytest.raises(InjectionRefusedError, match="530"):
            await injector.inject("a@b.example", "c@d.example", MESSAGE)


async def test_a_wrong_password_is_refused_and_not_shown(context: ssl.SSLContext) -> None:
    wrong = {**LOGIN, "password": "opensesame"}
    async with server(context) as (port, taken), injecting(port=port, **wrong) as injector:
        with pytest.raises(TargetError, match="does not take mail: AUTH PLAIN was answered 535") as caught:
            await injector.greet()
        assert taken.logins == 1
        assert "opensesame" not in str(caught.value)


async def test_a_server_that_never_answers_is_named_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> SmtpSession:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(injection, "INJECT", Deadline("inject", 0.05))
    with pytest.raises(TargetError, match=r"the target does not take mail: no session within 0\.05 s \(inject\)"):
        await Injector("the target", never).greet()


async def test_no_starttls_where_it_is_asked_for() -> None:
    options = {"auth_require_tls": False, "auth_required": False}
    async with server(None, **options) as (port, taken), injecting(port=port, **LOGIN) as injector:
        with pytest.raises(TargetError, match="STARTTLS is not offered"):
            await injector.greet()
        assert taken.logins == 0, "the password is never said in clear"


async def test_no_auth_where_it_is_asked_for(context: ssl.SSLContext) -> None:
    options = {"authenticator": None, "auth_required": False, "auth_exclude_mechanism": ["LOGIN", "PLAIN"]}
    async with server(context, **options) as (port, _), injecting(port=port, **LOGIN) as injector:
        with pytest.raises(TargetError, match="AUTH PLAIN is not offered"):
            await injector.greet()


async def test_no_tls_behind_the_reply() -> None:
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 x\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n"):
            writer.write(reply)
            await reader.readline()
        writer.write(b"no handshake\r\n")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        async with injecting(port=listening.sockets[0].getsockname()[1], **LOGIN) as injector:
            with pytest.raises(TargetError, match="no TLS came about after STARTTLS"):
                await injector.greet()
        await served.wait()


async def test_a_password_is_not_shown_when_nobody_answers_it(context: ssl.SSLContext) -> None:
    class Silent(SMTP):
        async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
            assert self.transport is not None
            self.transport.close()

    taken = Taken()
    listening = await asyncio.get_running_loop().create_server(
        lambda: Silent(taken, tls_context=context, authenticator=taken.log_in), "127.0.0.1", 0
    )
    async with listening, injecting(port=listening.sockets[0].getsockname()[1], **LOGIN) as injector:
        with pytest.raises(TargetError, match="does not take mail: the connection") as caught:
            await injector.greet()
        assert "AGxhYkBzdWIuZXhhbXBsZQBwYXNzIHdvcmQ=" not in str(caught.value)


@contextlib.asynccontextmanager
async def replying(*replies: bytes) -> AsyncIterator[int]:
    """Serve one session and give its port: the first reply greets, each other one answers a line."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for reply in replies:
                writer.write(reply)
                await reader.readline()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
        await ended.wait()


@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        ((b"hello\r\n",), "no SMTP reply: b'hello"),
        ((b"2" * 9000,), "a line of more than 8192 octets"),
        ((b"220-x\r\n" * 300,), "a reply of more than 200 lines"),
        ((b"421 not now\r\n",), "the connection was answered 421 not now"),
        ((b"220 x\r\n", b"421 not now\r\n"), "EHLO was answered 421"),
        ((b"220 x\r\n", b"502 what\r\n", b"502 what\r\n"), "HELO was answered 502"),
        ((b"220 x\r\n",), "the connection was closed"),
    ],
)
async def test_a_server_that_speaks_no_smtp_is_a_target_error(replies: tuple[bytes, ...], problem: str) -> None:
    async with replying(*replies) as port, injecting(port=port) as injector:
        with pytest.raises(TargetError, match=f"does not take mail: {problem}"):
            await injector.greet()


async def test_a_message_is_sent_with_crlf_and_doubled_dots() -> None:
    bodies: list[bytes] = []

    class Keeping(Taken):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
            assert isinstance(envelope.content, bytes)
            bodies.append(envelope.content)
            return "250 taken"

    async with server(None, taken=Keeping(), auth_required=False) as (port, _), injecting(port=port) as injector:
        await injector.inject("a@b.example", "c@d.example", b".one\n..two\r.\r\nlast")
    assert bodies == [b".one\r\n..two\r\n.\r\nlast\r\n"]


async def test_an_option_is_said_where_its_extension_is_offered() -> None:
    async with server(None, auth_required=False, enable_SMTPUTF8=True) as (port, taken):
        injector = Injector("it", lambda: SmtpSession.open("127.0.0.1", Inject(port=port)))
        assert await injector.inject("a@b.example", "c@d.example", MESSAGE, ("SMTPUTF8",)) == "250 taken"
        with pytest.raises(InjectionRefusedError, match="without REQUIRETLS, which the message needs"):
            await injector.inject("a@b.example", "c@d.example", MESSAGE, ("REQUIRETLS",))
        with pytest.raises(InjectionRefusedError, match="without DSN, which the message needs"):
            await injector.inject("a@b.example", "c@d.example", MESSAGE, ("RET=FULL",))
        await injector.close()
        assert len(taken.messages) == 1
