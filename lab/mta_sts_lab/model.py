"""The words of the lab, as frozen data. Each word means one thing; docs/glossary.md explains them.

A *scenario* is a story. A *case* is a scenario under one policy mode and, where the scenario lists them, one vector. A
*step* is a phase of a case. An *outcome* is what happened to one message in one step. A *verdict* is the
result of a case, made of *judgements*, each on one obligation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Mode(StrEnum):
    """What the recipient's domain publishes: a policy (RFC 8461, section 5), or none.

    `dane` is DANE (RFC 7672) without a policy; a domain with a policy may have DANE as well, by its world. `absent` is
    neither, whatever the world says: the control case.
    """

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"
    DANE = "dane"
    ABSENT = "absent"

    @property
    def has_policy(self) -> bool:
        """Whether the domain publishes an MTA-STS policy."""
        return self in (Mode.ENFORCE, Mode.TESTING, Mode.NONE)


class Family(StrEnum):
    """A family of addresses: version 4 or 6 of the Internet Protocol."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


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

#: The types of address records, by the family of the address.
ADDRESS_TYPES: Mapping[Family, str] = {Family.IPV4: "A", Family.IPV6: "AAAA"}


class Outcome(StrEnum):
    """What happened to one message in one step.

    *Authenticated* means: accepted by a host that the recipient's domain really named and that the policy in force
    lists, inside TLS that ended at that host, under a certificate that is valid for it.
    """

    DELIVERED_AUTHENTICATED = "delivered-authenticated"
    DELIVERED_UNAUTHENTICATED = "delivered-unauthenticated"
    DELIVERED_CLEAR = "delivered-clear"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    LOST = "lost"
    UNSETTLED = "unsettled"

    @property
    def delivered(self) -> bool:
        """Whether some host accepted the message."""
        return self.value.startswith("delivered")


class Grade(StrEnum):
    """The result of one judgement, and the verdict on a case."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    INFO = "info"
    WEAK = "weak"
    INCONCLUSIVE = "inconclusive"
    LAB_ERROR = "lab-error"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"


# From the best to the worst: the worst judgement of a case is its verdict. A failure that was seen stays a failure
# whatever else went wrong in the lab; an unknown outranks every success. `unsupported` stands outside: it is only ever
# given to a whole case.
MERGE_ORDER = (Grade.PASS, Grade.INFO, Grade.WEAK, Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.FAIL)


def merge(grades: list[Grade]) -> Grade:
    """Return the worst of some grades. Without any there is nothing proved: `inconclusive`."""
    judged = [grade for grade in grades if grade is not Grade.UNSUPPORTED]
    if not judged:
        return Grade.UNSUPPORTED if grades else Grade.INCONCLUSIVE
    return max(judged, key=MERGE_ORDER.index)


def least(grades: list[Grade]) -> Grade:
    """Return the best of some grades that a judgement can have."""
    return min(grades, key=MERGE_ORDER.index)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One obligation of a sender, fetcher or reporter, paraphrased from an RFC."""

    id: str
    rfc: str
    section: str
    level: str
    binds: str
    text: str
    status: str
    consequence: bool = False
    reason: str = ""

    @property
    def grade_when_broken(self) -> Grade:
        """How much breaking it counts: absolute wording fails, advice is weak, permission is only noted."""
        if self.level in ("MUST", "MUST NOT", "DEFN", "lc-must"):
            return Grade.FAIL
        if self.level in ("SHOULD", "SHOULD NOT", "lc-should"):
            return Grade.WEAK
        return Grade.INFO


# ---------------------------------------------------------------------------------------------------------------------
# The world of one step. Everything is valid by default; a scenario states its one defect.


