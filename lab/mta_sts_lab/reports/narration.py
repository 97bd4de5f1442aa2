"""The output of `sts-lab demo`: the cases of a scenario event by event, side by side, and what they show.

The cases may be played all at once. They are shown one after the other, without a policy first and under enforce last:
the events of one case are printed as they come in, those of the later cases are kept until it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mta_sts_lab.events import (
    CaseEnded,
    ClockAdvanced,
    Event,
    LabFailed,
    StepBegan,
    TargetFailed,
    TargetRestarted,
)
from mta_sts_lab.model.case import Case, Expectation, Mode, Scenario
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.reports.case_outcome import CaseOutcome, case_outcome
from mta_sts_lab.reports.conclusion import Conclusion, closing
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.glossary import BEHAVIOUR, PUBLISHED, STEPS
from mta_sts_lab.reports.layout import (
    Hanging,
    Rule,
    escaped,
    gutter_line,
    labelled,
    paragraph,
    paragraphs,
    quoted,
    story,
)
from mta_sts_lab.reports.timeline import Emphasis, Line, Timeline, Topic

_ORDER = tuple(PUBLISHED)

#: The modes whose cases are told in full.
_LEADING = (Mode.ENFORCE, Mode.DANE)

#: Cells. "enforce,missing-intermediate" is the longest of the catalogue.
_LABEL = 30

#: Columns of a side-by-side table: four beside their labels fit into 80 cells.
_SIDE_BY_SIDE = 4


@dataclass(slots=True)
class _Shown:
    """How much of one case has been printed."""

    case: Case
    #: Whether the whole SMTP dialogue is printed.
    full: bool
    timeline: Timeline
    events: list[Event] = field(default_factory=list)
    printed: int = 0
    heading: RenderableType | None = None

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1].fact, CaseEnded)


#: Is called before something is printed; the argument says whether a step, or the end, begins with it.
Pace = Callable[[bool], None]


class Narrator:
    """Prints the cases of one scenario. Feed it every event of the run, then call `finish` and `conclude`."""

    def __init__(
        self,
        console: Console,
        cases: Sequence[Case],
        scenario: Scenario | None = None,
        retry_seconds: float = 0.0,
        pace: Pace = lambda _: None,
    ) -> None:
        """`retry_seconds` is as in the record's header. Without the scenario no title and no story are printed."""
        self._console = console
        self._pace = pace
        self._scenario = scenario
        self._retry_seconds = retry_seconds
        ordered = sorted(cases, key=lambda case: (_ORDER.index(case.mode), case.vector))
        leading = {case.id for case in ordered if case.mode in _LEADING} or {case.id for case in ordered}
        self._cases = {case.id: _Shown(case, case.id in leading, Timeline(case)) for case in ordered}
        self._waiting = list(self._cases.values())
        self._opened = False
        self._run_failed = False

    def on_event(self, event: Event) -> None:
        """Take the next event of the run, and print it if it is the turn of its case."""
        self._open()
        if event.case in self._cases:
            self._cases[event.case].events.append(event)
            while self._waiting:
                self._show(self._waiting[0])
                if not self._waiting[0].ended:
                    return
                self._waiting.pop(0)
        elif not event.case and isinstance(event.fact, LabFailed | TargetFailed):
            self._run_failed = True
            line = Timeline().line(event)
            if line is not None:
                self._put(gutter_line(line))
        elif not event.case and isinstance(event.fact, ClockAdvanced | TargetRestarted):
            # Made once for all cases of the scenario; each of them waited for it.
            for shown in self._cases.values():
                if shown.events and not shown.ended and shown.case.changes_target:
                    shown.events.append(event)

    def finish(self, verdicts: Sequence[Verdict] = ()) -> None:
        """Print what is left, then all cases side by side and the conclusions."""
        self._open()
        while self._waiting:
            self._show(self._waiting.pop(0))
        judged = {verdict.case: verdict for verdict in verdicts}
        outcomes = [
            case_outcome(name, shown.case.mode, shown.events, judged.get(name), self._retry_seconds, shown.case)
            for name, shown in self._cases.items()
        ]
        if self._run_failed:
            outcomes = [replace(outcome, broken=True) for outcome in outcomes]
        labels = self._labels()
        self._pace(True)
        self._put(Text(), Text("Side by side", style="bold"), Rule())
        for start in range(0, len(outcomes), _SIDE_BY_SIDE):
            self._put(_side_by_side(outcomes[start : start + _SIDE_BY_SIDE], labels), Text())

    def conclude(self, conclusions: Sequence[Conclusion]) -> None:
        """Print what the cases show: a paragraph for those that show the same, and what they show together."""
        self._pace(True)
        self._put(Rule("="), Text("What this shows", style="bold"))
        labels, same = self._labels(), dict[tuple[str, str], list[str]]()
        for name in self._cases:
            for one in conclusions:
                if one.case == name:
                    same.setdefault((one.text, _style_of(one)), []).append(labels[name])
        for (text, style), names in same.items():
            self._put(Text(), escaped(f"{', '.join(names)}:", style=f"bold {style}".strip()), paragraph(text, indent=2))
        for text in closing(conclusions):
            self._put(Text(), paragraph(text))

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        if self._scenario is not None:
            self._put(*_opening(self._scenario))
        cases = [shown.case for shown in self._cases.values()]
        demands = [row for case in cases for row in _demands(case, self._labels())]
        if demands:
            head = "What must happen under each policy mode (absent: no policy is published)"
            self._put(Text(), Text(head, style="bold"), *demands)
        played = {step.name: STEPS[step.name] for case in cases for step in case.steps if step.name in STEPS}
        if played:
            self._put(Text(), Text("The steps of a case", style="bold"))
            self._put(*(labelled(name, meaning) for name, meaning in played.items()))
        legend = "sender > mx: said in clear.  sender => mx: said inside TLS.  On the left, seconds."
        relayed = "SMTP lines that an attacker only repeats on a connection of its own to the MX are left out."
        self._put(Text(), paragraph(legend, style="dim"), paragraph(relayed, style="dim"))
        brief = list(dict.fromkeys(shown.case.mode.value for shown in self._cases.values() if not shown.full))
        if brief:
            shortly = f"Of the cases of mode {', '.join(brief)} only the events that matter are shown"
            self._put(paragraph(f"{shortly}; --mode {brief[0]} shows that one whole.", style="dim"))

    def _labels(self) -> Mapping[str, str]:
        return {
            name: shortened(",".join(part for part in (shown.case.mode.value, shown.case.vector) if part), _LABEL)
            for name, shown in self._cases.items()
        }

    def _show(self, shown: _Shown) -> None:
        if shown.events and not shown.printed:
            number = list(self._cases).index(shown.case.id) + 1
            policy = PUBLISHED[shown.case.mode]
            title = f"Case {number} of {len(self._cases)}: the domain publishes {policy}"
            self._put(Text(), Text(title, style="bold"), escaped(shown.case.id, style="dim"), Rule())
        for event in shown.events[shown.printed :]:
            line = shown.timeline.line(event)
            if isinstance(event.fact, StepBegan) and line is not None:
                shown.heading = escaped(f"Step {line.step} ({line.text})", "bold")
            elif line is not None and _is_printed(line, shown.full):
                self._pace(shown.heading is not None)
                if shown.heading is not None:
                    self._put(Text(), shown.heading)
                    shown.heading = None
                self._put(gutter_line(line), *quoted(line))
        shown.printed = len(shown.events)

    def _put(self, *parts: RenderableType) -> None:
        for part in parts:
            self._console.print(part)


