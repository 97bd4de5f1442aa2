"""Files of one's own that are laid over a shipped target: which, and where in its container."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import itertools
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from mta_sts_lab.backends.registry import TargetRefused

#: In a shipped target's folder: what `--config` takes for it.
RULES = "overlay.toml"

#: The most files that are laid over a container, and octets of all of them. A configuration has some dozens.
MOST_FILES, MOST_OCTETS = 5000, 64 << 20

#: How alike a place is to one that the mail server reads (1: the same) if it is that place with a typing mistake.
_ALIKE = 0.9

#: A configuration may be a checkout. What is in these folders changes with each look, and no mail server reads it.
_VERSION_CONTROL = (".git", ".hg", ".svn")

#: Where nothing may be laid: what the lab itself writes, and what is no disk.
_NOT_THERE = ("/lab", "/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class LaidFile:
    """A file of this machine, and its path in the container."""

    at: str
    source: Path
    #: Whether it is none of the configuration that it lies in, and so not laid.
    beside: bool = False


class FolderRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder that `--config` takes is known by a file in it. `leave_out`: patterns of files that stay the image's."""

    contains: str
    at: str
    leave_out: tuple[str, ...] = ()


class FileRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A single file that `--config` takes is known by its name."""

    name: str
    at: str


class OverlayRules(msgspec.Struct, frozen=True):
    """The content of `overlay.toml`. The rest of it is for the target's own script, `lay_over.py`."""

    folder: tuple[FolderRule, ...] = ()
    file: tuple[FileRule, ...] = ()


def read_rules(folder: Path) -> OverlayRules:
    """Read what `--config` takes for a shipped target. Raises `TargetRefused` if it takes nothing."""
    file = folder / RULES
    if not file.is_file():
        raise TargetRefused(f"--config does not know the files of {folder.name}: there is no {file}")
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), OverlayRules)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TargetRefused(f"{file}: {error}") from error


def rules_if_any(folder: Path) -> OverlayRules:
    """Read what is known of the files of a shipped target; nothing, if it has no rules. Raises `TargetRefused`."""
    return read_rules(folder) if (folder / RULES).is_file() else OverlayRules()


def laid_by(argument: str, rules: OverlayRules) -> tuple[LaidFile, ...]:
    """Return the files of one `--config`: a folder, a file, or SOURCE=/path/in/container. Raises `TargetRefused`."""
    named, _, place = argument.rpartition("=/")
    if named:
        return laid_at(f"/{place}", Path(named), f"--config {argument}", rules)
    source = Path(argument)
    if source.is_dir():
        for rule in rules.folder:
            if (source / rule.contains).is_file():
                return laid_files(rule.at, source, f"--config {argument}", rule.leave_out)
        known = " or ".join(rule.contains for rule in rules.folder) or "nothing: no folder is known"
        raise TargetRefused(f"--config {argument}: this folder does not hold {known}")
    for single in rules.file:
        if source.name == single.name:
            return laid_files(single.at, source, f"--config {argument}")
    if not source.exists():
        raise TargetRefused(f"--config {argument}: there is no such file or folder")
    names = ", ".join(single.name for single in rules.file) or "none"
    raise TargetRefused(
        f"--config {argument}: it is not known where {source.name} belongs; files known by name: {names}; "
        f"any other is given with its place: --config {argument}=/etc/..."
    )


def laid_at(at: str, source: Path, where: str, rules: OverlayRules) -> tuple[LaidFile, ...]:
    """Return what is laid over a place that was named. Raises `TargetRefused` where nothing would read it there."""
    if source.is_file():
        folders = {rule.at for rule in rules.folder} | {str(PurePosixPath(one.at).parent) for one in rules.file}
        if at.rstrip("/") in folders:
            raise TargetRefused(f"{where}: {at} is a folder; name the file in it: {at.rstrip('/')}/{source.name}")
        known = [single.at for single in rules.file if single.name == PurePosixPath(at).name]
    else:
        known = [rule.at for rule in rules.folder if (source / rule.contains).is_file()]
    near = difflib.get_close_matches(at.rstrip("/"), known, n=1, cutoff=_ALIKE)
    if near and at.rstrip("/") not in known:
        raise TargetRefused(f"{where}: nothing in the image reads {at}; did you mean {near[0]}?")
    return laid_files(at, source, where)


def laid_files(at: str, source: Path, where: str, leave_out: Sequence[str] = ()) -> tuple[LaidFile, ...]:
    """Return what is laid over a path of the container: a file, or all files of a folder. Raises `TargetRefused`.

    `where` begins the message of an error.
    """
    if source.is_dir():
        at = at.rstrip("/") or at
    _check_place(at, where)
    if source.is_file():
        return bounded((LaidFile(at, source),), where)
    if not source.is_dir():
        raise TargetRefused(f"{where}: {source} is neither a file nor a folder")
    every = (
        LaidFile(str(PurePosixPath(at, path.relative_to(source))), path, _is_beside_the_configuration(path))
        for path in _below(source)
        if not _left_out(path.relative_to(source), leave_out)
    )
    files = tuple(itertools.islice(every, MOST_FILES + 1))
    if all(file.beside for file in files):
        raise TargetRefused(f"{where}: there is no file in {source} that could be laid over {at}")
    return bounded(files, where)


