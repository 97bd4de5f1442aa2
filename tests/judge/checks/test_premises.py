"""A finding names what it rests on besides the target's doing. Where that is missing nothing is proved."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    BounceReceived,
    CaseEnded,
    ConnectionAccepted,
    ConnectionClosed,
    DeadlinePassed,
    DnsAnswered,
    LabFailed,
    LabUnhealthy,
    MessageAccepted,
    PolicyRequested,
    QueueSeen,
    ReportsAsked,
    ReportsLeft,
    SenderLeft,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge.checks.premises import ASKED_LATE
from mta_sts_lab.model.case import Case, Mode
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.timeouts import POLICY_QUESTION

from tests.judge.stories import (
    ABSENT,
    CASES,
    DOMAIN,
    ENFORCE,
    Line,
    accepted,
    case,
    connection,
    injected,
    mx_query,
    policy_facts,
    prime,
    quits,
    reasons,
    record,
    resisted,
    stripped,
    taken_in,
    taken_in_attempt,
    token,
    verdict,
    without,
)
from tests.judge.test_reports import CLAIMS, owing


def _attacked(*facts: AnyFact, first: list[Line] | None = None, cases: tuple[Case, ...] = ()) -> Verdict:
    """Judge the case under enforce with these facts in its attack step."""
    step = [StepBegan(attacks=("strip_starttls",)), injected(ENFORCE, "attack"), *facts, StepEnded()]
    after: list[AnyFact] = [StepBegan(), StepEnded(), CaseEnded()]
    story = [(ENFORCE, "attack", fact) for fact in step] + [(ENFORCE, "recover", fact) for fact in after]
    return verdict(record((first or prime(ENFORCE)) + story, taken_in(), cases=cases))


def _delivered(session: str) -> list[AnyFact]:
    return [
        mx_query(ENFORCE),
        connection(ENFORCE, session),
        TlsEstablished(session=session, version="TLSv1.3", certificate="valid"),
        accepted(ENFORCE, "attack", session),
        quits(session),
    ]


def _met(session: str) -> list[AnyFact]:
    fired = AttackFired(attack="strip_starttls", channel="smtp", session=session, detail="removed 250-STARTTLS")
    said = SmtpSaid(session=session, speaker="sender", line="RSET", secured=False)
    return [connection(ENFORCE, session), fired, stripped(session), said]


def _of_the_fetch(fact: AnyFact) -> bool:
    return fact in policy_facts(ENFORCE)


class TestThePolicyWasWaitedFor:
    """A target that claims no MTA-STS is not waited for that long. What it asks after that was not waited for."""

    PASSED = DeadlinePassed(deadline=POLICY_QUESTION.name, seconds=2.0, waited_for="a policy request")
    QUESTION = DnsAnswered(name=f"_mta-sts.{DOMAIN[ENFORCE]}", type="TXT", transport="udp", rcode="NOERROR")

    @pytest.mark.parametrize(
        ("facts", "doubted"),
        [
            pytest.param([PASSED, QUESTION], True, id="asked when nobody waited any more"),
            pytest.param([PASSED], False, id="never asked"),
            pytest.param([QUESTION, PASSED], False, id="asked in time"),
            pytest.param(
                [DeadlinePassed(deadline="learn-policy", seconds=8.0, waited_for="a policy request"), QUESTION],
                False,
                id="waited for in full",
            ),
        ],
    )
    def test_only_a_late_question_casts_a_doubt(self, facts: list[AnyFact], doubted: bool) -> None:
        first = [(ENFORCE, "prime", fact) for fact in facts]
        leak = [*_met("met"), accepted(ENFORCE, "attack", "met"), quits("met")]
        found = _attacked(*leak, first=without(prime(ENFORCE), _of_the_fetch) + first)
        assert (ASKED_LATE in reasons(found)) is doubted
        assert (found.grade is Grade.INCONCLUSIVE) is doubted


class TestTheAttackWasInForce:
    def test_a_delivery_without_the_attack_is_no_finding(self) -> None:
        found = _attacked(*_delivered("spared"))
        assert found.grade is Grade.INCONCLUSIVE
        assert {"attack-not-in-force", "attack-not-fired"} <= reasons(found)

    def test_one_over_a_session_that_the_attack_left_alone_is_none_either(self) -> None:
        found = _attacked(*_met("met"), *_delivered("spared"))
        assert found.grade is Grade.INCONCLUSIVE
        assert "attack-not-in-force" in reasons(found)
        assert "attack-not-fired" not in reasons(found)

    def test_one_that_the_attack_met_is(self) -> None:
        found = _attacked(*_met("met"), accepted(ENFORCE, "attack", "met"), quits("met"))
        assert "attack-not-in-force" not in reasons(found)

    @pytest.mark.parametrize(("said", "doubted"), [("STARTTLS", True), ("QUIT", False)])
    def test_a_hold_is_decided_in_the_last_session(self, said: str, doubted: bool) -> None:
        """One in which the target said no more than its greeting decides nothing."""
        bounced = BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="5.7.1")
        line = SmtpSaid(session="spared", speaker="sender", line=said, secured=False)
        spared = [connection(ENFORCE, "spared"), line, ConnectionClosed(session="spared")]
        found = _attacked(mx_query(ENFORCE), *_met("met"), ConnectionClosed(session="met"), *spared, bounced)
        assert ("attack-not-in-force" in reasons(found)) is doubted

    def test_a_bounce_without_the_attack_is_no_finding(self) -> None:
        bounced = BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="5.7.1")
        assert _attacked(mx_query(ENFORCE), bounced).grade is Grade.INCONCLUSIVE

    def test_what_leaves_in_clear_is_a_finding_all_the_same(self) -> None:
        spared = without(
            [(ENFORCE, "attack", fact) for fact in taken_in_attempt(ENFORCE, "bare")],
            lambda fact: isinstance(fact, AttackFired),
        )
        found = _attacked(*(fact for _, _, fact in spared))
        assert found.grade is Grade.FAIL
        assert {"delivered-clear", "read-in-clear", "attack-not-fired"} <= reasons(found)

    @pytest.mark.parametrize("spoiled", [False, True])
    def test_mail_kept_back_where_the_lab_spoiled_the_control_case(self, spoiled: bool) -> None:
        """The control case would have shown whether this sender keeps back such mail without a policy, too."""
        bounced = BounceReceived(token=token(ENFORCE, "attack"), action="failed", status="5.7.1")
        facts: list[AnyFact] = [
            StepBegan(attacks=("strip_starttls",)),
            injected(ENFORCE, "attack"),
            mx_query(ENFORCE),
            *_met("met"),
            SmtpSaid(session="met", speaker="sender", line="QUIT", secured=False),
            ConnectionClosed(session="met"),
            bounced,
            StepEnded(),
        ]
        story = prime(ENFORCE) + [(ENFORCE, "attack", fact) for fact in facts]
        story += [(ENFORCE, "recover", fact) for fact in (StepBegan(), StepEnded(), CaseEnded())]
        failed: list[Line] = [(ABSENT, "attack", LabFailed(where="here", error="an error"))] if spoiled else []
        found = verdict(record(story, taken_in() + failed))
        (outcome,) = [one for one in found.judgements if one.check == "message-outcome"]
        assert outcome.grade is (Grade.INCONCLUSIVE if spoiled else Grade.FAIL)


class TestTheWireShowsIt:
    @pytest.mark.parametrize(
        "line",
        [
            SmtpSaid(session="", speaker="mx", line="250-STARTTLS", secured=False),
            SmtpSaid(
                session="", speaker="mx", line="250-STARTTLS", secured=False, altered=True, instead_of="250-STARTTLS"
            ),
        ],
    )
    def test_an_attack_that_says_so_and_does_nothing(self, line: SmtpSaid) -> None:
        idle = [
            (name, step, msgspec.structs.replace(line, session=fact.session) if _is_strip(fact) else fact)
            for name, step, fact in resisted()
        ]
        found = verdict(record(idle, taken_in()))
        assert found.grade is Grade.INCONCLUSIVE
        assert "attack-not-fired" in reasons(found)
        assert verdict(record(resisted(), taken_in())).grade is Grade.PASS

    def test_a_control_case_of_which_it_only_says_so(self) -> None:
        said = SmtpSaid(session="", speaker="mx", line="250-STARTTLS", secured=False)
        idle = [
            (name, step, msgspec.structs.replace(said, session=fact.session) if _is_strip(fact) else fact)
            for name, step, fact in taken_in()
        ]
        found = verdict(record(resisted(), idle))
        assert found.grade is Grade.INCONCLUSIVE
        assert "control-not-sound" in reasons(found)

    @pytest.mark.parametrize("shown_by", ["", "strip_starttls"])
    def test_a_certificate_that_the_attacker_showed(self, shown_by: str) -> None:
        tls = TlsEstablished(session="met", version="TLSv1.3", certificate="valid", shown_by=shown_by)
        fired = AttackFired(attack="strip_starttls", channel="smtp", session="met", detail="")
        found = _attacked(mx_query(ENFORCE), connection(ENFORCE, "met"), fired, tls, ConnectionClosed(session="met"))
        assert ("attack-not-fired" in reasons(found)) is not bool(shown_by)

    @pytest.mark.parametrize("certificate", ["", "untrusted"])
    def test_a_handshake_that_failed_before_any_certificate_was_shown(self, certificate: str) -> None:
        fired = AttackFired(attack="strip_starttls", channel="smtp", session="met", detail="")
        greeting = SmtpSaid(session="met", speaker="mx", line="220 mx1", secured=False)
        failed = TlsFailed(session="met", alert="bad certificate", certificate=certificate)
        ended = ConnectionClosed(session="met")
        found = _attacked(mx_query(ENFORCE), connection(ENFORCE, "met"), greeting, fired, failed, ended)
        assert ("attack-not-fired" in reasons(found)) is not bool(certificate)

    def test_an_attack_on_mail_that_names_no_session(self) -> None:
        fired = AttackFired(attack="strip_starttls", channel="smtp", detail="")
        found = _attacked(mx_query(ENFORCE), fired, *_delivered("spared"))
        assert "attack-not-fired" in reasons(found)

    @pytest.mark.parametrize("tampered_by", ["", "forge_mx"])
    def test_a_forged_answer(self, tampered_by: str) -> None:
        forged = DnsAnswered(name=DOMAIN[ENFORCE], type="MX", transport="udp", rcode="NOERROR", tampered_by=tampered_by)
        fired = AttackFired(attack="forge_mx", channel="dns", detail="")
        attack = replace(CASES[ENFORCE].steps[1].attacks[0], name="forge_mx", channel="dns")
        cases = tuple(_with_attack(case(mode, ("deferred",)), attack) for mode in (Mode.ENFORCE, Mode.ABSENT))
        found = _attacked(fired, forged, cases=cases)
        assert ("attack-not-fired" in reasons(found)) is not bool(tampered_by)


def _is_strip(fact: AnyFact) -> bool:
    return isinstance(fact, SmtpSaid) and fact.altered


def _with_attack(changed: Case, attack: object) -> Case:
    steps = tuple(replace(one, attacks=(attack,)) if one.name == "attack" else one for one in changed.steps)
    return replace(changed, steps=steps)


class TestTheReplyWasRead:
    @pytest.mark.parametrize(
        ("shown", "reason"),
        [
            (quits("honest-2"), "arrived-twice"),
            # It may have waited for the reply in vain.
            (SenderLeft(session="honest-2"), "reply-not-read"),
            (ConnectionClosed(session="honest-2"), "reply-not-read"),
            (quits("honest-9"), "reply-not-read"),
        ],
    )
    def test_a_second_copy(self, shown: AnyFact, reason: str) -> None:
        story = without(resisted(), lambda fact: fact == quits("honest-2"))
        again = accepted(ENFORCE, "attack", "honest-3")
        lines = [*story, (ENFORCE, "recover", shown), (ENFORCE, "recover", again)]
        found = verdict(record(lines, taken_in()))
        assert found.grade is (Grade.FAIL if reason == "arrived-twice" else Grade.INCONCLUSIVE)
        assert reasons(found) == {reason}


class TestTheLabHadFailed:
    """What a target does after an exception of the lab's may be the answer to it."""

    FAILED = LabFailed(where="SMTP session broken", error="AssertionError: no transport", session="broken")
    MISREAD = SmtpSaid(session="broken", speaker="sender", line="DATA\\x16\\x03", secured=False)
    LEAK = SmtpSaid(session="leak", speaker="sender", line=f"MAIL FROM:<{token(ENFORCE, 'attack')}@x>", secured=False)

    def _resisted_with(self, *facts: AnyFact) -> Verdict:
        lines = resisted()
        at = next(number for number, line in enumerate(lines) if line[1] == "attack" and isinstance(line[2], QueueSeen))
        return verdict(record([*lines[:at], *((ENFORCE, "attack", fact) for fact in facts), *lines[at:]], taken_in()))

    def test_what_was_read_in_the_session_that_it_spoiled_is_no_finding(self) -> None:
        assert self._resisted_with(connection(ENFORCE, "broken"), self.MISREAD).grade is Grade.FAIL
        for failures in (1, 2):
            found = self._resisted_with(connection(ENFORCE, "broken"), *[self.FAILED] * failures, self.MISREAD)
            assert found.grade is Grade.LAB_ERROR

    def test_nor_in_front_of_the_leg_that_it_spoiled(self) -> None:
        leg = msgspec.structs.replace(self.FAILED, session="leg")
        front, behind = connection(ENFORCE, "broken"), connection(ENFORCE, "leg", via="broken")
        assert self._resisted_with(front, behind, leg, self.MISREAD).grade is Grade.LAB_ERROR

    def test_what_was_read_before_it_or_elsewhere_is(self) -> None:
        broken = connection(ENFORCE, "broken")
        assert self._resisted_with(broken, self.MISREAD, self.FAILED).grade is Grade.FAIL
        elsewhere = [connection(ENFORCE, "leak"), self.LEAK]
        assert self._resisted_with(*elsewhere, broken, self.FAILED, self.MISREAD).grade is Grade.FAIL

    def test_who_never_got_the_policy_may_owe_that_to_it(self) -> None:
        first = without(prime(ENFORCE), _of_the_fetch)
        leak = taken_in_attempt(ENFORCE, "bare")
        assert _attacked(*leak, first=first).grade is Grade.FAIL
        failed = (ENFORCE, "prime", LabFailed(where="event loop", error="KeyError: 1"))
        assert _attacked(*leak, first=[*first, failed]).grade is Grade.LAB_ERROR


