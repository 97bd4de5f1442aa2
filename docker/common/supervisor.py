#!/usr/bin/env python3
"""Process 1 of a target image: start the services, start them again when they end, end everything when asked.

    supervisor.py SERVICES.toml

The file lists the services in the order in which they are started:

    [[service]]
    name = "mta-sts-daemon"
    command = ["mta-sts-daemon", "--config", "/etc/mta-sts-daemon.yml"]
    log = "/var/log/mta-sts-daemon.log"     # optional: without it, what the service says is what the container says
    environment = { SSL_CERT_FILE = "/lab/ca.pem" }     # optional, beside the container's own

Every service leads a process group of its own, whose number is in /run/mta-sts-lab/<name>.pid: a signal to the
group reaches the service with all its children. A service that ends is started again, as an init system on a
real mail server would do it, but only when the last process of its old group has ended and nobody holds it back;
a service that cannot stay up ends the container. Zombies are reaped, whoever their parents were.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

STATE_FOLDER = Path("/run/mta-sts-lab")
# While this file is there, services may end and none is started: whoever ends several of them (restart_services.py)
# wants them back together and in their order.
HOLD_FILE = STATE_FOLDER / "hold"
# A service that ends by itself sooner than this was never really up ...
SHORT_LIFE_SECONDS = 2.0
# ... and so many short lives in a row mean that it never will be.
SHORT_LIVES_LIMIT = 5
# How much of such a service's log the container says itself.
LAST_WORDS_LINES = 20
# Docker kills a container ten seconds after it asked it to end: be done before that.
END_SECONDS = 8.0

WATCHED_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


@dataclass
class Service:
    """One service and what the supervisor knows about it."""

    name: str
    command: list[str]
    log: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    group: int = 0  # the process group, and the id of its first process
    started_at: float = 0.0
    waiting: bool = False  # the first process has ended; waiting for the rest of its group to end
    short_lives: int = 0


def pid_file(name: str) -> Path:
    """Return the file that holds the process group of a running service."""
    return STATE_FOLDER / f"{name}.pid"


def group_is_empty(group: int) -> bool:
    """Tell whether the last process of a group has ended and been reaped."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def say(sentence: str) -> None:
    """Write one line to the container's own log."""
    print(f"supervisor: {sentence}", file=sys.stderr, flush=True)


class Supervisor:
    """Starts services, reaps processes and decides what an ended process means."""

    def __init__(self, services: list[Service]) -> None:
        self._services = services

    def run(self) -> int:
        """Keep the services running until a signal asks for the end; return the exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)
        for service in self._services:
            self._start(service)
        while True:
            received = signal.sigwaitinfo(WATCHED_SIGNALS)
            if received.si_signo != signal.SIGCHLD:
                say(f"{signal.Signals(received.si_signo).name} received: ending all services")
                return self._end_all(exit_status=0)
            for process, status in reaped_children():
                self._note_end(process, status)
            if any(service.short_lives >= SHORT_LIVES_LIMIT for service in self._services):
                return self._end_all(exit_status=1)
            if not HOLD_FILE.exists():
                self._start_ended()

    def _start_ended(self) -> None:
        """Start every service again of which nothing runs any more."""
        for service in self._services:
            if service.waiting and group_is_empty(service.group):
                self._start(service)

    def _start(self, service: Service) -> None:
        program = shutil.which(service.command[0])
        if program is None:
            raise SystemExit(f"supervisor: {service.name}: there is no program {service.command[0]!r}")
        service.group = os.posix_spawn(
            program,
            service.command,
            {**os.environ, **service.environment},
            file_actions=output_actions(service.log),
            setsid=True,
            # What this process blocks, and what Python ignores, is not the service's business.
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        service.started_at = time.monotonic()
        service.waiting = False
        replace_content(pid_file(service.name), f"{service.group}\n")

    def _note_end(self, process: int, status: int) -> None:
        """Take note if this was the first process of a service; its group may still have members."""
        for service in self._services:
            if service.group == process and not service.waiting:
                service.waiting = True
                count_short_life(service, status)
                signal_group(service.group, signal.SIGTERM)  # what it left behind cannot work without it

    def _end_all(self, exit_status: int) -> int:
        """End every process of the container: politely, then with force."""
        deadline = time.monotonic() + END_SECONDS
        signal_everybody(signal.SIGTERM)
        while children_remain():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                say(f"processes are left after {END_SECONDS:g} s: killing them")
                signal_everybody(signal.SIGKILL)
                break
            signal.sigtimedwait({signal.SIGCHLD}, remaining)
        return exit_status


def count_short_life(service: Service, status: int) -> None:
    """Tell the end of a service that was wanted, or came after a full life, from one that cannot run."""
    lived = time.monotonic() - service.started_at
    ended_by = os.waitstatus_to_exitcode(status)
    how = f"signal {-ended_by}" if ended_by < 0 else f"status {ended_by}"
    say(f"{service.name} ended with {how} after {lived:.1f} s")
    if HOLD_FILE.exists() or lived >= SHORT_LIFE_SECONDS:
        service.short_lives = 0
    else:
        service.short_lives += 1
        if service.short_lives >= SHORT_LIVES_LIMIT:
            say(f"{service.name} does not stay up: giving up")
            say_last_words(service)


def say_last_words(service: Service) -> None:
    """Say how the service's log ends: the file is out of reach as soon as the container has ended."""
    if service.log is not None:
        with suppress(OSError):
            lines = Path(service.log).read_text(errors="replace").splitlines()
            for line in lines[-LAST_WORDS_LINES:]:
                say(f"{service.log}: {line}")


def reaped_children() -> list[tuple[int, int]]:
    """Reap every child that has ended; return process ids and wait statuses."""
    reaped: list[tuple[int, int]] = []
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return reaped
        if process == 0:
            return reaped
        reaped.append((process, status))


def children_remain() -> bool:
    """Reap what has ended and tell whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return True


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group that may be gone already."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def signal_everybody(number: signal.Signals) -> None:
    """Signal every process of the container but this one (the kernel leaves out process 1)."""
    with suppress(ProcessLookupError):
        os.kill(-1, number)


def output_actions(log: str | None) -> list[tuple[int, int, str, int, int]]:
    """Return what posix_spawn has to do so that standard input is empty and the output goes to the log."""
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    if log is not None:
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions += [(os.POSIX_SPAWN_OPEN, descriptor, log, appending, 0o644) for descriptor in (1, 2)]
    return actions


def replace_content(path: Path, content: str) -> None:
    """Write a file so that nobody ever reads half of it."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(content)
    unfinished.replace(path)


def main() -> int:
    """Read the list of services and keep them running."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: supervisor.py SERVICES.toml")
    if os.getpid() != 1:
        raise SystemExit("supervisor.py signals every process it can reach: run it as process 1 only")
    entries = tomllib.loads(Path(sys.argv[1]).read_text())["service"]
    shutil.rmtree(STATE_FOLDER, ignore_errors=True)  # left by the container's earlier life
    STATE_FOLDER.mkdir(parents=True)
    return Supervisor([Service(**entry) for entry in entries]).run()


if __name__ == "__main__":
    sys.exit(main())
