"""Judged runs made by hand and at random, and a run's folder as the lab leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.matrix.table import State
from mta_sts_lab.reports.verdicts_reading import JudgedRun, parse_verdicts
from mta_sts_lab.reports.writers.verdicts_json import encode, verdicts_document

from tests.reports.records import REQUIREMENTS, strip_record, strip_verdicts

CASES = tuple(f"{family}/{name}[enforce]" for family in ("starttls", "mx", "policy") for name in ("a", "b", "c", "d"))


def verdict(case: str, grade: Grade, reason: str = "", control_only: bool = False, harm: Harm = Harm.NONE) -> Verdict:
    """A verdict of one judgement, behind one that passed."""
    code = reason or f"{grade.value}-code"
    judgements = (
        Judgement(Grade.PASS, "as-demanded", check="first"),
        Judgement(grade, code, check="second", harm=harm),
    )
    return Verdict(case, grade, (), judgements, 0.0, 1.0, control_only)


def judged(
    verdicts: Sequence[Verdict] = (),
    target: str = "postfix",
    started: str = "2026-03-02T09:30:00+00:00",
    run: str = "20260302-093000-c0ffee",
    known: Mapping[str, tuple[str, ...]] | None = None,
    unjudged: tuple[str, ...] = (),
) -> JudgedRun:
    """A run with these verdicts."""
    return JudgedRun(
        run=run,
        started=started,
        complete=True,
        black_box=False,
        command=("sts-lab", "run", "--target", target),
        target=target,
        versions={target: "1.0"},
        lab_versions={"mta-sts-lab": "0.1.0"},
        exit_code=0,
        verdicts=tuple(verdicts),
        known=known or {},
        unjudged=unjudged,
    )


@st.composite
def runs(draw: st.DrawFn) -> list[JudgedRun]:
    """One to six runs of a few targets, each over some of the cases."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        cases = draw(st.lists(st.sampled_from(CASES), unique=True))
        cut = draw(st.integers(0, len(cases)))
        verdicts = [
            verdict(case, draw(st.sampled_from(list(Grade))), control_only=draw(st.booleans())) for case in cases[:cut]
        ]
        findings = [one.case for one in verdicts if one.grade in (Grade.FAIL, Grade.WEAK) and not one.control_only]
        made.append(
            judged(
                verdicts,
                target=draw(st.sampled_from(["postfix", "exim", "chasquid"])),
                started=draw(
                    st.sampled_from(
                        ["2026-03-02T09:30:00+00:00", "2026-03-02T11:00:00+00:00", "2026-03-05T09:30:00+00:00"]
                    )
                ),
                run=f"run-{number}",
                known={case: ("a reason",) for case in findings if draw(st.booleans())},
                unjudged=tuple(cases[cut:]),
            )
        )
    return made


def strip_run(leaking_enforce: bool = True, record: Record | None = None) -> tuple[Record, JudgedRun]:
    """The hand-made record of a stripped STARTTLS, and its verdicts as they are read back from `verdicts.json`."""
    record = record or strip_record(leaking_enforce)
    document = verdicts_document(record, strip_verdicts(record, leaking_enforce), REQUIREMENTS)
    return record, parse_verdicts(encode(document), "verdicts.json")


def states(run: JudgedRun) -> dict[str, State]:
    """What a column has to hold, case by case."""
    told = {one.case: State.JUDGED for one in run.verdicts if not one.control_only}
    return {**dict.fromkeys(run.unjudged, State.UNJUDGED), **told}