class TestThePolicyWasGot:
    def test_one_that_was_refused_excuses_a_case_that_was_cut_short_as_well(self) -> None:
        refused = [
            (name, step, msgspec.structs.replace(fact, status=503) if isinstance(fact, PolicyRequested) else fact)
            for name, step, fact in prime(ENFORCE)
        ]
        attack = [
            StepBegan(attacks=("strip_starttls",)),
            injected(ENFORCE, "attack"),
            *taken_in_attempt(ENFORCE, "bare"),
        ]
        cut = verdict(record([*refused, *((ENFORCE, "attack", fact) for fact in attack)], taken_in()))
        assert (cut.grade, reasons(cut)) == (Grade.INCONCLUSIVE, {"not-played-to-the-end"})

    def test_a_policy_host_that_was_asked_for_and_never_reached(self) -> None:
        gone = (PolicyRequested, ConnectionClosed)
        lines = without(
            prime(ENFORCE),
            lambda fact: isinstance(fact, gone) or (isinstance(fact, ConnectionAccepted) and fact.role != "mx"),
        )
        never = _attacked(*taken_in_attempt(ENFORCE, "bare"), first=lines)
        assert never.grade is Grade.FAIL, "it never set out for the policy"
        asked = DnsAnswered(name=f"mta-sts.{DOMAIN[ENFORCE]}", type="A", transport="udp", rcode="NOERROR")
        found = _attacked(*taken_in_attempt(ENFORCE, "bare"), first=[*lines, (ENFORCE, "prime", asked)])
        assert found.grade is Grade.INCONCLUSIVE
        assert "not-primed" in reasons(found)


