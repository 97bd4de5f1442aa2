"""The shape of a scenario file, its keys and their types, and everything in which a file differs from it.

Everything but the texts, `requirements` and `kills` has a default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from mta_sts_lab.catalogue.problems import KeyPath, Problem, unknown
from mta_sts_lab.model.case import Expectation, Message, Mode
from mta_sts_lab.model.world import World

#: A world is kept as it was written until the tables that bend it are merged; `table` names what it must fit.
WorldTable = Annotated[dict[str, Any], msgspec.Meta(extra={"table": World})]

#: One attack or several, each a name or a table with a name.
Uses = str | dict[str, Any] | list[Any] | None


class ExpectationsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[expect]`: an expectation for each mode that makes a case."""

    enforce: Expectation | None = None
    testing: Expectation | None = None
    none: Expectation | None = None
    dane: Expectation | None = None
    absent: Expectation | None = None

    def of(self, mode: Mode) -> Expectation | None:
        """Return the expectation for a mode, if there is one."""
        found: Expectation | None = getattr(self, mode.value)
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
    """`[[step]]`: a step that stands in place of the default ones. See `mta_sts_lab.model.case.Step`."""

    name: str
    send: bool = True
    world: WorldTable | Literal["keep"] = msgspec.field(default_factory=dict)
    attack: AttackTable | Literal["keep"] | None = None
    message: Message | None = None
    restart: Literal["", "TERM", "KILL"] = ""
    advance: int = 0
    recovers: bool = False
    learns_policy: bool = False
    reports: bool = False
    expect: ExpectationsTable = ExpectationsTable()


class FamilyDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`family.toml`: what the scenarios of a folder have in common, unless a scenario says otherwise.

    `expect` fills in modes that a scenario or its vector names, and adds none.
    """

    #: Whether the attack must worsen the delivery without a policy.
    degrades: bool = True
    #: What a target must claim: tls-rpt.
    needs: tuple[str, ...] = ()
    world: WorldTable = msgspec.field(default_factory=dict)
    expect: ExpectationsTable = ExpectationsTable()


class _Playable(FamilyDefaults, frozen=True, forbid_unknown_fields=True):
    fault: WorldTable = msgspec.field(default_factory=dict)
    attack: AttackTable = AttackTable()
    message: Message = msgspec.field(default_factory=Message)
    step: tuple[StepTable, ...] = ()


class VectorTable(_Playable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[vector]]`: a variation of the scenario, laid over it key by key."""

    name: str


