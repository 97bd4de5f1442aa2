"""Builds images. The tag of an image is a digest of its build context, so that it is rebuilt when that changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import docker.errors

import docker
from mta_sts_lab.backends.docker.build_context import EXTRA_CA_VARIABLE, BuildContext, context_of, foreign_context
from mta_sts_lab.backends.docker.engine import EngineError, connect
from mta_sts_lab.backends.registry import Built
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.shipped_files import shipped_files, source_files
from mta_sts_lab.timeouts import BUILD_IMAGE

BASE_IMAGE = "debian:trixie-slim"

_OF_DEBIAN = re.compile(r"debian:([a-z]+)-slim")

#: The sources of the two kinds of image, relative to the root of a checkout.
_LAB_PARTS = ("pyproject.toml", "docker/lab", "docker/common/install", "scenarios", "lab")
_COMMON_PARTS = ("docker/common",)

#: Environment variables that are passed on to a build when the user has set them.
_BUILD_ARGUMENTS = ("APT_MIRROR", "APT_SECURITY_MIRROR", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY")

#: Where packages of one's own are while they are installed, and how. Files of the configuration stay as they are.
_PACKAGES = "/tmp/installed/"  # noqa: S108 - in an image that is being built
_INSTALL_PACKAGES = f"""ARG APT_MIRROR
ARG APT_SECURITY_MIRROR
COPY docker/common/install/ docker/extra-ca/ /tmp/install/
RUN /tmp/install/apt-install --allow-downgrades -o Dpkg::Options::=--force-confold {_PACKAGES}*.deb \\
    && rm -rf /tmp/install {_PACKAGES}
"""

#: What COPY says of a file that is not there: the classic builder, and BuildKit.
_NOT_IN_CONTEXT = re.compile(r"COPY failed|failed to calculate checksum|failed to compute cache key")


def lab_image(client: docker.DockerClient, say: Callable[[str], None]) -> str:
    """Return the name of the lab's own image, built if it has to be."""
    return _image(client, "lab", context_of(_LAB_PARTS, "docker/lab/Dockerfile"), say)


def target_image(client: docker.DockerClient, folder: TargetFolder, say: Callable[[str], None]) -> str:
    """Return the name of a target's image, built if it has to be.

    A folder that did not come with the lab is its own build context, with `docker/common` beside it: its Dockerfile
    finds the contract server under the same path as those of the shipped ones.
    """
    return _target_image(client, folder, folder.file.base_image, say)


def _target_image(client: docker.DockerClient, folder: TargetFolder, base: str, say: Callable[[str], None]) -> str:
    if folder.base is not None:
        image = _target_image(client, folder.base, base, say)
        return _with_installed(client, image, folder, say) if folder.installs else image
    inside = folder.path.resolve()
    if not folder.shipped:
        context = foreign_context(inside, _COMMON_PARTS, folder.file.dockerfile or "Dockerfile")
        return _image(client, folder.name, context, say)
    if folder.file.dockerfile == "docker/lab/Dockerfile":
        return lab_image(client, say)
    name, dockerfile, parts = _made_of(f"{inside.relative_to(shipped_files())}", folder.file.dockerfile)
    on = f"-on-{re.sub('[^a-z0-9]+', '-', base)}" if base else ""
    return _image(client, name + on, context_of(parts, dockerfile, base), say)


def _with_installed(client: docker.DockerClient, image: str, folder: TargetFolder, say: Callable[[str], None]) -> str:
    """Return the name of an image with packages and files of one's own installed into another one, built if needed."""
    members = tuple((f"installed/{number}/{one.source.name}", one.source) for number, one in enumerate(folder.installs))
    lines = [f"FROM {image}"]
    for (name, _), one in zip(members, folder.installs, strict=True):
        lines.append(f"COPY {json.dumps([name, one.at or _PACKAGES])}")
    if not all(one.at for one in folder.installs):
        lines.append(_INSTALL_PACKAGES)
    context = BuildContext((*source_files("docker/common/install"), *members), "Dockerfile", "\n".join(lines))
    return _image(client, f"{folder.origin.path.name}-installed", context, say)


def _made_of(folder: str, dockerfile: str) -> tuple[str, str, tuple[str, ...]]:
    """Return an image's name, its Dockerfile and its parts. It belongs to the folder where the Dockerfile stands.

    Targets that differ in `target.toml` alone share it so.
    """
    dockerfile = dockerfile or f"{folder}/Dockerfile"
    owner = PurePosixPath(dockerfile).parent
    return owner.name, dockerfile, (str(owner), *_COMMON_PARTS)


def _image(client: docker.DockerClient, name: str, context: BuildContext, say: Callable[[str], None]) -> str:
    image = _called(client, name, context)
    if not _exists(client, image):
        with context.locked():
            if not _exists(client, image):
                _build(client, image, context, say)
                # The build may have pulled an image that was not here to be asked for its id.
                client.images.get(image).tag(_called(client, name, context))
    return image


