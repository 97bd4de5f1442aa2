"""A domain's policy: its body, its TXT record, and the matching of mx names (RFC 8461, 3.2, 3.1 and 4.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws

#: Seconds. The ceiling of RFC 8461, section 3.2; the grammar has room for more (erratum 7282). A greater age is cut.
LONGEST_MAX_AGE = 31557600

_FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_VALUE = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?")
_MAX_AGE = re.compile(r"[0-9]{1,10}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

#: The fields that a policy must have, each once; `mx` is the one that may be there several times.
_FIELDS = ("version", "mode", "max_age")

MODES = ("enforce", "testing", "none")


class PolicyInvalid(Exception):
    """The body is no valid policy: the message says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy. `max_age` is in seconds; `lines` is the body as it was published, for reports (RFC 8460, 4.5)."""

    mode: str
    max_age: int
    mx: tuple[str, ...]
    lines: tuple[str, ...]

    def allows(self, host: str, flaws: Flaws = NO_FLAWS) -> bool:
        """Whether an MX name matches one of the patterns."""
        if flaws.skips_mx_match:
            return True
        if flaws.compares_hosts_in_u_labels and "xn--" in host:
            host = host.encode("ascii").decode("idna")
        if flaws.takes_wildcards_anywhere and any(fnmatchcase(host.lower(), one.lower()) for one in self.mx):
            return True
        if flaws.compares_hosts_by_case and not any(one == one.lower() and matches(one, host) for one in self.mx):
            return False
        any_depth, any_name = flaws.matches_wildcards_at_any_depth, flaws.matches_suffix_without_dot
        alike = any_name and any(one.startswith("*.") and host.endswith(one[2:]) for one in self.mx)
        hosts = [one.lower() for one in self.mx if not one.startswith("*.")]
        below = flaws.matches_names_below_listed_hosts and any(host.lower().endswith(f".{one}") for one in hosts)
        ending = flaws.matches_endings_of_listed_hosts and any(host.lower().endswith(one) for one in hosts)
        patterns = [one for one in self.mx if not (flaws.matches_no_wildcards and one.startswith("*."))]
        return alike or below or ending or any(matches(pattern, host, any_depth=any_depth) for pattern in patterns)


def parse_policy(body: bytes, flaws: Flaws = NO_FLAWS) -> Policy:
    """Read a policy body. Raises `PolicyInvalid` and nothing else.

    Lines end with LF or CRLF, fields come in any order, unknown ones are ignored, and of a repeated field except `mx`
    the first counts.
    """
    encoding = "ascii" if flaws.demands_ascii_policy else "utf-8"
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"not {encoding}") from error
    if flaws.demands_crlf and text.count("\n") != text.count("\r\n"):
        raise PolicyInvalid("a line ends in LF alone")
    *ended, last = text.split("\n")
    lines = [line.removesuffix("\r") for line in ended]
    if last and not flaws.loses_unended_line:
        lines.append(last)
    if flaws.demands_order_of_fields and not next(iter(lines), "").startswith("version:"):
        raise PolicyInvalid("the version is not in the first line")
    known: dict[str, str] = {}
    patterns: list[str] = []
    for number, line in enumerate(lines, start=1):
        name, value = _field(line, number)
        if flaws.keeps_blanks_of_values and line != f"{name}: {value}":
            raise PolicyInvalid(f"line {number} has other blanks than one behind the colon")
        if name == "mx":
            value = line.partition(":")[2].removeprefix(" ") if flaws.keeps_blanks_of_mx_names else value
            patterns += re.split(r"[,\s]+", value) if flaws.splits_mx_lines else [value]
        elif flaws.refuses_unknown_policy_fields and name not in _FIELDS:
            raise PolicyInvalid(f"unknown field {name!r}")
        elif flaws.last_duplicate_wins or name not in known:
            known[name] = value
    if flaws.reads_modes_in_any_case and "mode" in known:
        known["mode"] = known["mode"].lower()
    if flaws.accepts_any_policy_version:
        known["version"] = "STSv1"
    if flaws.takes_max_age_of_any_form and _MAX_AGE.fullmatch(known.get("max_age", "")) is None:
        known["max_age"] = str(LONGEST_MAX_AGE)
    return _policy(known, patterns, lines, flaws)


def matches(pattern: str, host: str, *, any_depth: bool = False) -> bool:
    """Whether an MX name fits one pattern: label by label, in any case, a wildcard for exactly one left-most label."""
    wanted, given = pattern.lower(), host.lower().removesuffix(".")
    if not wanted.startswith("*."):
        return bool(given) and wanted == given
    parent = wanted[2:]
    if any_depth:
        return given == parent or given.endswith("." + parent)
    label, dot, rest = given.partition(".")
    return bool(label and dot) and rest == parent


def _field(line: str, number: int) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    value = value.strip(" \t")
    if not colon or _FIELD_NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise PolicyInvalid(f"line {number} is no field: {line[:60]!r}")
    return name, value


def _policy(known: dict[str, str], patterns: list[str], lines: list[str], flaws: Flaws) -> Policy:
    if flaws.takes_policies_without_a_mode_for_none and known.get("mode") not in MODES:
        known = known | {"mode": "none"}
    for name in _FIELDS:
        if name not in known:
            raise PolicyInvalid(f"there is no {name}")
    if known["version"] != "STSv1":
        raise PolicyInvalid(f"unknown version {known['version'][:40]!r}")
    if known["mode"] not in MODES:
        raise PolicyInvalid(f"unknown mode {known['mode'][:40]!r}")
    if _MAX_AGE.fullmatch(known["max_age"]) is None:
        raise PolicyInvalid(f"max_age is no number of seconds: {known['max_age'][:40]!r}")
    if flaws.reads_first_mx_line_alone:
        del patterns[1:]
    needs_none = flaws.accepts_policy_without_mx or (known["mode"] == "none" and not flaws.refuses_none_without_mx)
    if not patterns and not needs_none:
        raise PolicyInvalid("there is no mx")
    for pattern in patterns:
        looked_at = pattern.strip(" \t") if flaws.keeps_blanks_of_mx_names else pattern
        if not _is_pattern(looked_at.replace("*", "x") if flaws.takes_wildcards_anywhere else looked_at):
            raise PolicyInvalid(f"mx is no host name or wildcard: {pattern[:60]!r}")
    max_age = min(int(known["max_age"]), LONGEST_MAX_AGE)
    return Policy(known["mode"], max_age, tuple(patterns), tuple(lines))


def _is_pattern(pattern: str) -> bool:
    domain = pattern.removeprefix("*.")
    return len(domain) <= 253 and all(_LABEL.fullmatch(label) for label in domain.split("."))


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
    if flaws.looks_for_version_anywhere:
        records = [_version_first(record) for record in records]
    candidates = [record for record in records if flaws.counts_other_records or record.startswith(prefix)]
    if flaws.discards_invalid_records_before_counting:
        candidates = [one for one in candidates if isinstance(parse_record(one, flaws), PolicyRecord)] or candidates
    if not candidates:
        return NoPolicyRecord("no TXT record begins with v=STSv1;")
    if len(candidates) > 1 and not flaws.accepts_two_records:
        return NoPolicyRecord(f"{len(candidates)} TXT records begin with v=STSv1;")
    return parse_record(candidates[0], flaws)


def _version_first(record: bytes) -> bytes:
    """Flaw: take the version from wherever it stands."""
    fields = [one.strip() for one in record.split(b";")]
    return b"; ".join(sorted(fields, key=b"v=STSv1".__ne__)) if b"v=STSv1" in fields[1:] else record


def parse_record(record: bytes, flaws: Flaws = NO_FLAWS) -> PolicyRecord | NoPolicyRecord:
    """Read one record. Never raises."""
    try:
        text = record.decode("ascii", "ignore" if flaws.reads_records_beyond_ascii else "strict")
    except UnicodeDecodeError:
        return NoPolicyRecord("the record is not ASCII")
    version, *given = _DELIMITER.split(text)
    if flaws.skips_empty_fields:
        given = [one for one in given if one]
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
    if not ids and not given and flaws.takes_records_without_fields:
        return PolicyRecord("")
    if not ids:
        return NoPolicyRecord("the record has no id")
    return PolicyRecord(ids[-1] if flaws.last_duplicate_wins else ids[0])


def _fits(name: str, value: str, flaws: Flaws) -> bool:
    if name == "id":
        if flaws.refuses_short_ids and len(value) < len("20190429"):
            return False
        long = flaws.takes_long_ids and value.isalnum()
        return long or flaws.takes_ids_of_any_form or _ID.fullmatch(value) is not None
    if flaws.takes_extensions_of_any_form:
        return True
    if flaws.refuses_unknown_record_fields:
        return False
    return _EXTENSION_NAME.fullmatch(name) is not None and _EXTENSION_VALUE.fullmatch(value) is not None
