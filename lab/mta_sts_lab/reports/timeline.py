"""A case's events as lines that can be read: when, who, what, and how much it matters. Every report uses them.

Unprintable characters of foreign text (SMTP lines, names, alerts, reasons) are escaped here, so whoever renders a
`Line` has plain text in hand. A line is derived from its event and from earlier events of the same case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from mta_sts_lab import events as facts
from mta_sts_lab.events import AnyFact, Event
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.policies_in_force import PoliciesInForce
from mta_sts_lab.judge.protection import Protection
from mta_sts_lab.judge.sessions import Session, Sessions
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY
from mta_sts_lab.reports.escaping import escape_unprintable, short_token
from mta_sts_lab.tlsrpt import ParsedReport, parse_report


class Topic(StrEnum):
    """What a line is about."""

    CASE = "case"
    STEP = "step"
    MAIL = "mail"
    DNS = "dns"
    POLICY = "policy"
    CONNECTION = "connection"
    TLS = "tls"
    SMTP = "smtp"
    ATTACK = "attack"
    READ = "read"
    QUEUE = "queue"
    REPORT = "report"
    TARGET = "target"
    LAB = "lab"


class Emphasis(StrEnum):
    """How a line is to be shown: the attacker's doing, something secret read, protection in force, trouble, or less."""

    PLAIN = "plain"
    QUIET = "quiet"
    ATTACK = "attack"
    LEAK = "leak"
    SECURE = "secure"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline. `number` is the event's number in the record, `at` seconds since the run began.

    `struck` is what the receiver had really said where the attacker removed it (then `text` is empty) or said something
    else. `quoted` are the lines of a text that belongs to it: a policy, a message. `essential` lines tell the story
    when the dialogue is left out. `relayed` marks SMTP on the attacker's own connection to the receiver, most of which
    repeats the dialogue in front.
    """

    topic: Topic
    actor: str
    text: str
    emphasis: Emphasis = Emphasis.PLAIN
    struck: str = ""
    quoted: tuple[str, ...] = ()
    essential: bool = False
    relayed: bool = False
    number: int = 0
    at: float = 0.0
    case: str = ""
    step: str = ""

    @property
    def plain(self) -> str:
        """The whole line without any styling: what is struck through is named as such."""
        label = "instead of" if self.text else "removed by the attacker"
        note = f"[{label}: {self.struck}]" if self.struck else ""
        return " ".join(part for part in (self.text, note) if part)


def timeline(events: Iterable[Event], case: Case | None = None) -> tuple[Line, ...]:
    """Return the lines of some events, in their order. Pass all events of a case: later lines rest on earlier ones."""
    teller = Timeline(case)
    return tuple(line for line in map(teller.line, events) if line is not None)


class Timeline:
    """Turns the events of one case into lines, one at a time, as they happen.

    The case says which certificates authenticate hosts that have DANE.
    """

    def __init__(self, case: Case | None = None) -> None:
        self._sessions = Sessions()
        self._events: list[Event] = []
        self._facts = CaseFacts("", self._events)
        self._queue: dict[str, tuple[str, str]] = {}
        if case is not None and case.has_dane:
            self._facts.in_force = lambda session: self._in_force(case, session)

    def _in_force(self, case: Case, session: str) -> tuple[Protection, ...]:
        """Return what was in force for a session as far as the case has come: a policy may be fetched later."""
        return PoliciesInForce(case, self._facts, CaseFacts("", ())).for_session(session)

    def _proved_by_dane(self, session: str, host: str, certificate: str) -> bool:
        """Whether a host is authenticated under a certificate that only its TLSA records vouch for."""
        return certificate not in CERTIFICATES_THAT_VERIFY and self._facts.authenticates(session, host, certificate)

    def line(self, event: Event) -> Line | None:
        """Return the line of the next event, or None where it only repeats what was said (an unchanged queue)."""
        self._events.append(event)
        self._sessions.follow(event)
        line = self._line_of(event.fact)
        if line is None:
            return None
        return replace(
            line,
            actor=escape_unprintable(line.actor),
            text=escape_unprintable(line.text),
            struck=escape_unprintable(line.struck),
            quoted=tuple(map(escape_unprintable, line.quoted)),
            number=event.number,
            at=event.at,
            case=event.case,
            step=event.step,
        )

    def _line_of(self, fact: AnyFact) -> Line | None:
        if isinstance(fact, facts.QueueSeen):
            return self._queue_seen(fact)
        for part in (_of_case, _of_mail, _of_names, _of_target, _of_lab):
            line = part(fact)
            if line is not None:
                return line
        return self._of_connection(fact) or self._of_tls(fact) or self._of_message(fact)

    def _queue_seen(self, fact: facts.QueueSeen) -> Line | None:
        if self._queue.get(fact.token) == (fact.state, fact.reason):
            return None
        self._queue[fact.token] = (fact.state, fact.reason)
        held = fact.state == "deferred"
        text = f"message {short_token(fact.token)} is {'no longer held' if fact.state == 'gone' else fact.state}"
        text += f": {fact.reason}" if fact.reason else ""
        return Line(Topic.QUEUE, "sender's queue", text, Emphasis.TROUBLE if held else Emphasis.QUIET, essential=held)

    def _of_connection(self, fact: AnyFact) -> Line | None:
        session = self._sessions.of(getattr(fact, "session", ""))
        actor = f"{session.client} > {session.server}"
        match fact:
            case facts.ConnectionAccepted():
                verb = "goes on to" if fact.via else "connects to"
                return Line(Topic.CONNECTION, actor, f"{verb} {fact.host} ({fact.address} port {fact.port})")
            case facts.ConnectionDenied():
                text = f"connection to {fact.host} ({fact.address} port {fact.port}) {fact.how}"
                return Line(Topic.CONNECTION, actor, text, Emphasis.TROUBLE, essential=True)
            case facts.ConnectionClosed():
                return Line(Topic.CONNECTION, _both(session), "connection ends", Emphasis.QUIET)
            case facts.SenderLeft():
                return Line(Topic.CONNECTION, actor, "ends the connection", Emphasis.QUIET)
            case facts.SmtpSaid():
                return _smtp_line(fact, self._sessions)
            case facts.PolicyRequested():
                return _policy_requested(fact, session)
            case facts.RevocationListRequested():
                text = f"{fact.method} {fact.path}, a list of revoked certificates: answered {fact.status}"
                return Line(Topic.TLS, actor, text, Emphasis.PLAIN if fact.status == 200 else Emphasis.TROUBLE)
            case _:
                return None

    def _of_tls(self, fact: AnyFact) -> Line | None:
        session = self._sessions.of(getattr(fact, "session", ""))
        match fact:
            case facts.ClientHelloSeen():
                text = f"asks for TLS {f'with {fact.sni}' if fact.sni else 'without naming a server'}"
                return Line(Topic.TLS, _both(session), text, Emphasis.QUIET)
            case facts.TlsEstablished():
                shown = f"certificate {fact.certificate}{f', shown by {fact.shown_by}' if fact.shown_by else ''}"
                host = session.accepted.host if session.accepted is not None and not session.via else ""
                by_dane = bool(host) and self._proved_by_dane(fact.session, host, fact.certificate)
                sound = (fact.certificate == "valid" or by_dane) and not fact.shown_by
                emphasis = Emphasis.SECURE if sound else Emphasis.ATTACK if fact.shown_by else Emphasis.TROUBLE
                text = f"TLS is up: {fact.version}, {shown}"
                return Line(Topic.TLS, _both(session), text, emphasis, essential=not session.via)
            case facts.TlsFailed():
                shown = f" (certificate {fact.certificate})" if fact.certificate else ""
                text = f"TLS failed{shown}: {fact.alert or 'no alert was sent'}"
                return Line(Topic.TLS, _both(session), text, Emphasis.TROUBLE, essential=True)
            case _:
                return None

    def _of_message(self, fact: AnyFact) -> Line | None:
        match fact:
            case facts.TokenRead():
                attacker = fact.reader == "attacker"
                what = "addresses, Subject and body"
                if not self._sessions.of(fact.session).in_data:
                    what = "its token at least"
                text = f"{'' if attacker else 'anyone here '}can read message {short_token(fact.token)}: {what}"
                text += " (TLS is up, and ends here)" if fact.secured else ""
                return Line(Topic.READ, "attacker" if attacker else "path", text, Emphasis.LEAK, essential=True)
            case facts.MessageRead():
                actor = "attacker" if fact.reader == "attacker" else "path"
                text = "what there is to read of it:"
                return Line(Topic.READ, actor, text, Emphasis.LEAK, quoted=_legible(fact), essential=True)
            case facts.MessageAccepted():
                return self._accepted(fact)
            case _:
                return None

    def _accepted(self, fact: facts.MessageAccepted) -> Line:
        tokens = ", ".join(short_token(token) for token in fact.tokens) or "without a token"
        # A bounce or a report that arrives at the sender's own domain is no delivery of the message under test.
        if fact.role not in ("mx", "attacker-mx"):
            actor = self._sessions.of(fact.session).server
            return Line(Topic.MAIL, actor, f"takes message {tokens}", Emphasis.QUIET)
        outcome = MessageFacts(self._facts, "", 0.0, math.inf).kind_of(fact)
        ends_at_attacker = fact.role == "attacker-mx" or bool(fact.via and self._facts.session(fact.via).established)
        emphasis, how = Emphasis.SECURE, "inside TLS"
        if outcome is Outcome.DELIVERED_CLEAR:
            emphasis, how = Emphasis.ATTACK, "in clear"
        elif outcome is not Outcome.DELIVERED_AUTHENTICATED and ends_at_attacker:
            emphasis, how = Emphasis.ATTACK, "inside TLS that ends at the attacker"
        elif outcome is not Outcome.DELIVERED_AUTHENTICATED:
            emphasis, how = Emphasis.TROUBLE, "inside TLS to a host that is not authenticated"
        elif self._proved_by_dane(fact.via or fact.session, fact.host, fact.certificate):
            how = "inside TLS, under a certificate that a TLSA record names"
        if fact.via and not how.endswith("attacker"):
            how += ", passed on by the attacker"
        actor = "attacker" if fact.role == "attacker-mx" else "mx"
        return Line(Topic.MAIL, actor, f"takes message {tokens}, sent {how}", emphasis, essential=True)


#: The header fields of a message that are quoted, and how many lines of its body.
_FIELDS = ("from", "to", "subject")
_BODY_LINES = 12


def _legible(read: facts.MessageRead) -> tuple[str, ...]:
    """Return what a reader looks at in a message: who writes to whom about what, and the body."""
    lines = read.text.replace("\r\n", "\n").split("\n")
    end = lines.index("") if "" in lines else len(lines)
    header = [line for line in lines[:end] if line.partition(":")[0].lower() in _FIELDS]
    body = "\n".join(lines[end + 1 :]).strip("\n").split("\n")
    more = len(body) > _BODY_LINES or read.octets > len(read.text)
    return (*header, "", *body[:_BODY_LINES], *(("...",) if more else ()))


def _both(session: Session) -> str:
    # Behind an attacker: TLS may have been passed on as it came, so all that is known is which host it reached.
    if session.via:
        return session.server
    return f"{session.client} {'=>' if session.secured else '>'} {session.server}"


def _policy_requested(fact: facts.PolicyRequested, session: Session) -> Line:
    answered = f"answered {fact.status}" if fact.status else "never answered"
    text = f"{fact.method} {fact.path} at {fact.host}: {answered}"
    text += f", policy id {fact.policy_id}" if fact.policy_id else ""
    text += " (the target of a redirect)" if fact.redirected else ""
    emphasis = Emphasis.PLAIN if fact.status == 200 else Emphasis.TROUBLE
    actor = f"{session.client} => {session.server if session.role else 'policy'}"
    quoted = tuple(fact.policy.replace("\r\n", "\n").rstrip("\n").split("\n")) if fact.policy else ()
    return Line(Topic.POLICY, actor, text, emphasis, quoted=quoted, essential=True)


def _smtp_line(fact: facts.SmtpSaid, sessions: Sessions) -> Line:
    session = sessions.of(fact.session)
    # TLS that the attacker only passes on is first read at the far end: there it is the sender's own dialogue.
    passed_on = bool(session.via) and fact.secured and not sessions.of(session.via).secured
    client = "sender" if passed_on else session.client
    arrow = "=>" if fact.secured else ">"
    if fact.speaker == "sender":
        actor = f"{client} {arrow} {session.server}"
    elif fact.speaker == "attacker" or fact.altered:
        actor = f"attacker {arrow} {client}"
    else:
        actor = f"{'mx' if session.role in ('', 'mx') else session.server} {arrow} {client}"
    return Line(
        Topic.SMTP,
        actor,
        fact.line,
        Emphasis.ATTACK if fact.altered or fact.instead_of else Emphasis.PLAIN,
        struck=fact.instead_of,
        essential=bool(fact.instead_of),
        relayed=bool(session.via) and not passed_on,
    )


def _of_case(fact: AnyFact) -> Line | None:
    match fact:
        case facts.CaseBegan():
            return Line(Topic.CASE, "lab", f"sets up the domain {fact.domain} (policy: {fact.mode})")
        case facts.CaseEnded():
            return Line(Topic.CASE, "lab", "takes the domain down", Emphasis.QUIET)
        case facts.StepBegan():
            text = f"attack active: {', '.join(fact.attacks)}" if fact.attacks else "no attack active"
            return Line(Topic.STEP, "lab", text)
        case facts.WorldUp():
            return Line(Topic.STEP, "lab", f"the world of {fact.domain} stays up for people to enter")
        case facts.StepEnded():
            return Line(Topic.STEP, "lab", "step ends", Emphasis.QUIET)
        case _:
            return None


def _of_mail(fact: AnyFact) -> Line | None:
    match fact:
        case facts.InjectionBegan():
            return Line(Topic.MAIL, "lab > sender", f"submits message {short_token(fact.token)}", Emphasis.QUIET)
        case facts.MessageInjected():
            text = f"message {short_token(fact.token)} for {fact.recipient}: {fact.reply}"
            return Line(Topic.MAIL, "lab > sender", text)
        case facts.OtherMessageInjected():
            text = f"message {short_token(fact.token)} for {fact.recipient}, beside the case: {fact.reply}"
            return Line(Topic.MAIL, "lab > sender", text)
        case facts.InjectionRefused():
            text = f"refuses message {short_token(fact.token)} for {fact.recipient}: {fact.reply}"
            return Line(Topic.MAIL, "sender > lab", text, Emphasis.TROUBLE, essential=True)
        case facts.BounceReceived():
            text = f"message {short_token(fact.token)} bounced: {fact.action} {fact.status}"
            text += f" ({fact.diagnostic})" if fact.diagnostic else ""
            return Line(Topic.MAIL, "own mx", text, Emphasis.TROUBLE, essential=True)
        case facts.AttackFired():
            text = f"{fact.attack}: {fact.detail}" if fact.attack else fact.detail
            return Line(Topic.ATTACK, "attacker", text, Emphasis.ATTACK, essential=True)
        case _:
            return None


def _of_names(fact: AnyFact) -> Line | None:
    match fact:
        case facts.DnsAnswered():
            text = f"{fact.type} {fact.name}: {', '.join(fact.answers) or fact.rcode}"
            if fact.tampered_by:
                text += f" [forged by {fact.tampered_by}]"
                return Line(Topic.DNS, "attacker > sender", text, Emphasis.ATTACK, essential=True)
            essential = fact.type == "TXT" and fact.name.lower().startswith("_mta-sts.")
            return Line(Topic.DNS, "dns > sender", text, essential=essential)
        case facts.ReportReceived():
            return Line(Topic.REPORT, "sender > report", _report(fact), essential=True)
        case _:
            return None


def _report(fact: facts.ReportReceived) -> str:
    """Say what a TLS report contains in short, and what it was answered."""
    how = "posted" if fact.transport == "https" else "mailed"
    answer = f"answered {fact.status}" if fact.status else "never answered"
    if fact.size > len(fact.octets):
        return f"TLS-RPT report {how} to {fact.place}, {fact.size} octets, too many to keep; {answer}"
    parsed = parse_report(fact.octets, (fact.media_type or "none") if fact.transport == "https" else None)
    return f"TLS-RPT report {how}, {_in_short(parsed)}; {answer}"


def _in_short(parsed: ParsedReport) -> str:
    if not parsed.policies:
        return f"which says nothing ({parsed.problem or 'no policies'})"
    domains = ", ".join(dict.fromkeys(parsed.policy_domains)) or "no domain"
    good = sum(policy.successful or 0 for policy in parsed.policies)
    failed = sum(policy.failed or 0 for policy in parsed.policies)
    types = ", ".join(sorted({kind for policy in parsed.policies for kind in policy.result_types})) or "no failure"
    sessions = "session" if good == 1 else "sessions"
    return f"about {domains}: {good} {sessions} succeeded, {failed} failed ({types})"


def _of_target(fact: AnyFact) -> Line | None:
    topic, asked, said = Topic.TARGET, "lab > sender", "sender > lab"
    match fact:
        case facts.TargetFlushed():
            return Line(topic, asked, "asks to try the whole queue now")
        case facts.TargetRestarted():
            went_on = "; an SMTP session from before went on" if fact.outlived else ""
            return Line(topic, asked, f"ended with {fact.signal} and started again{went_on}", essential=True)
        case facts.ClockAdvanced():
            return Line(topic, asked, f"clock moved forward by {fact.seconds} s", essential=True)
        case facts.ReportsAsked():
            return Line(topic, asked, "asks for TLS-RPT reports now")
        case facts.NotSupported():
            return Line(topic, "sender", f"does not offer this hook: {fact.what}", essential=True)
        case facts.ReportsLeft():
            return Line(topic, said, "says that all reports have left")
        case facts.PartTried(error=error):
            result = error or ("works" if fact.offered else "not offered")
            text = f"tries {f'{fact.part} {fact.argument}'.strip()}: {result}"
            return Line(topic, asked, text, Emphasis.TROUBLE if error else Emphasis.PLAIN)
        case facts.QueueListed():
            return Line(topic, said, f"lists its queue: {len(fact.rows)} rows", Emphasis.QUIET)
        case facts.LogRead():
            text = f"shows its log: {fact.characters} characters, {len(fact.lines)} lines about our messages"
            return Line(topic, said, text, Emphasis.QUIET)
        case facts.TargetDiagnosed():
            text = f"is diagnosed: {fact.means}"
            return Line(topic, "sender", text, Emphasis.TROUBLE, essential=True)
        case facts.TargetFailed():
            return Line(topic, "sender", f"failed: {fact.what}", Emphasis.TROUBLE, essential=True)
        case _:
            return None


def _of_lab(fact: AnyFact) -> Line | None:
    match fact:
        case facts.LabFailed():
            text = f"error in the lab, {fact.where}: {fact.error}"
        case facts.LabUnhealthy():
            text = f"the lab was not in order: {fact.observed}"
        case facts.DeadlinePassed():
            text = f"deadline {fact.deadline} passed after {fact.seconds:g} s for {fact.waited_for}"
        case _:
            return None
    return Line(Topic.LAB, "lab", text, Emphasis.TROUBLE, essential=True)
