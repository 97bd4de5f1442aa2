"""Checks that apply to every case, whatever it expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.events import (
    BounceReceived,
    ClockAdvanced,
    DeadlinePassed,
    Event,
    MessageAccepted,
    MessageInjected,
    NotSupported,
    OtherMessageInjected,
    PolicyRequested,
    SmtpSaid,
    TokenRead,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.outcome_findings import LEAKS, LOST, leak_of
from mta_sts_lab.judge.message_facts import FAILURES, MessageFacts
from mta_sts_lab.judge.policy_lookups import BEFORE_POLICY_CHECK, began_at, policy_checks
from mta_sts_lab.judge.protection import NOT_ANNOUNCED, OF_DANE, UNLISTED_UNDER_REQUIRETLS, UNPROVEN_NAME
from mta_sts_lab.judge.report_window import DAY
from mta_sts_lab.judge.view import CaseView, inconclusive
from mta_sts_lab.judge.wrong_sessions import Wrong, WrongSession, wrong_session
from mta_sts_lab.model.case import Mode, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.timeouts import ATTACK_SESSION, HAND_OVER

ENVELOPE_IN_CLEAR = "STS-5-03"
ENVELOPE_UNAUTHENTICATED = "STLS-4.1-02"
READ_IN_CLEAR = "STS-5-03"
READ_INSIDE_TLS = "STS-5-02"
UNLISTED_HOST = "STS-4-01"
REDIRECT_FOLLOWED = "STS-3.3-09"
ARRIVED_TWICE = "SMTP-4.5.4.1-01"
FALSE_NOTICE = "SMTP-6.1-01"

#: A sender may give a message up after four to five days (RFC 5321, section 4.5.4.1).
DAYS_UNTIL_GIVEN_UP = 4

#: Deadlines with which the lab may end a session between the reply to the final dot and the target.
_CUTS_OFF = (HAND_OVER.name, ATTACK_SESSION.name)

_ENVELOPE = ("MAIL", "RCPT", "DATA", "BDAT")


@check(scope=Scope.EVERY_STEP, obligations=(READ_IN_CLEAR, READ_INSIDE_TLS, *OF_DANE))
def no_message_read(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Where clear text is forbidden, no outsider may see a message's token, on any leg of the target's."""
    for secured, obligation in ((False, READ_IN_CLEAR), (True, READ_INSIDE_TLS)):
        expected = "nobody on the path can read the message"
        for event, fact in view.facts.of_kind(MessageInjected):
            message = MessageFacts(view.facts, fact.token, event.at, view.end)
            readings = [one for one in message.readings(secured) if one.step == step.name]
            if not view.forbids_clear(step):
                readings = [one for one in readings if _reading_is_a_breach(view, one)]
            if readings:
                reason, where = _how_read(view, readings[0])
                observed = f"the message was read {where}"
                row = view.leak_breaks(step, view.session_breaks(_session_of(readings[0]), secured, obligation))
                found = view.broken(obligation, reason, step.name, expected, observed, readings, Harm.READ)
                yield replace(found, obligation=row)


def _session_of(reading: Event) -> str:
    return reading.fact.session if isinstance(reading.fact, TokenRead) else ""


def _how_read(view: CaseView, reading: Event) -> tuple[str, str]:
    """Return the reason code of a reading, and where the message was read in words."""
    fact = reading.fact
    if not isinstance(fact, TokenRead) or not fact.secured:
        return "read-in-clear", "in clear"
    found = wrong_session(view.facts, fact.session)
    return f"read-{found.wrong}", found.words


def _reading_is_a_breach(view: CaseView, reading: Event) -> bool:
    fact = reading.fact
    return isinstance(fact, TokenRead) and view.facts.breach_in(fact.session, fact.secured) is not None


