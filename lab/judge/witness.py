"""What the record knows of the sessions that a TLS report has to tell of: how many, with whom, and what went wrong.

The lab was the other end of every connection. Where RFC 8460 leaves it open how something is counted or named, the
answer is a range or a set, and everything in it is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lab.events import ConnectionAccepted, ConnectionClosed, ConnectionDenied, DnsAnswered, Event, SmtpSaid
from lab.judge.facts import CERTIFICATES_THAT_VERIFY
from lab.judge.handshakes import facts_of, handshake
from lab.judge.policy_witness import hosts_away, policy_troubles, policy_types, published
from lab.judge.report_window import Window
from lab.judge.view import CaseView
from lab.model import Grade, Mode
from lab.tlsrpt import KnownSessions, Range, right_result_types
from lab.tlsrpt.known_sessions import RIGHT_RESULT_TYPES

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
        if window.may_count(event.at, ended):
            found.append(_session(view, fact, certain=window.counts(event.at, ended)))
    return found


def _session(view: CaseView, accepted: ConnectionAccepted, *, certain: bool) -> Session:
    trouble = _tls_trouble(view, list(view.facts.events), accepted)
    if accepted.role == "attacker-mx" and trouble in (None, ""):
        return Session(accepted, False, "mx-outside-policy", certain)
    return Session(accepted, trouble is None, trouble or "", certain)


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
        if not any(one.speaker == "sender" and _says_hello(one) for one in said):
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


# ---------------------------------------------------------------------------------------------------------------------
# All together


def known_sessions(view: CaseView, window: Window, expected: tuple[str, ...], optional: bool) -> KnownSessions:
    """Return what a report about a case's domain on some time may say at most and has to say at least.

    `expected` are the result types that the scenario says are right, beside those that the record itself shows;
    `optional` says that no obligation asks for them.
    """
    sessions = sessions_in(view, window)
    events = window.of(view.facts.events)
    denied = [fact for fact in facts_of(events, ConnectionDenied) if fact.role in _RECEIVING]
    away = [*((fact.host, fact.address) for fact in denied), *hosts_away(view, events)]
    on_the_way = policy_troubles(view, window)
    # Without a connection: only what DNS named shows that the sender had somebody to go to.
    outside = _named_outside_the_policy(view, events)
    good = sum(session.good for session in sessions)
    good_for_certain = any(session.good and session.certain for session in sessions)
    # A failure on the way to the policy may be counted beside the session that it comes before.
    beside = max(len(sessions), len(window.of(view.facts.policy_asked()))) if on_the_way else 0
    most_failed = len(sessions) - good + len(away) + outside + beside
    types = policy_types(view, window, troubled=bool(on_the_way))
    policies = published(view) if view.case.mode is not Mode.ABSENT else ()
    learnt = bool(view.facts.policy_fetched(window.until)) and policies
    connected = [session.accepted for session in sessions]
    return KnownSessions(
        policy_domain=view.facts.domain,
        attempts=Range(most_failed + int(good_for_certain), len(sessions) + len(away) + outside + beside),
        failed=Range(_certainly_failed(view, sessions, types, optional), most_failed),
        policy_types=types,
        policy_lines=policies[0] if learnt else None,
        earlier_policy_lines=policies[1:] if learnt else (),
        mx_hosts=frozenset((*(one.host for one in connected), *(host for host, _ in away), *_named(events))),
        mx_greetings=frozenset(_greetings(view, connected)),
        sending_ips=frozenset(one.peer for one in connected if one.peer),
        receiving_ips=frozenset((*(one.address for one in connected), *(address for _, address in away))),
        result_types=_result_types(sessions, on_the_way, bool(away), bool(outside), expected),
        fits=_fits(sessions),
        troubles=_certain_troubles(view, sessions, types, optional),
        absent=Grade.INFO if optional else None,
        counters_are_free=bool(on_the_way) or bool(outside),
    )


def _certainly_failed(view: CaseView, sessions: list[Session], types: frozenset[str], optional: bool) -> int:
    """Return 1 if every reporter has to count a failure: a known policy was in force and a session broke it."""
    return int(not optional and bool(_troubles_under_a_policy(view, sessions, types)))


def _troubles_under_a_policy(view: CaseView, sessions: list[Session], types: frozenset[str]) -> Counter[str]:
    """Return how often sessions broke a policy that was known, by their trouble, as far as that is certain."""
    if view.case.mode not in (Mode.ENFORCE, Mode.TESTING) or types != {"sts"}:
        return Counter()
    return Counter(one.trouble for one in sessions if one.certain and one.trouble not in ("", "mx-outside-policy"))


def _certain_troubles(
    view: CaseView, sessions: list[Session], types: frozenset[str], optional: bool
) -> tuple[frozenset[str], ...]:
    """Return the types that tell of each trouble that was met twice: once may be a session that the lab itself cut."""
    met = {} if optional else _troubles_under_a_policy(view, sessions, types)
    return tuple(frozenset(RIGHT_RESULT_TYPES[trouble]) for trouble, count in met.items() if count > 1)


def _fits(sessions: list[Session]) -> dict[str, tuple[int, Grade]]:
    """Return, for each type that is only tolerated for some sessions, how many it fits fully, and its grade beyond."""
    rights = [RIGHT_RESULT_TYPES[session.trouble] for session in sessions if session.trouble]
    tolerated = {kind: grade for right in rights for kind, grade in right.items() if grade is not Grade.PASS}
    return {kind: (sum(right.get(kind) is Grade.PASS for right in rights), grade) for kind, grade in tolerated.items()}


def _greetings(view: CaseView, connected: list[ConnectionAccepted]) -> Iterator[str]:
    """Yield what hosts call themselves: the first word of the greeting, and of the reply to EHLO or HELO."""
    spoken: dict[str, list[SmtpSaid]] = {one.session: [] for one in connected}
    for _, said in view.facts.of_kind(SmtpSaid):
        spoken.get(said.session, []).append(said)
    for lines in spoken.values():
        for before, said in zip((None, *lines), lines, strict=False):
            introduces = before is None or (before.speaker == "sender" and _says_hello(before))
            if introduces and said.speaker != "sender" and said.line.startswith(("220", "250")):
                yield from said.line[4:].split()[:1]


def _says_hello(said: SmtpSaid) -> bool:
    return said.line.upper().startswith(("EHLO", "HELO"))


def before_any_connection(view: CaseView, window: Window) -> bool:
    """Whether something failed before there was a host to connect to, so that no address can be named (A46)."""
    return bool(policy_troubles(view, window)) or bool(_named_outside_the_policy(view, window.of(view.facts.events)))


def _named(events: list[Event]) -> list[str]:
    """Return the hosts that MX answers named."""
    return [name for fact in facts_of(events, DnsAnswered) if fact.type == "MX" for name in _named_in(fact)]


def _named_in(fact: DnsAnswered) -> list[str]:
    return [answer.split()[-1].rstrip(".").lower() for answer in fact.answers if answer.split()]


def _named_outside_the_policy(view: CaseView, events: list[Event]) -> int:
    """Return how often DNS named a host that a policy of the domain does not allow, whoever had a hand in it.

    Of several policies it may have been any that the sender knew by then.
    """
    if view.case.mode not in (Mode.ENFORCE, Mode.TESTING):
        return 0
    policies = [patterns for policy in published(view) if (patterns := _patterns(policy))] or [set()]
    answers = [fact for fact in facts_of(events, DnsAnswered) if fact.type == "MX"]
    return sum(
        any(not _allowed(name, patterns) for name in _named_in(answer) for patterns in policies) for answer in answers
    )


def _patterns(policy: tuple[str, ...]) -> set[str]:
    lines = [line.partition(":") for line in policy]
    return {value.strip().lower() for key, _, value in lines if key.strip() == "mx"}


def _allowed(name: str, patterns: set[str]) -> bool:
    """RFC 8461, section 4.1: a wildcard stands for the whole left-most label."""
    return name in patterns or f"*.{name.partition('.')[2]}" in patterns


def _result_types(
    sessions: list[Session],
    on_the_way: tuple[str, ...],
    away: bool,
    outside: bool,
    expected: tuple[str, ...],
) -> dict[str, Grade]:
    troubles = {session.trouble for session in sessions if session.trouble} | set(on_the_way)
    if outside:
        troubles.add("mx-outside-policy")
    right = dict(right_result_types(*sorted(troubles)))
    # One that is neither good nor in trouble may have ended before a word was said.
    if away or any(not session.good and not session.trouble for session in sessions):
        right.setdefault("validation-failure", Grade.PASS)  # A62
    for kind in expected:
        right.setdefault(kind, Grade.PASS)
    return right
