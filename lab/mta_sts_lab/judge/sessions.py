"""The sessions of a record: the two ends of each TCP connection, its TLS, and its SMTP dialogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mta_sts_lab.events import (
    AttackFired,
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    Event,
    SmtpSaid,
    StepBegan,
    TlsEstablished,
    TlsFailed,
)

#: What the server of a connection is called, by its role.
_SERVERS = {
    "": "mx",
    "mx": "mx",
    "attacker-mx": "attacker",
    "policy-host": "policy",
    "plain-policy-host": "policy",
    "parent-policy-host": "parent",
    "recipient-policy-host": "recipient",
    "revocation-host": "authority",
    "report-host": "report",
    "report-mx": "report mx",
    "sender-mx": "own mx",
}


@dataclass(slots=True)
class Session:
    """One TCP connection. `role` and the like are as in `ConnectionAccepted`; empty where that was not recorded."""

    name: str = ""
    accepted: ConnectionAccepted | None = None
    #: The step in whose world it was opened. Between two steps that is the earlier one, although its events count to
    #: the later: the world is changed when nothing of the earlier step is cached any more.
    step: str = ""
    role: str = ""
    host: str = ""
    address: str = ""
    port: int = 0
    #: The session in front of this one, if the attacker made this connection to pass things on.
    via: str = ""
    #: The connections that the attacker made behind this one.
    legs: list[Session] = field(default_factory=list)
    #: When it ended, in seconds since the run began. A connection that was denied ended at once.
    ended: float | None = None
    #: Whether it was not served: refused, reset or stalled.
    denied: bool = False
    #: The first handshake that finished on the lab's side, and the last failure or alert: a client may reject a
    #: certificate after the handshake (RFC 8446, section 4.4.2.4).
    established: TlsEstablished | None = None
    failed: TlsFailed | None = None
    #: Whether TLS is up.
    secured: bool = False
    #: Whether the record shows the attacker on it: a leg behind it, a line of its own, or an attack that fired.
    interposed: bool = False
    #: Whether the server has told the sender to go on with the message (354), or the sender sent it in chunks.
    in_data: bool = False
    lines: list[SmtpSaid] = field(default_factory=list)

    @property
    def behind(self) -> bool:
        """Whether this is the leg behind an attacker."""
        return bool(self.via)

    @property
    def client(self) -> str:
        """Who opened the connection, in one word."""
        return "attacker" if self.via else "sender"

    @property
    def server(self) -> str:
        """Who answers on it, in one word."""
        return "attacker" if self.interposed else _SERVERS.get(self.role, "host")

    def sender_said(self, *verbs: str) -> bool:
        """Whether its client said a line that begins with one of some SMTP verbs."""
        return any(one.speaker == "sender" and one.line.upper().startswith(verbs) for one in self.lines)


class Sessions:
    """Follows every connection of a case, or of a whole run: the name of a session is unique in a run."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._sessions: dict[str, Session] = {}
        #: The step that began last, of each case.
        self._begun: dict[str, str] = {}
        for event in events:
            self.follow(event)

    def of(self, name: str) -> Session:
        """Return a session by name; an empty one if it is not in the record."""
        if name not in self._sessions:
            self._sessions[name] = Session(name)
        return self._sessions[name]

    def follow(self, event: Event) -> None:
        """Take the next event in."""
        match event.fact:
            case StepBegan():
                self._begun[event.case] = event.step
            case ConnectionAccepted() as fact:
                session = self.of(fact.session)
                session.step = self._begun.get(event.case, event.step)
                session.accepted, session.role, session.host, session.via = fact, fact.role, fact.host, fact.via
                session.address, session.port = fact.address, fact.port
                if fact.via:
                    self.of(fact.via).interposed = True
                    self.of(fact.via).legs.append(session)
            case ConnectionDenied() as fact:
                session = self.of(fact.session)
                session.role, session.host, session.ended, session.denied = fact.role, fact.host, event.at, True
                session.address, session.port = fact.address, fact.port
            case ConnectionClosed(session=name):
                self.of(name).ended = event.at
            case AttackFired(session=name) if name:
                self.of(name).interposed = True
            case SmtpSaid() as fact:
                self._follow_line(fact)
            case TlsFailed() as fact:
                session = self.of(fact.session)
                session.failed, session.secured = fact, False
            case TlsEstablished() as fact:
                session = self.of(fact.session)
                session.established, session.secured = session.established or fact, True
            case _:
                pass

    def _follow_line(self, fact: SmtpSaid) -> None:
        session = self.of(fact.session)
        session.lines.append(fact)
        if fact.speaker == "attacker" or fact.altered:
            session.interposed = True
        line = fact.line.upper()
        if fact.speaker == "sender" and line.startswith(("MAIL", "RSET", "EHLO", "HELO")):
            session.in_data = False
        elif line.startswith("354") if fact.speaker != "sender" else line.startswith("BDAT"):
            session.in_data = True
