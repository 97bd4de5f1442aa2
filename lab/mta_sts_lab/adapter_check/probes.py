"""The probe cases of an adapter check: worlds without an attack, and a few in which mail has to wait. Pure data.

The runner plays them like every other case, and `mta_sts_lab.adapter_check` judges the record. They are no scenarios:
they check whether a target keeps its contract, not whether it keeps an RFC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mta_sts_lab.model.case import PUBLISHED_POLICY, AttackUse, Case, Expectation, Mode, Step
from mta_sts_lab.model.world import MxHost, Policy, Reports, World
from mta_sts_lab.targets.contract import MTA_STS, TLS_RPT

#: The family of all probes. No scenario may use it, and no report counts its cases.
FAMILY = "adapter"

#: Seconds: the age at which the policy of the clock's probe ends, and by how much the clock is moved.
POLICY_AGE = 86400
CLOCK_ADVANCE = 90000

_DELIVERED = Expectation(("delivered",), "")
_HELD = Expectation(("deferred",), "")
_REPORTED = Expectation(("delivered",), "", report=("any",))

_ONE_HOST = Policy(mx=("mx1",))
_QUIET = Reports(records=())
_HONEST = World(policy=_ONE_HOST, reports=_QUIET)
_REPORTING = World(policy=_ONE_HOST)
_NOBODY = World(mx=(MxHost(reachable=False),), policy=_ONE_HOST, reports=_QUIET)
_UNTRUSTED = World(mx=(MxHost(certificate="untrusted"),), policy=_ONE_HOST, reports=_QUIET)
_SHORT = World(policy=Policy(mx=("mx1",), max_age=POLICY_AGE), reports=_QUIET)

_SLOW = World(mx=(MxHost(greets_after=1.5),), reports=_QUIET)

#: Another host takes the mail. It has no defect, but the policy does not name it, and the policy host is away.
_STRANGER = (AttackUse("forge_mx", "dns"),)
_STRANGER_AND_NO_POLICY = (
    *_STRANGER,
    AttackUse("hide_policy_record", "dns", needs=PUBLISHED_POLICY),
    AttackUse("block_policy_host", "https", optional=True, needs=PUBLISHED_POLICY),
)


def is_probe(case: str) -> bool:
    """Whether a case id is that of a probe."""
    return case.startswith(f"{FAMILY}/")


def has_probes(cases: Iterable[Case]) -> bool:
    """Whether the cases of a record are those of a target-check, which have no verdicts."""
    return any(is_probe(case.id) for case in cases)


def _probe(name: str, mode: Mode, *steps: Step) -> Case:
    identifier = f"{FAMILY}/{name}"
    return Case(f"{identifier}[{mode.value}]", identifier, mode, steps, degrades=False)


def _deliver(name: str = "deliver", world: World = _HONEST, *, learns: bool = False) -> Step:
    return Step(name, world, expect=_DELIVERED, learns_policy=learns)


def _recover(world: World = _HONEST) -> Step:
    return Step("recover", world, send=False, recovers=True)


#: A message to a domain without a policy, whose host is in perfect order.
HONEST = _probe("honest", Mode.ABSENT, _deliver())

#: A message to a domain with an enforced policy, in perfect order.
POLICY = _probe("policy", Mode.ENFORCE, _deliver(learns=True))

#: The same for a target that does not claim to know policies: nobody waits for a fetch.
POLICY_UNCLAIMED = _probe("policy", Mode.ENFORCE, _deliver())

#: The second message goes under a policy that is known by now.
KNOWN_POLICY = _probe(
    "known-policy", Mode.ENFORCE, _deliver("learn", learns=True), Step("again", _REPORTING, expect=_REPORTED)
)

#: Under an enforced policy, a host that it does not name, and one that shows a certificate of nobody's authority.
STRANGER = _probe(
    "stranger", Mode.ENFORCE, _deliver("learn", learns=True), Step("held", _HONEST, _STRANGER, expect=_HELD), _recover()
)
UNTRUSTED = _probe(
    "untrusted", Mode.ENFORCE, _deliver("learn", learns=True), Step("held", _UNTRUSTED, expect=_HELD), _recover()
)

#: A report is asked for about this one.
REPORTED = _probe("reported", Mode.ABSENT, Step("deliver", _REPORTING, expect=_REPORTED))

#: The domain's host is slow to greet: for that time the message is being delivered, and nothing else.
SLOW = _probe("slow-host", Mode.ABSENT, _deliver(world=_SLOW))

#: The domain's host refuses connections, for a while.
HELD = _probe("held", Mode.ABSENT, _deliver(), Step("held", _NOBODY, expect=_HELD), _recover())

#: The same for a target that tries again in its own time only: nobody waits for the message's arrival.
HELD_ALONE = _probe("held-alone", Mode.ABSENT, _deliver(), Step("held", _NOBODY, expect=_HELD))

#: As the first, and the target is restarted meanwhile. The two share the restart, so their steps are alike.
KEPT = _probe(
    "restart",
    Mode.ABSENT,
    _deliver(),
    Step("held", _NOBODY, expect=_HELD),
    Step("killed", _NOBODY, send=False, restart="KILL"),
    _recover(),
)
CACHE = _probe(
    "restart",
    Mode.ENFORCE,
    _deliver("learn", learns=True),
    Step("again", _HONEST, send=False),
    Step("killed", _HONEST, _STRANGER_AND_NO_POLICY, restart="KILL", expect=_HELD),
    _recover(),
)

#: The policy is older than it may be when the clock has moved, and a newer one is not to be had: a host that it does
#: not name gets mail again. Before, in the same plight, it does not: else the policy was lost for another reason than
#: its age. Whether the policy is fetched anew would not tell: some senders are content with an unchanged id
#: (postfix-mta-sts-resolver 1.5.0 is). What was held goes out before the clock moves, for no message is to grow old.
CLOCK = _probe(
    "clock",
    Mode.ENFORCE,
    _deliver("learn", _SHORT, learns=True),
    Step("counts", _SHORT, _STRANGER_AND_NO_POLICY, expect=_HELD),
    Step("let-go", _SHORT, send=False, recovers=True),
    Step("lapsed", _SHORT, _STRANGER_AND_NO_POLICY, advance=CLOCK_ADVANCE, expect=_DELIVERED),
    _recover(_SHORT),
)

PERSISTENT = "persistent"


def probes_before_a_run(capabilities: tuple[str, ...]) -> tuple[Case, ...]:
    """Return the probes with which every run begins. Without them no case proves anything."""
    return (HONEST, POLICY) if MTA_STS in capabilities else (HONEST,)


def probes_of(capabilities: Collection[str]) -> tuple[Case, ...]:
    """Return every probe for a target that claims these capabilities, the honest one first."""
    return (HONEST, HELD_ALONE, *probes_for(capabilities, ("flush", "clock", "restart")))


def probes_for(capabilities: Collection[str], offered: Collection[str]) -> tuple[Case, ...]:
    """Return the probes, without the honest one, that can show something with these hooks."""
    found = [HELD if "flush" in offered else HELD_ALONE, SLOW]
    if TLS_RPT in capabilities:
        found.append(REPORTED)
    if MTA_STS in capabilities:
        found += [KNOWN_POLICY, STRANGER, UNTRUSTED, *([CLOCK] if "clock" in offered else [])]
    else:
        found.append(POLICY_UNCLAIMED)
    if "restart" in offered:
        found += [KEPT, CACHE] if MTA_STS in capabilities else [KEPT]
    return tuple(found)
