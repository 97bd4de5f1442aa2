"""The outcome of a step's message: whether it is what the scenario demands, and for the right reason."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.check_registry import check_id
from mta_sts_lab.events import BounceReceived, ConnectionAccepted, Event, PolicyRequested
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts, message_of_step
from mta_sts_lab.judge.policies_in_force import fetched_policies, plainly_published, served_texts
from mta_sts_lab.judge.policy_lookups import LOOKS_IN_TIME, older_policy, policy_checks
from mta_sts_lab.judge.protection import HOST_NOT_LISTED, OF_REQUIRETLS
from mta_sts_lab.judge.view import CaseView, inconclusive, numbers
from mta_sts_lab.judge.why_held import LOOKUP_FAILED, why_held
from mta_sts_lab.judge.wrong_sessions import Wrong, wrong_session
from mta_sts_lab.model.case import Expectation, Mode, PolicyRequests, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.require_tls import goes_without_tls

#: What a message that is lost breaks in every case, and where it had waited until the sender was killed.
LOST = "SMTP-4.5.4.1-01"
LOST_IN_A_CRASH = "SMTP-6.1-04"

#: What a message that is let out against an enforced policy breaks (RFC 8461, section 5), by how it was delivered.
LEAKS = {Outcome.DELIVERED_CLEAR: "STS-5-03", Outcome.DELIVERED_UNAUTHENTICATED: "STS-5-02"}

#: The reasons of a sender that holds mail, or returns it, although the control case demands delivery. They are
#: findings, and no doubt: the attack took effect on it, or it would have delivered.
_WITHOUT_A_POLICY = {Outcome.DEFERRED: "held-without-a-policy", Outcome.BOUNCED: "returned-without-a-policy"}

#: Held, or returned, under a policy that asks for delivery, because this sender does so with or without a policy.
_AS_WITHOUT_A_POLICY = {
    Outcome.DEFERRED: "held-as-without-a-policy",
    Outcome.BOUNCED: "returned-as-without-a-policy",
}

#: What REQUIRETLS mail breaks (RFC 8689) whose bounce never comes, and that goes out under an old version of TLS.
BOUNCE_DISCARDED = "RTLS-5-06"
OLD_TLS_UNDER_REQUIRETLS = "RTLS-4.2.1-06"

#: What mail breaks that was given up after days, without a word to its author.
NOTICE_OWED = "SMTP-6.1-01"

#: How bad an outcome is for the mail: without a policy a message may fare no better than with one.
_LOSS = {
    Outcome.DELIVERED_AUTHENTICATED: 0,
    Outcome.DELIVERED_UNAUTHENTICATED: 0,
    Outcome.DELIVERED_CLEAR: 0,
    Outcome.DEFERRED: 1,
    Outcome.BOUNCED: 2,
    Outcome.LOST: 2,
}

#: Mail that is held or returned as RFC 5321 asks is so whatever a policy says: no reason has to be on record.
_WITHOUT_REGARD_TO_POLICIES = "SMTP-"

#: The obligations that a sender fulfils by what it has in its cache.
CACHE_KEPT = ("STS-3.1-13", "STS-3.3-16")

NEVER_ASKED = "policy-never-asked"

#: The reason of a target that asked for the policy less often than a step demands.
TOO_SELDOM = "requested-too-seldom"

_MISSING = {
    NEVER_ASKED: "the target never looked for an MTA-STS record of this domain",
    "policy-host-never-reached": "the target never reached out for the policy of this domain",
}


@check(
    scope=Scope.STEP,
    obligations=(
        *(LOST, LOST_IN_A_CRASH, LOOKS_IN_TIME, "STS-5-07", "STS-5-08", "STS-4-01", *LEAKS.values()),
        *(*OF_REQUIRETLS, BOUNCE_DISCARDED, OLD_TLS_UNDER_REQUIRETLS, NOTICE_OWED),
    ),
)
def message_outcome(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Compare the outcome of a step's message with what the scenario demands of it."""
    expect, message = step.expect, view.message(step)
    if expect is None or message is None:
        return
    outcome = message.outcome()
    if outcome is Outcome.UNSETTLED:
        return
    if outcome is Outcome.LOST and _arrived_later(view, step):
        observed = "the target's queue no longer held the message, and yet it arrived later: its view proves nothing"
        yield inconclusive("queue-belied", observed, step.name, blame="target")
    elif _came_over_an_older_connection(view, step, message):
        observed = f"{outcome.value} over a connection that the target had opened before this step"
        yield inconclusive("not-met-by-the-attack", observed, step.name)
    elif "as-absent" in expect.outcome:
        yield _not_worse_than_without_a_policy(view, step, expect, message)
    elif "any" in expect.outcome:
        yield _judged(step, Grade.INFO, "recorded-only", expect, message)
    elif is_admitted(expect.outcome, outcome):
        yield from _as_demanded(view, step, expect, message)
    elif outcome.delivered and view.case.mode is Mode.ENFORCE and view.not_primed(message):
        observed = f"{outcome.value}; the target had asked for the policy, but its fetch never came to an end"
        yield inconclusive("not-primed", observed, step.name)
    else:
        yield _otherwise(view, step, expect, message)


