"""Progress is a live line on a terminal and silence elsewhere."""

import pytest
from mta_sts_lab import events as facts
from mta_sts_lab.events import Event
from mta_sts_lab.model.case import Mode
from mta_sts_lab.reports.progress import Progress

from .records import HOSTILE, MODES, assert_fits, case_id, console, printed, strip_events, strip_record

CASES = [case_id(mode) for mode in MODES]


def test_cases_are_counted_as_they_begin_and_end() -> None:
    progress = Progress(console(), CASES)
    for event in strip_events(Mode.ENFORCE):
        if event.step == "attack":
            break
        progress.on_event(event)
    assert (progress.begun, progress.ended, progress.phases) == (1, 0, {"prime": 1})
    for event in strip_record().events:
        progress.on_event(event)
    assert (progress.begun, progress.ended, progress.phases) == (5, 4, {})
    assert progress.line().plain.startswith("4 of 4 cases  2.")


def test_the_clock_goes_on_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = Progress(console())
    now = 107.5
    assert progress.line().plain == "waiting until the target is up  7.5 s"
    progress.on_event(Event(number=1, at=8.0, fact=facts.StepBegan()))
    now = 110.0
    assert progress.line().plain.endswith("  10.5 s")


def test_a_pipe_stays_quiet() -> None:
    on = console(terminal=False)
    with Progress(on, CASES) as progress:
        for event in strip_record().events:
            progress.on_event(event)
    assert printed(on) == ""


def test_a_terminal_shows_the_line_and_takes_it_away() -> None:
    on = console(terminal=True)
    with Progress(on, CASES) as progress:
        for event in strip_record().events:
            progress.on_event(event)
    assert "4 of 4 cases" in printed(on)
    assert printed(on).endswith("\x1b[2K") or "\x1b[1A\x1b[2K" in printed(on)


def test_trouble_shows_at_once_and_cannot_break_the_line() -> None:
    progress = Progress(console(), [str(number) for number in range(300)])
    for number, fact in enumerate((facts.LabFailed(where=HOSTILE, error="x"), facts.TargetFailed(what=HOSTILE * 9)), 1):
        progress.on_event(Event(number=number, at=0.1, fact=fact))
        assert "failed" in progress.line().plain or "error in the lab" in progress.line().plain
        assert_fits(progress.line().plain, 79)


def test_many_steps_at_once_fit_into_the_line() -> None:
    progress = Progress(console(), [str(number) for number in range(300)])
    for number in range(60):
        case = str(number)
        progress.on_event(Event(number=number, at=0.1, fact=facts.CaseBegan(domain="d", mode="enforce"), case=case))
        step = "step-with-a-long-name-" + str(number % 7)
        progress.on_event(Event(number=number, at=0.1, fact=facts.StepBegan(), case=case, step=step))
    assert_fits(progress.line().plain, 79)


def test_one_of_several_runs_says_which() -> None:
    progress = Progress(console(), CASES, "postfix, 2 of 3")
    assert progress.line().plain.startswith("postfix, 2 of 3: 0 of 4 cases")


def test_only_the_cases_of_the_run_are_counted_and_all_probes() -> None:
    began = Event(number=1, at=0.1, fact=facts.CaseBegan(domain="d", mode="enforce"), case="adapter/up")
    run, check = Progress(console(), CASES), Progress(console())
    run.on_event(began)
    check.on_event(began)
    assert (run.begun, check.begun) == (0, 1)
    assert check.line().plain.startswith("0 of 1 probes (begun 1)")
