"""What proved nothing because the lab was not in order is played again, and the run says so."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from mta_sts_lab.attacks.toolkit import controller
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.registry import Job, find_backend
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.judge.all_plays import PLAYS_DIFFER
from mta_sts_lab.judge.checks.premises import ASKED_LATE, LAB_UNHEALTHY
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.model.case import AttackUse
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import EarlierPlay, Judgement, StepResult, Verdict
from mta_sts_lab.model.world import Family
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reference.discovery import Discovered, Discovery
from mta_sts_lab.reports.terminal import played_again_line
from mta_sts_lab.reports.verdicts_reading import read_verdicts
from mta_sts_lab.runner import context
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.runs import RunRequest, RunResult, Watcher, load_shipped_catalogue, run
from mta_sts_lab.runs.errors import Interrupted
from mta_sts_lab.runs.replaying import (
    BY_THE_LAB,
    TOO_SLOW,
    UNSETTLED,
    Replay,
    perhaps_for_want_of_time,
    what_is_played_again,
    worth_another_play,
)
from mta_sts_lab.runs.service import judge_run
from mta_sts_lab.timeouts import Deadline
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.zone import Answer, Question, Zone

from tests.faults.rig import is_played, shorten_waits

CASE, CONTROL = "starttls/strip[enforce]", "starttls/strip[absent]"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_shipped_catalogue()


# -- which


def verdict(case: str, grade: Grade, *reasons: str, control_only: bool = False) -> Verdict:
    judgements = tuple(Judgement(grade, reason) for reason in reasons)
    return Verdict(case, grade, (), judgements, 0.0, 1.0, control_only)


@pytest.mark.parametrize(
    ("verdicts", "spoiled", "all_inconclusive"),
    [
        pytest.param([verdict(CASE, Grade.INCONCLUSIVE, LAB_UNHEALTHY)], [CASE], [CASE], id="the lab was late"),
        pytest.param([verdict(CASE, Grade.INCONCLUSIVE, ASKED_LATE)], [CASE], [CASE], id="the lab did not wait"),
        pytest.param([verdict(CASE, Grade.LAB_ERROR, "lab-failed")], [CASE], [CASE], id="the lab failed"),
        pytest.param([verdict(CASE, Grade.INCONCLUSIVE, "not-settled")], [], [CASE], id="nobody's doing"),
        pytest.param([verdict(CASE, Grade.FAIL, "delivered", LAB_UNHEALTHY)], [], [], id="a finding stays"),
        pytest.param([verdict(CASE, Grade.PASS)], [], [], id="a pass stays"),
        pytest.param(
            [
                verdict(CASE, Grade.INCONCLUSIVE, "control-not-sound"),
                verdict(CONTROL, Grade.INCONCLUSIVE, LAB_UNHEALTHY, control_only=True),
            ],
            [CASE],
            [CASE],
            id="its control case was spoiled",
        ),
        pytest.param(
            [
                verdict(CASE, Grade.PASS),
                verdict(CONTROL, Grade.INCONCLUSIVE, LAB_UNHEALTHY, control_only=True),
            ],
            [],
            [],
            id="a control case of nobody",
        ),
    ],
)
def test_which_cases_are_played_again(
    verdicts: list[Verdict], spoiled: list[str], all_inconclusive: list[str], catalogue: Catalogue
) -> None:
    assert list(worth_another_play(verdicts, catalogue.cases, all_inconclusive=False)) == spoiled
    assert list(worth_another_play(verdicts, catalogue.cases, all_inconclusive=True)) == all_inconclusive


@pytest.mark.parametrize(("reason", "why"), [("not-settled", UNSETTLED), (LAB_UNHEALTHY, BY_THE_LAB)])
def test_what_is_in_doubt_beside_a_known_failure_is_played_again(catalogue: Catalogue, reason: str, why: str) -> None:
    """On a busy machine one step of a case did not settle, and the known failures in the others looked like news."""
    found = verdict(CASE, Grade.FAIL, "delivered-clear")
    found = replace(found, judgements=(*found.judgements, Judgement(Grade.INCONCLUSIVE, reason)))
    held = replace(verdict(CONTROL, Grade.PASS), steps=(StepResult("attack", Outcome.DEFERRED, 0.0, 1.0, ""),))
    verdicts = [found, held]
    assert worth_another_play(verdicts, catalogue.cases, all_inconclusive=False) == {}
    again = worth_another_play(verdicts, catalogue.cases, all_inconclusive=False, in_doubt={CASE})
    assert again == {CASE: why}


NOTHING_KNOWN = KnownComparison({}, (), ())


def known_failure(case: str) -> KnownFailure:
    return KnownFailure(case, "STS-5-03", "fail", ("delivered-clear",), "why", "seen")


@pytest.mark.parametrize(
    ("found", "known", "played_again"),
    [
        pytest.param(verdict(CASE, Grade.FAIL, "delivered-clear"), NOTHING_KNOWN, True, id="a failure"),
        pytest.param(verdict(CASE, Grade.WEAK, "requested-too-seldom"), NOTHING_KNOWN, True, id="advice"),
        pytest.param(verdict(CASE, Grade.PASS), NOTHING_KNOWN, False, id="a pass"),
        pytest.param(verdict(CASE, Grade.INCONCLUSIVE, "not-settled"), NOTHING_KNOWN, False, id="nothing proved"),
        pytest.param(
            verdict(CASE, Grade.FAIL, "delivered-clear"), KnownComparison({CASE: ("why",)}, (), ()), False, id="known"
        ),
        pytest.param(
            verdict(CASE, Grade.PASS), KnownComparison({}, (known_failure(CASE),), ()), True, id="known, and not found"
        ),
        pytest.param(
            replace(verdict(CASE, Grade.FAIL, "x"), earlier=(EarlierPlay("r", Grade.FAIL, ("x",)),)),
            NOTHING_KNOWN,
            False,
            id="a failure in two plays",
        ),
        pytest.param(
            replace(verdict(CASE, Grade.FAIL, "x"), earlier=(EarlierPlay("r", Grade.LAB_ERROR, ("x",)),)),
            NOTHING_KNOWN,
            True,
            id="a failure after a play that proved nothing",
        ),
    ],
)
def test_what_may_come_of_a_machine_that_is_too_slow(
    found: Verdict, known: KnownComparison, played_again: bool, catalogue: Catalogue
) -> None:
    assert perhaps_for_want_of_time([found], known, {CASE}) == ({CASE} if played_again else set())
    assert perhaps_for_want_of_time([found], known, {"starttls/strip[testing]"}) == set()
    slow = perhaps_for_want_of_time([found], known, {CASE})
    again = worth_another_play([found], catalogue.cases, all_inconclusive=False, perhaps_too_slow=slow)
    assert again == ({CASE: TOO_SLOW} if played_again else {})


def test_of_many_findings_a_few_are_played_again_first() -> None:
    """A sender that is wrong in a hundred cases is not played for a quarter of an hour more."""
    wrong = [verdict(f"{CASE}{number}", Grade.FAIL, "x") for number in range(60)]
    names = {one.case for one in wrong}
    first = perhaps_for_want_of_time(wrong, NOTHING_KNOWN, names)
    assert first == {one.case for one in wrong[:24]}
    found_twice = [
        replace(one, earlier=(EarlierPlay("r", Grade.FAIL, ("x",)),)) if one.case in first else one for one in wrong
    ]
    assert perhaps_for_want_of_time(found_twice, NOTHING_KNOWN, names) == set()
    differs = replace(verdict(CASE, Grade.INCONCLUSIVE, PLAYS_DIFFER), earlier=found_twice[0].earlier)
    again = perhaps_for_want_of_time([differs, *found_twice], NOTHING_KNOWN, names)
    assert again == {one.case for one in wrong[24:48]}


def _held(case: str) -> Verdict:
    return replace(verdict(case, Grade.PASS), steps=(StepResult("attack", Outcome.DEFERRED, 0.0, 1.0),))


@pytest.mark.parametrize(
    ("verdicts", "again"),
    [
        pytest.param([verdict(CASE, Grade.INCONCLUSIVE, "not-settled"), _held(CONTROL)], [CASE], id="one of two"),
        pytest.param([verdict(CASE, Grade.INCONCLUSIVE, "not-recovered"), _held(CONTROL)], [CASE], id="not recovered"),
        pytest.param([verdict(CASE, Grade.INCONCLUSIVE, "not-settled")], [], id="nothing is ever settled"),
        pytest.param([verdict(CASE, Grade.FAIL, "x", "not-settled"), _held(CONTROL)], [], id="a finding stays"),
        pytest.param(
            [
                replace(verdict(CASE, Grade.INCONCLUSIVE, "not-settled"), earlier=(EarlierPlay("r", Grade.PASS, ()),)),
                _held(CONTROL),
            ],
            [],
            id="it was played again",
        ),
        pytest.param(
            [*(verdict(f"{CASE}{n}", Grade.INCONCLUSIVE, "not-settled") for n in range(25)), _held(CONTROL)],
            [],
            id="too many",
        ),
        pytest.param(
            [
                verdict(CASE, Grade.INCONCLUSIVE, "control-not-sound"),
                verdict(CONTROL, Grade.INCONCLUSIVE, "not-settled", control_only=True),
                _held("starttls/strip[testing]"),
            ],
            [CASE],
            id="its control case was not settled",
        ),
    ],
)
def test_what_was_not_settled_in_time_is_played_once_more(
    verdicts: list[Verdict], again: list[str], catalogue: Catalogue
) -> None:
    found = worth_another_play(verdicts, catalogue.cases, all_inconclusive=False)
    assert found == dict.fromkeys(again, UNSETTLED)
    if again:
        assert what_is_played_again(found, 1, 2).startswith("1 case did not come to an end in time; played again, one")


# -- how


@dataclass
class Fault:
    """A fault of the lab that ends after so many plays."""

    plays: int
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def there(self) -> bool:
        return sum("played again" in text for text in self.said) < self.plays


def _servfail(fault: Fault, patch: pytest.MonkeyPatch) -> None:
    honest = Zone.lookup

    def lookup(zone: Zone, question: Question) -> Answer:
        fails = fault.there and question.type == "MX" and is_played(zone.case_of(question.name))
        return Answer("SERVFAIL") if fails else honest(zone, question)

    patch.setattr(Zone, "lookup", lookup)


def _idle_attacker(fault: Fault, patch: pytest.MonkeyPatch) -> None:
    """Let the attacker relay everything, as if it had never begun."""
    honest = controller.AttackController.begin

    async def begin(attacks: controller.AttackController, world: object, uses: object) -> None:
        await honest(attacks, world, () if fault.there and is_played(world.case) else uses)  # type: ignore[arg-type,attr-defined]

    patch.setattr(controller.AttackController, "begin", begin)


def _too_slow_for_the_policy(fault: Fault, patch: pytest.MonkeyPatch) -> None:
    """Let the sender give up the look-up of the policy record of one case, as a plug-in does on a busy machine."""
    begin, honest = controller.AttackController.begin, Discovery.discover
    domains: set[str] = set()

    async def begun(attacks: controller.AttackController, world: CaseWorld, uses: Sequence[AttackUse]) -> None:
        domains.update([world.domain] if world.case == CASE else [])
        await begin(attacks, world, uses)

    async def discover(discovery: Discovery, domain: str) -> Discovered:
        return Discovered(None) if fault.there and domain in domains else await honest(discovery, domain)

    patch.setattr(controller.AttackController, "begin", begun)
    patch.setattr(Discovery, "discover", discover)


def play(
    fault: Fault,
    inject: Callable[[Fault, pytest.MonkeyPatch], None],
    out: Path,
    catalogue: Catalogue,
    asked: int | None = None,
    selection: tuple[str, ...] = (CASE,),
) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:
        inject(fault, patch)
        shorten_waits(patch, 1.5)
        patch.setattr(context, "IN_PROCESS", replace(context.IN_PROCESS, bounce=Deadline("bounce", 0.3)))
        request = RunRequest(selection, out=out, retry_inconclusive=asked)
        return run(request, Watcher(say=fault.say), catalogue)


def test_spoiled_cases_are_played_again_and_the_run_says_so(tmp_path: Path, catalogue: Catalogue) -> None:
    fault = Fault(plays=1)
    result = play(fault, _servfail, tmp_path, catalogue)
    found = {one.case: one for one in result.verdicts}
    assert {case: one.grade for case, one in found.items()} == dict.fromkeys(found, Grade.PASS)
    first, again = result.record.header.parts
    assert (first.header.run, again.header.run) == (result.folder.name, f"{result.folder.name}-again-1")
    (before,) = found[CASE].earlier
    assert (before.run, before.grade) == (first.header.run, Grade.INCONCLUSIVE)
    assert LAB_UNHEALTHY in before.reasons
    (said,) = [text for text in fault.said if "again" in text]
    assert said.startswith("1 case proved nothing by the doing of the lab; played again, one at a time")
    assert f"{CASE} (inconclusive, then pass)" in played_again_line(result.summary)
    document = json.loads((result.folder / "verdicts.json").read_text())
    (case,) = [one for one in document["cases"] if one["id"] == CASE]
    assert case["earlier_plays"] == [
        {"run": before.run, "verdict": "inconclusive", "reasons": list(before.reasons)},
    ]
    assert {one.case: one.earlier for one in read_verdicts(result.folder / "verdicts.json").verdicts} == {
        one.case: one.earlier for one in result.verdicts
    }
    assert judge_run(result.folder, catalogue).verdicts == result.verdicts
    assert f"--- {again.header.run}" in (result.folder / "target" / "log.txt").read_text()
    assert sorted(path.name for path in result.folder.glob("again*")) == []
    # What is shown of a case is of its last play.
    shown = result.record.judged_events()[CASE]
    assert {event.number for event in shown} <= set(range(first.events + 1, len(result.record.events) + 1))


def test_at_most_twice_and_then_it_says_what_to_do(tmp_path: Path, catalogue: Catalogue) -> None:
    fault = Fault(plays=9)
    result = play(fault, _servfail, tmp_path, catalogue)
    assert len(result.record.header.parts) == 3
    (found,) = [one for one in result.verdicts if one.case == CASE]
    assert found.grade is Grade.INCONCLUSIVE
    assert [one.run.removeprefix(result.folder.name) for one in found.earlier] == ["", "-again-1"]
    assert any(text.startswith("the lab was not in order: ") for text in fault.said)


@pytest.mark.parametrize(("asked", "grade", "plays"), [(None, Grade.INCONCLUSIVE, 1), (1, Grade.PASS, 2)])
def test_what_is_inconclusive_for_another_reason_is_played_again_if_asked(
    asked: int | None, grade: Grade, plays: int, tmp_path: Path, catalogue: Catalogue
) -> None:
    result = play(Fault(plays=1), _idle_attacker, tmp_path, catalogue, asked)
    (found,) = [one for one in result.verdicts if one.case == CASE]
    assert found.grade is grade
    assert len(result.record.runs()) == plays


def test_a_failure_for_want_of_a_policy_is_played_again_and_never_passes(tmp_path: Path, catalogue: Catalogue) -> None:
    fault = Fault(plays=1)
    others = (CASE, "starttls/strip[testing]")
    result = play(fault, _too_slow_for_the_policy, tmp_path, catalogue, selection=others)
    found = {one.case: one for one in result.verdicts}
    assert (found[CASE].grade, found[others[1]].grade) == (Grade.INCONCLUSIVE, Grade.PASS)
    (before,) = found[CASE].earlier
    assert before.grade is Grade.FAIL
    differ = next(one for one in found[CASE].judgements if one.reason == PLAYS_DIFFER)
    assert re.fullmatch(
        r"fail \(.*delivered-clear.*\) among the others, and pass \(.*deferred.*\) alone", differ.observed
    )
    (said,) = [text for text in fault.said if "again" in text]
    assert said.startswith("1 case may have ended so because the target was too slow; played again")
    assert found[others[1]].earlier == ()
    assert result.summary.exit_code == 4
    assert judge_run(result.folder, catalogue).verdicts == result.verdicts


def test_a_failure_for_want_of_a_policy_stands_if_it_is_found_twice(tmp_path: Path, catalogue: Catalogue) -> None:
    fault = Fault(plays=9)
    others = (CASE, "starttls/strip[testing]")
    result = play(fault, _too_slow_for_the_policy, tmp_path, catalogue, selection=others)
    (found,) = [one for one in result.verdicts if one.case == CASE]
    assert (found.grade, [one.grade for one in found.earlier]) == (Grade.FAIL, [Grade.FAIL])
    assert result.summary.exit_code == 1


def test_a_sender_that_never_fetches_a_policy_is_not_played_again(tmp_path: Path, catalogue: Catalogue) -> None:
    fault = Fault(plays=1)
    result = play(fault, _too_slow_for_the_policy, tmp_path, catalogue)
    (found,) = [one for one in result.verdicts if one.case == CASE]
    assert (found.grade, found.earlier, fault.said) == (Grade.FAIL, (), [])


def test_nothing_is_played_again_where_all_is_proved(tmp_path: Path, catalogue: Catalogue) -> None:
    fault = Fault(plays=0)
    result = play(fault, _servfail, tmp_path, catalogue, 2)
    assert result.record.header.parts == ()
    assert result.summary.played_again == ()
    assert fault.said == []


def test_an_interrupt_leaves_what_was_played_until_then(tmp_path: Path, catalogue: Catalogue) -> None:
    def interrupted(fault: Fault, patch: pytest.MonkeyPatch) -> None:
        _servfail(fault, patch)
        faulty = Zone.lookup
        sent: list[int] = []

        def lookup(zone: Zone, question: Question) -> Answer:
            if not fault.there and is_played(zone.case_of(question.name)) and not sent:
                sent.append(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return faulty(zone, question)

        patch.setattr(Zone, "lookup", lookup)

    # The workers of xdist ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted, match="marked as incomplete"):
            play(Fault(plays=1), interrupted, tmp_path, catalogue)
    finally:
        signal.signal(signal.SIGINT, before)
    (folder,) = tmp_path.iterdir()
    record = read_record(folder / "record.jsonl")
    assert [part.header.run for part in record.header.parts] == [folder.name, f"{folder.name}-again-1"]
    assert not record.footer.complete
    assert sorted(path.name for path in folder.glob("again*")) == []


@pytest.mark.parametrize("families", [(Family.IPV6,), (Family.IPV4, Family.IPV6)])
def test_another_play_has_the_families_of_the_first_one(tmp_path: Path, families: tuple[Family, ...]) -> None:
    first = replace(plan_run((), {}, (), 7), families=families, dual_stack=len(families) > 1)
    target = find_target("reference")
    outlet = Outlet(lambda _: None, lambda _: None, lambda _: None, lambda *_: None)
    again = Replay(Job(first, target, outlet, tmp_path), find_backend("in_process"), 1, (), {}).plan()
    assert (again.families, again.dual_stack) == (first.families, first.dual_stack)
