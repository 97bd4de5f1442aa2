"""Each verdict rule, shown firing: take one proof away from a case that passes, and it no longer does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    BounceReceived,
    CaseBegan,
    CaseEnded,
    ClientHelloSeen,
    ClockAdvanced,
    ConnectionAccepted,
    ConnectionClosed,
    DeadlinePassed,
    DnsAnswered,
    Event,
    InjectionBegan,
    InjectionRefused,
    LabFailed,
    MessageAccepted,
    MessageInjected,
    NotSupported,
    PolicyRequested,
    QueueSeen,
    SenderLeft,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TargetFailed,
    TargetRestarted,
    TlsEstablished,
    TlsFailed,
    TokenRead,
)
from mta_sts_lab.judge.checks.evidence import ENDED_WITH_ITS_FIRST_MESSAGE
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.verdicts import _grade
from mta_sts_lab.model.case import Case, Expectation, Mode, PolicyRequests, Step
from mta_sts_lab.model.grading import Grade, Outcome, merge
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.model.world import PolicyHost, World
from mta_sts_lab.rfc.published import MAILBOX

from tests.judge.stories import (
    ABSENT,
    ATTACK,
    CASES,
    DOMAIN,
    ENFORCE,
    JUST_NOW,
    TESTING,
    Line,
    accepted,
    case,
    changed,
    connection,
    gone,
    held,
    injected,
    mx_query,
    prime,
    quits,
    reasons,
    record,
    recovered,
    resisted,
    resisted_attempt,
    taken_in,
    token,
    verdict,
    without,
)


def test_a_sender_that_holds_and_then_delivers_passes() -> None:
    found = verdict(record(resisted(), taken_in()))
    assert found.grade is Grade.PASS, found.judgements
    assert [step.outcome for step in found.steps] == [Outcome.DELIVERED_AUTHENTICATED, Outcome.DEFERRED, None]
    assert {judgement.harm for judgement in found.judgements} == {Harm.NONE}


def test_a_sender_that_delivers_in_clear_fails_for_the_scenarios_obligation() -> None:
    found = verdict(record(taken_in(ENFORCE), taken_in()))
    assert found.grade is Grade.FAIL
    assert ("delivered-clear", "STS-5-03") in {(item.reason, item.obligation) for item in found.judgements}
    assert {"read-in-clear", "envelope-in-clear"} <= reasons(found)
    assert found.harm is Harm.LET_OUT
    assert {Harm.LET_OUT, Harm.READ} <= {item.harm for item in found.judgements}
    assert all(item.blame == "target" for item in found.judgements if item.grade is Grade.FAIL)


def test_the_arm_without_a_policy_passes_although_its_message_was_read() -> None:
    found = verdict(record(taken_in()), ABSENT)
    assert found.grade is Grade.PASS
    assert found.steps[1].detail == "delivered in clear, and read on the way"


def vanished() -> list[Line]:
    """The queue no longer holds the attacked message, which arrives nowhere."""
    story = resisted()
    first_hold = next(index for index, line in enumerate(story) if isinstance(line[2], QueueSeen))
    ending = next(line for line in story if line[1] == "attack" and "StepEnded" in str(line[2]))
    after = without(recovered(ENFORCE), lambda fact: isinstance(fact, MessageAccepted))
    return [*story[:first_hold], (ENFORCE, "attack", gone(ENFORCE)), ending, *after]


class TestAbsenceIsProved:
    def test_no_contact(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, DnsAnswered | ConnectionAccepted), "attack")
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "no-contact" in reasons(found)

    def test_contact_may_come_before_the_reply_to_the_injection_is_read(self) -> None:
        story = taken_in()
        reply = next(line for line in story if line[1] == "attack" and isinstance(line[2], MessageInjected))
        reached = next(line for line in story if line[1] == "attack" and isinstance(line[2], ConnectionAccepted))
        quick = [line for line in story if line is not reply]
        quick.insert(quick.index(reached) + 1, reply)
        assert verdict(record(quick), ABSENT).grade is Grade.PASS

    def test_attack_switched_off(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, AttackFired))
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert reasons(found) == {"attack-not-fired"}

    def test_not_settled_without_a_second_attempt(self) -> None:
        story = resisted()
        first_hold = next(index for index, line in enumerate(story) if isinstance(line[2], QueueSeen))
        ending = next(line for line in story if line[1] == "attack" and type(line[2]).__name__ == "StepEnded")
        waited = (ENFORCE, "attack", DeadlinePassed(deadline="settle", seconds=60, waited_for="b is unsettled"))
        lines = [*story[: first_hold + 1], waited, ending, *recovered(ENFORCE)]
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "not-settled" in reasons(found)
        assert any("settle (60 s) passed" in item.observed for item in found.judgements)

    def test_a_second_attempt_before_the_targets_retry_time_settles_nothing(self) -> None:
        made = record(resisted(), taken_in(), retry_seconds=30.0)
        assert "not-settled" in reasons(verdict(made))

    def test_an_attempt_that_began_too_early_settles_nothing(self) -> None:
        # The second MX query comes at 0.24 s, the connection it leads to at 0.25 s, after an injection at 0.14 s.
        story = resisted()
        made = record(story, taken_in())
        injection = next(e for e in made.events if e.step == "attack" and isinstance(e.fact, MessageInjected))
        query = [
            e.at for e in made.events if e.step == "attack" and e.case == ENFORCE and isinstance(e.fact, DnsAnswered)
        ][-1]
        early = record(story, taken_in(), retry_seconds=query - injection.at + 0.005)
        assert "not-settled" in reasons(verdict(early))
        assert verdict(record(story, taken_in(), retry_seconds=query - injection.at - 0.005)).grade is Grade.PASS

    def test_held_after_the_second_attempt_must_be_seen(self) -> None:
        story = resisted()
        last_hold = max(index for index, line in enumerate(story) if line[2] == held(ENFORCE))
        assert "not-settled" in reasons(verdict(record(story[:last_hold] + story[last_hold + 1 :], taken_in())))

    def test_a_look_that_began_before_the_second_attempt_ended_settles_nothing(self) -> None:
        story = resisted()
        last = max(index for index, line in enumerate(story) if line[2] == held(ENFORCE))
        # Events are 0.01 s apart, and the attempt's last session ends right before the look is written down.
        for looked, settles in ((last / 100 - 0.005, False), (last / 100 + 0.005, True)):
            story[last] = (ENFORCE, "attack", held(ENFORCE, looked))
            found = verdict(record(story, taken_in()))
            assert ("not-settled" not in reasons(found)) is settles, looked

    @pytest.mark.parametrize("between", ["open", "begun", "query"])
    def test_a_look_at_a_sender_that_is_at_a_host_settles_nothing(self, between: str) -> None:
        story = resisted()
        last = max(index for index, line in enumerate(story) if line[2] == held(ENFORCE))
        more: AnyFact = mx_query(ENFORCE) if between == "query" else connection(ENFORCE, "attacked-again")
        where = last if between != "begun" else last + 1
        facts: list[Line] = [(ENFORCE, "attack", more)]
        if between == "begun":  # the look began before, and its answer took until after
            story[last] = (ENFORCE, "attack", held(ENFORCE, (last + 1) / 100 - 0.005))
            where = last
        found = verdict(record(story[:where] + facts + story[where:], taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "not-settled" in reasons(found)

    def test_without_a_queue_two_attempts_prove_nothing_and_three_do(self) -> None:
        story = without(resisted(), lambda fact: isinstance(fact, QueueSeen))
        assert "not-settled" in reasons(verdict(_stretched(story)))
        third = [(ENFORCE, "attack", fact) for fact in resisted_attempt(ENFORCE, "attacked-3")]
        ending = next(index for index, line in enumerate(story) if line[1] == "attack" and "StepEnded" in str(line[2]))
        assert verdict(_stretched([*story[:ending], *third, *story[ending:]])).grade is Grade.PASS

    def test_a_first_attempt_that_began_before_the_reply_was_read_is_one_of_the_three(self) -> None:
        story = without(resisted(), lambda fact: isinstance(fact, QueueSeen))
        third = [(ENFORCE, "attack", fact) for fact in resisted_attempt(ENFORCE, "attacked-3")]
        ending = next(index for index, line in enumerate(story) if line[1] == "attack" and "StepEnded" in str(line[2]))
        story = [*story[:ending], *third, *story[ending:]]
        injection = next(i for i, line in enumerate(story) if line[1] == "attack" and "MessageInjected" in str(line[2]))
        query = next(i for i, line in enumerate(story) if i > injection and line[2] == mx_query(ENFORCE))
        begun = (ENFORCE, "attack", InjectionBegan(token=token(ENFORCE, "attack")))
        rest = [*story[injection:query], *story[query + 1 :]]
        quick = verdict(_stretched([*story[:injection], begun, story[query], *rest]))
        assert quick.grade is Grade.PASS
        early = verdict(_stretched([*story[:injection], story[query], begun, *rest]))
        assert "not-settled" in reasons(early), "whoever asked then had not been handed this message"

    def test_a_copy_accepted_anywhere_ends_the_hold(self) -> None:
        story = resisted()
        ending = next(index for index, line in enumerate(story) if line[1] == "attack" and "StepEnded" in str(line[2]))
        smuggled = [
            (ENFORCE, "attack", connection(ENFORCE, "other")),
            (ENFORCE, "attack", accepted(ENFORCE, "attack", "other", role="attacker-mx")),
            (ENFORCE, "attack", quits("other")),
        ]
        found = verdict(record(story[:ending] + smuggled + story[ending:], taken_in()))
        assert found.grade is Grade.FAIL
        assert {"delivered-unauthenticated", "arrived-twice"} <= reasons(found)

    def test_not_arrived_afterwards(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, MessageAccepted | QueueSeen), "recover")
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "not-recovered" in reasons(found)

    def test_not_waited_for_where_the_target_offered_no_more(self) -> None:
        later = Step("later", World(), advance=90000)
        cases = [replace(CASES[name], steps=(*CASES[name].steps[:2], later)) for name in (ENFORCE, ABSENT)]

        def cut(lines: list[Line]) -> list[Line]:
            name = lines[0][0]
            return [line for line in lines if line[1] != "recover"] + [(name, "later", NotSupported(what="no clock"))]

        found = verdict(record(cut(resisted()), cut(taken_in()), cases=cases))
        assert found.grade is Grade.UNSUPPORTED
        assert reasons(found) == {"not-offered"}

    @pytest.mark.parametrize(
        ("moves", "grade"), [((), "inconclusive"), ((80000,), "inconclusive"), ((80000, 10000), "pass")]
    )
    def test_a_clock_that_was_not_moved_proves_nothing(self, moves: tuple[int, ...], grade: str) -> None:
        cases = [changed(CASES[name], "attack", advance=90000) for name in (ENFORCE, ABSENT)]
        by_the_moved_clock = datetime.fromisoformat("2025-01-07T10:00:01+00:00").timestamp()
        lines = [
            (name, step, msgspec.structs.replace(fact, stamped=by_the_moved_clock))
            if isinstance(fact, MessageAccepted) and step == "recover"
            else (name, step, fact)
            for name, step, fact in resisted()
        ]
        begun = next(at for at, line in enumerate(lines) if line[1] == "attack" and isinstance(line[2], StepBegan))
        moved: list[Line] = [("", "", ClockAdvanced(seconds=seconds, asked=None)) for seconds in moves]
        control = taken_in()
        at = next(at for at, line in enumerate(control) if line[1] == "attack" and isinstance(line[2], StepBegan))
        played = [*lines[: begun + 1], *moved, *lines[begun + 1 :]]
        found = verdict(record(played, [*control[: at + 1], *moved, *control[at + 1 :]], cases=cases))
        assert found.grade.value == grade
        assert ("clock-not-moved" in reasons(found)) is (grade != "pass")

    def test_arrived_afterwards_in_clear(self) -> None:
        lines = without(
            resisted(), lambda fact: isinstance(fact, MessageAccepted | TlsEstablished | CaseEnded), "recover"
        )
        lines += [
            (ENFORCE, "recover", accepted(ENFORCE, "attack", "honest-2", secured=False)),
            (ENFORCE, "recover", CaseEnded()),
        ]
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.FAIL
        assert "arrived-delivered-clear" in reasons(found)
        assert found.harm is Harm.LET_OUT

    def test_arrived_twice_afterwards(self) -> None:
        lines = [*resisted(), (ENFORCE, "recover", accepted(ENFORCE, "attack", "honest-3"))]
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.FAIL
        assert (reasons(found), found.harm) == ({"arrived-twice"}, Harm.NONE)

    def test_arrived_with_another_body(self) -> None:
        lines = [
            (name, step, replace_digest(fact) if isinstance(fact, MessageAccepted) and step == "recover" else fact)
            for name, step, fact in resisted()
        ]
        assert reasons(verdict(record(lines, taken_in()))) == {"body-changed"}


def replace_digest(fact: MessageAccepted) -> MessageAccepted:

    return msgspec.structs.replace(fact, body_digest="another")


def _stretched(story: list[tuple[str, str, object]]) -> Any:
    """A record whose events lie ten seconds apart, as with a target that is only seen to retry."""
    made = record(story, taken_in())  # type: ignore[arg-type]
    events = tuple(msgspec.structs.replace(event, at=event.number * 10.0) for event in made.events)
    return replace(made, events=events)


class TestRetriesThatProve:
    def test_an_attempt_that_has_not_ended_proves_nothing(self) -> None:
        story = resisted()
        last = max(index for index, line in enumerate(story) if line[2] == held(ENFORCE))
        closed = max(index for index, line in enumerate(story[:last]) if isinstance(line[2], ConnectionClosed))
        assert "not-settled" in reasons(verdict(record(story[:closed] + story[closed + 1 :], taken_in())))

    def test_a_hold_before_anybody_was_met_is_not_the_first_attempt(self) -> None:
        story = resisted()
        sent = next(index for index, line in enumerate(story) if line[1] == "attack" and "Injected" in str(line[2]))
        early = [*story[: sent + 1], (ENFORCE, "attack", held(ENFORCE)), *story[sent + 1 :]]
        assert verdict(record(early, taken_in())).grade is Grade.PASS
        second = [index for index, line in enumerate(early) if line[2] == held(ENFORCE)][1]
        ending = next(index for index, line in enumerate(early) if line[1] == "attack" and "StepEnded" in str(line[2]))
        once = [*early[: second + 1], *early[ending:]]
        assert "not-settled" in reasons(verdict(record(once, taken_in())))

    def test_a_lone_query_is_no_attempt(self) -> None:
        story = resisted()
        first = next(index for index, line in enumerate(story) if line[2] == held(ENFORCE))
        ending = next(index for index, line in enumerate(story) if line[1] == "attack" and "StepEnded" in str(line[2]))
        asked = DnsAnswered(name=f"_mta-sts.{DOMAIN[ENFORCE]}", type="TXT", transport="udp", rcode="NOERROR")
        retry = [(ENFORCE, "attack", fact) for fact in (asked, mx_query(ENFORCE), held(ENFORCE))]
        assert "not-settled" in reasons(verdict(record(story[: first + 1] + retry + story[ending:], taken_in())))

    def test_where_nobody_was_connected_to_the_third_query_proves_the_second(self) -> None:
        story = without(
            resisted(), lambda fact: isinstance(fact, ConnectionAccepted | ConnectionClosed | SmtpSaid), "attack"
        )
        assert "not-settled" in reasons(verdict(record(story, taken_in())))
        ending = next(index for index, line in enumerate(story) if line[1] == "attack" and "StepEnded" in str(line[2]))
        again = [(ENFORCE, "attack", fact) for fact in (mx_query(ENFORCE), held(ENFORCE))]
        assert verdict(record(story[:ending] + again + story[ending:], taken_in())).grade is Grade.PASS


class TestToTheEnd:
    def test_a_failure_notice_for_a_message_that_arrived(self) -> None:
        notice = (ENFORCE, "recover", BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="5.0.0"))
        for spoilt in ([*resisted(), notice], [*resisted()[:-8], (ENFORCE, "attack", notice[2]), *resisted()[-8:]]):
            found = verdict(record(spoilt, taken_in()))
            assert found.grade is Grade.FAIL
            assert "failure-notice-for-a-delivered-message" in reasons(found)

    def test_a_notice_that_nobody_can_read_is_one_all_the_same(self) -> None:
        lines = [
            (
                name,
                step,
                BounceReceived(token=fact.token, action="unreadable", status="")
                if isinstance(fact, BounceReceived)
                else fact,
            )
            for name, step, fact in _bounced(checked=True)
        ]
        assert reasons(verdict(record(lines, taken_in()))) == {"bounced-after-policy-check"}

    def test_a_delivered_message_that_the_queue_still_lists(self) -> None:
        lines = [*resisted(), (ENFORCE, "recover", held(ENFORCE))]
        assert reasons(verdict(record(lines, taken_in()))) == {"still-queued-after-delivery"}

    def test_a_look_at_the_queue_from_before_the_delivery_does_not_show_it(self) -> None:
        lines = [*resisted(), (ENFORCE, "recover", held(ENFORCE, looked=0.001))]
        assert verdict(record(lines, taken_in())).grade is Grade.PASS

    def test_a_step_without_a_demand_is_no_licence_to_lose(self) -> None:
        middle = Step("middle", CASES[ENFORCE].steps[0].world)
        longer = replace(CASES[ENFORCE], steps=(*CASES[ENFORCE].steps[:2], middle, CASES[ENFORCE].steps[2]))
        lost = [StepBegan(), injected(ENFORCE, "middle"), gone(ENFORCE, "middle")]
        ended = next(line[2] for line in resisted() if "StepEnded" in str(line[2]))
        lines = resisted()
        cut = len(lines) - len(recovered(ENFORCE))
        story = [*lines[:cut], *((ENFORCE, "middle", fact) for fact in [*lost, ended]), *lines[cut:]]
        found = verdict(record(story, taken_in(), cases=(longer, CASES[ABSENT])))
        assert (found.grade, found.harm) == (Grade.FAIL, Harm.KEPT_BACK)
        assert "lost" in reasons(found)

    def test_what_happens_at_another_cases_host_counts(self) -> None:
        elsewhere = [
            (
                ABSENT,
                "attack",
                TokenRead(session="elsewhere", token=token(ENFORCE, "attack"), secured=False, reader="attacker"),
            ),
        ]
        story = resisted()
        spot = next(index for index, line in enumerate(story) if line[2] == held(ENFORCE))
        read = [(name, "attack", fact) for name, _, fact in elsewhere]
        found = verdict(record([*story[:spot], *read, *story[spot:]], taken_in()))
        assert found.grade is Grade.FAIL

    def test_a_connection_from_before_the_step_has_not_met_it(self) -> None:
        story = taken_in(ENFORCE)
        attack = [line for line in story if line[1] == "attack"]
        reused = [
            *attack[:2],
            (ENFORCE, "attack", mx_query(ENFORCE)),
            (ENFORCE, "attack", accepted(ENFORCE, "attack", "honest-1")),
            attack[-1],
        ]
        lines = (
            [line for line in story if line[1] == "prime"] + reused + [line for line in story if line[1] == "recover"]
        )
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "not-met-by-the-attack" in reasons(found)


class TestPrimeFirst:
    def test_without_an_honest_delivery_nothing_is_proved(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, MessageAccepted), "prime")
        found = verdict(record(lines, taken_in()))
        assert "prime-not-delivered" in reasons(found)
        assert found.grade is Grade.INCONCLUSIVE

    @pytest.mark.parametrize(
        ("seen", "grade", "reason"),
        [
            (("active", "gone"), Grade.FAIL, "lost"),
            (("gone",), Grade.INCONCLUSIVE, "prime-not-delivered"),
            (("active", "deferred"), Grade.INCONCLUSIVE, "prime-not-delivered"),
        ],
    )
    def test_a_message_that_the_queue_had_and_lost_is_lost_in_an_honest_world_too(
        self, seen: tuple[str, ...], grade: Grade, reason: str
    ) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, MessageAccepted), "prime")
        spot = next(at for at, line in enumerate(lines) if line[1] == "prime" and isinstance(line[2], StepEnded))
        states = [QueueSeen(token(ENFORCE, "prime"), state, looked=JUST_NOW) for state in seen]
        story = [*lines[:spot], *((ENFORCE, "prime", one) for one in states), *lines[spot:]]
        found = verdict(record(story, taken_in()))
        assert found.grade is grade
        assert reason in {one.reason for one in found.judgements if one.step == "prime" and one.grade is grade}

    def test_a_message_that_is_returned_in_an_honest_world_proves_nothing(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, MessageAccepted), "prime")
        spot = next(at for at, line in enumerate(lines) if line[1] == "prime" and isinstance(line[2], StepEnded))
        notice = BounceReceived(token=token(ENFORCE, "prime"), action="failed", status="5.7.1")
        found = verdict(record([*lines[:spot], (ENFORCE, "prime", notice), *lines[spot:]], taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "prime-not-delivered" in reasons(found)

    def test_an_unprimed_message_is_not_judged(self) -> None:
        lines = [
            *prime(ENFORCE)[:-1],
            (
                ENFORCE,
                "prime",
                TokenRead(session="honest-1", token=token(ENFORCE, "prime"), secured=False, reader="path"),
            ),
            prime(ENFORCE)[-1],
            *resisted()[len(prime(ENFORCE)) :],
        ]
        assert verdict(record(lines, taken_in())).grade is Grade.PASS


class TestControlArm:
    def test_missing(self) -> None:
        assert reasons(verdict(record(resisted()))) == {"control-missing"}

    def test_cut_short(self) -> None:
        lines = without(taken_in(), lambda fact: isinstance(fact, CaseEnded))
        assert "control-missing" in reasons(verdict(record(resisted(), lines)))

    def test_attacker_that_does_not_bite_is_the_labs_fault(self) -> None:
        unharmed = without(taken_in(), lambda fact: isinstance(fact, TokenRead))
        found = verdict(record(resisted(), unharmed))
        assert reasons(found) == {"control-not-degraded"}
        assert [item.blame for item in found.judgements if item.reason == "control-not-degraded"] == ["lab"]

    def test_a_host_that_is_left_without_a_policy_too_is_no_doubt_about_a_sender_without_mta_sts(self) -> None:
        def fails_over(case_id: str, attempt: list[AnyFact]) -> list[Line]:
            facts = [
                StepBegan(attacks=("strip_starttls",)),
                injected(case_id, "attack"),
                *attempt,
                connection(case_id, "other"),
                TlsEstablished(session="other", version="TLSv1.3", certificate="valid"),
                accepted(case_id, "attack", "other"),
                StepEnded(),
            ]
            rest = [line for line in taken_in(case_id) if line[1] == "recover"]
            return [*prime(case_id), *((case_id, "attack", fact) for fact in facts), *rest]

        def judged(attempt: list[AnyFact], **values: tuple[str, ...]) -> Verdict:
            enforced = fails_over(ENFORCE, resisted_attempt(ENFORCE, "attacked"))
            cases = (case(Mode.ENFORCE, ("delivered-authenticated",)), CASES[ABSENT])
            return verdict(record(enforced, fails_over(ABSENT, attempt), cases=cases, **values))

        left = resisted_attempt(ABSENT, "attacked")
        assert judged(left, capabilities=()).grade is Grade.INFO
        assert reasons(judged(left, capabilities=())) == {"attacked-host-left-without-a-policy"}
        assert reasons(judged(left)) == {"attacked-host-left-without-a-policy"}
        silent = [fact for fact in left if not (isinstance(fact, SmtpSaid) and fact.line == "QUIT")]
        assert reasons(judged(silent)) == reasons(judged(silent, capabilities=())) == {"control-not-degraded"}
        hung_up = [*silent[:-1], SenderLeft(session="attacked"), silent[-1]]
        assert reasons(judged(hung_up)) == {"attacked-host-left-without-a-policy"}
        began = [
            *left[:-1],
            SmtpSaid(session="attacked", speaker="sender", line="MAIL FROM:<a@sender.example>", secured=False),
            left[-1],
        ]
        assert reasons(judged(began, capabilities=())) == {"control-not-degraded"}
        untouched = [fact for fact in left if not isinstance(fact, AttackFired)]
        assert "control-not-degraded" in reasons(judged(untouched, capabilities=()))

    def test_testing_is_compared_with_it(self) -> None:
        assert verdict(record(taken_in(TESTING), taken_in()), TESTING).grade is Grade.PASS
        worse = case(Mode.TESTING, ("as-absent",), grade=Grade.FAIL)
        found = verdict(record(resisted(TESTING), taken_in(), cases=(worse, CASES[ABSENT])), TESTING)
        assert (found.grade, found.harm) == (Grade.FAIL, Harm.KEPT_BACK)
        assert "worse-than-without-policy" in reasons(found)

    def test_testing_that_fares_as_badly_as_without_a_policy_passes(self) -> None:
        cautious = case(Mode.ABSENT, ("delivered", "deferred"))
        made = record(resisted(TESTING), resisted(ABSENT), cases=(CASES[TESTING], cautious))
        assert verdict(made, TESTING).grade is Grade.PASS

    def test_one_that_held_for_a_reason_on_record_is_a_finding_against_the_target(self) -> None:
        made = record(resisted(TESTING), resisted(ENFORCE), resisted(ABSENT))
        alone = verdict(made, ABSENT)
        assert (alone.grade, alone.judgements[-1].blame, alone.harm) == (Grade.FAIL, "target", Harm.KEPT_BACK)
        assert reasons(alone) == {"held-without-a-policy"}

    def test_testing_fails_with_it(self) -> None:
        found = verdict(record(resisted(TESTING), resisted(ABSENT)), TESTING)
        assert (found.grade, found.harm) == (Grade.FAIL, Harm.KEPT_BACK)
        assert reasons(found) == {"held-as-without-a-policy"}

    def test_a_policy_that_had_to_be_let_go_is_not_blamed_for_a_hold_without_one(self) -> None:
        lenient = changed(CASES[ENFORCE], "attack", expect=Expectation(outcome=("delivered",), obligation="STS-3.3-02"))
        demand = Expectation(outcome=("delivered",), obligation="STLS-6-02", grade=Grade.INCONCLUSIVE)
        control = changed(CASES[ABSENT], "attack", expect=demand)
        cases = (lenient, control)
        held = verdict(record(resisted(ENFORCE), resisted(ABSENT), cases=cases))
        assert (held.grade, held.harm, reasons(held)) == (Grade.WEAK, Harm.KEPT_BACK, {"held-as-without-a-policy"})
        assert {one.obligation for one in held.judgements if one.grade is Grade.WEAK} == {"STLS-6-02"}
        alone = verdict(record(resisted(ENFORCE), taken_in(ABSENT), cases=cases))
        assert {one.obligation for one in alone.judgements if one.grade is Grade.FAIL} == {"STS-3.3-02"}

    def test_nor_where_nobody_can_tell_what_it_does_without_one(self) -> None:
        lenient = changed(CASES[ENFORCE], "attack", expect=Expectation(outcome=("delivered",), obligation="STS-3.3-02"))
        broken = [(ABSENT, "attack", LabFailed(where="MX host", error="OSError: gone")), *taken_in(ABSENT)]
        unknown = verdict(record(resisted(ENFORCE), broken, cases=(lenient, CASES[ABSENT])))
        assert (unknown.grade, reasons(unknown)) == (Grade.INCONCLUSIVE, {"control-not-sound"})

    def test_one_that_returns_mail_where_nobody_asked_for_tls_is_a_finding_too(self) -> None:
        """Haraka 3.3 does, when somebody on the path answers STARTTLS with 502."""
        demand = Expectation(("delivered", "deferred"), "STLS-6-02", grade=Grade.INCONCLUSIVE)
        control = changed(CASES[ABSENT], "attack", expect=demand)
        cases = (CASES[TESTING], control)
        there = verdict(record(_bounced(ABSENT), cases=(control,)), ABSENT)
        assert (there.grade, reasons(there)) == (Grade.WEAK, {"returned-without-a-policy"})
        under_testing = verdict(record(_bounced(TESTING), _bounced(ABSENT), cases=cases), TESTING)
        assert (under_testing.grade, reasons(under_testing)) == (Grade.WEAK, {"returned-as-without-a-policy"})
        assert {one.obligation for one in under_testing.judgements if one.grade is Grade.WEAK} == {"STLS-6-02"}
        held_instead = verdict(record(resisted(TESTING), _bounced(ABSENT), cases=cases), TESTING)
        assert held_instead.grade is Grade.PASS
        silent = without(_bounced(ABSENT), lambda fact: isinstance(fact, SmtpSaid), "attack")
        assert verdict(record(silent, cases=(control,)), ABSENT).grade is Grade.INCONCLUSIVE

    def test_one_whose_sessions_somebody_else_ended_is_nothing_to_compare_with(self) -> None:
        """The attacker may be broken, and hang up behind the reply to EHLO: nobody is seen to have left."""
        cut = without(resisted(ABSENT), lambda fact: isinstance(fact, SmtpSaid) and fact.line == "QUIT")
        assert verdict(record(cut), ABSENT).grade is Grade.INCONCLUSIVE
        for name in (TESTING, ENFORCE):
            found = verdict(record(resisted(name), cut), name)
            assert found.grade is Grade.INCONCLUSIVE
            assert "control-not-sound" in reasons(found)

    def test_one_that_never_reached_a_host_is_nothing_to_compare_with(self) -> None:
        """The attacker's host may be down: a target that gets no connection there has refused nothing."""
        unreached = without(
            resisted(ABSENT), lambda fact: isinstance(fact, ConnectionAccepted | ConnectionClosed | SmtpSaid), "attack"
        )
        assert verdict(record(unreached), ABSENT).grade is Grade.INCONCLUSIVE
        assert "control-not-sound" in reasons(verdict(record(resisted(ENFORCE), unreached)))

    def test_one_that_held_for_no_reason_on_record_is_nothing_to_compare_with(self) -> None:
        silent = without(resisted(ABSENT), lambda fact: isinstance(fact, SmtpSaid | TlsFailed | ConnectionAccepted))
        assert verdict(record(silent), ABSENT).grade is Grade.INCONCLUSIVE
        for name in (TESTING, ENFORCE):
            found = verdict(record(resisted(name), silent), name)
            assert found.grade is Grade.INCONCLUSIVE
            assert "control-not-sound" in reasons(found)

    def test_an_error_of_the_lab_in_it_spoils_the_others(self) -> None:
        broken = (ABSENT, "attack", LabFailed(where="attack", error="OSError: gone"))
        assert "control-not-sound" in reasons(verdict(record(resisted(), [*taken_in(), broken])))

    def test_an_attack_that_did_not_fire_in_it_spoils_the_others(self) -> None:
        quiet = without(taken_in(), lambda fact: isinstance(fact, AttackFired))
        assert "control-not-sound" in reasons(verdict(record(resisted(), quiet)))

    def test_losing_a_message_is_never_as_without_a_policy(self) -> None:
        def lost(name: str) -> list[Line]:
            story = [
                line
                for line in taken_in(name)
                if not isinstance(line[2], MessageAccepted | TokenRead) or line[1] == "prime"
            ]
            spot = next(
                index for index, line in enumerate(story) if line[1] == "attack" and "StepEnded" in str(line[2])
            )
            return [
                *story[:spot],
                (name, "attack", gone(name)),
                *story[spot:],
            ]

        careless = case(Mode.ABSENT, ("delivered", "lost"))
        found = verdict(record(lost(TESTING), lost(ABSENT), cases=(CASES[TESTING], careless)), TESTING)
        assert found.grade is Grade.FAIL
        assert "SMTP-4.5.4.1-01" in {item.obligation for item in found.judgements if item.grade is Grade.FAIL}


