"""Writes the findings of a run as a list of known failures, so that from then on only changes count."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from mta_sts_lab.judge.known_failures import HONEST_STEPS, findings_of
from mta_sts_lab.judge.run_findings import RunFinding, findings_of_the_run
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.model.verdict import Verdict

_HEAD = """\
# The findings of run {run} against {target}: a baseline, which nobody has looked at.
# These cases are played and judged all the same. A finding that is not listed is news, and so is a listed one that no
# longer occurs. Look at each entry, and write the reason and the evidence in its place.
"""


def baseline(run: str, target: str, verdicts: Sequence[Verdict], requirements: Mapping[str, Requirement]) -> str:
    """Return the file with an entry for each obligation that was broken in one way, and all the cases that show it."""
    cases: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for verdict in verdicts:
        if not verdict.control_only:
            for (obligation, result, step), codes in _broken(verdict).items():
                cases[obligation, result, step, codes].append(verdict.case)
    entries = (
        _entry(
            {
                "case": sorted(shown),
                "obligation": obligation,
                "result": result,
                "codes": list(codes),
                **({"step": step} if step else {}),
                "reason": f"Baseline, not looked at yet. {_text(requirements.get(obligation))}".strip(),
                "evidence": f"Run {run}.",
            }
        )
        for (obligation, result, step, codes), shown in sorted(cases.items())
    )
    of_the_run = (_of_the_run(one, run, requirements) for one in findings_of_the_run(verdicts))
    return "\n".join([_HEAD.format(run=run, target=target), *entries, *of_the_run])


def _of_the_run(finding: RunFinding, run: str, requirements: Mapping[str, Requirement]) -> str:
    text = _text(requirements.get(finding.judgement.obligation))
    return _entry(
        {
            "case": finding.example,
            "of-the-run": True,
            "obligation": finding.judgement.obligation,
            "result": finding.grade.value,
            "codes": [finding.judgement.reason],
            "reason": f"Baseline, not looked at yet. {text}".strip(),
            "evidence": f"Run {run}.",
        }
    )


def _broken(verdict: Verdict) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """Return the reason codes by obligation, result and, before or after the attack, the step."""
    codes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for finding in findings_of(verdict):
        step = finding.step if finding.step in HONEST_STEPS else ""
        codes[finding.obligation, finding.grade.value, step].append(finding.reason)
    return {where: tuple(sorted(set(found))) for where, found in codes.items()}


def _text(requirement: Requirement | None) -> str:
    return f"RFC {requirement.rfc}, section {requirement.section}: {requirement.text}" if requirement else ""


def _entry(values: Mapping[str, str | bool | list[str]]) -> str:
    # A JSON string in ASCII, a list of them, and true, are TOML, too.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(["[[known-failure]]", *lines, ""])
