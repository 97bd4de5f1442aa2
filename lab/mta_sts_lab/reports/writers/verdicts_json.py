"""`verdicts.json`: everything that was judged, for programs. Its schema is `reports/verdicts.schema.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.judge.run_findings import RunFinding, findings_of_the_run
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.model.verdict import Judgement, StepResult, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.causes import cause_lines
from mta_sts_lab.reports.escaping import legal_json, plain_data
from mta_sts_lab.reports.summary import diagnoses_of, summarise
from mta_sts_lab.reports.writers import JudgedRecord, writer

#: Raised with any change that a reader of the older document would stumble over.
FORMAT = 4


class UnknownCase(Exception):
    """A verdict names a case that its record does not hold: the two do not belong together."""


@writer
def verdicts_json(judged: JudgedRecord) -> Iterator[tuple[str, bytes]]:
    """Write `verdicts.json`."""
    document = verdicts_document(judged.record, judged.verdicts, judged.requirements, judged.known)
    yield "verdicts.json", encode(document)


def verdicts_document(
    record: Record,
    verdicts: Sequence[Verdict],
    requirements: Mapping[str, Requirement] | None = None,
    known_failures: KnownComparison | None = None,
) -> dict[str, Any]:
    """Return the document as plain data, in the order of the verdicts.

    `requirements` gives the levels of obligations. Raises `UnknownCase`.
    """
    header = record.header
    cases = {case.id: case for case in header.cases}
    strangers = [verdict.case for verdict in verdicts if verdict.case not in cases]
    if strangers:
        raise UnknownCase(f"not in this record: {', '.join(strangers)}; the verdicts are of another record")
    summary = summarise(record, verdicts, known_failures)
    document: dict[str, Any] = {
        "format": FORMAT,
        "run": header.run,
        "started": header.started,
        "complete": summary.complete,
        "black_box": header.black_box,
        "command": list(header.command),
        "versions": dict(header.versions),
        "seed": header.seed,
        "target": {
            "name": header.about.name,
            "versions": dict(header.about.versions),
            "capabilities": list(header.about.capabilities),
            "retry_seconds": header.about.retry_seconds,
            "better_than_packaged": list(header.about.better_than_packaged),
        },
        "exit": {"code": summary.exit_code, "meaning": summary.meaning},
        "summary": {
            "cases": summary.cases,
            "verdicts": {grade.value: count for grade, count in summary.counts.items()},
            "control_only": summary.control_only,
            "unjudged": list(summary.unjudged),
        },
        "known_failures": {
            "vanished": msgspec.to_builtins(known_failures.vanished if known_failures else ()),
            "unmatched": msgspec.to_builtins(known_failures.unmatched if known_failures else ()),
            "cured": msgspec.to_builtins(known_failures.cured if known_failures else ()),
        },
        "diagnoses": [
            {name: getattr(one, name) for name in ("code", "means", "remedy", "quoted")} for one in diagnoses_of(record)
        ],
        "causes": [
            one.document
            for one in cause_lines(
                verdicts,
                known_failures.known if known_failures else {},
                known_failures.known_of_the_run if known_failures else {},
            )
        ],
        "findings_of_the_run": [
            _of_the_run(one, requirements or {}, known_failures) for one in findings_of_the_run(verdicts)
        ],
        "cases": [
            _case(cases[verdict.case], verdict, requirements or {}, known_failures.known if known_failures else {})
            for verdict in verdicts
        ],
    }
    return {name: plain_data(value) for name, value in document.items()}


def encode(document: Mapping[str, Any]) -> bytes:
    """Return the document as JSON that every reader takes, in ASCII."""
    return (legal_json(document) + "\n").encode("ascii")


def _case(
    case: Case, verdict: Verdict, requirements: Mapping[str, Requirement], known: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    return {
        "id": case.id,
        "scenario": case.scenario,
        "mode": case.mode.value,
        "vector": case.vector,
        "verdict": verdict.grade.value,
        "known": list(known.get(case.id, ())),
        "harm": verdict.harm.value,
        "control_only": verdict.control_only,
        "earlier_plays": [
            {"run": play.run, "verdict": play.grade.value, "reasons": list(play.reasons)} for play in verdict.earlier
        ],
        "began": verdict.began,
        "ended": verdict.ended,
        "steps": [_renamed(result, "step", "name") for result in verdict.steps],
        "judgements": [_judgement(judgement, requirements) for judgement in verdict.judgements],
        "of_the_run": [_judgement(judgement, requirements) for judgement in verdict.of_the_run],
    }


def _of_the_run(
    finding: RunFinding, requirements: Mapping[str, Requirement], known_failures: KnownComparison | None
) -> dict[str, Any]:
    members = _judgement(finding.judgement, requirements)
    del members["step"], members["evidence"]
    known = known_failures.known_of_the_run if known_failures else {}
    return members | {
        "known": list(known.get(finding.key, ())),
        "example": finding.example,
        "cases": list(finding.cases),
    }


def _judgement(judgement: Judgement, requirements: Mapping[str, Requirement]) -> dict[str, Any]:
    requirement = requirements.get(judgement.obligation)
    return _renamed(judgement, "grade", "result") | {"level": requirement.level if requirement else None}


def _renamed(value: StepResult | Judgement, name: str, other: str) -> dict[str, Any]:
    """Return a value as plain data, one member under another name."""
    members: dict[str, Any] = msgspec.to_builtins(value)
    return members | {other: members.pop(name)}
