"""Reading the record of a run back, in each version of the format from the oldest that is still read on.

A record without its footer was cut short (the program was killed, the disk was full) and is refused: what is missing
at its end might have been the clear text that fails a case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mta_sts_lab.events import Event
from mta_sts_lab.model.case import PUBLISHED_POLICY, Step
from mta_sts_lab.record import RECORD_VERSION, Footer, Header, Record, RecordError

_Kind = TypeVar("_Kind")

_OLDEST_VERSION = 3

#: Octets. The whole catalogue against Postfix leaves about 8 MiB; a record beyond this is not ours.
LARGEST_RECORD = 1 << 30


def read_record(path: Path) -> Record:
    """Read a whole record back.

    Raises `RecordError`, with the line and what is wrong there, for anything that is not a complete record.
    """
    try:
        if path.stat().st_size > LARGEST_RECORD:
            raise RecordError(f"{path}: larger than {LARGEST_RECORD} octets; this is not a record of ours")
        with path.open("rb") as stream:
            return parse_record((line.removesuffix(b"\n") for line in stream), str(path))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error


def parse_record(lines: Iterable[bytes], where: str) -> Record:
    """Turn the lines of a record, without their line feeds, into a `Record`; see `read_record`."""
    remaining = iter(lines)
    last = next(remaining, None)
    if last is None:
        raise RecordError(f"{where}: empty: the run never began; repeat it")
    header = _header(last, f"{where}, line 1")
    number, found = 1, []
    for number, line in enumerate(remaining, start=2):
        if number > 2:
            found.append(_event(last, f"{where}, line {number - 1}"))
        last = line
    footer, events = _footer(last, f"{where}, line {number}"), tuple(found)
    _check_counts(events, footer, where)
    if header.parts and sum(part.events for part in header.parts) != len(events):
        raise RecordError(f"{where}: the events are not those of the merged runs; merge them again")
    return Record(header, events, footer)


class _AnyVersion(msgspec.Struct, frozen=True):
    """What the first line of every version of the format has in common."""

    record: int


def _header(line: bytes, where: str) -> Header:
    header = _this_version(line, where)
    try:
        datetime.fromisoformat(header.started)
    except ValueError as error:
        raise RecordError(f"{where}: `started` is no date ({header.started[:40]!r}); repeat the run") from error
    if not all(case.steps for case in header.cases) or len({case.id for case in header.cases}) != len(header.cases):
        raise RecordError(f"{where}: a case has no steps, or is there twice; repeat the run")
    return header


def _this_version(line: bytes, where: str) -> Header:
    try:
        version = _decode(line, _AnyVersion).record
    except _Misfit as error:
        raise RecordError(f"{where}: not the header of a record ({error}); give the folder of a run") from error
    if not _OLDEST_VERSION <= version <= RECORD_VERSION:
        raise RecordError(
            f"{where}: version {version} of the record format, and this program reads {_OLDEST_VERSION} to "
            f"{RECORD_VERSION}: "
            "judge it with the program that made it, or repeat the run"
        )
    try:
        if version == _OLDEST_VERSION:
            header = msgspec.convert(_from_version_3(_decode(line, dict[str, Any])), Header)
        else:
            header = _decode(line, Header)
        return header if version == RECORD_VERSION else _from_version_4(header)
    except (_Misfit, msgspec.ValidationError) as error:
        raise RecordError(f"{where}: the header does not fit ({error}); repeat the run") from error


def _from_version_3(header: dict[str, Any]) -> dict[str, Any]:
    """Turn a header of version 3, which had what the target says about itself in members of its own, into the next."""
    about = {new: header.pop(old) for old, new in _ABOUT_IN_VERSION_3.items() if old in header}
    target = header.pop("target", None)
    if isinstance(target, dict):
        about |= {"name": target.pop("name", ""), "versions": target}
    return header | {"about": about}


def _from_version_4(header: Header) -> Header:
    """Turn a header of version 4, in which no attack says what it needs, into today's."""

    def step_now(step: Step) -> Step:
        uses = (replace(use, needs=PUBLISHED_POLICY) if use.name in _NEEDED_A_POLICY else use for use in step.attacks)
        return replace(step, attacks=tuple(uses))

    cases = tuple(replace(case, steps=tuple(map(step_now, case.steps))) for case in header.cases)
    return msgspec.structs.replace(header, record=RECORD_VERSION, cases=cases)


#: The attacks on the discovery and the fetch of a policy that there were then.
_NEEDED_A_POLICY = (
    "hide_policy_record",
    "forge_policy_id",
    "block_policy_host",
    "swap_policy_certificate",
)


_ABOUT_IN_VERSION_3 = {
    **{name: name for name in ("capabilities", "retry_seconds", "policy_cache", "dkim_records", "set_aside")},
    **{name: name for name in ("own_retry_seconds", "reports_end_the_day")},
    "unknown_in_about": "unknown",
}


def _footer(line: bytes, where: str) -> Footer:
    try:
        return _decode(line, Footer)
    except _Misfit as error:
        raise RecordError(f"{where}: truncated: the last line is no footer; repeat the run") from error


def _event(line: bytes, where: str) -> Event:
    try:
        return _decode(line, Event)
    except _Misfit as error:
        raise RecordError(f"{where}: damaged, or made by another program: {error}; repeat the run") from error


class _Misfit(Exception):
    """A line that is not what it should be."""


def _decode(line: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _Misfit(str(error)) from error


def _check_counts(events: Sequence[Event], footer: Footer, where: str) -> None:
    """What is missing in the middle might have been the clear text that fails a case, too."""
    kinds = Counter(type(event.fact).__name__ for event in events)
    if len(events) != footer.events or dict(kinds) != footer.kinds:
        raise RecordError(
            f"{where}: the footer counts {footer.events} events, and {len(events)} are there; repeat the run"
        )
    for number, event in enumerate(events, start=1):
        if event.number != number:
            raise RecordError(
                f"{where}, line {number + 1}: event {event.number} stands where event {number} belongs; repeat the run"
            )
