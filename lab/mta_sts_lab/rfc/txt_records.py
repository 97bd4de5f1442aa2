"""The TXT records of MTA-STS (RFC 8461, section 3.1) and TLS-RPT (RFC 8460, section 3): grammar and selection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

STS_VERSION = "v=STSv1"
REPORT_VERSION = "v=TLSRPTv1"

#: The schemes that a report can be sent to (RFC 8460, section 3).
SCHEMES = ("mailto", "https")

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x22-\x2b\x2d-\x3a\x3c-\x7e]+")


@dataclass(frozen=True, slots=True)
class StsRecord:
    """The record that announces a policy. Ids have no order; a record with faults must be skipped."""

    id: str = ""
    faults: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the domain announces a policy by it."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """The record that asks for reports. `uris` are those of its first `rua`, of any scheme.

    The RFC does not say what becomes of a record that breaks the grammar elsewhere, so its URIs can still be read.
    """

    uris: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[str, ...]:
        """The URIs whose scheme is supported."""
        return tuple(uri for uri in self.uris if uri.partition(":")[0].lower() in SCHEMES)


def select(records: Sequence[bytes], version: str) -> bytes | None:
    """Return the one record that begins with a version and a semicolon; None if there is none, or several."""
    found = [record for record in records if record.startswith(f"{version};".encode())]
    return found[0] if len(found) == 1 else None


def sts_record(records: Sequence[bytes]) -> StsRecord:
    """Read what a domain announces with all TXT records of the name. Never raises."""
    record = select(records, STS_VERSION)
    if record is None:
        return StsRecord(faults=(f"not exactly one record begins with {STS_VERSION};",))
    fields, faults = _fields(record, STS_VERSION)
    ids = [value for name, value in fields if name == "id"]
    faults += [f"no id: {value[:40]!r}" for value in ids if _ID.fullmatch(value) is None]
    faults += [_malformed(*field) for field in fields if field[0] != "id" and not _is_extension(*field)]
    if not ids:
        faults.append("there is no id")
    return StsRecord(ids[0] if ids else "", tuple(faults))


def report_record(records: Sequence[bytes]) -> ReportRecord:
    """Read where a domain wants its reports from all TXT records of the name. Never raises."""
    record = select(records, REPORT_VERSION)
    if record is None:
        return ReportRecord(faults=(f"not exactly one record begins with {REPORT_VERSION};",))
    fields, faults = _fields(record, REPORT_VERSION)
    lists = [_split(value, ",") for name, value in fields if name == "rua"]
    faults += [f"no URI: {uri[:40]!r}" for uris in lists for uri in uris if _URI.fullmatch(uri) is None]
    faults += [_malformed(*field) for field in fields if field[0] != "rua" and not _is_extension(*field)]
    if not lists:
        faults.append("there is no rua")
    return ReportRecord(tuple(uri for uri in lists[0] if uri) if lists else (), tuple(faults))


def _fields(record: bytes, version: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the fields behind the version as names and values, and what is wrong with the record as a whole."""
    try:
        text = record.decode("ascii")
    except UnicodeDecodeError:
        return [], ["it is not ASCII"]
    fields = _split(text.removeprefix(version), ";")[1:]
    if fields[-1] == "":
        fields.pop()
    pairs = [field.partition("=") for field in fields]
    return [(name, value) for name, _, value in pairs], [] if fields else ["there is no field"]


def _split(text: str, delimiter: str) -> list[str]:
    return [part.strip(" \t") for part in text.split(delimiter)]


def _is_extension(name: str, value: str) -> bool:
    return _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


def _malformed(name: str, value: str) -> str:
    return f"malformed field {f'{name}={value}'[:40]!r}"