class TestCanary:
    def test_a_message_read_in_clear_fails_whatever_the_outcome(self) -> None:
        story = resisted()
        spot = next(index for index, line in enumerate(story) if isinstance(line[2], QueueSeen))
        read = (
            ENFORCE,
            "attack",
            TokenRead(session="attacked-1", token=token(ENFORCE, "attack"), secured=False, reader="attacker"),
        )
        found = verdict(record([*story[:spot], read, *story[spot:]], taken_in()))
        assert (found.grade, found.harm) == (Grade.FAIL, Harm.READ)
        assert reasons(found) == {"read-in-clear"}

    def test_an_earlier_message_counts_too(self) -> None:
        story = resisted()
        read = (
            ENFORCE,
            "attack",
            TokenRead(session="attacked-1", token=token(ENFORCE, "prime"), secured=False, reader="attacker"),
        )
        assert reasons(verdict(record([*story[:-8], read, *story[-8:]], taken_in()))) == {"read-in-clear"}

    def test_a_message_read_inside_the_attackers_tls_fails(self) -> None:
        story = resisted()
        spot = next(index for index, line in enumerate(story) if isinstance(line[2], QueueSeen))
        inside: list[AnyFact] = [
            TlsEstablished(
                session="attacked-1", version="TLSv1.3", certificate="untrusted", shown_by="swap_certificate"
            ),
            TokenRead(session="attacked-1", token=token(ENFORCE, "attack"), secured=True, reader="attacker"),
        ]
        lines: list[Line] = [(ENFORCE, "attack", fact) for fact in inside]
        assert "read-under-a-bad-certificate" in reasons(
            verdict(record([*story[:spot], *lines, *story[spot:]], taken_in()))
        )

    def test_during_recovery_it_is_still_forbidden(self) -> None:
        read = (
            ENFORCE,
            "recover",
            TokenRead(session="honest-2", token=token(ENFORCE, "attack"), secured=False, reader="path"),
        )
        assert verdict(record([*resisted(), read], taken_in())).grade is Grade.FAIL

    @pytest.mark.parametrize(
        "line", ["MAIL FROM:<a@sender.example>", "rcpt to:<b@enforcing.example>", "DATA", "BDAT 300 LAST"]
    )
    def test_the_envelope_in_clear_fails(self, line: str) -> None:
        story = resisted()
        spot = next(index for index, item in enumerate(story) if isinstance(item[2], QueueSeen))
        said = (ENFORCE, "attack", SmtpSaid(session="attacked-1", speaker="sender", line=line, secured=False))
        found = verdict(record([*story[:spot], said, *story[spot:]], taken_in()))
        assert found.grade is Grade.FAIL
        assert "envelope-in-clear" in reasons(found)

    def test_a_report_in_the_same_session_excuses_no_other_envelope(self) -> None:
        story = resisted()
        spot = next(index for index, item in enumerate(story) if isinstance(item[2], QueueSeen))

        def said(*lines: str) -> list[Line]:
            return [
                (ENFORCE, "attack", SmtpSaid(session="attacked-1", speaker="sender", line=line, secured=False))
                for line in lines
            ]

        report = said("MAIL FROM:<r@sender.example>", f"RCPT TO:<{MAILBOX}@reports.example>")
        alone = verdict(record(story[:spot] + report + story[spot:], taken_in()))
        assert "envelope-in-clear" not in reasons(alone)
        mixed = [*report, *said("RCPT TO:<b@enforcing.example>")]
        found = verdict(record(story[:spot] + mixed + story[spot:], taken_in()))
        assert found.grade is Grade.FAIL
        assert "envelope-in-clear" in reasons(found)

    def test_what_the_attacker_passes_on_is_not_the_senders(self) -> None:
        story = resisted()
        spot = next(index for index, item in enumerate(story) if isinstance(item[2], QueueSeen))
        behind = [
            (ENFORCE, "attack", connection(ENFORCE, "behind", via="attacked-1")),
            (ENFORCE, "attack", SmtpSaid(session="behind", speaker="sender", line="MAIL FROM:<>", secured=False)),
        ]
        assert verdict(record(story[:spot] + behind + story[spot:], taken_in())).grade is Grade.PASS

    def test_the_envelope_under_a_bad_certificate_is_weak(self) -> None:
        story = resisted()
        spot = next(index for index, item in enumerate(story) if isinstance(item[2], QueueSeen))
        leak = [
            (
                ENFORCE,
                "attack",
                TlsEstablished(
                    session="attacked-1", version="TLSv1.3", certificate="untrusted", shown_by="swap_certificate"
                ),
            ),
            (ENFORCE, "attack", SmtpSaid(session="attacked-1", speaker="sender", line="EHLO a", secured=True)),
            (ENFORCE, "attack", SmtpSaid(session="attacked-1", speaker="sender", line="MAIL FROM:<a@b>", secured=True)),
        ]
        found = verdict(record(story[:spot] + leak + story[spot:], taken_in()))
        assert found.grade is Grade.WEAK
        leaks = [(item.obligation, item.harm) for item in found.judgements if item.grade is Grade.WEAK]
        assert (leaks, found.harm) == ([("STLS-4.1-02", Harm.READ)], Harm.NONE)
        leak.append((ENFORCE, "attack", SmtpSaid(session="attacked-1", speaker="mx", line="354 go on", secured=True)))
        found = verdict(record(story[:spot] + leak + story[spot:], taken_in()))
        assert found.grade is Grade.FAIL
        assert "message-sent-under-a-bad-certificate" in reasons(found)