class TestTheLabWasInOrder:
    @pytest.mark.parametrize(
        ("fault", "of_case", "hit"),
        [
            (LabUnhealthy(part="mx", observed="mx1 does not answer"), True, True),
            (LabUnhealthy(part="event loop", observed="stood still", seconds=9.0), False, True),
            (LabUnhealthy(part="clock", observed="moved", lasting=True), False, True),
            (DnsAnswered(name="x", type="A", transport="udp", rcode="SERVFAIL"), True, True),
            (DnsAnswered(name="x", type="A", transport="udp", rcode="SERVFAIL", tampered_by="it"), True, False),
            (DnsAnswered(name="x", type="A", transport="udp", rcode="NXDOMAIN"), True, False),
            (DnsAnswered(name="x", type="A", transport="udp", rcode="NOERROR", waited=1.2), True, True),
            (DnsAnswered(name="x", type="A", transport="udp", rcode="NOERROR", waited=0.8), True, False),
        ],
    )
    def test_a_fault_of_the_lab_in_a_case(self, fault: AnyFact, of_case: bool, hit: bool) -> None:
        story = [*prime(ENFORCE), *taken_in(ENFORCE)[len(prime(ENFORCE)) :]]
        middle = next(n for n, line in enumerate(story) if isinstance(line[2], MessageAccepted) and line[1] == "attack")
        story.insert(middle, (ENFORCE if of_case else "", "attack" if of_case else "", fault))
        found = verdict(record(story, taken_in()))
        assert found.grade is (Grade.INCONCLUSIVE if hit else Grade.FAIL)
        assert ("lab-not-in-order" in reasons(found)) is hit

    @pytest.mark.parametrize("lasting", [False, True])
    def test_a_fault_before_or_after_the_case(self, lasting: bool) -> None:
        fault = LabUnhealthy(part="clock", observed="moved", lasting=lasting)
        before = verdict(record([("", "", fault)], taken_in(ENFORCE), taken_in()))
        assert before.grade is (Grade.INCONCLUSIVE if lasting else Grade.FAIL)
        after = verdict(record(taken_in(ENFORCE), taken_in(), [("", "", fault)]))
        assert after.grade is Grade.FAIL

    def test_a_pass_stays_one(self) -> None:
        fault: Line = (ENFORCE, "attack", LabUnhealthy(part="mx", observed="mx1 does not answer"))
        assert verdict(record([*resisted(), fault], taken_in())).grade is Grade.PASS


