"""A TLS report in a line, for the timelines: what it says in short, and what it was answered."""

from __future__ import annotations

from mta_sts_lab.events import ReportReceived
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.tlsrpt import ParsedReport, parse_report


def report_line(fact: ReportReceived) -> str:
    """Return a received report as one line. It was written by the target, and is made visible here."""
    how = "posted" if fact.transport == "https" else "mailed"
    answer = f"answered {fact.status}" if fact.status else "never answered"
    if fact.size > len(fact.octets):
        return (
            f"TLS-RPT report {how} to {escape_unprintable(fact.place)}, {fact.size} octets, too many to keep; {answer}"
        )
    parsed = parse_report(fact.octets, (fact.media_type or "none") if fact.transport == "https" else None)
    return f"TLS-RPT report {how}, {_in_short(parsed)}; {answer}"


def _in_short(parsed: ParsedReport) -> str:
    if not parsed.policies:
        return f"which says nothing ({escape_unprintable(parsed.trouble or 'no policies')})"
    domains = ", ".join(escape_unprintable(name) for name in dict.fromkeys(parsed.policy_domains)) or "no domain"
    good = sum(policy.successful or 0 for policy in parsed.policies)
    failed = sum(policy.failed or 0 for policy in parsed.policies)
    types = sorted({kind for policy in parsed.policies for kind in policy.result_types})
    named = ", ".join(escape_unprintable(kind) for kind in types) or "no failure"
    return f"about {domains}: {good} sessions good, {failed} failed ({named})"
