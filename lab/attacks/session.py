"""The attacker's side of an SMTP session, without any socket: what a script can read, say, pass on and start.

A script is a generator. It yields instructions to whoever plays it (`interpose` on real connections, `rehearsal` in
tests) and is resumed with what came of them; when it returns, both connections are closed. `Session` is the
vocabulary that scripts are written in, and keeps the record: every line the target says or is told is witnessed as it
goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from lab.attacks.smtp import Command, LineBuffer, MessageEnd, NotSmtp, Reply, TokenScanner, reply
from lab.attacks.tls_wire import ClientHello, NotTls, looks_like_tls, parse_client_hello
from lab.events import AnyFact, AttackFired, ClientHelloSeen, SmtpSaid, TokenRead

#: Octets of what a target sends after an attack is over that are kept for a look at them.
_LAST_WORDS = 64


class Side(StrEnum):
    """One of the two connections: to the target that sends, or to the genuine host that receives."""

    SENDER = "sender"
    RECEIVER = "receiver"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.RECEIVER if self is Side.SENDER else Side.SENDER


@dataclass(frozen=True, slots=True)
class Shown:
    """The TLS server that the attacker plays for the sender.

    `certificate` is the variant he shows, for the genuine host's name. `only_version` is "1.0" or "1.1", or empty for
    whatever the sender likes best. `detail` describes the tampering, which takes effect when the certificate goes out
    or, with `fires_on_answer`, with anything that answers the ClientHello.
    """

    certificate: str
    detail: str
    only_version: str = ""
    fires_on_answer: bool = False


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for either side. Answered with `Arrived`."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Octets from a side; none at all means that it sends no more."""

    side: Side
    octets: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Say something to a side."""

    side: Side
    octets: bytes


@dataclass(frozen=True, slots=True)
class SecureSender:
    """End the sender's TLS here. `leftover` is what it has sent already.

    The script is resumed when the handshake is finished, and never if it fails.
    """

    shown: Shown
    leftover: bytes


@dataclass(frozen=True, slots=True)
class SecureReceiver:
    """Start TLS with the receiver. `leftover` is what it has sent already."""

    leftover: bytes


@dataclass(frozen=True, slots=True)
class FinishSending:
    """Tell a side that nothing more will come, and go on listening to it."""

    side: Side


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the sender's connection with a TCP reset."""


Instruction: TypeAlias = Receive | Send | SecureSender | SecureReceiver | FinishSending | Reset
_Result = TypeVar("_Result")