class TestTheHostsThatTakeReports:
    """Reports are asked for when the cases have ended."""

    STOOD_STILL = LabUnhealthy(part="event loop", observed="it stood still for 40 s", seconds=0.02)
    ANSWER = DnsAnswered(name="reports.lab.example", type="A", transport="udp", rcode="NOERROR")

    @pytest.mark.parametrize(
        ("fact", "doubted"),
        [
            pytest.param(STOOD_STILL, True, id="the lab stood still"),
            pytest.param(msgspec.structs.replace(ANSWER, rcode="SERVFAIL"), True, id="no answer about them"),
            pytest.param(msgspec.structs.replace(ANSWER, waited=30.0), True, id="a late answer about them"),
            pytest.param(ANSWER, False, id="an answer about them"),
        ],
    )
    def test_a_report_that_does_not_come(self, fact: AnyFact, doubted: bool) -> None:
        run = [("", "", one) for one in (ReportsAsked(), fact, ReportsLeft())]
        cases = (owing("any", report_obligation="RPT-5-01"), CASES[ABSENT])
        found = verdict(record(resisted(), taken_in(), run, cases=cases, capabilities=CLAIMS))
        assert found.grade is (Grade.INCONCLUSIVE if doubted else Grade.FAIL)
        assert ("lab-not-in-order" in reasons(found)) is doubted
