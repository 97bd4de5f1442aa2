"""The sessions of a case with receiving hosts, and what was wrong with each: what a TLS report has to tell of.

The lab was the other end of every connection, so that it knows who was met, and how the handshake went.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed, DnsAnswered, Event, SmtpSaid
from mta_sts_lab.judge.facts import CERTIFICATES_THAT_VERIFY, RECEIVING
from mta_sts_lab.judge.handshakes import handshake
from mta_sts_lab.judge.report_window import Window
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.tlsrpt.known_sessions import RIGHT_RESULT_TYPES, FailedSessions
from mta_sts_lab.tlsrpt.names import canonical

#: What a certificate variant is called among the troubles that a report can name.
_BAD_CERTIFICATE = {
    "expired": "expired",
    "not-yet-valid": "not-yet-valid",
    "wrong-name": "wrong-name",
    "cn-only": "wrong-name",
    "self-signed": "self-signed",
    "untrusted": "untrusted",
    "missing-intermediate": "untrusted",
}

_RETIRED_TLS = ("SSLv3", "TLSv1", "TLSv1.1")


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of the target to a receiving host. `trouble` is empty for one in which nothing was wrong.

    `good` is a session under TLS with the genuine host, whose certificate is valid. One that is neither good nor in
    trouble went in clear without need.
    """

    accepted: ConnectionAccepted
    good: bool
    trouble: str
    #: Whether the target went on in it to the mail itself, in spite of what was wrong.
    went_on: bool = False
    #: Whether it began and ended in the time that it is looked for in.
    certain: bool = True


def sessions_in(view: CaseView, window: Window) -> list[Session]:
    """Return the sessions of a case that may count in some time, but for those that carried a report.

    One that was under way when reports were asked for may stand in either report.
    """
    carried = view.facts.carried_reports()
    closed = {fact.session: event.at for event, fact in view.facts.of_kind(ConnectionClosed)}
    found: list[Session] = []
    for event, fact in view.facts.of_kind(ConnectionAccepted):
        if fact.role not in RECEIVING or fact.via or fact.session in carried:
            continue
        ended = closed.get(fact.session, event.at)
        if window.may_count(event.at, ended):
            found.append(_session(view, fact, certain=window.counts(event.at, ended)))
    return found


def _session(view: CaseView, accepted: ConnectionAccepted, *, certain: bool) -> Session:
    trouble = _tls_trouble(view, list(view.facts.events), accepted)
    on = _went_on(view, accepted)
    if accepted.role == "attacker-mx" and trouble in (None, ""):
        return Session(accepted, False, "mx-outside-policy", on, certain)
    return Session(accepted, trouble is None, trouble or "", on, certain)


def _went_on(view: CaseView, accepted: ConnectionAccepted) -> bool:
    """Whether the target spoke of mail, be it inside TLS that an attacker only passed on."""
    behind = [fact.session for _, fact in view.facts.of_kind(ConnectionAccepted) if fact.via == accepted.session]
    said = [fact for _, fact in view.facts.of_kind(SmtpSaid) if fact.session in (accepted.session, *behind)]
    return any(one.speaker == "sender" and one.line.upper().startswith("MAIL") for one in said)


def _tls_trouble(view: CaseView, events: list[Event], accepted: ConnectionAccepted) -> str | None:
    """Return what was wrong with a session's TLS; None if nothing was, empty if the sender made no use of it."""
    established, failed = handshake(events, accepted.session)
    if established is not None:
        if established.version in _RETIRED_TLS:
            return "handshake-broken"
        if established.certificate in CERTIFICATES_THAT_VERIFY:
            return "handshake-broken" if failed else None
        return _BAD_CERTIFICATE.get(established.certificate, "untrusted")
    if failed is not None:
        return _BAD_CERTIFICATE.get(failed.certificate, "handshake-broken")
    said = [
        event.fact for event in events if isinstance(event.fact, SmtpSaid) and event.fact.session == accepted.session
    ]
    asked = next((number for number, one in enumerate(said) if _asks_for_tls(one)), None)
    if asked is None:
        if not any(one.speaker == "sender" and says_hello(one) for one in said):
            return ""  # it ended before anybody could offer anything
        offered = any(one.speaker != "sender" and "STARTTLS" in one.line.upper() for one in said)
        return "" if offered else "starttls-not-offered"
    reply = next((one.line for one in said[asked + 1 :] if one.speaker != "sender"), "220")
    if not reply.startswith("220"):
        return "starttls-refused"
    return _beyond_the_attacker(view, events, accepted.session)


