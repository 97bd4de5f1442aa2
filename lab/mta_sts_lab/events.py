"""The vocabulary of the record: everything that the lab can witness, one frozen structure a kind.

These are msgspec structures and not dataclasses because a record is read back by its tag, and a line that does not fit
its kind must be refused rather than half understood.
"""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, tag_field="kind", tag=str, forbid_unknown_fields=True, kw_only=True):
    """What one event says. The class name is its tag in the record."""


class CaseBegan(Fact, frozen=True):
    """A case's world was built."""

    domain: str
    mode: str
    #: Whether the case was only played because another one needs it as its control case.
    control_only: bool = msgspec.field(default=False, name="supporting")


class CaseEnded(Fact, frozen=True):
    """Every step of the case was played and its world was taken down. Without it the case is not judged."""


class WorldUp(Fact, frozen=True):
    """The world of the case stays up for people to enter. Nothing is judged by it."""

    domain: str
    name_server: str
    #: "NAME at ADDRESS:PORT" of each MX host.
    mx: tuple[str, ...]
    #: The URL of the policy; empty if there is none.
    policy: str = ""
    attacks: tuple[str, ...] = ()


class StepBegan(Fact, frozen=True):
    """From here on the step's world and attacks are in force. `attacks` are names."""

    attacks: tuple[str, ...] = ()


class StepEnded(Fact, frozen=True):
    """The step's message settled, or its deadline passed."""


class InjectionBegan(Fact, frozen=True):
    """The lab begins to hand a message to the target: what the target did before was not for this message's sake."""

    token: str


class MessageInjected(Fact, frozen=True):
    """The target took a message from the lab. `token` is a random mark in the envelope and in the body."""

    token: str
    sender: str
    recipient: str
    reply: str
    #: As in MessageAccepted: what must arrive unchanged.
    body_digest: str


class OtherMessageInjected(Fact, frozen=True):
    """The target took a message to a domain beside the case's own, which nothing is expected of."""

    token: str
    recipient: str
    reply: str


class InjectionRefused(Fact, frozen=True):
    """The target did not take a message from the lab."""

    token: str
    recipient: str
    reply: str


class DnsAnswered(Fact, frozen=True):
    """A query arrived and was answered (or, with rcode TIMEOUT, deliberately not)."""

    name: str
    type: str
    transport: str
    rcode: str
    answers: tuple[str, ...] = ()
    tampered_by: str = ""
    #: What a validating resolver says of it: secure (the AD bit was set, if the query had AD or DO), insecure, bogus or
    #: indeterminate.
    security: str = "insecure"
    #: Whether the query had the AD, DO or CD bit, so that its client knows of DNSSEC (RFC 6840, section 5.7).
    security_aware: bool = True
    #: Seconds that the query had waited in the lab when it was answered; 0: less than 0.05, or the kernel does not say.
    waited: float = 0.0


class ConnectionAccepted(Fact, frozen=True):
    """A TCP connection reached a host of the lab.

    `role` is mx, attacker-mx, sender-mx, policy-host, report-host or report-mx; plain-policy-host is the policy host's
    port 80, and parent-policy-host the one of the domain above, and recipient-policy-host that
    of the recipient's domain where mail goes to a smart host; revocation-host has the lists of revoked certificates.
    """

    session: str
    role: str
    host: str
    address: str
    port: int
    #: The session of the attacker who made this connection, where one stands between the target and the host.
    via: str = ""
    #: The address that it came from: the target's, or, behind an attacker, the attacker's own.
    peer: str = ""
    #: The ports of both ends, as a capture of packets shows them; 0: not known.
    peer_port: int = 0
    own_port: int = 0


class ConnectionDenied(Fact, frozen=True):
    """A TCP connection was not served: `how` is refused, reset or stalled."""

    session: str
    role: str
    host: str
    address: str
    port: int
    how: str


class ConnectionClosed(Fact, frozen=True):
    """A connection ended."""

    session: str


class SenderLeft(Fact, frozen=True):
    """The target ended a connection, or its direction of it, while nobody here had.

    Without this, and without QUIT or an alert of the target's, a session may as well have been ended by the lab.
    """

    session: str


class ClientHelloSeen(Fact, frozen=True):
    """The first TLS message arrived. `sni` is the server name the client asked for, empty if none.

    `version` is the newest version of TLS that it offers ("1.3"; empty: not on record). What stands below it is only on
    record of a hello that the host itself took, with no attacker in between.
    """

    session: str
    sni: str = ""
    version: str = ""
    #: Names that it asked for beside the first one, where an attacker read the hello.
    more_names: tuple[str, ...] = ()
    #: The numbers of the cipher suites that it offers; empty: not on record.
    cipher_suites: tuple[int, ...] = ()
    #: Whether it offers to take a bare key in place of a certificate (RFC 7250).
    raw_public_keys: bool = False
    #: Whether it offers to resume a session by a ticket, whose server name should be the same.
    resumes: bool = False
    #: Whether it has the form of SSL 2.0.
    ssl2_form: bool = False


