"""What stands behind a cell: what was expected, what was judged, what happened on the wire, what the target logged.

All of it is plain text without unprintable characters, in lists and dictionaries that go into the page. Most of a
page is evidence, so the lines of a time line are kept by columns and count from the line before: that compresses to a
third.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import msgspec

from mta_sts_lab.events import Event
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.case_outcome import case_outcome
from mta_sts_lab.reports.command_line import deciding_options, repeat_command
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import HARMS
from mta_sts_lab.reports.matrix.table import rank
from mta_sts_lab.reports.tables import step_rows
from mta_sts_lab.reports.target_log import TargetLog
from mta_sts_lab.reports.terminal import BLAMED, RECORD_FILE
from mta_sts_lab.reports.timeline import Line, timeline
from mta_sts_lab.reports.verdicts_reading import JudgedRun
from mta_sts_lab.reports.writers.mitm import FLOWS_FOLDER, has_flows, mitm_name

#: Lines. A case on Postfix has up to 300 lines of time line and 60 of log; what a target repeats without end is cut.
MOST_LINES, MOST_LOG_LINES = 3000, 400

#: Characters of one line; the record and the log have it all.
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Source:
    """What a run left: its verdicts, its record, its target's log, and where the folder is."""

    judged: JudgedRun
    record: Record
    log: str
    folder: PurePath


def evidence_of(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the evidence of every case that has a verdict or was played."""
    events = source.record.judged_events()
    log = TargetLog.of(source.log, source.record).by_case
    verdicts = {verdict.case: verdict for verdict in source.judged.verdicts}
    options = deciding_options(source.judged.command)
    for case in source.record.header.cases:
        found = _head(case, verdicts.get(case.id), source, events.get(case.id, ()))
        found |= _expected(case, verdicts.get(case.id))
        found["timeline"] = _timeline(timeline(events.get(case.id, ()), case))
        found["log"] = _log(log.get(case.id, ()))
        found["repeat"] = repeat_command(case.id, options)
        yield case.id, found


def _head(case: Case, verdict: Verdict | None, source: Source, events: Sequence[Event]) -> dict[str, Any]:
    retry = source.record.header.about.retry_seconds
    outcome = case_outcome(case.id, case.mode.value, events, verdict, retry, case)
    return {
        "verdict": verdict.grade.value if verdict else "",
        "happened": _cut(outcome.sentence),
        "known": [_cut(reason) for reason in source.judged.known.get(case.id, ())],
        "control": case.control,
        "record": escape_unprintable(str(source.folder / RECORD_FILE)),
        "flows": escape_unprintable(
            str(source.folder / FLOWS_FOLDER / mitm_name(case.id)) + _written_by(verdict, source)
        ),
    }


def _written_by(verdict: Verdict | None, source: Source) -> str:
    """Say which command writes the flows of a case that a run leaves out."""
    return f" (written by: sts-lab judge {source.folder} --flows)" if verdict and not has_flows(verdict) else ""


def _expected(case: Case, verdict: Verdict | None) -> dict[str, Any]:
    results = {result.step: result for result in verdict.steps} if verdict else {}
    steps = []
    for step in case.steps:
        rows = [[label, _cut(text)] for label, text in step_rows(step)]
        result = results.get(step.name)
        if result and result.outcome:
            detail = f" ({result.detail})" if result.detail else ""
            rows.append(["was", _cut(f"{result.outcome.value}{detail}")])
        steps.append({"name": escape_unprintable(step.name), "rows": rows})
    worst_first = sorted(verdict.judgements if verdict else (), key=lambda judgement: rank(judgement.grade))
    return {"steps": steps, "judgements": [_judgement(judged) for judged in worst_first]}


def _judgement(judgement: Judgement) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(judgement)
    cut = {name: _cut(value) if isinstance(value, str) else value for name, value in members.items()}
    words = {"harm": ": ".join(HARMS.get(judgement.harm, ())), "blame": BLAMED.get(judgement.blame, cut["blame"])}
    return cut | words | {"events": cut.pop("evidence")}


def _timeline(lines: Sequence[Line]) -> dict[str, Any]:
    shown = lines[:MOST_LINES]
    return {
        "number": list(_from_before(line.number for line in shown)),
        "at": list(_from_before(round(line.at * 1000) for line in shown)),
        "step": _runs(line.step for line in shown),
        "topic": [line.topic.value for line in shown],
        "actor": [_cut(line.actor) for line in shown],
        "text": [_cut(line.text) for line in shown],
        "emphasis": [line.emphasis.value for line in shown],
        "struck": [_cut(line.struck) for line in shown],
        "essential": [int(line.essential) for line in shown],
        "relayed": [int(line.relayed) for line in shown],
        "more": len(lines) - len(shown),
    }


def _from_before(numbers: Iterable[int]) -> Iterator[int]:
    before = 0
    for number in numbers:
        yield number - before
        before = number


def _runs(words: Iterable[str]) -> list[list[Any]]:
    """Return each word once for as often as it follows itself: `[["prime", 40], ["attack", 61]]`."""
    runs: list[list[Any]] = []
    for word in words:
        if runs and runs[-1][0] == escape_unprintable(word):
            runs[-1][1] += 1
        else:
            runs.append([escape_unprintable(word), 1])
    return runs


def _log(lines: Sequence[str]) -> Mapping[str, Any]:
    return {"lines": [_cut(line) for line in lines[:MOST_LOG_LINES]], "more": max(len(lines) - MOST_LOG_LINES, 0)}


def _cut(text: str) -> str:
    shown = escape_unprintable(text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..."
