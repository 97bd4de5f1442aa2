"""The outcome of a step's message: whether it is what the scenario demands, and for the right reason."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from mta_sts_lab.check_registry import check_id
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.outcome_findings import (
    BOUNCE_DISCARDED,
    LEAKS,
    LOST,
    LOST_IN_A_CRASH,
    OLD_TLS_UNDER_REQUIRETLS,
    because,
    broken,
    judged,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts, message_of_step
from mta_sts_lab.judge.policies_in_force import fetched_policies, plainly_published, served_texts
from mta_sts_lab.judge.policy_lookups import (
    BEFORE_POLICY_CHECK,
    LOOKS_IN_TIME,
    looked_beside,
    older_policy,
    policy_checks,
)
from mta_sts_lab.judge.protection import OF_REQUIRETLS
from mta_sts_lab.judge.view import CaseView, inconclusive
from mta_sts_lab.judge.why_held import LOOKUP_FAILED, why_held
from mta_sts_lab.model.case import Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.rfc.require_tls import goes_without_tls

#: The reasons of a sender that holds mail, or returns it, although the control case demands delivery. They are
#: findings, and no doubt: the attack took effect on it, or it would have delivered.
_WITHOUT_A_POLICY = {Outcome.DEFERRED: "held-without-a-policy", Outcome.BOUNCED: "returned-without-a-policy"}

#: Held, or returned, under a policy that asks for delivery, because this sender does so with or without a policy.
_AS_WITHOUT_A_POLICY = {
    Outcome.DEFERRED: "held-as-without-a-policy",
    Outcome.BOUNCED: "returned-as-without-a-policy",
}

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

#: The reason of mail that left under an attack when each policy that the target had fetched was over.
POLICY_HAD_ENDED = "policy-had-ended"

_MISSING = {
    NEVER_ASKED: "the target never looked for an MTA-STS record of this domain",
    "policy-host-never-reached": "the target never reached out for the policy of this domain",
}


@check(
    scope=Scope.STEP,
    obligations=(
        *(LOST, LOST_IN_A_CRASH, LOOKS_IN_TIME, BEFORE_POLICY_CHECK, "STS-5-08", "STS-4-01", *LEAKS.values()),
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
        yield judged(step, Grade.INFO, "recorded-only", expect, message)
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


def _as_demanded(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Iterator[Judgement]:
    outcome = message.outcome()
    if outcome.delivered and view.case.mode.has_policy and not _went_by_dane(view):
        missing = _policy_contact_missing(view, expect)
        advised = bool(expect.should) and is_admitted(expect.should, outcome)
        if missing and not advised and outcome is not Outcome.DELIVERED_AUTHENTICATED and "deferred" in expect.outcome:
            # Delivery is let pass for a target that had lost what it knew; this one never set out to know.
            yield broken(view, step, f"{outcome.value}-{missing}", expect, message)
            return
        if missing:
            yield _policy_had_no_part(view, step, missing)
        elif _never_got_the_policy(view, step, message):
            observed = f"{outcome.value}; the target had asked for the policy, and never got it"
            yield inconclusive("not-primed", observed, step.name)
    if outcome is Outcome.BOUNCED and (unlooked := _given_up_without_a_look(view, step, expect, message)):
        yield unlooked
    elif expect.should and not is_admitted(expect.should, outcome):
        yield judged(step, expect.should_grade, "allowed-but-not-advised", expect, message)
    elif expect.obligation.startswith(_WITHOUT_REGARD_TO_POLICIES):
        yield judged(step, Grade.PASS, outcome.value, expect, message)
    elif outcome is Outcome.BOUNCED:
        why, evidence = why_held(message)
        yield (
            because(judged(step, Grade.PASS, outcome.value, expect, message), why, evidence)
            if (why)
            else _no_reason_on_record(step)
        )
    elif outcome is Outcome.DEFERRED:
        yield _held_for_the_right_reason(view, step, expect, message)
    else:
        yield judged(step, Grade.PASS, outcome.value, expect, message)


def _given_up_without_a_look(
    view: CaseView, step: Step, expect: Expectation, message: MessageFacts
) -> Judgement | None:
    """Return the finding that mail which a policy held back was returned, and nobody had looked for a newer one.

    Any look since the mail was handed over is enough, however long before its return. Who never had the policy was
    not held back by it.
    """
    held_back = view.case.mode is Mode.ENFORCE and not step.message.requiretls and expect.obligation.startswith("STS-")
    if not held_back or not view.facts.policy_fetched(message.until):
        return None
    checks = policy_checks(message)
    if checks.obligation != BEFORE_POLICY_CHECK:
        return None
    grade = view.grade_of(BEFORE_POLICY_CHECK)
    found = broken(view, step, checks.reason, expect, message, BEFORE_POLICY_CHECK, grade)
    return replace(found, expected="a look for a newer policy since the mail was handed over, and then a return")


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


def _admits_delivery(expect: Expectation) -> bool:
    return any(word.startswith("delivered") for word in expect.outcome)


def _row_of_a_loss(step: Step) -> str:
    return LOST_IN_A_CRASH if step.restart and not step.send else LOST


def _otherwise(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    outcome = message.outcome()
    if outcome in _WITHOUT_A_POLICY and view.case.mode is Mode.ABSENT and _admits_delivery(expect):
        return _kept_back_without_a_policy(view, step, expect, message)
    if outcome is Outcome.BOUNCED:
        return _bounced(view, step, expect, message)
    if outcome is Outcome.LOST and not step.send and Outcome.BOUNCED.value in expect.outcome:
        return broken(view, step, "given-up-without-a-notice", expect, message, NOTICE_OWED, view.grade_of(NOTICE_OWED))
    if outcome is Outcome.LOST and not step.message.requiretls:
        row = _row_of_a_loss(step)
        return broken(view, step, "lost", expect, message, row, view.grade_of(row))
    if outcome is Outcome.DEFERRED and (there := _kept_back_there_too(view, step, outcome)):
        # Held, policy or no policy: that says nothing of what the sender made of a policy that it had to let go.
        return broken(view, step, _AS_WITHOUT_A_POLICY[outcome], expect, message, there.obligation, there.grade)
    older = older_policy(view.case, view.facts, message, view.of_run, view.about) is not None
    beside = _went_by_the_policy_before(view, step, message)
    if beside is None:
        observed = f"{outcome.value}, and the newer policy came while that mail was under way"
        return inconclusive("policy-replaced-in-between", observed, step.name)
    if older or beside:
        # That it would have waited until the older one expired was not seen: that is what the advice is about.
        return broken(view, step, "followed-an-older-policy", expect, message, LOOKS_IN_TIME, Grade.INFO)
    if outcome.delivered and view.has_nothing_to_keep(step, message):
        found = broken(view, step, POLICY_HAD_ENDED, expect, message, LOOKS_IN_TIME, Grade.INFO)
        return replace(found, harm=Harm.NONE)  # it left against no policy
    reason = outcome.value
    if outcome.delivered and view.case.mode is Mode.ENFORCE and not view.facts.policy_fetched(message.injected):
        reason += "-policy-never-fetched"
    return broken(view, step, reason, expect, message)


def _went_by_the_policy_before(view: CaseView, step: Step, message: MessageFacts) -> bool | None:
    """Whether mail arrived, by a new session, at a host of the policy that the target had until this step.

    None: the policy that replaced it came in the midst of the delivery.
    """
    arrived = message.outcome() is Outcome.DELIVERED_AUTHENTICATED
    anew = arrived and not _came_over_an_older_connection(view, step, message)
    return looked_beside(view.case, step, message) if anew else False


def _kept_back_there_too(view: CaseView, step: Step, outcome: Outcome) -> Judgement | None:
    return kept_back_in_control(view, step) if control_outcome(view, step) is outcome else None


def _kept_back_without_a_policy(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """A sender that holds mail, or returns it, where nobody asked for that, and is seen to do it because of the attack.

    That is its own doing, and no doubt about the attacker: the attack took effect, and the record shows what the sender
    would not accept. A hold that nothing on record explains may as well be the lab's. One that returns mail and went to
    no host at all has given up by itself: a lab that is slow or broken gives it cause to wait, and no more.
    """
    why, evidence = why_held(message)
    sessions = view.facts.receiving_sessions(message.step_began(), message.until)
    unvisited = not sessions and message.outcome() is Outcome.BOUNCED
    if not why or not (unvisited or view.facts.target_left(sessions, message.until)):
        return _no_reason_on_record(step)
    grade = view.grade_of(expect.obligation)
    found = broken(view, step, _WITHOUT_A_POLICY[message.outcome()], expect, message, grade=grade)
    return because(found, why, evidence)


def _bounced(view: CaseView, step: Step, expect: Expectation, message: MessageFacts) -> Judgement:
    """No permanent failure before DNS was asked for a newer policy; see `mta_sts_lab.judge.policy_lookups`."""
    # What a policy asks for breaks a row of RFC 8461 where it is not done.
    policy_had_no_part = _admits_delivery(expect) and not view.facts.policy_fetched(message.until)
    forbidden = "deferred" in expect.outcome and expect.obligation.startswith("STS-") and not policy_had_no_part
    older = older_policy(view.case, view.facts, message, view.of_run, view.about)
    kept_the_older = older is not None and older.mode in ("", Mode.ENFORCE.value)
    if view.case.mode is not Mode.ENFORCE or not (forbidden or kept_the_older):
        # The policy is not what stood in the way: the bounce breaks what the scenario is about.
        return broken(view, step, "bounced", expect, message)
    checks = policy_checks(message)
    found = broken(view, step, checks.reason, expect, message, checks.obligation, view.grade_of(checks.obligation))
    if checks.own or not checks.for_another:
        return found
    return because(found, "an older message waited, and the look may have been for its sake", list(checks.for_another))


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
        held = judged(step, Grade.INFO, "held-by-a-policy-fetched-again", expect, message)
        return because(
            held, f"it fetched the policy again {again:.1f} s into this step, so no cache is proved", evidence
        )
    if grade is Grade.PASS and view.control is not None and control_outcome(view, step) in _WITHOUT_A_POLICY:
        other = _reason_of_control_case(view.control, step, message)
        if not message.reasons() or other is None:
            observed = "the control case was kept back, too, and the queue does not say why either of them was"
            return inconclusive("held-as-in-control-case", observed, step.name)
        if other:
            held = judged(step, Grade.INFO, "held-for-another-reason", expect, message)
            return because(held, f"without a policy, too, the queue says {other!r}", evidence)
    return because(judged(step, grade, reason, expect, message), why, evidence)


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


def _not_worse_than_without_a_policy(
    view: CaseView, step: Step, expect: Expectation, message: MessageFacts
) -> Judgement:
    control = control_outcome(view, step)
    if control is None or control is Outcome.UNSETTLED:
        return inconclusive("control-not-settled", "there is no control case to compare with", step.name)
    outcome = message.outcome()
    if outcome is Outcome.LOST or _LOSS[outcome] > _LOSS[control]:
        obligation = _row_of_a_loss(step) if outcome is Outcome.LOST else ""
        return broken(view, step, "worse-than-without-policy", expect, message, obligation)
    with_tls = (Outcome.DELIVERED_AUTHENTICATED, Outcome.DELIVERED_UNAUTHENTICATED)
    if outcome is Outcome.DELIVERED_CLEAR and control in with_tls:
        return judged(step, Grade.WEAK, "in-clear-although-tls-was-to-be-had", expect, message)
    if there := _kept_back_there_too(view, step, outcome):
        return broken(view, step, _AS_WITHOUT_A_POLICY[outcome], expect, message, there.obligation, there.grade)
    if _never_minded_the_policy(view, step):
        return inconclusive(NEVER_ASKED, _MISSING[NEVER_ASKED], step.name)
    return judged(step, Grade.PASS, f"as-without-policy-{outcome.value}", expect, message)


def _never_minded_the_policy(view: CaseView, step: Step) -> bool:
    """Whether a sender that claims MTA-STS did not even look for a record: then it was not put to the test."""
    claims = view.case.mode.has_policy and "mta-sts" in view.about.capabilities
    exempt = goes_without_tls(step.message) or step.message.to == "address" or _went_by_dane(view)
    return claims and not exempt and not view.facts.policy_asked()
