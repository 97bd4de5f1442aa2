"""Checks of the TXT records: `_mta-sts` (RFC 8461, section 3.1) and `_smtp._tls` (RFC 8460, section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from mta_sts_lab.policy_check.given import Finding, Given, GivenRecord, Level
from mta_sts_lab.policy_check.registry import Scope, check
from mta_sts_lab.rfc.addresses import is_addr_spec, is_uri
from mta_sts_lab.rfc.domain_names import a_labels
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
    unreachable = [uri for uri in given.reports.usable if not _can_get_reports(uri)]
    usable = [uri for uri in given.reports.usable if uri not in unreachable]
    for fault in given.reports.faults:
        effect = "Some senders may not use the record then." if usable else NO_REPORTS
        yield _finding(given.report_records, REPORT_VERSION, fault, effect)
    for uri in unreachable:
        what = f"no report can get to {uri[:80]!r}: it is neither mailto: with an address nor https: with a host"
        level, effect = (Level.ADVICE, "Reports go to the others.") if usable else (Level.PROBLEM, NO_REPORTS)
        yield _finding(given.report_records, REPORT_VERSION, what, effect, level)
    if not usable and not unreachable and not given.reports.faults:
        what = "no address of it is a mailto: or https: URI"
        yield _finding(given.report_records, REPORT_VERSION, what, NO_REPORTS)


def _can_get_reports(uri: str) -> bool:
    """Whether there is a mailbox, or a web server's name, in a URI of a scheme that reports can be sent to."""
    if not is_uri(uri):
        return False
    try:
        parts = urlsplit(uri)
        if parts.scheme == "mailto":
            local_part, at, domain = unquote(parts.path).rpartition("@")
            return not parts.netloc and is_addr_spec(f"{local_part}{at}{a_labels(domain)}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        # A bracket without its partner, no address in between, or a port that is none.
        return False


def _finding(
    records: Sequence[GivenRecord], version: str, what: str, effect: str, level: Level = Level.PROBLEM
) -> Finding:
    """Return what is wrong with the record that counts; with all of them if none does."""
    counts = select([record.text for record in records], version)
    about = [record for record in records if record.text == counts] or list(records)
    hint = "" if counts else _hint(about, version)
    text = " | ".join(record.text.decode("utf-8", "replace") for record in about)
    return Finding(level, about[0].source, what, f"{hint} {effect}".strip(), text=text)


def _hint(records: Sequence[GivenRecord], version: str) -> str:
    begin = [record for record in records if record.text.startswith(f"{version};".encode())]
    if len(begin) > 1:
        return "Two records are as good as none: remove one."
    text = records[0].text.strip()
    if text.startswith(version.encode()):
        return "A semicolon stands right behind the version."
    return f"The record begins with {version}; in this spelling, without blanks." if text else "The record is empty."
