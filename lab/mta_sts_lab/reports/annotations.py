"""What GitHub Actions shows beside a pull request: a workflow command for each case with a new finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.judge.run_findings import FINDINGS, findings_of_the_run
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.summary import Summary

#: The worst first: GitHub shows ten of a kind for each step.
_COMMANDS = {Grade.FAIL: "error", Grade.LAB_ERROR: "error", Grade.INCONCLUSIVE: "error", Grade.WEAK: "warning"}


def run_annotations(
    verdicts: Sequence[Verdict], known: KnownComparison, requirements: Mapping[str, Requirement], summary: Summary
) -> Iterator[str]:
    """Yield the lines of a run. One that ends with an error and has no finding to show says why it ended so."""
    lines = list(github_annotations(verdicts, known, requirements))
    yield from lines
    for case in summary.unjudged:
        yield _line("error", case, "the case has no verdict")
    if not lines and not summary.unjudged and summary.exit_code:
        yield _line("error", "mta-sts-lab", summary.meaning)


def github_annotations(
    verdicts: Sequence[Verdict], known: KnownComparison, requirements: Mapping[str, Requirement]
) -> Iterator[str]:
    """Yield the lines. A known failure has none; one that no longer occurs, or fits no case, has an error.

    What proves nothing is never known.
    """
    found = [
        one for one in verdicts if not one.control_only and not (one.case in known.known and one.grade in FINDINGS)
    ]
    for grade, command in _COMMANDS.items():
        for verdict in (one for one in found if one.grade is grade):
            yield _line(command, f"{grade.value}: {verdict.case}", _message(verdict, requirements))
    for finding in findings_of_the_run(verdicts):
        if finding.key not in known.known_of_the_run:
            many = f"in {len(finding.cases)} case{'' if len(finding.cases) == 1 else 's'}"
            title = f"{finding.grade.value}: {finding.name}, {many}"
            yield _line(_COMMANDS[finding.grade], title, _said(finding.judgement, requirements))
    for what, failure in known.wrong_entries:
        message = f"{failure.obligation} ({', '.join(failure.codes)}): correct the list of known failures"
        yield _line("error", f"a known failure {what}: {failure.case}", message)


def _message(verdict: Verdict, requirements: Mapping[str, Requirement]) -> str:
    worst = [one for one in verdict.judgements if one.grade is verdict.grade]
    if not worst:
        return "no check of this case came to a result"
    return _said(worst[0], requirements)


def _said(judgement: Judgement, requirements: Mapping[str, Requirement]) -> str:
    requirement = requirements.get(judgement.obligation)
    broken = f" {requirement.id}: {requirement.text}" if requirement else ""
    return f"{judgement.reason}: expected {judgement.expected}; observed {judgement.observed}.{broken}"


def _line(command: str, title: str, message: str) -> str:
    """Return a workflow command. Percent signs, and in a property colons and commas, are written as GitHub has them."""
    text = escape_unprintable(message).replace("%", "%25")
    name = escape_unprintable(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{command} title={name}::{text}"
