"""Plays cases in one run, and shows on a terminal how it is going."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.events import CaseEnded, Event
from mta_sts_lab.judge.known_failures import KnownFailure, findings_of
from mta_sts_lab.judge.run_findings import findings_of_the_run
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.pytest_plugin.settings import CASES, Settings, run_folder, settings_of
from mta_sts_lab.reports.terminal import Evidence, finding_block, run_finding_block
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import RunResult, Watcher, run
from mta_sts_lab.runs.errors import Interrupted, status_of

#: Cells of a block in a failure's text.
_WIDTH = 100


class NotPlayed(Exception):
    """The cases could not be played. The message says why."""


@dataclass(frozen=True, slots=True)
class PlayedCase:
    """One case of a run, and its verdict."""

    result: RunResult
    verdict: Verdict

    @classmethod
    def of(cls, result: RunResult, case: str) -> PlayedCase:
        """Return a case of a run. Raises `NotPlayed` if it has no verdict."""
        found = next((verdict for verdict in result.verdicts if verdict.case == case), None)
        if found is None:
            raise NotPlayed(f"{case}: the case has no verdict; the record is in {result.folder}")
        return cls(result, found)

    @property
    def headline(self) -> str:
        """The verdict in one line: `fail: delivered-clear, read-in-clear (STS-5-03)`."""
        worst = [one for one in self.verdict.judgements if one.grade is self.verdict.grade]
        reasons = ", ".join(dict.fromkeys(one.reason for one in worst)) or "nothing was proved"
        obligations = ", ".join(dict.fromkeys(one.obligation for one in worst if one.obligation))
        return f"{self.verdict.grade.value}: {reasons}" + (f" ({obligations})" if obligations else "")

    @property
    def of_the_run(self) -> str:
        """The blocks of the findings of the run that this case is the example of, and that are not known."""
        found = [one for one in findings_of_the_run(self.result.verdicts) if one.example == self.verdict.case]
        news = [one for one in found if one.key not in self.result.known.known_of_the_run]
        return "\n".join(_printed(run_finding_block(one, load_requirements())) for one in news)

    @property
    def vanished(self) -> tuple[KnownFailure, ...]:
        """The known failures of this case that no longer occur in it."""
        return tuple(one for one in self.result.known.vanished if one.case == self.verdict.case)

    @property
    def news(self) -> str:
        """What is not as it is known of the target, in words; empty for nothing.

        A case without a finding that is known to have one is left out: it passes, which its strict xfail takes for a
        failure. A known finding of the run makes no xfail.
        """
        findings = findings_of(self.verdict)
        missed = [one for one in self.vanished if findings or one.of_the_run]
        is_news = bool(findings) and (bool(missed) or self.verdict.case not in self.result.known.known)
        said = [self.text] if is_news else []
        said += [self.of_the_run] if self.of_the_run else []
        said += [f"no longer occurs, and is on the list: {_named(missed)}"] if missed else []
        return "\n".join(said)

    @property
    def text(self) -> str:
        """The block that `sts-lab run` prints: obligation, expected, observed, evidence, and how to repeat it."""
        known = self.result.known.known.get(self.verdict.case, ())
        evidence = Evidence.of(self.result.record, self.result.folder, self.result.log)
        return f"{self.headline}\n{_printed(finding_block(self.verdict, evidence, load_requirements(), known))}"


def _named(failures: Iterable[KnownFailure]) -> str:
    return ", ".join(f"{one.obligation} ({', '.join(one.codes)})" for one in failures)


def _printed(block: RenderableType) -> str:
    page = Console(file=io.StringIO(), width=_WIDTH, color_system=None, highlight=False)
    page.print(block)
    assert isinstance(page.file, io.StringIO)
    return page.file.getvalue()


def play(config: pytest.Config, catalogue: Catalogue, cases: tuple[str, ...]) -> RunResult:
    """Play cases against the session's target. Raises `NotPlayed`."""
    progress = _Progress(config, cases)
    try:
        return play_quietly(settings_of(config), catalogue, cases, run_folder(config), progress.watcher())
    finally:
        progress.clear()


def play_quietly(
    settings: Settings, catalogue: Catalogue, cases: tuple[str, ...], out: Path, watcher: Watcher | None = None
) -> RunResult:
    """Play cases and return the judged run. Raises `NotPlayed` and `KeyboardInterrupt`."""
    try:
        with other_peoples_warnings():
            return run(settings.request(cases, out), watcher, catalogue)
    except Interrupted as error:
        raise KeyboardInterrupt(str(error)) from None
    except Exception as error:
        if status_of(error) is None:
            raise
        raise NotPlayed(str(error)) from error


def other_peoples_warnings() -> AbstractContextManager[object]:
    """Ignore warnings of the lab and its dependencies: a session may turn warnings into errors for its own code."""
    return warnings.catch_warnings(action="ignore")


class _Progress:
    """Writes how many cases were played over one line of the terminal, while nothing else is written there."""

    def __init__(self, config: pytest.Config, cases: tuple[str, ...]) -> None:
        reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._terminal = reporter if reporter is not None and reporter.isatty else None
        self._cases = frozenset(cases)
        self._ended = 0

    def watcher(self) -> Watcher:
        self._show()
        return Watcher(event=self._seen)

    def clear(self) -> None:
        if self._terminal is not None:
            self._terminal.rewrite("", erase=True)

    def _seen(self, event: Event) -> None:
        if isinstance(event.fact, CaseEnded) and event.case in self._cases:
            self._ended += 1
            self._show()

    def _show(self) -> None:
        if self._terminal is not None:
            self._terminal.rewrite(f"{CASES}: played {self._ended} of {len(self._cases)} cases", erase=True)
