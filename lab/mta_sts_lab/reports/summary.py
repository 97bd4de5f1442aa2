"""A run in numbers: how many cases got which verdict, and the exit code that follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.model import Grade, Verdict
from mta_sts_lab.record import Record

#: Best first; every report counts in this order.
WORDS = (
    Grade.PASS,
    Grade.INFO,
    Grade.WEAK,
    Grade.UNSUPPORTED,
    Grade.INCONCLUSIVE,
    Grade.LAB_ERROR,
    Grade.FAIL,
)

#: What is shown in full. The rest is silent: a reader looks for what went wrong.
FINDINGS = (Grade.WEAK, Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.FAIL)

AS_EXPECTED = 0
FINDING = 1
USAGE = 2
LAB_ERROR = 3
INCONCLUSIVE = 4
NOTHING_SELECTED = 5

EXIT_MEANINGS: Mapping[int, str] = {
    AS_EXPECTED: "all as expected",
    FINDING: "findings: the target did not do what is expected of it",
    USAGE: "the command line was wrong",
    LAB_ERROR: "error in the lab: at least one case was not judged because of it",
    INCONCLUSIVE: "inconclusive: at least one case proves nothing",
    NOTHING_SELECTED: "nothing was selected",
}

#: The other way to a status of 5: something was selected, and nothing of it is what this target is asked about.
NOTHING_JUDGED = "nothing was judged: all that was selected is unsupported"

#: The worst first, for several runs that are told as one: a failure that was seen outranks what could not be judged, as
#: it does inside one run. Whatever is not listed (what was typed cannot be done) comes before all of these.
EXIT_ORDER = (FINDING, LAB_ERROR, INCONCLUSIVE, NOTHING_SELECTED, AS_EXPECTED)


def worst_exit(codes: Iterable[int]) -> int:
    """Return the worst of some exit codes; of none, that nothing was selected."""
    return min(codes, key=lambda code: EXIT_ORDER.index(code) if code in EXIT_ORDER else -1, default=NOTHING_SELECTED)


@dataclass(frozen=True, slots=True)
class Summary:
    """`counts` and `cases` leave supporting cases out: nobody selected them. `unjudged` are cases without a verdict."""

    counts: Mapping[Grade, int]
    cases: int
    supporting: int
    unjudged: tuple[str, ...]
    complete: bool
    exit_code: int
    #: Findings of the target that are on its list of known deviations, as case ids.
    known: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """What the exit code says."""
        if self.exit_code == NOTHING_SELECTED and self.cases:
            return NOTHING_JUDGED
        return EXIT_MEANINGS.get(self.exit_code, "unknown")


def summarise(record: Record, verdicts: Sequence[Verdict], accounts: KnownComparison | None = None) -> Summary:
    """Count the verdicts of a run, and set them against what was known of the target."""
    selected = [verdict for verdict in verdicts if not verdict.supporting]
    counted = Counter(verdict.grade for verdict in selected)
    judged = {verdict.case for verdict in verdicts}
    unjudged = tuple(case.id for case in record.header.cases if case.id not in judged)
    known = accounts.known if accounts else {}
    complete = record.footer.complete
    return Summary(
        counts={word: counted[word] for word in WORDS},
        cases=len(selected) + len(unjudged),
        supporting=len(verdicts) - len(selected),
        unjudged=unjudged,
        complete=complete,
        exit_code=_exit_code(selected, accounts, complete and not unjudged),
        known=tuple(verdict.case for verdict in selected if verdict.case in known),
    )


def _exit_code(selected: Sequence[Verdict], accounts: KnownComparison | None, whole: bool) -> int:
    """A failure that was seen outranks everything; what was not played or not judged never leaves a zero.

    A known deviation is as expected; one that has vanished, or fits no case, is news and therefore a finding. Where all
    cases are unsupported there is nothing that could be as expected: it is as if none had been selected.
    """
    known = accounts.known if accounts else {}
    grades = {verdict.grade for verdict in selected if verdict.case not in known}
    graded = {verdict.grade for verdict in selected}
    if Grade.FAIL in grades:
        return FINDING
    if Grade.LAB_ERROR in graded:
        return LAB_ERROR
    if Grade.INCONCLUSIVE in graded or not whole:
        return INCONCLUSIVE
    if Grade.WEAK in grades or (accounts and (accounts.vanished or accounts.unmatched)):
        return FINDING
    return AS_EXPECTED if graded - {Grade.UNSUPPORTED} else NOTHING_SELECTED
