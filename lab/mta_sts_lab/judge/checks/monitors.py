"""What no case allows, whatever its own expectations say: the checks that watch every case to its end."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.events import (
    DeadlinePassed,
    Event,
    MessageAccepted,
    MessageInjected,
    NotSupported,
    PolicyRequested,
    SmtpSaid,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.outcome import LOST
from mta_sts_lab.judge.facts import CERTIFICATES_THAT_VERIFY, MessageFacts
from mta_sts_lab.judge.policy_lookups import BEFORE_POLICY_CHECK, policy_checks
from mta_sts_lab.judge.view import CaseView, inconclusive, numbers
from mta_sts_lab.model import Grade, Harm, Judgement, Mode, Outcome, Step
from mta_sts_lab.timeouts import ATTACK_SESSION, HAND_OVER

ENVELOPE_IN_CLEAR = "STS-5-03"
ENVELOPE_UNAUTHENTICATED = "STLS-4.1-02"
READ_IN_CLEAR = "STS-5-03"
READ_UNDER_A_BAD_CERTIFICATE = "STS-5-02"
REDIRECT_FOLLOWED = "STS-3.3-09"
ARRIVED_TWICE = "SMTP-4.5.4.1-01"
FALSE_NOTICE = "SMTP-6.1-01"

#: Deadlines with which the lab may end a session between the reply to the final dot and the target.
_CUTS_OFF = (HAND_OVER.name, ATTACK_SESSION.name)

_ENVELOPE = ("MAIL", "RCPT", "DATA", "BDAT")


@check(scope=Scope.EVERY_STEP, obligations=(READ_IN_CLEAR, READ_UNDER_A_BAD_CERTIFICATE))
def no_message_read(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The canary: where clear text is forbidden, no outsider may see a message's token, on any leg of the target's."""
    if not view.forbids_clear(step):
        return
    for secured, obligation in ((False, READ_IN_CLEAR), (True, READ_UNDER_A_BAD_CERTIFICATE)):
        for message in _messages(view):
            readings = [event for event in message.readings(secured) if event.step == step.name]
            if readings:
                yield Judgement(
                    view.grade_of(obligation),
                    "read-under-a-bad-certificate" if secured else "read-in-clear",
                    obligation=_principal(step, obligation),
                    step=step.name,
                    expected="nobody on the path can read the message",
                    observed="the message was read"
                    + (" inside TLS that ended at the attacker" if secured else " in clear"),
                    blame="target",
                    evidence=numbers(readings),
                    harm=Harm.READ,
                )


def _principal(step: Step, otherwise: str) -> str:
    return step.expect.obligation if step.expect else otherwise


def _messages(view: CaseView) -> list[MessageFacts]:
    return [
        MessageFacts(view.facts, fact.token, event.at, view.end) for event, fact in view.facts.of_kind(MessageInjected)
    ]


