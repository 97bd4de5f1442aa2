"""How a report has to write names, IP addresses, dates, file names and Subjects."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from mta_sts_lab.rfc.addresses import DOT_ATOM
from mta_sts_lab.rfc.domain_names import a_labels, is_within, without_brackets

_TLSA_RECORD = re.compile(r"\d{1,3} \d{1,3} \d{1,3} (?:[0-9A-Fa-f]{2})+", re.ASCII)
_PADDED_QUAD = re.compile(r"\d{1,9}(?:\.\d{1,9}){3}", re.ASCII)

LEADING_ZEROS = "leading-zeros"
NOT_AN_ADDRESS = "not-an-address"
NOT_CANONICAL = "not-rfc-5952"

#: Prefixes whose last 32 bits RFC 5952, section 5, wants in dotted decimal.
_MIXED = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))


def within(name: str, domain: str) -> bool:
    """Whether a name is a domain or lies below it."""
    return is_within(a_labels(name), a_labels(domain))


def tlsa_fields(line: str) -> tuple[int, int, int, str] | None:
    """Return the four fields of a TLSA record as RFC 8460, section 4.5, writes it; None if it is written otherwise."""
    if not _TLSA_RECORD.fullmatch(line):
        return None
    usage, selector, matching, data = line.split(" ")
    numbers = int(usage), int(selector), int(matching)
    return (*numbers, data) if max(numbers) <= 255 else None


def domain_of(address: str | None) -> str:
    """Return the domain of an address, however it is wrapped; empty if it has none."""
    _, at, domain = (address or "").strip().rstrip(">").rpartition("@")
    return domain if at else ""


def address_fault(text: str) -> str:
    """Return what is wrong with how an IP address is written; empty if nothing is."""
    try:
        address = ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        address = None
    if address is None:
        quad = _PADDED_QUAD.fullmatch(text)
        padded = quad is not None and all(int(number) <= 255 for number in text.split("."))
        return LEADING_ZEROS if padded else NOT_AN_ADDRESS
    if isinstance(address, ipaddress.IPv4Address) or text in _spellings(address):
        return ""
    return NOT_CANONICAL


def canonical(text: str) -> str:
    """Return an address so that two spellings of it are equal; what is no address stays what it is."""
    bare = without_brackets(text.strip("[] "))
    if _PADDED_QUAD.fullmatch(bare):
        bare = ".".join(str(int(number)) for number in bare.split("."))
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0]))
    except ValueError:
        return text


def _spellings(address: ipaddress.IPv6Address) -> tuple[str, ...]:
    groups = str(ipaddress.IPv6Address(int(address)))
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    heads = ("::ffff:", "64:ff9b::")
    mixed = tuple(f"{head}{last}" for head, prefix in zip(heads, _MIXED, strict=True) if address in prefix)
    # The section leaves it open whether the reader knows the prefix: plain groups are right as well. Python writes
    # mapped addresses in groups up to 3.12 and mixed from 3.13 on, so the groups are written here.
    in_groups = (
        f"{head}{int(last) >> 16:x}:{int(last) & 0xFFFF:x}" for head, prefix in zip(heads, _MIXED, strict=True)
    )
    return (*mixed, *in_groups, groups, address.compressed)


# ---------------------------------------------------------------------------------------------------------------------
# Points in time (RFC 3339, section 5.6)

_DATE_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?P<joint>[Tt ])(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?P<fraction>\.\d+)?"
    r"(?P<offset>[Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)

NOT_A_DATE_TIME = "not-a-date-time"
HOUR_ABOVE_23 = "hour-above-23"
NO_OFFSET = "no-offset"
BLANK_FOR_T = "blank-for-t"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as somebody wrote it: what it most probably means, and what is wrong with how it is written.

    `instant` is None where there is nothing to go by. A missing offset is read as UTC, 24:00:00 as the next midnight.
    """

    text: str
    instant: datetime | None
    faults: tuple[str, ...]

    @property
    def unix(self) -> int | None:
        """Seconds since 1 January 1970 UTC."""
        return None if self.instant is None else int(self.instant.timestamp())


