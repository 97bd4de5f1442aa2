"""The strict grader: runs every registered check on a report, and lists what a report alone does not show.

That list is computed from what the checks registered, so that silence never looks like a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from mta_sts_lab.check_registry import Check
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.tlsrpt.checks import failures, signature
from mta_sts_lab.tlsrpt.departures import Departure, Finding, finding, listed
from mta_sts_lab.tlsrpt.known_sessions import KnownSessions
from mta_sts_lab.tlsrpt.registry import (
    KeyLookup,
    Scope,
    Scopes,
    check,
    hint_check,
    key_check,
    reading_check,
    session_check,
)
from mta_sts_lab.tlsrpt.report import Kind, ParsedReport
from mta_sts_lab.tlsrpt.verification import Validity

#: The obligations of reports begin so: RFC 8460, what it takes from RFC 6522, 6376, 7493 and 3339, and what RFC 8461,
#: section 6, asks of reporters.
IN_SCOPE = ("RPT-", "MPR-", "DKIM-", "IJ-", "DT-", "STS-6-02", "STS-6-03")

#: The order in which findings are returned: the gravest first, and in a grade in the order of the checks.
_GRAVITY = (Grade.FAIL, Grade.INCONCLUSIVE, Grade.WEAK, Grade.INFO)


@dataclass(frozen=True, slots=True)
class NotJudged:
    """An obligation that nothing was said about, or not everything (`in_part`), and why."""

    obligation: str
    reason: str
    in_part: bool = False


def grade(
    parsed: ParsedReport,
    requirements: Mapping[str, Requirement],
    find_key: KeyLookup | None = None,
    arrived: float | None = None,
    now: float | None = None,
) -> tuple[Finding, ...]:
    """Judge a report by everything that it shows itself, the gravest findings first.

    `find_key` gives the DKIM keys; without it no signature is verified, which `not_judged` says. `arrived` is when the
    report did, in seconds since 1970, if that is known. With `now` the hints for people are given
    as well. A report that the lab did not read to its end because of its own bounds has an `inconclusive` finding; no
    findings mean a clean report.
    """
    found = [finding(one, each.id, requirements) for each in reading_check for one in each.function(parsed)]
    found += [finding(one, "report-is-readable", requirements) for one in _unread(parsed)]
    for each in check:
        if not _lacking(parsed, each.scope):
            found += [finding(one, each.id, requirements) for one in each.function(parsed)]
    for hint in hint_check if now is not None else ():
        if now is not None and not _lacking(parsed, hint.scope):
            found += [finding(one, hint.id, requirements) for one in hint.function(parsed, now)]
    if find_key is not None and parsed.message is not None:
        for with_key in key_check:
            departures = with_key.function(parsed, find_key, arrived)
            found += [finding(one, with_key.id, requirements) for one in departures]
    return tuple(sorted(found, key=lambda one: _GRAVITY.index(one.grade)))


def against_sessions(
    report: ParsedReport, known: KnownSessions, requirements: Mapping[str, Requirement]
) -> tuple[Finding, ...]:
    """Compare a report with what a witness knows; what agrees yields nothing.

    A report without a block for the policy domain has one finding, and so has one that could not be read.
    """
    if not known.blocks(report):
        observed = report.problem or listed(set(report.policy_domains)) or "no policy-domain"
        unread = Grade.INCONCLUSIVE if report.beyond_limit else None
        missing = Departure("RPT-4.4-08", "no-block-for-the-domain", "policies", known.policy_domain, observed, unread)
        return (finding(missing, "report-is-about-the-domain", requirements),)
    return tuple(finding(one, each.id, requirements) for each in session_check for one in each.function(report, known))


def not_judged(
    parsed: ParsedReport, requirements: Mapping[str, Requirement], find_key: KeyLookup | None = None
) -> tuple[NotJudged, ...]:
    """Return the obligations of a report that `grade` said nothing about, in the order of the catalogue, and why."""
    rows = [row for name, row in requirements.items() if name.startswith(IN_SCOPE)]
    needs, with_sessions = needs_by_obligation(), _obligations(session_check)
    found: list[NotJudged | None] = []
    for row in rows:
        if row.id not in needs:
            found.append(NotJudged(row.id, _why_never(row, row.id in with_sessions)))
        elif row.id in _obligations(key_check):
            found.append(_signature_not_judged(parsed, row.id, find_key))
        else:
            found.append(_not_judged(parsed, row.id, needs[row.id], row.id in with_sessions))
    return tuple(one for one in found if one)


@cache
def checks_of_the_run() -> frozenset[str]:
    """Return the ids of the checks that find what a reporter does alike in each report, whatever it is about."""
    registries: tuple[Iterable[Check[Any, Scopes]], ...] = (reading_check, check, key_check, session_check)
    return frozenset(each.id for each in chain.from_iterable(registries) if each.of_the_run)


def needs_by_obligation() -> Mapping[str, Sequence[Scopes]]:
    """Return the scope of every check of a report that can find an obligation broken."""
    needs: dict[str, list[Scopes]] = {}
    registries: tuple[Iterable[Check[Any, Scopes]], ...] = (reading_check, check, key_check)
    for each in chain.from_iterable(registries):
        for identifier in each.obligations:
            needs.setdefault(identifier, []).append(each.scope)
    return needs


def _obligations(checks: Iterable[Check[Any, Scopes]]) -> set[str]:
    return {identifier for each in checks for identifier in each.obligations}


def _not_judged(
    parsed: ParsedReport, identifier: str, needs: Sequence[Scopes], with_sessions: bool
) -> NotJudged | None:
    lacking = [scopes for one in needs if (scopes := _lacking(parsed, one))]
    if lacking:
        return NotJudged(identifier, str(lacking[0][0]), in_part=len(lacking) < len(needs))
    if not parsed.complete and any(Scope.CONTENT in one for one in needs):
        return NotJudged(identifier, "the report is broken: its rest is not known", in_part=True)
    if identifier in failures.UNDER_NONE and failures.failures_under_an_unknown_mode(parsed):
        reason = "the mode of a policy is not quoted: failures may be reported under one of mode none"
        return NotJudged(identifier, reason, in_part=True)
    return NotJudged(identifier, "the truth needs the record of sessions", in_part=True) if with_sessions else None


def _why_never(row: Requirement, with_sessions: bool) -> str:
    if with_sessions:
        return "needs the record of sessions"
    if row.grade_when_broken is Grade.INFO:
        return "permits or explains something: a report cannot break it"
    return "needs the record of what the reporter did: its DNS queries, deliveries and other reports"


def _signature_not_judged(parsed: ParsedReport, identifier: str, find_key: KeyLookup | None) -> NotJudged | None:
    if parsed.message is None:
        return NotJudged(identifier, str(Scope.MAIL))
    # That there is a signature, and whose, shows without a key.
    in_part = identifier in _obligations(check)
    if not signature.signatures(parsed.message):
        return None if in_part else NotJudged(identifier, "there is no signature")
    if find_key is None:
        return NotJudged(identifier, "the signature was not verified: its key was not given", in_part)
    if not in_part:
        unknown = [why for validity, why in signature.verified(parsed, find_key) if validity is Validity.UNKNOWN]
        return NotJudged(identifier, f"the signature was not verified: {unknown[0]}") if unknown else None
    why = signature.unverified(parsed, find_key)
    if why:
        return NotJudged(identifier, f"the signature was not verified: {why}", in_part)
    if signature.perhaps_expired(parsed, find_key):
        return NotJudged(identifier, "whether the signature had expired (x=) when the report arrived", in_part)
    return None


def _lacking(parsed: ParsedReport, needs: Scopes) -> list[Scope]:
    there = {
        Scope.CONTENT: parsed.content is not None,
        Scope.MAIL: parsed.message is not None,
        Scope.SENT: parsed.message is not None or bool(parsed.media_type),
        Scope.POSTED: bool(parsed.media_type),
        Scope.NAMED: bool(parsed.file_name) or (parsed.message is not None and parsed.message.machine is not None),
    }
    return [scope for scope in needs if not there[scope]]


def _unread(parsed: ParsedReport) -> Iterator[Departure]:
    """Say that there is nothing to judge where nothing else says it: no findings have to mean a clean report."""
    if parsed.beyond_limit:
        note = "a bound of this lab, not of the RFC: nothing is proved either way"
        expected = "a report within the bounds of this lab"
        yield Departure("RPT-4-01", "beyond-limit", "input", expected, parsed.problem, Grade.INCONCLUSIVE, note)
    elif parsed.content is None and not any(one.obligation == "RPT-4-01" for one in parsed.departures):
        observed = parsed.problem or str(Kind.UNKNOWN)
        yield Departure("RPT-4-01", "no-report", "input", "a report", observed)
