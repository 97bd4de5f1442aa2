"""forge_extension: the EHLO reply in clear offers an extension that the receiver does not have.

On the wire: the reply to EHLO gets one more line, DSN (RFC 3461); everything else passes untouched, the TLS behind
STARTTLS too. The receiver does not know DSN and refuses its parameters.

What it proves: whether the sender forgets what it was offered in clear text once TLS is up (RFC 3207, section 4.2). One
that does not says RCPT TO with NOTIFY inside TLS, where nobody offered it, and is refused.

A careful sender says EHLO again inside TLS, uses what is offered there, and delivers.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.smtp import Line, Reply, untouched

_OFFER = "250-DSN"


@smtp_attack("adds DSN to the reply to EHLO in clear, then lets TLS through")
def forge_extension(session: Session, parameters: Parameters) -> Script:
    """Relay, with one more extension offered in clear, and let the TLS behind it through."""
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        offered = command.verb == "EHLO"
        detail = "added DSN to the reply to EHLO" if offered else ""
        genuine = yield from session.relay(command, _with_offer if offered else untouched, detail)
        if genuine is None:
            return
        if command.verb == "STARTTLS" and genuine.code == "220":
            if (yield from session.handshake_follows()):
                yield from session.pipe()
            else:
                yield from session.listen_to_the_end()
            return


def _with_offer(genuine: Reply) -> list[Line]:
    lines = untouched(genuine)
    return lines if genuine.code != "250" or len(lines) < 2 else [lines[0], Line(_OFFER, altered=True), *lines[1:]]
