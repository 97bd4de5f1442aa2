"""What the options of the plugin say: which target, which cases, and where the folders of the runs go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mta_sts_lab.runs import RunRequest

#: The marker of every case, and the beginning of its node id.
CASES = "sts-lab"

_REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Settings:
    """The options, as they were given."""

    target: str = ""
    command: str = ""
    smtp: int = 25
    ready: float | None = None
    selection: tuple[str, ...] = ()
    known: Path | None = None
    flaws: tuple[str, ...] = ()
    black_box: bool = False
    out: Path | None = None

    @property
    def plays_cases(self) -> bool:
        """Whether the cases of the lab are tests of this session."""
        return bool(self.target or self.command)

    @property
    def shown(self) -> str:
        """The target in words."""
        return self.command or self.target

    @classmethod
    def for_fixtures(cls, config: pytest.Config) -> Settings:
        """Return the settings for tests of one's own: without an option the target is that of the ini file."""
        given = settings_of(config)
        if given.plays_cases:
            return given
        target = str(config.getini("sts_target"))
        if target.startswith(".") and config.inipath:
            target = str(config.inipath.parent / target)
        return replace(given, target=target or _REFERENCE)

    def request(self, cases: tuple[str, ...], out: Path) -> RunRequest:
        """Return the request that plays some cases. Raises the errors of `mta_sts_lab.runs.errors`."""
        from mta_sts_lab.runs import RunRequest

        request = RunRequest(
            selection=cases,
            target=self.target,
            flaws=self.flaws,
            out=self.out or out,
            command=("sts-lab", "run", *self._options()),
            black_box=self.black_box,
            known_failures=self.known,
        )
        if not self.command:
            return request
        from mta_sts_lab.backends.process import target_of_command

        return replace(request, unnamed_target=target_of_command(self.command, self.smtp, self.ready))

    def _options(self) -> list[str]:
        """Return the options with which `sts-lab run` plays the same."""
        said = ["--command", self.command, "--smtp", str(self.smtp)] if self.command else ["--target", self.target]
        said += [word for flaw in self.flaws for word in ("--flaw", flaw)]
        return [*said, *(["--black-box"] if self.black_box else [])]


def settings_of(config: pytest.Config) -> Settings:
    """Return the options of a session. Raises `pytest.UsageError` for options that exclude each other."""
    option = config.option
    settings = Settings(
        target=option.sts_target or "",
        command=option.sts_command or "",
        smtp=25 if option.sts_smtp is None else option.sts_smtp,
        ready=option.sts_ready,
        selection=tuple(option.sts_case),
        known=Path(option.sts_known) if option.sts_known else None,
        flaws=tuple(option.sts_flaw),
        black_box=option.sts_black_box,
        out=Path(option.sts_out) if option.sts_out else None,
    )
    if settings.target and settings.command:
        raise pytest.UsageError("--sts-command is a target of its own; leave out --sts-target")
    if not settings.command and (option.sts_smtp is not None or option.sts_ready is not None):
        raise pytest.UsageError("--sts-smtp and --sts-ready describe the program of --sts-command, which is missing")
    if settings.selection and not settings.plays_cases:
        raise pytest.UsageError("--sts-case selects cases, and --sts-target does not say against what they are played")
    return settings
