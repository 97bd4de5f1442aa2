"""What the sender keeps on disk: one JSON file an entry, each replaced as a whole, and read again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from mta_sts_lab.whole_files import write_whole

T = TypeVar("T", bound=msgspec.Struct)


class JsonFolder(Generic[T]):
    """A directory of entries of one kind. `what` names them in the log, which is for the administrator."""

    def __init__(self, directory: Path, kind: type[T], what: str, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._kind = kind
        self._what = what
        self._log = log
        directory.mkdir(parents=True, exist_ok=True)

    def load(self) -> list[T]:
        """Return what an earlier life of the sender left; what cannot be read is left out."""
        found: list[T] = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=self._kind))
            except (OSError, msgspec.MsgspecError) as error:
                self._log(f"{self._what}: {path.name} cannot be read and is left out: {error}")
        return found

    def write(self, name: str, entry: T) -> None:
        """Keep an entry under a name. Raises `OSError`."""
        write_whole(self._path(name), msgspec.json.encode(entry))

    def keep(self, name: str, entry: T) -> None:
        """Do the same; when the disk refuses, the entry lasts as long as this process."""
        try:
            self.write(name, entry)
        except OSError as error:
            self._log(f"{self._what}: {name} could not be written: {error}")

    def remove(self, name: str) -> None:
        """Forget an entry, kept or not."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"