def control_outcome(view: CaseView, step: Step) -> Outcome | None:
    """Return what became of the control case's message of the same step."""
    found = view.control_verdict.steps if view.control_verdict else ()
    return next((result.outcome for result in found if result.step == step.name), None)


def kept_back_in_control(view: CaseView, step: Step) -> Judgement | None:
    """Return the finding that the control case held or returned a step's message where delivery is demanded."""
    if control_outcome(view, step) not in _WITHOUT_A_POLICY or view.control_verdict is None:
        return None
    found = (one for one in view.control_verdict.judgements if one.check == check_id(message_outcome))
    return next((one for one in found if one.step == step.name and one.harm is Harm.KEPT_BACK), None)


def _arrived_later(view: CaseView, step: Step) -> bool:
    message = view.message_at_the_end(step)
    return message is not None and bool(message.copies())


def _came_over_an_older_connection(view: CaseView, step: Step, message: MessageFacts) -> bool:
    """Whether every copy came over a connection from before the step: what the step is about cannot have met it."""
    times = view.step_times(step.name)
    sessions = {copy.via or copy.session for _, copy in message.copies()}
    opened = {fact.session: event.at for event, fact in view.facts.of_kind(ConnectionAccepted)}
    return bool(sessions and times) and all(opened.get(name, math.inf) < times[0] for name in sessions if times)


def is_admitted(words: tuple[str, ...], outcome: Outcome) -> bool:
    """Whether the words of an expectation allow an outcome."""
    return outcome.value in words or (outcome.delivered and "delivered" in words)


def _judged(
    step: Step,
    grade: Grade,
    reason: str,
    expect: Expectation,
    message: MessageFacts,
    obligation: str = "",
    harm: Harm = Harm.NONE,
) -> Judgement:
    evidence = [
        *(event for event, _ in message.copies()),
        *message.bounces(),
        *(one for one, _ in message.queue()[-1:]),
    ]
    return Judgement(
        grade,
        reason,
        obligation=obligation or expect.obligation,
        step=step.name,
        expected=" or ".join(expect.outcome) + (f" ({expect.note})" if expect.note else ""),
        observed=message.outcome().value + _how_unprotected(message) + _said_by_the_target(message),
        blame="target" if grade in (Grade.FAIL, Grade.WEAK) else "nobody",
        evidence=numbers(evidence),
        harm=harm,
    )


def _said_by_the_target(message: MessageFacts) -> str:
    """Quote why the target held a message, from its queue, or returned it, from its notice."""
    outcome = message.outcome()
    if outcome is Outcome.DEFERRED:
        reasons = [one.reason for _, one in message.queue() if one.reason]
        return f' (its queue says "{reasons[-1]}")' if reasons else ""
    if outcome is Outcome.BOUNCED:
        notices = [event.fact for event in message.bounces() if isinstance(event.fact, BounceReceived)]
        said = [one.diagnostic or f"status {one.status}" for one in notices if one.diagnostic or one.status]
        return f' (its notice says "{said[-1]}")' if said else ""
    return ""