def _called(client: docker.DockerClient, name: str, context: BuildContext) -> str:
    """Return the name of an image. It is another one when an image that it is built on was made anew."""
    ids = (_id_of(client, one) for one in context.images())
    return f"mta-sts-lab/{name}:{context.digest(' '.join(filter(None, ids)))}"


def _id_of(client: docker.DockerClient, image: str) -> str:
    """Return the id of an image; empty if it is not here, or the name is none, such as a stage's."""
    try:
        return str(client.images.get(image).id)
    except docker.errors.DockerException:
        return ""


def _exists(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        return False
    return True


def _build(client: docker.DockerClient, image: str, context: BuildContext, say: Callable[[str], None]) -> None:
    """Build with the `docker` command."""
    if base := _base_of(context):
        _have_base(client, base)
    say(f"building {image} (once; later runs reuse it)")
    arguments = [f"--build-arg={name}={os.environ[name]}" for name in _BUILD_ARGUMENTS if os.environ.get(name)]
    arguments += [f"--build-arg=BASE={context.base}"] if context.base else []
    latest = f"{image.partition(':')[0]}:latest"
    command = [
        "docker",
        "build",
        # Also when it fails: intermediate containers have none of our labels, and `clean` would not find them.
        "--force-rm",
        "--network",
        "host",
        "--file",
        context.dockerfile,
        "--tag",
        image,
        "--tag",
        latest,
    ]
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            [*command, *arguments, "-"],
            check=False,
            input=context.archive(),
            capture_output=True,
            timeout=BUILD_IMAGE.seconds,
            env={**os.environ, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")},
        )
    except FileNotFoundError as error:
        raise EngineError("the `docker` command is not installed, and building images needs it") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{BUILD_IMAGE.name}: {image} was not built in {BUILD_IMAGE.seconds:g} s") from error
    if done.returncode:
        printed = without_colours((done.stdout + done.stderr).decode(errors="replace"))
        tail = "\n".join(printed.strip().splitlines()[-12:])
        raise EngineError(f"building {image} failed:\n{tail}{_hint(printed, context.foreign)}")


def without_colours(printed: str) -> str:
    """Return what a program printed without the codes of colours, which Docker prints to files as well."""
    from rich.text import Text

    return Text.from_ansi(printed).plain


def _hint(printed: str, foreign: bool = False) -> str:
    """Say what to do about failures that do not say it themselves. `foreign`: the folder is not one of the shipped."""
    if "CERTIFICATE_VERIFY_FAILED" in printed or "certificate verif" in printed.lower():
        return (
            "\nA package index showed a certificate that the build does not trust. Behind an inspecting proxy or a "
            f"private mirror, put its CA into a folder (*.crt), name that in {EXTRA_CA_VARIABLE} and try again."
        )
    if foreign and _NOT_IN_CONTEXT.search(printed):
        return (
            "\nOutside of docker/ the build context is the target's folder itself, and in it docker/common and "
            "docker/extra-ca of the lab: what a shipped Dockerfile takes from docker/<name>/ is to be taken from ./ "
            "here (COPY hooks/ /hooks/)."
        )
    return ""


def _base_of(context: BuildContext) -> str:
    """Return the base image that a build needs and that `make-base.sh` makes; empty: the builder finds its own."""
    named = context.images()
    return "" if named and BASE_IMAGE not in named else context.base or BASE_IMAGE


def _have_base(client: docker.DockerClient, base: str) -> None:
    if _exists(client, base):
        return
    try:
        client.images.pull(base)
    except docker.errors.APIError as error:
        release = _OF_DEBIAN.fullmatch(base)
        make = (
            f"; make it from Debian's archive with docker/base/make-base.sh {release[1]} (as root)" if release else ""
        )
        raise EngineError(f"the base image {base} is neither here nor to be pulled{make}") from error


#: Builds at one time. Most of a build is waiting for a mirror, or one package's own scripts after the other: on two
#: busy cores four images took 69 s one after the other, 36 s in pairs and 29 s all at once.
AT_ONCE = 4


def build_all(folders: Iterable[TargetFolder], say: Callable[[str], None]) -> list[Built]:
    """Build the lab's image, and then those of all targets. Raises `EngineError` if there is no engine, or no lab."""
    lab_image(connect(), say)
    groups: dict[str, list[TargetFolder]] = {}
    for folder in folders:
        # Targets that share a Dockerfile share an image: built twice at once it would be built twice.
        origin = folder.origin
        groups.setdefault(origin.file.dockerfile or f"docker/{origin.path.name}/Dockerfile", []).append(folder)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda group: [_built(folder, say) for folder in group], groups.values()))
    return [one for group in done for one in group]


def _built(folder: TargetFolder, say: Callable[[str], None]) -> Built:
    try:
        return Built(folder.name, image=target_image(connect(), folder, say))
    except EngineError as error:
        return Built(folder.name, problem=str(error))
