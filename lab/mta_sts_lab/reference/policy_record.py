"""The TXT record at `_mta-sts` (RFC 8461, section 3.1): grammar and selection. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws

#: Records that do not begin so are dropped before they are counted.
VERSION_PREFIX = b"v=STSv1;"

#: Only for the flaw that takes a record of any version.
_OTHER_VERSIONS = b"v=STSv"

_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_EXTENSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_EXTENSION_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A valid record. Ids have no order: any difference means another policy."""

    id: str


@dataclass(frozen=True, slots=True)
class NoPolicyRecord:
    """The domain is taken to have no policy available, because of `reason`."""

    reason: str


def select_record(records: Sequence[bytes], flaws: Flaws = NO_FLAWS) -> PolicyRecord | NoPolicyRecord:
    """Choose from all TXT records of the name: exactly one must begin with the version, and it must fit the grammar."""
    prefix = _OTHER_VERSIONS if flaws.accepts_other_record_version else VERSION_PREFIX
    candidates = [record for record in records if flaws.counts_other_records or record.startswith(prefix)]
    if not candidates:
        return NoPolicyRecord("no TXT record begins with v=STSv1;")
    if len(candidates) > 1 and not flaws.accepts_two_records:
        return NoPolicyRecord(f"{len(candidates)} TXT records begin with v=STSv1;")
    return parse_record(candidates[0], flaws)


def parse_record(record: bytes, flaws: Flaws = NO_FLAWS) -> PolicyRecord | NoPolicyRecord:
    """Read one record. Never raises."""
    try:
        text = record.decode("ascii")
    except UnicodeDecodeError:
        return NoPolicyRecord("the record is not ASCII")
    version, *given = _DELIMITER.split(text)
    if version != "v=STSv1" and not flaws.accepts_other_record_version:
        return NoPolicyRecord("the version does not lead the record")
    if given and given[-1] == "":
        given.pop()
    ids: list[str] = []
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not _fits(name, value, flaws):
            return NoPolicyRecord(f"malformed field {one[:40]!r}")
        if name == "id":
            ids.append(value)
    if not ids:
        return NoPolicyRecord("the record has no id")
    return PolicyRecord(ids[-1] if flaws.last_duplicate_wins else ids[0])


def _fits(name: str, value: str, flaws: Flaws) -> bool:
    if name == "id":
        return _ID.fullmatch(value) is not None
    if flaws.refuses_unknown_record_fields:
        return False
    return _EXTENSION_NAME.fullmatch(name) is not None and _EXTENSION_VALUE.fullmatch(value) is not None