def leak_of(message: MessageFacts, outcome: Outcome) -> str:
    """Return what a message that was let out against an enforced policy breaks."""
    breaches = [breach for _, copy in message.copies() if (breach := message.breach_of(copy))]
    found = sorted(breaches, key=lambda one: one.reason != HOST_NOT_LISTED)
    return found[0].obligation if found else LEAKS[outcome]


def requiretls_row(message: MessageFacts, outcome: Outcome) -> str:
    """Return what the outcome of a message with REQUIRETLS breaks where it is not the one that is demanded.

    Empty: what the scenario is about. RFC 8689, section 5 knows that bounces of such mail can be lost, and advises
    against it.
    """
    if outcome is Outcome.LOST:
        return BOUNCE_DISCARDED
    sessions = [copy.via or copy.session for _, copy in message.copies()]
    if any(wrong_session(message.facts, one).wrong is Wrong.VERSION for one in sessions):
        return OLD_TLS_UNDER_REQUIRETLS
    breaches = [breach for _, copy in message.copies() if (breach := message.breach_of(copy))]
    return breaches[0].obligation if breaches else ""


def _how_unprotected(message: MessageFacts) -> str:
    """Say to which host a message went that the policy in force does not list, or why its host was not authenticated.

    The certificate of such a host may be in order.
    """
    copies = [copy for _, copy in message.copies()]
    breaches = (message.breach_of(copy) for copy in copies)
    unlisted = next((f" to {one.observed}" for one in breaches if one and one.reason == HOST_NOT_LISTED), "")
    kinds = {message.kind_of(copy): copy for copy in copies}
    if unlisted or message.outcome() is not Outcome.DELIVERED_UNAUTHENTICATED:
        return unlisted
    copy = kinds[Outcome.DELIVERED_UNAUTHENTICATED]
    return f" {wrong_session(message.facts, copy.via or copy.session).words}"


def _broken(
    view: CaseView,
    step: Step,
    reason: str,
    expect: Expectation,
    message: MessageFacts,
    obligation: str = "",
    grade: Grade | None = None,
) -> Judgement:
    """Return the finding that an outcome is not what is demanded."""
    outcome = message.outcome()
    protected = view.is_protected and not goes_without_tls(step.message)
    if not obligation and step.message.requiretls:
        # Where the header contradicts the envelope, the step is about which of them counts.
        obligation = expect.obligation if step.message.header else requiretls_row(message, outcome)
    if not obligation and protected and outcome in LEAKS:
        obligation = view.leak_breaks(step, leak_of(message, outcome))
    obligation = obligation or expect.obligation
    grade = grade or view.grade_of(obligation, expect if obligation == expect.obligation else None)
    harm = Harm.KEPT_BACK if not outcome.delivered else Harm.LET_OUT if protected else Harm.NONE
    return _judged(step, grade, reason, expect, message, obligation, harm)


