"""What the report itself has to be: who made it, for which day, which policies were applied (RFC 8460, section 4.4).

Each check is one sentence that has to hold; it yields the places where it does not. Members of the wrong type were
noted by the parser already.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.addresses import is_addr_spec
from mta_sts_lab.rfc.domain_names import a_labels, is_domain
from mta_sts_lab.rfc.result_types import DANE_DISCOVERY_FAILURES, POLICY_TYPES, STS_DISCOVERY_FAILURES
from mta_sts_lab.tlsrpt import names
from mta_sts_lab.tlsrpt.departures import Departure, listed_apart, quoted, quoted_apart
from mta_sts_lab.tlsrpt.names import Moment, tlsa_fields
from mta_sts_lab.tlsrpt.registry import Scope, check
from mta_sts_lab.tlsrpt.report import ParsedReport, Policy

NO_24_HOURS = (
    "the 24:00 of the RFC's prose cannot be written in RFC 3339; 23:59:59 or the next midnight can; "
    "sts-lab docs ambiguities#end-of-day"
)
ADVISED_RANGE = (
    "a range other than one UTC day is advised against, not forbidden; sts-lab docs ambiguities#range-not-one-day"
)
MAY_SPLIT = "nothing says whether one policy has one block; sts-lab docs ambiguities#policy-changed-during-the-day"
ANY_ORDER = (
    "spelling and order of the lines are free, leaving mx lines out is not; "
    "sts-lab docs ambiguities#spelling-of-policy-lines"
)

_DAY = timedelta(days=1)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-04",), of_the_run=True)
def contact_is_an_address(parsed: ParsedReport) -> Iterator[Departure]:
    """contact-info is an addr-spec: no display name, no angle brackets, no mailto."""
    contact = parsed.content.contact_info if parsed.content else None
    if contact is not None and not is_addr_spec(contact):
        yield Departure("RPT-4.4-04", "not-an-addr-spec", "contact-info", "a bare mail address", quoted(contact))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-02", "DT-5.6-01"), of_the_run=True)
def dates_are_rfc_3339(parsed: ParsedReport) -> Iterator[Departure]:
    """Both limits are dates with a time and an offset, no hour is above 23, and the range does not run backwards."""
    start, end = _limits(parsed)
    for name, moment in (("start", start), ("end", end)):
        if moment:
            yield from (_date_departure(fault, f"date-range.{name}-datetime", moment) for fault in moment.faults)
    if start and end and start.instant and end.instant and start.instant >= end.instant:
        observed = f"{start.text} to {end.text}"
        yield Departure("RPT-4.4-02", "range-runs-backwards", "date-range", "a start before its end", observed)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.1-01",))
def range_is_one_day(parsed: ParsedReport) -> Iterator[Departure]:
    """The report covers 24 hours."""
    start, end = parsed.content.range if parsed.content else (None, None)
    # 23:59:59 is the end of a day as much as the next midnight.
    if start and end and start < end and not _DAY - timedelta(seconds=1) <= end - start <= _DAY:
        observed = f"{end - start} (hours:minutes:seconds)"
        yield Departure("RPT-4.1-01", "range-not-one-day", "date-range", "one day", observed, note=ADVISED_RANGE)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-03",))
def range_is_a_utc_day(parsed: ParsedReport) -> Iterator[Departure]:
    """The day of the report is a day in UTC."""
    start, _ = _limits(parsed)
    if start and start.instant and f"{start.instant:%H:%M:%S}" != "00:00:00":
        observed = f"{start.text}, which is {start.instant:%H:%M:%S} UTC"
        where = "date-range.start-datetime"
        yield Departure("RPT-4.4-03", "range-not-utc-day", where, "00:00:00 UTC", observed, note=ADVISED_RANGE)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-06",))
def policy_types_are_known(parsed: ParsedReport) -> Iterator[Departure]:
    """policy-type is sts, tlsa or no-policy-found, spelt just so."""
    for policy in parsed.policies:
        if policy.policy_type is not None and policy.policy_type not in POLICY_TYPES:
            where = f"{policy.where}.policy.policy-type"
            expected = ", ".join(POLICY_TYPES)
            yield Departure("RPT-4.4-06", "unknown-policy-type", where, expected, quoted(policy.policy_type))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-07",))
def policy_is_quoted(parsed: ParsedReport) -> Iterator[Departure]:
    """policy-string says which policy was applied, unless none could be learnt."""
    for policy in parsed.policies if parsed.complete else ():
        where = f"{policy.where}.policy.policy-string"
        if policy.policy_type == "no-policy-found" and policy.policy_string:
            note = "without a policy there is nothing to quote; no text forbids it"
            observed = f"{len(policy.policy_string)} lines"
            yield Departure("RPT-4.4-07", "policy-without-policy", where, "none", observed, Grade.INFO, note)
        if policy.policy_type in ("sts", "tlsa") and not policy.policy_string and not _nothing_learnt(policy):
            observed = "absent" if policy.policy_string is None else "an empty array"
            yield Departure("RPT-4.4-07", "policy-not-quoted", where, "the lines of the policy", observed)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-02", "RPT-4.5-03"))
def policy_lines_are_single(parsed: ParsedReport) -> Iterator[Departure]:
    """Each string of an MTA-STS policy is one line of it, without its line end; several mx values are several lines."""
    for where, policy, line in _lines(parsed, "sts"):
        if "\n" in line or "\r" in line:
            yield Departure("RPT-4.5-02", "several-lines-in-one", where, "one line of the policy", quoted(line))
        key, _, value = line.partition(":")
        collected = key.strip() == "mx" and ("," in value or "[" in value)
        # A published policy may have such a line, mistakes are to be quoted too; mx-host shows how it was understood.
        if collected and len(policy.mx_host or ()) > 1:
            yield Departure("RPT-4.5-03", "several-mx-in-one-line", where, "a string for each mx", quoted(line))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-02",))
def policy_lines_are_complete(parsed: ParsedReport) -> Iterator[Departure]:
    """The quoted lines have what a valid MTA-STS policy has, unless the report itself says that it was invalid."""
    for policy in parsed.policies if parsed.complete else ():
        if policy.policy_type != "sts" or not policy.policy_string or "sts-policy-invalid" in policy.result_types:
            continue
        needed = ["version", "mode", "max_age"] + ([] if policy.lines_of("mode")[:1] == ("none",) else ["mx"])
        lacking = [key for key in needed if not policy.lines_of(key)]
        if lacking and not (lacking == ["mx"] and policy.mx_host):
            where = f"{policy.where}.policy.policy-string"
            note = "either lines are left out here or the policy was not valid: only the published policy shows which"
            observed = f"no line for {', '.join(lacking)}"
            yield Departure("RPT-4.5-02", "lines-missing", where, "every line", observed, Grade.INFO, note)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-10", "RPT-4.5-02"))
def mx_patterns_match_policy(parsed: ParsedReport) -> Iterator[Departure]:
    """mx-host and the mx lines of policy-string name the same patterns, each in the spelling that it has to have.

    The lines are quoted as they were published, in U-labels and with a root dot if need be; mx-host has A-labels.
    """
    for policy in parsed.policies if parsed.complete else ():
        if policy.policy_type != "sts" or not policy.policy_string or "sts-policy-invalid" in policy.result_types:
            continue
        quoted_lines = {a_labels(value) for value in policy.lines_of("mx")}
        patterns = {a_labels(pattern) for pattern in policy.mx_host or ()}
        if patterns and quoted_lines < patterns:
            observed = f"no line for {', '.join(sorted(patterns - quoted_lines))}"
            where = f"{policy.where}.policy.policy-string"
            yield Departure("RPT-4.5-02", "mx-lines-missing", where, "the lines of mx-host", observed, note=ANY_ORDER)
        elif quoted_lines != patterns:
            where = f"{policy.where}.policy.mx-host"
            expected, observed = listed_apart(quoted_lines, patterns)
            expected = expected or "no pattern"
            observed = observed or ("mx-host is absent" if policy.mx_host is None else "no pattern")
            yield Departure("RPT-4.4-10", "mx-host-not-the-policys", where, expected, observed)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.5-01",))
def tlsa_records_are_well_formed(parsed: ParsedReport) -> Iterator[Departure]:
    """Each string of a DANE policy is one TLSA record in presentation form."""
    for where, _, line in _lines(parsed, "tlsa"):
        if tlsa_fields(line) is None:
            expected = "usage, selector, matching type and unbroken hex, one space between them"
            yield Departure("RPT-4.5-01", "not-a-tlsa-record", where, expected, quoted(line))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-08", "RPT-4.4-09"))
def policy_domain_is_a_domain(parsed: ParsedReport) -> Iterator[Departure]:
    """policy-domain is a domain name in A-labels."""
    for policy in parsed.policies:
        name, where = policy.policy_domain, f"{policy.where}.policy.policy-domain"
        if name is None:
            continue
        if not name.isascii():
            yield Departure("RPT-4.4-09", "u-label", where, "A-labels (xn--)", quoted(name))
        elif not is_domain(name):
            yield Departure("RPT-4.4-08", "not-a-domain", where, "a domain name", quoted(name))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-11",))
def mx_patterns_are_a_labels(parsed: ParsedReport) -> Iterator[Departure]:
    """Internationalised patterns in mx-host are written in A-labels."""
    for policy in parsed.policies:
        for number, pattern in enumerate(policy.mx_host or ()):
            if not pattern.isascii():
                where = f"{policy.where}.policy.mx-host[{number}]"
                yield Departure("RPT-4.4-11", "u-label", where, "A-labels (xn--)", quoted(pattern))


@check(scope=(Scope.CONTENT,), obligations=("RPT-4.4-08",))
def sts_policies_share_a_domain(parsed: ParsedReport) -> Iterator[Departure]:
    """All MTA-STS policies of a report are those of the domain that it is about.

    It is sent to the address of one policy domain and names that one in its file name and its fields (RFC 8460,
    sections 3, 5.1 and 5.3); several policies in it are of the same domain (section 4). Other types of policy may stand
    under the names of MX hosts, which nothing here shows.
    """
    first = ""
    for policy in parsed.policies:
        if policy.policy_type != "sts" or not policy.policy_domain:
            continue
        first = first or policy.policy_domain
        if a_labels(policy.policy_domain) != a_labels(first):
            note = "which of them does not belong here is known only to who made the report"
            where = f"{policy.where}.policy.policy-domain"
            expected, observed = quoted_apart(first, policy.policy_domain)
            yield Departure("RPT-4.4-08", "another-domain", where, expected, observed, Grade.INFO, note)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4-06",))
def one_block_per_policy(parsed: ParsedReport) -> Iterator[Departure]:
    """Two blocks on the same policy could have been one."""
    seen: dict[tuple[object, ...], str] = {}
    for policy in parsed.policies:
        identity = (policy.policy_type, policy.policy_string, policy.policy_domain, policy.mx_host)
        first = seen.setdefault(identity, policy.where)
        if first != policy.where:
            where, observed = policy.where, f"the same policy as in {first}"
            yield Departure("RPT-4-06", "two-blocks-for-a-policy", where, "one block", observed, Grade.INFO, MAY_SPLIT)


@check(scope=(Scope.CONTENT,), obligations=("RPT-4-02",))
def report_has_policies(parsed: ParsedReport) -> Iterator[Departure]:
    """A report has at least one policy."""
    if parsed.complete and parsed.content and not parsed.content.policies:
        note = "an empty array is an array, but such a report says nothing"
        if not any(departure.obligation == "RPT-4-02" for departure in parsed.departures):
            yield Departure("RPT-4-02", "no-policies", "policies", "at least one policy", "none", Grade.INFO, note)


def _limits(parsed: ParsedReport) -> tuple[Moment | None, Moment | None]:
    return (parsed.content.start, parsed.content.end) if parsed.content else (None, None)


def _date_departure(fault: str, where: str, moment: Moment) -> Departure:
    observed = quoted(moment.text)
    match fault:
        case names.HOUR_ABOVE_23:
            return Departure("DT-5.6-01", fault, where, "an hour from 00 to 23", observed, note=NO_24_HOURS)
        case names.NO_OFFSET:
            return Departure("DT-5.6-01", fault, where, "Z or a numeric offset at the end", observed)
        case names.BLANK_FOR_T:
            note = "a note in RFC 3339, section 5.6, lets specifications choose a blank; RFC 8460 does not"
            return Departure("RPT-4.4-02", fault, where, "a T between date and time", observed, Grade.WEAK, note)
        case _:
            return Departure("RPT-4.4-02", fault, where, "a date and time as 2026-03-01T00:00:00Z", observed)


def _lines(parsed: ParsedReport, policy_type: str) -> Iterator[tuple[str, Policy, str]]:
    for policy in parsed.policies:
        if policy.policy_type == policy_type:
            for number, line in enumerate(policy.policy_string or ()):
                yield f"{policy.where}.policy.policy-string[{number}]", policy, line


def _nothing_learnt(policy: Policy) -> bool:
    """Whether the failures say that no policy could be learnt; the same holds for DANE."""
    excuses = STS_DISCOVERY_FAILURES if policy.policy_type == "sts" else DANE_DISCOVERY_FAILURES
    return bool(policy.result_types & excuses)