@check(scope=Scope.EVERY_STEP, obligations=(ENVELOPE_IN_CLEAR,))
def no_envelope_in_clear(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Sender and recipients are the policy's to protect, too: no MAIL, RCPT or DATA outside TLS under enforce."""
    if not view.forbids_clear(step):
        return
    reports = view.facts.carried_reports()
    said = [
        (event, fact)
        for event, fact in view.facts.said(step.name, secured=False, verbs=_ENVELOPE)
        if fact.session not in reports
    ]
    if said:
        yield view.broken(
            ENVELOPE_IN_CLEAR,
            "envelope-in-clear",
            step.name,
            "no MAIL, RCPT or DATA outside TLS",
            said[0][1].line,
            [event for event, _ in said],
            Harm.READ,
        )


@check(scope=Scope.EVERY_STEP, obligations=(ENVELOPE_UNAUTHENTICATED,))
def no_envelope_under_bad_certificate(view: CaseView, step: Step) -> Iterator[Judgement]:
    """A client that is not content with the handshake leaves before it says who writes to whom (RFC 3207, 4.1)."""
    leaked = _envelopes_under_bad_certificate(view, step)
    if leaked:
        yield view.broken(
            ENVELOPE_UNAUTHENTICATED,
            "envelope-under-a-bad-certificate",
            step.name,
            "QUIT or close directly after a handshake that does not authenticate the host",
            leaked[0][1].line,
            [event for event, _ in leaked],
            Harm.READ,
        )


@check(scope=Scope.EVERY_STEP, obligations=(READ_UNDER_A_BAD_CERTIFICATE,))
def no_message_under_bad_certificate(view: CaseView, step: Step) -> Iterator[Judgement]:
    """No message content goes to a host that the handshake did not authenticate."""
    sessions = {fact.session for _, fact in _envelopes_under_bad_certificate(view, step)}
    content = [
        event
        for event, fact in view.facts.of_kind(SmtpSaid, step.name)
        if fact.session in sessions and fact.secured and fact.speaker != "sender" and fact.line.startswith("354")
    ]
    if content:
        yield Judgement(
            Grade.FAIL,
            "message-sent-under-a-bad-certificate",
            obligation=_principal(step, READ_UNDER_A_BAD_CERTIFICATE),
            step=step.name,
            expected="no message content in a session that does not authenticate the host",
            observed="DATA was sent, and answered with 354",
            blame="target",
            evidence=numbers(content),
            harm=Harm.READ,
        )


def _envelopes_under_bad_certificate(view: CaseView, step: Step) -> list[tuple[Event, SmtpSaid]]:
    """Return the MAIL and RCPT that the target said under a certificate that does not authenticate the host."""
    if not view.forbids_clear(step):
        return []
    reports = view.facts.carried_reports()
    return [
        (event, fact)
        for event, fact in view.facts.said(step.name, secured=True, verbs=("MAIL", "RCPT"))
        if not _authenticated(view, fact) and fact.session not in reports
    ]


def _authenticated(view: CaseView, said: SmtpSaid) -> bool:
    """Whether the session is one with the genuine host, under a certificate that verifies."""
    session = view.facts.session(said.session)
    tls, leg = session.established, session.accepted
    if tls is None or leg is None:
        return False
    return tls.certificate in CERTIFICATES_THAT_VERIFY and tls.shown_by in ("", leg.host) and leg.role == "mx"


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
            (event, fact)
            for event, fact in view.facts.of_kind(DeadlinePassed)
            if fact.deadline in _CUTS_OFF and copies[0][1].via and copies[0][0].at <= event.at <= copies[1][0].at
        ]
        if cut:
            told = f"{len(copies)} copies, and between them {cut[0][1].deadline} passed: the lab may have caused this"
            yield inconclusive("cut-off-by-the-lab", told, step.name, "lab")
        else:
            yield view.broken(
                ARRIVED_TWICE,
                "arrived-twice",
                step.name,
                "exactly one copy",
                f"{len(copies)} copies",
                [event for event, _ in copies],
            )


@check(scope=Scope.CASE, obligations=(BEFORE_POLICY_CHECK, FALSE_NOTICE))
def no_failure_notice_after_delivery(view: CaseView) -> Iterator[Judgement]:
    """A message that arrived has not failed: nobody may be told that it did."""
    for step in view.case.steps:
        message = view.message_at_the_end(step)
        if message is None or not message.copies() or not message.bounces():
            continue
        unasked = view.case.mode is Mode.ENFORCE and policy_checks(message).obligation == BEFORE_POLICY_CHECK
        obligation = BEFORE_POLICY_CHECK if unasked else FALSE_NOTICE
        yield view.broken(
            obligation,
            "failure-notice-for-a-delivered-message",
            step.name,
            "no failure notice for a message that arrived",
            "both a copy and a failure notice",
            [*(event for event, _ in message.copies()), *message.bounces()],
        )


@check(scope=Scope.CASE)
def delivered_message_leaves_queue(view: CaseView) -> Iterator[Judgement]:
    """A queue that still lists a delivered message may send it once more when the lab has gone."""
    for step in view.case.steps:
        message = view.message_at_the_end(step)
        seen = message.queue() if message else []
        if message and message.copies() and seen and seen[-1][1].state != "gone":
            yield inconclusive(
                "still-queued-after-delivery",
                f"the queue still says: {seen[-1][1].state}",
                step.name,
                "target",
            )


