"""Runs the checks over what was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import mta_sts_lab.policy_check.checks  # noqa: F401 - registers the checks
from mta_sts_lab.policy_check.given import Finding, Given, Level
from mta_sts_lab.policy_check.outlook import Outlook, outlook_of
from mta_sts_lab.policy_check.registry import Scope, check


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings in the order of the files and lines, what senders will do, and what was not looked at."""

    findings: tuple[Finding, ...]
    outlook: Outlook
    not_checked: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that keep senders from using it, or make mail wait."""
        return tuple(finding for finding in self.findings if finding.level is Level.PROBLEM)


def check_given(given: Given) -> Checked:
    """Check everything that was given. Never raises, whatever the octets are."""
    scopes = {
        Scope.POLICY: given.policy is not None,
        Scope.RECORDS: bool(given.records),
        Scope.HOSTS: bool(given.mx),
        Scope.CERTIFICATES: bool(given.certificates),
    }
    findings = [replace(finding, check=one.id) for one in check if scopes[one.scope] for finding in one.function(given)]
    sources = list(dict.fromkeys(finding.source for finding in findings))
    findings.sort(key=lambda finding: (sources.index(finding.source), finding.line))
    return Checked(tuple(findings), outlook_of(given), tuple(_not_checked(given, scopes)))


def _not_checked(given: Given, scopes: dict[Scope, bool]) -> Iterator[str]:
    for scope, there in scopes.items():
        if not there:
            yield scope.value
    if given.records and given.announced is None:
        yield "the TXT record at _mta-sts"
    if given.certificates and not given.roots:
        yield "whether senders trust the issuers of the certificates"
