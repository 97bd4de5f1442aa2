"""Starts the runner in new namespaces, passes its record on, and ends it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from mta_sts_lab.backends.process import hooks_of, program_of
from mta_sts_lab.backends.process.entering import doors
from mta_sts_lab.backends.process.inside import NEVER_UP, TARGET_FAILED, Sent
from mta_sts_lab.backends.process.network import TARGET_ADDRESS, WORLD_PREFIXES
from mta_sts_lab.backends.process.settings import init_settings
from mta_sts_lab.backends.registry import BackendError, Job
from mta_sts_lab.backends.served_plan import OwnAnswers, ProcessPlan, ServedPlan, pass_on
from mta_sts_lab.backends.staying import Doors, staying
from mta_sts_lab.targets.contract import NeverUp, TargetError
from mta_sts_lab.world.pki import Authority

#: The programs that make namespaces, and the Debian packages that they are in.
TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux", "ip": "iproute2"}

#: Ordinary users often do not have these in PATH.
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")

#: Seconds to wait for the end of the namespaces. The kernel needs milliseconds.
_END_SECONDS = 10

_TWO_WAYS_OUT = (
    "Run the same command with sudo, or allow namespaces: `sysctl kernel.apparmor_restrict_unprivileged_userns=0` "
    "where AppArmor restricts them (Ubuntu 24.04 and later), `sysctl kernel.unprivileged_userns_clone=1` on older "
    "Debian, `sysctl user.max_user_namespaces=10000` elsewhere; in a container, it must be allowed to make namespaces"
)


def play(job: Job) -> str | None:
    """Play a job in namespaces; see `Backend.play`."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    _check_machine(path)
    output = job.directory / "output.txt"
    output.touch()
    sent = _sent(job, output)
    job.outlet.target_file("configuration.txt", _configuration(job))
    with tempfile.TemporaryFile() as errors:
        try:
            status = _played(sent, job, {**os.environ, "PATH": path}, errors.fileno())
        finally:
            # What the hook `logs` shows is the log, if there is one; else what the target printed.
            if not _shows_a_log(job) or not (job.directory / "log.txt").exists():
                output.replace(job.directory / "log.txt")
        errors.seek(0)
        problem = errors.read().decode(errors="replace").strip()
    if status == NEVER_UP:
        raise NeverUp(problem)
    if status == TARGET_FAILED:
        if job.plan.checks_adapter:
            return problem
        raise TargetError(problem)
    if status:
        raise BackendError(_lab_error(status, problem))
    return ""


def _check_machine(path: str) -> None:
    if sys.platform != "linux":
        raise BackendError(
            "a command runs in namespaces, and only Linux has those: put the mail server into a container"
        )
    missing = {tool: package for tool, package in TOOLS.items() if not shutil.which(tool, path=path)}
    if missing:
        tools, packages = ", ".join(missing), ", ".join(sorted(set(missing.values())))
        raise BackendError(f"to run a command in namespaces {tools} must be installed (in Debian: {packages})")


def _configuration(job: Job) -> str:
    """Return a description of the target, for a file in the folder of the run."""
    process, hooks, user = job.target.file.process, hooks_of(job.target), ordinary_user()
    lines = [
        f"command: {shlex.join(process.command if process else ())}",
        f"program: {program_of(job.target)}",
        f"folder:  {job.target.path.resolve()}",
        f"as:      {'root' if user is None else f'user {user[0]}, group {user[1]}'}",
    ]
    lines += [f"hooks:   {hooks}"] if hooks else []
    return "\n".join(lines) + "\n"


def _lab_error(status: int, problem: str) -> str:
    if problem.startswith(("unshare: ", "mount: ")) or "Operation not permitted" in problem:
        return f"this machine makes no namespaces for us ({problem.splitlines()[0]}). {_TWO_WAYS_OUT}"
    return problem or f"the lab's process in the namespaces ended with status {status}"


def _played(sent: Sent, job: Job, environment: dict[str, str], errors: int) -> int:
    """Start the runner, follow its record to the end, and return its exit status. Nothing of it stays behind."""
    process = subprocess.Popen(  # noqa: S603 - its parts are ours
        _command(ordinary_user() is not None),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        # Ctrl-C is for this program, which then ends that one.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(sent) + b"\n")
            process.stdin.flush()
        job.say(f"{job.target.file.title}: starting in namespaces of its own")
        with staying(job, lambda: _doors(process, job), lambda: _release(process)) as shown:
            for line in process.stdout:
                pass_on(line, shown.outlet)
            return process.wait()
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            # The first process of a PID namespace is only gone when all others are.
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _doors(process: subprocess.Popen[bytes], job: Job) -> Doors:
    ca_file = (job.directory / "ca.pem").resolve()
    return doors(process.pid, ordinary_user() is not None, job.target.file.inject.port, ca_file)


def _release(process: subprocess.Popen[bytes]) -> None:
    """Have the world taken down that was to stay up."""
    with contextlib.suppress(OSError, ValueError):
        assert process.stdin is not None
        process.stdin.write(b"down\n")
        process.stdin.flush()


def ordinary_user() -> tuple[int, int] | None:
    """Return the user and the group of this process; None for root, who needs no user namespace.

    Root of a user namespace, as in a container that was started without root, may do no more than an ordinary user.
    """
    return None if os.geteuid() == 0 and _is_in_first_user_namespace() else (os.geteuid(), os.getegid())


def _is_in_first_user_namespace() -> bool:
    """Whether every user of the machine is one here (user_namespaces(7))."""
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", str(2**32 - 1)]


def _command(user_namespace: bool) -> list[str]:
    """Return the command that starts the runner in new namespaces, and ends with this process, however that ends."""
    return [
        *("setpriv", "--pdeathsig", "KILL", "unshare"),
        *(("--user", "--map-root-user") if user_namespace else ()),
        *("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-P", "-m", "mta_sts_lab.backends.process.inside"),
    ]


def _sent(job: Job, output: Path) -> Sent:
    file, authority, user = job.target.file, Authority.create(), ordinary_user()
    assert file.process is not None
    if job.plan.stays:
        job.outlet.target_file("ca.pem", authority.certificate_pem.decode())
    environment = {**os.environ, **file.environment}
    if job.flaws:
        environment["LAB_FLAWS"] = ",".join(sorted(job.flaws))
    answers = OwnAnswers(job.target.name, file.process.capabilities, file.process.retry_seconds)
    plan = ProcessPlan(
        served=ServedPlan(
            plan=job.plan,
            prefixes=WORLD_PREFIXES,
            target_address=TARGET_ADDRESS,
            inject=file.inject,
            contract_port=file.contract.port,
            ready_seconds=file.ready_seconds,
        ),
        ca_pem=authority.certificate_pem.decode(),
        ca_key_pem=authority.private_key_pem.decode(),
        own_answers=None if _answers(job) else answers,
        root=user is None,
        output=str(output.resolve()),
    )
    settings = init_settings(job.target, environment, authority.certificate_pem, user, output)
    return Sent(msgspec.Raw(msgspec.json.encode(settings)), msgspec.Raw(msgspec.json.encode(plan)))


def _answers(job: Job) -> bool:
    """Whether the target answers the contract, by itself or by hooks."""
    process = job.target.file.process
    return hooks_of(job.target) is not None or (process is not None and process.serves_contract)


def _shows_a_log(job: Job) -> bool:
    """Whether the target shows a log by itself, or by a hook."""
    process, hooks = job.target.file.process, hooks_of(job.target)
    return (hooks / "logs").is_file() if hooks else process is not None and process.serves_contract
