"""Checks of the TXT records: `_mta-sts` (RFC 8461, section 3.1) and `_smtp._tls` (RFC 8460, section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mta_sts_lab.policy_check.given import Finding, Given, GivenRecord, Level
from mta_sts_lab.policy_check.registry import Scope, check
from mta_sts_lab.rfc.txt_records import REPORT_VERSION, STS_VERSION, select

NO_POLICY = "Senders take it that the domain has no policy; those that know an older one keep to it until it ends."
NO_REPORTS = "Nobody sends TLS reports: failures at other people's mail servers stay unknown to you."


@check(scope=Scope.RECORDS)
def policy_record(given: Given) -> Iterator[Finding]:
    """Exactly one record announces the policy, with an id."""
    if given.announced is not None:
        for fault in given.announced.faults:
            what = fault.replace("no id:", "the id is not 1 to 32 letters and digits:")
            yield _finding(given.sts_records, STS_VERSION, what, NO_POLICY)


@check(scope=Scope.RECORDS)
def report_record_is_usable(given: Given) -> Iterator[Finding]:
    """Exactly one record says where reports are wanted."""
    if given.reports is None:
        if given.announced is not None:
            what = f"there is no TLS-RPT record ({REPORT_VERSION}) beside it"
            yield Finding(Level.ADVICE, given.sts_records[0].source, what, NO_REPORTS)
        return
    usable = given.reports.usable
    for fault in given.reports.faults:
        effect = "Some senders may not use the record then." if usable else NO_REPORTS
        yield _finding(given.report_records, REPORT_VERSION, fault, effect)
    if not usable and not given.reports.faults:
        what = "no address of it is a mailto: or https: URI"
        yield _finding(given.report_records, REPORT_VERSION, what, NO_REPORTS)


def _finding(records: Sequence[GivenRecord], version: str, what: str, effect: str) -> Finding:
    """Return a problem with the record that counts; with all of them if none does."""
    counts = select([record.text for record in records], version)
    about = [record for record in records if record.text == counts] or list(records)
    hint = "" if counts else _hint(about, version)
    text = " | ".join(record.text.decode("utf-8", "replace") for record in about)
    return Finding(Level.PROBLEM, about[0].source, what, f"{hint} {effect}".strip(), text=text)


def _hint(records: Sequence[GivenRecord], version: str) -> str:
    begin = [record for record in records if record.text.startswith(f"{version};".encode())]
    if len(begin) > 1:
        return "Two records are as good as none: remove one."
    text = records[0].text.strip()
    if text.startswith(version.encode()):
        return "A semicolon stands right behind the version."
    return f"The record begins with {version}; in this spelling, without blanks." if text else "The record is empty."
