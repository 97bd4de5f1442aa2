"""How a sender uses REQUIRETLS, what it makes of its bounces, and what it does to TLS-Required fields (RFC 8689)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.events import BounceReceived, ConnectionAccepted, Event, MessageAccepted, MessageInjected, SmtpSaid
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.routing import first_by_preference
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.judge.protection import Breach, Protection
from mta_sts_lab.judge.sessions import Session
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode, Step
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.model.world import World
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.rfc.require_tls import REQUIRETLS, requiretls_demand, tls_required_values

BARE_WORD = "RTLS-2-01"
ON_MAIL_FROM = "RTLS-4.2.1-12"
KEPT_IN_THE_QUEUE = "RTLS-4.1-01"
AFTER_EHLO = "RTLS-4.2.1-03"
USUAL_TARGET = "RTLS-4.2.1-01"
STATUS_ADVISED = "RTLS-4.2.1-11"
ONE_FIELD = "RTLS-3-03"
BOUNCE_PROTECTED = "RTLS-5-01"
BOUNCE_WITH_OPTION = "RTLS-5-02"
BOUNCE_WITHOUT_BODY = "RTLS-5-03"
RETURN_DISREGARDED = "RTLS-5-04"
NULL_REVERSE_PATH = "RTLS-5-05"

#: What using the option breaks (RFC 8689, section 2), by the reason code of the breach.
_MISUSES = {
    "in-clear": "RTLS-2-02",
    "name-not-proven": "RTLS-2-03",
    "not-authenticated": "RTLS-2-04",
    "not-announced": "RTLS-2-05",
}

#: What a host for bounces has not proven, by the same reason codes: then the bounce has to say nothing there that needs
#: protection. A bounce is not thrown away for want of an announcement alone.
_NOT_PROVEN = ("name-not-proven", "not-authenticated")

_HELLOS = ("EHLO", "HELO")

#: The status codes that are advised where no host announces REQUIRETLS, and where no TLS is to be had.
_NOT_SUPPORTED, _NO_TLS = "5.7.30", "5.7.10"


@check(scope=Scope.EVERY_STEP, obligations=(BARE_WORD, AFTER_EHLO, *_MISUSES.values()))
def option_used_where_it_may_be(view: CaseView, step: Step) -> Iterator[Judgement]:
    """REQUIRETLS stands on MAIL FROM as a bare word, behind EHLO inside TLS, at a host that may be told it."""
    for event, fact in view.facts.of_kind(SmtpSaid, step.name):
        options = _options(fact.line) if fact.speaker == "sender" else ()
        leg = view.facts.session(fact.session)
        if not any(one.startswith(REQUIRETLS) for one in options) or leg.behind or not _may_be_told(step, leg):
            continue
        if REQUIRETLS not in options:
            expected = f"{REQUIRETLS} without a value"
            yield view.broken(BARE_WORD, "option-with-value", step.name, expected, f'"{fact.line}"', [event])
        hellos = [one.line for one in leg.lines if one.speaker == "sender" and one.line.upper().startswith(_HELLOS)]
        if hellos and not hellos[-1].upper().startswith("EHLO"):
            expected = "EHLO before the option"
            yield view.broken(AFTER_EHLO, "option-after-helo", step.name, expected, f'"{hellos[-1]}"', [event])
            continue
        if leg.role in RECEIVING:
            breach = view.facts.breach_in(fact.session, fact.secured)
        else:
            shown = leg.established.certificate if leg.established is not None else ""
            breach = _breach_on_the_way_back(view, step, leg.host, secured=fact.secured, certificate=shown)
        if breach is not None and breach.reason in _MISUSES:
            expected, observed = "no REQUIRETLS there", f'"{fact.line}" to {breach.observed}'
            yield view.broken(
                _MISUSES[breach.reason], f"option-{breach.reason}", step.name, expected, observed, [event]
            )


def _may_be_told(step: Step, leg: Session) -> bool:
    """Whether a session's host is one of the domain's, or the host for bounces that the step has of its own."""
    return leg.role in RECEIVING or (leg.role == "sender-mx" and step.world.return_host is not None)


def _breach_on_the_way_back(view: CaseView, step: Step, host: str, *, secured: bool, certificate: str) -> Breach | None:
    """Say how a session with a step's own host for bounces breaks what REQUIRETLS demands of it.

    Its domain has no policy, so that DNSSEC alone can vouch for its name.
    """
    settings = step.world.return_host
    if settings is None or view.case.mode is Mode.ABSENT:
        return None
    world = World(mx=(replace(settings, name=""),), dns=replace(step.world.dns, mx_security=""))
    demand = requiretls_demand(world, view.case.mode, host, None)
    return Protection(requiretls=demand).breach(host, secured, certificate)


@check(scope=Scope.EVERY_STEP, obligations=(ON_MAIL_FROM, KEPT_IN_THE_QUEUE))
def option_handed_on(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A message that came in with REQUIRETLS goes on with it, to a host that is in order."""
    message = view.message_at_the_end(step)
    if message is None or not step.message.requiretls:
        return
    for event, copy in message.copies():
        # Where the host is not in order the message should not be there at all; other checks find that.
        if not _has_option(copy) and message.breach_of(copy) is None:
            own = step.expect.obligation if step.expect else ""
            row = own if own == KEPT_IN_THE_QUEUE else ON_MAIL_FROM
            expected, observed = f"{REQUIRETLS} on MAIL FROM", f"delivered to {copy.host} without it"
            yield view.broken(row, "option-dropped", event.step, expected, observed, [event], Harm.LET_OUT)