@check(scope=Scope.CASE, obligations=(LOST,))
def no_message_lost_between_steps(view: CaseView) -> Iterator[Judgement]:
    """Steps that demand nothing of their own message are no licence to lose it, or to give it up."""
    for step in view.case.steps[1:]:
        message = view.message(step)
        if step.expect is not None or message is None or message.outcome() not in (Outcome.LOST, Outcome.BOUNCED):
            continue
        yield view.broken(
            LOST,
            message.outcome().value,
            step.name,
            "delivered or held",
            message.outcome().value,
            message.bounces() + [event for event, _ in message.queue()[-1:]],
            Harm.KEPT_BACK,
        )


@check(scope=Scope.CASE, obligations=(REDIRECT_FOLLOWED,))
def no_redirect_followed(view: CaseView) -> Iterator[Judgement]:
    """RFC 8461, section 3.3: 3xx answers are not followed."""
    followed = [event for event, fact in view.facts.of_kind(PolicyRequested) if fact.redirected]
    if followed:
        yield view.broken(
            REDIRECT_FOLLOWED,
            "redirect-followed",
            followed[0].step,
            "no request for the target of a redirect",
            f"{len(followed)} requests for it",
            followed,
        )


@check(scope=Scope.CASE, obligations=(LOST, READ_IN_CLEAR))
def held_message_arrives(view: CaseView) -> Iterator[Judgement]:
    """After the attack exactly one copy arrives, at the right host, as well protected as the policy demands."""
    for step in view.case.steps:
        then, now = view.message(step), view.message_at_the_end(step)
        if then is None or now is None or then.outcome() not in (Outcome.DEFERRED, Outcome.UNSETTLED):
            continue
        yield from _arrival(view, step, now)


def _arrival(view: CaseView, step: Step, message: MessageFacts) -> Iterator[Judgement]:
    copies, outcome = message.copies(), message.outcome()
    if not copies:
        if outcome in (Outcome.LOST, Outcome.BOUNCED):
            yield view.broken(
                LOST,
                f"{outcome.value}-instead-of-retried",
                step.name,
                "a held message arrives once the attack is over",
                outcome.value,
                message.bounces() + [event for event, _ in message.queue()[-1:]],
                Harm.KEPT_BACK,
            )
        elif not view.facts.of_kind(NotSupported):
            yield inconclusive("not-recovered", "the message was still held when the case ended", step.name)
        return
    arrived, copy = copies[0]
    kind = message.kind_of(copy)
    if (
        view.case.mode is Mode.ENFORCE
        and kind is not Outcome.DELIVERED_AUTHENTICATED
        and not _may_be_less(view, arrived.step)
    ):
        yield Judgement(
            Grade.FAIL,
            f"arrived-{kind.value}",
            obligation=step.expect.obligation if step.expect else READ_IN_CLEAR,
            step=step.name,
            expected="arrives authenticated",
            observed=kind.value,
            blame="target",
            evidence=(arrived.number,),
            harm=Harm.LET_OUT,
        )
    else:
        yield Judgement(
            Grade.PASS,
            "arrived",
            obligation=LOST,
            step=step.name,
            expected="exactly one copy, at the right host",
            observed=kind.value,
            evidence=(arrived.number,),
        )


def _may_be_less(view: CaseView, step_name: str) -> bool:
    """Whether the step in which a held message arrived lets messages go out less protected (a policy that lapsed)."""
    step = next((step for step in view.case.steps if step.name == step_name), None)
    return step is not None and not view.forbids_clear(step)


@check(scope=Scope.CASE)
def body_unchanged(view: CaseView) -> Iterator[Judgement]:
    """What arrived is what was sent. Whoever changed it, the case no longer tells the story it is named for."""
    sent = {fact.token: fact.body_digest for _, fact in view.facts.of_kind(MessageInjected)}
    for event, fact in view.facts.of_kind(MessageAccepted):
        for token in fact.tokens:
            if token in sent and fact.role != "sender-mx" and fact.body_digest != sent[token]:
                yield inconclusive("body-changed", f"the copy at {fact.host} differs", event.step)
