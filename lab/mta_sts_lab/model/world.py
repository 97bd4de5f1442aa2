"""The world of one step: what the recipient's domain publishes, and how its hosts behave.

Everything is valid by default; a scenario states its one defect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Family(StrEnum):
    """A family of addresses: version 4 or 6 of the Internet Protocol."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


#: The types of address records, by the family of the address.
ADDRESS_TYPES: Mapping[Family, str] = {Family.IPV4: "A", Family.IPV6: "AAAA"}


#: The certificate variants that name a place of their authority's list of revoked certificates (RFC 5280, section
#: 4.2.1.13) and that a sender may refuse for what it finds there: this certificate is listed, or there is no list.
#: MTA-STS permits to look (RFC 8461, sections 3.3 and 4.2) and does not demand it, so that they are valid as well.
REVOKED = "revoked"
WITHOUT_LIST = "without-list"
MAY_BE_REFUSED = (REVOKED, WITHOUT_LIST)

#: The others that name such a place: another certificate is listed, or this one is listed by somebody who is not the
#: authority, and the authority's own list is at a second place.
NOT_REVOKED = "not-revoked"
REVOKED_BY_A_STRANGER = "revoked-by-a-stranger"

WITH_REVOCATION_LIST = (*MAY_BE_REFUSED, NOT_REVOKED, REVOKED_BY_A_STRANGER)

#: The certificate variants of a host that are valid for it, in spite of what is unusual in them.
_UNUSUAL_AND_VALID = (
    "capitals",
    "hundred-names",
    "rsa",
    "below-intermediate",
    "within-name-constraints",
    "path-at-its-limit",
    *WITH_REVOCATION_LIST,
)

#: Those whose alternative names do not fit the host.
NAMED_OTHERWISE = (
    "partial-wildcard",
    "inner-wildcard",
    "double-wildcard",
    "bare-wildcard",
    "wildcard-below",
    "wildcard-above",
    "sibling",
    "for-alias",
    "address",
    "address-as-name",
    "uri",
    "mailbox",
    "cn-beside-other-name",
    "cn-beside-address",
)

#: Those that fit, and that no sound authority would have signed, or signed so.
ISSUED_UNSOUNDLY = (
    "client-usage",
    "unknown-critical-extension",
    "leaf-as-issuer",
    "path-too-long",
    "outside-name-constraints",
    "excluded-by-name-constraints",
    "expired-intermediate",
    "sha1-signed",
    "bad-signature",
)

CERTIFICATE_VARIANTS = (
    "valid",
    "expired",
    "not-yet-valid",
    "wrong-name",
    "self-signed",
    "untrusted",
    "missing-intermediate",
    "cn-only",
    "wildcard",
    "for-domain",
    *NAMED_OTHERWISE,
    *ISSUED_UNSOUNDLY,
    "service-name",
    "nul-in-name",
    *_UNUSUAL_AND_VALID,
)

#: All that are valid for the host.
CERTIFICATES_THAT_VERIFY = ("valid", "wildcard", *_UNUSUAL_AND_VALID)


#: What a validating resolver says of an answer (RFC 4035, section 4.3). Of the last two it gives nothing but SERVFAIL.
SECURITY_STATES = ("secure", "insecure", "bogus", "indeterminate")

