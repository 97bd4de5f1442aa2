"""What GitHub Actions shows beside a pull request: a workflow command for each case with a new finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.model import Grade, Requirement, Verdict
from mta_sts_lab.reports.escaping import escape_unprintable

#: The worst first: GitHub shows ten of a kind for each step.
_COMMANDS = {Grade.FAIL: "error", Grade.LAB_ERROR: "error", Grade.INCONCLUSIVE: "error", Grade.WEAK: "warning"}


def github_annotations(
    verdicts: Sequence[Verdict], known: KnownComparison, requirements: Mapping[str, Requirement]
) -> Iterator[str]:
    """Yield the lines. A known failure has none; one that no longer occurs, or fits no case, has an error."""
    found = [one for one in verdicts if not one.control_only and one.case not in known.known]
    for grade, command in _COMMANDS.items():
        for verdict in (one for one in found if one.grade is grade):
            yield _line(command, f"{grade.value}: {verdict.case}", _message(verdict, requirements))
    for what, failures in (("no longer occurs", known.vanished), ("fits no case", known.unmatched)):
        for failure in failures:
            message = f"{failure.obligation} ({', '.join(failure.codes)}): correct the list of known failures"
            yield _line("error", f"a known failure {what}: {failure.case}", message)


def _message(verdict: Verdict, requirements: Mapping[str, Requirement]) -> str:
    worst = [one for one in verdict.judgements if one.grade is verdict.grade]
    if not worst:
        return "no check of this case came to a result"
    first = worst[0]
    requirement = requirements.get(first.obligation)
    broken = f" {requirement.id}: {requirement.text}" if requirement else ""
    return f"{first.reason}: expected {first.expected}; observed {first.observed}.{broken}"


def _line(command: str, title: str, message: str) -> str:
    """Return a workflow command. Percent signs, and in a property colons and commas, are written as GitHub has them."""
    text = escape_unprintable(message).replace("%", "%25")
    name = escape_unprintable(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{command} title={name}::{text}"
