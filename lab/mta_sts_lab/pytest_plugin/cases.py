"""The cases of the lab as test items: collected from the catalogue, played at once, reported one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.judge.known_failures import KnownFailure, findings_of, matches
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.pytest_plugin.last_word import VERDICT
from mta_sts_lab.pytest_plugin.playing import NotPlayed, PlayedCase, other_peoples_warnings, play
from mta_sts_lab.pytest_plugin.settings import CASES, settings_of
from mta_sts_lab.pytest_plugin.shards import shard_of_each
from mta_sts_lab.runs import RunResult, load_shipped_catalogue
from mta_sts_lab.runs.errors import status_of
from mta_sts_lab.runs.scenarios import whole_catalogue
from mta_sts_lab.runs.selecting import choose_cases
from mta_sts_lab.runs.service import find_target_for, known_failures_for

_CATALOGUE = pytest.StashKey[Catalogue]()
_RESULTS = pytest.StashKey[dict[str, "RunResult"]]()


class Finding(Exception):
    """The mail server did what it must not do, or did not do what it has to."""


class KnownFinding(Exception):
    """A finding that is on the target's list of known failures."""


class NothingProved(Exception):
    """The case proves nothing, because of the lab or of the target."""


class CaseCollector(pytest.Collector):
    """Collects the cases of --sts-case, or all."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each case. A mistake in an option or a file is an error of the collection."""
        settings = settings_of(self.config)
        try:
            with other_peoples_warnings():
                catalogue = whole_catalogue(settings.scenarios)
            request = settings.request((), Path())
            target = find_target_for(request)
            known = known_failures_for(request, target)
            chosen = choose_cases(catalogue, settings.selection, ())
        except Exception as error:
            if status_of(error) is None:
                raise
            raise self.CollectError(str(error)) from error
        _refuse_unmatched(known, {*catalogue.cases, *load_shipped_catalogue().cases})
        self.session.stash[_CATALOGUE] = catalogue
        named = self.config.getoption("sts_named", [])
        ids = {case.id: f"{CASES}::{case.id}" for case in chosen}
        return (
            CaseItem.from_parent(self, name=case.id, nodeid=ids[case.id], case=case, known=known)
            for case in chosen
            if not named or ids[case.id] in named
        )


def _refuse_unmatched(known: Sequence[KnownFailure], cases: Collection[str]) -> None:
    own = [one for one in known if not one.inherited_from]
    unmatched = {one.case for one in own if not any(matches(one.case, case) for case in cases)}
    if unmatched:
        raise pytest.Collector.CollectError(
            f"the list of known failures names what no case is called: {', '.join(sorted(unmatched))}"
        )


class CaseItem(pytest.Item):
    """One case. What is known to fail is a strict xfail with the reason from the list of known failures."""

    def __init__(self, *, case: Case, known: Iterable[KnownFailure], **named: Any) -> None:
        super().__init__(**named)
        self.case = case
        self.case_seconds = 0.0
        self._played: PlayedCase | None = None
        for marker in (CASES, case.scenario.partition("/")[0], case.mode.value):
            self.add_marker(marker)
        if self.config.pluginmanager.hasplugin("timeout"):
            # The first case waits for all of them, and the lab has deadlines of its own.
            self.add_marker(pytest.mark.timeout(0))
        # A finding of the run is no part of the verdict on a case, which may pass.
        mine = [one for one in known if not one.of_the_run and matches(one.case, case.id)]
        if mine:
            reasons = dict.fromkeys(one.reason for one in mine)
            # What the shipped target does that this one is based on may occur, and need not. Without hooks the target
            # shows less: what does not occur then has not vanished.
            strict = not (
                all(one.inherited_from or one.sometimes for one in mine) or settings_of(self.config).black_box
            )
            self.add_marker(pytest.mark.xfail(reason="; ".join(reasons), raises=KnownFinding, strict=strict))

    def setup(self) -> None:
        """Play the case, with all the others that this process plays. What proves nothing is an error."""
        self._played = played = _played(self)
        verdict = played.verdict
        self.case_seconds = max(verdict.ended - verdict.began, 0.0)
        self.user_properties += [(VERDICT, verdict.grade.value), ("sts-lab run", str(played.result.folder))]
        obligations = dict.fromkeys(one.obligation for one in findings_of(verdict) if one.obligation)
        self.user_properties += [("sts-lab obligation", obligation) for obligation in obligations]
        if verdict.grade in (Grade.INCONCLUSIVE, Grade.LAB_ERROR):
            raise NothingProved(played.text)

    def runtest(self) -> None:
        """Pass or fail as `sts-lab run` decides its exit status."""
        played = self._played
        assert played is not None
        # Before what is known of the case: an expected failure would hide it.
        if news := played.news:
            raise Finding(news)
        if self.case.id in played.result.known.known:
            raise KnownFinding(played.text)
        if played.verdict.grade is Grade.UNSUPPORTED and not played.vanished:
            pytest.skip("unsupported: the target does not claim to do it")
        if played.verdict.grade is Grade.INFO:
            self.add_report_section("call", CASES, played.text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the block that `sts-lab run` prints of a finding; no traceback of the lab."""
        if isinstance(excinfo.value, Finding | KnownFinding | NothingProved | NotPlayed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the case stands."""
        return self.path, None, f"{CASES}: {self.case.id}"


def _played(item: CaseItem) -> PlayedCase:
    """Return a case's result; the first case that is asked for has all of this process's cases played."""
    session = item.session
    results = session.stash.setdefault(_RESULTS, {})
    if item.case.id not in results:
        cases = _cases_of_this_process(item)
        try:
            result = play(item.config, session.stash[_CATALOGUE], cases)
        except NotPlayed:
            session.shouldstop = "no case could be played"
            raise
        results.update(dict.fromkeys(cases, result))
    return PlayedCase.of(results[item.case.id], item.case.id)


def _cases_of_this_process(item: CaseItem) -> tuple[str, ...]:
    """Return the selected cases; for a worker of pytest-xdist those of its shard."""
    every = [one.case for one in item.session.items if isinstance(one, CaseItem)]
    worker = getattr(item.config, "workerinput", None)
    if worker is None or item.config.getoption("dist", "no") == "each":
        return tuple(case.id for case in every)
    shards = shard_of_each(every, worker["workercount"])
    return tuple(case.id for case in every if shards[case.id] == shards[item.case.id])
