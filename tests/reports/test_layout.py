"""Paragraphs hang beside their gutters and never leave the page."""

from mta_sts_lab import events as facts
from mta_sts_lab.reports.layout import WIDEST, Hanging, Rule, gutter_line, labelled, page_width, paragraph, paragraphs
from mta_sts_lab.reports.timeline import timeline
from rich.text import Text

from .records import EVERY_FACT, HOSTILE, assert_fits, events_of, hostile_events, rendered, without_colour


def test_further_lines_are_indented_below_the_first() -> None:
    shown = rendered(Hanging(Text("gutter  "), Text("word " * 30)))
    first, second, *_ = shown.splitlines()
    assert first.startswith("gutter  word")
    assert second.startswith(" " * 8 + "word")
    assert not any(line.endswith(" ") for line in shown.splitlines())
    assert_fits(shown)


def test_a_word_longer_than_the_page_is_folded_and_not_lost() -> None:
    shown = rendered(paragraph("x" * 200, indent=4))
    assert_fits(shown)
    assert shown.count("x") == 200


def test_wide_characters_count_twice() -> None:
    assert_fits(rendered(labelled("label", "日本" * 60)))


def test_markup_is_not_read() -> None:
    assert "[bold]x[/bold] :smile:" in rendered(paragraph("[bold]x[/bold] :smile:"))


def test_an_empty_paragraph_keeps_its_gutter() -> None:
    assert rendered(labelled("label", "")) == "  label\n"


def test_a_wide_console_is_not_used_to_its_end() -> None:
    assert page_width(300) == WIDEST
    assert_fits(rendered(Rule(), paragraph("word " * 100), width=300), width=WIDEST)


def test_paragraphs_of_a_file_are_joined() -> None:
    assert paragraphs("a\nb\n\n  c\r\n\r\n\r\n") == ["a b", "c"]


def test_gutters_are_aligned() -> None:
    said = facts.SmtpSaid(session="s", speaker="attacker", line="EHLO mta.sender.example", secured=True)
    (line,) = timeline(events_of(said))
    assert rendered(gutter_line(line)) == "  0.100  attacker => sender  EHLO mta.sender.example\n"


def test_every_line_fits_and_is_the_same_on_a_terminal() -> None:
    for line in timeline(hostile_events(events_of(*EVERY_FACT))):
        in_pipe, on_terminal = rendered(gutter_line(line)), rendered(gutter_line(line), terminal=True)
        assert_fits(in_pipe)
        assert "\x1b" not in in_pipe
        assert without_colour(on_terminal) == in_pipe


def test_a_very_long_line_is_cut() -> None:
    (line,) = timeline(events_of(facts.SmtpSaid(session="s", speaker="mx", line="250 " + "x" * 5000, secured=False)))
    shown = rendered(gutter_line(line))
    assert shown.rstrip().endswith("...")
    assert len(shown.splitlines()) < 8


def test_a_struck_line_is_struck_on_a_terminal_only() -> None:
    removed = facts.SmtpSaid(session="s", speaker="mx", line="", secured=False, altered=True, instead_of=HOSTILE)
    (line,) = timeline(events_of(removed))
    assert "\x1b[9" in rendered(gutter_line(line), terminal=True)
    assert "[removed by the attacker:" in rendered(gutter_line(line))
