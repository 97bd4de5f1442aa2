"""refuse_greeting: the connection is accepted, and no session begins.

On the wire: with `how = "421"` the attacker says 421 in the place of the receiver's greeting, as a busy host does (RFC
5321, section 3.8), and closes; with `how = "silent"` he says nothing until the sender hangs up. Nothing that the sender
says reaches the receiver.

What it proves: whether a reporter distinguishes a host without a session from one without STARTTLS.

A careful sender goes on to the next host, or tries again later. A report may leave it out (RFC 8460, section 4.3.4).
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.smtp import reply

_BUSY = reply(421, "4.3.2 Too busy, try again later")


@smtp_attack("takes the connection and says 421, or nothing, in the place of a greeting", {"how": ("421", "silent")})
def refuse_greeting(session: Session, parameters: Parameters) -> Script:
    """Say 421 and close, or nothing."""
    if parameters["how"] == "421":
        yield from session.speak(_BUSY, detail="said 421 in the place of the greeting")
        return
    session.fire("took the connection and never greeted")
    yield from session.listen_to_the_end(answers=0)
