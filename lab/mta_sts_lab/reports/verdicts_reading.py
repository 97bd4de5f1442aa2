"""Reads `verdicts.json`, this format and the two before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from mta_sts_lab.judge.run_findings import RunKey, findings_of_the_run
from mta_sts_lab.judge.verdicts import word_of
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade, Outcome, merge
from mta_sts_lab.model.verdict import EarlierPlay, Harm, Judgement, StepResult, Verdict
from mta_sts_lab.old_check_ids import current_check_id
from mta_sts_lab.reports.summary import AS_EXPECTED, FINDINGS
from mta_sts_lab.reports.writers.verdicts_json import FORMAT

#: What decoding a document that somebody else may have written can raise.
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

#: Octets. The whole catalogue leaves about 400 KiB; a file beyond this is not ours.
LARGEST_DOCUMENT = 1 << 28


class VerdictsError(Exception):
    """A `verdicts.json` that cannot be used: missing, damaged, or of another version. The message says what to do."""


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """What was judged of one run.

    `known` gives the reasons of known failures by case; they are findings all the same. `unjudged` are cases of the
    record without a verdict.
    """

    run: str
    started: str
    complete: bool
    #: Whether nothing but mail was asked of the target, whatever hooks it has.
    black_box: bool
    command: tuple[str, ...]
    target: str
    #: What else the target said of itself, mainly the versions of its parts, in its own order.
    versions: Mapping[str, str]
    #: The versions of the lab and of what it is built on.
    lab_versions: Mapping[str, str]
    exit_code: int
    verdicts: tuple[Verdict, ...]
    known: Mapping[str, tuple[str, ...]]
    unjudged: tuple[str, ...] = ()
    #: The reasons of findings of the run that are known failures.
    known_of_the_run: Mapping[RunKey, tuple[str, ...]] = field(default_factory=dict)
    #: In words: where the target is configured better than what its users install.
    better_than_packaged: tuple[str, ...] = ()


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _Step(_Strict, frozen=True, rename={"step": "name"}):
    step: str
    outcome: Outcome | None
    detail: str
    began: float
    ended: float


class _Judgement(_Strict, frozen=True, rename={"grade": "result"}):
    check: str
    step: str
    obligation: str
    level: str | None
    grade: Grade
    reason: str
    expected: str
    observed: str
    blame: str
    harm: Harm
    evidence: tuple[int, ...]


class _EarlierPlay(_Strict, frozen=True, rename={"grade": "verdict"}):
    run: str
    grade: Grade
    reasons: tuple[str, ...]


class _Case(_Strict, frozen=True):
    id: str
    scenario: str
    mode: str
    vector: str
    verdict: Grade
    known: tuple[str, ...]
    harm: Harm
    control_only: bool
    began: float
    ended: float
    steps: tuple[_Step, ...]
    judgements: tuple[_Judgement, ...]
    of_the_run: tuple[_Judgement, ...]
    earlier_plays: tuple[_EarlierPlay, ...] = ()


class _RunFinding(_Strict, frozen=True, rename={"grade": "result"}):
    check: str
    obligation: str
    level: str | None
    grade: Grade
    reason: str
    expected: str
    observed: str
    blame: str
    harm: Harm
    known: tuple[str, ...]
    example: str
    cases: tuple[str, ...]


class _Target(_Strict, frozen=True):
    name: str
    versions: dict[str, str]
    capabilities: tuple[str, ...]
    retry_seconds: float
    better_than_packaged: tuple[str, ...] = ()


class _Exit(_Strict, frozen=True):
    code: int
    meaning: str


class _Summary(_Strict, frozen=True):
    cases: int
    verdicts: dict[Grade, int]
    control_only: int
    unjudged: tuple[str, ...]


class _Document(_Strict, frozen=True):
    format: int
    run: str
    started: str
    complete: bool
    black_box: bool
    command: tuple[str, ...]
    versions: dict[str, str]
    seed: int
    target: _Target
    exit: _Exit
    summary: _Summary
    known_failures: dict[str, Any]
    causes: tuple[dict[str, Any], ...]
    findings_of_the_run: tuple[_RunFinding, ...]
    cases: tuple[_Case, ...]
    diagnoses: tuple[dict[str, str], ...] = ()


class _AnyFormat(msgspec.Struct, frozen=True):
    """What every version of the document has in common."""

    format: int


def read_verdicts(path: Path) -> JudgedRun:
    """Read a `verdicts.json`. Raises `VerdictsError`."""
    try:
        if path.stat().st_size > LARGEST_DOCUMENT:
            raise VerdictsError(f"{path}: larger than {LARGEST_DOCUMENT} octets; this is no verdicts.json")
        octets = path.read_bytes()
    except FileNotFoundError as error:
        raise VerdictsError(
            f"{path}: not there: the run was interrupted or never judged; "
            f"`sts-lab judge {path.parent}` judges what was played"
        ) from error
    except OSError as error:
        raise VerdictsError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_verdicts(octets, str(path))


def parse_verdicts(octets: bytes, where: str) -> JudgedRun:
    """Turn the document into what was judged; see `read_verdicts`. `where` is named in messages."""
    again = "`sts-lab judge` writes it anew from the record"
    try:
        version = msgspec.json.decode(octets, type=_AnyFormat).format
    except _UNREADABLE as error:
        raise VerdictsError(f"{where}: no verdicts of a run ({error}); {again}") from error
    if version not in (2, 3, FORMAT):
        raise VerdictsError(f"{where}: version {version} of the format, and this program reads 2 to {FORMAT}; {again}")
    try:
        members = msgspec.json.decode(octets)
        members = _from_format_2(members) if version == 2 else members
        members = _from_format_3(members) if version in (2, 3) else members
        document = msgspec.convert(members, _Document, str_keys=True)
    except _UNREADABLE as error:
        raise VerdictsError(f"{where}: damaged ({error}); {again}") from error
    for contradiction in _contradictions(document):
        raise VerdictsError(f"{where}: damaged ({contradiction}); {again}")
    try:
        datetime.fromisoformat(document.started)
    except ValueError as error:
        raise VerdictsError(f"{where}: damaged (`started` is no date: {document.started[:40]!r}); {again}") from error
    return JudgedRun(
        run=document.run,
        started=document.started,
        complete=document.complete,
        black_box=document.black_box,
        command=document.command,
        target=document.target.name,
        versions=document.target.versions,
        lab_versions=document.versions,
        exit_code=document.exit.code,
        verdicts=tuple(_verdict(case) for case in document.cases),
        known={case.id: case.known for case in document.cases if case.known},
        unjudged=document.summary.unjudged,
        known_of_the_run={
            (one.check, one.reason, one.obligation): one.known for one in document.findings_of_the_run if one.known
        },
        better_than_packaged=document.target.better_than_packaged,
    )


def _contradictions(document: _Document) -> Iterator[str]:
    """Yield where the document disagrees with itself, as one that was edited by hand does."""
    ids = [case.id for case in document.cases]
    if len({*ids, *document.summary.unjudged}) != len(ids) + len(document.summary.unjudged):
        yield "a case is there twice"
    for case in document.cases:
        word = word_of([judgement.grade for judgement in case.judgements])
        # A step that nothing was found out about makes a case inconclusive without a judgement that says so.
        if case.verdict not in (word, merge([word, Grade.INCONCLUSIVE])):
            yield f"{case.id} is {case.verdict.value}, and its judgements come to {word.value}"
    selected = [case for case in document.cases if not case.control_only]
    counted = Counter(case.verdict for case in selected)
    summary = document.summary
    if (
        {word: count for word, count in summary.verdicts.items() if count} != counted
        or summary.cases != len(selected) + len(summary.unjudged)
        or summary.control_only != len(ids) - len(selected)
    ):
        yield "the summary does not add up to the cases"
    found = findings_of_the_run(map(_verdict, document.cases))
    if [(one.key, one.grade, one.cases) for one in found] != [
        ((one.check, one.reason, one.obligation), one.grade, one.cases) for one in document.findings_of_the_run
    ]:
        yield "the findings of the run are not those of the cases"
    unknown = [case for case in selected if case.verdict in FINDINGS and not case.known]
    if document.exit.code == AS_EXPECTED and (unknown or not all(one.known for one in document.findings_of_the_run)):
        yield "exit 0 beside findings that nobody knew of"


def _verdict(case: _Case) -> Verdict:
    return Verdict(
        case=case.id,
        grade=case.verdict,
        steps=tuple(StepResult(**msgspec.structs.asdict(step)) for step in case.steps),
        judgements=tuple(map(_judgement, case.judgements)),
        began=case.began,
        ended=case.ended,
        control_only=case.control_only,
        earlier=tuple(EarlierPlay(**msgspec.structs.asdict(play)) for play in case.earlier_plays),
        of_the_run=tuple(map(_judgement, case.of_the_run)),
    )


def _judgement(judgement: _Judgement) -> Judgement:
    members = msgspec.structs.asdict(judgement)
    del members["level"]
    return Judgement(**members | {"check": current_check_id(judgement.check)})


# ---------------------------------------------------------------------------------------------------------------------
# Format 3 has no findings of the run; format 2 has other names for two members, the old ids of checks, and no harm


def _from_format_3(members: dict[str, Any]) -> dict[str, Any]:
    """Return a document of format 3 as one of today. Raises `KeyError` and `TypeError`."""
    members |= {"causes": [], "findings_of_the_run": []}
    for case in members["cases"]:
        case["of_the_run"] = []
    return members


def _from_format_2(members: dict[str, Any]) -> dict[str, Any]:
    """Return a document of format 2 as one of today. Raises `KeyError`, `TypeError` and `AttributeError`."""
    members["known_failures"] = members.pop("deviations")
    members["summary"]["control_only"] = members["summary"].pop("supporting")
    for case in members["cases"]:
        case |= {"control_only": case.pop("supporting"), "harm": ""}
        for judgement in case["judgements"]:
            judgement["check"] = current_check_id(judgement["check"])
            judgement["harm"] = _harm_in_format_2(judgement, case)
    return members


def _harm_in_format_2(judgement: Mapping[str, Any], case: Mapping[str, Any]) -> Harm:
    """Return the harm of a failure: the check tells it, and the outcome of the step."""
    if judgement["result"] != Grade.FAIL.value:
        return Harm.NONE
    if judgement["check"] == "message-outcome":
        outcome = next((step["outcome"] for step in case["steps"] if step["name"] == judgement["step"]), None)
        if outcome is not None and not Outcome(outcome).delivered:
            return Harm.KEPT_BACK
        return Harm.LET_OUT if case["mode"] == Mode.ENFORCE.value else Harm.NONE
    if judgement["check"] == "held-message-arrives":
        lost = judgement["reason"] in ("lost-instead-of-retried", "bounced-instead-of-retried")
        return Harm.KEPT_BACK if lost else Harm.LET_OUT
    return _HARM_IN_FORMAT_2.get(judgement["check"], Harm.NONE)


_HARM_IN_FORMAT_2 = {
    "no-message-read": Harm.READ,
    "no-message-to-wrong-host": Harm.READ,
    "no-message-lost-between-steps": Harm.KEPT_BACK,
}
