"""What the attackers that keep a session in clear text have in common."""

from __future__ import annotations

from mta_sts_lab.attacks.edits import Edit, untouched
from mta_sts_lab.attacks.instructions import Steps
from mta_sts_lab.attacks.session import Session
from mta_sts_lab.attacks.smtp import Command, Reply, keyword, reply

#: What a host without STARTTLS answers to it (RFC 5321, section 4.2.4).
NOT_IMPLEMENTED = reply(502, "5.5.1 Command not implemented")


def offers_starttls(genuine: Reply) -> bool:
    """Whether an EHLO reply offers STARTTLS (RFC 3207, section 4)."""
    return genuine.code == "250" and any(keyword(line) == "STARTTLS" for line in genuine.lines[1:])


def relay_in_clear(session: Session, edit: Edit = untouched, detail: str = "") -> Steps[None]:
    """Relay a session to its end, with EHLO replies edited.

    A sender may send STARTTLS although nobody offered it (it remembers, or it always tries). It gets a 502:
    the receiver must not hear of it, for its 220 would let TLS through.
    """
    yield from session.relay_greeting()
    yield from relay_commands_in_clear(session, edit, detail)


def relay_commands_in_clear(session: Session, edit: Edit = untouched, detail: str = "") -> Steps[None]:
    """The same from behind the greeting."""
    while (command := (yield from session.read_command())) is not None:
        if (yield from relay_one_in_clear(session, command, edit, detail)) is None:
            return


def relay_one_in_clear(session: Session, command: Command, edit: Edit, detail: str) -> Steps[Reply | None]:
    """Relay one command, without STARTTLS; return the reply, or None when the session is over."""
    if command.verb == "STARTTLS":
        yield from session.speak(NOT_IMPLEMENTED)
        return NOT_IMPLEMENTED
    if command.verb == "EHLO":
        return (yield from session.relay(command, edit, detail))
    return (yield from session.relay(command))
