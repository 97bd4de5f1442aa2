"""The output of `demo`: ordered, complete, derived from events, readable in 80 columns."""

from dataclasses import replace

import msgspec
import pytest
from mta_sts_lab import events as facts
from mta_sts_lab.events import Event
from mta_sts_lab.model import Case, Mode, Outcome
from mta_sts_lab.reports.case_outcome import CaseOutcome
from mta_sts_lab.reports.narration import Narrator, demanded, lesson

from .records import (
    HOSTILE,
    MODES,
    SCENARIO,
    assert_fits,
    case_id,
    console,
    hostile_events,
    printed,
    strip_case,
    strip_events,
    strip_record,
    strip_verdicts,
    without_colour,
)

_RETRY = 0.5


def _narrated(
    lines: list[Event], terminal: bool = False, cases: tuple[Case, ...] = SCENARIO.cases, leaks: bool = False
) -> str:
    on = console(terminal)
    narrator = Narrator(on, cases, SCENARIO, _RETRY)
    for event in lines:
        narrator.on_event(event)
    narrator.finish(strip_verdicts(strip_record(leaks), leaks))
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
    assert "absent delivered in clear and read by the attacker" in closing
    assert "enforce deferred, nothing leaked, arrived untouched and authenticated once the attack ended" in closing
    assert "verdict pass pass pass pass pass: as demanded, and proved." in closing
    assert "What stopped the attack" in closing


def test_a_sender_that_leaks_is_not_praised() -> None:
    closing = " ".join(_narrated(list(strip_record(True).events), leaks=True).split("Side by side")[1].split())
    assert "Nothing stopped the attack in starttls/strip[enforce]" in closing
    assert "What stopped the attack" not in closing
    assert "verdict pass pass pass fail" in closing
    assert "fail: a MUST was broken." in closing


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
    assert "No case with a policy in mode enforce" in told


def test_a_case_that_never_ended_is_told_and_called_unfinished() -> None:
    told = _narrated(strip_events(Mode.ENFORCE)[:-1], cases=(strip_case(Mode.ENFORCE),))
    assert "Step recover (" in told
    assert "this case was not played to its end" in " ".join(told.split())


def test_an_error_of_the_lab_spoils_every_case() -> None:
    lines = list(strip_record().events)
    lines.append(Event(number=9999, at=9.0, fact=facts.LabFailed(where="dns", error="ValueError: x")))
    told = " ".join(_narrated(lines).split())
    assert "error in the lab, dns: ValueError: x" in told
    assert told.count("so this case proves nothing") == 4
    assert "What stopped the attack" not in told


def test_hostile_words_do_nothing() -> None:
    lines = hostile_events(strip_record().events)
    in_pipe, on_terminal = _narrated(lines), _narrated(lines, terminal=True)
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


_HELD = CaseOutcome(
    "s[enforce]",
    Mode.ENFORCE,
    Outcome.DEFERRED,
    policy_learned=True,
    attacks=("strip",),
    fired=("strip",),
    later=Outcome.DELIVERED_AUTHENTICATED,
    ended=True,
)
_READ = replace(_HELD, case="s[absent]", mode=Mode.ABSENT, outcome=Outcome.DELIVERED_CLEAR, read="message", later=None)


def _lesson(*outcomes: CaseOutcome) -> str:
    return "\n".join(lesson(outcomes))


def test_what_stopped_it_and_what_it_would_take() -> None:
    said = _lesson(_READ, replace(_READ, mode=Mode.TESTING), _HELD)
    assert "Without an enforced policy" in said
    assert "Mode testing stops nothing" in said
    assert "What stopped the attack: the policy in mode enforce" in said
    assert "How an attacker could still succeed" in said
    assert "Nothing stopped" not in said


def test_a_leak_is_not_explained_away() -> None:
    leaked = replace(_HELD, outcome=Outcome.DELIVERED_CLEAR, read="message", reader="attacker", later=None)
    said = _lesson(leaked)
    assert said.startswith("Nothing stopped the attack in s[enforce]: delivered in clear and read by the attacker")
    assert "although the sender had fetched the policy" in said
    assert "and the sender had not fetched the policy" in _lesson(replace(leaked, policy_learned=False))


def test_a_message_that_was_held_and_read_is_a_leak() -> None:
    assert "Nothing stopped the attack" in _lesson(replace(_HELD, read="message", reader="attacker"))


def test_an_attack_that_did_not_fire_proves_nothing() -> None:
    said = _lesson(replace(_READ, fired=()), replace(_HELD, fired=()))
    assert said == "s[enforce] allows no conclusion: the attack did not take effect."


def test_an_unfinished_or_broken_case_proves_nothing() -> None:
    assert "not played to its end" in _lesson(replace(_HELD, ended=False))
    assert "failed in it" in _lesson(replace(_HELD, broken=True))
    assert "allows no conclusion" in _lesson(replace(_HELD, outcome=Outcome.UNSETTLED))


def test_mail_held_without_a_policy_is_not_kept_by_the_policy() -> None:
    assert "not by the policy" in _lesson(replace(_HELD, policy_learned=False))


def test_without_an_enforce_case_nothing_is_said_to_stop_the_attack() -> None:
    assert "No case with a policy in mode enforce" in _lesson(_READ)
