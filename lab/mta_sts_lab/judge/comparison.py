"""Compares a report with what the lab saw, field by field, with the judge's grade for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mta_sts_lab.judge.arrivals import Arrival, about_the_case
from mta_sts_lab.judge.checks.report_content import expected_types
from mta_sts_lab.judge.ground_truth import known_sessions
from mta_sts_lab.judge.report_window import clock_of
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.grading import Grade, merge
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.rfc.result_types import RESULT_TYPES
from mta_sts_lab.tlsrpt import KnownSessions
from mta_sts_lab.tlsrpt.report import Policy

#: The fields, and the obligations under which each is judged.
_FIELDS = (
    ("sent by", ("RPT-5.4-", "RPT-5.2-", "RPT-5.3-", "RPT-5.1-", "RPT-5-", "MPR-", "RPT-3-0", "RPT-3-1", "DKIM-")),
    ("day", ("RPT-4.4-02", "RPT-4.4-03", "RPT-4.1-01", "DT-")),
    ("policy-domain", ("RPT-4.4-08", "RPT-4.4-09")),
    ("policy-type", ("RPT-4.4-06",)),
    ("policy-string", ("RPT-4.4-07", "RPT-4.5-")),
    ("mx-host", ("RPT-4.4-10", "RPT-4.4-11")),
    ("successful sessions", ("RPT-4.2.1-01", "RPT-4.4-12")),
    ("failed sessions", ("RPT-4.2.2-01", "RPT-4.4-13", "RPT-4.4-19")),
    ("result-type", (*RESULT_TYPES.values(), "RPT-4.4-14", "RPT-4-05", "STS-5-04", "STS-6-")),
    ("sending-mta-ip", ("RPT-4.4-15", "RPT-4.4-22")),
    ("receiving host", ("RPT-4.4-16", "RPT-4.4-17")),
    ("receiving-ip", ("RPT-4.4-18",)),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: what the lab saw, what the report says, and the grade."""

    name: str
    seen: str
    reported: str
    grade: Grade


@dataclass(frozen=True, slots=True)
class Comparison:
    """One report of a case beside the record. Everything in it may come from the target."""

    case: str
    where: str
    fields: tuple[Field, ...]
    #: What went wrong according to the report, in one sentence; empty if it reports no failure.
    lesson: str
    #: Findings that belong to none of the fields, each as `obligation: check`.
    further: tuple[str, ...]


def compare_reports(view: CaseView, verdict: Verdict) -> tuple[Comparison, ...]:
    """Return every report about a case's domain beside what the lab saw; none where no report arrived.

    Findings of the run are graded here as well.
    """
    judgements = (*verdict.judgements, *verdict.of_the_run)
    return tuple(_comparison(view, arrival, judgements) for arrival in about_the_case(view) if arrival.parsed.content)


def _comparison(view: CaseView, arrival: Arrival, judgements: Sequence[Judgement]) -> Comparison:
    expected, optional = expected_types(view)
    known = known_sessions(view, arrival.window, expected, optional)
    mine = [one for one in judgements if arrival.event.number in one.evidence]
    seen, reported = _seen(view, arrival, known), _reported(arrival)
    fields = tuple(
        Field(name, seen[name], reported[name], _grade(mine, obligations))
        for name, obligations in _FIELDS
        if seen[name] or reported[name]
    )
    covered = tuple(start for _, obligations in _FIELDS for start in obligations)
    further = [one for one in mine if one.grade is not Grade.PASS and not one.obligation.startswith(covered)]
    return Comparison(
        case=view.case.id,
        where=arrival.described(),
        fields=fields,
        lesson=_lesson(arrival.parsed.policies),
        further=tuple(dict.fromkeys(f"{one.obligation}: {one.check} ({one.reason})" for one in further)),
    )


def _grade(judgements: Iterable[Judgement], obligations: tuple[str, ...]) -> Grade:
    found = [one.grade for one in judgements if one.obligation.startswith(obligations)]
    return merge([*found, Grade.PASS])


