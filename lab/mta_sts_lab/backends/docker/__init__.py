"""Docker: images, the network of a run, the lab's container and the target's.

The engine's client is only imported when something is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from mta_sts_lab.backends.registry import Backend, Built, Job, register
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.model.world import Family


class Docker(Backend):
    """The backend of every target that has a Dockerfile."""

    name = "docker"
    stays_up = True
    captures = True

    def play(self, job: Job) -> str | None:
        """See `Backend`."""
        from mta_sts_lab.backends.docker.run import play

        return play(job)

    def one_at_a_time(self, target: TargetFolder) -> str:
        """See `Backend`."""
        return ""

    def families(self, target: TargetFolder) -> tuple[Family, ...]:
        """See `Backend`."""
        return (Family.IPV4, Family.IPV6)

    def prepare(self, target: TargetFolder, say: Callable[[str], None]) -> None:
        """See `Backend`."""
        from mta_sts_lab.backends.docker.run import images_of

        images_of(target, say)

    def lacks(self, folder: TargetFolder) -> str:
        """See `Backend`."""
        if folder.base is not None:
            return ""
        root, dockerfile = folder.path.resolve(), folder.file.dockerfile or "Dockerfile"
        if not (root / dockerfile).resolve().is_relative_to(root):
            return (
                f"{folder.path / 'target.toml'}: dockerfile = {dockerfile!r} is not in this folder; outside of docker/ "
                "it is relative to the folder, which is all that its build has beside docker/common and docker/extra-ca"
            )
        if not (root / dockerfile).is_file():
            return f"{folder.path}: there is no {dockerfile}; `sts-lab docs adding-an-mta` has one to start from"
        return ""

    def check(self, target: TargetFolder, flaws: Collection[str]) -> None:
        """See `Backend`. The reference sender in a container has flaws, too."""
        if "LAB_FLAWS" not in target.file.environment:
            super().check(target, flaws)

    def build(self, targets: Iterable[TargetFolder], say: Callable[[str], None]) -> list[Built]:
        """See `Backend`."""
        from mta_sts_lab.backends.docker.images import build_all

        return build_all(targets, say)

    def clean(self, everything: bool) -> Iterator[str]:
        """See `Backend`."""
        from mta_sts_lab.backends.docker.engine import clean, connect

        for leftover in clean(connect(), everything=everything):
            yield f"removed {leftover.kind} {leftover.name}"


register(Docker())
