"""The shape of a scenario file: its keys and their types.

Everything but the texts, `requirements` and `kills` has a default.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from mta_sts_lab.model import Grade, Mode, World

#: A world is kept as it was written until the tables that bend it are merged; `table` names what it must fit.
WorldTable = Annotated[dict[str, Any], msgspec.Meta(extra={"table": World})]

#: One word or several.
Words = str | tuple[str, ...]

#: One attack or several, each a name or a table with a name.
Uses = str | dict[str, Any] | list[Any] | None


class PolicyRequestsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on the policy requests of a step."""

    least: int = 0
    most: int | None = None
    whole_case: bool = False
    obligation: str = ""


class ExpectationTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[expect.<mode>]`: what must become of the message. See `mta_sts_lab.model.Expectation`."""

    outcome: Words = ()
    should: Words = ()
    obligation: str = ""
    grade: Grade | None = None
    note: str = ""
    policy_requests: PolicyRequestsTable | None = None
    report: Words = ()
    report_obligation: str = ""
    report_optional: bool = False


class ExpectationsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[expect]`: an expectation for each mode that makes a case."""

    enforce: ExpectationTable | None = None
    testing: ExpectationTable | None = None
    none: ExpectationTable | None = None
    absent: ExpectationTable | None = None

    def of(self, mode: Mode) -> ExpectationTable | None:
        """Return the expectation for a mode, if there is one."""
        found: ExpectationTable | None = getattr(self, mode.value)
        return found

    def modes(self) -> tuple[Mode, ...]:
        """Return the modes that have an expectation."""
        return tuple(mode for mode in Mode if self.of(mode) is not None)


class AttackTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[attack]`: by channel a name, a table with `name`, `optional` and parameters, or a list of those."""

    smtp: Uses = None
    dns: Uses = None
    https: Uses = None


class StepTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[step]]`: a step that stands in place of the default ones. See `mta_sts_lab.model.Step`."""

    name: str
    send: bool = True
    world: WorldTable | Literal["keep"] = msgspec.field(default_factory=dict)
    attack: AttackTable | Literal["keep"] | None = None
    restart: Literal["", "TERM", "KILL"] = ""
    advance: int = 0
    recovers: bool = False
    learns_policy: bool = False
    reports: bool = False
    expect: ExpectationsTable = ExpectationsTable()


class VectorTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[vector]]`: a variation of the scenario, laid over it key by key."""

    name: str
    degrades: bool | None = None
    world: WorldTable = msgspec.field(default_factory=dict)
    fault: WorldTable = msgspec.field(default_factory=dict)
    attack: AttackTable = AttackTable()
    step: tuple[StepTable, ...] = ()
    expect: ExpectationsTable = ExpectationsTable()


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole scenario file."""

    title: str
    story: str
    effect: str
    requirements: tuple[str, ...]
    #: The flaws of the reference sender that the scenario must find.
    kills: tuple[str, ...]
    #: Whether the attack must worsen the delivery without a policy.
    degrades: bool = True
    #: What a target must claim: tls-rpt.
    needs: Words = ()
    world: WorldTable = msgspec.field(default_factory=dict)
    fault: WorldTable = msgspec.field(default_factory=dict)
    attack: AttackTable = AttackTable()
    step: tuple[StepTable, ...] = ()
    vector: tuple[VectorTable, ...] = ()
    expect: ExpectationsTable = ExpectationsTable()


def words(value: Words) -> tuple[str, ...]:
    """Return one word or several as several."""
    return (value,) if isinstance(value, str) else value
