"""The events of one case as moments: what is drawn, what is said about it, and what the attacker holds by then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.events import (
    ClockAdvanced,
    ConnectionAccepted,
    DnsAnswered,
    Event,
    InjectionBegan,
    MessageInjected,
    MessageRead,
    ReportsAsked,
    ReportsLeft,
    SmtpSaid,
    StepBegan,
    TargetRestarted,
    TlsEstablished,
)
from mta_sts_lab.judge.sessions import Sessions
from mta_sts_lab.model.case import Case
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import STEPS
from mta_sts_lab.reports.lesson.drawing import Row, band, row_of
from mta_sts_lab.reports.lesson.notes import note_of
from mta_sts_lab.reports.timeline import Emphasis, Line, Timeline, Topic

#: Rows of a drawing that fit one printed slide.
ROWS_OF_A_SLIDE = 9


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens at one time. `actor` and `text` are as in a timeline."""

    at: float
    step: str
    actor: str
    text: str
    rows: tuple[Row, ...]
    emphasis: Emphasis = Emphasis.PLAIN
    struck: str = ""
    quoted: tuple[str, ...] = ()
    note: str = ""
    #: What the attacker has seen or got by then, a line each.
    held: tuple[str, ...] = ()

    @property
    def way(self) -> str:
        """How it travels, in words for those who do not see the drawing."""
        kinds = {row.kind for row in self.rows if not row.struck or len(self.rows) == 1}
        return "inside TLS" if "tls" in kinds else "in clear text" if "clear" in kinds else ""


@dataclass(frozen=True, slots=True)
class Slide:
    """Moments that are drawn below each other, as many as fit a printed page. `first` is the number of the first."""

    first: int
    moments: tuple[Moment, ...]

    @property
    def rows(self) -> int:
        """How many rows its drawing has."""
        return sum(len(moment.rows) for moment in self.moments)


def moments_of(events: Sequence[Event], case: Case) -> tuple[Moment, ...]:
    """Return the moments of a case.

    `events` are those of the run: restarts and moves of the clock, which belong to no case, are shown where a step of
    the case makes them.
    """
    said: set[str] = set()
    found = []
    for moment, facts in _merged(events, case):
        notes = [note for fact in facts if (note := note_of(fact)) and note not in said]  # type: ignore[arg-type]
        said.update(notes)
        found.append(replace(moment, note=" ".join(dict.fromkeys(notes))))
    return tuple(found)


def slides_of(moments: Sequence[Moment]) -> tuple[Slide, ...]:
    """Cut moments into slides: a step begins one of its own."""
    slides: list[Slide] = []
    for number, moment in enumerate(moments):
        begins = any(row.kind == "band" for row in moment.rows)
        full = bool(slides) and slides[-1].rows + len(moment.rows) > ROWS_OF_A_SLIDE
        if not slides or begins or full:
            slides.append(Slide(number, (moment,)))
        else:
            slides[-1] = Slide(slides[-1].first, (*slides[-1].moments, moment))
    return tuple(slides)


def _merged(events: Iterable[Event], case: Case) -> Iterator[tuple[Moment, list[object]]]:
    """Yield the moments, the lines of one reply together, each with the facts that it shows."""
    held = _Held()
    waiting: list[tuple[Event, Line]] = []
    for event, line in _lines(events, case):
        if waiting and not _goes_on(waiting[-1], (event, line)):
            yield _moment(waiting, held), [one.fact for one, _ in waiting]
            waiting = []
        waiting.append((event, line))
    if waiting:
        yield _moment(waiting, held), [one.fact for one, _ in waiting]


def _lines(events: Iterable[Event], case: Case) -> Iterator[tuple[Event, Line]]:
    teller = Timeline(case)
    begun = False
    for event in events:
        if not event.case and not (
            begun and case.changes_target and isinstance(event.fact, ClockAdvanced | TargetRestarted)
        ):
            continue
        line = teller.line(event)
        begun = begun or isinstance(event.fact, StepBegan)
        if line is None or line.relayed or line.topic in (Topic.CASE, Topic.ATTACK):
            continue
        if line.emphasis is Emphasis.QUIET or isinstance(event.fact, InjectionBegan | ReportsAsked | ReportsLeft):
            continue
        if isinstance(event.fact, DnsAnswered) and event.fact.type in ("A", "AAAA") and not event.fact.tampered_by:
            continue
        yield event, line