@check(scope=Scope.EVERY_STEP, obligations=(ENVELOPE_IN_CLEAR, *OF_DANE))
def no_envelope_in_clear(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Under enforce no MAIL, RCPT or DATA outside TLS: the policy protects sender and recipients, too."""
    excused, forbidden = _excused_sessions(view), view.forbids_clear(step)
    said = view.facts.said(step.name, secured=False, verbs=_ENVELOPE)
    said = [
        (event, fact)
        for event, fact in said
        if fact.session not in excused and (forbidden or view.facts.breach_in(fact.session, secured=False))
    ]
    if said:
        expected, observed = "no MAIL, RCPT or DATA outside TLS", f'"{said[0][1].line}" in clear'
        events = [event for event, _ in said]
        row = view.session_breaks(said[0][1].session, False, ENVELOPE_IN_CLEAR)
        yield view.broken(row, "envelope-in-clear", step.name, expected, observed, events, Harm.READ)


def _excused_sessions(view: CaseView) -> frozenset[str]:
    """Return the sessions whose envelope breaks no policy of the domain, or is perhaps another one's.

    Where TLS reports are awaited, or mail goes to the other domain, one that broke off behind MAIL may be theirs.
    """
    sessions = view.facts.excused_sessions()
    expects_others = view.case.is_about_reports or view.facts.of_kind(OtherMessageInjected)
    return sessions | view.facts.carried_unknown_mail() if expects_others else sessions


@check(scope=Scope.EVERY_STEP, obligations=(ENVELOPE_UNAUTHENTICATED,))
def no_envelope_to_wrong_host(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A client that is not content with a session leaves before it says who writes to whom (RFC 3207, 4.1)."""
    for found, said in _envelopes_to_wrong_hosts(view, step):
        observed = f'"{said[0][1].line}" {found.words}'
        if found.wrong is Wrong.UNKNOWN:
            yield inconclusive(f"envelope-{found.wrong}", observed, step.name, "lab")
            continue
        events = [event for event, _ in said]
        reason, expected = f"envelope-{found.wrong}", _ENVELOPE_EXPECTED[found.wrong]
        yield view.broken(ENVELOPE_UNAUTHENTICATED, reason, step.name, expected, observed, events, Harm.READ)


_ENVELOPE_EXPECTED = {
    Wrong.HOST: "no MAIL or RCPT to a host that the policy in force does not list",
    Wrong.VERSION: "QUIT or close directly after a handshake with a TLS version that must not be used",
    Wrong.CERTIFICATE: "QUIT or close directly after a handshake that does not authenticate the host",
    Wrong.LOOK_UP: "no MAIL or RCPT to a host about which a DNS look-up failed",
}


@check(scope=Scope.EVERY_STEP, obligations=(READ_INSIDE_TLS, UNLISTED_HOST, *OF_DANE))
def no_message_to_wrong_host(view: CaseView, step: Step) -> Iterator[Judgement]:
    """No message content goes to a host that the handshake did not authenticate, or that the policy does not list."""
    for found, said in _envelopes_to_wrong_hosts(view, step):
        sessions = {fact.session for _, fact in said}
        content = [
            event
            for event, fact in view.facts.of_kind(SmtpSaid)
            if fact.session in sessions and fact.secured and fact.speaker != "sender" and fact.line.startswith("354")
        ]
        # Of a session that is not on record the envelope has said all that there is to say.
        if content and found.wrong is not Wrong.UNKNOWN:
            unlisted = found.wrong is Wrong.HOST
            reason = "message-sent-to-an-unlisted-host" if unlisted else f"message-sent-{found.wrong}"
            row = UNLISTED_HOST if unlisted else READ_INSIDE_TLS
            obligation = view.leak_breaks(step, view.session_breaks(said[0][1].session, True, row))
            observed = f"DATA was sent, and answered with 354, {found.words}"
            expected = _MESSAGE_EXPECTED[found.wrong]
            yield view.broken(obligation, reason, step.name, expected, observed, content, Harm.READ)


_MESSAGE_EXPECTED = {
    Wrong.HOST: "no message content to a host that the policy in force does not list",
    Wrong.VERSION: "no message content inside a TLS version that must not be used",
    Wrong.CERTIFICATE: "no message content in a session that does not authenticate the host",
    Wrong.LOOK_UP: "no message content to a host about which a DNS look-up failed",
}


def _envelopes_to_wrong_hosts(view: CaseView, step: Step) -> list[tuple[WrongSession, list[tuple[Event, SmtpSaid]]]]:
    """Return the MAIL and RCPT said inside TLS where no mail may go, by what is wrong there."""
    excused, forbidden = _excused_sessions(view), view.forbids_clear(step)
    found: dict[Wrong, tuple[WrongSession, list[tuple[Event, SmtpSaid]]]] = {}
    for event, fact in view.facts.said(step.name, secured=True, verbs=("MAIL", "RCPT")):
        certificate, leg = view.facts.certificate_of(fact.session), view.facts.session(fact.session)
        authenticated = view.facts.authenticates(fact.session, leg.host, certificate)
        breach = view.facts.breach_in(fact.session, secured=True)
        if breach is not None and breach.obligation in (UNPROVEN_NAME, UNLISTED_UNDER_REQUIRETLS, NOT_ANNOUNCED):
            # The handshake authenticated the host. What REQUIRETLS demands beyond that has checks of its own.
            continue
        if ((forbidden and not authenticated) or breach) and fact.session not in excused:
            what = wrong_session(view.facts, fact.session)
            found.setdefault(what.wrong, (what, []))[1].append((event, fact))
    return list(found.values())


@check(scope=Scope.CASE, obligations=(ARRIVED_TWICE,))
def no_duplicate_delivery(view: CaseView) -> Iterator[Judgement]:
    """The lab answers every final dot, so a second copy is the target's own doing.

    Unless the lab may have cut the reply off: behind an attacker, when it no longer waited for the target to let go of
    this message, or ended an attacker's session that took too long, between the two copies.
    """
    for step in view.case.steps:
        message = view.message_at_the_end(step)
        copies = message.copies() if message else []
        if len(copies) < 2:
            continue
        cut = [
            fact.deadline
            for event, fact in view.facts.of_kind(DeadlinePassed)
            if fact.deadline in _CUTS_OFF and copies[0][1].via and copies[0][0].at <= event.at <= copies[1][0].at
        ]
        count, events = f"{len(copies)} copies", [event for event, _ in copies]
        if cut:
            observed = f"{count}, and between them {cut[0]} passed: the lab may have caused this"
            yield inconclusive("cut-off-by-the-lab", observed, step.name, "lab")
        else:
            yield view.broken(ARRIVED_TWICE, "arrived-twice", step.name, "exactly one copy", count, events)


@check(scope=Scope.CASE, obligations=(BEFORE_POLICY_CHECK, FALSE_NOTICE))
def no_failure_notice_after_delivery(view: CaseView) -> Iterator[Judgement]:
    """No failure notice may come for a message that arrived."""
    for step in view.case.steps:
        message = view.message_at_the_end(step)
        if message is None or not message.copies() or not message.bounces():
            continue
        unasked = view.case.mode is Mode.ENFORCE and policy_checks(message).obligation == BEFORE_POLICY_CHECK
        obligation, reason = BEFORE_POLICY_CHECK if unasked else FALSE_NOTICE, "failure-notice-for-a-delivered-message"
        expected, observed = "no failure notice for a message that arrived", "both a copy and a failure notice"
        events = [*(event for event, _ in message.copies()), *message.bounces()]
        yield view.broken(obligation, reason, step.name, expected, observed, events)


@check(scope=Scope.CASE)
def delivered_message_leaves_queue(view: CaseView) -> Iterator[Judgement]:
    """A target whose queue still lists a delivered message may send it again later.

    A look at the queue that began before the delivery does not show it: where a step cannot be played, the case may end
    before the next one.
    """
    for step in view.case.steps:
        message = view.message_at_the_end(step)
        seen = message.queue() if message else []
        if not message or not message.copies() or not seen:
            continue
        looked_after = seen[-1][1].looked > message.copies()[-1][0].at
        if looked_after and seen[-1][1].state != "gone":
            observed = f"the queue still says: {seen[-1][1].state}"
            yield inconclusive("still-queued-after-delivery", observed, step.name, "target")


@check(scope=Scope.CASE, obligations=(LOST,))
def no_message_lost_between_steps(view: CaseView) -> Iterator[Judgement]:
    """Reports messages lost or bounced in steps without an expectation.

    Of the first message a return is no finding: why the target does not deliver to this domain is not what the case is
    about (`prime_delivered`). That its queue had it, it never arrived, and nobody was told, is wrong in any step.
    """
    for step in view.case.steps:
        message = view.message(step)
        if step.expect is not None or message is None:
            continue
        outcome, wrong = message.outcome(), {Outcome.LOST, Outcome.BOUNCED}
        if step is view.case.steps[0]:
            kept = any(seen.state != "gone" for _, seen in message.queue())
            wrong = {Outcome.LOST} if kept else set()
        if outcome in wrong:
            what, events = outcome.value, _end_of(message)
            yield view.broken(LOST, what, step.name, "delivered or held", what, events, Harm.KEPT_BACK)


def _end_of(message: MessageFacts) -> list[Event]:
    return [*message.bounces(), *(event for event, _ in message.queue()[-1:])]


@check(scope=Scope.CASE, obligations=(REDIRECT_FOLLOWED,))
def no_redirect_followed(view: CaseView) -> Iterator[Judgement]:
    """RFC 8461, section 3.3: 3xx answers are not followed."""
    followed = [event for event, fact in view.facts.of_kind(PolicyRequested) if fact.redirected]
    if followed:
        step, expected = followed[0].step, "no request for the target of a redirect"
        observed = "a request for it" if len(followed) == 1 else f"{len(followed)} requests for it"
        yield view.broken(REDIRECT_FOLLOWED, "redirect-followed", step, expected, observed, followed)


@check(scope=Scope.CASE, obligations=(LOST, *LEAKS.values()))
def held_message_arrives(view: CaseView) -> Iterator[Judgement]:
    """After the attack exactly one copy arrives, at the right host, as well protected as the policy demands."""
    for step in view.case.steps:
        then, now = view.message(step), view.message_at_the_end(step)
        if then is None or now is None or then.outcome() not in (Outcome.DEFERRED, Outcome.UNSETTLED):
            continue
        outcome = now.outcome()
        if view.watched_later(step) and not now.copies():
            continue
        if now.copies():
            yield _arrival(view, step, now)
        elif outcome is Outcome.BOUNCED and (days := _days_kept(view, now)) >= DAYS_UNTIL_GIVEN_UP:
            observed = f"the message was returned {days:.0f} days after it was sent, by the clock that the lab moves"
            yield inconclusive("given-up-after-days", observed, step.name)
        elif outcome in (Outcome.LOST, Outcome.BOUNCED):
            when = "the attack is over" if step.attacks else "nothing hinders it any more"
            reason, expected = f"{outcome.value}-instead-of-retried", f"a held message arrives once {when}"
            yield view.broken(LOST, reason, step.name, expected, outcome.value, _end_of(now), Harm.KEPT_BACK)
        elif not view.facts.of_kind(NotSupported) and not view.ended_with_its_first_message():
            yield inconclusive("not-recovered", "the message was still held when the case ended", step.name)


def _days_kept(view: CaseView, message: MessageFacts) -> float:
    """Return how many days the lab moved the target's clock on, for whichever case, until a message was returned."""
    returned = message.bounces()[0].at
    moves = view.of_run.of_kind(ClockAdvanced)
    begun = (fact for event, fact in moves if message.injected < event.at and began_at(event, fact) <= returned)
    return sum(fact.seconds for fact in begun) / DAY


def _arrival(view: CaseView, step: Step, message: MessageFacts) -> Judgement:
    arrived, copy = message.copies()[0]
    kind = message.kind_of(copy)
    if arrives_less_protected(view, message, arrived, copy):
        obligation, reason = view.leak_breaks(step, leak_of(message, kind)), f"arrived-{kind.value}"
        expected = "arrives authenticated"
        return view.broken(obligation, reason, step.name, expected, kind.value, [arrived], Harm.LET_OUT)
    expected, evidence = "exactly one copy, at the right host", (arrived.number,)
    return Judgement(Grade.PASS, "arrived", LOST, step.name, expected, kind.value, evidence=evidence)


def arrives_less_protected(view: CaseView, message: MessageFacts, arrived: Event, copy: MessageAccepted) -> bool:
    """Whether a held message arrived less protected than the step in which it did so allows."""
    if not view.is_protected or message.kind_of(copy) is Outcome.DELIVERED_AUTHENTICATED:
        return False
    step = next((step for step in view.case.steps if step.name == arrived.step), None)
    return step is None or view.forbids_clear(step)


@check(scope=Scope.CASE)
def message_unchanged(view: CaseView) -> Iterator[Judgement]:
    """The message that arrived is the one that was sent, for whom it was sent to. Otherwise the case proves nothing."""
    sent = {fact.token: fact for _, fact in view.facts.of_kind(MessageInjected)}
    others = view.facts.carried_other_mail()
    for event, fact in view.facts.of_kind(MessageAccepted):
        for token in fact.tokens:
            if token not in sent or fact.role == "sender-mx" or fact.session in others:
                continue
            if view.facts.is_of_other_mail(fact.recipients):
                continue
            if fact.body_digest != sent[token].body_digest:
                yield inconclusive("body-changed", f"the copy at {fact.host} differs", event.step)
            if not _mailboxes(view, sent[token].recipient.lower()) & set(map(str.lower, fact.recipients)):
                observed = f"the copy at {fact.host} is for {', '.join(fact.recipients) or 'nobody'}"
                yield inconclusive("recipient-changed", observed, event.step)


def _mailboxes(view: CaseView, recipient: str) -> set[str]:
    """Return the addresses of a recipient: a sender may put what the domain's name is an alias of in its place.

    RFC 5321 neither asks for that nor forbids it; sendmail does it.
    """
    local, _, domain = recipient.rpartition("@")
    worlds = [step.world for step in view.case.steps]
    aliases = {world.dns.alias_of for world in worlds} | {mx.alias_of for one in worlds for mx in one.mx if not mx.name}
    return {recipient, *(f"{local}@{absolute(name, domain)}" for name in aliases if name)}


@check(scope=Scope.CASE)
def failure_notice_names_its_message(view: CaseView) -> Iterator[Judgement]:
    """A failure notice about a case that names none of its messages may be about any of them."""
    for event, fact in view.facts.of_kind(BounceReceived):
        if fact.action in FAILURES and not fact.token:
            observed = f"a notice with the action {fact.action} and the status {fact.status or 'none'}"
            yield inconclusive("failure-notice-without-a-message", observed, event.step)
