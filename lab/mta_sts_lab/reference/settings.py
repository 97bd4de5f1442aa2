"""What can be set on the reference sender: its names, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mta_sts_lab.model.target import ReportChannel
from mta_sts_lab.model.world import Family

DAY = 86400.0

#: What is done about revoked certificates. RFC 8461 permits each of these, so that none is a flaw: to ask for the list
#: of the authority and refuse what stands in it, not to ask, or to refuse a certificate as well whose list is not to be
#: had.
Revocation = Literal["checked", "unchecked", "demanded"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Names and times. All times are seconds; those marked *virtual* run on the sender's own clock."""

    hostname: str = "mta.sender.example"
    #: What it calls itself; empty: `reference`, with the names of its flaws.
    name: str = ""
    sender_domain: str = "sender.example"
    #: The DKIM key of report mail is published at this name under `_domainkey` of the sender's domain.
    dkim_selector: str = "lab"
    #: The DKIM key itself (RSA, PEM). Without one the sender makes its own and keeps it in its directory.
    dkim_key: str = ""
    #: The families in which it connects to hosts, in this order. RFC 6724, section 2.1 puts IPv6 first.
    families: tuple[Family, ...] = (Family.IPV6, Family.IPV4)
    #: How reports travel: `https`, `mailto` or both. Addresses of another kind are passed over.
    report_channels: tuple[ReportChannel, ...] = ("https", "mailto")
    revocation: Revocation = "checked"
    #: Virtual. The pause after the first failed attempt; it doubles up to `longest_retry_seconds`.
    retry_seconds: float = 300.0
    #: Virtual. Mail is tried at least this often.
    longest_retry_seconds: float = 3600.0
    #: Virtual. RFC 5321, section 4.5.4.1: giving up takes at least four to five days.
    queue_lifetime: float = 5 * DAY
    connect_seconds: float = 30.0
    #: One command of SMTP or one handshake. RFC 5321 suggests minutes; no honest host of the lab takes one second.
    command_seconds: float = 30.0
    #: RFC 8461, section 3.3 suggests one minute.
    fetch_seconds: float = 60.0
    #: A report from the first packet to the answer. RFC 8460 names no time.
    report_seconds: float = 60.0
    #: One try of one DNS query, of two.
    lookup_seconds: float = 2.0
    #: Deliveries at one time. Beyond some dozens they only lengthen each other and run into their own deadlines.
    parallel_deliveries: int = 50
    #: Reports on their way at one time. All of a day leave in one call, and each has to arrive within its own deadline.
    parallel_reports: int = 8


#: In process a host that stalls costs the whole catalogue its time-out, so they are short. They are long enough for a
#: lab whose turns of the event loop take 0.2 s: each of the two tries of a look-up has ten of them, a report two dozen.
#: The lab says of a loop that is slower that it is not in order. All reports of a run leave in one call behind
#: everything else, and a report host that stalls costs that call its whole time-out.
IN_PROCESS = Settings(
    connect_seconds=6.0, command_seconds=6.0, fetch_seconds=6.0, report_seconds=5.0, lookup_seconds=2.0
)
