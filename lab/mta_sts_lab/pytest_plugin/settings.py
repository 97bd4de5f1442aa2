"""What the options of the plugin say: which target, which cases, and where the folders of the runs go."""

from __future__ import annotations

import tempfile
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
    #: A folder with scenario files; None: those that come with the lab.
    scenarios: Path | None = None
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
        if target.startswith("."):
            target = str(_beside_the_ini_file(config, target))
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
            scenarios=self.scenarios,
        )
        if not self.command:
            return request
        from mta_sts_lab.backends.process import target_of_command

        return replace(request, unnamed_target=target_of_command(self.command, self.smtp, self.ready))

    def _options(self) -> list[str]:
        """Return the options with which `sts-lab run` plays the same."""
        said = ["--command", self.command, "--smtp", str(self.smtp)] if self.command else ["--target", self.target]
        said += [word for flaw in self.flaws for word in ("--flaw", flaw)]
        said += ["--scenarios", str(self.scenarios)] if self.scenarios else []
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
        scenarios=_scenarios(config),
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


def _scenarios(config: pytest.Config) -> Path | None:
    """Return the folder of scenario files that was named. Raises `pytest.UsageError` if there is none there."""
    named, where = config.option.sts_scenarios, "--sts-scenarios"
    folder = Path(named) if named else None
    if folder is None and (in_file := str(config.getini("sts_scenarios"))):
        folder, where = _beside_the_ini_file(config, in_file), "sts_scenarios"
    if folder is not None and not folder.is_dir():
        raise pytest.UsageError(f"{where}: {folder} is no folder")
    return folder


def _beside_the_ini_file(config: pytest.Config, path: str) -> Path:
    """Return a path of the ini file, which is relative to that file's folder."""
    return config.inipath.parent / path if config.inipath else Path(path)


def run_folder(config: pytest.Config) -> Path:
    """Return a new folder for runs, in pytest's temporary folder, of which the last three are kept.

    pytest has no public name for that outside of fixtures. Without it (`-p no:tmpdir`) the system's is taken.
    """
    factory: pytest.TempPathFactory | None = getattr(config, "_tmp_path_factory", None)
    return factory.mktemp(CASES) if factory is not None else Path(tempfile.mkdtemp(prefix=f"{CASES}-"))
