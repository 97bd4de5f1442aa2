"""Why the target held a message: what it did not accept in its attempts, from the record."""

from __future__ import annotations

from mta_sts_lab.events import (
    ConnectionAccepted,
    ConnectionDenied,
    DnsAnswered,
    Event,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge.facts import RECEIVING, CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.model.world import REVOKED
from mta_sts_lab.rfc.domain_names import canonical

#: How the reason begins where DNS itself gave no usable answer.
LOOKUP_FAILED = "a look-up failed"

#: How it begins where the authority of the host's certificate had revoked it.
CERTIFICATE_REVOKED = "the certificate had been revoked"


def why_held(message: MessageFacts) -> tuple[str, list[Event]]:
    """Say what the target met in its attempts and did not accept, with the events that show it.

    Empty if nothing does. A quick sender's first attempt begins before its reply to the injection is read.
    """
    facts = message.facts
    began = message.step_began()
    window = [event for event in facts.events if began < event.at <= message.until]
    for event in reversed(window):
        if isinstance(event.fact, TlsFailed) and _is_receiving(facts, event.fact.session):
            return f"TLS failed ({event.fact.alert or 'no alert'})", [event]
    sessions = [
        (event, event.fact.session)
        for event in window
        if isinstance(event.fact, ConnectionAccepted) and _is_receiving(facts, event.fact.session)
    ]
    for accepted, session in reversed(sessions):
        why, evidence = _why_left(window, accepted, session)
        if why:
            return why, evidence
    if sessions or any(isinstance(one.fact, ConnectionDenied) and one.fact.role != "policy-host" for one in window):
        return "", []
    for event in reversed(window):
        hosts = _mail_hosts(facts, event)
        if hosts:
            if _found_no_address(window, hosts):
                break
            itself = "the domain itself, which stands for its missing MX record"
            named = itself if facts.domain in hosts else "the MX host that DNS named"
            return f"it did not connect to {named}", [event]
    for event in reversed(window):
        if isinstance(event.fact, DnsAnswered) and event.fact.security in ("bogus", "indeterminate"):
            return f"{LOOKUP_FAILED}: {event.fact.type} {event.fact.name} ({event.fact.security})", [event]
    return "", []


def _mail_hosts(facts: CaseFacts, event: Event) -> frozenset[str]:
    """Return the MX hosts that an event tells the target of: the domain itself where there is no MX record (RFC 5321,
    section 5.1). Empty for any other event.
    """
    answer = event.fact
    if not isinstance(answer, DnsAnswered) or answer.type != "MX":
        return frozenset()
    if not answer.answers and answer.rcode == "NOERROR" and canonical(answer.name) == facts.domain:
        return frozenset({facts.domain})
    return frozenset(canonical(one.rpartition(" ")[2]) for one in answer.answers)


def _found_no_address(window: list[Event], hosts: frozenset[str]) -> bool:
    """Whether the target asked for addresses of the MX hosts, and got none at all, without an attacker's doing.

    That alone would keep it from connecting, whatever it thinks of those hosts.
    """
    asked = [event.fact for event in window if isinstance(event.fact, DnsAnswered)]
    asked = [one for one in asked if one.type in ("A", "AAAA") and canonical(one.name) in hosts]
    return bool(asked) and not any(one.answers or one.tampered_by for one in asked)


def _is_receiving(facts: CaseFacts, session: str) -> bool:
    leg = facts.session(session).accepted
    own = session not in facts.carried_other_mail()
    return leg is not None and leg.role in RECEIVING and not leg.via and own


def _why_left(window: list[Event], accepted: Event, session: str) -> tuple[str, list[Event]]:
    """Read from a session's dialogue why the target left without handing over the message."""
    said = [event for event in window if isinstance(event.fact, SmtpSaid) and event.fact.session == session]
    lines = [event.fact for event in said if isinstance(event.fact, SmtpSaid)]
    spoken = [one.line.upper() for one in lines if one.speaker == "sender"]
    evidence = [accepted, *said[-1:]]
    if any(line.startswith("DATA") for line in spoken):
        return "", []
    handshakes = (event.fact for event in window if isinstance(event.fact, TlsEstablished))
    shown = [one.certificate for one in handshakes if one.session == session]
    if shown:
        why = "the sender gave up the session after the handshake, before DATA"
        return f"{CERTIFICATE_REVOKED}, and {why}" if REVOKED in shown else why, evidence
    if any(line.startswith("STARTTLS") for line in spoken):
        return "STARTTLS did not lead to TLS, and the sender gave up the session", evidence
    if any(line.startswith(("EHLO", "HELO")) for line in spoken):
        # A sender may come back in clear after a broken handshake: then it was offered, and not taken up.
        replies = [one.line for one in lines if one.speaker != "sender"]
        offered = any(line[:3] == "250" and line[4:].strip().upper() == "STARTTLS" for line in replies)
        how = "offered, and not taken up" if offered else "not offered"
        return f"STARTTLS was {how}, and the sender gave up the session", evidence
    return "", []
