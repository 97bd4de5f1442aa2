"""What stands outside the JSON and says the same in short: the file name and the Subject (RFC 8460, 5.1 and 5.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MESSAGE_ID = re.compile(rf"<{_ATOM}(?:\.{_ATOM})*@(?:{_ATOM}(?:\.{_ATOM})*|\[[!-Z^-~]*\])>", re.ASCII)
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
