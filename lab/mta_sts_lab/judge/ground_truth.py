"""What a TLS report must say: the sessions of a case, with which hosts, and what went wrong in each.

The lab was the other end of every connection. Where RFC 8460 leaves open how something is counted or named, the result
is a range or a set, and every value in it is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from mta_sts_lab.events import ConnectionAccepted, ConnectionDenied, DnsAnswered, Event, StepBegan
from mta_sts_lab.judge.dane_in_reports import (
    dane_failures,
    failure_under_dane,
    has_usable_tlsa,
    policy_types,
    tlsa_records_answered,
)
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.report_window import Window
from mta_sts_lab.judge.served_policies import ServedPolicies, served_policies, under_a_policy
from mta_sts_lab.judge.sessions import Session
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.world import ADDRESS_TYPES, CERTIFICATES_THAT_VERIFY, MAY_BE_REFUSED, NAMED_OTHERWISE
from mta_sts_lab.rfc.domain_names import a_labels, absolute, is_within
from mta_sts_lab.rfc.domain_names import canonical as canonical_name
from mta_sts_lab.rfc.policy import lists, values_of
from mta_sts_lab.tlsrpt import KnownSessions, Range, right_result_types
from mta_sts_lab.tlsrpt.known_sessions import RIGHT_RESULT_TYPES, FailedSessions
from mta_sts_lab.tlsrpt.names import canonical

#: What a certificate variant is called among the failures that a report can name.
_BAD_CERTIFICATE = {
    "expired": "expired",
    "not-yet-valid": "not-yet-valid",
    "wrong-name": "wrong-name",
    "cn-only": "wrong-name",
    "for-domain": "wrong-name",
    "self-signed": "self-signed",
    "untrusted": "untrusted",
    "missing-intermediate": "untrusted",
    "expired-intermediate": "expired",
    **dict.fromkeys(NAMED_OTHERWISE, "wrong-name"),
}

_RETIRED_TLS = ("SSLv3", "TLSv1", "TLSv1.1")

OUTSIDE = "mx-outside-policy"

#: What a sender reports that asks whether certificates were revoked. To any other the session is a good one.
REFUSED_AS_REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class MetSession:
    """One connection of the target to a receiving host. `failure` is empty for one in which nothing was wrong.

    `good` is a session under TLS with the genuine host, whose certificate is valid. One that is neither good nor
    failed went in clear without need, or just ended.
    """

    accepted: ConnectionAccepted
    good: bool
    failure: str
    #: Whether the target sent mail in it in spite of what was wrong.
    went_on: bool = False
    #: Whether it began and ended within the time of the report.
    certain: bool = True
    #: Whether the host has TLSA records that can be used.
    under_dane: bool = False
    #: When the step began in which the target connected.
    step_began: float = 0.0


def known_sessions(view: CaseView, window: Window, expected: tuple[str, ...], optional: bool) -> KnownSessions:
    """Return what a report about a case's domain and a time must say, and what it may say.

    `expected` are the result types that the scenario says are right, beside those that the record itself shows;
    `optional` says that no obligation asks for them.
    """
    sessions, policies = sessions_in(view, window), served_policies(view, window)
    answers = window.within(view.facts.of_kind(DnsAnswered))
    away = _hosts_away(view, window, answers)
    # The domain of a mailbox for reports is looked up too, and has a policy of its own or none.
    of_domain = [fact for _, fact in answers if is_within(canonical_name(fact.name), view.facts.domain)]
    named = [named_in(fact) for fact in of_domain if fact.type == "MX"]
    outside = _outside_the_policy(view, named, policies)
    good = sum(session.good for session in sessions)
    # A failure on the way to the policy may be counted beside the session that it comes before.
    asked = sum(window.may_count(event.at, event.at) for event in view.facts.policy_asked())
    on_the_way = (*policies.failures, *dane_failures(view, window))
    asked = max(asked, sum(window.may_count(event.at, event.at) for event, _ in view.facts.tlsa_asked()))
    beside = max(len(sessions), asked) if on_the_way else 0
    most_failed = len(sessions) - good + len(away) + len(outside) + beside
    certain = _certain_failures(view, sessions, policies) if not optional else []
    by_problem = Counter(session.failure for session in certain)
    lines = tuple(dict.fromkeys(one.policy.lines for one in policies.in_force))
    connected = [session.accepted for session in sessions]
    return KnownSessions(
        policy_domain=view.facts.domain,
        attempts=Range(
            most_failed + int(any(session.good and session.certain for session in sessions)),
            len(sessions) + len(away) + len(outside) + beside,
        ),
        # However sessions are counted, one with each host that failed is among them.
        failed=Range(len({session.accepted.host for session in certain}), most_failed),
        policy_types=policy_types(view, window, policies.types),
        tlsa_records=tlsa_records_answered(view),
        policy_lines=lines[0] if lines else None,
        earlier_policy_lines=lines[1:],
        refused_policy_lines=policies.refused or (() if lines else policies.published),
        mx_hosts=frozenset((*(one.host for one in connected), *(host for host, _ in away), *chain(*named))),
        mx_greetings=frozenset(name for one in connected for name in _greetings(view.facts.session(one.session))),
        sending_ips=frozenset(one.peer for one in connected if one.peer),
        receiving_ips=frozenset((*(one.address for one in connected), *(address for _, address in away))),
        failed_sessions=tuple(failed_sessions(view, sessions, away, outside)),
        # One that nothing was wrong with, and that made no use of TLS, ended early or went on in clear.
        successes=sum(session.good or session.went_on or not session.failure for session in sessions),
        result_types=_result_types(sessions, on_the_way, bool(away), bool(outside), expected),
        fits=_fits(sessions),
        # Once may be a session that the lab itself cut.
        problems=tuple(frozenset(RIGHT_RESULT_TYPES[failure]) for failure, count in by_problem.items() if count > 1),
        absent=Grade.INFO if optional else None,
        counters_are_free=bool(on_the_way) or bool(outside),
    )


def before_any_connection(view: CaseView, window: Window) -> bool:
    """Whether something failed before there was a host to connect to, so that no address can be named."""
    policies = served_policies(view, window)
    named = [named_in(fact) for _, fact in window.within(view.facts.of_kind(DnsAnswered)) if fact.type == "MX"]
    return bool(policies.failures or dane_failures(view, window) or _outside_the_policy(view, named, policies))


def sessions_in(view: CaseView, window: Window) -> list[MetSession]:
    """Return the sessions of a case that may count in some time, but for those that carried a report.

    One that was under way when reports were asked for may stand in either report. One that broke off behind MAIL may
    have been meant for a report itself.
    """
    carried, unknown = view.facts.carried_reports(), view.facts.carried_unknown_mail()
    begun = [event.at for event, _ in view.facts.of_kind(StepBegan)]
    found: list[MetSession] = []
    for event, fact in view.facts.of_kind(ConnectionAccepted):
        if fact.role not in RECEIVING or fact.via or fact.session in carried:
            continue
        session = view.facts.session(fact.session)
        ended = event.at if session.ended is None else session.ended
        if window.may_count(event.at, ended):
            failure = failure_under_dane(view, fact, session, _tls_failure(session))
            if fact.role == "attacker-mx" and not failure:
                failure = OUTSIDE
            # Be it inside TLS that an attacker only passed on.
            went_on = any(one.sender_said("MAIL") for one in (session, *session.legs))
            certain = fact.session not in unknown and window.counts(event.at, ended)
            under_dane = has_usable_tlsa(view, fact)
            began = max((at for at in begun if at <= event.at), default=0.0)
            found.append(MetSession(fact, failure is None, failure or "", went_on, certain, under_dane, began))
    return found


def _tls_failure(session: Session) -> str | None:
    """Return what was wrong with a session's TLS; None if nothing was, empty if the sender did not use TLS."""
    if session.established is not None:
        if session.established.version in _RETIRED_TLS:
            return "handshake-broken"
        if session.established.certificate in MAY_BE_REFUSED:
            return REFUSED_AS_REVOKED
        if session.established.certificate in CERTIFICATES_THAT_VERIFY:
            return "handshake-broken" if session.failed else None
        return _BAD_CERTIFICATE.get(session.established.certificate, "untrusted")
    if session.failed is not None:
        return _BAD_CERTIFICATE.get(session.failed.certificate, "handshake-broken")
    lines = [(one.speaker == "sender", one.line.strip().upper()) for one in session.lines]
    if (True, "STARTTLS") not in lines:
        offered = any("STARTTLS" in line for said_by_sender, line in lines if not said_by_sender)
        # Without a word it ended before anybody could offer anything.
        return "starttls-not-offered" if session.sender_said("EHLO", "HELO") and not offered else ""
    behind = lines[lines.index((True, "STARTTLS")) + 1 :]
    reply = next((line for said_by_sender, line in behind if not said_by_sender), "220")
    if not reply.startswith("220"):
        return "starttls-refused"
    # Where an attacker merely passed the handshake on, TLS came up with the genuine host.
    for leg in session.legs:
        if leg.established and not leg.failed and leg.established.certificate in CERTIFICATES_THAT_VERIFY:
            return None
        if handshake := leg.established or leg.failed:
            return _BAD_CERTIFICATE.get(handshake.certificate, "handshake-broken")
    return "handshake-broken"