@check(scope=Scope.STEP, obligations=(USUAL_TARGET,))
def hosts_found_as_usual(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Mail that requires TLS goes to the domain's MX hosts, the most preferred one first (RFC 5321, section 5.1)."""
    if step.message.requiretls:
        usable = [mx for mx in step.world.mx if mx.reachable and mx.address]
        yield from first_by_preference(view, step, usable, USUAL_TARGET)


@check(scope=Scope.STEP, obligations=(STATUS_ADVISED,))
def bounce_has_advised_status(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A bounce says 5.7.30 where REQUIRETLS is not announced, and 5.7.10 where TLS was not to be had."""
    message = view.message(step)
    expected = _status_advised(view, step) if message is not None and step.message.requiretls else ""
    for event in message.bounces() if message is not None and expected else ():
        fact = event.fact
        if isinstance(fact, BounceReceived) and fact.status != expected:
            observed = f"status {fact.status or 'none'}"
            yield view.broken(STATUS_ADVISED, "other-status", step.name, f"status {expected}", observed, [event])


def _status_advised(view: CaseView, step: Step) -> str:
    """Return the code that fits every session of a step; empty if none does, or they differ."""
    sessions = [
        view.facts.session(fact.session)
        for _, fact in view.facts.of_kind(ConnectionAccepted, step.name)
        if fact.role in RECEIVING and not fact.via
    ]
    found = {_trouble(view, step, one.host, bool(one.established or one.failed)) for one in sessions}
    return found.pop() if len(found) == 1 else ""


def _trouble(view: CaseView, step: Step, host: str, shook_hands: bool) -> str:
    if not shook_hands:
        return _NO_TLS
    mx = next((one for one in step.world.mx if absolute(one.name, view.facts.domain) == host), None)
    attacked = any(use.channel == "smtp" for use in step.attacks)
    return _NOT_SUPPORTED if mx is not None and mx.requiretls != "inside-tls" and not attacked else ""


@check(scope=Scope.CASE, obligations=(ONE_FIELD,))
def tls_required_field_not_repeated(view: CaseView) -> Iterator[Judgement]:
    """No message gets a second TLS-Required field on its way."""
    sent = {fact.token: event.step for event, fact in view.facts.of_kind(MessageInjected)}
    fields = {step.name: len(tls_required_values(step.message.header)) for step in view.case.steps}
    for event, copy in view.facts.of_kind(MessageAccepted):
        mine = [sent[token] for token in copy.tokens if token in sent and copy.role in RECEIVING]
        if mine and len(copy.tls_required) > max(1, *(fields.get(step, 0) for step in mine)):
            expected, observed = "one TLS-Required field", f"{len(copy.tls_required)} of them"
            yield view.broken(ONE_FIELD, "field-repeated", event.step, expected, observed, [event])


@check(
    scope=Scope.EVERY_STEP,
    obligations=(BOUNCE_PROTECTED, BOUNCE_WITH_OPTION, BOUNCE_WITHOUT_BODY, RETURN_DISREGARDED, NULL_REVERSE_PATH),
)
def bounce_protected_like_the_message(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The bounce of a message with REQUIRETLS has the same protection, and no body (RFC 8689, section 5)."""
    message = view.message_at_the_end(step)
    if message is None or not step.message.requiretls or view.case.mode is Mode.ABSENT:
        return
    for event, fact in view.facts.of_kind(MessageAccepted):
        if fact.role == "sender-mx" and message.token in fact.tokens:
            yield from _of_bounce(view, step, event, fact)
    for event in message.bounces():
        if isinstance(event.fact, BounceReceived) and event.fact.quotes_body:
            row = RETURN_DISREGARDED if step.message.return_whole else BOUNCE_WITHOUT_BODY
            expected, observed = "a bounce with the header section alone", "a bounce with the body of the message"
            yield view.broken(row, "bounce-with-body", step.name, expected, observed, [event])


def _of_bounce(view: CaseView, step: Step, event: Event, bounce: MessageAccepted) -> Iterator[Judgement]:
    host = step.world.return_host
    if bounce.mail_from:
        expected, observed = "MAIL FROM:<>", f"MAIL FROM:<{bounce.mail_from}>"
        yield view.broken(NULL_REVERSE_PATH, "bounce-with-sender", step.name, expected, observed, [event])
    if not bounce.secured and (host is None or host.starttls):
        expected, observed = "a bounce inside TLS, which the host offers", "a bounce in clear"
        yield view.broken(BOUNCE_PROTECTED, "bounce-in-clear", step.name, expected, observed, [event], Harm.READ)
    elif host is not None and _quotes_header(view, event, bounce):
        yield from _of_unredacted_bounce(view, step, event, bounce)


def _of_unredacted_bounce(view: CaseView, step: Step, event: Event, bounce: MessageAccepted) -> Iterator[Judgement]:
    """What quotes the message goes where its protection goes on: to a host that is in order, and with the option."""
    breach = _breach_on_the_way_back(view, step, bounce.host, secured=bounce.secured, certificate=bounce.certificate)
    if breach is None and not _has_option(bounce):
        expected, observed = f"a bounce with {REQUIRETLS} on MAIL FROM, which the host announces", "a bounce without it"
        yield view.broken(BOUNCE_WITH_OPTION, "bounce-without-option", step.name, expected, observed, [event])
    if breach is not None and breach.reason in _NOT_PROVEN:
        expected = "a bounce without the header of the message, or none"
        observed = f"a bounce with it to {breach.observed}"
        reason = f"bounce-{breach.reason}"
        yield view.broken(BOUNCE_PROTECTED, reason, step.name, expected, observed, [event], Harm.LET_OUT)


def _quotes_header(view: CaseView, event: Event, bounce: MessageAccepted) -> bool:
    """Whether a bounce that was accepted has the header of its message: its host says so right behind that."""
    notices = [
        fact
        for later, fact in view.facts.of_kind(BounceReceived)
        if later.number > event.number and fact.token in bounce.tokens
    ]
    return bool(notices) and notices[0].quotes_header


def _options(line: str) -> tuple[str, ...]:
    """Return what a line that is MAIL FROM says behind the address, in capitals."""
    words = line.upper().split()
    return tuple(words[1:]) if line.upper().startswith("MAIL FROM") else ()


def _has_option(copy: MessageAccepted) -> bool:
    return REQUIRETLS in map(str.upper, copy.mail_options)
