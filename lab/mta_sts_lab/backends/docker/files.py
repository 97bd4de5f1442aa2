"""Files that go into a container before its start, and text files that come out of it."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import docker.errors

from mta_sts_lab.backends.capturing import KEY_LOG, PACKETS
from mta_sts_lab.backends.overlay import LaidFile, not_laid
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.backends.served_plan import PLACE

#: In a container: lists what was laid over its image, a path a line, for its entry point.
LAID_OVER = "laid-over.txt"

#: In a container: what its script made of that, line by line.
KEPT_AND_OVERRIDDEN = "/lab/kept-and-overridden.txt"

#: Octets of a text file, or of a log, that are taken out of a container. The log of a whole catalogue on Postfix has
#: 2 MiB.
LARGEST_FILE = 64 << 20


def lab_archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive with some files under /lab, readable by every user in the container but for keys."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("lab")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(f"lab/{name}")
            member.size, member.mode = len(content), 0o600 if "key" in name else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def laid_archive(files: Sequence[LaidFile]) -> bytes:
    """Return a tar archive of the files that are laid over an image, with their modes, and the list of them."""
    missing = not_laid(files)
    laid = [file for file in files if file.at not in missing]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in laid:
            content = file.source.read_bytes()
            member = tarfile.TarInfo(str(PurePosixPath(file.at).relative_to("/")))
            member.size, member.mode = len(content), file.source.stat().st_mode & 0o777
            member.mtime = int(file.source.stat().st_mtime)
            archive.addfile(member, io.BytesIO(content))
        listing = "".join(f"{file.at}\n" for file in laid).encode()
        member = tarfile.TarInfo(f"lab/{LAID_OVER}")
        member.size, member.mode = len(listing), 0o644
        archive.addfile(member, io.BytesIO(listing))
    return buffer.getvalue()


def fetch_captures(container: Any, job: Job) -> None:
    """Copy the capture of a run, if one was made, out of the lab's container into the folder of the target's files."""
    for name in (PACKETS, KEY_LOG) if job.plan.captures else ():
        chunks, _ = container.get_archive(str(PLACE / name))
        with tempfile.TemporaryFile() as packed, (job.directory / name).open("wb") as file:
            packed.writelines(chunks)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as archive:
                member = archive.extractfile(name)
                assert member is not None
                shutil.copyfileobj(member, file)


def text_file(container: Any, path: str) -> str:
    """Return a small text file out of a container; empty if it has none."""
    try:
        chunks, _ = container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(Path(path).name)
            return member.read(LARGEST_FILE).decode(errors="replace") if member else ""
    except (docker.errors.DockerException, KeyError, tarfile.TarError):
        return ""
