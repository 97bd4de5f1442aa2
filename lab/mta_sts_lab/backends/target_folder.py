"""A target's folder: the content of its `target.toml`, and where its other files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from mta_sts_lab.backends.overlay import LaidFile, digest_of_files
from mta_sts_lab.judge.known_failures import known_failures_file
from mta_sts_lab.model.world import Family
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.contract_http import PORT
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.timeouts import TARGET_READY

#: The name of a kernel setting of a network namespace. All others would change the whole machine.
NetworkSetting = Annotated[str, msgspec.Meta(pattern=r"^net(\.[a-z0-9][a-z0-9_-]*)+$", max_length=100)]

#: The value of a kernel setting: numbers and words, as in /proc/sys.
SettingValue = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[contract]`: where the target serves the contract, inside the network of the run."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = PORT


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[process]`: a target that is a command of this machine. It runs in its folder, in namespaces of its own."""

    #: The program and its arguments. A relative path begins at the folder.
    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    #: Whether the command itself serves the contract over HTTP.
    serves_contract: bool = False
    #: Otherwise: the folder with the hooks, if there is one.
    hooks: str = "hooks"
    #: For a command without the contract: its `mta_sts_lab.model.target.About`.
    capabilities: tuple[str, ...] = ()
    retry_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Joined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[joined]`: a target that is a container of somebody's own, on a network of the container engine."""

    #: Empty: this program is a container on that network itself, and `container` a name there.
    network: str
    container: str
    #: For a target without the contract: its `mta_sts_lab.model.target.About`.
    capabilities: tuple[str, ...] = ()
    retry_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    #: Where the CA of the run is written beside the folder of the run; empty: nowhere.
    ca_file: str = ""


class TargetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `target.toml`. Unknown keys are refused."""

    #: What is typed after `--target`, and a part of the names of its image and container.
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str
    description: str
    #: The name of the backend that starts it (see `mta_sts_lab.backends.registry`).
    backend: str = "docker"
    #: Seconds from the start of the container until its contract answers and its SMTP port takes mail, at the most.
    ready_seconds: Annotated[float, msgspec.Meta(gt=0, le=900)] = TARGET_READY.seconds
    #: Whether only one instance of it can be up at a time on a machine: no run is then played in several processes.
    one_at_a_time: bool = False
    #: The families in which it connects to hosts. Where both are there, cases about both are played, too.
    families: tuple[Family, ...] = (Family.IPV4,)
    #: MiB of memory that its container may take. A mail server that leaks must not take the machine down with it;
    #: Postfix with its resolver, policy daemon and reporter was seen to take 100.
    memory_mib: Annotated[int, msgspec.Meta(ge=16, le=1 << 20)] = 2048
    inject: Inject = Inject()
    contract: Contract = Contract()
    #: Instead of a Dockerfile: the backend is then "process".
    process: Process | None = None
    #: Instead of an image of the lab's: a container that others start. The backend is then "joined".
    joined: Joined | None = None
    #: The Dockerfile; empty: the one in the folder. In a shipped folder it is relative to the repository root, and may
    #: be another target's: the two then share its image, and differ in `command` and `environment`. In a folder of
    #: one's own it is relative to that folder, and lies in it.
    dockerfile: str = ""
    #: The command of the container; empty: that of the image.
    command: tuple[str, ...] = ()
    #: Linux capabilities that the mail server cannot do without. All others are dropped.
    capabilities_needed: tuple[str, ...] = ()
    #: Kernel settings of the container's own network (net.*), where its defaults are not those of a machine of its own.
    sysctls: dict[NetworkSetting, SettingValue] = msgspec.field(default_factory=dict)
    #: Environment for the container, beside what the lab itself sets (LAB_DNS, LAB_PREFIX ...).
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    #: A shipped target: its image is used, and everything that is not said here is as it says.
    based_on: str = ""
    #: With `based_on`: the image that its Dockerfile begins with, instead of the one that it names (its ARG BASE): the
    #: same mail server as another release of Debian packages it.
    base_image: Annotated[str, msgspec.Meta(pattern="^([a-z0-9][a-z0-9._/:-]{0,99})?$")] = ""
    #: Files and folders that are laid over that image before the start: path in the container = path on this machine. A
    #: relative path begins at the folder.
    files: dict[str, str] = msgspec.field(default_factory=dict)
    #: In words: where the image is configured better than what its users install. The matrix prints it.
    better_than_packaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetFolder:
    """A target's folder whose `target.toml` is valid."""

    path: Path
    file: TargetFile
    #: The shipped target whose image is used.
    base: TargetFolder | None = None
    #: What is laid over the image before the start.
    laid: tuple[LaidFile, ...] = ()
    #: What is installed into the image: packages, and files with their path in the image.
    installs: tuple[LaidFile, ...] = ()
    #: What the record calls it; empty: what it says itself.
    called: str = ""

    @property
    def own_files(self) -> str:
        """A digest of what is laid over the image and installed into it; empty if nothing is."""
        return digest_of_files((*self.laid, *self.installs))

    @property
    def name(self) -> str:
        """The name that is typed after `--target`."""
        return self.file.name

    @property
    def known_failures(self) -> Path:
        """The file with the target's known failures, which may be missing."""
        return known_failures_file(self.path)

    @property
    def inherited_failures(self) -> Path | None:
        """The file with the known failures of the shipped target that it is based on."""
        return self.base.known_failures if self.base else None

    @property
    def origin(self) -> TargetFolder:
        """The shipped target at the bottom: whose Dockerfile, hooks and rules are used."""
        return self.base.origin if self.base else self

    @property
    def made_in(self) -> Path:
        """The folder whose Dockerfile makes the image, with the rules for configurations and the meaning of logs."""
        origin = self.origin
        elsewhere = origin.shipped and origin.file.dockerfile
        return shipped_files() / Path(elsewhere).parent if elsewhere else origin.path

    @property
    def shipped(self) -> bool:
        """Whether it came with the lab: it is below `docker/` of the repository."""
        return self.path.resolve().is_relative_to(shipped_files() / "docker")
