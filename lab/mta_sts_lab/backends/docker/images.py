"""Images: built when what they are made of has changed, and named after it."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import docker.errors

import docker
from mta_sts_lab.backends.docker.engine import EngineError
from mta_sts_lab.backends.docker.folder import TargetFolder
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.timeouts import BUILD_IMAGE

BASE_IMAGE = "debian:trixie-slim"

#: What the two kinds of image are made of, relative to the repository root.
_LAB_PARTS = ("pyproject.toml", "docker/lab", "docker/common/install", "scenarios", "lab")
_COMMON_PARTS = ("docker/common",)

#: What a build outside the checkout finds beside its own files.
_COMMON_CONTEXT = ("docker/common", "docker/extra-ca")

#: Passed on to a build when the user has set them: a private mirror's addresses are nobody else's business.
_BUILD_ARGUMENTS = ("APT_MIRROR", "APT_SECURITY_MIRROR", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY")

#: What COPY says of a file that is not there: the classic builder, and BuildKit.
_NOT_IN_CONTEXT = re.compile(r"COPY failed|failed to calculate checksum|failed to compute cache key")


def lab_image(client: docker.DockerClient, say: Callable[[str], None]) -> str:
    """Return the name of the lab's own image, built if it has to be."""
    return _image(client, "lab", "docker/lab/Dockerfile", _LAB_PARTS, say)


def target_image(client: docker.DockerClient, folder: TargetFolder, say: Callable[[str], None]) -> str:
    """Return the name of a target's image, built if it has to be."""
    if not folder.shipped:
        return _foreign_image(client, folder, say)
    if folder.file.dockerfile == "docker/lab/Dockerfile":
        return lab_image(client, say)
    inside = folder.path.resolve().relative_to(shipped_files())
    name, dockerfile, parts = _made_of(f"{inside}", folder.file.dockerfile)
    return _image(client, name, dockerfile, parts, say)


def _made_of(folder: str, dockerfile: str) -> tuple[str, str, tuple[str, ...]]:
    """Return an image's name, its Dockerfile and its parts. It belongs to the folder where the Dockerfile stands.

    Targets that differ in `target.toml` alone share it so.
    """
    dockerfile = dockerfile or f"{folder}/Dockerfile"
    owner = PurePosixPath(dockerfile).parent
    return owner.name, dockerfile, (str(owner), *_COMMON_PARTS)


def _foreign_image(client: docker.DockerClient, folder: TargetFolder, say: Callable[[str], None]) -> str:
    """A folder that is not among the shipped ones is its own build context, with `docker/common` beside it.

    So its Dockerfile finds the contract server under the same path as those of the shipped ones, and so does a build
    that needs `docker/extra-ca`.
    """
    inside = folder.path.resolve()
    parts = f"{_digest(inside, ['.'])} {_digest(shipped_files(), _COMMON_PARTS)}"
    name = f"mta-sts-lab/{folder.name}:{hashlib.sha256(parts.encode()).hexdigest()[:12]}"
    if not _exists(client, name):
        _build(client, name, _foreign_context(inside), folder.file.dockerfile or "Dockerfile", say)
    return name


def _foreign_context(inside: Path) -> bytes:
    """Return the build context of a folder outside the checkout as a tar archive: nothing is left on disk."""
    buffer = io.BytesIO()
    # Not Python's own format: its first block is no file, and by that block the `docker` command tells an archive.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for part in _COMMON_CONTEXT:
            if (shipped_files() / part).is_dir():
                archive.add(shipped_files() / part, part, filter=_plain)
        archive.add(inside, ".", filter=_plain)
    return buffer.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what belongs to this machine: compiled Python, and whose the files are."""
    if "__pycache__" in member.name:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _image(
    client: docker.DockerClient, name: str, dockerfile: str, parts: Iterable[str], say: Callable[[str], None]
) -> str:
    root = shipped_files()
    tag = f"mta-sts-lab/{name}:{_digest(root, parts)}"
    if not _exists(client, tag):
        _build(client, tag, root, dockerfile, say)
    return tag


def _exists(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        return False
    return True


def _digest(root: Path, parts: Iterable[str]) -> str:
    """Return a digest of the content of some files and folders: the image's tag.

    `docker/extra-ca` is never among them: what a machine's builds trust leaves nothing in an image. A certificate that
    lies in a target's own folder is a file like any other.
    """
    digest = hashlib.sha256()
    for part in sorted(parts):
        top = root / part
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(root)}\0{path.stat().st_mode & 0o111}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _build(
    client: docker.DockerClient, image: str, context: Path | bytes, dockerfile: str, say: Callable[[str], None]
) -> None:
    """Build with the engine's own command, which knows best how. The context is a folder, or a tar archive."""
    _have_base(client)
    say(f"building {image} (once; later runs reuse it)")
    arguments = [f"--build-arg={name}={os.environ[name]}" for name in _BUILD_ARGUMENTS if os.environ.get(name)]
    latest = f"{image.partition(':')[0]}:latest"
    command = [
        "docker",
        "build",
        # Also when it fails: what is in between has none of our labels, and nobody would find it.
        "--force-rm",
        "--network",
        "host",
        "--file",
        dockerfile if isinstance(context, bytes) else str(context / dockerfile),
        "--tag",
        image,
        "--tag",
        latest,
    ]
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            [*command, *arguments, "-" if isinstance(context, bytes) else str(context)],
            check=False,
            input=context if isinstance(context, bytes) else None,
            capture_output=True,
            timeout=BUILD_IMAGE.seconds,
            env={**os.environ, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")},
        )
    except FileNotFoundError as error:
        raise EngineError("the `docker` command is not installed, and building images needs it") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{BUILD_IMAGE.name}: {image} was not built in {BUILD_IMAGE.seconds:g} s") from error
    if done.returncode:
        printed = (done.stdout + done.stderr).decode(errors="replace")
        tail = "\n".join(printed.strip().splitlines()[-12:])
        raise EngineError(f"building {image} failed:\n{tail}{_hint(printed, foreign=isinstance(context, bytes))}")


def _hint(printed: str, foreign: bool = False) -> str:
    """Say what to do about failures that do not say it themselves. `foreign`: the folder is not one of the shipped."""
    if "CERTIFICATE_VERIFY_FAILED" in printed or "certificate verif" in printed.lower():
        return (
            "\nA package index showed a certificate that the build does not trust. Behind an inspecting proxy or a "
            "private mirror, put its CA into docker/extra-ca/ (*.crt) and try again."
        )
    if foreign and _NOT_IN_CONTEXT.search(printed):
        return (
            "\nOutside of docker/ the build context is the target's folder itself, and in it docker/common and "
            "docker/extra-ca of the lab: what a shipped Dockerfile takes from docker/<name>/ is to be taken from ./ "
            "here (COPY hooks/ /hooks/)."
        )
    return ""


def _have_base(client: docker.DockerClient) -> None:
    if _exists(client, BASE_IMAGE):
        return
    try:
        client.images.pull(BASE_IMAGE)
    except docker.errors.APIError as error:
        raise EngineError(
            f"the base image {BASE_IMAGE} is neither here nor to be pulled; make it from Debian's archive with "
            "docker/base/make-base.sh (as root)"
        ) from error