def _as_demanded(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Iterator[Judgement]:
    outcome = message.outcome()
    if outcome.delivered and view.case.mode.has_policy and not _went_by_dane(view):
        missing = _policy_contact_missing(view, expect)
        if missing and outcome is not Outcome.DELIVERED_AUTHENTICATED and "deferred" in expect.outcome:
            # Delivery is let pass for a target that had lost what it knew; this one never set out to know.
            yield _broken(view, step, f"{outcome.value}-{missing}", expect, message)
            return
        if missing:
            yield _policy_had_no_part(view, step, missing)
        elif _never_got_the_policy(view, step, message):
            observed = f"{outcome.value}; the target had asked for the policy, and never got it"
            yield inconclusive("not-primed", observed, step.name)
    if expect.should and not is_admitted(expect.should, outcome):
        yield _judged(step, Grade.WEAK, "allowed-but-not-advised", expect, message)
    elif expect.obligation.startswith(_WITHOUT_REGARD_TO_POLICIES):
        yield _judged(step, Grade.PASS, outcome.value, expect, message)
    elif outcome is Outcome.BOUNCED:
        why, evidence = why_held(message)
        yield (
            _because(_judged(step, Grade.PASS, outcome.value, expect, message), why, evidence)
            if (why)
            else _no_reason_on_record(step)
        )
    elif outcome is Outcome.DEFERRED:
        yield _held_for_the_right_reason(view, step, expect, message)
    else:
        yield _judged(step, Grade.PASS, outcome.value, expect, message)


def _never_got_the_policy(view: CaseView, step: Step, message: MessageFacts) -> bool:
    """Whether an enforced policy was to be had before a step, and the target has fetched none when the step ended.

    Then nothing that it did in the step shows what it makes of that policy.
    """
    if view.case.mode is not Mode.ENFORCE or view.facts.policy_fetched(message.until):
        return False
    served = served_texts(view.case, view.facts.domain)
    before = view.case.steps[: view.case.steps.index(step)]
    return any(plainly_published(one, served[one.name]) for one in before if one.learns_policy)


def _went_by_dane(view: CaseView) -> bool:
    """Whether the target looked for TLSA records of a domain that has DANE: then it may do without the policy.

    Records that can be used decide alone (RFC 8461, section 2). sendmail looks for no policy where there are any.
    """
    return view.case.has_dane and bool(view.facts.tlsa_asked())


def _policy_had_no_part(view: CaseView, step: Step, missing: str) -> Judgement:
    """Delivered as demanded, but not because of the policy.

    Of a sender without MTA-STS nothing else can be expected: that it follows no policy shows elsewhere. Of any other
    sender it is a doubt.
    """
    if missing == NEVER_ASKED and "mta-sts" not in view.about.capabilities:
        return Judgement(Grade.INFO, missing, step=step.name, observed=_MISSING[missing])
    return inconclusive(missing, _MISSING[missing], step.name)


def _policy_contact_missing(view: CaseView, expect: Expectation) -> str:
    """Return what shows that a target cannot have refused, or kept, a policy: it never asked for it."""
    if not view.facts.policy_asked():
        return NEVER_ASKED
    no_request_wanted = expect.policy_requests is not None and expect.policy_requests.most == 0
    if not no_request_wanted and not view.facts.policy_host_reached():
        return "policy-host-never-reached"
    return ""


def _row_of_a_loss(step: Step) -> str:
    return LOST_IN_A_CRASH if step.restart and not step.send else LOST


def _otherwise(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    outcome = message.outcome()
    to_be_delivered = any(word.startswith("delivered") for word in expect.outcome)
    if outcome in _WITHOUT_A_POLICY and view.case.mode is Mode.ABSENT and to_be_delivered:
        return _kept_back_without_a_policy(view, step, expect, message)
    if outcome is Outcome.BOUNCED:
        return _bounced(view, step, expect, message)
    if outcome is Outcome.LOST and not step.send and Outcome.BOUNCED.value in expect.outcome:
        return _broken(
            view, step, "given-up-without-a-notice", expect, message, NOTICE_OWED, view.grade_of(NOTICE_OWED)
        )
    if outcome is Outcome.LOST and not step.message.requiretls:
        row = _row_of_a_loss(step)
        return _broken(view, step, "lost", expect, message, row, view.grade_of(row))
    if outcome is Outcome.DEFERRED and (there := _kept_back_there_too(view, step, outcome)):
        # Held, policy or no policy: that says nothing of what the sender made of a policy that it had to let go.
        return _broken(view, step, _AS_WITHOUT_A_POLICY[outcome], expect, message, there.obligation, there.grade)
    if older_policy(view.case, view.facts, message, view.of_run, view.about) is not None:
        # That it would have waited until the older one expired was not seen: that is what the advice is about.
        return _broken(view, step, "followed-an-older-policy", expect, message, LOOKS_IN_TIME, Grade.INFO)
    reason = outcome.value
    if outcome.delivered and view.case.mode is Mode.ENFORCE and not view.facts.policy_fetched(message.injected):
        reason += "-policy-never-fetched"
    return _broken(view, step, reason, expect, message)


def _kept_back_there_too(view: CaseView, step: Step, outcome: Outcome) -> Judgement | None:
    return kept_back_in_control(view, step) if control_outcome(view, step) is outcome else None


def _kept_back_without_a_policy(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """A sender that holds mail, or returns it, where nobody asked for that, and is seen to do it because of the attack.

    That is its own doing, and no doubt about the attacker: the attack took effect, and the record shows what the sender
    would not accept. A hold that nothing on record explains may as well be the lab's.
    """
    why, evidence = why_held(message)
    sessions = view.facts.receiving_sessions(message.step_began(), message.until)
    if not why or not view.facts.target_left(sessions, message.until):
        return _no_reason_on_record(step)
    grade = view.grade_of(expect.obligation)
    found = _broken(view, step, _WITHOUT_A_POLICY[message.outcome()], expect, message, grade=grade)
    return _because(found, why, evidence)


def _bounced(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """No permanent failure before DNS was asked for a newer policy; see `mta_sts_lab.judge.policy_lookups`."""
    # What a policy asks for breaks a row of RFC 8461 where it is not done.
    forbidden = "deferred" in expect.outcome and expect.obligation.startswith("STS-")
    older = older_policy(view.case, view.facts, message, view.of_run, view.about)
    kept_the_older = older is not None and older.mode in ("", Mode.ENFORCE.value)
    if view.case.mode is not Mode.ENFORCE or not (forbidden or kept_the_older):
        # The policy is not what stood in the way: the bounce breaks what the scenario is about.
        return _broken(view, step, "bounced", expect, message)
    checks = policy_checks(message)
    found = _broken(view, step, checks.reason, expect, message, checks.obligation, view.grade_of(checks.obligation))
    if checks.own or not checks.for_another:
        return found
    return _because(found, "an older message waited, and the look may have been for its sake", list(checks.for_another))


# ---------------------------------------------------------------------------------------------------------------------
# Held for the right reason


def _held_for_the_right_reason(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """Holding counts only if a policy was there to be kept, and the record shows what the target did not accept."""
    why, evidence = why_held(message)
    grade, reason = Grade.PASS, "deferred"
    if view.case.mode is Mode.ENFORCE and not view.facts.policy_fetched(message.until) and not _went_by_dane(view):
        if view.facts.policy_asked() or "mta-sts" in view.about.capabilities:
            observed = "the target held the message but had never fetched this domain's policy"
            return inconclusive("held-without-policy", observed, step.name)
        # A sender without MTA-STS: the mail is safe this time, and the policy had no part in it.
        grade, reason = Grade.INFO, "held-for-another-reason"
    if view.case.mode is Mode.DANE and not view.facts.tlsa_asked() and not why.startswith(LOOKUP_FAILED):
        observed = "the target held the message but had never looked up a TLSA record of this domain"
        return inconclusive("held-without-tlsa", observed, step.name)
    if not why:
        return _no_reason_on_record(step)
    if grade is Grade.PASS and expect.obligation in CACHE_KEPT and (again := _fetched_again(view, message)):
        held = _judged(step, Grade.INFO, "held-by-a-policy-fetched-again", expect, message)
        return _because(
            held, f"it fetched the policy again {again:.1f} s into this step, so no cache is proved", evidence
        )
    if grade is Grade.PASS and view.control is not None and control_outcome(view, step) in _WITHOUT_A_POLICY:
        other = _reason_of_control_case(view.control, step, message)
        if not message.reasons() or other is None:
            observed = "the control case was kept back, too, and the queue does not say why either of them was"
            return inconclusive("held-as-in-control-case", observed, step.name)
        if other:
            held = _judged(step, Grade.INFO, "held-for-another-reason", expect, message)
            return _because(held, f"without a policy, too, the queue says {other!r}", evidence)
    return _because(_judged(step, grade, reason, expect, message), why, evidence)


def _fetched_again(view: CaseView, message: MessageFacts) -> float:
    """Return how many seconds into a message's step the target fetched a policy that it could hold it by, or 0."""
    began = message.step_began()
    fetched = fetched_policies(view.case, view.facts, message.until)
    return next((one.at - began for one in fetched if one.at > began and one.from_its_host and one.policy.valid), 0.0)


def _reason_of_control_case(control: CaseFacts, step: Step, message: MessageFacts) -> str | None:
    """Return the last reason in the queue if the message of the control case was kept back for it, too.

    Empty if the policy made the sender give a reason of its own; None if the control case has none to compare with.
    """
    there = message_of_step(control, step.name, math.inf)
    reasons = there.reasons() if there else []
    if not reasons:
        return None
    mine = message.reasons()[-1:]
    return mine[0] if mine and mine[0] in reasons else ""


def _no_reason_on_record(step: Step) -> Judgement:
    return inconclusive("no-reason-on-record", "nothing on record shows what the target refused", step.name)


def _because(found: Judgement, why: str, evidence: list[Event]) -> Judgement:
    return replace(found, observed=f"{found.observed}: {why}", evidence=found.evidence + numbers(evidence))


def _not_worse_than_without_a_policy(
    view: CaseView, step: Step, expect: Expectation, message: MessageFacts
) -> Judgement:
    control = control_outcome(view, step)
    if control is None or control is Outcome.UNSETTLED:
        return inconclusive("control-not-settled", "there is no control case to compare with", step.name)
    outcome = message.outcome()
    if outcome is Outcome.LOST or _LOSS[outcome] > _LOSS[control]:
        obligation = _row_of_a_loss(step) if outcome is Outcome.LOST else ""
        return _broken(view, step, "worse-than-without-policy", expect, message, obligation)
    with_tls = (Outcome.DELIVERED_AUTHENTICATED, Outcome.DELIVERED_UNAUTHENTICATED)
    if outcome is Outcome.DELIVERED_CLEAR and control in with_tls:
        return _judged(step, Grade.WEAK, "in-clear-although-tls-was-to-be-had", expect, message)
    if there := _kept_back_there_too(view, step, outcome):
        return _broken(view, step, _AS_WITHOUT_A_POLICY[outcome], expect, message, there.obligation, there.grade)
    return _judged(step, Grade.PASS, f"as-without-policy-{outcome.value}", expect, message)


def _bounds(bounds: PolicyRequests) -> str:
    if bounds.most is None:
        return f"{_counted(bounds.least)} at least"
    if bounds.least in (0, bounds.most):
        return f"{_counted(bounds.most)}{' at most' if bounds.least < bounds.most else ''}"
    return f"{bounds.least} to {_counted(bounds.most)}"


def _counted(requests: int) -> str:
    return "no policy request" if not requests else f"{requests} policy request{'' if requests == 1 else 's'}"


@check(scope=Scope.STEP)
def policy_request_count(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Count a step's policy requests against the scenario's bounds."""
    bounds = step.expect.policy_requests if step.expect else None
    if bounds is None or view.step_times(step.name) is None:
        return
    requests = [event for event, _ in view.facts.of_kind(PolicyRequested, None if bounds.whole_case else step.name)]
    most = len(requests) if bounds.most is None else bounds.most
    within = bounds.least <= len(requests) <= most
    if not view.facts.policy_asked() and len(requests) < bounds.least and "mta-sts" not in view.about.capabilities:
        # A sender without MTA-STS: that it follows no policy shows elsewhere.
        return
    reason = "requested-too-often" if len(requests) > most else TOO_SELDOM
    yield Judgement(
        Grade.PASS if within else view.grade_of(bounds.obligation),
        "as-often-as-demanded" if within else reason,
        obligation=bounds.obligation,
        step=step.name,
        expected=_bounds(bounds),
        observed=_counted(len(requests)),
        blame="nobody" if within else "target",
        evidence=numbers(requests),
    )
