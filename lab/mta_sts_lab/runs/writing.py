"""Writes the record and files of a run. An error in that does not stop the run."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from mta_sts_lab.backends.local import ENDING_SIGNALS, MOST_SIGNALS
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.events import Event
from mta_sts_lab.judge.known_failures import known_failures_file, with_inherited
from mta_sts_lab.record import Header, RecordFile
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runs.errors import Interrupted, RunBroken, UsageError
from mta_sts_lab.runs.leftovers import hold
from mta_sts_lab.whole_files import write_whole


def make_folder(out: Path, run: str) -> Path:
    """Make the folder of a run, and lock it until this process ends. Raises `UsageError`."""
    folder = out / run
    try:
        folder.mkdir(parents=True)
        hold(folder)
        # After the lock: `clean` takes a folder with this subfolder for that of a run.
        (folder / "target").mkdir()
    except OSError as error:
        raise UsageError(f"--out {out}: the folder of the run cannot be made there: {error.strerror}") from error
    return folder


def keep_known_failures(known: Path, folder: Path, target: TargetFolder | None = None) -> None:
    """Copy a list of known failures into the folder of the run. Raises `UsageError`.

    A run that is judged again is compared with this copy. It could not be found by the target's name, because a mail
    server from elsewhere may have the name of a shipped one.
    """
    content = known_failures_text(known, target).encode()
    try:
        write_whole(kept_known_failures(folder), content)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: the known failures cannot be kept: {error.strerror}") from error


def known_failures_text(known: Path, target: TargetFolder | None) -> str:
    """Return a list of known failures, and behind it that of the shipped target that `target` is based on.

    Raises `UsageError`.
    """
    inherited = target.inherited_failures if target else None
    try:
        own = known.read_text(encoding="utf-8") if known.exists() else ""
        if target and inherited and inherited.exists():
            return with_inherited(own, inherited.read_text(encoding="utf-8"), target.origin.name)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{known}: the known failures cannot be read: {error}") from error
    return own


def kept_known_failures(folder: Path) -> Path:
    """Return the file with the known failures of a run's target. Empty: none are known; missing: none were copied."""
    return known_failures_file(folder / "target")


def target_log(folder: Path) -> str:
    """Return the log of a run's target; empty if there is none."""
    try:
        return (folder / "target" / "log.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class RunWriter:
    """Writes the record and the target's files. An error is stored, and raised when the run has ended."""

    def __init__(
        self,
        file: RecordFile,
        target: Path,
        watch: Callable[[Event], None],
        begun: Callable[[Header], None] = lambda _: None,
    ) -> None:
        """`target` is the folder for files about the target.

        `watch` sees each event, and `begun` the first line; neither may raise.
        """
        self._file = file
        self._target = target
        self._watch = watch
        self._begun = begun
        self._unwritten: OSError | None = None

    def outlet(self) -> Outlet:
        """Return the callbacks that the runner hands its results to."""
        return Outlet(
            header=self._header,
            event=self._event,
            footer=lambda footer: self._write(lambda: self._file.footer(footer)),
            target_file=lambda name, text: self._write(lambda: write_whole(self._target / name, text.encode())),
        )

    def raise_unwritten(self) -> None:
        """Raise `RunBroken` if anything could not be written: the missing part might have shown a failure."""
        if self._unwritten is not None:
            raise RunBroken(
                f"{self._file.path}: cannot be written: {self._unwritten.strerror}; nothing of this run is judged"
            ) from self._unwritten

    def _header(self, header: Header) -> None:
        self._write(lambda: self._file.header(header))
        self._begun(header)

    def _event(self, event: Event) -> None:
        self._write(lambda: self._file.event(event))
        self._watch(event)

    def _write(self, write: Callable[[], None]) -> None:
        # Raised here it would end whichever part of the lab has just reported an event.
        if self._unwritten is None:
            try:
                write()
            except OSError as error:
                self._unwritten = error


@contextlib.contextmanager
def record_in(folder: Path) -> Iterator[RecordFile]:
    """Open the record in a run's folder. A run that never began leaves no record, and a folder only if it has a log."""
    path = folder / "record.jsonl"
    with _written(path):
        file = RecordFile(path)
    try:
        yield file
    finally:
        with _written(path):
            file.close()
        if not file.begun:
            path.unlink(missing_ok=True)
            kept_known_failures(folder).unlink(missing_ok=True)
            if not (folder / "target" / "log.txt").exists():
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunBroken(f"{path}: cannot be written: {error.strerror}; nothing of this run is judged") from error


@contextlib.contextmanager
def interruptible(folder: Path) -> Iterator[None]:
    """Raise `Interrupted` on Ctrl-C, SIGTERM (from a cancelled CI job) and SIGHUP (from a terminal that is closed).

    A second signal is ignored: it would break into what the first one has begun to take down. A third is meant to.
    """
    came: list[int] = []

    def terminate(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1 or len(came) > MOST_SIGNALS:
            raise KeyboardInterrupt(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread, whoever runs there
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number, handler in before.items():
        # What is ignored (by `nohup`, or by a shell for its background jobs) stays ignored.
        if handler != signal.SIG_IGN:
            signal.signal(number, terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        for number in before:
            # Everything is down: another Ctrl-C asks for nothing more.
            signal.signal(number, signal.SIG_IGN)
        status = 128 + int(stop.args[0] if stop.args else signal.SIGINT)
        if (folder / "record.jsonl").exists():
            what = f"what was played is in {folder}/, marked as incomplete"
        else:
            what = "nothing was played yet"
        raise Interrupted(f"interrupted; everything was taken down; {what}", status) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
