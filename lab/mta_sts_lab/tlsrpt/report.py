"""A TLS report as far as it could be read: frozen data, and nothing is added that the report does not say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mta_sts_lab.rfc.policy import values_of
from mta_sts_lab.tlsrpt.departures import Departure
from mta_sts_lab.tlsrpt.mail import Message
from mta_sts_lab.tlsrpt.names import Moment, domain_of

#: The members of a report itself, all obligatory.
TOP_MEMBERS = ("organization-name", "date-range", "contact-info", "report-id", "policies")


@dataclass(frozen=True, slots=True)
class Failure:
    """One element of failure-details (RFC 8460, section 4.4). None: not there, or of no use.

    `identity` is equal for two entries that differ in their count alone. `draft_names` are members under the names that
    early drafts gave them.
    """

    where: str
    result_type: str | None = None
    sending_mta_ip: str | None = None
    receiving_mx_hostname: str | None = None
    receiving_mx_helo: str | None = None
    receiving_ip: str | None = None
    failed_session_count: int | None = None
    additional_information: str | None = None
    failure_reason_code: str | None = None
    draft_names: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """One element of policies: an applied policy, its two counters and its failures.

    `failures` is None where failure-details is not there at all. `mx_host_is_text` is True for one string where an
    array belongs.
    """

    where: str
    policy_type: str | None = None
    policy_string: tuple[str, ...] | None = None
    policy_domain: str | None = None
    mx_host: tuple[str, ...] | None = None
    mx_host_is_text: bool = False
    successful: int | None = None
    failed: int | None = None
    failures: tuple[Failure, ...] | None = None
    draft_names: tuple[str, ...] = ()

    @property
    def result_types(self) -> frozenset[str]:
        """Which result types the failures have."""
        return frozenset(failure.result_type for failure in self.failures or () if failure.result_type)

    def lines_of(self, key: str) -> tuple[str, ...]:
        """Return the values that an MTA-STS policy's lines give to a key, blanks around them left out."""
        return values_of(self.policy_string or (), key)


@dataclass(frozen=True, slots=True)
class Report:
    """The JSON of a report. `members` are the names of its own members, sorted, as many as are looked at."""

    organization_name: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    contact_info: str | None = None
    report_id: str | None = None
    policies: tuple[Policy, ...] = ()
    members: tuple[str, ...] = ()

    @property
    def range(self) -> tuple[datetime | None, datetime | None]:
        """The limits of date-range; None for one that is absent or cannot be read."""
        return (self.start.instant if self.start else None), (self.end.instant if self.end else None)


class Kind(StrEnum):
    """What the input is, judged by its content."""

    MAIL = "mail message"
    GZIP = "gzip file"
    JSON = "JSON text"
    EMPTY = "nothing at all"
    UNKNOWN = "neither mail, gzip nor JSON"


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """Everything that could be read of the input, and every departure that was met while reading.

    `media_type` is that of the HTTP request, empty for a file. `packed`: whether the data was gzip, None without data.
    `content` is None where no report was found; where `complete` is False nothing follows from what is missing.
    `problem` says why there is no content, and `beyond_limit` that a bound of the lab is the reason.
    """

    kind: Kind
    media_type: str = ""
    file_name: str = ""
    packed: bool | None = None
    message: Message | None = None
    content: Report | None = None
    complete: bool = False
    departures: tuple[Departure, ...] = ()
    problem: str = ""
    beyond_limit: bool = False

    @property
    def policy_domains(self) -> tuple[str, ...]:
        """The policy-domain of every block that names one."""
        return tuple(policy.policy_domain for policy in self.policies if policy.policy_domain)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The blocks of the report, none where there is no report."""
        return self.content.policies if self.content else ()

    @property
    def contact_domain(self) -> str:
        """The domain of contact-info; empty where it has none."""
        return domain_of(self.content.contact_info) if self.content else ""