class TlsEstablished(Fact, frozen=True):
    """A handshake finished on the lab's side (the client may still reject the certificate: RFC 8446, section 4.4.2.4).

    `certificate` is the variant that was shown, `shown_by` its owner: the host itself or an attack's name.
    """

    session: str
    version: str
    certificate: str
    shown_by: str = ""
    sni: str = ""
    #: The cipher suite, by OpenSSL's name; empty: not on record.
    cipher: str = ""


class TlsFailed(Fact, frozen=True):
    """A handshake failed, or the client's alert arrived after it. `alert` is OpenSSL's wording, cut to its end."""

    session: str
    alert: str
    certificate: str = ""


class SmtpSaid(Fact, frozen=True):
    """A line of SMTP. `speaker` is sender, mx or attacker; `altered` marks the attacker's hand.

    In a session with an attacker in between this is the leg between the target and the attacker; the leg behind has a
    session of its own, whose ConnectionAccepted names this one in `via`. Message bodies are not recorded line by line.
    """

    session: str
    speaker: str
    line: str
    secured: bool
    altered: bool = False
    #: What the receiver had really said, where the attacker changed or removed it.
    instead_of: str = ""


class AttackFired(Fact, frozen=True):
    """The attacker's tampering took effect on the wire. `detail` says how, in words for the narration."""

    attack: str
    channel: str
    detail: str
    session: str = ""


class TokenRead(Fact, frozen=True):
    """An outsider could read a message: its token was seen on the target's leg of a connection.

    `secured` says whether the target had TLS up on it (then the attacker held the key). `reader` is attacker or path
    (anybody on the path, for a session in clear without an active attacker).
    """

    session: str
    token: str
    secured: bool
    reader: str


#: Characters of a message that go on record where an outsider could read it: those of the lab have 400.
MOST_READ = 4096


class MessageRead(Fact, frozen=True):
    """An outsider could read a whole message, header and body, as `text` has it (cut to `MOST_READ` characters).

    `octets` says how long it was. `secured` and `reader` are as in `TokenRead`.
    """

    session: str
    text: str
    octets: int
    secured: bool
    reader: str


class MessageAccepted(Fact, frozen=True):
    """A host answered 250 to the final dot.

    From here on the message is its responsibility (RFC 5321, section 4.2.5).
    """

    session: str
    role: str
    host: str
    address: str
    secured: bool
    certificate: str
    mail_from: str
    recipients: tuple[str, ...]
    tokens: tuple[str, ...]
    octets: int
    #: SHA-256 over the canonical body, which tells whether it arrived untouched.
    body_digest: str
    via: str = ""
    #: What MAIL said behind its address.
    mail_options: tuple[str, ...] = ()
    #: The values of the message's TLS-Required fields (RFC 8689, section 3).
    tls_required: tuple[str, ...] = ()
    #: When the target took the message, by its own clock: the date of the topmost Received field, in seconds since
    #: 1970; 0: there is none that can be read.
    stamped: float = 0.0


class BounceReceived(Fact, frozen=True):
    """A delivery status notification for a message of ours arrived at the sender's domain (RFC 3464)."""

    token: str
    action: str
    status: str
    diagnostic: str = ""
    #: Whether the notification has the body of the message in it.
    quotes_body: bool = False
    #: The same of the message's header section.
    quotes_header: bool = False
    #: The recipient that it is about.
    about: str = ""
    #: Whether the host refused it, so that it did not arrive.
    refused: bool = False
    #: The mail servers that it names, as it spells them: who writes it, and who was to take the message.
    hosts: tuple[str, ...] = ()


class PolicyRequested(Fact, frozen=True):
    """An HTTPS request reached a policy host. `status` is what it was answered; 0 if it never was."""

    session: str
    host: str
    method: str
    path: str
    sni: str
    status: int
    policy_id: str = ""
    conditional: bool = False
    user_agent: str = ""
    #: True when this was a request for the target of a redirect that the lab had answered before.
    redirected: bool = False
    #: The policy's text, where that was the body of the answer, and its Content-Type.
    policy: str = ""
    media_type: str = ""


class RevocationListRequested(Fact, frozen=True):
    """A request for a list of revoked certificates (RFC 5280, section 5) arrived. `status` is what it was answered."""

    session: str
    method: str
    path: str
    status: int


class ReportReceived(Fact, frozen=True):
    """Something arrived where TLS-RPT reports are received (RFC 8460, section 5). It is kept raw: the judge reads it.

    `transport` is https or mail. `place` is the URI that was posted to, or the mailbox. `octets` are the body of the
    request or the whole message (base64 in the record), and empty where they were too many to keep: `size` says how
    many there were. `status` is what it was answered, an HTTP status or an SMTP reply code; 0: nothing.
    """

    session: str
    transport: str
    place: str
    octets: bytes
    size: int
    status: int
    #: The HTTP method and the Content-Type of the request.
    method: str = ""
    media_type: str = ""
    #: The envelope sender of the message, and whether it came inside TLS.
    mail_from: str = ""
    secured: bool = True


