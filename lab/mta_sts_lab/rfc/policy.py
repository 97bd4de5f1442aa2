"""The body of an MTA-STS policy (RFC 8461, section 3.2): read it, and say which line breaks the grammar how."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mta_sts_lab.rfc.domain_names import is_mx_pattern, matches

MODES = ("enforce", "testing", "none")

#: Octets. Senders may refuse a longer body (RFC 8461, section 3.3).
LONGEST_BODY = 64 << 10

#: Seconds, just over a year. The grammar has room for more (erratum 7282); a greater age counts as this one.
LONGEST_MAX_AGE = 31557600

#: `sts-policy-field`: no blank before the colon, any number of them behind it and at the end of the line.
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*"
    r"(?P<value>[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?)[ \t]*"
)
_MAX_AGE = re.compile(r"[0-9]{1,10}")
_REQUIRED = ("version", "mode", "max_age")


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks the grammar. `line` counts from 1; 0 means the body as a whole."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


@dataclass(frozen=True, slots=True)
class Policy:
    """What a body says, as far as it can be read; it is a valid policy if it has no faults.

    `lines` are the lines as they were published (RFC 8460, section 4.5). `mode` is empty and `max_age` (seconds) is 0
    where the body says nothing usable. `mx` are the legal patterns.
    """

    lines: tuple[str, ...]
    mode: str = ""
    max_age: int = 0
    mx: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether a sender can apply it."""
        return not self.faults


def read_policy(body: bytes) -> Policy:
    """Read the body of a policy. Never raises.

    Lines end in LF or CRLF, and fields stand in any order. Unknown fields are ignored. Of a repeated field except `mx`
    the first counts.
    """
    lines = body_lines(body)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return Policy(lines, faults=(Fault(0, "it is not UTF-8"),))
    faults: list[Fault] = []
    first: dict[str, tuple[int, str]] = {}
    patterns: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            faults.append(Fault(number, f"it is no field: {line[:60]!r}"))
        elif found["name"] == "mx":
            patterns.append((number, found["value"]))
        else:
            first.setdefault(found["name"], (number, found["value"]))
    mode, max_age = (first.get(name, (0, ""))[1] for name in ("mode", "max_age"))
    faults += _faults_of_values(first)
    faults += [
        Fault(number, f"mx is no host name or wildcard: {pattern[:60]!r}")
        for number, pattern in patterns
        if not is_mx_pattern(pattern)
    ]
    if not patterns and mode in ("enforce", "testing"):
        faults.append(Fault(0, "there is no mx"))
    return Policy(
        lines,
        mode if mode in MODES else "",
        min(int(max_age), LONGEST_MAX_AGE) if _MAX_AGE.fullmatch(max_age) else 0,
        tuple(pattern for _, pattern in patterns if is_mx_pattern(pattern)),
        tuple(faults),
    )


def body_lines(body: bytes) -> tuple[str, ...]:
    """Return the lines of a body without their ends (CRLF or LF). A CR alone ends no line, not the last one either."""
    *ended, last = body.decode("utf-8", "replace").split("\n")
    return (*(line.removesuffix("\r") for line in ended), *([last] if last else []))


def values_of(lines: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the values that lines give to a field, without the blanks around them."""
    pairs = (line.partition(":") for line in lines)
    return tuple(value.strip(" \t") for key, colon, value in pairs if colon and key.strip(" \t") == name)


def lists(patterns: Iterable[str], host: str) -> bool:
    """Return whether one of the mx patterns of a policy matches an MX host's name (RFC 8461, section 4.1)."""
    return any(matches(pattern, host) for pattern in patterns)


def _faults_of_values(first: dict[str, tuple[int, str]]) -> list[Fault]:
    faults = [Fault(0, f"there is no {name}") for name in _REQUIRED if name not in first]
    for name, (number, value) in first.items():
        if name == "version" and value != "STSv1":
            faults.append(Fault(number, f"unknown version {value[:40]!r}"))
        if name == "mode" and value not in MODES:
            faults.append(Fault(number, f"unknown mode {value[:40]!r}"))
        if name == "max_age" and _MAX_AGE.fullmatch(value) is None:
            faults.append(Fault(number, f"max_age is no number of seconds: {value[:40]!r}"))
    return faults
