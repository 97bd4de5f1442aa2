"""What is different between two runs: verdicts, the findings behind those that are the same, and those of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from mta_sts_lab.judge.known_failures import findings_of
from mta_sts_lab.judge.run_findings import findings_of_the_run
from mta_sts_lab.model.grading import MERGE_ORDER, Grade, merge
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.reports.escaping import escape_unprintable, legal_json
from mta_sts_lab.reports.layout import Hanging
from mta_sts_lab.reports.terminal import STYLES
from mta_sts_lab.reports.verdicts_reading import JudgedRun

#: What stands in the place of a case for the findings of the run.
THE_RUN = "run"


@dataclass(frozen=True, slots=True)
class CaseChange:
    """One case that is different. A grade is None where a run did not have the case."""

    case: str
    before: Grade | None
    after: Grade | None
    #: Findings that one run has and the other has not: `STS-5-03 delivered-clear`.
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        if self.before is None or self.after is None:
            return "only in the second" if self.before is None else "only in the first"
        both = (self.before, self.after)
        if Grade.UNSUPPORTED in both or self.before is self.after:
            return "otherwise"
        return "worse" if MERGE_ORDER.index(self.after) > MERGE_ORDER.index(self.before) else "better"


#: In the order in which they are printed.
KINDS = ("better", "otherwise", "only in the first", "only in the second", "worse")


def differences(before: JudgedRun, after: JudgedRun) -> tuple[CaseChange, ...]:
    """Return the cases that are different, in the order of their ids, without control cases that nobody selected.

    Findings of the run, in the cases that both runs have, come behind them as those of a case `THE_RUN`.
    """
    first, second = _selected(before), _selected(after)
    changes = [_change(case, first.get(case), second.get(case)) for case in sorted({*first, *second})]
    shared = sorted(first.keys() & second.keys())
    changes.append(_change(THE_RUN, *(_of_the_run([run[case] for case in shared]) for run in (first, second))))
    return tuple(one for one in changes if one.before is not one.after or one.gone or one.new)


def _of_the_run(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the findings of the run in some cases, as if they were those of a case."""
    found = tuple(one.judgement for one in findings_of_the_run(verdicts))
    return Verdict(THE_RUN, merge([Grade.PASS, *(one.grade for one in found)]), (), found, 0.0, 0.0)


def _selected(run: JudgedRun) -> dict[str, Verdict]:
    return {verdict.case: verdict for verdict in run.verdicts if not verdict.control_only}


def _change(case: str, before: Verdict | None, after: Verdict | None) -> CaseChange:
    if before is None or after is None:
        return CaseChange(case, before.grade if before else None, after.grade if after else None)
    had, has = _findings(before), _findings(after)
    gone, new = (tuple(one for one in some if one not in others) for some, others in ((had, has), (has, had)))
    return CaseChange(case, before.grade, after.grade, gone, new)


def _findings(verdict: Verdict) -> tuple[str, ...]:
    found = (f"{one.obligation} {one.reason}".strip() for one in findings_of(verdict))
    return tuple(dict.fromkeys(found))


def diff_page(before: JudgedRun, after: JudgedRun) -> RenderableType:
    """Return what is different, what got worse at the end, and a line that counts."""
    changes = differences(before, after)
    parts: list[RenderableType] = [Text(line, style="dim") for line in _circumstances(before, after)]
    for kind in KINDS:
        some = [change for change in changes if change.kind == kind]
        if some:
            parts += [Text(), Text(f"{kind}:", style="bold"), *map(_line, some)]
    counted = [f"{sum(one.kind == kind for one in changes)} {kind}" for kind in reversed(KINDS)]
    said = [text for text in counted if not text.startswith("0 ")]
    compared = len(_selected(before).keys() & _selected(after).keys())
    both = f"{compared} case{'' if compared == 1 else 's'} compared"
    told = f"{', '.join(said)} ({both})." if said else f"No case is different ({both})."
    parts += [Text(), Text(told, style="bold")]
    return Group(*parts)


def diff_document(before: JudgedRun, after: JudgedRun) -> str:
    """Return the differences as JSON: the two runs, and each case that is different."""
    cases = [
        {
            "id": change.case,
            "kind": change.kind,
            "before": change.before.value if change.before else None,
            "after": change.after.value if change.after else None,
            "findings_gone": list(change.gone),
            "findings_new": list(change.new),
        }
        for change in differences(before, after)
    ]
    return legal_json({"before": before.run, "after": after.run, "cases": cases})


def _line(change: CaseChange) -> RenderableType:
    text = Text(escape_unprintable(change.case))
    for label, grade in ((": was ", change.before), (", is ", change.after)):
        text.append(label, style="none")
        text.append(grade.value if grade else "not there", style=STYLES[grade] if grade else "dim")
    for label, findings in (("no more", change.gone), ("new", change.new)):
        if findings:
            text.append(f"; {label}: {escape_unprintable(', '.join(findings))}", style="none")
    return Hanging(Text("  "), text)


def _circumstances(before: JudgedRun, after: JudgedRun) -> Iterator[str]:
    """Yield what else is different between the two runs, and which of them did not come to its end."""
    for which, run in (("first", before), ("second", after)):
        if not run.complete:
            yield f"the {which} run was interrupted: not every case was played"
    for what, first, second in (
        ("target", before.target, after.target),
        ("versions of the target", _versions(before.versions), _versions(after.versions)),
        ("versions of the lab", _versions(before.lab_versions), _versions(after.lab_versions)),
    ):
        if first != second:
            yield escape_unprintable(f"{what}: {first or '-'}; then {second or '-'}")


def _versions(versions: Mapping[str, str]) -> str:
    return " ".join(f"{part} {version}" for part, version in versions.items())
