"""One line of a timeline in a terminal."""

from mta_sts_lab import events as facts
from mta_sts_lab.reports.lines import gutter_line
from mta_sts_lab.reports.timeline import timeline

from .records import EVERY_FACT, HOSTILE, assert_fits, hostile_events, rendered, told, without_colour


def test_gutters_are_aligned() -> None:
    said = facts.SmtpSaid(session="s", speaker="attacker", line="EHLO mta.sender.example", secured=True)
    (line,) = timeline(told(said))
    assert rendered(gutter_line(line)) == "  0.100  attacker => sender  EHLO mta.sender.example\n"


def test_every_line_fits_and_is_the_same_on_a_terminal() -> None:
    for line in timeline(hostile_events(told(*EVERY_FACT))):
        in_pipe, on_terminal = rendered(gutter_line(line)), rendered(gutter_line(line), terminal=True)
        assert_fits(in_pipe)
        assert "\x1b" not in in_pipe
        assert without_colour(on_terminal) == in_pipe


def test_a_very_long_line_is_cut() -> None:
    (line,) = timeline(told(facts.SmtpSaid(session="s", speaker="mx", line="250 " + "x" * 5000, secured=False)))
    shown = rendered(gutter_line(line))
    assert shown.rstrip().endswith("...")
    assert len(shown.splitlines()) < 8


def test_a_struck_line_is_struck_on_a_terminal_only() -> None:
    removed = facts.SmtpSaid(session="s", speaker="mx", line="", secured=False, altered=True, instead_of=HOSTILE)
    (line,) = timeline(told(removed))
    assert "\x1b[9" in rendered(gutter_line(line), terminal=True)
    assert "[removed by the attacker:" in rendered(gutter_line(line))
