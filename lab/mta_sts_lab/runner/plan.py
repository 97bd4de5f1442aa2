"""What is to be run: the chosen cases, the control cases that they need, and the name of the run."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mta_sts_lab import __version__
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.target import About
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import RECORD_VERSION, Header, Shard

#: The packages whose version can change a verdict.
_PARTS = ("mitmproxy", "aiosmtpd", "trustme", "dnslib", "cryptography", "aiohttp", "dnspython")

#: The values of `Plan.stays`.
ATTACKED, PLAYED = "attacked", "played"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it begins. `cases` include those of `control_only`; `command` is what the user typed."""

    run: str
    started: str
    command: tuple[str, ...]
    seed: int
    cases: tuple[Case, ...]
    control_only: frozenset[str]
    #: Whether nothing but mail is asked of the target; see `mta_sts_lab.targets.black_box`.
    black_box: bool = False
    #: Whether the target's adapter is checked, with the probes that its claims ask for; then there are no cases here.
    checks_adapter: bool = False
    #: Which shard of the selection these cases are.
    shard: Shard | None = None
    #: A digest of the catalogue that they are from.
    catalogue: str = ""
    #: What stays up at the end, until somebody ends it: the worlds of cases that were `played`, or the world of a case
    #: as it is when it is `attacked`, with nothing played. Empty: nothing.
    stays: str = ""
    #: Runs that are played at the same time on this machine, this one included. They share the cases in flight.
    at_once: int = 1
    #: The families in which every host of the world has an address.
    families: tuple[Family, ...] = (Family.IPV4,)
    #: Whether the hosts of cases that need it have addresses in both families.
    dual_stack: bool = False
    #: Whether the cases are played one at a time: they are played again because nothing was proved among others.
    alone: bool = False
    #: Whether the packets are captured, with the secrets of TLS.
    captures: bool = False
    #: A digest of the files that are laid over the target or installed into it; empty if there are none.
    own_files: str = ""


def plan_check(command: Sequence[str], seed: int | None) -> Plan:
    """Return the plan for a check of an adapter."""
    return replace(plan_run((), {}, command, seed), checks_adapter=True)


def plan_run(
    selected: Sequence[Case],
    all_cases: Mapping[str, Case],
    command: Sequence[str],
    seed: int | None,
    *,
    black_box: bool = False,
) -> Plan:
    """Return the plan for some cases, with those added that they need and that were not chosen."""
    cases = with_needed_cases(selected, all_cases)
    now = datetime.datetime.now(datetime.UTC)
    return Plan(
        run=new_run_name(now),
        started=now.isoformat(timespec="seconds"),
        command=tuple(command),
        seed=secrets.randbits(32) if seed is None else seed,
        cases=cases,
        control_only=frozenset(case.id for case in cases) - {case.id for case in selected},
        black_box=black_box,
    )


def with_needed_cases(selected: Sequence[Case], all_cases: Mapping[str, Case]) -> tuple[Case, ...]:
    """Return some cases, and behind them those that they need: their control cases, and a witness of the clock.

    Without a case that shows whether the target's clock moved, cases that move it prove nothing.
    """
    moves = any(step.advance for case in selected for step in case.steps)
    witness = [case for case in all_cases.values() if moves and case.shows_the_clock][:1]
    wanted = {case.id: case for case in (*selected, *witness)}
    needed = [case.control for case in wanted.values() if case.control and case.control not in wanted]
    return (*wanted.values(), *(all_cases[name] for name in dict.fromkeys(needed)))


#: What stands between the name of a run and the number of a further play of it.
_AGAIN = "-again-"


def name_of_play(run: str, number: int) -> str:
    """Return the name of a further play of a run."""
    return f"{run}{_AGAIN}{number}"


def run_of_play(name: str) -> str:
    """Return the name of the run that a play belongs to."""
    return name.partition(_AGAIN)[0]


def new_run_name(now: datetime.datetime) -> str:
    """Return a name for a run that begins now: its time, and something random."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def header_of(plan: Plan, about: About, clock_began: datetime.datetime) -> Header:
    """Return the header of a run's record. Its events count seconds from `clock_began`."""
    return Header(
        record=RECORD_VERSION,
        run=plan.run,
        started=plan.started,
        command=plan.command,
        versions=program_versions(),
        seed=plan.seed,
        cases=plan.cases,
        about=about,
        black_box=plan.black_box,
        clock_began=clock_began.isoformat(timespec="milliseconds"),
        shard=plan.shard,
        catalogue=plan.catalogue,
        families=plan.families,
        own_files=plan.own_files,
    )


def program_versions() -> dict[str, str]:
    """Return the versions of the lab, of Python, and of the packages that do the work."""
    versions = {"mta-sts-lab": __version__, "python": platform.python_version()}
    return versions | {part: importlib.metadata.version(part) for part in _PARTS}
