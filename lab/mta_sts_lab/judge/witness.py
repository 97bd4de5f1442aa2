"""What the record knows of the sessions that a TLS report has to tell of: how many, with whom, and what went wrong.

The lab was the other end of every connection. Where RFC 8460 leaves it open how something is counted or named, the
answer is a range or a set, and everything in it is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mta_sts_lab.events import ConnectionAccepted, ConnectionDenied, DnsAnswered, Event, SmtpSaid
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.handshakes import facts_of
from mta_sts_lab.judge.policy_witness import (
    hosts_away,
    policies_in_force,
    policies_refused,
    policy_troubles,
    policy_types,
    published,
)
from mta_sts_lab.judge.report_sessions import Session, failed_sessions, named_in, says_hello, sessions_in
from mta_sts_lab.judge.report_window import Window
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model import Grade, Mode
from mta_sts_lab.rfc.policy import lists, values_of
from mta_sts_lab.tlsrpt import KnownSessions, Range, right_result_types
from mta_sts_lab.tlsrpt.known_sessions import RIGHT_RESULT_TYPES


def known_sessions(view: CaseView, window: Window, expected: tuple[str, ...], optional: bool) -> KnownSessions:
    """Return what a report about a case's domain on some time may say at most and has to say at least.

    `expected` are the result types that the scenario says are right, beside those that the record itself shows;
    `optional` says that no obligation asks for them.
    """
    sessions = sessions_in(view, window)
    events = window.of(view.facts.events)
    denied = [fact for fact in facts_of(events, ConnectionDenied) if fact.role in RECEIVING]
    away = [*((fact.host, fact.address) for fact in denied), *hosts_away(view, events)]
    on_the_way = policy_troubles(view, window)
    # Without a connection: only what DNS named shows that the sender had somebody to go to.
    outside = len(_outside_the_policy(view, events))
    good = sum(session.good for session in sessions)
    good_for_certain = any(session.good and session.certain for session in sessions)
    # A failure on the way to the policy may be counted beside the session that it comes before.
    beside = max(len(sessions), len(window.of(view.facts.policy_asked()))) if on_the_way else 0
    most_failed = len(sessions) - good + len(away) + outside + beside
    types = policy_types(view, window, troubled=bool(on_the_way))
    policies = tuple(dict.fromkeys(one.lines for one in policies_in_force(view, window)))
    connected = [session.accepted for session in sessions]
    return KnownSessions(
        policy_domain=view.facts.domain,
        attempts=Range(most_failed + int(good_for_certain), len(sessions) + len(away) + outside + beside),
        failed=Range(_certainly_failed(view, sessions, types, optional), most_failed),
        policy_types=types,
        policy_lines=policies[0] if policies else None,
        earlier_policy_lines=policies[1:],
        refused_policy_lines=policies_refused(view, window) or (() if policies else published(view)),
        mx_hosts=frozenset((*(one.host for one in connected), *(host for host, _ in away), *_named(events))),
        mx_greetings=frozenset(_greetings(view, connected)),
        sending_ips=frozenset(one.peer for one in connected if one.peer),
        receiving_ips=frozenset((*(one.address for one in connected), *(address for _, address in away))),
        failed_sessions=tuple(failed_sessions(view, sessions, away, _outside_the_policy(view, events))),
        # One that nothing was wrong with, and that made no use of TLS, ended early or went on in clear.
        successes=sum(session.good or session.went_on or not session.trouble for session in sessions),
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
            introduces = before is None or (before.speaker == "sender" and says_hello(before))
            if introduces and said.speaker != "sender" and said.line.startswith(("220", "250")):
                yield from said.line[4:].split()[:1]


def before_any_connection(view: CaseView, window: Window) -> bool:
    """Whether something failed before there was a host to connect to, so that no address can be named (A46)."""
    return bool(policy_troubles(view, window)) or bool(_outside_the_policy(view, window.of(view.facts.events)))


def _named(events: list[Event]) -> list[str]:
    """Return the hosts that MX answers named."""
    return [name for fact in facts_of(events, DnsAnswered) if fact.type == "MX" for name in named_in(fact)]


def _outside_the_policy(view: CaseView, events: list[Event]) -> list[tuple[str, ...]]:
    """Return the hosts that a policy of the domain does not allow, for each MX answer that named any, forged or not.

    Of several policies it may have been any that the sender knew by then.
    """
    if view.case.mode not in (Mode.ENFORCE, Mode.TESTING):
        return []
    policies = [patterns for lines in published(view) if (patterns := values_of(lines, "mx"))] or [()]
    answers = [fact for fact in facts_of(events, DnsAnswered) if fact.type == "MX"]
    named = [
        tuple(name for name in named_in(answer) if any(not lists(patterns, name) for patterns in policies))
        for answer in answers
    ]
    return [names for names in named if names]


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