def _asks_for_tls(said: SmtpSaid) -> bool:
    return said.speaker == "sender" and said.line.strip().upper() == "STARTTLS"


def _beyond_the_attacker(view: CaseView, events: list[Event], session: str) -> str | None:
    """Where an attacker merely passed the handshake on, TLS came up with the genuine host."""
    behind = [
        event.fact.session
        for event in events
        if isinstance(event.fact, ConnectionAccepted) and event.fact.via == session
    ]
    for leg in behind:
        established, failed = handshake(events, leg)
        if established and not failed and established.certificate in CERTIFICATES_THAT_VERIFY:
            return None
        if established or failed:
            return _BAD_CERTIFICATE.get((established or failed).certificate, "handshake-broken")  # type: ignore[union-attr]
    return "handshake-broken"


def says_hello(said: SmtpSaid) -> bool:
    """Whether a line is EHLO or HELO."""
    return said.line.upper().startswith(("EHLO", "HELO"))


def named_in(answer: DnsAnswered) -> list[str]:
    """Return the hosts that an MX answer names."""
    return [record.split()[-1].rstrip(".").lower() for record in answer.answers if record.split()]


# ---------------------------------------------------------------------------------------------------------------------
# Who failed


@dataclass(slots=True)
class _Failing:
    """One host at one address while its sessions are counted."""

    result_types: set[str]
    most: int = 0


def failed_sessions(
    view: CaseView, sessions: list[Session], away: list[tuple[str, str]], outside: list[tuple[str, ...]]
) -> Iterator[FailedSessions]:
    """Yield who failed, one for each host and address.

    `away` are the hosts that could not be connected to, with their addresses, and `outside` the hosts that no policy of
    the domain allows, by the MX answers that named them: to turn away from such a one takes no connection (A41).
    """
    failing: dict[tuple[str, str], _Failing] = {}
    for session in sessions:
        if not session.good:
            _count(failing, session.accepted.host, session.accepted.address, _types_of(session.trouble))
    for host, address in away:
        _count(failing, host, address, _types_of(""))
    for host in (name for names in outside for name in names):
        _count(failing, host, "", _types_of("mx-outside-policy"))
    for session in sessions:
        if (session.accepted.host, "") in failing:
            _count(failing, session.accepted.host, "", _types_of("mx-outside-policy"))
    for (host, address), one in failing.items():
        hosts = frozenset({a_labels(host), *_names_of(view, address)})
        yield FailedSessions(hosts, address, frozenset(one.result_types), one.most)


def _count(failing: dict[tuple[str, str], _Failing], host: str, address: str, result_types: frozenset[str]) -> None:
    one = failing.setdefault((host, address), _Failing(set()))
    one.result_types |= result_types
    one.most += 1


def _types_of(trouble: str) -> frozenset[str]:
    """Return the types that tell of a trouble; a session that just ended may be told of as one that failed (A62)."""
    return frozenset(RIGHT_RESULT_TYPES[trouble]) if trouble else frozenset({"validation-failure"})


def _names_of(view: CaseView, address: str) -> Iterator[str]:
    """Yield the names of receiving hosts to which DNS gave an address: by such a name the target knows who is there."""
    answered = [fact for _, fact in view.facts.of_kind(DnsAnswered)] if address else []
    named = {a_labels(name) for fact in answered if fact.type == "MX" for name in named_in(fact)}
    for fact in answered:
        found = fact.type in ("A", "AAAA") and canonical(address) in map(canonical, fact.answers)
        if found and a_labels(fact.name) in {*named, view.facts.domain}:
            yield a_labels(fact.name)