def _goes_on(before: tuple[Event, Line], now: tuple[Event, Line]) -> bool:
    """Whether a line belongs to the reply whose last line came before."""
    last, fact = before[0].fact, now[0].fact
    if not isinstance(last, SmtpSaid) or not isinstance(fact, SmtpSaid):
        return False
    same = last.session == fact.session and last.speaker == fact.speaker and before[1].actor == now[1].actor
    touched = last.instead_of or fact.instead_of or last.altered or fact.altered
    return same and not touched and fact.speaker != "sender" and last.line[3:4] == "-"


def _moment(lines: Sequence[tuple[Event, Line]], held: _Held) -> Moment:
    event, line = lines[0]
    held.follow([one for one, _ in lines])
    if isinstance(event.fact, StepBegan):
        return _step(event, line, held)
    texts = [one.text for _, one in lines]
    shown = next((text for text in texts if text[4:].strip().upper() == "STARTTLS"), texts[0])
    label = shown if len(texts) == 1 else f"{shown} (+{len(texts) - 1} lines)"
    return Moment(
        line.at,
        line.step,
        line.actor,
        shown if len(texts) == 1 else texts[0],
        _rows(line, label, held),
        line.emphasis,
        line.struck,
        line.quoted or (tuple(texts[1:]) if len(texts) > 1 else ()),
        held=held.shown,
    )


def _step(event: Event, line: Line, held: _Held) -> Moment:
    meaning = STEPS.get(event.step, "")
    text = f"{meaning}; {line.text}" if meaning else line.text
    row = band(f"Step {line.step}: {line.text}")
    return Moment(line.at, line.step, f"Step {line.step}", text, (row,), held=held.shown)


def _rows(line: Line, label: str, held: _Held) -> tuple[Row, ...]:
    if line.struck:
        # The line as the host said it ends at the attacker; what he made of it goes on.
        taken = row_of("mx > attacker", line.struck, struck=True)
        return (taken, row_of(line.actor, label)) if line.text else (taken,)
    row = row_of(line.actor, label)
    if line.topic is Topic.CONNECTION:
        return (replace(row, kind="plain") if row.kind == "clear" else row,)
    if held.ends_here and line.topic is Topic.SMTP:
        # What the host says reaches him inside another TLS session, of his own.
        return (replace(row_of(line.actor.replace("mx", "attacker"), label), foe=True),)
    if held.passes_on and line.actor in ("sender > attacker", "mx > sender"):
        # He reads it, and passes it on as it is.
        return (replace(row_of(line.actor.replace("attacker", "mx"), label), seen=True),)
    return (row,)


class _Held:
    """What the attacker holds, or whoever is on the path; the sessions tell what he passes on."""

    def __init__(self) -> None:
        self._sessions = Sessions()
        self._place = "Nobody is on the path."
        self._things: dict[str, None] = {}
        self._in_front: set[str] = set()
        #: Whether he passes on, as it is, what is said in clear; or TLS of the sender ends at him.
        self.passes_on = False
        self.ends_here = False

    @property
    def shown(self) -> tuple[str, ...]:
        """Return it, a line each."""
        return tuple(map(escape_unprintable, (self._place, *self._things)))

    def follow(self, events: Sequence[Event]) -> None:
        """Take the next events of the case."""
        for event in events:
            self._sessions.follow(event)
            self._follow(event)

    def _follow(self, event: Event) -> None:
        match event.fact:
            case StepBegan(attacks=attacks):
                names = ", ".join(attacks)
                self._place = f"On the path: {names}" if attacks else "No attacker is on the path in this step."
            case ConnectionAccepted(via=via) if via:
                self._in_front.add(via)
            case MessageInjected():
                self._things = {}
            case TlsEstablished(shown_by=shown_by) if shown_by and shown_by in self._place:
                self._things["the key of this TLS session: it ends at him"] = None
            case SmtpSaid(session=session, speaker=speaker, line=line, secured=secured):
                self.passes_on = bool(self._sessions.of(session).legs) and not secured
                self.ends_here = secured and bool(self._sessions.of(session).legs)
                if speaker != "sender":
                    return
                ended_here = self.ends_here
                if line.upper().startswith(("MAIL FROM", "RCPT TO")) and (not secured or ended_here):
                    self._things[line] = None
            case MessageRead(text=text):
                subject = next((part for part in text.splitlines() if part.lower().startswith("subject:")), "")
                self._things[subject or "the message"] = None
                self._things["the whole message"] = None
            case _:
                pass
