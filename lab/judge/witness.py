"""What the record knows of the sessions that a TLS report has to tell of: how many, with whom, and what went wrong.

The lab was the other end of every connection. Where RFC 8460 leaves it open how something is counted or named, the
answer is a range or a set, and everything in it is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from lab.events import (
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    DnsAnswered,
    Event,
    PolicyRequested,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
)
from lab.judge.facts import CERTIFICATES_THAT_VERIFY
from lab.judge.view import CaseView
from lab.model import Grade, Mode
from lab.tlsrpt import KnownSessions, Range, right_result_types
from lab.world.policy_host import served_policy

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

_RECEIVING = ("mx", "attacker-mx")

#: Seconds within which a sender counts a session that has ended. Milliseconds, unless the machine is very busy.
_COUNTED_WITHIN = 1.0

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of the target to a receiving host. `trouble` is empty for one in which nothing was wrong.

    `good` is a session under TLS with the genuine host, whose certificate is valid. One that is neither good nor in
    trouble went in clear without need.
    """

    accepted: ConnectionAccepted
    good: bool
    trouble: str
    #: Whether it began and ended in the time that it is looked for in.
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one report: after the reports before it were asked for, and before it was itself."""

    after: float
    until: float

    def of(self, events: Iterable[Event]) -> list[Event]:
        """Return the events of that time."""
        return [event for event in events if self.after - _COUNTED_WITHIN < event.at <= self.until]


def sessions_in(view: CaseView, window: Window) -> list[Session]:
    """Return the sessions of a case that may count in some time, but for those that carried a report.

    One that was under way when reports were asked for may stand in either report.
    """
    carried = view.facts.carried_reports()
    closed = {fact.session: event.at for event, fact in view.facts.of_kind(ConnectionClosed)}
    found: list[Session] = []
    for event, fact in view.facts.of_kind(ConnectionAccepted):
        if fact.role not in _RECEIVING or fact.via or fact.session in carried:
            continue
        ended = closed.get(fact.session, event.at)
        if event.at <= window.until and ended > window.after - _COUNTED_WITHIN:
            found.append(_session(view, fact, certain=event.at > window.after and ended <= window.until))
    return found


def _session(view: CaseView, accepted: ConnectionAccepted, *, certain: bool) -> Session:
    trouble = _tls_trouble(view, list(view.facts.events), accepted)
    if accepted.role == "attacker-mx" and trouble in (None, ""):
        return Session(accepted, False, "mx-outside-policy", certain)
    return Session(accepted, trouble is None, trouble or "", certain)


def _tls_trouble(view: CaseView, events: list[Event], accepted: ConnectionAccepted) -> str | None:
    """Return what was wrong with a session's TLS; None if nothing was, empty if the sender made no use of it."""
    established, failed = _handshake(events, accepted.session)
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
        established, failed = _handshake(events, leg)
        if established and not failed and established.certificate in CERTIFICATES_THAT_VERIFY:
            return None
        if established or failed:
            return _BAD_CERTIFICATE.get((established or failed).certificate, "handshake-broken")  # type: ignore[union-attr]
    return "handshake-broken"


def _handshake(events: list[Event], session: str) -> tuple[TlsEstablished | None, TlsFailed | None]:
    facts = [event.fact for event in events]
    established = [fact for fact in facts if isinstance(fact, TlsEstablished) and fact.session == session]
    failed = [fact for fact in facts if isinstance(fact, TlsFailed) and fact.session == session]
    return (established[0] if established else None, failed[-1] if failed else None)


# ---------------------------------------------------------------------------------------------------------------------
# The policy, and the way to it


def policy_troubles(view: CaseView, window: Window) -> tuple[str, ...]:
    """Return what went wrong on the way to the policy."""
    found: dict[str, None] = {}
    events = window.of(view.facts.events)
    hosts = {fact.session: fact for fact in _facts(events, ConnectionAccepted) if fact.role == "policy-host"}
    answered = {fact.session: fact.status for fact in _facts(events, PolicyRequested)}
    if any(status != 200 for status in answered.values()):
        found["policy-unreachable"] = None
    if any(fact.role == "policy-host" for fact in _facts(events, ConnectionDenied)):
        found["policy-unreachable"] = None
    for session in hosts:
        established, failed = _handshake(events, session)
        shown = (established or failed).certificate if (established or failed) else ""  # type: ignore[union-attr]
        if shown and shown not in CERTIFICATES_THAT_VERIFY:
            found["policy-host-untrusted"] = None
        elif session not in answered:
            found["policy-unreachable"] = None
    if any(fact.tampered_by and fact.name.startswith("_mta-sts.") for fact in _facts(events, DnsAnswered)):
        found["policy-unreachable"] = None
    if any(step.world.policy.lines for step in view.case.steps):
        found["policy-broken"] = None
    return tuple(found)


def _facts(events: list[Event], kind: type[_Kind]) -> list[_Kind]:
    return [event.fact for event in events if isinstance(event.fact, kind)]


def _published(view: CaseView) -> tuple[tuple[str, ...], ...]:
    """Return the lines of each policy that the case published, the last one first."""
    mode, domain = view.case.mode.value, view.facts.domain
    bodies = [served_policy(step.world, mode, domain) for step in view.case.steps]
    return tuple(dict.fromkeys(tuple(body.decode().splitlines()) for body in reversed(bodies)))