def named_in(answer: DnsAnswered) -> tuple[str, ...]:
    """Return the hosts that an MX answer names."""
    return tuple(record.split()[-1].rstrip(".").lower() for record in answer.answers if record.split())


def _hosts_away(view: CaseView, window: Window, answers: list[tuple[Event, DnsAnswered]]) -> list[tuple[str, str]]:
    """Return the hosts to which the target could not connect, with their addresses."""
    denied = window.within(view.facts.of_kind(ConnectionDenied))
    away = [(fact.host, fact.address) for _, fact in denied if fact.role in RECEIVING]
    unreachable = {
        (step.name, absolute(mx.name, view.facts.domain), kind)
        for step in view.case.steps
        for mx in step.world.mx
        for family, kind in ADDRESS_TYPES.items()
        if not mx.reachable or mx.dead_over is family
    }
    for event, fact in answers:
        if (event.step, fact.name, fact.type) in unreachable:
            away += [(fact.name, address) for address in fact.answers]
    return away


def _outside_the_policy(
    view: CaseView, named: list[tuple[str, ...]], policies: ServedPolicies
) -> list[tuple[str, ...]]:
    """Return the hosts that a policy of the domain does not allow, for each MX answer that named any, forged or not.

    Of several policies it may have been any that the sender knew by then. To turn away from such a host takes no
    connection: only what DNS named shows that the sender had somebody to go to.
    """
    if view.case.mode not in (Mode.ENFORCE, Mode.TESTING):
        return []
    allowed = [patterns for lines in policies.published if (patterns := values_of(lines, "mx"))] or [()]
    outside = (tuple(name for name in names if not all(lists(one, name) for one in allowed)) for names in named)
    return [names for names in outside if names]


