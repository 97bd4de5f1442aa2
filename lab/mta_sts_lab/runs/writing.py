"""What a run says is kept on disk, and shown to whoever looks on. Neither may disturb the run."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from mta_sts_lab.events import Event
from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.record import RecordFile
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runs.leftovers import hold
from mta_sts_lab.runs.trouble import Interrupted, RunBroken, UsageError
from mta_sts_lab.whole_files import write_whole

_Piece = TypeVar("_Piece")


def make_folder(out: Path, run: str) -> Path:
    """Make the folder of a run, and hold it for as long as this process lives. Raises `UsageError`."""
    place = out / run
    try:
        place.mkdir(parents=True)
        hold(place)
        # Only now: without this one nobody takes the folder for that of a run.
        (place / "target").mkdir()
    except OSError as error:
        raise UsageError(f"--out {out}: the folder of the run cannot be made there: {error.strerror}") from error
    return place


def keep_known_failures(known: Path | None, place: Path) -> None:
    """Keep what is known of the target with the run, as it is now. Raises `UsageError`.

    A run that is judged again is measured by the same list. The target's name would not do to find it: it is the target
    that says it, and a mail server from elsewhere may have the name of one of ours.
    """
    try:
        write_whole(kept_known_failures(place), known.read_bytes() if known is not None and known.exists() else b"")
    except OSError as error:
        raise UsageError(f"{error.filename or place}: the known failures cannot be kept: {error.strerror}") from error


def kept_known_failures(place: Path) -> Path:
    """Return where the known failures of a run's target are. Empty: none are known; missing: none were kept."""
    return known_failures_file(place / "target")


class RunWriter:
    """Takes what a run says. What goes wrong here is kept, too, and raised when the run is over."""

    def __init__(self, file: RecordFile, log: Path, watch: Callable[[Event], None]) -> None:
        self._file = file
        self._log = log
        self._watch = watch
        self._unwritten: OSError | None = None
        #: What whoever looks on stumbled over. The run was played to its end all the same.
        self.unseen: Exception | None = None

    def outlet(self) -> Outlet:
        """Return what the runner talks to."""
        return Outlet(
            header=lambda header: self._write(self._file.header, header),
            event=self._event,
            footer=lambda footer: self._write(self._file.footer, footer),
            target_log=lambda text: self._write(self._write_log, text),
        )

    def raise_unwritten(self) -> None:
        """Raise `RunBroken` if anything could not be written: what is missing might have been a failure."""
        if self._unwritten is not None:
            raise RunBroken(
                f"{self._file.path}: cannot be written: {self._unwritten.strerror}; nothing of this run is judged"
            ) from self._unwritten

    def _event(self, event: Event) -> None:
        self._write(self._file.event, event)
        if self.unseen is None:
            try:
                self._watch(event)
            except Exception as error:  # noqa: BLE001 - raised by whoever began the run, when it is over
                self.unseen = error

    def _write(self, write: Callable[[_Piece], None], piece: _Piece) -> None:
        # Raised from here it would come up in whichever part of the lab just had something to say.
        if self._unwritten is None:
            try:
                write(piece)
            except OSError as error:
                self._unwritten = error

    def _write_log(self, text: str) -> None:
        write_whole(self._log, text.encode())


@contextlib.contextmanager
def record_in(place: Path) -> Iterator[RecordFile]:
    """Write a record in a run's folder. A run that never began leaves none, and a folder only for a log."""
    path = place / "record.jsonl"
    with _written(path):
        file = RecordFile(path)
    try:
        yield file
    finally:
        with _written(path):
            file.close()
        if not file.begun:
            path.unlink(missing_ok=True)
            kept_known_failures(place).unlink(missing_ok=True)
            if not (place / "target" / "log.txt").exists():
                shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunBroken(f"{path}: cannot be written: {error.strerror}; nothing of this run is judged") from error


@contextlib.contextmanager
def interruptible(place: Path) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a run in the same orderly way, and say what they left. Raises `Interrupted`.

    A CI job that is cancelled gets SIGTERM, and must not leave anything behind either.
    """

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        if (place / "record.jsonl").exists():
            what = f"what was played is in {place}/, marked as incomplete"
        else:
            what = "nothing was played yet"
        raise Interrupted(f"interrupted; everything was taken down; {what}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def run_interruptibly(work: Coroutine[Any, Any, None]) -> None:
    """Run an event loop that SIGTERM ends by cancelling its work, as asyncio itself does for Ctrl-C.

    Raised in the middle of whatever the loop is at, an exception would tear holes. Raises `KeyboardInterrupt`.
    """

    async def working() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    before = signal.getsignal(signal.SIGTERM)
    try:
        asyncio.run(working())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)
