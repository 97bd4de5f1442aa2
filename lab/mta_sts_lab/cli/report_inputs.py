"""The files of a call: single files, folders with everything below them, Maildirs, globs and standard input."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence

from mta_sts_lab.runs.given_files import Unreadable, beginning_of
from mta_sts_lab.tlsrpt.checking import Input
from mta_sts_lab.tlsrpt.limits import LARGEST_FILE, MOST_FILES

#: How mailboxes, gzip data, zip archives and JSON begin.
_HOLDS_REPORTS = (b"From ", b"\x1f\x8b", b"PK\x03\x04", b"{", b"[")
#: Octets of another large file in a folder that are read to say what it is.
_HEAD = 4096


def read_inputs(names: Sequence[str]) -> Iterator[Input]:
    """Read what is named, each file once. Never raises: what cannot be read is said in `problem`."""
    seen: set[str] = set()
    for name in names:
        for path, named, problem in _paths(name):
            key = path if path == "-" else os.path.realpath(path)
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > MOST_FILES:
                yield Input(path, problem=f"more than {MOST_FILES} files: the rest was not read")
                return
            yield Input(path, problem=problem, named=named) if problem else _read(path, named)


def _paths(name: str) -> Iterator[tuple[str, bool, str]]:
    """Yield the files that a name stands for, whether it is a file that was named itself, and why it cannot be read."""
    if name == "-":
        yield name, True, ""
    elif os.path.isdir(name):
        yield from _below(name)
    elif os.path.lexists(name) or not glob.has_magic(name):
        yield name, True, ""
    else:
        found = sorted(glob.iglob(name, recursive=True))
        for path in found:
            yield from _below(path) if os.path.isdir(path) else [(path, True, "")]
        if not found:
            yield name, True, "no file matches it"


def _below(folder: str) -> Iterator[tuple[str, bool, str]]:
    """Yield the regular files below a folder in order, then the folders that cannot be entered.

    Of a Maildir `tmp` is left out: mail in it is not whole. Links to files are followed, links to folders are not.
    """
    failed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=failed.append):
        if {"cur", "new", "tmp"} <= set(folders):
            folders.remove("tmp")
        folders.sort()
        for name in sorted(files):
            path = os.path.join(place, name)
            if not name.startswith(".") and _may_be_read(path):
                yield path, False, ""
    for error in failed:
        yield str(error.filename or folder), False, f"cannot be read: {error.strerror or error}"


def _may_be_read(path: str) -> bool:
    """Whether it is a regular file, or a link to one. Where that cannot be told, reading it will say why."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        # Programs keep locks as links to nowhere. A file that was moved away meanwhile is missing, though.
        return not os.path.islink(path)
    except OSError:
        return True


def _read(path: str, named: bool) -> Input:
    try:
        octets = beginning_of(path, LARGEST_FILE + 1)
    except Unreadable as error:
        return Input(path, problem=str(error), named=named)
    if len(octets) > LARGEST_FILE and not named and not octets.startswith(_HOLDS_REPORTS):
        return Input(path, octets[:_HEAD], named=named)
    if len(octets) > LARGEST_FILE:
        return Input(path, problem=f"more than {LARGEST_FILE >> 20} MiB: split it first", named=named)
    return Input(path, octets, named=named)
