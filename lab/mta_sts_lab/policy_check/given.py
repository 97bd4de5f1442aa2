"""What is checked, as it was given, and what a check says about it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from cryptography.x509 import Certificate

from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.rfc.policy import Policy, read_policy
from mta_sts_lab.rfc.txt_records import ReportRecord, StsRecord, report_record, sts_record


@dataclass(frozen=True, slots=True)
class GivenPolicy:
    """The body of a policy, and the name of the file that it came from."""

    source: str
    body: bytes


@dataclass(frozen=True, slots=True)
class GivenRecord:
    """The whole text of one TXT record, and where it came from."""

    source: str
    text: bytes

    @property
    def is_for_reports(self) -> bool:
        """Whether it seems to be meant as a TLS-RPT record (`_smtp._tls`) and not as one of MTA-STS (`_mta-sts`)."""
        return self.text.lstrip().lower().startswith(b"v=tlsrpt")


@dataclass(frozen=True, slots=True)
class GivenCertificate:
    """What a host shows: its own certificate, and those that it sends behind it. An empty host: every MX host."""

    source: str
    host: str
    leaf: Certificate
    chain: tuple[Certificate, ...] = ()


@dataclass(frozen=True)
class Given:
    """Everything that was given. `mx` are names as they were typed; `roots` are trusted; `now` is aware of its zone."""

    now: datetime.datetime
    policy: GivenPolicy | None = None
    records: tuple[GivenRecord, ...] = ()
    mx: tuple[str, ...] = ()
    certificates: tuple[GivenCertificate, ...] = ()
    roots: tuple[Certificate, ...] = ()

    @cached_property
    def read(self) -> Policy | None:
        """What the policy says, as far as it can be read."""
        return read_policy(self.policy.body) if self.policy else None

    @property
    def sts_records(self) -> tuple[GivenRecord, ...]:
        """The records that are not meant for TLS-RPT."""
        return tuple(record for record in self.records if not record.is_for_reports)

    @property
    def report_records(self) -> tuple[GivenRecord, ...]:
        """The records that are meant for TLS-RPT."""
        return tuple(record for record in self.records if record.is_for_reports)

    @cached_property
    def announced(self) -> StsRecord | None:
        """What the records say of a policy; None if none of them is about that."""
        return sts_record([record.text for record in self.sts_records]) if self.sts_records else None

    @cached_property
    def reports(self) -> ReportRecord | None:
        """What the records say of reports; None if none of them is about that."""
        return report_record([record.text for record in self.report_records]) if self.report_records else None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The MX hosts as they stand in DNS: in lower case, in A-labels, without a final dot; each once."""
        return tuple(dict.fromkeys(a_labels(name) for name in self.mx))

    def shown(self) -> Iterator[tuple[str, GivenCertificate]]:
        """Yield each host with a certificate that it shows."""
        for certificate in self.certificates:
            for host in (a_labels(certificate.host),) if certificate.host else self.hosts:
                yield host, certificate


class Level(StrEnum):
    """How bad a finding is."""

    #: Senders cannot use it, or mail waits.
    PROBLEM = "problem"
    #: It works, and is probably not what was meant, or not wise.
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and what senders make of it. `line` counts from 1; 0: no line of its own."""

    level: Level
    source: str
    what: str
    effect: str
    line: int = 0
    #: The line itself, as it was given.
    text: str = ""
    #: The id of the check. `check_given` sets it.
    check: str = ""
