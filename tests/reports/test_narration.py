"""The output of `demo`: ordered, complete, derived from events, readable in 80 columns."""

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab import events as facts
from mta_sts_lab.events import Event
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.record import Record
from mta_sts_lab.reports.narration import Narrator, demanded

from .closing_words import conclusions
from .records import (
    HOSTILE,
    MODES,
    SCENARIO,
    assert_fits,
    case_id,
    console,
    hostile_events,
    printed,
    record_of,
    strip_case,
    strip_events,
    strip_record,
    strip_verdicts,
    without_colour,
)

_RETRY = 0.5


def _narrated(
    lines: list[Event],
    terminal: bool = False,
    cases: tuple[Case, ...] = SCENARIO.cases,
    leaks: bool = False,
    judged: Record | None = None,
) -> str:
    on = console(terminal)
    narrator = Narrator(on, cases, SCENARIO, _RETRY)
    for event in lines:
        narrator.on_event(event)
    record = judged or record_of(lines, cases)
    verdicts = strip_verdicts(strip_record(leaks), leaks)
    narrator.finish(verdicts)
    narrator.conclude(list(conclusions(record, verdicts).values()))
    return printed(on)


@pytest.fixture(scope="module")
def whole() -> str:
    return _narrated(list(strip_record().events))


def _case(text: str, number: int) -> str:
    return (
        text.split(f"Case {number} of 4")[1]
        .split(f"Case {number + 1} of 4", maxsplit=1)[0]
        .split("Side by side", maxsplit=1)[0]
    )


def test_every_line_fits_in_a_pipe_and_on_a_terminal(whole: str) -> None:
    on_terminal = _narrated(list(strip_record().events), terminal=True)
    assert_fits(whole)
    assert_fits(on_terminal)
    assert "\x1b" not in whole
    assert without_colour(on_terminal) == whole


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = _narrated(list(strip_record().events), terminal=True)
    assert "\x1b[1m" in shown
    assert "31m" not in shown
    assert "32m" not in shown


def test_it_opens_with_the_story_what_must_happen_and_the_steps(whole: str) -> None:
    opening = whole.split("Case 1 of 4", maxsplit=1)[0]
    assert "STARTTLS removed from the EHLO reply" in opening
    assert "The attacker sits on the path" in opening
    assert "If it works: Mail leaves in clear text" in opening
    assert "absent: no policy is published" in opening
    assert "prime       honest mail before the attack" in opening
    assert "attack: deferred; recover: held" in " ".join(opening.split())


def test_cases_are_told_from_the_weakest_to_the_strongest(whole: str) -> None:
    places = [whole.index(f"\n{case_id(mode)}\n") for mode in (Mode.ABSENT, Mode.NONE, Mode.TESTING, Mode.ENFORCE)]
    assert places == sorted(places)


def test_the_enforce_case_is_told_in_full(whole: str) -> None:
    told = _case(whole, 4)
    assert "sender > attacker   EHLO mta.sender.example" in told
    assert "dns > sender        MX k7en.example" in told
    assert "GET /.well-known/mta-sts.txt" in told
    assert "[removed by the attacker: 250-STARTTLS]" in told
    assert "is deferred: MTA-STS policy:" in told
    assert told.index("Step prime (") < told.index("Step attack (") < told.index("Step recover (")


def test_the_other_cases_are_told_in_their_essential_lines(whole: str) -> None:
    told = _case(whole, 1)
    assert "EHLO mta.sender.example" not in told
    assert "[removed by the attacker: 250-STARTTLS]" in told
    assert "can read message 6f1c0a9b...: addresses, Subject" in told
    assert "sent in clear" in told


def test_what_the_attacker_repeats_is_left_out(whole: str) -> None:
    assert whole.count("> mx         EHLO mta.sender.example") == 2
    assert "mx > attacker" not in whole


def test_it_ends_with_the_cases_side_by_side_and_the_lesson(whole: str) -> None:
    closing = " ".join(whole.split("Side by side")[1].split())
    assert "absent none testing enforce" in closing
    assert "sender as demanded as demanded as demanded as demanded" in closing
    assert "none: The mail server behaved as the RFCs demand; the mail was still readable for the attacker" in closing
    assert "enforce: The mail server behaved as the RFCs demand; the attack failed; the message waited" in closing
    assert "What stopped the attack" in closing
    assert closing.endswith("fetching its first policy (section 10.2).")


def test_a_sender_that_leaks_is_not_praised() -> None:
    closing = " ".join(_narrated(list(strip_record(True).events), leaks=True).split("Side by side")[1].split())
    assert "enforce: The mail server is at fault: it broke an obligation of RFC 8461, section 5" in closing
    assert "What stopped the attack" not in closing
    assert "sender as demanded as demanded as demanded at fault" in closing


def test_cases_that_run_at_once_are_told_one_after_the_other() -> None:
    cases = {mode: strip_events(mode, at=0.4) for mode in MODES}
    at_once = sorted((event for lines in cases.values() for event in lines), key=lambda event: event.at)
    in_turn = [event for lines in cases.values() for event in lines]
    assert _narrated(at_once) == _narrated(in_turn)