def _is_printed(line: Line, full: bool) -> bool:
    if line.relayed or line.topic is Topic.STEP or line.emphasis is Emphasis.QUIET:
        return False
    return full or line.essential


def _opening(scenario: Scenario) -> list[RenderableType]:
    parts = [Rule("="), *story(scenario, "=")]
    if scenario.effect:
        parts.append(labelled("If it works:", " ".join(paragraphs(scenario.effect)), indent=0, width=13))
    return parts


def _demands(case: Case, labels: Mapping[str, str]) -> list[Hanging]:
    demands = []
    for step in case.steps:
        if step.expect is not None:
            demands.append(f"{step.name}: {demanded(step.expect)}")
        elif step.recovers:
            demands.append(f"{step.name}: held mail arrives")
    return [labelled(labels[case.id], "; ".join(demands))] if demands else []


def demanded(expectation: Expectation) -> str:
    """Return the allowed outcomes of an expectation in words."""
    words = {"as-absent": "not worse than without a policy", "any": "recorded, not judged"}
    allowed = " or ".join(words.get(word, word) for word in expectation.outcome)
    return f"{allowed} (better: {' or '.join(expectation.should)})" if expectation.should else allowed


def _style_of(one: Conclusion) -> str:
    if one.grade is Grade.FAIL or one.read:
        return "red"
    return "green" if one.grade in (Grade.PASS, Grade.INFO, Grade.WEAK) else "yellow"


def _side_by_side(outcomes: Sequence[CaseOutcome], labels: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="bold")
    table.add_column("", width=12, overflow="fold", style="bold")
    # All of them fit into 80 columns, and two have room for the longest outcome.
    width = (80 - 12) // len(outcomes) - 2
    for one in outcomes:
        table.add_column(Text(labels[one.case]), width=width, overflow="fold")
    rows = {
        "policy": [_policy(one) for one in outcomes],
        "attack": [_attack(one) for one in outcomes],
        "message": [one.outcome.value if one.outcome else "none sent" for one in outcomes],
        "read by": [_read_by(one) for one in outcomes],
        "afterwards": [_afterwards(one) for one in outcomes],
        "sender": [BEHAVIOUR[Grade(one.verdict)] if one.verdict else "-" for one in outcomes],
    }
    for label, cells in rows.items():
        if label != "sender" or any(one.verdict for one in outcomes):
            table.add_row(label, *(Text(cell) for cell in cells))
    return table


def _policy(one: CaseOutcome) -> str:
    if not Mode(one.mode).has_policy:
        return "none published"
    if one.policy_learned:
        return "fetched before"
    if not one.policy_answers:
        return "never asked for"
    return "fetched later" if 200 in one.policy_answers else "asked, not got"


def _attack(one: CaseOutcome) -> str:
    if not one.attacks:
        return "none on path"
    return "took effect" if set(one.attacks) <= set(one.fired) else "did not fire"


def _read_by(one: CaseOutcome) -> str:
    if not one.read:
        return "nobody seen"
    who = "attacker" if one.reader == "attacker" else "anyone on path"
    return who if one.read == "message" else f"{who} (token)"


def _afterwards(one: CaseOutcome) -> str:
    if one.later is not None:
        return "arrived, " + one.later.value.removeprefix("delivered-")
    if one.outcome is None or one.outcome.delivered:
        return "-"
    return "not arrived"