#: A piece of a script. What an instruction is answered with depends on the instruction, hence `Any`.
Steps: TypeAlias = Generator[Instruction, Any, _Result]
Script: TypeAlias = Steps[None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a reply on its way to the sender. Nothing `said` is a line removed; `altered`: by the attacker."""

    said: str
    altered: bool = False
    instead_of: str = ""


#: What an attack makes of a genuine reply.
Edit: TypeAlias = Callable[[Reply], Iterable[Line]]


def untouched(genuine: Reply) -> list[Line]:
    """Return the lines of a reply as they are."""
    return [Line(line) for line in genuine.lines]


def _punctuate(lines: list[Line]) -> list[Line]:
    """Put a space behind the code of the last line that is said, a hyphen behind every other (RFC 5321, 4.2.1)."""
    last = max((number for number, line in enumerate(lines) if line.said), default=-1)
    return [
        replace(line, said=line.said[:3] + (" " if number == last else "-") + line.said[4:])
        if len(line.said) > 3
        else line
        for number, line in enumerate(lines)
    ]


class Session:
    """A session between a sender and a receiver, with an attacker in between who plays a script.

    `number` is the session on the target's side, `host` the genuine host's name, and `witness` takes what is to go on
    record. `secured` says whether the target has TLS up, with this attacker at its other end.
    """

    def __init__(self, attack: str, number: str, host: str, witness: Callable[[AnyFact], None]) -> None:
        self.attack = attack
        self.number = number
        self.host = host
        self.secured = False
        self.fired = False
        self.witness = witness
        self._from = {side: LineBuffer() for side in Side}
        self._ended: set[Side] = set()
        self._tokens = TokenScanner()

    # -- the record

    def fire(self, detail: str) -> None:
        """Witness, once a session, that the tampering goes out on the wire now."""
        if not self.fired:
            self.fired = True
            self.witness(AttackFired(attack=self.attack, channel="smtp", detail=detail, session=self.number))

    def saw_hello(self, hello: ClientHello) -> None:
        """Witness the target's ClientHello."""
        self.witness(ClientHelloSeen(session=self.number, sni=hello.sni))

    def _said(self, speaker: str, line: Line) -> None:
        self.witness(
            SmtpSaid(
                session=self.number,
                speaker=speaker,
                line=line.said,
                secured=self.secured,
                altered=line.altered,
                instead_of=line.instead_of,
            )
        )

    def _scan(self, octets: bytes) -> None:
        for token in self._tokens.feed(octets):
            self.witness(TokenRead(session=self.number, token=token, secured=self.secured, reader="attacker"))

    # -- reading

    def _receive(self) -> Steps[None]:
        arrived: Arrived = yield Receive()
        if arrived.octets:
            self._from[arrived.side].feed(arrived.octets)
        else:
            self._ended.add(arrived.side)

    def read_command(self) -> Steps[Command | None]:
        """Return the sender's next line, or None when there is none to come.

        What the receiver says unasked meanwhile (a 421) is passed on. A ClientHello where a command belongs is
        witnessed and ends the dialogue: the sender has begun TLS without being told to.
        """
        sender, receiver = self._from[Side.SENDER], self._from[Side.RECEIVER]
        while True:
            if not self.secured and looks_like_tls(sender.peek()):
                yield from self.read_client_hello()
                return None
            try:
                raw = sender.take_line()
            except NotSmtp:
                yield from self.speak(reply(500, "5.5.2 Line too long"))
                return None
            if raw is not None:
                command = Command(raw)
                self._said("sender", Line(command.text))
                return command
            unasked = receiver.take_reply()
            if unasked is not None:
                yield from self.answer(untouched(unasked))
            elif self._ended:
                return None
            else:
                yield from self._receive()

    def read_reply(self) -> Steps[Reply | None]:
        """Return the receiver's next reply, whole, or None when there is none to come."""
        while True:
            genuine = self._from[Side.RECEIVER].take_reply()
            if genuine is not None or Side.RECEIVER in self._ended:
                return genuine
            yield from self._receive()

    def read_client_hello(self) -> Steps[ClientHello | None]:
        """Return the sender's ClientHello once it is whole, or None if something else comes, or nothing more."""
        sender = self._from[Side.SENDER]
        while True:
            try:
                hello = parse_client_hello(sender.peek())
            except NotTls:
                return None
            if hello is not None:
                sender.take_all()
                self.saw_hello(hello)
                return hello
            if Side.SENDER in self._ended:
                return None
            yield from self._receive()

    def handshake_follows(self) -> Steps[bool]:
        """Wait for what the sender sends next, and tell whether it can be the beginning of a TLS handshake."""
        sender = self._from[Side.SENDER]
        while not sender.peek() and Side.SENDER not in self._ended:
            yield from self._receive()
        return looks_like_tls(sender.peek())

    def read_last_words(self) -> Steps[bytes]:
        """Wait until the sender sends no more; return the first octets of what still came."""
        words = b""
        while True:
            words = (words + self._from[Side.SENDER].take_all())[:_LAST_WORDS]
            if Side.SENDER in self._ended:
                return words
            yield from self._receive()

    # -- saying

    def answer(self, lines: Iterable[Line], detail: str = "") -> Steps[None]:
        """Give the sender a reply, line by line as it was made of the receiver's. A touched one fires with `detail`.

        Which line is the last may change with a removal; the hyphen or space behind the code follows, and does not
        count as the attacker's hand.
        """
        lines = _punctuate(list(lines))
        if detail and any(line.altered for line in lines):
            self.fire(detail)
        for line in lines:
            self._said("attacker" if line.altered else "mx", line)
        yield Send(Side.SENDER, b"".join(line.said.encode("latin-1") + b"\r\n" for line in lines if line.said))

    def speak(self, own: Reply, instead_of: str = "", detail: str = "") -> Steps[None]:
        """Give the sender a reply of the attacker's own."""
        yield from self.answer([Line(line, altered=True, instead_of=instead_of) for line in own.lines], detail)

    def answer_with_more(self, genuine: Reply, forged: Iterable[Reply], detail: str) -> Steps[None]:
        """Give the sender a genuine reply with forged ones behind it, in one segment."""
        self.fire(detail)
        for line in genuine.lines:
            self._said("mx", Line(line))
        segment = genuine.raw
        for more in forged:
            for line in more.lines:
                self._said("attacker", Line(line, altered=True))
            segment += more.raw
        yield Send(Side.SENDER, segment)

    def say_raw(self, octets: bytes, detail: str) -> Steps[None]:
        """Send the sender octets that are no SMTP."""
        self.fire(detail)
        yield Send(Side.SENDER, octets)

    def finish_sending(self) -> Steps[None]:
        """Let the sender see the end of the connection, and go on listening."""
        yield FinishSending(Side.SENDER)

    def reset(self) -> Steps[None]:
        """Break the sender's connection."""
        yield Reset()

    # -- passing on

    def relay_greeting(self) -> Steps[Reply | None]:
        """Pass the receiver's greeting on."""
        greeting = yield from self.read_reply()
        if greeting is not None:
            yield from self.answer(untouched(greeting))
        return greeting

    def ask(self, command: Command) -> Steps[Reply | None]:
        """Pass a command to the receiver and return its reply, of which the sender has not heard yet."""
        yield Send(Side.RECEIVER, command.raw)
        return (yield from self.read_reply())

    def relay(self, command: Command, edit: Edit = untouched, detail: str = "") -> Steps[Reply | None]:
        """Pass a command on, and its reply back as `edit` leaves it; after a 354 to DATA the message too.

        Pipelined commands wait their turn, so the receiver sees one at a time; the sender cannot tell.
        """
        genuine = yield from self.ask(command)
        if genuine is None:
            return None
        yield from self.answer(edit(genuine), detail)
        if command.verb == "DATA" and genuine.code == "354":
            return (yield from self._relay_message())
        return genuine

    def _relay_message(self) -> Steps[Reply | None]:
        sender, receiver = self._from[Side.SENDER], self._from[Side.RECEIVER]
        end, early, done = MessageEnd(), None, None
        while done is None:
            octets = sender.take_all()
            if octets:
                done = end.take(octets)
                message = octets if done is None else done[0]
                self._scan(message)
                yield Send(Side.RECEIVER, message)
            elif (genuine := receiver.take_reply()) is not None:
                early = genuine
                yield from self.answer(untouched(genuine))
            elif self._ended:
                return None
            else:
                yield from self._receive()
        sender.feed(done[1])
        self._said("sender", Line("."))
        if early is not None:
            return early
        verdict = yield from self.read_reply()
        if verdict is not None:
            yield from self.answer(untouched(verdict))
        return verdict

    def relay_to_the_end(self) -> Steps[None]:
        """Pass everything on, line by line, until one side ends."""
        while (command := (yield from self.read_command())) is not None:
            if (yield from self.relay(command)) is None:
                return

    def pipe(self) -> Steps[None]:
        """Pass octets on as they come (somebody else's TLS) until one side ends. A ClientHello is witnessed."""
        beginning: bytes | None = b""
        while True:
            for side in Side:
                octets = self._from[side].take_all()
                if octets and side is Side.SENDER:
                    self._scan(octets)
                    beginning = self._watch_for_hello(beginning, octets)
                if octets:
                    yield Send(side.other, octets)
            if self._ended:
                return
            yield from self._receive()

    def _watch_for_hello(self, beginning: bytes | None, octets: bytes) -> bytes | None:
        """Return what is to be looked at together with the next octets; None once there is nothing to look for."""
        if beginning is None:
            return None
        try:
            hello = parse_client_hello(beginning + octets)
        except NotTls:
            return None
        if hello is None:
            return beginning + octets
        self.saw_hello(hello)
        return None

    # -- TLS

    def end_tls(self, shown: Shown) -> Steps[None]:
        """Play the TLS server for the sender. From here on everything with it is inside TLS that ends here."""
        yield SecureSender(shown, self._from[Side.SENDER].take_all())
        self.secured = True

    def start_tls(self) -> Steps[None]:
        """Start TLS with the receiver, as its client."""
        yield SecureReceiver(self._from[Side.RECEIVER].take_all())