def read_moment(text: str) -> Moment:
    """Read a date and time tolerantly."""
    found = _DATE_TIME.fullmatch(text) if len(text) < 64 else None
    if found is None:
        return Moment(text, None, (NOT_A_DATE_TIME,))
    faults = [BLANK_FOR_T] if found["joint"] == " " else []
    if found["offset"] is None:
        faults.append(NO_OFFSET)
    hour = int(found["hour"])
    if hour > 23:
        faults.append(HOUR_ABOVE_23)
    try:
        instant = _instant(found, hour)
    except (ValueError, OverflowError):
        return Moment(text, None, (*faults, NOT_A_DATE_TIME) if hour <= 23 else tuple(faults))
    return Moment(text, instant, tuple(faults))


def _instant(found: re.Match[str], hour: int) -> datetime:
    minute, second = int(found["minute"]), int(found["second"])
    next_day = hour == 24 and minute == second == 0
    # A leap second is legal (RFC 3339, section 5.6); datetime knows none, and no report's day ends in another second.
    second = 59 if second == 60 and minute == 59 else second
    day = datetime.strptime(found["day"], "%Y-%m-%d")
    local = day.replace(hour=0 if next_day else hour, minute=minute, second=second, tzinfo=_zone(found["offset"]))
    return (local + timedelta(days=1 if next_day else 0)).astimezone(UTC)


def _zone(offset: str | None) -> timezone:
    if offset is None or offset in "Zz":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(offset)
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


# ---------------------------------------------------------------------------------------------------------------------
# File names and Subjects (RFC 8460, sections 5.1 and 5.3)

_FILE_NAME = re.compile(
    r"(?P<sender>[^!]+)!(?P<domain>[^!]+)!(?P<begin>[0-9]{1,20})!(?P<end>[0-9]{1,20})(?:!(?P<unique>[A-Za-z0-9]+))?"
    r"\.(?P<extension>(?i:json\.gz|json))",
    re.DOTALL,
)
_BLANK = r"[ \t]+"
_SUBJECT = re.compile(
    rf"Report{_BLANK}Domain:{_BLANK}(?P<domain>\S+){_BLANK}Submitter:{_BLANK}(?P<submitter>\S+){_BLANK}"
    r"Report-ID:[ \t]*(?P<id><[^<>\s]+>)(?P<rest>.*)",
    re.DOTALL,
)
_MESSAGE_ID = re.compile(rf"<{DOT_ATOM}@(?:{DOT_ATOM}|\[[!-Z^-~]*\])>", re.ASCII)
_LOOSE_SUBJECT = re.compile(
    r"domain:\s*+(?P<domain>[^\s<>]+)\s*+submitter:\s*+(?P<submitter>[^\s<>]+)(?:\s*+report-id:\s*+(?P<id>\S+))?",
    re.IGNORECASE,
)

#: Octets of a line of text that are looked at (RFC 5322, section 2.1.1, and some folding).
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of a file name that follows the grammar. Times are seconds since 1 January 1970 UTC."""

    sender: str
    domain: str
    begin: int
    end: int
    unique: str
    extension: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a Subject says, and whether it says it in the words of the grammar."""

    domain: str
    submitter: str
    report_id: str
    in_form: bool
    id_in_form: bool


def read_file_name(text: str) -> FileName | None:
    """Read a file name by the grammar of section 5.1; None if it is another one."""
    found = _FILE_NAME.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    return FileName(
        found["sender"],
        found["domain"],
        int(found["begin"]),
        int(found["end"]),
        found["unique"] or "",
        found["extension"].lower(),
    )


def read_subject(text: str) -> Subject | None:
    """Read a Subject; one that is near the grammar of section 5.3 is understood and marked, another one is None."""
    strict = _SUBJECT.fullmatch(text[:_LONGEST])
    strict = strict if strict and _only_comments(strict["rest"]) else None
    found = strict or _LOOSE_SUBJECT.search(text[:_LONGEST])
    if found is None:
        return None
    identifier = found["id"] or ""
    return Subject(
        domain=found["domain"],
        submitter=found["submitter"],
        report_id=identifier.strip("<>"),
        in_form=strict is not None,
        id_in_form=_MESSAGE_ID.fullmatch(identifier) is not None,
    )


def _only_comments(text: str) -> bool:
    """Whether there are only blanks and comments, which may be nested (RFC 5322, section 3.2.2: CFWS)."""
    depth, escaped = 0, False
    for character in text:
        if escaped or (depth and character == "\\"):
            escaped = not escaped
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth and character not in " \t":
            return False
    return depth == 0 and not escaped
