"""What a runner in a container or in namespaces is given, and how its record comes back to the process that started it.

Nothing here needs the runner itself: the process that starts it imports none of that.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from mta_sts_lab.adapter_check.diagnosis import Diagnosis
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.events import Event
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import Footer, Header
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan
from mta_sts_lab.targets.injection import Inject

#: Where the host puts the plan, and the CA of the run, before it starts the container.
PLACE = Path("/lab")
PLAN = PLACE / "plan.json"

#: Where the host finds the target's log when the container has ended.
TARGET_LOG = PLACE / "target-log.txt"

#: The file in which the host finds the processor time that the lab used, in seconds.
PROCESSOR_TIME = PLACE / "processor-time.txt"

#: What gives a container an IPv6 address beside its IPv4 one, and one neighbour. The engine has no part in it: it would
#: give this host an address in the network, by which a container could reach whatever listens here. For the same reason
#: the link gets neither an address of its own (fe80::/10) nor multicast.
JOIN_IPV6 = """set -e
ip -6 address flush dev eth0 scope link
ip -6 route flush fe80::/64
ip -6 address add "$1/128" dev eth0 nodad
ip -6 neighbour replace "$2" lladdr "$3" dev eth0 nud permanent
ip -6 route replace "$2/128" dev eth0
ip -6 route delete ff00::/8 dev eth0 table local
"""


class OwnAnswers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `mta_sts_lab.model.target.About` of a target that cannot be asked for it."""

    name: str
    capabilities: tuple[str, ...] = ()
    retry_seconds: float = 0.0


class Ipv6Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The IPv6 addresses of the lab's container and the target's, and the target's hardware address."""

    own: str
    target: str
    target_hardware: str


class ServedPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input of the runner in the container."""

    plan: Plan
    #: The parts of the network that are local to the lab's container, by their family.
    prefixes: dict[Family, str]
    #: The address of the target.
    target_address: str
    inject: Inject
    contract_port: int
    #: How long the target may take until it answers and accepts mail.
    ready_seconds: float
    #: Null: the network has IPv4 alone.
    ipv6: Ipv6Link | None = None
    #: What its words mean.
    diagnoses: tuple[Diagnosis, ...] = ()
    #: Whether its configuration is somebody's own, and judged as it is.
    judged_as_it_is: bool = False
    #: What is said of a target that may have no hooks; null: it has them.
    own_answers: OwnAnswers | None = None


class ProcessPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input of the runner in the namespaces."""

    served: ServedPlan
    ca_pem: str
    ca_key_pem: str
    #: For a target without the contract: its name and capabilities; null: the target has the contract.
    own_answers: OwnAnswers | None
    #: Whether the target runs as root of the machine.
    root: bool
    #: The file that takes what the target prints.
    output: str


def pass_on(line: bytes, outlet: Outlet) -> None:
    """Hand a line of `standard_output` to the outlet of this process. Raises `BackendError` for anything else."""
    try:
        if line.startswith(b'{"record":'):
            outlet.header(msgspec.json.decode(line, type=Header))
        elif line.startswith(b'{"footer":'):
            outlet.footer(msgspec.json.decode(line, type=Footer))
        else:
            outlet.event(msgspec.json.decode(line, type=Event))
    except msgspec.MsgspecError as error:
        raise BackendError(f"what is no part of a record came from the runner ({error}): {line[:200]!r}") from error