def _seen(view: CaseView, arrival: Arrival, known: KnownSessions) -> dict[str, str]:
    failed = known.failed.most > 0
    return {
        "sent by": "https POST" if arrival.fact.transport == "https" else "mail",
        "day": _arrived(view, arrival),
        "policy-domain": known.policy_domain,
        "policy-type": _several(known.policy_types, " or "),
        "policy-string": f"{len(known.policy_lines)} lines published" if known.policy_lines else "",
        "mx-host": _several(
            line.partition(":")[2].strip() for line in known.policy_lines or () if line.startswith("mx")
        ),
        "successful sessions": f"{known.attempts.most - known.failed.most} of {known.attempts}",
        "failed sessions": f"{known.failed}",
        "result-type": _several(known.result_types, " or "),
        "sending-mta-ip": _several(known.sending_ips) if failed else "",
        "receiving host": _several(known.mx_hosts) if failed else "",
        "receiving-ip": _several(known.receiving_ips) if failed else "",
    }


def _arrived(view: CaseView, arrival: Arrival) -> str:
    """Return when a report arrived by the target's clock, which shows how long after the end of its day that was."""
    clock = clock_of(view)
    if clock is None:
        return ""
    return f"arrived {datetime.fromtimestamp(clock.began + clock.passed(arrival.event.at), UTC):%Y-%m-%d %H:%M}"


def _reported(arrival: Arrival) -> dict[str, str]:
    policies = arrival.parsed.policies
    failures = [failure for policy in policies for failure in policy.failures or ()]
    start, end = arrival.written_day
    packed = {True: "gzip", False: "plain JSON", None: ""}[arrival.parsed.packed]
    return {
        "sent by": ", ".join(word for word in (arrival.parsed.media_type, packed) if word),
        "day": f"{start.removesuffix(_MIDNIGHT)} to {end.removesuffix(_LAST_SECOND).removesuffix(_MIDNIGHT)}",
        "policy-domain": _several(policy.policy_domain for policy in policies),
        "policy-type": _several(policy.policy_type for policy in policies),
        "policy-string": ", ".join(f"{len(policy.policy_string or ())} lines" for policy in policies),
        "mx-host": _several(pattern for policy in policies for pattern in policy.mx_host or ()),
        "successful sessions": _total(policy.successful for policy in policies),
        "failed sessions": _total(policy.failed for policy in policies),
        "result-type": _several(failure.result_type for failure in failures),
        "sending-mta-ip": _several(failure.sending_mta_ip for failure in failures),
        "receiving host": _several(failure.receiving_mx_hostname for failure in failures),
        "receiving-ip": _several(failure.receiving_ip for failure in failures),
    }


#: Left out of a day that begins and ends at midnight.
_MIDNIGHT, _LAST_SECOND = "T00:00:00Z", "T23:59:59Z"

#: What a result type says to the owner of the domain.
_IN_WORDS = {
    "starttls-not-supported": "your MX host did not offer STARTTLS, or refused it",
    "certificate-host-mismatch": "your MX certificate is made out to another name",
    "certificate-expired": "your MX certificate expired",
    "certificate-not-trusted": "nobody trusts who signed your MX certificate",
    "validation-failure": "TLS with your MX host did not come about",
    "sts-policy-fetch-error": "your MTA-STS policy could not be fetched",
    "sts-policy-invalid": "your MTA-STS policy is not valid",
    "sts-webpki-invalid": "the certificate of your policy host is not valid",
}


def _lesson(policies: Sequence[Policy]) -> str:
    counts: dict[str, int] = {}
    for failure in (failure for policy in policies for failure in policy.failures or ()):
        kind = failure.result_type or ""
        counts[kind] = counts.get(kind, 0) + (failure.failed_session_count or 0)
    reported = [
        f"{count} session{'' if count == 1 else 's'} failed because {_IN_WORDS[kind]}"
        for kind, count in counts.items()
        if kind in _IN_WORDS
    ]
    return "; ".join(reported)


def _several(words: Iterable[str | None], joint: str = ", ") -> str:
    return joint.join(sorted({word for word in words if word}))


def _total(counts: Iterable[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return f"{sum(known)}" if known else ""
