"""The build context of an image: files of the lab and of a target's folder, as one tar archive."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mta_sts_lab.backends.docker.engine import EngineError
from mta_sts_lab.shipped_files import below, shipped_files, source_files

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

#: Names a folder of certificates (*.crt, PEM) that builds trust beside the public ones. It is for an installed package;
#: a checkout may keep them in docker/extra-ca/.
EXTRA_CA_VARIABLE = "LAB_EXTRA_CA"

_EXTRA_CA = "docker/extra-ca"

#: What a Dockerfile says that can be built on another image.
_NAMES_ITS_BASE = "FROM $BASE"


#: Where a Dockerfile names an image; it may be the name of one of its own stages, or a number.
_NAMES_AN_IMAGE = re.compile(
    r"^\s*(?:FROM|COPY\s.*?--from=)\s*(?:--\S+\s+)*([^\s$]+)(?=\s|$)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files and folders of a build: the path of each in the context, and where it is on disk.

    `dockerfile` is one of the paths, unless its text is `written` here. `foreign` says that the target's folder did not
    come with the lab. `base` is the image that the Dockerfile is to begin with; empty: the one that it names itself.
    """

    members: tuple[tuple[str, Path], ...]
    dockerfile: str
    written: str = ""
    foreign: bool = False
    base: str = ""

    def digest(self, built_on: str = "") -> str:
        """Return a digest of paths, contents and executable bits: the image's tag.

        It is the same in a checkout and in an installed package. The extra certificates are not part of it, because
        they leave nothing in an image. A folder of one's own goes into the archive with its modes and links, so these
        are part of it, too. `built_on` says which images it begins with, where others make them.
        """
        digest = hashlib.sha256((self.written + self.base + built_on).encode())
        for name, path in self.members:
            if self.foreign:
                digest.update(f"{name}\0{path.lstat().st_mode:o}\0".encode())
            if self.foreign and path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif path.is_file():
                digest.update(f"{name}\0{0o111 if _is_executable(path) else 0}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]

    def archive(self) -> bytes:
        """Return the context as a tar archive, with the extra certificates. Raises `EngineError` if they are not there.

        Who owns the files on this machine is left out. The lab's own files have the modes that git gives them.
        """
        buffer = io.BytesIO()
        # Not Python's default format: `docker` recognises an archive by its first block, which must be a file's.
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            folder = tarfile.TarInfo(_EXTRA_CA)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
            if self.written:
                text = tarfile.TarInfo(self.dockerfile)
                text.size = len(self.written.encode())
                archive.addfile(text, io.BytesIO(self.written.encode()))
            for name, path in (*_extra_certificates(), *self.members):
                archive.add(path, name, recursive=False, filter=self._plain)
        return buffer.getvalue()

    def images(self) -> list[str]:
        """Return the names of the images that a Dockerfile of one's own is built on, or copies from."""
        path = dict(self.members).get(self.dockerfile) if self.foreign else None
        text = path.read_text(encoding="utf-8", errors="replace") if path and path.is_file() else ""
        return sorted(set(_NAMES_AN_IMAGE.findall(text)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the Dockerfile for one build: who wants the same image meanwhile waits, and finds it made.

        Where files cannot be locked nobody waits, and the image is made twice.
        """
        path = dict(self.members).get(self.dockerfile)
        if fcntl is None or path is None:
            yield
            return
        with path.open("rb") as dockerfile:
            with contextlib.suppress(OSError):
                fcntl.flock(dockerfile, fcntl.LOCK_EX)
            yield

    def _plain(self, member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        if not self.foreign:
            member.mode = 0o755 if member.mode & 0o111 else 0o644
        return member


def context_of(parts: Iterable[str], dockerfile: str, base: str = "") -> BuildContext:
    """Return the context of an image that is made of these parts of the source tree.

    Raises `EngineError` for another base where the Dockerfile has no place for one.
    """
    members = tuple(member for part in sorted(parts) for member in source_files(part))
    if base and _NAMES_ITS_BASE not in dict(members)[dockerfile].read_text(encoding="utf-8"):
        raise EngineError(f"{dockerfile} has no line {_NAMES_ITS_BASE!r}, so it cannot be built on {base}")
    return BuildContext(members, dockerfile, base=base)


def foreign_context(folder: Path, common: Iterable[str], dockerfile: str) -> BuildContext:
    """Return the context of a folder that did not come with the lab: parts of the lab, and its own files."""
    shared = (member for part in common for member in source_files(part))
    return BuildContext((*shared, *below(folder)), dockerfile, foreign=True)


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def _extra_certificates() -> list[tuple[str, Path]]:
    """Return the certificates of the folder that the environment names, or of docker/extra-ca/."""
    named = os.environ.get(EXTRA_CA_VARIABLE)
    folder = Path(named) if named else shipped_files() / _EXTRA_CA
    if named and not folder.is_dir():
        raise EngineError(f"{EXTRA_CA_VARIABLE} names {named}, which is not a folder")
    return [(f"{_EXTRA_CA}/{path.name}", path.resolve()) for path in sorted(folder.glob("*.crt"))]
