"""What a target says about itself, and what it can claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: The capability that a case needs whose hosts have addresses in both families. The run has to have it, too.
IPV6 = "ipv6"

#: The capability that a case needs which waits until a message has been in the queue for days.
QUEUE_CLOCK = "queue-clock"

#: The capabilities that a case needs whose recipient is behind a smart host, or at an address; see `Message.to`.
SMART_HOST = "smart-host"
ADDRESS_LITERALS = "address-literals"

#: The capability of a target that does DANE and validates by itself, with the trust anchor that the lab gives it. The
#: domain of a case that needs it is below that anchor, with real signatures.
DNSSEC = "dnssec"

#: What a target can claim; see `About`.
CAPABILITIES = (
    *("mta-sts", "tls-rpt", "dane", DNSSEC, "requiretls", "tls-required"),
    *(QUEUE_CLOCK, SMART_HOST, ADDRESS_LITERALS),
)


#: How a report travels (RFC 8460, section 5).
ReportChannel = Literal["https", "mailto"]


@dataclass(frozen=True, slots=True)
class About:
    """What a target says about itself.

    `capabilities` are of: mta-sts, tls-rpt, dane, dnssec, requiretls, tls-required, queue-clock, smart-host,
    address-literals. Who claims dane has the lab's resolver say what DNSSEC vouches for; with dnssec it validates by
    itself. requiretls is the ESMTP extension of RFC 8689, and tls-required its header field; queue-clock says that
    moving the target's clock makes the messages in its queue older, too; smart-host, that mail to `behind.<domain>` is
    relayed to `<domain>`; address-literals, that mail to `[198.18.0.1]` is sent there. In a record `ipv6` is among them
    where the hosts of a case can have addresses in both families.
    """

    name: str
    versions: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    #: Seconds that a message must have been held before another attempt at it, also one that was asked for by `flush`,
    #: is made as the target's own retries are. Some senders are laxer with an older message (Postfix goes on in clear
    #: after a broken handshake once a message is older than its shortest back-off), and a hold is only proved after
    #: that.
    retry_seconds: float = 0.0
    #: Whether a learned policy is kept when the target ends: persistent or volatile.
    policy_cache: str = "persistent"
    #: The DKIM key records that its report mail needs: owner name -> the whole TXT text. The lab publishes them.
    dkim_records: Mapping[str, str] = field(default_factory=dict)
    #: Seconds for which it may go on with an answer of DNS whose time to live is 0 (OpenSMTPD keeps the MX hosts of a
    #: domain that it has just delivered to). A forged answer meets it only after that.
    dns_memory_seconds: float = 0.0
    #: Whether each call for reports ends the day on a calendar that its reporter has for itself, and that no change of
    #: the clock touches. Otherwise reports name days by the target's clock.
    reports_end_the_day: bool = False
    #: How its reports travel: `https`, `mailto` or both (RFC 8460, section 5, leaves the choice). Empty: it does not
    #: say, and is expected to use whatever a domain names.
    report_channels: tuple[ReportChannel, ...] = ()
    #: Seconds that it lets pass between attempts of its own, where that is more than `retry_seconds`: what has to be
    #: waited for where no attempt can be asked for. Where the pauses grow, four times this has to cover the first two
    #: of them together, and the third: a hold is proved by three attempts, and a fourth one delivers.
    own_retry_seconds: float = 0.0
    #: Capabilities that it claims, too, and that nobody can look at in this run.
    set_aside: tuple[str, ...] = ()
    #: Members of its answer, and capabilities in it, that the contract does not know.
    unknown: tuple[str, ...] = ()
    #: In words: where it is configured better than what its users install, by its folder's own account.
    better_than_packaged: tuple[str, ...] = ()

    def pause_seconds(self, asked: bool) -> float:
        """Return the seconds from one attempt at a message to the next, `asked` for or the target's own."""
        return self.retry_seconds if asked else max(self.retry_seconds, self.own_retry_seconds)