class QueueSeen(Fact, frozen=True):
    """What the target said of a message it holds. `state` is active, deferred or gone.

    A listing is as old as the look that it came from: `looked` says when that one began, in the seconds of `Event.at`.
    """

    token: str
    state: str
    looked: float
    reason: str = ""


class TargetFlushed(Fact, frozen=True):
    """The target was asked to try everything in its queue now, and has said that it does."""

    #: How long it took to say so.
    seconds: float = 0.0


class TargetRestarted(Fact, frozen=True):
    """The target was ended with a signal and started again, by its own account.

    Or it was asked for that and failed in answering, so that it may have been (`TargetFailed` says so as well).
    """

    signal: str
    #: Whether an SMTP session from before it went on afterwards: then nothing was killed, whatever the target says.
    outlived: bool = False
    #: When the target was asked for it: until it said that it was done, it may have been either before or after it.
    asked: float | None = None


class ClockAdvanced(Fact, frozen=True):
    """The target's clock was moved forward by some seconds; or may have been, as in `TargetRestarted`."""

    seconds: int
    #: When the target was asked for it: until it said that it was done, its clock may have shown either time.
    asked: float | None = None


class ReportsAsked(Fact, frozen=True):
    """The target was asked to send its TLS-RPT reports now."""


class ReportsLeft(Fact, frozen=True):
    """The target says that all reports that were due have left: what has not arrived by now was not sent."""


class TargetFailed(Fact, frozen=True):
    """The target stopped answering or died. Not a verdict on its MTA-STS: nothing after it is proved."""

    what: str


class TargetDiagnosed(Fact, frozen=True):
    """Mail that nobody attacked, or that no policy protects, is not delivered: what is wrong with the configuration.

    `quoted` are the target's own words, from its queue or its log.
    """

    code: str
    means: str
    remedy: str
    quoted: str = ""


class NotSupported(Fact, frozen=True):
    """The case needs a part of the contract that the target does not offer (a restart, a clock): it is not judged."""

    what: str


class PartTried(Fact, frozen=True):
    """A part of the target's contract was tried for its own sake; see `sts-lab target-check`.

    `part` is about, smtp, queue, flush, restart, clock, reports or logs. `error` says how it broke the contract.
    """

    part: str
    #: What was asked for: the signal of a restart, the seconds of a clock.
    argument: str = ""
    #: Whether anybody answered at all.
    reached: bool = True
    offered: bool = True
    error: str = ""
    seconds: float = 0.0
    #: Of a flush: whether the answer was that it cannot be done now.
    put_off: bool = False


class QueueListed(Fact, frozen=True):
    """The whole queue as the target listed it: recipient, sender, state and reason of each row."""

    rows: tuple[tuple[str, str, str, str], ...]


class LogRead(Fact, frozen=True):
    """The target's log was read: how long it is, and some of the lines in it that name a recipient of ours."""

    characters: int
    lines: tuple[str, ...] = ()


class LabFailed(Fact, frozen=True):
    """An exception inside the lab. Never a verdict on the target. `session` is the one that it spoiled, if one."""

    where: str
    error: str
    session: str = ""


class LabUnhealthy(Fact, frozen=True):
    """The lab itself was not in order for a while: what a target did meanwhile proves nothing against it.

    `part` is event loop, clock, name server, policy host, revocation host, mx, report host or report mx. A fact about
    the whole run has no case.
    """

    part: str
    observed: str
    #: How long it had been so when it was noticed.
    seconds: float = 0.0
    #: Whether it stays so until the end of the run.
    lasting: bool = False


class DeadlinePassed(Fact, frozen=True):
    """A wait ended without what it waited for. `deadline` is the name in `mta_sts_lab.timeouts`."""

    deadline: str
    seconds: float
    waited_for: str


AnyFact = (
    CaseBegan
    | CaseEnded
    | WorldUp
    | StepBegan
    | StepEnded
    | InjectionBegan
    | MessageInjected
    | OtherMessageInjected
    | InjectionRefused
    | DnsAnswered
    | ConnectionAccepted
    | ConnectionDenied
    | ConnectionClosed
    | SenderLeft
    | ClientHelloSeen
    | TlsEstablished
    | TlsFailed
    | SmtpSaid
    | AttackFired
    | TokenRead
    | MessageRead
    | MessageAccepted
    | BounceReceived
    | PolicyRequested
    | RevocationListRequested
    | ReportReceived
    | QueueSeen
    | TargetFlushed
    | TargetRestarted
    | ClockAdvanced
    | ReportsAsked
    | ReportsLeft
    | TargetFailed
    | TargetDiagnosed
    | NotSupported
    | PartTried
    | QueueListed
    | LogRead
    | LabFailed
    | LabUnhealthy
    | DeadlinePassed
)


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the record: a fact, when it was witnessed, and in which case and step.

    `at` is in seconds since the run began, on one monotonic clock. A fact about the whole run has no case.
    """

    number: int
    at: float
    fact: AnyFact
    case: str = ""
    step: str = ""