def _certain_failures(view: CaseView, sessions: list[MetSession], policies: ServedPolicies) -> list[MetSession]:
    """Return the sessions that broke a policy that was known, as far as that is certain.

    A policy that came in the course of the time that a report is about was known in the steps that began later.
    """
    throughout = policies.types == {"sts"}

    def is_known(one: MetSession) -> bool:
        if view.case.mode is Mode.DANE:
            return one.under_dane
        has_policy = view.case.mode in (Mode.ENFORCE, Mode.TESTING)
        return has_policy and (throughout or under_a_policy(view, policies.certain, one.step_began))

    failed = (one for one in sessions if one.certain and one.failure not in ("", OUTSIDE, REFUSED_AS_REVOKED))
    return [one for one in failed if is_known(one)]


def _fits(sessions: list[MetSession]) -> dict[str, tuple[int, Grade]]:
    """Return, for each type that is only tolerated for some sessions, how many it fits fully, and its grade beyond."""
    rights = [RIGHT_RESULT_TYPES[session.failure] for session in sessions if session.failure]
    tolerated = {kind: grade for right in rights for kind, grade in right.items() if grade is not Grade.PASS}
    return {kind: (sum(right.get(kind) is Grade.PASS for right in rights), grade) for kind, grade in tolerated.items()}


def _greetings(session: Session) -> Iterator[str]:
    """Yield what a host calls itself: the first word of the greeting, and of the reply to EHLO or HELO."""
    introduces = True
    for said in session.lines:
        if introduces and said.speaker != "sender" and said.line.startswith(("220", "250")):
            yield from said.line[4:].split()[:1]
        introduces = said.speaker == "sender" and said.line.upper().startswith(("EHLO", "HELO"))


def _result_types(
    sessions: list[MetSession], on_the_way: tuple[str, ...], away: bool, outside: bool, expected: tuple[str, ...]
) -> dict[str, Grade]:
    failures = {
        *on_the_way,
        *(session.failure for session in sessions if session.failure),
        *([OUTSIDE] if outside else []),
    }
    right = dict(right_result_types(*sorted(failures)))
    # One that is neither good nor failed may have ended before a word was said.
    if away or any(not session.good and not session.failure for session in sessions):
        right.setdefault("validation-failure", Grade.PASS)
    for kind in expected:
        right.setdefault(kind, Grade.PASS)
    return right


def failed_sessions(
    view: CaseView, sessions: list[MetSession], away: list[tuple[str, str]], outside: list[tuple[str, ...]]
) -> Iterator[FailedSessions]:
    """Yield the failed sessions, one entry for each host and address.

    `away` are the hosts that could not be connected to, with their addresses, and `outside` the hosts that no policy of
    the domain allows, by the MX answers that named them. A session that just ended may be reported as failed.
    """
    failing: dict[tuple[str, str], list[str]] = defaultdict(list)
    for session in sessions:
        if not session.good:
            failing[session.accepted.host, session.accepted.address].append(session.failure)
    for host, address in away:
        failing[host, address].append("")
    for names in outside:
        for host in names:
            failing[host, ""].append(OUTSIDE)
    for session in sessions:
        if (session.accepted.host, "") in failing:
            failing[session.accepted.host, ""].append(OUTSIDE)
    for (host, address), failures in failing.items():
        types = {kind for one in failures for kind in (RIGHT_RESULT_TYPES[one] if one else ("validation-failure",))}
        yield FailedSessions(
            frozenset({a_labels(host), *_names_of(view, address)}), address, frozenset(types), len(failures)
        )


def _names_of(view: CaseView, address: str) -> Iterator[str]:
    """Yield the names of receiving hosts to which DNS gave an address: by such a name the target knows who is there."""
    answered = [fact for _, fact in view.facts.of_kind(DnsAnswered)] if address else []
    named = {a_labels(name) for fact in answered if fact.type == "MX" for name in named_in(fact)}
    for fact in answered:
        found = fact.type in ("A", "AAAA") and canonical(address) in map(canonical, fact.answers)
        if found and a_labels(fact.name) in {*named, view.facts.domain}:
            yield a_labels(fact.name)