#: The certificate variants of a host that are valid for it, in spite of what is unusual in them.
_UNUSUAL_AND_VALID = (
    "capitals",
    "hundred-names",
    "rsa",
    "below-intermediate",
    "within-name-constraints",
    "path-at-its-limit",
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
    "client-usage",
    "unknown-critical-extension",
    "leaf-as-issuer",
    "path-too-long",
    "outside-name-constraints",
    "excluded-by-name-constraints",
    "expired-intermediate",
    "sha1-signed",
    "bad-signature",
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


# ---------------------------------------------------------------------------------------------------------------------
# Steps, expectations, cases


@dataclass(frozen=True, slots=True)
class Message:
    """What a message asks for. In an `absent` case it asks for nothing."""

    #: Whether its MAIL FROM says REQUIRETLS (RFC 8689, section 2).
    requiretls: bool = False
    #: Whether its MAIL FROM says RET=FULL: a bounce is to have the whole message (RFC 3461, section 4.3).
    return_whole: bool = False
    #: Fields of its header beside the usual ones, each a whole line, or several if it is folded.
    header: tuple[str, ...] = ()
    #: Lines at the beginning of its body.
    body: tuple[str, ...] = ()
    #: Whether it has the null reverse-path, as notices have (RFC 5321, section 4.5.5). In an `absent` case, too.
    null_sender: bool = False
    #: Where its recipient is: at the domain; at `behind.<domain>`, mail for which is relayed to the domain as a smart
    #: host; or at the address of the first MX host (RFC 5321, section 4.1.3). In an `absent` case, too.
    to: Literal["", "behind-smart-host", "address"] = ""
    #: How many messages to `beside.<domain>` are handed to the target just before it: a domain without a policy that
    #: has the same MX hosts. In an `absent` case, too.
    beside: int = 0
    #: Whether it has a second recipient, at that other domain.
    also_beside: bool = False


#: What an attack may need: a published policy, or records that are signed (DNSSEC).
PUBLISHED_POLICY, SIGNED_RECORDS = "policy", "signatures"


@dataclass(frozen=True, slots=True)
class AttackUse:
    """An attack that is on during a step, with its parameters. `channel` is smtp, dns or https."""

    name: str
    channel: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    #: A pass normally needs every attack to have fired; an optional one may stay unused by a correct sender.
    optional: bool = False
    #: What a domain has to publish, or nothing is attacked; see `AttackForm.needs`.
    needs: str = ""


@dataclass(frozen=True, slots=True)
class AttackForm:
    """What can be said of an attack without running it: the catalogue validates scenario files against it.

    `parameters` gives each parameter's allowed values, the default first. `needs` is what a domain has to publish for
    the attack to have an effect: PUBLISHED_POLICY, SIGNED_RECORDS, or nothing.
    """

    name: str
    channel: str
    summary: str
    parameters: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    needs: str = ""

    def use(self, parameters: Mapping[str, str | int] | None = None, *, optional: bool = False) -> AttackUse:
        """Return the attack with some of its parameters, as it is on during a step."""
        return AttackUse(self.name, self.channel, parameters or {}, optional, self.needs)


@dataclass(frozen=True, slots=True)
class PolicyRequests:
    """How many policy requests a step may see. `obligation` is broken outside the bounds."""

    obligation: str = ""
    least: int = 0
    most: int | None = None
    #: Count the requests of every step, not of this one only: a policy may be fetched in background, long after.
    whole_case: bool = False


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must happen to the message that a step sends.

    `outcome` lists what is allowed: outcome words, `delivered` for any kind of delivery, `as-absent` for "not worse
    than without a policy", `any` for "recorded, not judged". `should` narrows it: allowed but outside it is `weak`.
    `obligation` is what another outcome breaks; its level says how bad that is unless `grade` overrides it (open
    ambiguities), and `note` says why.
    """

    outcome: tuple[str, ...] = ()
    obligation: str = ""
    should: tuple[str, ...] = ()
    grade: Grade | None = None
    note: str = ""
    policy_requests: PolicyRequests | None = None
    #: The result types (RFC 8460, section 4.3) of which a report about the case has to name one; or, alone, `success`
    #: (a report without failures), `any` (a report, whatever it tells) or `none` (no report at all). Empty: not judged.
    report: tuple[str, ...] = ()
    #: What a report that does not come, or tells something else, breaks.
    report_obligation: str = ""
    #: Whether no obligation asks for that report: its absence is then only noted.
    report_optional: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A phase of a case. Changes to the target (`restart`, `advance`) happen before the message is sent."""

    name: str
    world: World
    attacks: tuple[AttackUse, ...] = ()
    send: bool = True
    #: What that message asks for.
    message: Message = field(default_factory=Message)
    #: The signal by which the target is ended before it is started again: "TERM" or "KILL"; empty: no restart.
    restart: str = ""
    #: Seconds that the target's clock is moved forward.
    advance: int = 0
    #: What must become of the step's own message; in a step that sends none, of the one that was sent last.
    expect: Expectation | None = None
    #: Whether messages that an earlier step left in the queue must have arrived when the step ends.
    recovers: bool = False
    #: Whether the runner waits, after the delivery, until the policy has been fetched too (it may come in background).
    learns_policy: bool = False
    #: Whether the target is asked for its TLS-RPT reports at the end of the step, with its world and attacks in force.
    reports: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario under one mode and one vector. `id` is `family/name[mode]` or `family/name[mode,vector]`."""

    id: str
    scenario: str
    mode: Mode
    steps: tuple[Step, ...]
    vector: str = ""
    #: The id of the case that plays the same without a policy; empty for the control case itself.
    control: str = ""
    #: Whether the attack must worsen the delivery without a policy; otherwise the attacker is broken.
    degrades: bool = True
    #: The capabilities that a target must claim for the case to be about it at all.
    needs: tuple[str, ...] = ()
    #: The obligations that its scenario is about.
    requirements: tuple[str, ...] = ()

    @property
    def asks_for_reports(self) -> bool:
        """Whether a step asks for reports itself."""
        return any(step.reports for step in self.steps)

    @property
    def judges_reports(self) -> bool:
        """Whether a step expects something of a report."""
        return any(step.expect is not None and step.expect.report for step in self.steps)

    @property
    def is_about_reports(self) -> bool:
        """Whether reports are wanted in the case at all: something is expected of them, or they are asked for."""
        return self.judges_reports or self.asks_for_reports

    @property
    def has_dane(self) -> bool:
        """Whether the domain has DANE in some step."""
        return self.mode is not Mode.ABSENT and any(step.world.dns.security == "secure" for step in self.steps)

    @property
    def shows_the_clock(self) -> bool:
        """Whether mail is held by a policy, and has to leave under the same attack when the clock has outlived that."""
        held = False
        for step in self.steps if self.mode is Mode.ENFORCE and not self.needs else ():
            wanted = step.expect.outcome if step.expect and step.attacks else ()
            if held and wanted == ("delivered",) and step.advance > step.world.policy.max_age:
                return True
            held = held or wanted == ("deferred",)
        return False

    @property
    def changes_target(self) -> bool:
        """Whether a step restarts the target or moves its clock, which every other case would feel."""
        return any(step.restart or step.advance for step in self.steps)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story, its reasons, and the cases that it expands to.

    `kills` names the flaws of a sender that the scenario must find, each for the flaw's own obligation.
    """

    id: str
    title: str
    story: str
    effect: str
    requirements: tuple[str, ...]
    cases: tuple[Case, ...]
    path: str = ""
    kills: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------------------------------
# The target


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
    #: Members of its answer that the contract does not know.
    unknown: tuple[str, ...] = ()
    #: In words: where it is configured better than what its users install, by its folder's own account.
    better_than_packaged: tuple[str, ...] = ()

    def pause_seconds(self, asked: bool) -> float:
        """Return the seconds from one attempt at a message to the next, `asked` for or the target's own."""
        return self.retry_seconds if asked else max(self.retry_seconds, self.own_retry_seconds)


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts


class Harm(StrEnum):
    """What a finding means for the mail, beside its grade. The check that knows sets it."""

    NONE = ""
    #: Delivered against the protection in force.
    LET_OUT = "let-out"
    #: Held, returned or lost, although neither a policy nor an RFC asks for it.
    KEPT_BACK = "kept-back"
    #: An outsider read the message, or its envelope, against the protection in force.
    READ = "read"
    #: A TLS report does not say what happened.
    UNTRUE_REPORT = "untrue-report"


_WORST_HARM_FIRST = (Harm.LET_OUT, Harm.READ, Harm.KEPT_BACK, Harm.UNTRUE_REPORT)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one check found in one case.

    `reason` is a stable code (`delivered-in-clear`, `policy-never-fetched`); `evidence` are numbers of events in the
    record; `blame` is target, lab or nobody.
    """

    grade: Grade
    reason: str
    obligation: str = ""
    step: str = ""
    expected: str = ""
    observed: str = ""
    blame: str = "nobody"
    evidence: tuple[int, ...] = ()
    harm: Harm = Harm.NONE
    #: The id of the check. The judge sets it.
    check: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of the message of one step. Times are seconds since the run began."""

    step: str
    outcome: Outcome | None
    began: float
    ended: float
    #: One clause that says it in words ("in clear, read by the attacker").
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EarlierPlay:
    """A play of a case before its last one: it proved nothing, or perhaps nothing. Its events stay on record."""

    #: The run, or the part of a run, whose events they are.
    run: str
    grade: Grade
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a case."""

    case: str
    grade: Grade
    steps: tuple[StepResult, ...]
    judgements: tuple[Judgement, ...]
    began: float
    ended: float
    #: True for a control case that was not selected and only played because another case needs it.
    control_only: bool = False
    #: The plays before the one that this is the verdict on.
    earlier: tuple[EarlierPlay, ...] = ()
    #: What is wrong here as in every other case, and what the case is not about: no part of its verdict, but findings
    #: of the run.
    of_the_run: tuple[Judgement, ...] = ()

    @property
    def harm(self) -> Harm:
        """The worst harm that the failures of the case did, and mail kept back, which may break advice only."""
        weak = {one.harm for one in self.judgements if one.grade is Grade.WEAK} & {Harm.KEPT_BACK}
        found = weak | {one.harm for one in self.judgements if one.grade is Grade.FAIL}
        return next((harm for harm in _WORST_HARM_FIRST if harm in found), Harm.NONE)
