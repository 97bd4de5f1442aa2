"""What `sts-lab run` and `judge` write for continuous integration: JUnit, SARIF, annotations, and a baseline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.output import aside, console, refuse_unwritable

if TYPE_CHECKING:
    from mta_sts_lab.runs import RunResult


class KnownAs(StrEnum):
    """What a known failure is in JUnit."""

    SKIPPED = "skipped"
    PASSED = "passed"


class Annotate(StrEnum):
    """Who shows annotations."""

    GITHUB = "github"
    NONE = "none"


Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write the JUnit file here.")]
JunitKnown = Annotated[
    KnownAs,
    typer.Option("--junit-known", help="In --junit a known failure is skipped, or passes; its reason is there."),
]
Sarif = Annotated[
    Path | None, typer.Option("--sarif", metavar="FILE", help="Also write the findings as SARIF, for code scanning.")
]
Annotations = Annotated[
    Annotate | None,
    typer.Option(
        "--annotations", help="Print annotations for each new finding.", show_default="github inside GitHub Actions"
    ),
]
Known = Annotated[
    Path | None,
    typer.Option("--known", metavar="FILE", help="The list of known failures, instead of that in the target's folder."),
]
WriteKnown = Annotated[
    Path | None,
    typer.Option("--write-known", metavar="FILE", help="Write all findings into a new list of known failures."),
]


@dataclass(frozen=True, slots=True)
class ForCi:
    """What is to be written, and where."""

    junit: Path | None = None
    junit_known: KnownAs = KnownAs.SKIPPED
    sarif: Path | None = None
    annotations: Annotate | None = None
    write_known: Path | None = None

    @property
    def files(self) -> Mapping[str, Path]:
        """The files by their options."""
        named = {"--junit": self.junit, "--sarif": self.sarif, "--write-known": self.write_known}
        return {option: path for option, path in named.items() if path is not None}

    def check(self, runs: int = 1) -> None:
        """Raise `UsageError`, before anything is played, for what could not be written afterwards."""
        from mta_sts_lab.runs.errors import UsageError

        for option, path in self.files.items():
            if runs > 1:
                raise UsageError(
                    f"{option} is about one target; give one --target, or use the files in each run's folder"
                )
            refuse_unwritable(option, path)
        if self.write_known is not None and self.write_known.exists():
            raise UsageError(
                f"--write-known {self.write_known}: is there already, and its reasons would be lost; name another file"
            )

    def write(self, result: RunResult) -> None:
        """Write the files of a run, and print its annotations to standard error. Raises `UsageError`."""
        from mta_sts_lab.runs.errors import UsageError
        from mta_sts_lab.whole_files import write_whole

        for option, path in self.files.items():
            try:
                write_whole(path, self._content(option, result))
            except OSError as error:
                raise UsageError(f"{option} {path}: cannot be written: {error.strerror}") from error
        if self.write_known is not None:
            text = f"known failures: {self.write_known} (use it with --known, or as known-failures.toml of the target)"
            aside(console(stderr=True), text)
        self._annotate(result)

    def _content(self, option: str, result: RunResult) -> bytes:
        from mta_sts_lab.reports.baseline import baseline
        from mta_sts_lab.reports.writers.junit import junit_xml
        from mta_sts_lab.requirements import load_requirements
        from mta_sts_lab.runs.writing import target_log

        header, requirements = result.record.header, load_requirements()
        if option == "--sarif":
            return (result.folder / "findings.sarif").read_bytes()
        if option == "--junit":
            log = target_log(result.folder)
            return junit_xml(result.record, result.verdicts, requirements, result.known, self.junit_known.value, log)
        return baseline(header.run, header.about.name, result.verdicts, requirements).encode()

    def _annotate(self, result: RunResult) -> None:
        from mta_sts_lab.reports.annotations import run_annotations
        from mta_sts_lab.requirements import load_requirements

        inside = Annotate.GITHUB if os.environ.get("GITHUB_ACTIONS") == "true" else Annotate.NONE
        if (self.annotations or inside) is Annotate.GITHUB:
            screen = console(stderr=True)
            for line in run_annotations(result.verdicts, result.known, load_requirements(), result.summary):
                screen.print(line, markup=False, soft_wrap=True)
