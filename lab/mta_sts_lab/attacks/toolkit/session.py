"""The attacker's side of an SMTP session, without any socket: the functions that scripts are written with.

A script yields instructions to whoever plays it (`interpose` on real connections, `rehearsal` in tests). `Session` is
the API of scripts. It also keeps the record: every line that the target sends or gets is recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from mta_sts_lab.attacks.toolkit.cleartext_monitor import ClearLines, ClearTextFinder
from mta_sts_lab.attacks.toolkit.instructions import (
    Arrived,
    FinishSending,
    LeaveTls,
    Receive,
    Script,
    SecureReceiver,
    SecureSender,
    Send,
    Shown,
    Side,
    Steps,
)
from mta_sts_lab.attacks.toolkit.smtp import (
    Command,
    Edit,
    Line,
    LineBuffer,
    MessageEnd,
    NotSmtp,
    Reply,
    TokenScanner,
    as_text,
    punctuate,
    reply,
    untouched,
)
from mta_sts_lab.events import (
    MOST_READ,
    AnyFact,
    AttackFired,
    ClientHelloSeen,
    MessageRead,
    SmtpSaid,
    TlsFailed,
    TokenRead,
)
from mta_sts_lab.rfc.client_hello import ClientHello, NotTls, looks_like_tls, parse_client_hello

#: Lines in clear that are answered where TLS belongs. Enough for any dialogue; the lines of a message that follows
#: unasked are heard all the same, and need no thousand replies that nobody reads.
_MOST_ANSWERS = 100


def fire_once(
    record: Callable[[AttackFired], object], attack: str, channel: str, session: str = ""
) -> Callable[[str], None]:
    """Return a function that records at its first call, with a detail, that the attack took effect."""
    fired: list[str] = []

    def fire(detail: str) -> None:
        if not fired:
            fired.append(detail)
            record(AttackFired(attack=attack, channel=channel, detail=detail, session=session))

    return fire


def _as_it_is(line: Line) -> Line:
    """Return a line that is only said to be altered as the unaltered one it is."""
    same = line.said[:3] + line.said[4:] == line.instead_of[:3] + line.instead_of[4:]
    return Line(line.said) if line.altered and line.instead_of and same else line


class Session:
    """A session between a sender and a receiver, with an attacker in between who plays a script.

    `number` is the session on the target's side, `host` the genuine host's name, and `record` takes what is to go on
    record. `fire` records, once a session, that the tampering goes out on the wire now. `secured` says whether the
    target has TLS up, with this attacker at its other end.
    """

    def __init__(self, attack: str, number: str, host: str, record: Callable[[AnyFact], None]) -> None:
        self.attack = attack
        self.number = number
        self.host = host
        self.secured = False
        self.record = record
        self.fire = fire_once(record, attack, "smtp", number)
        self._from = {side: LineBuffer() for side in Side}
        self._ended: set[Side] = set()
        self._tokens = {secured: TokenScanner() for secured in (False, True)}
        self._clear_text = ClearTextFinder()
        self._clear_lines = ClearLines()
        self._unanswered: deque[Command] = deque()

    def whole(self, script: Script) -> Script:
        """Play a script. Everything that the sender said is recorded, however the script ends."""
        try:
            yield from script
        finally:
            self._record_the_rest()

    # -- the record

    def take_from_wire(self, octets: bytes) -> None:
        """Take octets that the sender sent while TLS with it is up or beginning.

        TLS records are somebody else's; clear text behind a failed handshake, or behind TLS, is read and recorded.
        """
        clear = self._listen(octets)
        self._scan(clear, secured=False)

    def _listen(self, octets: bytes) -> bytes:
        """Record clear text, line by line. The caller searches it for canaries."""
        clear = self._clear_text.feed(octets)
        for line in self._clear_lines.feed(clear):
            self._said("sender", Line(line), secured=False)
            self._unanswered.append(Command(line.encode("latin-1")))
        return clear

    def _record_the_rest(self) -> None:
        """Record the sender's unread lines, and a last one without an end."""
        rest = self._from[Side.SENDER].take_all()
        if self.secured:
            for raw in rest.splitlines():
                self._said("sender", Line(as_text(raw)))
        else:
            self._listen(rest)
        for line in self._clear_lines.end():
            self._said("sender", Line(line), secured=False)
        for secured, scanner in self._tokens.items():
            self._record_tokens(scanner.end(), secured)

    def _said(self, speaker: str, line: Line, secured: bool | None = None) -> None:
        self.record(
            SmtpSaid(
                session=self.number,
                speaker=speaker,
                line=line.said,
                secured=self.secured if secured is None else secured,
                altered=line.altered,
                instead_of=line.instead_of,
            )
        )

    def _scan(self, octets: bytes, secured: bool) -> None:
        self._record_tokens(self._tokens[secured].feed(octets), secured)

    def _record_tokens(self, tokens: Iterable[str], secured: bool) -> None:
        for token in tokens:
            self.record(TokenRead(session=self.number, token=token, secured=secured, reader="attacker"))

    # -- reading

    def _receive(self) -> Steps[None]:
        arrived: Arrived = yield Receive()
        if arrived.octets:
            self._from[arrived.side].feed(arrived.octets)
            if arrived.side is Side.SENDER:
                # Whatever becomes of them: who stands on the path has read them now.
                self._scan(arrived.octets, self.secured)
        else:
            self._ended.add(arrived.side)

    def read_command(self) -> Steps[Command | None]:
        """Return the sender's next line, or None when there is none to come.

        What the receiver says unasked meanwhile (a 421) is passed on. A ClientHello where a command belongs is
        recorded and ends the dialogue: the sender has begun TLS without a 220.
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
        """Return the sender's ClientHello once it is whole, or None if something else comes, or nothing more.

        What is no TLS, instead of it or behind it, is recorded as said in clear.
        """
        sender = self._from[Side.SENDER]
        while True:
            try:
                hello = parse_client_hello(sender.peek())
            except NotTls:
                self._listen(sender.take_all())
                return None
            if hello is not None:
                self._hello_seen(hello)
                self._listen(sender.take_all())
                return hello
            if Side.SENDER in self._ended:
                return None
            yield from self._receive()

    def _hello_seen(self, hello: ClientHello) -> None:
        fact = ClientHelloSeen(session=self.number, sni=hello.sni, version=hello.version, more_names=hello.more_names)
        self.record(fact)

    def handshake_follows(self) -> Steps[bool]:
        """Wait for the sender's next octets; return whether they can begin a TLS handshake."""
        sender = self._from[Side.SENDER]
        while not sender.peek() and Side.SENDER not in self._ended:
            yield from self._receive()
        return looks_like_tls(sender.peek())

    def listen_to_the_end(self, answers: int = _MOST_ANSWERS, record_alerts: bool = False) -> Steps[None]:
        """Listen to a sender that should use TLS until it leaves: its clear text is recorded and answered with 503.

        It is answered so that a sender that waits for replies is seen going on. TLS records are passed over;
        unencrypted alerts among them are recorded if nobody else does it.
        """
        sender = self._from[Side.SENDER]
        while True:
            self._listen(sender.take_all())
            while record_alerts and self._clear_text.alerts:
                self.record(TlsFailed(session=self.number, alert=self._clear_text.alerts.pop(0)))
            while self._unanswered:
                command = self._unanswered.popleft()
                if answers and command.verb == "QUIT":
                    yield from self.speak(reply(221, "2.0.0 Bye"))
                    return
                if answers:
                    answers -= 1
                    yield from self.speak(reply(503, "5.5.1 TLS was to be started"))
            if Side.SENDER in self._ended or self._clear_lines.full:
                return
            yield from self._receive()

    # -- saying

    def answer(self, lines: Iterable[Line], detail: str = "") -> Steps[None]:
        """Give the sender a reply, line by line as it was made of the receiver's. A touched one fires with `detail`.

        Which line is the last may change with a removal; the hyphen or space behind the code follows, and does not
        count as the attacker's hand.
        """
        lines = [_as_it_is(line) for line in punctuate(list(lines))]
        if detail and any(line.altered for line in lines):
            self.fire(detail)
        for line in lines:
            self._said("attacker" if line.altered else "mx", line)
        yield Send(Side.SENDER, b"".join(line.said.encode("latin-1") + b"\r\n" for line in lines if line.said))

    def speak(self, own: Reply, instead_of: str = "", detail: str = "") -> Steps[None]:
        """Send a reply of the attacker to the sender."""
        yield from self.answer([Line(line, altered=True, instead_of=instead_of) for line in own.lines], detail)

    def answer_with_more(
        self, genuine: Reply, forged: Iterable[Reply], detail: str, *, ended: bool = True
    ) -> Steps[None]:
        """Send a genuine reply with forged ones behind it to the sender, in one segment.

        If they are not `ended`, the last line has no line end.
        """
        forged = list(forged)
        if forged:
            self.fire(detail)
        for line in genuine.lines:
            self._said("mx", Line(line))
        segment = genuine.raw
        for more in forged:
            for line in more.lines:
                self._said("attacker", Line(line, altered=True))
            segment += more.raw
        yield Send(Side.SENDER, segment if ended else segment.removesuffix(b"\r\n"))

    def say_raw(self, octets: bytes, detail: str) -> Steps[None]:
        """Send the sender octets that are no SMTP."""
        if octets:
            self.fire(detail)
        yield Send(Side.SENDER, octets)

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

        Pipelined commands are passed on one at a time, which the sender does not notice.
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
        read, length = b"", 0
        while done is None:
            octets = sender.take_all()
            if octets:
                done = end.take(octets)
                message = octets if done is None else done[0]
                read, length = (read + message)[:MOST_READ], length + len(message)
                yield Send(Side.RECEIVER, message)
            elif (genuine := receiver.take_reply()) is not None:
                early = genuine
                yield from self.answer(untouched(genuine))
            elif self._ended:
                return None
            else:
                yield from self._receive()
        sender.feed(done[1])
        length -= len(b".\r\n")
        text = read[:length].decode("latin-1")
        self.record(MessageRead(session=self.number, text=text, octets=length, secured=self.secured, reader="attacker"))
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
        """Pass octets on as they come (somebody else's TLS) until the sender ends. A ClientHello is recorded.

        What the sender says outside of TLS records is recorded, also when the receiver has already hung up.
        """
        beginning: bytes | None = b""
        while True:
            for side in Side:
                octets = self._from[side].take_all()
                if octets and side is Side.SENDER:
                    self._listen(octets)
                    beginning = self._watch_for_hello(beginning, octets)
                if octets:
                    yield Send(side.other, octets)
            if Side.RECEIVER in self._ended:
                yield FinishSending(Side.SENDER)
                yield from self.listen_to_the_end(answers=0)
                return
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
        self._hello_seen(hello)
        return None

    # -- TLS

    def end_tls(self, shown: Shown) -> Steps[bool]:
        """Play the TLS server for the sender; return whether the handshake was finished.

        From then on everything with it is inside TLS that ends here. Otherwise it is in clear, and to be listened to.
        """
        self.secured = yield SecureSender(shown, self._from[Side.SENDER].take_all())
        return self.secured

    def start_tls(self) -> Steps[None]:
        """Start TLS with the receiver, as its client."""
        yield SecureReceiver(self._from[Side.RECEIVER].take_all())

    def listen_behind_tls(self) -> Steps[None]:
        """If it was the sender that ended TLS, hear what it may say in clear on the same connection."""
        if Side.SENDER in self._ended:
            self._record_the_rest()
            yield LeaveTls()
            self.secured = False
            self._ended.discard(Side.SENDER)
            yield from self.listen_to_the_end()
