"""The moments of a lesson: true to the record, drawn on the right lanes, with what the attacker has by then."""

from __future__ import annotations

import re
from dataclasses import replace

from mta_sts_lab.events import ClockAdvanced, Event
from mta_sts_lab.model.case import Mode
from mta_sts_lab.reports.lesson.drawing import LANES, WIDTH, row_of
from mta_sts_lab.reports.lesson.page import Tab, lesson_html
from mta_sts_lab.reports.lesson.scenes import ROWS_OF_A_SLIDE, Moment, moments_of

from tests.reports.records import SCENARIO, hostile_events, record_of, strip_events, strip_record

from .made import made_lesson


def _tab(mode: str, leaks: bool = False) -> Tab:
    return next(tab for tab in made_lesson(leaks).tabs if tab.case.endswith(f"[{mode}]"))


def _moment(tab: Tab, text: str, step: str = "attack") -> Moment:
    return next(one for one in tab.moments if one.step == step and text in (one.text + one.struck))


def test_modes_stand_from_the_weakest_to_the_strongest() -> None:
    assert [tab.label for tab in made_lesson().tabs] == ["no policy", "none", "testing", "enforce"]
    assert [tab.tone for tab in made_lesson().tabs] == ["bad", "bad", "bad", "good"]
    assert made_lesson(leaks=True).tabs[-1].tone == "bad"


def test_a_line_that_was_removed_ends_at_the_attacker_and_is_struck_through() -> None:
    removed = _moment(_tab("enforce"), "250-STARTTLS")
    (row,) = removed.rows
    lanes = dict(LANES)
    assert (row.x1, row.x2, row.struck, row.label) == (lanes["MX host"], lanes["attacker"], True, "250-STARTTLS")
    assert "Only here does the attacker change anything" in removed.note


def test_tls_is_a_closed_pipe_and_clear_text_an_open_one() -> None:
    tab = _tab("enforce")
    assert _moment(tab, "MAIL FROM", "prime").rows[0].kind == "tls"
    assert _moment(tab, "MAIL FROM", "prime").way == "inside TLS"
    (clear,) = _moment(_tab("absent"), "MAIL FROM").rows
    assert (clear.kind, clear.seen) == ("clear", True)
    assert _moment(tab, "EHLO", "prime").rows[0].seen is False, "nobody is on the path yet"


def test_what_the_attacker_has_grows_with_what_is_said_in_clear() -> None:
    tab = _tab("absent")
    assert _moment(tab, "EHLO").held == ("On the path: strip_starttls",)
    assert _moment(tab, "354").held[1] == "MAIL FROM:<alice@sender.example>"
    assert tab.moments[-1].held[-2:] == ("Subject: The figures", "the whole message")
    held = [one.held for one in _tab("enforce").moments]
    assert not [things for things in held if any("MAIL FROM" in thing for thing in things)]


def test_the_policy_and_the_mail_are_quoted() -> None:
    assert "mode: enforce" in _moment(_tab("enforce"), "GET ", "prime").quoted
    assert "For your eyes only." in _moment(_tab("absent"), "what there is to read").quoted


def test_the_lines_of_a_reply_are_one_moment_and_an_offer_of_tls_is_what_it_is_called() -> None:
    offered = _moment(_tab("enforce"), "250-", "prime")
    assert offered.rows[0].label.startswith("250-STARTTLS (+")
    assert "250 8BITMIME" in offered.quoted


def test_slides_fit_a_page_and_lose_nothing() -> None:
    tab = _tab("enforce")
    assert all(slide.rows <= ROWS_OF_A_SLIDE for slide in tab.slides)
    assert [slide.first for slide in tab.slides] == [
        sum(len(one.moments) for one in tab.slides[:number]) for number in range(len(tab.slides))
    ]


def test_labels_stay_inside_the_drawing() -> None:
    for actor in ("sender > mx", "mx > attacker", "attacker => sender", "dns > sender", "mx", "path", "unheard of"):
        row = row_of(actor, "x" * 300)
        width = len(row.label) * 18
        left = row.label_x if row.anchor == "start" else row.label_x - width
        assert left >= 0
        assert left + width <= WIDTH


def test_the_clock_is_shown_in_cases_that_move_it_and_in_no_others() -> None:
    events = strip_events(Mode.ENFORCE)
    moved = [*events[:2], Event(number=99, at=9.0, fact=ClockAdvanced(seconds=60)), *events[2:]]
    plain = SCENARIO.cases[0]
    (first, *others) = plain.steps
    moving = replace(plain, steps=(replace(first, advance=60), *others))
    assert "clock moved forward by 60 s" in [one.text for one in moments_of(moved, moving)]
    assert "clock moved forward by 60 s" not in [one.text for one in moments_of(moved, plain)]


def test_a_note_is_said_once() -> None:
    notes = [one.note for one in _tab("enforce").moments if one.note]
    assert len(notes) == len(set(notes)) > 4


def test_everything_hostile_is_escaped() -> None:
    cases = [case for view in (strip_record().header.cases,) for case in view]
    page = lesson_html(made_lesson(record=record_of(hostile_events(strip_record().events), cases)))
    assert "<b>&amp;]]>" not in page
    assert "\x1b" not in page
    assert len(re.findall("<script", page)) == 1