def _is_beside_the_configuration(folder: Path) -> bool:
    """Whether a folder inside a configuration is none of it: what version control keeps, and runs of the lab."""
    return folder.name in _VERSION_CONTROL or any(folder.glob("*/record.jsonl"))


def _below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files below a folder, in a fixed order, and what is left out: a folder that is none of it or that
    cannot be read, a link that leads nowhere.

    Links to folders are followed, as the mail server follows them; otherwise it would run with the image's files there.
    `above` are the folders that it is in: a link back to one of them has no end.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        paths = [(path, path.is_dir()) for path in sorted(folder.iterdir())]
    except OSError:
        yield folder
        return
    for path, is_folder in paths:
        if is_folder and not _is_beside_the_configuration(path):
            yield from _below(path, above | {real})
        elif is_folder or path.is_file() or path.is_symlink():
            yield path


def installed_by(arguments: Sequence[str]) -> tuple[LaidFile, ...]:
    """Return what each `--install` puts into an image: a Debian package, or FILE=/path/in/the/image.

    A package has no path. Raises `TargetRefused`.
    """
    found: list[LaidFile] = []
    for argument in arguments:
        named, _, place = argument.rpartition("=/")
        source = Path(named or argument)
        if not source.is_file():
            raise TargetRefused(f"--install {argument}: there is no file {source}")
        if named:
            _check_place(f"/{place}", f"--install {argument}")
        elif source.suffix != ".deb":
            raise TargetRefused(
                f"--install {argument}: this is no Debian package (*.deb); a program is given with its place in the "
                f"image: --install {argument}=/usr/sbin/{source.name}"
            )
        found.append(LaidFile(f"/{place}" if named else "", source))
    return tuple(found)


def bounded(files: tuple[LaidFile, ...], where: str) -> tuple[LaidFile, ...]:
    """Return the files. Raises `TargetRefused` if they are too many or too large for a configuration."""
    octets = sum(file.source.stat().st_size for file in files if file.source.is_file())
    if len(files) > MOST_FILES or octets > MOST_OCTETS:
        some = f"more than {MOST_FILES}" if len(files) > MOST_FILES else f"{len(files)}"
        raise TargetRefused(
            f"{where}: {some} files of {octets >> 20} MiB are no configuration; at most {MOST_FILES} files "
            f"of {MOST_OCTETS >> 20} MiB are laid over a container"
        )
    return files


def digest_of_files(files: Sequence[LaidFile]) -> str:
    """Return a digest of files for a container: where each is put, its mode, and its octets. Empty: there are none.

    One that cannot be read is not put there, and counts as such. What is none of a configuration does not count.
    """
    counted = [file for file in files if not file.beside]
    if not counted:
        return ""
    digest = hashlib.sha256()
    for file in sorted(counted, key=lambda one: (one.at, str(one.source))):
        try:
            content, said = file.source.read_bytes(), f"{file.source.stat().st_mode & 0o777:o}"
        except OSError:
            content, said = b"", "left out"
        digest.update(f"{file.at}\0{said}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()[:32]


def not_laid(files: Sequence[LaidFile]) -> dict[str, str]:
    """Return what is not laid over the image, by its path in the container, with the reason: what cannot be read (and
    what to do about it), and what is none of the configuration.
    """
    found = {}
    for file in files:
        if file.beside:
            found[file.at] = f"{file.source} has version control, or runs of the lab, and no configuration"
            continue
        try:
            file.source.open("rb").close()
        except PermissionError:
            found[file.at] = f"{file.source} may only be read by others; give it with sudo"
        except OSError as error:
            found[file.at] = f"{file.source} cannot be read: {error.strerror}"
    return found


def left_out(files: Sequence[LaidFile]) -> list[str]:
    """Say which files are not laid over the image, a line each: what the image has there is used in their place."""
    return [f"{'left out':<11} {at}  ({why})" for at, why in not_laid(files).items()]


def _check_place(at: str, where: str) -> None:
    path = PurePosixPath(at)
    if not at.startswith("/") or ".." in path.parts or str(path) != at or at == "/":
        raise TargetRefused(f"{where}: {at!r} is no absolute path in a container, as in /etc/postfix/main.cf")
    if any(path.is_relative_to(place) for place in _NOT_THERE):
        raise TargetRefused(f"{where}: nothing can be laid over {at}: {', '.join(_NOT_THERE)} belong to the lab")


def _left_out(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(str(path), pattern) for pattern in patterns)
