"""Points in time as RFC 3339, section 5.6, writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

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