def _is_about_policy(fact: object) -> bool:
    host = getattr(fact, "role", "") == "policy-host" or getattr(fact, "host", "").startswith("mta-sts.")
    return host or isinstance(fact, PolicyRequested) or _asks_for_a_policy(fact)


def _asks_for_a_policy(fact: object) -> bool:
    return isinstance(fact, DnsAnswered) and fact.name.startswith("_mta-sts.")


class TestRightReason:
    def test_a_sender_that_came_back_in_clear_is_not_said_to_have_been_offered_nothing(self) -> None:
        def offering(name: str, step: str, fact: AnyFact) -> list[Line]:
            if not (isinstance(fact, AttackFired) and step == "attack"):
                return [(name, step, fact)]
            reply = SmtpSaid(session=fact.session, speaker="mx", line="250-STARTTLS", secured=False)
            return [(name, step, fact), (name, step, reply)]

        told = {
            what: next(one.observed for one in found.judgements if one.check == "message-outcome")
            for what, found in {
                "nothing": verdict(record(resisted(), taken_in())),
                "offered": verdict(record([new for line in resisted() for new in offering(*line)], taken_in())),
            }.items()
        }
        assert told == {
            "nothing": 'deferred (its queue says "TLS is required"): STARTTLS was not offered, and the sender gave up the session',
            "offered": 'deferred (its queue says "TLS is required"): STARTTLS was offered, and not taken up, and the sender gave up the session',
        }

    def test_held_without_ever_fetching_the_policy(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, PolicyRequested))
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "held-without-policy" in reasons(found)

    def test_held_by_a_sender_without_mta_sts_is_neither_a_pass_nor_a_failure(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, PolicyRequested) or _asks_for_a_policy(fact))
        found = verdict(record(lines, taken_in(), capabilities=()))
        assert found.grade is Grade.INFO
        assert "held-for-another-reason" in reasons(found)

    def test_one_that_asks_for_policies_after_all_is_judged_like_any_other(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, PolicyRequested))
        assert verdict(record(lines, taken_in(), capabilities=())).grade is Grade.INCONCLUSIVE

    def test_a_hold_without_mta_sts_that_nothing_explains_stays_open(self) -> None:
        lines = without(
            resisted(),
            lambda fact: (
                isinstance(fact, PolicyRequested | SmtpSaid | ConnectionAccepted | TlsFailed)
                or _asks_for_a_policy(fact)
            ),
        )
        assert verdict(record(lines, taken_in(), capabilities=())).grade is Grade.INCONCLUSIVE

    def test_delivered_without_ever_fetching_the_policy_is_told_apart(self) -> None:
        asked = without(taken_in(ENFORCE), lambda fact: isinstance(fact, PolicyRequested))
        never = without(asked, lambda fact: isinstance(fact, ConnectionAccepted) and fact.role == "policy-host")
        found = verdict(record(never, taken_in()))
        assert found.grade is Grade.FAIL
        assert "delivered-clear-policy-never-fetched" in reasons(found)

    def test_a_fetch_that_never_ended_is_no_ignored_policy(self) -> None:
        lines = without(taken_in(ENFORCE), lambda fact: isinstance(fact, PolicyRequested))
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert reasons(found) == {"not-primed"}

    def test_held_for_no_reason_on_record(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, SmtpSaid))
        assert "no-reason-on-record" in reasons(verdict(record(lines, taken_in())))

    def test_the_reason_is_told(self) -> None:
        found = verdict(record(resisted(), taken_in()))
        assert found.steps[1].detail == "held: STARTTLS was not offered, and the sender gave up the session"
        story = resisted()
        spot = max(index for index, item in enumerate(story) if item[2] == held(ENFORCE))
        alert = (ENFORCE, "attack", TlsFailed(session="attacked-2", alert="unknown ca"))
        found = verdict(record([*story[:spot], alert, *story[spot:]], taken_in()))
        assert found.steps[1].detail == "held: TLS failed (unknown ca)"

    def test_a_policy_that_was_never_asked_for_cannot_have_been_refused(self) -> None:
        probe = changed(case(Mode.ENFORCE, ("delivered",)), "prime", world=World(policy_host=PolicyHost(status=404)))
        lines = without(taken_in(ENFORCE), lambda fact: isinstance(fact, PolicyRequested))
        asked = verdict(record(lines, taken_in(), cases=(probe, CASES[ABSENT])))
        assert asked.grade is Grade.PASS
        lines = without(lines, lambda fact: isinstance(fact, ConnectionAccepted) and fact.role == "policy-host")
        assert "policy-host-never-reached" in reasons(verdict(record(lines, taken_in(), cases=(probe, CASES[ABSENT]))))
        lines = without(lines, lambda fact: isinstance(fact, DnsAnswered) and fact.type == "TXT")
        never = record(lines, taken_in(), cases=(probe, CASES[ABSENT]))
        assert verdict(never).grade is Grade.INCONCLUSIVE
        assert "policy-never-asked" in reasons(verdict(never))

    def test_of_a_sender_without_mta_sts_nobody_expects_that_it_asks(self) -> None:
        probe = changed(case(Mode.ENFORCE, ("delivered",)), "prime", world=World(policy_host=PolicyHost(status=404)))
        fetch = (PolicyRequested, ConnectionAccepted)
        lines = without(taken_in(ENFORCE), lambda fact: isinstance(fact, fetch) and fact.host.startswith("mta-sts."))
        asked = verdict(record(lines, taken_in(), cases=(probe, CASES[ABSENT]), capabilities=()))
        assert asked.grade is Grade.INCONCLUSIVE, "it asked, so it has something of MTA-STS"
        lines = without(lines, lambda fact: isinstance(fact, DnsAnswered) and fact.type == "TXT")
        never = verdict(record(lines, taken_in(), cases=(probe, CASES[ABSENT]), capabilities=()))
        assert never.grade is Grade.INFO
        assert reasons(never) == {"policy-never-asked"}
        kept = verdict(record(lines, taken_in(), capabilities=()))
        assert kept.grade is Grade.FAIL, "where the policy is to be kept it has no such excuse"
        either = changed(
            case(Mode.ENFORCE, ("delivered", "deferred"), should=("delivered",)), "prime", world=probe.steps[0].world
        )
        advised = verdict(record(lines, taken_in(), cases=(either, CASES[ABSENT]), capabilities=()))
        assert (advised.grade, reasons(advised)) == (Grade.INFO, {"policy-never-asked"}), "it did what is advised"