class Document(_Playable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole scenario file."""

    title: str
    story: str
    effect: str
    requirements: tuple[str, ...]
    #: The flaws of the reference sender that the scenario must find.
    kills: tuple[str, ...]
    vector: tuple[VectorTable, ...] = ()


def with_lists(raw: dict[str, Any]) -> dict[str, Any]:
    """Turn one MX host, outcome, result type, capability or header field into a list, wherever it stands."""
    expect = raw.get("expect")
    _listed(raw, "needs")
    _listed(raw.get("message"), "header", "body")
    for world in (raw.get("world"), raw.get("fault")):
        _listed(world, "mx")
    for table in expect.values() if isinstance(expect, dict) else ():
        _listed(table, "outcome", "should", "report")
    for inner in (*tables_in(raw.get("step")), *tables_in(raw.get("vector"))):
        with_lists(inner)
    return raw


def _listed(table: object, *keys: str) -> None:
    for key in keys:
        if isinstance(table, dict) and isinstance(table.get(key), str | dict):
            table[key] = [table[key]]


def tables_in(value: object) -> list[dict[str, Any]]:
    """Return the tables of a list; of anything else none."""
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def mismatches(value: object, table: type, at: KeyPath = ()) -> Iterator[Problem]:
    """Yield a problem for every unknown key, missing key and wrong type; msgspec itself stops at the first.

    `table` is a msgspec structure or a dataclass.
    """
    if not isinstance(value, dict):
        yield Problem(f"{_name(at)} must be a table, not {_said(value)}", at)
        return
    kinds = _kinds(table)
    for key in value:
        if key in kinds:
            yield from _in_value(value[key], kinds[key], (*at, key))
        else:
            yield Problem(unknown("key", key, kinds), (*at, key))
    for key in _required(table):
        if key not in value:
            where = f" in {_name(at)}" if at else ""
            yield Problem(f"`{key}` is missing{where}", at)


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    """What the value of a key has to be."""

    #: As `msgspec.convert` takes it.
    said: Any
    #: The structure or dataclass that a table has to fit.
    table: type | None
    #: Whether something else than a table will do.
    or_else: bool
    #: What each element of a list has to fit.
    elements: type | None
    choices: tuple[str, ...]


def _in_value(value: object, kind: _Kind, at: KeyPath) -> Iterator[Problem]:
    if kind.table is not None and (isinstance(value, dict) or not kind.or_else):
        yield from mismatches(value, kind.table, at)
    elif kind.elements is not None:
        yield from _in_list(value, kind.elements, at)
    else:
        yield from _in_leaf(value, kind, at)


def _in_list(value: object, table: type, at: KeyPath) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem(f"{_name(at)} must be a list of tables, not {_said(value)}", at)
        return
    for position, element in enumerate(value):
        yield from mismatches(element, table, (*at, position))


def _in_leaf(value: object, kind: _Kind, at: KeyPath) -> Iterator[Problem]:
    if kind.choices and isinstance(value, str):
        if value not in kind.choices:
            yield Problem(unknown(f"value of {_name(at)}:", value, kind.choices), at)
        return
    try:
        msgspec.convert(value, kind.said)
    except msgspec.ValidationError as error:
        yield Problem(f"{_name(at)}: {str(error).split(' - at ')[0]}", at)


@cache
def _kinds(table: type) -> dict[str, _Kind]:
    """Return what the values of a table's keys have to be. It is worked out once: a catalogue asks 7,000 times."""
    return {key: _kind(said) for key, said in get_type_hints(table, include_extras=True).items()}


def _kind(said: Any) -> _Kind:
    elements = _table_of(get_args(said)[0]) if get_origin(said) is tuple else None
    return _Kind(said, _table_of(said), get_origin(said) in (Union, UnionType), elements, _choices(said))


def _table_of(said: Any) -> type | None:
    """Return the structure or dataclass that a table has to fit, if there is one."""
    if get_origin(said) is Annotated:
        metadata = [meta for meta in get_args(said)[1:] if isinstance(meta, msgspec.Meta) and meta.extra]
        named: type | None = metadata[0].extra["table"] if metadata and metadata[0].extra else None
        return named
    if get_origin(said) in (Union, UnionType):
        return next((found for option in get_args(said) if (found := _table_of(option)) is not None), None)
    is_table = isinstance(said, type) and (issubclass(said, msgspec.Struct) or dataclasses.is_dataclass(said))
    return said if is_table else None


@cache
def _required(table: type) -> tuple[str, ...]:
    if issubclass(table, msgspec.Struct):
        return tuple(field.name for field in msgspec.structs.fields(table) if field.required)
    return ()


def _choices(said: Any) -> tuple[str, ...]:
    if isinstance(said, type) and issubclass(said, StrEnum):
        return tuple(member.value for member in said)
    if get_origin(said) is Literal:
        return tuple(choice for choice in get_args(said) if choice)
    if get_origin(said) in (Union, UnionType):
        options = [option for option in get_args(said) if option is not type(None)]
        found = [_choices(option) for option in options if _table_of(option) is None]
        return sum(found, ()) if all(found) else ()
    return ()


def _name(at: KeyPath) -> str:
    return f"`{'.'.join(part for part in at if isinstance(part, str))}`" if at else "the file"


def _said(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)
