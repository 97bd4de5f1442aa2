"""What is known of each connection while events are read in order: who stands at its ends, and whether TLS is up."""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts_lab.events import (
    AttackFired,
    ConnectionAccepted,
    ConnectionDenied,
    Event,
    MessageAccepted,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
    TokenRead,
)

_SERVERS = {
    "": "mx",
    "mx": "mx",
    "policy-host": "policy",
    "report-host": "report",
    "report-mx": "report mx",
    "sender-mx": "own mx",
}


@dataclass(slots=True)
class Session:
    """One TCP connection. `role` and the rest are as in `ConnectionAccepted`; empty where that was not recorded."""

    role: str = ""
    host: str = ""
    address: str = ""
    port: int = 0
    #: The session in front of this one, when the attacker made this connection to pass things on.
    via: str = ""
    #: Whether the record shows the attacker's hand on it: a leg behind it, a line of its own, or an attack that fired.
    interposed: bool = False
    secured: bool = False
    certificate: str = ""
    shown_by: str = ""
    #: Whether an outsider could read a message on it, in clear.
    read_in_clear: bool = False
    #: Whether the receiver has told the sender to go on with the message (354), or the sender sent it in chunks.
    in_data: bool = False

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
        if self.role == "attacker-mx":
            return "attacker"
        if self.interposed:
            return "attacker"
        return _SERVERS.get(self.role, "host")


class Sessions:
    """Follows every connection of a case (or of a whole run: sessions are unique in it)."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def of(self, session: str) -> Session:
        """Return what is known of a session, which is little if its connection was never recorded."""
        return self._sessions.setdefault(session, Session())

    def follow(self, event: Event) -> None:
        """Take an event in, after which `of` says how things stand once it has happened."""
        match event.fact:
            case ConnectionAccepted() as fact:
                session = self.of(fact.session)
                session.role, session.host, session.via = fact.role, fact.host, fact.via
                session.address, session.port = fact.address, fact.port
                if fact.via:
                    self.of(fact.via).interposed = True
            case ConnectionDenied() as fact:
                session = self.of(fact.session)
                session.role, session.host = fact.role, fact.host
                session.address, session.port = fact.address, fact.port
            case AttackFired(session=name) if name:
                self.of(name).interposed = True
            case SmtpSaid() as fact:
                self._follow_line(fact)
            case TokenRead(secured=False) as fact:
                self.of(fact.session).read_in_clear = True
            case TlsFailed(session=name):
                self.of(name).secured = False
            case TlsEstablished() as fact:
                session = self.of(fact.session)
                session.secured, session.certificate, session.shown_by = True, fact.certificate, fact.shown_by
            case _:
                pass

    def protection(self, fact: MessageAccepted) -> str:
        """Say what protected a message that was accepted, on the target's own leg of the way.

        Where an attacker stands in between, he may have passed TLS on as it came, and then he read nothing.
        """
        front = self.of(fact.via) if fact.via else self.of(fact.session)
        if not fact.secured or front.read_in_clear:
            return "in clear"
        if fact.role == "attacker-mx" or (fact.via and front.secured):
            return "inside TLS that ends at the attacker"
        return "inside TLS"

    def _follow_line(self, fact: SmtpSaid) -> None:
        session = self.of(fact.session)
        if fact.speaker == "attacker" or fact.altered:
            session.interposed = True
        words = fact.line.upper()
        if fact.speaker == "sender" and words.startswith(("MAIL", "RSET", "EHLO", "HELO")):
            session.in_data = False
        elif words.startswith("354") if fact.speaker != "sender" else words.startswith("BDAT"):
            session.in_data = True
