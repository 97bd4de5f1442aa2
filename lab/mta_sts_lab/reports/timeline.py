"""A case's events as lines that can be read: when, who, what, and how much it matters. Every report uses them.

Everything that is foreign (SMTP lines, names, alerts, reasons) is made visible here, so whoever renders a `Line` has
plain text in hand. Every sentence is derived from the event and from earlier events of the same connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mta_sts_lab import events as facts
from mta_sts_lab.events import AnyFact, Event
from mta_sts_lab.judge.facts import CERTIFICATES_THAT_VERIFY
from mta_sts_lab.judge.sessions import Session, Sessions
from mta_sts_lab.reports.escaping import escape_unprintable, short_token
from mta_sts_lab.reports.report_lines import report_line


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
    else. `essential` lines tell the story when the dialogue is left out. `relayed` marks SMTP on the attacker's own
    connection to the receiver, most of which repeats the dialogue in front.
    """

    number: int
    at: float
    case: str
    step: str
    topic: Topic
    actor: str
    text: str
    emphasis: Emphasis = Emphasis.PLAIN
    struck: str = ""
    essential: bool = False
    relayed: bool = False

    @property
    def note(self) -> str:
        """What to say of the struck words where nothing can be struck through."""
        if not self.struck:
            return ""
        return f"[instead of: {self.struck}]" if self.text else f"[removed by the attacker: {self.struck}]"

    @property
    def plain(self) -> str:
        """The whole line's words without any styling."""
        return " ".join(part for part in (self.text, self.note) if part)


@dataclass(frozen=True, slots=True)
class _Told:
    topic: Topic
    actor: str
    text: str
    emphasis: Emphasis = Emphasis.PLAIN
    struck: str = ""
    essential: bool = False
    relayed: bool = False


def timeline(events: Iterable[Event]) -> tuple[Line, ...]:
    """Return the lines of some events, in their order. Pass all events of a case: later lines rest on earlier ones."""
    teller = Timeline()
    return tuple(line for line in map(teller.line, events) if line is not None)


