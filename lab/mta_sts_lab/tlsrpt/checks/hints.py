"""Hints for people who look at a report on its own: what is probably wrong, or worth a second look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt.content import DRAFT_NAMES
from mta_sts_lab.tlsrpt.departures import Departure, listed, quoted
from mta_sts_lab.tlsrpt.names import tlsa_fields
from mta_sts_lab.tlsrpt.registry import Scope, hint_check
from mta_sts_lab.tlsrpt.report import ParsedReport

PUBLISHED_OR_NOT = "either the published policy is like this, or the report repeats it wrongly"
_DRAFT_OBLIGATIONS = {"mx-host": "RPT-4.4-10", "additional-information": "RPT-4.4-20"}
#: Octets of the data of a TLSA record, by its matching type (RFC 6698, section 2.1.3: SHA-256, SHA-512).
_DIGESTS = {1: 32, 2: 64}


@hint_check(scope=(Scope.CONTENT,), obligations=("RPT-4.1-01",))
def range_is_over(parsed: ParsedReport, now: float) -> Iterator[Departure]:
    """The day of the report was over when the report was sent; for a file, when it was checked."""
    start, end = parsed.content.range if parsed.content else (None, None)
    sent = _date(parsed)
    by_date = sent is not None and sent <= now
    at = sent if sent is not None and by_date else now
    if end is None or end.timestamp() <= at:
        return
    reason = "range-not-begun" if start and start.timestamp() > at else "range-not-over"
    observed = f"{_written(end.timestamp())}, and {'its Date is' if by_date else 'it is now'} {_written(at)}"
    note = "a report of a day that has not ended cannot be complete" + ("" if by_date else "; by this machine's clock")
    yield Departure("RPT-4.1-01", reason, "date-range.end-datetime", "a day that is over", observed, note=note)


@hint_check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-02",))
def policy_lines_are_not_repeated(parsed: ParsedReport, _: float) -> Iterator[Departure]:
    """No line of an MTA-STS policy is quoted twice."""
    for policy in parsed.policies:
        again = [line for line, times in Counter(policy.policy_string or ()).items() if times > 1]
        if policy.policy_type == "sts" and again:
            where, observed = f"{policy.where}.policy.policy-string", f"{listed(map(quoted, again))} more than once"
            yield Departure(
                "RPT-4.5-02", "lines-repeated", where, "each line once", observed, Grade.INFO, PUBLISHED_OR_NOT
            )


@hint_check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-01",))
def tlsa_records_have_their_length(parsed: ParsedReport, _: float) -> Iterator[Departure]:
    """The data of a TLSA record is as long as the digest that its matching type names."""
    for policy in parsed.policies:
        for number, line in enumerate(policy.policy_string or () if policy.policy_type == "tlsa" else ()):
            fields = tlsa_fields(line)
            length = _DIGESTS.get(fields[2]) if fields else None
            if fields and length and len(fields[3]) != 2 * length:
                where = f"{policy.where}.policy.policy-string[{number}]"
                expected, observed = f"{length} octets of digest", f"{len(fields[3]) // 2} octets in {quoted(line)}"
                yield Departure("RPT-4.5-01", "digest-length", where, expected, observed, Grade.INFO, PUBLISHED_OR_NOT)


@hint_check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-08",))
def policy_domain_is_no_tlsa_name(parsed: ParsedReport, _: float) -> Iterator[Departure]:
    """policy-domain is the domain of the policy, not the name of a TLSA record such as `_25._tcp.mx.example`."""
    for policy in parsed.policies:
        name, note = policy.policy_domain or "", "readers that look for their domain do not find such a block"
        if name.lower().startswith("_25._tcp."):
            where, expected = f"{policy.where}.policy.policy-domain", quoted(name[len("_25._tcp.") :])
            yield Departure("RPT-4.4-08", "name-of-tlsa-record", where, expected, quoted(name), Grade.INFO, note)


@hint_check(scope=(Scope.CONTENT,), obligations=tuple(_DRAFT_OBLIGATIONS.values()))
def members_have_their_final_names(parsed: ParsedReport, _: float) -> Iterator[Departure]:
    """No optional member has the name that an early draft of RFC 8460 gave it; an obligatory one is missing anyway."""
    for policy in parsed.policies:
        places = [(f"{policy.where}.policy", policy.draft_names)]
        places += [(failure.where, failure.draft_names) for failure in policy.failures or ()]
        for where, names in places:
            for old in names:
                new, note = DRAFT_NAMES[old], "an early draft of RFC 8460 called it so; readers of today pass it over"
                if new in _DRAFT_OBLIGATIONS:
                    obligation, place = _DRAFT_OBLIGATIONS[new], f"{where}.{old}"
                    yield Departure(obligation, "draft-name", place, quoted(new), quoted(old), Grade.INFO, note)


def _date(parsed: ParsedReport) -> float | None:
    """Return the Date of a mail in seconds since 1970; None where there is none that can be read."""
    from email.utils import parsedate_to_datetime  # here, because the judge needs no mail parser and no sockets

    text = parsed.message.first("date") if parsed.message else None
    try:
        date = parsedate_to_datetime((text or "")[:200])
        # -0000 says UTC without saying where that was (RFC 5322, section 3.3).
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
