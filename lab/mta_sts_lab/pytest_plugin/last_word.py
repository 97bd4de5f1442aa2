"""The exit status of a session in which no case of the lab was judged."""

from __future__ import annotations

import pytest

#: The name under which an item tells its verdict, among its properties.
VERDICT = "sts-lab verdict"


class LastWord:
    """Sees the verdicts of a session, also those of pytest-xdist's workers, and corrects its exit status.

    Where the target claims to do nothing of all that was selected, each case is skipped. To pytest that is a success,
    and to `sts-lab run` it is as if nothing had been selected: the status is that of no tests.
    """

    def __init__(self) -> None:
        self._verdicts: set[object] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the verdict on a case."""
        self._verdicts |= {value for name, value in report.user_properties if name == VERDICT}

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Let a session not succeed in which nothing was judged."""
        if self._nothing_judged and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why."""
        if self._nothing_judged:
            from mta_sts_lab.reports.summary import NOTHING_JUDGED

            terminalreporter.write_line(f"sts-lab: {NOTHING_JUDGED}", yellow=True)

    @property
    def _nothing_judged(self) -> bool:
        return self._verdicts == {"unsupported"}