class TestGrades:
    def test_bounced_without_asking_for_a_newer_policy_fails(self) -> None:
        assert reasons(verdict(record(_bounced(checked=False), taken_in()))) >= {"bounced-before-policy-check"}
        found = verdict(record(_bounced(checked=False), taken_in()))
        assert found.grade is Grade.FAIL
        assert "STS-5-07" in {item.obligation for item in found.judgements if item.grade is Grade.FAIL}

    def test_bounced_where_another_host_was_left_breaks_what_any_return_under_enforce_breaks(self) -> None:
        advice = ("delivered-authenticated", "deferred"), "STS-5.1-03"
        probe = changed(CASES[ENFORCE], "attack", expect=Expectation(*advice, should=("delivered-authenticated",)))
        found = verdict(record(_bounced(checked=False), taken_in(), cases=(probe, CASES[ABSENT])))
        assert (found.grade, reasons(found)) == (Grade.FAIL, {"bounced-before-policy-check"})
        found = verdict(record(_bounced(checked=True), taken_in(), cases=(probe, CASES[ABSENT])))
        assert (found.grade, reasons(found)) == (Grade.WEAK, {"bounced-after-policy-check"})

    @pytest.mark.parametrize("obligation", ["STS-5.1-03", "SMTP-5.1-06"])
    def test_mail_let_out_breaks_a_must_where_the_scenario_is_about_advice(self, obligation: str) -> None:
        advice = Expectation(("delivered-authenticated", "deferred"), obligation, grade=Grade.FAIL)
        probe = changed(CASES[ENFORCE], "attack", expect=advice)
        found = verdict(record(taken_in(ENFORCE), taken_in(), cases=(probe, CASES[ABSENT])))
        assert {one.obligation for one in found.judgements if one.grade is Grade.FAIL} == {"STS-5-03"}

    def test_a_sender_without_mta_sts_is_not_blamed_for_how_it_keeps_policies(self) -> None:
        probe = changed(CASES[ENFORCE], "attack", expect=Expectation(("deferred",), "STS-3.1-05"))
        leak = record(without(taken_in(ENFORCE), _is_about_policy), taken_in(), cases=(probe, CASES[ABSENT]))
        with_it = {one.obligation for one in verdict(leak).judgements if one.grade is Grade.FAIL}
        assert "STS-3.1-05" in with_it
        plain = record(
            without(taken_in(ENFORCE), _is_about_policy), taken_in(), cases=(probe, CASES[ABSENT]), capabilities=()
        )
        assert {one.obligation for one in verdict(plain).judgements if one.grade is Grade.FAIL} == {"STS-5-03"}

    def test_no_expectation_lets_a_finding_count_for_more_than_its_level(self) -> None:
        for obligation, grade in (("STS-5-06", Grade.WEAK), ("STS-5-05", Grade.WEAK), ("STS-3.3-16", Grade.FAIL)):
            strict = Expectation(("delivered",), obligation, grade=Grade.FAIL)
            probe = changed(CASES[TESTING], "attack", expect=strict)
            held = verdict(record(resisted(TESTING), taken_in(), cases=(probe, CASES[ABSENT])), TESTING)
            assert held.grade is grade, obligation

    def test_bounced_where_the_policy_had_no_part_breaks_what_the_scenario_is_about(self) -> None:
        probe = changed(
            CASES[ENFORCE], "attack", expect=Expectation(("delivered-authenticated", "deferred"), "STLS-6-06")
        )
        found = verdict(record(_bounced(checked=False), taken_in(), cases=(probe, CASES[ABSENT])))
        assert found.grade is Grade.FAIL
        broken = {(item.reason, item.obligation) for item in found.judgements if item.grade is Grade.FAIL}
        assert broken == {("bounced", "STLS-6-06")}

    def test_a_hold_is_told_with_what_the_queue_says_of_it(self) -> None:
        story = [
            (name, step, msgspec.structs.replace(fact, reason="no TLS") if isinstance(fact, QueueSeen) else fact)
            for name, step, fact in resisted()
        ]
        told = {one.observed for one in verdict(record(story, taken_in())).judgements if one.reason == "deferred"}
        assert [one.startswith('deferred (its queue says "no TLS")') for one in told] == [True]

    def test_bounced_after_asking_is_weak(self) -> None:
        found = verdict(record(_bounced(checked=True), taken_in()))
        assert found.grade is Grade.WEAK
        assert reasons(found) == {"bounced-after-policy-check"}

    def test_lost(self) -> None:
        found = verdict(record(vanished(), taken_in()))
        assert found.grade is Grade.FAIL
        assert ("lost", "SMTP-4.5.4.1-01") in {(item.reason, item.obligation) for item in found.judgements}

    @pytest.mark.parametrize("first", ["the other case", "this case"])
    def test_a_queue_that_was_wrong_about_another_message_proves_no_loss(self, first: str) -> None:
        other = resisted(TESTING)
        before = next(at for at, line in enumerate(other) if line[1] == "recover" and "ConnectionAcc" in str(line[2]))
        belied = [*other[:before], (TESTING, "recover", gone(TESTING)), *other[before:]]
        stories = [belied, vanished()] if first == "the other case" else [vanished(), belied]
        found = verdict(record(*stories, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "queue-belied" in reasons(found)
        honest = [other, vanished()]
        assert verdict(record(*honest, taken_in())).grade is Grade.FAIL, "a queue that is right about the others"

    def test_should_is_weak(self) -> None:
        advised = case(Mode.ENFORCE, ("deferred", "delivered"), should=("delivered-authenticated",))
        found = verdict(record(resisted(), taken_in(), cases=(advised, CASES[ABSENT])))
        assert found.grade is Grade.WEAK
        assert reasons(found) == {"allowed-but-not-advised"}

    def test_or_worth_a_note_where_the_rfc_is_open(self) -> None:
        open_question = case(
            Mode.ENFORCE, ("deferred", "delivered"), should=("delivered-authenticated",), should_grade=Grade.INFO
        )
        found = verdict(record(resisted(), taken_in(), cases=(open_question, CASES[ABSENT])))
        assert (found.grade, reasons(found)) == (Grade.INFO, {"allowed-but-not-advised"})

    def test_any_is_info(self) -> None:
        open_question = case(Mode.ENFORCE, ("any",))
        assert verdict(record(resisted(), taken_in(), cases=(open_question, CASES[ABSENT]))).grade is Grade.INFO

    def test_too_few_policy_requests_are_held_against_who_has_mta_sts(self) -> None:
        bounds = PolicyRequests("STS-5.1-01", least=1)
        asking = changed(
            CASES[ENFORCE], "attack", expect=Expectation(("delivered",), "STS-5.1-01", policy_requests=bounds)
        )
        lines = without(taken_in(ENFORCE), lambda fact: isinstance(fact, DnsAnswered) and fact.type == "TXT")
        cases = (asking, CASES[ABSENT])
        assert "requested-too-seldom" in reasons(verdict(record(lines, taken_in(), cases=cases)))
        assert "requested-too-seldom" not in reasons(verdict(record(lines, taken_in(), cases=cases, capabilities=())))
        cut = [line for line in lines if line[1] == "prime"]
        assert "requested-too-seldom" not in reasons(verdict(record(cut, taken_in(), cases=cases)))

    def test_a_permission_is_only_noted(self) -> None:
        bounds = PolicyRequests("STS-3-01", most=0)
        noted = changed(CASES[ENFORCE], "attack", expect=Expectation(("deferred",), "STS-5-03", policy_requests=bounds))
        again = next(line for line in resisted() if isinstance(line[2], PolicyRequested))
        story = resisted()
        spot = next(index for index, item in enumerate(story) if isinstance(item[2], QueueSeen))
        lines = [*story[:spot], (ENFORCE, "attack", again[2]), *story[spot:]]
        found = verdict(record(lines, taken_in(), cases=(noted, CASES[ABSENT])))
        assert found.grade is Grade.INFO
        assert reasons(found) == {"requested-too-often"}
        assert verdict(record(story, taken_in(), cases=(noted, CASES[ABSENT]))).grade is Grade.PASS

    def test_a_followed_redirect_fails_anywhere(self) -> None:

        lines = [
            (name, step, msgspec.structs.replace(fact, redirected=True) if isinstance(fact, PolicyRequested) else fact)
            for name, step, fact in resisted()
        ]
        assert reasons(verdict(record(lines, taken_in()))) == {"redirect-followed"}


def _bounced(name: str = ENFORCE, *, checked: bool = False) -> list[Line]:
    facts: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(name, "attack"),
        *resisted_attempt(name, "attacked-1"),
        *(
            [DnsAnswered(name=f"_mta-sts.{DOMAIN[name]}", type="TXT", transport="udp", rcode="NOERROR")]
            if checked
            else []
        ),
        BounceReceived(token=token(name, "attack"), action="failed", status="5.7.5"),
        StepEnded(),
    ]
    after = without(recovered(name), lambda fact: isinstance(fact, MessageAccepted))
    return prime(name) + [(name, "attack", fact) for fact in facts] + after


class TestUnsupported:
    @staticmethod
    def _without_restarts(lines: list[Line], name: str, *later: AnyFact) -> list[Line]:
        """A story up to a step that restarts the target, which it does not offer, and what came after that."""
        kept = [line for line in lines if line[1] in ("prime", "attack")]
        return [*kept, *((name, "later", fact) for fact in (StepBegan(), NotSupported(what="restart"), *later))]

    @staticmethod
    def _with_a_restart(name: str, outcome: str) -> Case:
        first, attack, recover = CASES[name].steps
        later = Step("later", World(), restart="TERM", expect=Expectation((outcome,), "STS-3.3-17"))
        return replace(CASES[name], steps=(first, attack, later, recover))

    @pytest.mark.parametrize("outcome", ["deferred", "delivered"])
    def test_what_leaks_in_a_step_that_is_not_offered_is_a_leak(self, outcome: str) -> None:
        leak: list[AnyFact] = [
            connection(ENFORCE, "leak"),
            SmtpSaid(session="leak", speaker="sender", line="MAIL FROM:<a@sender.example>", secured=False),
            TokenRead(session="leak", token=token(ENFORCE, "attack"), secured=False, reader="attacker"),
        ]
        cases = tuple(self._with_a_restart(name, outcome) for name in (ENFORCE, ABSENT))
        control = self._without_restarts(taken_in(), ABSENT)
        quiet = verdict(record(self._without_restarts(resisted(), ENFORCE), control, cases=cases))
        assert quiet.grade is Grade.UNSUPPORTED
        found = verdict(record(self._without_restarts(resisted(), ENFORCE, *leak), control, cases=cases))
        assert found.grade is Grade.FAIL
        assert {"read-in-clear", "envelope-in-clear"} <= reasons(found)

    def test_a_part_of_the_contract_that_is_not_offered(self) -> None:
        lines = [line for line in resisted() if line[1] == "prime"]
        lines.append((ENFORCE, "attack", NotSupported(what="no clock")))
        assert verdict(record(lines, taken_in())).grade is Grade.UNSUPPORTED

    def test_does_not_hide_a_failure_that_was_seen(self) -> None:
        lines = [*taken_in(ENFORCE), (ENFORCE, "recover", NotSupported(what="no clock"))]
        assert verdict(record(lines, taken_in())).grade is Grade.FAIL

    def test_nor_an_error_of_the_labs(self) -> None:
        lines = [line for line in resisted() if line[1] == "prime"]
        lines += [(ENFORCE, "attack", NotSupported(what="no clock")), ("", "", LabFailed(where="dns", error="gone"))]
        assert verdict(record(lines, taken_in())).grade is Grade.LAB_ERROR

    def test_puts_what_was_played_until_then_in_no_doubt(self) -> None:
        later = Step("later", World(), advance=90000, attacks=(ATTACK,), expect=Expectation(("delivered",), "STS-5-03"))
        cases = [replace(CASES[name], steps=(*CASES[name].steps[:2], later)) for name in (ENFORCE, ABSENT)]

        def story(name: str) -> list[Line]:
            played = [line for line in taken_in(name) if line[1] != "recover"]
            return [*played, (name, "later", StepBegan()), (name, "later", NotSupported(what="no clock"))]

        made = record(story(ENFORCE), story(ABSENT), cases=cases)
        assert verdict(made, ABSENT).grade is Grade.UNSUPPORTED
        found = verdict(made)
        assert found.grade is Grade.FAIL
        assert {item.grade for item in found.judgements} == {Grade.FAIL, Grade.UNSUPPORTED}


class TestLabErrors:
    @pytest.mark.parametrize("where", [ENFORCE, ""])
    def test_an_exception_in_the_lab_is_never_a_pass(self, where: str) -> None:
        broken = (where, "", LabFailed(where="dns", error="OSError: gone"))
        assert verdict(record([*resisted(), broken], taken_in())).grade is Grade.LAB_ERROR

    def test_a_seen_failure_outranks_it(self) -> None:
        broken = ("", "", LabFailed(where="dns", error="OSError: gone"))
        assert verdict(record([*taken_in(ENFORCE), broken], taken_in())).grade is Grade.FAIL

    @pytest.mark.parametrize("where", [ENFORCE, ""])
    def test_a_dead_target_is_inconclusive(self, where: str) -> None:
        dead = (where, "", TargetFailed(what="connection refused"))
        assert verdict(record([*resisted(), dead], taken_in())).grade is Grade.INCONCLUSIVE

    def test_a_case_cut_short_is_inconclusive(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, CaseEnded))
        assert "not-played-to-the-end" in reasons(verdict(record(lines, taken_in())))

    def test_a_missing_step_is_inconclusive(self) -> None:
        lines = [line for line in resisted() if line[1] != "attack"]
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "steps-missing" in reasons(found)

    @pytest.mark.parametrize("step", ["prime", "attack", "recover"])
    @pytest.mark.parametrize("case_id", [ENFORCE, ABSENT])
    def test_a_step_whose_end_is_not_on_record_proves_nothing(self, case_id: str, step: str) -> None:
        def cut(lines: list[Line]) -> list[Line]:
            return without(lines, lambda fact: isinstance(fact, StepEnded), step if lines[0][0] == case_id else "-")

        assert verdict(record(cut(resisted()), cut(taken_in()))).grade is Grade.INCONCLUSIVE

    def test_a_case_that_ends_with_its_first_message_says_so_and_nothing_of_later_steps(self) -> None:
        demanding = changed(
            CASES[ENFORCE], "prime", expect=Expectation(outcome=("delivered",), obligation="STS-3.2-10")
        )
        notice = BounceReceived(token=token(ENFORCE, "prime"), action="failed", status="5.7.1")
        facts = [
            *(fact for _, _, fact in prime(ENFORCE) if not isinstance(fact, (MessageAccepted, StepEnded))),
            *(gone(ENFORCE, "prime"), notice, StepEnded(), CaseEnded()),
        ]
        lines = [(ENFORCE, "prime", fact) for fact in facts]
        found = verdict(record(lines, taken_in(), cases=(demanding, CASES[ABSENT])))
        assert (found.grade, reasons(found)) == (Grade.FAIL, {"bounced", ENDED_WITH_ITS_FIRST_MESSAGE})
        (ended,) = [one for one in found.judgements if one.reason == ENDED_WITH_ITS_FIRST_MESSAGE]
        assert (ended.grade, ended.step) == (Grade.INCONCLUSIVE, "prime")
        assert ended.observed == "the first message was bounced, so that nothing came of attack, recover"

    def test_a_refused_injection_is_inconclusive(self) -> None:
        lines = without(resisted(), lambda fact: isinstance(fact, MessageInjected), "attack")
        lines.append((ENFORCE, "attack", InjectionRefused(token="t", recipient="b", reply="554 no")))
        found = verdict(record(lines, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "injection-refused" in reasons(found)

    def test_no_events_at_all(self) -> None:
        found = verdict(record([], taken_in(), cases=(CASES[ENFORCE], CASES[ABSENT])))
        assert found.grade is Grade.INCONCLUSIVE


def test_merge_takes_the_worst_and_nothing_is_not_a_pass() -> None:
    assert merge([]) is Grade.INCONCLUSIVE
    assert merge([Grade.PASS, Grade.INFO]) is Grade.INFO
    assert merge([Grade.WEAK, Grade.INCONCLUSIVE]) is Grade.INCONCLUSIVE
    assert merge([Grade.LAB_ERROR, Grade.FAIL, Grade.PASS]) is Grade.FAIL
    assert merge([Grade.UNSUPPORTED]) is Grade.UNSUPPORTED
    assert merge([Grade.UNSUPPORTED, Grade.PASS]) is Grade.PASS


def test_unrelated_facts_change_nothing() -> None:
    hello = (ENFORCE, "attack", ClientHelloSeen(session="attacked-1"))
    query = (ENFORCE, "attack", mx_query(ENFORCE))
    assert verdict(record([*resisted(), hello, query, (ENFORCE, "recover", held(ENFORCE))], taken_in())) is not None


@pytest.mark.parametrize(
    ("steps", "judged", "grade"),
    [
        (CASES[ENFORCE].steps, "attack", Grade.PASS),
        (CASES[ENFORCE].steps, "recover", Grade.INCONCLUSIVE),
        (CASES[ENFORCE].steps[:1], "prime", Grade.INCONCLUSIVE),
    ],
    ids=["judged", "another step", "nothing demanded"],
)
def test_passes_do_not_answer_for_a_step_that_was_not_judged(
    steps: tuple[Step, ...], judged: str, grade: Grade
) -> None:
    """Whatever the checks leave out: nothing that is not known turns into a pass."""
    passed = Judgement(Grade.PASS, "deferred", step=judged, check="message-outcome")
    assert _grade(replace(CASES[ENFORCE], steps=steps), [passed]) is grade


def test_a_hold_under_dane_by_a_sender_that_looked_up_no_tlsa_record_proves_nothing() -> None:
    dane = replace(CASES[ENFORCE], mode=Mode.DANE)
    found = verdict(record(resisted(), taken_in(), cases=(dane, CASES[ABSENT])))
    assert found.grade is not Grade.PASS
    assert "held-without-tlsa" in reasons(found)


@pytest.mark.parametrize(("retry_seconds", "settled"), [(5.0, True), (30.0, False)])
def test_without_a_queue_the_last_attempt_but_one_has_to_come_late_enough(retry_seconds: float, settled: bool) -> None:
    """A sender may be laxer with a message that it has tried for its usual pause."""
    facts: list[tuple[float, AnyFact]] = [
        (0.0, CaseBegan(domain=DOMAIN[ENFORCE], mode="enforce")),
        (0.5, StepBegan()),
        (1.0, injected(ENFORCE, "attack")),
        *((at, mx_query(ENFORCE)) for at in (1.5, 11.0, 21.0)),
    ]
    events = [Event(number, at, fact, ENFORCE, "attack") for number, (at, fact) in enumerate(facts, start=1)]
    message = MessageFacts(CaseFacts(ENFORCE, events, retry_seconds), token(ENFORCE, "attack"), 1.0, 30.0)
    assert message.settled() is settled


@pytest.mark.parametrize("outlived", [False, True])
def test_a_restart_that_a_session_outlived_was_none(outlived: bool) -> None:
    case = changed(CASES[ENFORCE], "attack", restart="KILL")
    story = resisted()
    at = next(number for number, line in enumerate(story) if line[1] == "attack" and isinstance(line[2], StepBegan))
    killed: Line = ("", "", TargetRestarted(signal="KILL", outlived=outlived))
    found = verdict(record([*story[: at + 1], killed, *story[at + 1 :]], taken_in(), cases=(case, CASES[ABSENT])))
    assert ("restart-not-done" in reasons(found)) is outlived