def _policy_types(view: CaseView, window: Window, troubled: bool) -> frozenset[str]:
    """Return which policy types are right (A45, A49, A67; and A01: a first session may precede the policy)."""
    if view.case.mode is Mode.ABSENT:
        return frozenset({"no-policy-found"})
    fetched = view.facts.policy_fetched(window.until)
    sessions = [event.at for event, fact in view.facts.of_kind(ConnectionAccepted) if fact.role in _RECEIVING]
    learnt_first = bool(fetched) and (not sessions or fetched[0].at < sessions[0])
    modes = {view.case.mode.value, *(step.world.policy.mode for step in view.case.steps)}
    if "none" in modes or troubled or not learnt_first:
        return frozenset({"sts", "no-policy-found"})
    return frozenset({"sts"})


# ---------------------------------------------------------------------------------------------------------------------
# All together


def known_sessions(view: CaseView, window: Window, expected: tuple[str, ...], optional: bool) -> KnownSessions:
    """Return what a report about a case's domain on some time may say at most and has to say at least.

    `expected` are the result types that the scenario says are right, beside those that the record itself shows;
    `optional` says that no obligation asks for them.
    """
    sessions = sessions_in(view, window)
    events = window.of(view.facts.events)
    denied = [fact for fact in _facts(events, ConnectionDenied) if fact.role in _RECEIVING]
    on_the_way = policy_troubles(view, window)
    # Without a connection: only what DNS named shows that the sender had somebody to go to.
    outside = _named_outside_the_policy(view, events)
    good = sum(session.good for session in sessions)
    good_for_certain = any(session.good and session.certain for session in sessions)
    # A failure on the way to the policy may be counted beside the session that it comes before.
    beside = max(len(sessions), len(window.of(view.facts.policy_asked()))) if on_the_way else 0
    most_failed = len(sessions) - good + len(denied) + outside + beside
    types = _policy_types(view, window, bool(on_the_way))
    published = _published(view) if view.case.mode is not Mode.ABSENT else ()
    learnt = bool(view.facts.policy_fetched(window.until)) and published
    connected = [session.accepted for session in sessions]
    return KnownSessions(
        policy_domain=view.facts.domain,
        attempts=Range(most_failed + int(good_for_certain), len(sessions) + len(denied) + outside + beside),
        failed=Range(_certainly_failed(view, sessions, types, optional), most_failed),
        policy_types=types,
        policy_lines=published[0] if learnt else None,
        earlier_policy_lines=published[1:] if learnt else (),
        mx_hosts=frozenset((*(one.host for one in connected), *(one.host for one in denied), *_named(events))),
        sending_ips=frozenset(one.peer for one in connected if one.peer),
        receiving_ips=frozenset((*(one.address for one in connected), *(one.address for one in denied))),
        result_types=_result_types(view, sessions, on_the_way, bool(denied), bool(outside), expected),
        absent=Grade.INFO if optional else None,
        counters_are_free=bool(on_the_way) or bool(outside),
    )


def _certainly_failed(view: CaseView, sessions: list[Session], types: frozenset[str], optional: bool) -> int:
    """Return 1 if every reporter has to count a failure: a known policy was in force and a session broke it."""
    if optional or view.case.mode not in (Mode.ENFORCE, Mode.TESTING) or types != {"sts"}:
        return 0
    certain = [session.trouble for session in sessions if session.certain]
    return int(any(trouble and trouble != "mx-outside-policy" for trouble in certain))


def before_any_connection(view: CaseView, window: Window) -> bool:
    """Whether something failed before there was a host to connect to, so that no address can be named (A46)."""
    return bool(policy_troubles(view, window)) or bool(_named_outside_the_policy(view, window.of(view.facts.events)))


def _named(events: list[Event]) -> list[str]:
    """Return the hosts that MX answers named."""
    return [name for fact in _facts(events, DnsAnswered) if fact.type == "MX" for name in _named_in(fact)]


def _named_in(fact: DnsAnswered) -> list[str]:
    return [answer.split()[-1].rstrip(".").lower() for answer in fact.answers if answer.split()]


def _named_outside_the_policy(view: CaseView, events: list[Event]) -> int:
    """Return how often DNS named a host that no policy of the domain allows, whoever had a hand in it."""
    if view.case.mode not in (Mode.ENFORCE, Mode.TESTING):
        return 0
    lines = [line.partition(":") for policy in _published(view) for line in policy]
    patterns = {value.strip().lower() for key, _, value in lines if key.strip() == "mx"}
    answers = [fact for fact in _facts(events, DnsAnswered) if fact.type == "MX"]
    return sum(any(not _allowed(name, patterns) for name in _named_in(answer)) for answer in answers)


def _allowed(name: str, patterns: set[str]) -> bool:
    """RFC 8461, section 4.1: a wildcard stands for the whole left-most label."""
    return name in patterns or f"*.{name.partition('.')[2]}" in patterns


def _result_types(
    view: CaseView,
    sessions: list[Session],
    on_the_way: tuple[str, ...],
    denied: bool,
    outside: bool,
    expected: tuple[str, ...],
) -> dict[str, Grade]:
    troubles = {session.trouble for session in sessions if session.trouble} | set(on_the_way)
    if outside:
        troubles.add("mx-outside-policy")
    right = dict(right_result_types(*sorted(troubles)))
    if denied:
        right.setdefault("validation-failure", Grade.PASS)  # A62
    for kind in expected:
        right.setdefault(kind, Grade.PASS)
    return right
