"""A target that is a command of this machine, in namespaces of its own: no container engine, and no root needed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from mta_sts_lab.backends.registry import Backend, Job, TargetRefused, refuse_unknown_claims, register
from mta_sts_lab.backends.target_folder import Process as ProcessTable
from mta_sts_lab.backends.target_folder import TargetFile, TargetFolder
from mta_sts_lab.model.world import Family
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.timeouts import TARGET_READY

#: The hooks of the contract, and how the names of scripts end that somebody may give them.
_HOOKS = ("about", "queue", "logs", "flush", "restart", "clock", "reports")
_OF_SCRIPTS = (".sh", ".bash", ".py", ".pl", ".rb")


class Process(Backend):
    """The backend of every target that has a `[process]` table, and of `--command`."""

    name = "process"
    stays_up = True
    captures = True

    def play(self, job: Job) -> str | None:
        """See `Backend`."""
        from mta_sts_lab.backends.process.run import play

        return play(job)

    def one_at_a_time(self, target: TargetFolder) -> str:
        """See `Backend`."""
        return ""

    def families(self, target: TargetFolder) -> tuple[Family, ...]:
        """See `Backend`."""
        from mta_sts_lab.backends.process.network import has_ipv6

        return (Family.IPV4, Family.IPV6) if has_ipv6() else (Family.IPV4,)

    def check(self, target: TargetFolder, flaws: Collection[str]) -> None:
        """See `Backend`. The reference sender as a process has flaws, too."""
        if "LAB_FLAWS" not in target.file.environment:
            super().check(target, flaws)
        assert target.file.process is not None
        refuse_unknown_claims(target.file.process.capabilities)
        program_of(target)
        _check_hooks(target, target.file.process)


def program_of(target: TargetFolder) -> Path:
    """Return the file that a target's command runs. Raises `TargetRefused` if there is none, or perhaps another."""
    assert target.file.process is not None
    program, folder = target.file.process.command[0], target.path.resolve()
    if "/" in program:
        if found := shutil.which(folder / program):
            return Path(found)
        there = "is not executable (chmod +x)" if (folder / program).is_file() else "is not there"
        raise TargetRefused(f"the program {program!r} {there} in {folder}")
    found = shutil.which(program, path=target.file.environment.get("PATH"))
    here = shutil.which(folder / program)
    if not found:
        meant = f"; the one in {folder} is './{program}'" if here else ""
        raise TargetRefused(f"the program {program!r} is not there in any folder of PATH{meant}")
    if here and not Path(here).samefile(found):
        # Whoever has just compiled it means that one, and would test the one that is installed.
        raise TargetRefused(
            f"the program {program!r} is {found} by PATH, and there is one in {folder}, too: "
            f"write './{program}' or {found}"
        )
    return Path(found)


def _check_hooks(target: TargetFolder, process: ProcessTable) -> None:
    hooks, file = hooks_of(target), target.path / "target.toml"
    if process.hooks not in ("", "hooks") and not (target.path / process.hooks).is_dir():
        raise TargetRefused(f"{file}: hooks = {process.hooks!r} is no folder in {target.path.resolve()}")
    if hooks is None:
        return
    for path in sorted(hooks.iterdir()):
        if path.suffix in _OF_SCRIPTS and path.stem in _HOOKS and not (hooks / path.stem).exists():
            raise TargetRefused(f"{path}: nobody would call it; a hook's name has no ending: {path.stem}")
    if not (hooks / "about").is_file():
        raise TargetRefused(f"{hooks}: there is no `about`, the one hook that is needed where there are any")
    if process.capabilities:
        raise TargetRefused(
            f"{file}: capabilities in [process] are for a command without hooks; here {hooks / 'about'} says them"
        )
    if target.file.inject.port == target.file.contract.port:
        raise TargetRefused(
            f"port {target.file.contract.port} is the contract's: mail needs another one, or [contract] port does"
        )


def hooks_of(target: TargetFolder) -> Path | None:
    """Return the folder with a target's hooks, if it has one."""
    process = target.file.process
    folder = target.path.resolve() / process.hooks if process and process.hooks else None
    return folder if folder and folder.is_dir() and not (process and process.serves_contract) else None


def target_of_command(text: str, port: int, ready_seconds: float | None, claims: Sequence[str] = ()) -> TargetFolder:
    """Return the target for `--command`, which runs in the current folder. Raises `TargetRefused`."""
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise TargetRefused(f"--command {text!r}: {error}") from error
    if not command:
        raise TargetRefused("--command is empty; it names a program and its arguments: './mymta --config lab.conf'")
    if not 1 <= port <= 65535:
        raise TargetRefused(f"--smtp {port}: a port is a number from 1 to 65535")
    name = re.sub("[^a-z0-9]+", "-", Path(command[0]).name.lower()).strip("-")[:40] or "command"
    file = TargetFile(
        name=name,
        title=name,
        description=text,
        backend="process",
        inject=Inject(port=port),
        process=ProcessTable(command=tuple(command), hooks="", capabilities=tuple(claims)),
        ready_seconds=TARGET_READY.seconds if ready_seconds is None else ready_seconds,
    )
    return TargetFolder(Path.cwd(), file)


register(Process())
