"""A run in numbers: how many cases got which verdict, what became of mail, and the exit code that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mta_sts_lab.events import TargetDiagnosed
from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.judge.run_findings import RunFinding, findings_of_the_run
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.glossary import GRADES

#: The grades whose cases are printed in full.
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

#: Also a status of 5: something was selected, and the target claims to do nothing of it.
NOTHING_JUDGED = "nothing was judged: all that was selected is unsupported"

#: The worst first, for several runs that share one exit code. A failure outranks what could not be judged, as it does
#: inside one run. A code that is not listed (such as USAGE) comes before all of these.
EXIT_ORDER = (FINDING, LAB_ERROR, INCONCLUSIVE, NOTHING_SELECTED, AS_EXPECTED)


def worst_exit(codes: Iterable[int]) -> int:
    """Return the worst of some exit codes; of none, that nothing was selected."""
    return min(codes, key=lambda code: EXIT_ORDER.index(code) if code in EXIT_ORDER else -1, default=NOTHING_SELECTED)


@dataclass(frozen=True, slots=True)
class Summary:
    """`counts` and `cases` leave control cases out that nobody selected. `unjudged` are cases without a verdict."""

    counts: Mapping[Grade, int]
    cases: int
    control_only: int
    unjudged: tuple[str, ...]
    complete: bool
    exit_code: int
    #: Findings that are on the target's list of known failures, as case ids.
    known: tuple[str, ...] = ()
    #: How many entries of that list no longer occur, and how many fit no case.
    vanished: int = 0
    unmatched: int = 0
    #: In how many cases each harm is the worst that was done to mail.
    harms: Mapping[Harm, int] = field(default_factory=dict)
    #: The cases that were played again: the id of each, and what each of its plays came to, in order.
    played_again: tuple[tuple[str, ...], ...] = ()
    #: The findings of the run, and those of them that are known failures.
    of_the_run: tuple[RunFinding, ...] = ()
    known_of_the_run: tuple[RunFinding, ...] = ()
    #: Whether anything was found, in a case or of the run, that is not known of the target.
    news: bool = False

    @property
    def meaning(self) -> str:
        """What the exit code says."""
        if self.exit_code == NOTHING_SELECTED and self.cases:
            return NOTHING_JUDGED
        if self.exit_code == FINDING and not self.news:
            wrong = [f"{self.vanished} no longer occur"] if self.vanished else []
            wrong += [f"{self.unmatched} fit no case"] if self.unmatched else []
            return f"findings: the list of known failures is not right: {', '.join(wrong)}"
        return EXIT_MEANINGS.get(self.exit_code, "unknown")


def summarise(record: Record, verdicts: Sequence[Verdict], known_failures: KnownComparison | None = None) -> Summary:
    """Count the verdicts of a run. `known_failures` compares them with the known failures of the target."""
    selected = [verdict for verdict in verdicts if not verdict.control_only]
    counted = Counter(verdict.grade for verdict in selected)
    judged = {verdict.case for verdict in verdicts}
    unjudged = tuple(case.id for case in record.header.cases if case.id not in judged)
    known = known_failures.known if known_failures else {}
    complete = record.footer.complete
    of_the_run = findings_of_the_run(verdicts)
    listed = known_failures.known_of_the_run if known_failures else {}
    known_of_the_run = tuple(one for one in of_the_run if one.key in listed)
    news_of_the_run = [one.grade for one in of_the_run if one not in known_of_the_run]
    return Summary(
        counts={word: counted[word] for word in GRADES},
        cases=len(selected) + len(unjudged),
        control_only=len(verdicts) - len(selected),
        unjudged=unjudged,
        complete=complete,
        exit_code=_exit_code(selected, known_failures, news_of_the_run, complete and not unjudged),
        known=tuple(verdict.case for verdict in selected if verdict.case in known),
        vanished=len(known_failures.vanished) if known_failures else 0,
        unmatched=len(known_failures.unmatched) if known_failures else 0,
        harms=Counter(verdict.harm for verdict in selected if verdict.harm),
        played_again=tuple(
            (verdict.case, *(play.grade.value for play in verdict.earlier), verdict.grade.value)
            for verdict in selected
            if verdict.earlier
        ),
        of_the_run=of_the_run,
        known_of_the_run=known_of_the_run,
        news=bool(news_of_the_run)
        or any(one.grade in (Grade.FAIL, Grade.WEAK) for one in selected if one.case not in known),
    )


def _exit_code(
    selected: Sequence[Verdict], known_failures: KnownComparison | None, of_the_run: Sequence[Grade], whole: bool
) -> int:
    """Return the exit code. A failure outranks everything; what was not played or not judged never leads to 0.

    `of_the_run` are the grades of those findings of the run that are not known.

    A known failure is as expected; one that no longer occurs, or fits no case, is a finding. Where all cases are
    unsupported, it is as if none had been selected.
    """
    known = known_failures.known if known_failures else {}
    grades = {verdict.grade for verdict in selected if verdict.case not in known} | set(of_the_run)
    graded = {verdict.grade for verdict in selected}
    if Grade.FAIL in grades:
        return FINDING
    if Grade.LAB_ERROR in graded:
        return LAB_ERROR
    if Grade.INCONCLUSIVE in graded or not whole:
        return INCONCLUSIVE
    if Grade.WEAK in grades or (known_failures and (known_failures.vanished or known_failures.unmatched)):
        return FINDING
    return AS_EXPECTED if graded - {Grade.UNSUPPORTED} else NOTHING_SELECTED


def diagnoses_of(record: Record) -> tuple[TargetDiagnosed, ...]:
    """Return what is wrong with the target's configuration: each once, also where a run was played in parts."""
    found = {
        event.fact.code: event.fact for event in reversed(record.events) if isinstance(event.fact, TargetDiagnosed)
    }
    return tuple(reversed(found.values()))
