"""Foreign text cannot do anything once it is visible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.reports.escaping import escape_unprintable, short_token, shortened
from rich.cells import cell_len

from .records import HOSTILE, HOSTILE_VISIBLE


def test_hostile_text_is_written_out() -> None:
    assert escape_unprintable(HOSTILE) == HOSTILE_VISIBLE


@pytest.mark.parametrize("text", ["250-SIZE 33554432", "", "Grüße", "日本", "[bold]"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert escape_unprintable(text) == text


def test_a_character_beyond_the_first_plane_is_written_out_in_eight_digits() -> None:
    assert escape_unprintable("\U000e0001") == "\\U000e0001"


@given(st.text(alphabet=st.characters(codec=None)))
def test_everything_visible_is_printable(text: str) -> None:
    assert escape_unprintable(text).isprintable()


@given(st.text(), st.integers(min_value=3, max_value=40))
def test_shortened_text_fits(text: str, cells: int) -> None:
    assert cell_len(shortened(text, cells)) <= cells


def test_a_cut_is_marked() -> None:
    assert shortened("abcdefghij", 8) == "abcde..."
    assert shortened("abcdefgh", 8) == "abcdefgh"


def test_a_token_is_shortened() -> None:
    assert short_token("6f1c0a9b8e7d6c5b") == "6f1c0a9b..."
    assert short_token("6f1c") == "6f1c"