#: What a TLSA record of a scenario can be about, beside the certificate variants of its host: the certificate that the
#: host shows, the topmost of those that it shows, the authority that targets trust, the one that nobody trusts, and a
#: certificate that nobody shows.
TLSA_SUBJECTS = ("shown", "topmost", "authority", "stranger", "nobody", *CERTIFICATE_VARIANTS)


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record (RFC 6698, section 2.1) of a receiving host."""

    usage: int = 3
    selector: int = 1
    matching: int = 1
    #: Whose certificate or key it holds: one of `TLSA_SUBJECTS`.
    of: str = "shown"
    #: Octets that its data lacks at the end.
    cut: int = 0


@dataclass(frozen=True, slots=True)
class MxHost:
    """A receiving host that the recipient's domain names in an MX record.

    `name` is relative to the case's domain (`"mx1"`, `"a.mail"`, or `""` for the domain itself).
    """

    name: str = "mx1"
    preference: int = 10
    certificate: str = "valid"
    starttls: bool = True
    #: Whether it offers no other extension than STARTTLS and REQUIRETLS.
    offers_tls_alone: bool = False
    #: Show the right certificate only to a client that names this host in SNI; others see one for another name.
    sni_required: bool = False
    #: Whether the host answers on port 25 at all.
    reachable: bool = True
    #: Whether an MX record names it. A domain without any is its own mail host (RFC 5321, section 5.1).
    mx_record: bool = True
    #: Whether that record holds its address in place of its name, against RFC 1035, section 3.3.9.
    by_address: bool = False
    #: What it calls itself in its greeting; empty: its own name.
    calls_itself: str = ""
    #: Seconds from a connection to the greeting.
    greets_after: float = 0.0
    #: The family of the address at which it does not answer on port 25; null: it answers at each.
    dead_over: Family | None = None
    #: Whether its name has addresses in DNS.
    address: bool = True
    #: The one family in which its name has an address; null: each family of the run. A run without that family leaves
    #: the address that there is.
    only_over: Family | None = None
    #: How many TLS 1.3 session tickets it sends behind each handshake. None of them can be used again.
    session_tickets: int = 0
    #: The only version of TLS that it speaks; empty: 1.2 and 1.3.
    tls_version: Literal["", "1.2", "1.3"] = ""
    #: Whether it takes cipher suites that encrypt nothing, and no others; TLS 1.3 has none of these.
    null_ciphers: bool = False
    #: Its TLSA records. In an `absent` case there are none.
    tlsa: tuple[Tlsa, ...] = ()
    #: What a validating resolver says of its addresses; empty: what it says of the whole domain.
    address_security: str = ""
    #: The same of its TLSA records, or of the statement that there are none.
    tlsa_security: str = ""
    #: Whether the name of its TLSA records is an alias (CNAME), and they stand where it leads.
    tlsa_alias: bool = False
    #: The name that its own is an alias (CNAME) of, relative to the domain; empty: it is no alias.
    alias_of: str = ""
    #: What a validating resolver says of that alias alone; empty: what it says of the whole domain.
    alias_security: str = ""
    #: A name between that alias and where it leads, which is an alias as well; empty: there is none.
    alias_through: str = ""
    #: Where its TLSA records are if it is an alias: below its own name, below the name that it leads to, or below the
    #: name between them.
    tlsa_below: Literal["alias", "target", "between"] = "alias"
    #: TLSA records below its own name if it is an alias, beside those that are elsewhere.
    tlsa_of_alias: tuple[Tlsa, ...] = ()
    #: Whether it sends the certificate of its authority behind its own, as DANE-TA wants it.
    sends_authority: bool = False
    #: Whether it wants each recipient to be named twice before it takes mail for it ("greylisting").
    greylists: bool = False
    #: Where it announces REQUIRETLS (RFC 8689, section 2): inside TLS, where it counts, or in clear alone.
    requiretls: Literal["nowhere", "inside-tls", "in-clear"] = "nowhere"
    #: What it refuses for good: each recipient (550), or each message behind its final dot (554).
    refuses: Literal["", "recipients", "messages"] = ""
    #: Seconds that it takes over each reply, the greeting among them.
    answers_after: float = 0.0
    #: Whether it takes no mail outside of TLS: MAIL is answered 530 there (RFC 3207, section 4).
    insists_on_tls: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The MTA-STS policy that is published (RFC 8461, section 3.2)."""

    #: One of enforce, testing, none; empty means: the case's own mode.
    mode: str = ""
    #: `mx` patterns, relative to the domain like `MxHost.name` (`"*.mail"` is legal); empty means: every MX host's
    #: name.
    mx: tuple[str, ...] = ()
    #: Seconds.
    max_age: int = 604800
    #: Any change makes another policy id.
    revision: int = 1
    #: The body line by line, for bodies that are wrong on purpose; `{mode}`, `{max_age}` and `{mx}` (a pattern; such a
    #: line is repeated for each) are filled in. Empty means the canonical body.
    lines: tuple[str, ...] = ()
    #: Whether the last line of the body has a line end, which the grammar leaves free.
    last_line_end: bool = True
    #: Octets that lines with an unknown field behind the others make of the body; 0: there are no such lines.
    padded_to: int = 0


class Stall(StrEnum):
    """How an answer never comes to its end."""

    HALF = "half"
    DRIP = "drip"
    ENDLESS = "endless"


@dataclass(frozen=True, slots=True)
class PolicyHost:
    """The HTTPS host `mta-sts.<domain>` (RFC 8461, section 3.3)."""

    certificate: str = "valid"
    status: int = 200
    content_type: str = "text/plain"
    #: Where a 3xx answer points: a path on the same host, which serves the valid policy, or on another one below the
    #: domain (`//elsewhere/mta-sts.txt`). Empty: no Location header.
    location: str = ""
    #: Further header fields of its answer: "Cache-Control: max-age=60".
    headers: tuple[str, ...] = ()
    #: How the body of its answer stalls, behind half of it (`half`) or at an octet a second (`drip`), or goes on with
    #: ever more lines (`endless`); null: not.
    stalls: Stall | None = None
    #: How its answer tells where it ends: by its length, by its last chunk, or (`close`) by the end of the connection.
    framing: Literal["length", "chunked", "close"] = "length"
    #: Whether its answer comes a piece at a time, with pauses between them: the header, and the body in two halves.
    in_pieces: bool = False
    #: Whether its answer breaks off before the last line of the policy, together with the connection, without
    #: close_notify.
    cut: bool = False
    #: Whether the host answers on port 443 at all.
    reachable: bool = True
    #: The family of the address at which it does not answer; null: it answers at each.
    dead_over: Family | None = None
    #: The name that its own is an alias (CNAME) of, relative to the domain; empty: it is no alias. It answers to both.
    alias_of: str = ""
    #: Whether it serves the policy on port 80 as well, by plain HTTP.
    plain_http: bool = False


