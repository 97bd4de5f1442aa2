"""The trainer's view: an attack told as it happens, arm by arm, then the arms side by side and what stopped the attack.

The arms of a scenario may be played all at once. They are told one after the other, without a policy first and enforce
last: the arm whose turn it is is told live, what happens meanwhile in the others is kept until theirs comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mta_sts_lab.events import CaseEnded, Event, LabFailed, StepBegan, TargetFailed
from mta_sts_lab.model import Case, Expectation, Mode, Scenario, Verdict
from mta_sts_lab.reports.arms import Arm, arm
from mta_sts_lab.reports.escaping import escape_unprintable, shortened
from mta_sts_lab.reports.layout import Hanging, Rule, labelled, paragraph, paragraphs
from mta_sts_lab.reports.lesson import lesson
from mta_sts_lab.reports.lines import gutter_line
from mta_sts_lab.reports.timeline import Emphasis, Line, Timeline, Topic

#: From the weakest protection to the strongest, which is the order in which a trainer tells it.
TELLING_ORDER = (Mode.ABSENT, Mode.NONE, Mode.TESTING, Mode.ENFORCE)

#: Cells. "enforce,missing-intermediate" is the longest of the catalogue.
_LABEL = 30

#: Columns of a side-by-side table: four beside their labels fit into 80 cells.
_SIDE_BY_SIDE = 4

_MODES = {
    Mode.ABSENT: "the domain publishes no policy",
    Mode.NONE: "the domain publishes a policy in mode none",
    Mode.TESTING: "the domain publishes a policy in mode testing",
    Mode.ENFORCE: "the domain publishes a policy in mode enforce",
}


@dataclass(slots=True)
class _Telling:
    """How far one arm has been told."""

    case: Case
    full: bool
    teller: Timeline = field(default_factory=Timeline)
    events: list[Event] = field(default_factory=list)
    told: int = 0
    headed: bool = False
    heading: RenderableType | None = None

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1].fact, CaseEnded)


class Narrator:
    """Tells the arms of one scenario to a console. Feed it every event of the run, then call `finish`."""

    def __init__(
        self, console: Console, cases: Sequence[Case], scenario: Scenario | None = None, retry_seconds: float = 0.0
    ) -> None:
        """`retry_seconds` is as in the record's header. Without the scenario there is no title and no story to tell."""
        self._console = console
        self._scenario = scenario
        self._retry_seconds = retry_seconds
        ordered = sorted(cases, key=lambda case: (TELLING_ORDER.index(case.mode), case.vector))
        leading = {case.id for case in ordered if case.mode is Mode.ENFORCE} or {case.id for case in ordered}
        self._arms = {case.id: _Telling(case, case.id in leading) for case in ordered}
        self._waiting = list(self._arms.values())
        self._opened = False
        self._run_failed = False

    def on_event(self, event: Event) -> None:
        """Take the next event of the run, and tell it if its arm has its turn."""
        self._open()
        if event.case in self._arms:
            self._arms[event.case].events.append(event)
            self._tell()
        elif not event.case and isinstance(event.fact, LabFailed | TargetFailed):
            self._trouble_of_run(event)

    def finish(self, verdicts: Sequence[Verdict] = ()) -> None:
        """Tell what is left, then all arms side by side and the closing lines, with the judge's words where given."""
        self._open()
        while self._waiting:
            self._tell_arm(self._waiting.pop(0))
        words = {verdict.case: verdict for verdict in verdicts}
        arms = [
            arm(telling.case.id, telling.case.mode, telling.events, words.get(telling.case.id), self._retry_seconds)
            for telling in self._arms.values()
        ]
        if self._run_failed:
            arms = [replace(told, spoilt=True) for told in arms]
        self._put(Text(), Text("Side by side", style="bold"), Rule())
        for start in range(0, len(arms), _SIDE_BY_SIDE):
            self._put(_side_by_side(arms[start : start + _SIDE_BY_SIDE], self._labels()), Text())
        for told in arms:
            self._put(labelled(self._labels()[told.case], told.sentence, style=_style_of(told)))
        self._put(Text(), Rule("="))
        self._put(*(paragraph(text) for text in lesson(arms)))

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        if self._scenario is not None:
            self._put(*_opening(self._scenario))
        watch = [row for telling in self._arms.values() for row in _to_watch(telling.case, self._labels())]
        if watch:
            self._put(Text(), Text("What to watch for: under each policy, what must happen", style="bold"), *watch)
        legend = "sender > mx: said in clear.  sender => mx: said inside TLS.  On the left, seconds."
        relayed = "What an attacker merely repeats on his own connection to the MX is left out."
        self._put(Text(), paragraph(legend, style="dim"), paragraph(relayed, style="dim"))

    def _labels(self) -> Mapping[str, str]:
        return {
            telling.case.id: shortened(",".join(p for p in (telling.case.mode.value, telling.case.vector) if p), _LABEL)
            for telling in self._arms.values()
        }

    def _tell(self) -> None:
        while self._waiting:
            telling = self._waiting[0]
            self._tell_arm(telling)
            if not telling.ended:
                return
            self._waiting.pop(0)

    def _tell_arm(self, telling: _Telling) -> None:
        if telling.events and not telling.headed:
            telling.headed = True
            number = list(self._arms).index(telling.case.id) + 1
            title = f"Arm {number} of {len(self._arms)}: {_MODES[telling.case.mode]}"
            self._put(Text(), Text(title, style="bold"), Text(escape_unprintable(telling.case.id), style="dim"), Rule())
        for event in telling.events[telling.told :]:
            line = telling.teller.line(event)
            if isinstance(event.fact, StepBegan) and line is not None:
                telling.heading = _step_heading(line)
            elif line is not None and _is_told(line, telling.full):
                if telling.heading is not None:
                    self._put(Text(), telling.heading)
                    telling.heading = None
                self._put(gutter_line(line))
        telling.told = len(telling.events)

    def _trouble_of_run(self, event: Event) -> None:
        self._run_failed = True
        line = Timeline().line(event)
        if line is not None:
            self._put(gutter_line(line))

    def _put(self, *parts: RenderableType) -> None:
        for part in parts:
            self._console.print(part)


