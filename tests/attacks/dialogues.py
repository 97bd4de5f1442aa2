"""A sender and an honest receiver for rehearsals: whatever is said is cut into segments as a test likes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from itertools import cycle

from mta_sts_lab.attacks.toolkit.attack import SmtpAttack, complete
from mta_sts_lab.attacks.toolkit.instructions import Send, Side
from mta_sts_lab.events import AnyFact, AttackFired, SmtpSaid, TokenRead

from tests.attacks.rehearsal import Rehearsal

TOKEN = "0123456789abcdef"
MESSAGE = f"Subject: hello\r\nX-Lab-Token: {TOKEN}\r\n\r\n..dots\r\nlab-token:{TOKEN}\r\n.\r\n".encode()
ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"

#: A genuine ClientHello's beginning is made where it is needed; this is what an unfinished one looks like.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Receiver:
    """A small honest receiver: one reply for each command, in the order they arrive."""

    def __init__(self, offers: Iterable[str]) -> None:
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.greeting = b"220 mx1.domain.example ESMTP\r\n"
        self._offers = tuple(offers)
        self._unread = b""
        self._in_data = False

    def hear(self, octets: bytes) -> bytes:
        self._unread += octets
        said = b""
        while True:
            mark = b"\r\n.\r\n" if self._in_data else b"\r\n"
            head, found, rest = self._unread.partition(mark)
            if not found:
                return said
            self._unread = rest
            said += self._message(head + mark) if self._in_data else self._command(head.decode("latin-1"))

    def _message(self, message: bytes) -> bytes:
        self.messages.append(message)
        self._in_data = False
        return b"250 2.0.0 accepted\r\n"

    def _command(self, line: str) -> bytes:
        self.commands.append(line)
        verb = line.split(" ", maxsplit=1)[0].upper()
        if verb == "EHLO":
            lines = ["mx1.domain.example", *self._offers]
            return b"".join(f"250{'-' if line is not lines[-1] else ' '}{line}\r\n".encode() for line in lines)
        if verb == "DATA":
            self._in_data = True
            return b"354 go on\r\n"
        return {"STARTTLS": b"220 2.0.0 Ready to start TLS\r\n", "QUIT": b"221 2.0.0 Bye\r\n"}.get(
            verb, b"250 2.0.0 OK\r\n"
        )


class Dialogue:
    """An attack in rehearsal between a sender, who is the test, and an honest receiver."""

    def __init__(
        self,
        attack: SmtpAttack,
        offers: Iterable[str] = ("SIZE 1000", "STARTTLS", "HELP"),
        cuts: Iterable[int] = (1 << 20,),
        **parameters: str | int,
    ) -> None:
        given = complete(attack.form, parameters)
        self.stage = Rehearsal(attack.form.name, lambda session: attack.play(session, given))
        self.receiver = Receiver(offers)
        self._cuts = cycle(list(cuts))
        self._heard = 0
        self._hear(Side.RECEIVER, self.receiver.greeting)

    def say(self, octets: bytes) -> bytes:
        """Let the sender say something; return what it is told in return."""
        before = len(self.told)
        self._hear(Side.SENDER, octets)
        return self.told[before:]

    def _hear(self, side: Side, octets: bytes) -> None:
        while octets:
            size = next(self._cuts)
            self.stage.hear(side, octets[:size])
            octets = octets[size:]
            self._let_receiver_answer()

    def _let_receiver_answer(self) -> None:
        passed_on = self.stage.said[Side.RECEIVER][self._heard :]
        self._heard += len(passed_on)
        if passed_on:
            self._hear(Side.RECEIVER, self.receiver.hear(passed_on))

    @property
    def told(self) -> bytes:
        """Everything the sender was told so far."""
        return self.stage.said[Side.SENDER]

    @property
    def segments(self) -> list[bytes]:
        """What the sender was told, segment by segment."""
        return [done.octets for done in self.stage.done if isinstance(done, Send) and done.side is Side.SENDER]

    def facts(self, kind: type[AnyFact]) -> list[AnyFact]:
        """What was recorded of one kind."""
        return [fact for fact in self.stage.facts if isinstance(fact, kind)]

    @property
    def fired(self) -> list[str]:
        """The details of the attack's firing."""
        return [fact.detail for fact in self.stage.facts if isinstance(fact, AttackFired)]

    @property
    def altered(self) -> list[tuple[str, str]]:
        """The lines that show the attacker's hand: what was said, and instead of what."""
        return [
            (fact.line, fact.instead_of) for fact in self.stage.facts if isinstance(fact, SmtpSaid) and fact.altered
        ]

    @property
    def tokens(self) -> list[tuple[str, bool]]:
        """The canaries that the attacker read, and whether they were inside TLS."""
        return [(fact.token, fact.secured) for fact in self.stage.facts if isinstance(fact, TokenRead)]

    def deliver(self) -> None:
        """Send an envelope and a message, pipelined as far as SMTP allows, and leave."""
        assert b"354" in self.say(ENVELOPE)
        self.say(MESSAGE + b"QUIT\r\n")


def client_hello(server_name: str = "mx1.domain.example") -> bytes:
    """Return a genuine ClientHello of this Python's TLS library."""
    import ssl

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = context.wrap_bio(incoming, outgoing, server_hostname=server_name or None)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
