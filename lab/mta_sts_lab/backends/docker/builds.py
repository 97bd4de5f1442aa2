"""All images at once: built side by side, and one that fails does not take the others with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mta_sts_lab.backends.docker.engine import EngineError, connect
from mta_sts_lab.backends.docker.folder import TargetFolder
from mta_sts_lab.backends.docker.images import lab_image, target_image

#: Builds at one time. Most of a build is waiting for a mirror, or one package's own scripts after the other: on two
#: busy cores four images took 69 s one after the other, 36 s in pairs and 29 s all at once.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one target's image: its name, or why there is none."""

    target: str
    image: str = ""
    problem: str = ""


def build_all(folders: Iterable[TargetFolder], say: Callable[[str], None]) -> list[Built]:
    """Build the lab's image, and then those of all targets. Raises `EngineError` if there is no engine, or no lab."""
    lab_image(connect(), say)
    groups: dict[str, list[TargetFolder]] = {}
    for folder in folders:
        # Targets that share a Dockerfile share an image: built twice at once it would be built twice.
        groups.setdefault(folder.file.dockerfile or f"docker/{folder.path.name}/Dockerfile", []).append(folder)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda group: [_built(folder, say) for folder in group], groups.values()))
    return [one for group in done for one in group]


def _built(folder: TargetFolder, say: Callable[[str], None]) -> Built:
    try:
        return Built(folder.name, image=target_image(connect(), folder, say))
    except EngineError as error:
        return Built(folder.name, problem=str(error))
