"""Runs the reference sender in this process: no Docker, no privileges, any operating system.

Only this module imports the reference sender, so it offers the names of its flaws to others, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mta_sts_lab.backends.local import LocalBackend
from mta_sts_lab.backends.registry import BackendError, Job, TargetRefused, register
from mta_sts_lab.backends.target_folder import TargetFile, TargetFolder
from mta_sts_lab.model.target import CAPABILITIES
from mta_sts_lab.model.world import Family
from mta_sts_lab.reference.flaws import FLAWS, Flaw, UnknownFlaw, parse_flaws
from mta_sts_lab.reference.settings import IN_PROCESS, Settings
from mta_sts_lab.shipped_files import shipped_files

if TYPE_CHECKING:
    from mta_sts_lab.runner.context import Timeouts
    from mta_sts_lab.runner.run import RunningWorld, RunSetup
    from mta_sts_lab.targets.contract import Target

REFERENCE = TargetFolder(
    shipped_files() / "docker" / "reference",
    TargetFile(
        name="reference",
        title="Reference sender",
        description="The lab's own correct sender; needs no Docker.",
        backend="in_process",
        families=(Family.IPV4, Family.IPV6),
    ),
)

#: Seconds between its attempts when none can be requested: long enough for each to count as an attempt.
_OWN_RETRIES = 5.5


@dataclass
class InProcess(LocalBackend):
    """The backend of the reference sender."""

    name = "in_process"
    divided_by_default = True
    settings: Settings = IN_PROCESS
    timeouts: Timeouts | None = None

    def setup(self) -> RunSetup:
        """See `LocalBackend`."""
        from mta_sts_lab.runner.context import IN_PROCESS as TIMEOUTS
        from mta_sts_lab.runner.run import RunSetup

        return RunSetup(timeouts=self.timeouts or TIMEOUTS)

    async def start(self, world: RunningWorld, job: Job) -> Target:
        """See `LocalBackend`."""
        from mta_sts_lab.reference.target import InProcessTarget

        carried = Family if job.plan.dual_stack else job.plan.families
        families = tuple(family for family in self.settings.families if family in carried)
        settings = replace(self.settings, name=job.called, families=families)
        if job.plan.black_box:
            settings = replace(settings, retry_seconds=_OWN_RETRIES, longest_retry_seconds=_OWN_RETRIES)
        target = InProcessTarget(
            network=world.network,
            dns=world.dns_address,
            ca_pem=world.ca_pem.decode(),
            directory=job.directory / "state",
            trust_anchor=world.trust_anchor,
            flaws=parse_flaws(job.flaws),
            settings=settings,
            on_error=world.recorder.lab_failed,
        )
        await target.start()
        return target

    def check(self, target: TargetFolder, flaws: Collection[str]) -> None:
        """See `Backend`."""
        check_flaws(flaws)

    def one_at_a_time(self, target: TargetFolder) -> str:
        """See `Backend`."""
        return ""

    def families(self, target: TargetFolder) -> tuple[Family, ...]:
        """See `Backend`."""
        from mta_sts_lab.world.network import has_ipv6_loopback

        return (Family.IPV4, Family.IPV6) if has_ipv6_loopback() else (Family.IPV4,)

    def why_without(self, family: Family) -> str:
        """See `Backend`."""
        return "this machine has no address ::1, at which the IPv6 hosts of a world in process are; use --family ipv4"

    def shipped(self) -> Iterable[TargetFolder]:
        """See `Backend`."""
        return (REFERENCE,)

    def capabilities(self, target: TargetFolder) -> tuple[str, ...]:
        """See `Backend`."""
        return CAPABILITIES


def known_flaws() -> Mapping[str, Flaw]:
    """Return every flaw that the reference sender can be given, by name."""
    return FLAWS


def check_flaws(names: Collection[str]) -> None:
    """Raise `TargetRefused`, with near misses, for a name that is no flaw."""
    try:
        parse_flaws(names)
    except UnknownFlaw as error:
        raise TargetRefused(str(error)) from error


async def serve_reference_sender(environment: Mapping[str, str]) -> None:
    """Run the reference sender as a mail server that keeps the target contract. Raises `BackendError`."""
    from mta_sts_lab.reference.server import ContainerError, serve_container

    try:
        await serve_container(environment)
    except ContainerError as error:
        raise BackendError(str(error)) from error


register(InProcess())