class Timeline:
    """Tells events one at a time, as they happen."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self._queue: dict[str, tuple[str, str]] = {}

    def line(self, event: Event) -> Line | None:
        """Return the line of the next event, or None where it only repeats what was said (an unchanged queue)."""
        self.sessions.follow(event)
        told = self._told(event.fact)
        if told is None:
            return None
        return Line(
            event.number,
            event.at,
            event.case,
            event.step,
            told.topic,
            told.actor,
            told.text,
            told.emphasis,
            told.struck,
            told.essential,
            told.relayed,
        )

    def _told(self, fact: AnyFact) -> _Told | None:
        if isinstance(fact, facts.QueueSeen):
            return self._queue_seen(fact)
        if isinstance(fact, facts.PolicyRequested):
            return _policy_requested(fact, self.sessions.of(fact.session))
        for part in (_of_case, _of_mail, _of_names, _of_target, _of_lab):
            told = part(fact)
            if told is not None:
                return told
        return self._of_connection(fact) or self._of_tls(fact) or self._of_message(fact)

    def _queue_seen(self, fact: facts.QueueSeen) -> _Told | None:
        if self._queue.get(fact.token) == (fact.state, fact.reason):
            return None
        self._queue[fact.token] = (fact.state, fact.reason)
        held = fact.state == "deferred"
        state = "no longer held" if fact.state == "gone" else escape_unprintable(fact.state)
        text = f"message {short_token(fact.token)} is {state}"
        if fact.reason:
            text += f": {escape_unprintable(fact.reason)}"
        emphasis = Emphasis.TROUBLE if held else Emphasis.QUIET
        return _Told(Topic.QUEUE, "sender's queue", text, emphasis, essential=held)

    def _of_connection(self, fact: AnyFact) -> _Told | None:
        match fact:
            case facts.ConnectionAccepted():
                session = self.sessions.of(fact.session)
                verb = "goes on to" if fact.via else "connects to"
                text = f"{verb} {escape_unprintable(fact.host)} ({escape_unprintable(fact.address)} port {fact.port})"
                return _Told(Topic.CONNECTION, f"{session.client} > {session.server}", text)
            case facts.ConnectionDenied():
                session = self.sessions.of(fact.session)
                where = f"{escape_unprintable(fact.host)} ({escape_unprintable(fact.address)} port {fact.port})"
                text = f"connection to {where} {escape_unprintable(fact.how)}"
                actor = f"{session.client} > {session.server}"
                return _Told(Topic.CONNECTION, actor, text, Emphasis.TROUBLE, essential=True)
            case facts.ConnectionClosed():
                session = self.sessions.of(fact.session)
                return _Told(Topic.CONNECTION, _both(session), "connection ends", Emphasis.QUIET)
            case facts.SenderLeft():
                session = self.sessions.of(fact.session)
                actor = f"{session.client} > {session.server}"
                return _Told(Topic.CONNECTION, actor, "ends the connection", Emphasis.QUIET)
            case facts.SmtpSaid():
                return _smtp_line(fact, self.sessions)
            case _:
                return None

    def _of_tls(self, fact: AnyFact) -> _Told | None:
        match fact:
            case facts.ClientHelloSeen():
                text = (
                    f"asks for TLS with {escape_unprintable(fact.sni)}"
                    if fact.sni
                    else "asks for TLS without naming a server"
                )
                return _Told(Topic.TLS, _both(self.sessions.of(fact.session)), text, Emphasis.QUIET)
            case facts.TlsEstablished():
                session = self.sessions.of(fact.session)
                shown = f"certificate {escape_unprintable(fact.certificate)}"
                if fact.shown_by:
                    shown += f", shown by {escape_unprintable(fact.shown_by)}"
                sound = fact.certificate == "valid" and not fact.shown_by
                emphasis = Emphasis.SECURE if sound else Emphasis.ATTACK if fact.shown_by else Emphasis.TROUBLE
                text = f"TLS is up: {escape_unprintable(fact.version)}, {shown}"
                return _Told(Topic.TLS, _both(session), text, emphasis, essential=not session.behind)
            case facts.TlsFailed():
                session = self.sessions.of(fact.session)
                shown = f" (certificate {escape_unprintable(fact.certificate)})" if fact.certificate else ""
                text = f"TLS failed{shown}: {escape_unprintable(fact.alert) or 'no alert was sent'}"
                return _Told(Topic.TLS, _both(session), text, Emphasis.TROUBLE, essential=True)
            case _:
                return None

    def _of_message(self, fact: AnyFact) -> _Told | None:
        match fact:
            case facts.TokenRead():
                session = self.sessions.of(fact.session)
                attacker = fact.reader == "attacker"
                what = "addresses, Subject and body" if session.in_data else "its token at least"
                text = f"{'' if attacker else 'anyone here '}can read message {short_token(fact.token)}: {what}"
                if fact.secured:
                    text += " (TLS is up, and ends here)"
                who = "attacker" if attacker else "path"
                return _Told(Topic.READ, who, text, Emphasis.LEAK, essential=True)
            case facts.MessageAccepted():
                return _accepted(fact, self.sessions)
            case _:
                return None


def _both(session: Session) -> str:
    # Behind an attacker: TLS may have been passed on as it came, so all that is known is which host it reached.
    if session.behind:
        return session.server
    return f"{session.client} {'=>' if session.secured else '>'} {session.server}"


def _policy_requested(fact: facts.PolicyRequested, session: Session) -> _Told:
    answered = f"answered {fact.status}" if fact.status else "never answered"
    request = f"{escape_unprintable(fact.method)} {escape_unprintable(fact.path)}"
    text = f"{request} at {escape_unprintable(fact.host)}: {answered}"
    if fact.policy_id:
        text += f", policy id {escape_unprintable(fact.policy_id)}"
    if fact.redirected:
        text += " (the target of a redirect)"
    emphasis = Emphasis.PLAIN if fact.status == 200 else Emphasis.TROUBLE
    actor = f"{session.client} => {session.server if session.role else 'policy'}"
    return _Told(Topic.POLICY, actor, text, emphasis, essential=True)


def _message_for(fact: facts.MessageInjected | facts.InjectionRefused) -> str:
    return f"message {short_token(fact.token)} for {escape_unprintable(fact.recipient)}"


def _smtp_line(fact: facts.SmtpSaid, sessions: Sessions) -> _Told:
    session = sessions.of(fact.session)
    # TLS that the attacker only passes on is first read at the far end: there it is the sender's own dialogue.
    passed_on = session.behind and fact.secured and not sessions.of(session.via).secured
    client = "sender" if passed_on else session.client
    arrow = "=>" if fact.secured else ">"
    if fact.speaker == "sender":
        actor = f"{client} {arrow} {session.server}"
    elif fact.speaker == "attacker" or fact.altered:
        actor = f"attacker {arrow} {client}"
    else:
        actor = f"{'mx' if session.role in ('', 'mx') else session.server} {arrow} {client}"
    return _Told(
        Topic.SMTP,
        actor,
        escape_unprintable(fact.line),
        Emphasis.ATTACK if fact.altered or fact.instead_of else Emphasis.PLAIN,
        struck=escape_unprintable(fact.instead_of),
        essential=bool(fact.instead_of),
        relayed=session.behind and not passed_on,
    )


def _accepted(fact: facts.MessageAccepted, sessions: Sessions) -> _Told:
    """Tell an acceptance by the leg that the target itself was on: that one protected the message, or did not."""
    tokens = ", ".join(short_token(token) for token in fact.tokens) or "without a token"
    # A bounce or a report that arrives at the sender's own domain is no delivery of the message under test.
    if fact.role not in ("mx", "attacker-mx"):
        return _Told(Topic.MAIL, sessions.of(fact.session).server, f"takes message {tokens}", Emphasis.QUIET)
    protection = sessions.protection(fact)
    text = f"takes message {tokens}, sent {protection}"
    if fact.via and protection != "inside TLS that ends at the attacker":
        text += ", passed on by the attacker"
    sound = protection == "inside TLS" and fact.certificate in CERTIFICATES_THAT_VERIFY
    emphasis = Emphasis.SECURE if sound else Emphasis.TROUBLE if protection == "inside TLS" else Emphasis.ATTACK
    return _Told(Topic.MAIL, "attacker" if fact.role == "attacker-mx" else "mx", text, emphasis, essential=True)


def _of_case(fact: AnyFact) -> _Told | None:
    match fact:
        case facts.CaseBegan():
            text = f"builds the world of {escape_unprintable(fact.domain)} (policy: {escape_unprintable(fact.mode)})"
            return _Told(Topic.CASE, "lab", text)
        case facts.CaseEnded():
            return _Told(Topic.CASE, "lab", "takes the world down", Emphasis.QUIET)
        case facts.StepBegan():
            names = ", ".join(escape_unprintable(name) for name in fact.attacks)
            return _Told(Topic.STEP, "lab", f"attack in force: {names}" if names else "no attack in force")
        case facts.StepEnded():
            return _Told(Topic.STEP, "lab", "step ends", Emphasis.QUIET)
        case _:
            return None


def _of_mail(fact: AnyFact) -> _Told | None:
    match fact:
        case facts.InjectionBegan():
            text = f"hands over message {short_token(fact.token)}"
            return _Told(Topic.MAIL, "lab > sender", text, Emphasis.QUIET)
        case facts.MessageInjected():
            text = f"{_message_for(fact)}: {escape_unprintable(fact.reply)}"
            return _Told(Topic.MAIL, "lab > sender", text)
        case facts.InjectionRefused():
            text = f"refuses {_message_for(fact)}: {escape_unprintable(fact.reply)}"
            return _Told(Topic.MAIL, "sender > lab", text, Emphasis.TROUBLE, essential=True)
        case facts.BounceReceived():
            status = f"{escape_unprintable(fact.action)} {escape_unprintable(fact.status)}"
            text = f"message {short_token(fact.token)} bounced: {status}"
            if fact.diagnostic:
                text += f" ({escape_unprintable(fact.diagnostic)})"
            return _Told(Topic.MAIL, "own mx", text, Emphasis.TROUBLE, essential=True)
        case facts.AttackFired():
            where = f"{escape_unprintable(fact.attack)}: " if fact.attack else ""
            return _Told(
                Topic.ATTACK, "attacker", where + escape_unprintable(fact.detail), Emphasis.ATTACK, essential=True
            )
        case _:
            return None


def _of_names(fact: AnyFact) -> _Told | None:
    match fact:
        case facts.DnsAnswered():
            answer = ", ".join(escape_unprintable(answer) for answer in fact.answers) or escape_unprintable(fact.rcode)
            text = f"{escape_unprintable(fact.type)} {escape_unprintable(fact.name)}: {answer}"
            if fact.tampered_by:
                text += f" [forged by {escape_unprintable(fact.tampered_by)}]"
                return _Told(Topic.DNS, "attacker > sender", text, Emphasis.ATTACK, essential=True)
            return _Told(Topic.DNS, "dns > sender", text)
        case facts.ReportReceived():
            return _Told(Topic.REPORT, "sender > report", report_line(fact), essential=True)
        case _:
            return None


def _of_target(fact: AnyFact) -> _Told | None:
    match fact:
        case facts.TargetFlushed():
            return _Told(Topic.TARGET, "lab > sender", "asks to try the whole queue now")
        case facts.TargetRestarted():
            went_on = "; an SMTP session from before went on" if fact.outlived else ""
            text = f"ended with {escape_unprintable(fact.signal)} and started again{went_on}"
            return _Told(Topic.TARGET, "lab > sender", text, essential=True)
        case facts.ClockAdvanced():
            return _Told(Topic.TARGET, "lab > sender", f"clock moved forward by {fact.seconds} s", essential=True)
        case facts.ReportsAsked():
            return _Told(Topic.TARGET, "lab > sender", "asks for TLS-RPT reports now")
        case facts.NotSupported():
            return _Told(
                Topic.TARGET, "sender", f"offers no such thing: {escape_unprintable(fact.what)}", essential=True
            )
        case facts.ReportsLeft():
            return _Told(Topic.TARGET, "sender > lab", "says that all reports have left")
        case facts.PartTried():
            return _part_tried(fact)
        case facts.QueueListed():
            return _Told(Topic.TARGET, "sender > lab", f"lists its queue: {len(fact.rows)} rows", Emphasis.QUIET)
        case facts.LogRead():
            text = f"shows its log: {fact.characters} characters, {len(fact.lines)} lines about our messages"
            return _Told(Topic.TARGET, "sender > lab", text, Emphasis.QUIET)
        case facts.TargetFailed():
            return _Told(
                Topic.TARGET, "sender", f"failed: {escape_unprintable(fact.what)}", Emphasis.TROUBLE, essential=True
            )
        case _:
            return None


def _part_tried(fact: facts.PartTried) -> _Told:
    tried = escape_unprintable(f"{fact.part} {fact.argument}".strip())
    if fact.error:
        return _Told(Topic.TARGET, "lab > sender", f"tries {tried}: {escape_unprintable(fact.error)}", Emphasis.TROUBLE)
    return _Told(Topic.TARGET, "lab > sender", f"tries {tried}: {'good' if fact.offered else 'not offered'}")


def _of_lab(fact: AnyFact) -> _Told | None:
    match fact:
        case facts.LabFailed():
            text = f"error in the lab, {escape_unprintable(fact.where)}: {escape_unprintable(fact.error)}"
            return _Told(Topic.LAB, "lab", text, Emphasis.TROUBLE, essential=True)
        case facts.DeadlinePassed():
            waited = f"{fact.seconds:g} s for {escape_unprintable(fact.waited_for)}"
            text = f"deadline {escape_unprintable(fact.deadline)} passed after {waited}"
            return _Told(Topic.LAB, "lab", text, Emphasis.TROUBLE, essential=True)
        case _:
            return None
