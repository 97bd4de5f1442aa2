"""Writes what a run says to disk, and shows it to whoever watches. Neither may disturb the run."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from mta_sts_lab.events import Event
from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.record import RecordFile
from mta_sts_lab.runner.context import Outlet
from mta_sts_lab.runs.leftovers import hold
from mta_sts_lab.runs.trouble import Interrupted, RunBroken, UsageError
from mta_sts_lab.whole_files import write_whole


def make_folder(out: Path, run: str) -> Path:
    """Make the folder of a run, and hold it for as long as this process lives. Raises `UsageError`."""
    folder = out / run
    try:
        folder.mkdir(parents=True)
        hold(folder)
        # Only now: without this one nobody takes the folder for that of a run.
        (folder / "target").mkdir()
    except OSError as error:
        raise UsageError(f"--out {out}: the folder of the run cannot be made there: {error.strerror}") from error
    return folder


def keep_known_failures(known: Path, folder: Path) -> None:
    """Keep what is known of the target with the run, as it is now. Raises `UsageError`.

    A run that is judged again is measured by the same list. The target's name would not do to find it: it is the target
    that says it, and a mail server from elsewhere may have the name of one of ours.
    """
    try:
        write_whole(kept_known_failures(folder), known.read_bytes() if known.exists() else b"")
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: the known failures cannot be kept: {error.strerror}") from error


def kept_known_failures(folder: Path) -> Path:
    """Return where the known failures of a run's target are. Empty: none are known; missing: none were kept."""
    return known_failures_file(folder / "target")


class RunWriter:
    """Writes what a run says to disk. What goes wrong here is kept, and raised when the run is over."""

    def __init__(self, file: RecordFile, target: Path, watch: Callable[[Event], None]) -> None:
        """`target` is the folder for files about the target; `watch` sees each event."""
        self._file = file
        self._target = target
        self._watch = watch
        self._unwritten: OSError | None = None
        #: What `watch` raised. The run was played to its end all the same.
        self.watcher_failed: Exception | None = None

    def outlet(self) -> Outlet:
        """Return what the runner talks to."""
        return Outlet(
            header=lambda header: self._write(lambda: self._file.header(header)),
            event=self._event,
            footer=lambda footer: self._write(lambda: self._file.footer(footer)),
            target_file=lambda name, text: self._write(lambda: write_whole(self._target / name, text.encode())),
        )

    def raise_unwritten(self) -> None:
        """Raise `RunBroken` if anything could not be written: what is missing might have been a failure."""
        if self._unwritten is not None:
            raise RunBroken(
                f"{self._file.path}: cannot be written: {self._unwritten.strerror}; nothing of this run is judged"
            ) from self._unwritten

    def _event(self, event: Event) -> None:
        self._write(lambda: self._file.event(event))
        if self.watcher_failed is None:
            try:
                self._watch(event)
            except Exception as error:  # noqa: BLE001 - raised by whoever began the run, when it is over
                self.watcher_failed = error

    def _write(self, write: Callable[[], None]) -> None:
        # Raised from here it would come up in whichever part of the lab just had something to say.
        if self._unwritten is None:
            try:
                write()
            except OSError as error:
                self._unwritten = error


@contextlib.contextmanager
def record_in(folder: Path) -> Iterator[RecordFile]:
    """Write a record in a run's folder. A run that never began leaves none, and a folder only for a log."""
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
    """Let Ctrl-C and SIGTERM end a run in the same orderly way, and say what they left. Raises `Interrupted`.

    A CI job that is cancelled gets SIGTERM, and must not leave anything behind either.
    """

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread, whoever runs there
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        if (folder / "record.jsonl").exists():
            what = f"what was played is in {folder}/, marked as incomplete"
        else:
            what = "nothing was played yet"
        raise Interrupted(f"interrupted; everything was taken down; {what}") from None
    finally:
        signal.signal(signal.SIGTERM, before)
