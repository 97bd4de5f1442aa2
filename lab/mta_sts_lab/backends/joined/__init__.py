"""A target that is a container of somebody's own: the lab joins the network that it is on, and starts nothing of it."""

from __future__ import annotations

import re
from collections.abc import Collection

from mta_sts_lab.backends.registry import Backend, Job, refuse_unknown_claims, register
from mta_sts_lab.backends.target_folder import Joined, TargetFile, TargetFolder
from mta_sts_lab.model.world import Family
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.injection import Inject

#: Where the world's hosts are, and the first address there, which is the name server's.
WORLD_PREFIX, NAME_SERVER = "198.19.0.0/17", "198.19.0.1"


class JoinedNetwork(Backend):
    """The backend of `sts-lab serve`."""

    name = "joined"
    captures = True

    def play(self, job: Job) -> str | None:
        """See `Backend`."""
        if job.target.file.joined is not None and not job.target.file.joined.network:
            from mta_sts_lab.backends.joined.inside import play as play_inside

            return play_inside(job)
        from mta_sts_lab.backends.joined.run import play

        return play(job)

    def check(self, target: TargetFolder, flaws: Collection[str]) -> None:
        """See `Backend`."""
        from mta_sts_lab.backends.joined.inside import check_in_container

        super().check(target, flaws)
        assert target.file.joined is not None
        refuse_unknown_claims(target.file.joined.capabilities)
        if not target.file.joined.network:
            check_in_container()

    def why_without(self, family: Family) -> str:
        """See `Backend`."""
        return "`sts-lab serve` joins a network of yours, and gives the world's hosts IPv4 addresses there"

    def one_at_a_time(self, target: TargetFolder) -> str:
        """See `Backend`."""
        return f"the container {target.name} is there once"


def target_in_network(joined: Joined, port: int, ready_seconds: float) -> TargetFolder:
    """Return the target for a container on a network, or for one beside this one."""
    name = re.sub("[^a-z0-9]+", "-", joined.container.lower()).strip("-")[:40] or "container"
    file = TargetFile(
        name=name,
        title=joined.container,
        description=f"The container {joined.container} on the network {joined.network or 'of the lab'}.",
        backend=JoinedNetwork.name,
        inject=Inject(port=port),
        ready_seconds=ready_seconds,
        joined=joined,
    )
    # It has no folder. None of the shipped ones has this name, so there are no known failures.
    return TargetFolder(shipped_files() / "docker" / "joined", file)


register(JoinedNetwork())