def _is_told(line: Line, full: bool) -> bool:
    if line.relayed or line.topic is Topic.STEP or line.emphasis is Emphasis.QUIET:
        return False
    return full or line.essential


def _step_heading(line: Line) -> Hanging:
    return Hanging(Text(f"-- {escape_unprintable(line.step)}: ", style="bold"), Text(line.text, style="bold"))


def _opening(scenario: Scenario) -> list[RenderableType]:
    parts: list[RenderableType] = [Rule("="), paragraph(escape_unprintable(scenario.title), style="bold")]
    parts += [Text(escape_unprintable(scenario.id), style="dim"), Rule("="), Text()]
    for block in paragraphs(scenario.story):
        parts += [paragraph(escape_unprintable(block)), Text()]
    if scenario.effect:
        effect = " ".join(escape_unprintable(block) for block in paragraphs(scenario.effect))
        parts.append(labelled("If it works:", effect, indent=0, width=13))
    return parts


def _to_watch(case: Case, labels: Mapping[str, str]) -> list[Hanging]:
    demands = []
    for step in case.steps:
        if step.expect is not None:
            demands.append(f"{step.name}: {demanded(step.expect)}")
        elif step.recovers:
            demands.append(f"{step.name}: what was held arrives")
    return [labelled(labels[case.id], escape_unprintable("; ".join(demands)))] if demands else []


def demanded(expectation: Expectation) -> str:
    """Return the allowed outcomes of an expectation in words."""
    words = {"as-absent": "not worse than without a policy", "any": "recorded, not judged"}
    allowed = " or ".join(words.get(word, word) for word in expectation.outcome)
    return f"{allowed} (better: {' or '.join(expectation.should)})" if expectation.should else allowed


def _style_of(told: Arm) -> str:
    if told.read or told.outcome is None or told.outcome.value == "delivered-clear":
        return "red"
    return "green" if told.ended and not told.spoilt else "yellow"


def _side_by_side(arms: Sequence[Arm], labels: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="bold")
    table.add_column("", width=12, overflow="fold", style="bold")
    for told in arms:
        table.add_column(Text(labels[told.case]), width=15, overflow="fold")
    for label, cells in _rows(arms):
        table.add_row(label, *(Text(cell) for cell in cells))
    return table


def _rows(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    rows = [
        ("policy", [_policy(told) for told in arms]),
        ("attack", [_attack(told) for told in arms]),
        ("message", [told.outcome.value if told.outcome else "none sent" for told in arms]),
        ("read by", [_read_by(told) for told in arms]),
        ("afterwards", [_afterwards(told) for told in arms]),
    ]
    if any(told.verdict for told in arms):
        rows.append(("verdict", [told.verdict or "-" for told in arms]))
    return rows


def _policy(told: Arm) -> str:
    if told.mode == Mode.ABSENT:
        return "none published"
    if told.policy_learned:
        return "fetched before"
    if not told.policy_answers:
        return "never asked for"
    return "fetched later" if 200 in told.policy_answers else "asked, not got"


def _attack(told: Arm) -> str:
    if not told.attacks:
        return "none on path"
    return "took effect" if set(told.attacks) <= set(told.fired) else "did not fire"


def _read_by(told: Arm) -> str:
    if not told.read:
        return "nobody seen"
    who = "attacker" if told.reader == "attacker" else "anyone on path"
    return who if told.read == "message" else f"{who} (token)"


def _afterwards(told: Arm) -> str:
    if told.later is not None:
        return "arrived, " + told.later.value.removeprefix("delivered-")
    if told.outcome is None or told.outcome.delivered:
        return "-"
    return "not arrived"