def test_the_case_whose_turn_it_is_is_printed_live() -> None:
    on = console()
    narrator = Narrator(on, SCENARIO.cases, SCENARIO)
    for event in strip_events(Mode.ENFORCE):
        narrator.on_event(event)
    assert "Case 4" not in printed(on)
    for event in strip_events(Mode.ABSENT):
        if isinstance(event.fact, facts.AttackFired):
            break
        narrator.on_event(event)
    assert "[removed by the attacker: 250-STARTTLS]" in printed(on)


def test_a_single_case_is_told_in_full() -> None:
    told = _narrated(strip_events(Mode.TESTING), cases=(strip_case(Mode.TESTING),))
    assert "sender > attacker   EHLO mta.sender.example" in told
    assert "mode testing stops nothing" in " ".join(told.split())


def test_a_case_that_never_ended_is_told_and_called_unfinished() -> None:
    told = _narrated(strip_events(Mode.ENFORCE)[:-1], cases=(strip_case(Mode.ENFORCE),))
    assert "Step recover (" in told
    assert "This case allows no conclusion: it was not played to its end" in " ".join(told.split())


def test_an_error_of_the_lab_spoils_every_case() -> None:
    lines = list(strip_record().events)
    lines.append(Event(number=9999, at=9.0, fact=facts.LabFailed(where="dns", error="ValueError: x")))
    told = " ".join(_narrated(lines).split())
    assert "error in the lab, dns: ValueError: x" in told
    assert told.count("This case allows no conclusion: the lab or the mail server failed") == 1
    assert "absent, none, testing, enforce:" in told
    assert "What stopped the attack" not in told


def test_hostile_words_do_nothing() -> None:
    lines = hostile_events(strip_record().events)
    judged = strip_record()
    in_pipe, on_terminal = _narrated(lines, judged=judged), _narrated(lines, terminal=True, judged=judged)
    assert_fits(in_pipe)
    assert_fits(on_terminal)
    assert without_colour(on_terminal) == in_pipe
    words = "".join(in_pipe.split())
    assert "[boldred]x[/boldred][/]" in words
    assert ":smile:" in words


def test_a_hostile_scenario_does_nothing() -> None:
    on = console()
    case = strip_case(Mode.ENFORCE)
    bad = Case(HOSTILE, HOSTILE, Mode.ENFORCE, case.steps, vector=HOSTILE)
    narrator = Narrator(on, [bad])
    for event in strip_events(Mode.ENFORCE):
        narrator.on_event(msgspec.structs.replace(event, case=HOSTILE, step=HOSTILE))
    narrator.finish()
    assert_fits(printed(on))


def test_more_cases_than_fit_side_by_side_are_told_in_several_tables() -> None:
    steps = strip_case(Mode.ENFORCE).steps
    cases = [Case(f"s/x[enforce,{n}]", "s/x", Mode.ENFORCE, steps, vector=str(n)) for n in range(6)]
    on = console()
    Narrator(on, cases).finish()
    assert printed(on).count("\npolicy ") == 2
    assert_fits(printed(on))


def test_expectations_in_words() -> None:
    step = strip_case(Mode.TESTING).steps[1]
    assert step.expect is not None
    assert demanded(step.expect) == "delivered"


def test_a_restart_and_the_clock_are_told_in_each_case_that_waited_for_them() -> None:
    cases = [replace(strip_case(mode), steps=_with_clock(strip_case(mode))) for mode in (Mode.ABSENT, Mode.ENFORCE)]
    began = [strip_events(case.mode, at=0.4)[:2] for case in cases]
    moved = Event(number=3, at=1.0, fact=facts.ClockAdvanced(seconds=90000))
    on = console()
    narrator = Narrator(on, cases, SCENARIO)
    for event in [*began[0], *began[1], moved]:
        narrator.on_event(event)
    narrator.finish()
    assert printed(on).count("clock moved forward by 90000 s") == 2


def _with_clock(case: Case) -> tuple[Step, ...]:
    return (case.steps[0], replace(case.steps[1], advance=90000), *case.steps[2:])


def test_the_policy_its_record_and_the_mail_are_shown(whole: str) -> None:
    told = _case(whole, 4)
    assert "TXT _mta-sts.k7en.example: v=STSv1" in told
    assert "| mode: enforce" in told
    assert "| Subject: The figures" in _case(whole, 1)
    assert "| For your eyes only." in _case(whole, 1)


def test_each_step_and_the_end_may_be_waited_for() -> None:
    waits: list[bool] = []
    narrator = Narrator(console(), SCENARIO.cases, SCENARIO, pace=waits.append)
    for event in strip_record().events:
        narrator.on_event(event)
    narrator.finish()
    narrator.conclude([])
    assert waits.count(True) == 11, "nine steps in which something is seen, the table, and the end"
    assert waits.count(False) > 30
