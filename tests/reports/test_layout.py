"""Paragraphs hang beside their gutters and never leave the page."""

from mta_sts_lab.reports.layout import WIDEST, Hanging, Rule, labelled, page_width, paragraph, paragraphs
from rich.text import Text

from .records import assert_fits, rendered


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