@dataclass(frozen=True, slots=True)
class Dns:
    """What the domain's own zone says beside the MX and address records."""

    #: The TXT records at `_mta-sts.<domain>`; `{id}` is the policy id.
    sts_records: tuple[str, ...] = ("v=STSv1; id={id};",)
    #: Octets of each character-string of those records (RFC 1035, section 3.3.14); 0: as many as it can hold.
    sts_string_length: int = 0
    #: How many aliases (CNAME) lead from `_mta-sts.<domain>` to where those records stand.
    sts_aliases: int = 0
    #: Where those records stand, relative to the domain: only at `_mta-sts` they count. Empty: at the domain itself.
    sts_name: str = "_mta-sts"
    #: What a validating resolver says of the domain's answers: one of `SECURITY_STATES`. In an `absent` case they are
    #: all insecure.
    security: str = "insecure"
    #: The same of the MX records alone; empty: as the others.
    mx_security: str = ""
    #: The name that the domain's own is an alias (CNAME) of, relative to the domain; its MX records are there. Empty:
    #: it is no alias.
    alias_of: str = ""
    #: Whether a domain that is really signed, and insecure because its parent does not vouch for it, has signatures all
    #: the same.
    island: bool = False


#: What a TLS-RPT record of a scenario can have filled in; see `Reports`.
REPORT_PLACES = ("https", "mailto", "own", "report_domain")


@dataclass(frozen=True, slots=True)
class Reports:
    """Where the domain wants TLS-RPT reports (RFC 8460, section 3), and how the lab's places for them behave.

    In a record these words are filled in: `{https}`, a URI of the lab's report host; `{mailto}`, one of a mailbox of
    the lab's; `{own}`, one of a mailbox at the domain itself, behind its own MX hosts; and `{report_domain}`, the part
    behind the `@` of `{mailto}`, for other mailboxes there. What stands behind a URI belongs to it: `{https}/a%2Cb`.
    """

    #: The TXT records at `_smtp._tls.<domain>`.
    records: tuple[str, ...] = ("v=TLSRPTv1; rua={https},{mailto}",)
    #: Octets of each character-string of a record (RFC 1035, section 3.3.14); 0: as many as it can hold.
    string_length: int = 0
    #: Whether the name `_smtp._tls.<domain>` is an alias (CNAME), and the records stand where it leads.
    alias: bool = False
    #: The TXT records at `_smtp._tls.<MX host>`, for each MX host. No sender has to look there, except under DANE.
    at_mx: tuple[str, ...] = ()
    #: What the report host answers to a report: an HTTP status, or 0: nothing at all to the first of a step, until the
    #: client gives up, and 503 to those behind it.
    status: int = 201
    #: Where a 3xx answer points, behind the path that was asked for; reports are taken there. Empty: nowhere.
    location: str = ""
    #: The certificate of the report host. Any variant but `valid` gives the case a report host's name of its own.
    certificate: str = "valid"
    #: What the lab's mailbox answers to a report: 250, 451 (not now) or 550 (never).
    mail_reply: int = 250


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the recipient's domain runs and publishes in one step."""

    mx: tuple[MxHost, ...] = (MxHost(),)
    policy: Policy = field(default_factory=Policy)
    policy_host: PolicyHost = field(default_factory=PolicyHost)
    dns: Dns = field(default_factory=Dns)
    reports: Reports = field(default_factory=Reports)
    #: The MX host of the domain that the case's messages come from, and where their bounces go; without one it is the
    #: lab's. That domain is below the recipient's, and its answers are as secure.
    return_host: MxHost | None = None
    #: Whether the domain's name has letters outside of ASCII. In DNS, SMTP, policies and certificates it stands in
    #: A-labels (RFC 5890, section 2.3.2.1). What the first step says holds.
    internationalised: bool = False
    #: Whether the domain is a part of another one that has a policy of mode enforce, which lists none of these hosts.
    #: What the first step says holds.
    parent_policy: bool = False
    #: The mode of a policy that `behind.<domain>` has, mail for which is relayed to the domain as a smart host. That
    #: policy lists none of these hosts. Empty: there is none. What the first step says holds.
    recipient_policy: Literal["", "enforce", "testing", "none"] = ""

    @property
    def routing(self) -> tuple[object, ...]:
        """What DNS says of which hosts the domain has: equal where a sender that remembers it meets the same."""
        hosts = frozenset((mx.name, mx.preference, mx.by_address) for mx in self.mx if mx.mx_record)
        return hosts, self.dns.security, self.dns.mx_security, self.dns.alias_of, self.dns.island
