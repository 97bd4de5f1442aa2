"""Compare a file's tables with the shape of a scenario, and report every difference: msgspec stops at the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from mta_sts_lab.catalogue.problems import KeyPath, Problem, unknown


def mismatches(value: object, kind: Any, at: KeyPath = ()) -> Iterator[Problem]:
    """Yield a problem for every unknown key, missing key and wrong type of a value that should be of a kind.

    `kind` is a msgspec structure, a dataclass, a list of either, or whatever `msgspec.convert` takes.
    """
    table = _table_of(kind, value)
    if table is not None:
        yield from _in_table(value, table, at)
    elif get_origin(kind) is tuple and _table_of(get_args(kind)[0], {}) is not None:
        yield from _in_list(value, get_args(kind)[0], at)
    else:
        yield from _in_leaf(value, kind, at)


def _table_of(kind: Any, value: object) -> type | None:
    """Return the structure or dataclass that a value has to fit, if it has to fit one."""
    if get_origin(kind) is Annotated:
        metadata = [meta for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta) and meta.extra]
        named: type | None = metadata[0].extra["table"] if metadata and metadata[0].extra else None
        return named
    if get_origin(kind) in (Union, UnionType):
        tables = [found for option in get_args(kind) if (found := _table_of(option, value)) is not None]
        return tables[0] if tables and isinstance(value, dict) else None
    is_table = isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))
    return kind if is_table else None


def _in_table(value: object, table: type, at: KeyPath) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(f"{_name(at)} must be a table, not {_said(value)}", at)
        return
    kinds = _kinds(table)
    for key in value:
        if key in kinds:
            yield from mismatches(value[key], kinds[key], (*at, key))
        else:
            yield Problem(unknown("key", key, kinds), (*at, key))
    for key in _required(table):
        if key not in value:
            where = f" in {_name(at)}" if at else ""
            yield Problem(f"`{key}` is missing{where}", at)


def _in_list(value: object, kind: Any, at: KeyPath) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem(f"{_name(at)} must be a list of tables, not {_said(value)}", at)
        return
    for position, element in enumerate(value):
        yield from mismatches(element, kind, (*at, position))


def _in_leaf(value: object, kind: Any, at: KeyPath) -> Iterator[Problem]:
    choices = _choices(kind)
    if choices and isinstance(value, str):
        if value not in choices:
            yield Problem(unknown(f"value of {_name(at)}:", value, choices), at)
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield Problem(f"{_name(at)}: {str(error).split(' - at ')[0]}", at)


@cache
def _kinds(table: type) -> dict[str, Any]:
    return get_type_hints(table, include_extras=True)


def _required(table: type) -> tuple[str, ...]:
    if issubclass(table, msgspec.Struct):
        return tuple(field.name for field in msgspec.structs.fields(table) if field.required)
    return ()


def _choices(kind: Any) -> tuple[str, ...]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple(member.value for member in kind)
    if get_origin(kind) is Literal:
        return tuple(choice for choice in get_args(kind) if choice)
    if get_origin(kind) in (Union, UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        found = [_choices(option) for option in options if _table_of(option, {}) is None]
        return sum(found, ()) if all(found) else ()
    return ()


def _name(at: KeyPath) -> str:
    return f"`{'.'.join(part for part in at if isinstance(part, str))}`" if at else "the file"


def _said(value: object) -> str:
    return {str: "text", bool: "true or false", int: "a number", list: "a list"}.get(type(value), type(value).__name__)
