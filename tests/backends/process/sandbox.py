"""Plays cases against a command in namespaces and judges them, as `sts-lab run` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mta_sts_lab.backends.process.run import play
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.backends.target_folder import Process, TargetFile, TargetFolder
from mta_sts_lab.events import Event
from mta_sts_lab.judge import judge
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.record import Footer, Header, Record
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.runs import load_shipped_catalogue
from mta_sts_lab.runs.families import in_families
from mta_sts_lab.targets.injection import Inject

TOY_SENDER = Path(__file__).parents[3] / "docs" / "examples" / "toy-sender"

#: As `sts-lab reference-sender`, without the command line.
REFERENCE_SENDER = (
    sys.executable,
    "-c",
    "import asyncio, os; from mta_sts_lab.reference.server import serve_container;"
    "asyncio.run(serve_container(os.environ))",
)


def toy_sender(*, before: str = "", after: str = "") -> tuple[str, ...]:
    """The toy sender on port 2525, started by a shell."""
    return ("sh", "-c", f"{before}{sys.executable} {TOY_SENDER}/toy_sender.py 2525{after}")


@dataclass
class Sandbox:
    """A folder for a target, and one for what its runs leave."""

    folder: Path
    kept: Path
    said: list[str] = field(default_factory=list)
    record: Record | None = None

    def target(self, command: Sequence[str], port: int = 2525, ready: float = 40, **process: object) -> TargetFolder:
        return TargetFolder(
            self.folder,
            TargetFile(
                name="tested",
                title="Tested",
                description="",
                backend="process",
                ready_seconds=ready,
                inject=Inject(port=port),
                process=Process(command=tuple(command), **process),  # type: ignore[arg-type]
            ),
        )

    def play(
        self,
        target: TargetFolder,
        *selection: str,
        flaws: Sequence[str] = (),
        family: str = "",
        black_box: bool = False,
    ) -> dict[str, Verdict]:
        """Play some cases; return the verdicts by case."""
        catalogue = load_shipped_catalogue()
        headers: list[Header] = []
        events: list[Event] = []
        footers: list[Footer] = []

        def keep(name: str, text: str) -> None:
            (self.kept / name).write_text(text, encoding="utf-8")

        plan = plan_run(catalogue.find(selection), catalogue.cases, ("pytest",), 8461)
        plan = replace(in_families(plan, family, target), black_box=black_box)
        outlet = Outlet(headers.append, events.append, footers.append, keep)
        play(Job(plan, target, outlet, self.kept, frozenset(flaws), self.said.append))
        self.record = Record(headers[0], tuple(events), footers[0])
        return {verdict.case: verdict for verdict in judge(self.record, load_requirements())}

    @property
    def log(self) -> str:
        """What the target printed."""
        return (self.kept / "log.txt").read_text(encoding="utf-8")
