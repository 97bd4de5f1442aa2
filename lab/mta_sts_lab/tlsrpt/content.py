"""From JSON values to a report (RFC 8460, section 4.4): keeps what can be made out, notes what has the wrong shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.tlsrpt.departures import Departure, Notes, quoted
from mta_sts_lab.tlsrpt.json_text import Number, Value
from mta_sts_lab.tlsrpt.limits import MOST_FAILURES, MOST_POLICIES, BeyondLimit
from mta_sts_lab.tlsrpt.names import Moment, read_moment
from mta_sts_lab.tlsrpt.report import Failure, Policy, Report

UNKNOWN_YET = (
    "what cannot be known before a connection may be absent or empty; "
    "sts-lab docs ambiguities#fields-before-a-connection"
)
STRING_IN_APPENDIX = (
    "the appendix of RFC 8460 shows a string and deployed reporters followed it (erratum 6241); "
    "sts-lab docs ambiguities#mx-host-as-string"
)
STRING_IN_SECTION_4 = (
    "section 4 speaks of a string, sections 4.4 and 4.5 define an array; "
    "sts-lab docs ambiguities#policy-string-as-string"
)


#: Every member that RFC 8460, section 4.4, defines, in whatever object.
MEMBERS = frozenset(
    (
        *("organization-name", "date-range", "start-datetime", "end-datetime", "contact-info", "report-id", "policies"),
        *("policy", "policy-type", "policy-string", "policy-domain", "mx-host", "summary", "failure-details"),
        *("total-successful-session-count", "total-failure-session-count", "result-type", "sending-mta-ip"),
        *("receiving-mx-hostname", "receiving-mx-helo", "receiving-ip", "failed-session-count"),
        *("additional-information", "failure-reason-code"),
    )
)
#: What early drafts of RFC 8460 called some members.
DRAFT_NAMES = {
    "mx-host-pattern": "mx-host",
    "session-count": "failed-session-count",
    "additional-info-uri": "additional-information",
}
_MOST_UNKNOWN = 5
#: Members of a report whose names are kept.
_MOST_MEMBERS = 100


def read_content(value: Value, complete: bool, notes: Notes) -> Report | None:
    """Read a report; None for JSON that is no object at all. Nothing is missing from a text that was cut short.

    Raises `BeyondLimit` for more policies or failures than are looked at.
    """
    if not isinstance(value, dict):
        if complete:
            notes.add(Departure("RPT-4-01", "no-report", "$", "a JSON object", described(value)))
        return None
    members = _Members(value, "", complete, notes)
    dates = members.inner("date-range", "RPT-4.4-02")
    return Report(
        organization_name=members.name("organization-name", "RPT-4.4-01"),
        start=_moment(dates, "start-datetime"),
        end=_moment(dates, "end-datetime"),
        contact_info=members.name("contact-info", "RPT-4.4-04"),
        report_id=members.name("report-id", "RPT-4.4-05"),
        policies=tuple(_policies(members)),
        members=tuple(sorted(value)[:_MOST_MEMBERS]),
    )


def described(value: Value) -> str:
    """Say what a JSON value is, with its text where it has one."""
    match value:
        case None:
            return "null"
        case bool():
            return "the boolean " + json.dumps(value)
        case Number():
            return f"the number {value.text[:40]}"
        case str():
            return f"the string {quoted(value)}"
        case list():
            return f"an array of {len(value)}"
        case _:
            return f"an object of {len(value)}"


class _Members:
    """The members of one JSON object, read one by one under the obligation that each is for."""

    def __init__(self, members: dict[str, Value], where: str, complete: bool, notes: Notes) -> None:
        self.members = members
        self.where = where
        self._complete = complete
        self._notes = notes

    def path(self, name: str) -> str:
        """Return the path of a member."""
        return f"{self.where}.{name}" if self.where else name

    def has(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return name in self.members

    def get(self, name: str) -> Value:
        """Return a member as it is; None also where it is missing."""
        return self.members.get(name)

    def within(self, members: dict[str, Value], where: str) -> _Members:
        """Return a reader for an object below this one."""
        return _Members(members, where, self._complete, self._notes)

    def note(self, obligation: str, reason: str, name: str, expected: str, observed: str, **more: Any) -> None:
        """Note what is wrong with a member; `grade` and `note` where something else than the level decides how bad."""
        self._notes.add(Departure(obligation, reason, self.path(name), expected, observed, **more))

    def wrong(self, obligation: str, name: str, expected: str, **more: Any) -> None:
        """Note that a member has another type than it should have, or is null."""
        value = self.get(name)
        self.note(obligation, "null" if value is None else "wrong-type", name, expected, described(value), **more)

    def missing(self, obligation: str, name: str, expected: str, also: tuple[str, ...] = ()) -> None:
        """Note that a member is missing, unless the rest of the text is missing as well."""
        if self._complete:
            self.note(obligation, "missing", name, expected, f"absent{self._beside(name)}", also=also)

    def _beside(self, name: str) -> str:
        """Say which members stand where a missing one should be: misspelt, of a draft, or in the wrong place."""
        if name == "policy" and "policy-type" in self.members:
            return "; its members stand beside summary instead"
        unknown = [one for one in self.members if one not in MEMBERS]
        draft = [f"{quoted(one)}, its name in an early draft" for one in unknown if DRAFT_NAMES.get(one) == name]
        shown = draft or [quoted(one) for one in unknown[:_MOST_UNKNOWN]]
        return f"; instead there is {', '.join(shown)}" if shown else ""

    def inner(self, name: str, obligation: str, also: tuple[str, ...] = ()) -> _Members | None:
        """Read an obligatory object."""
        value = self.get(name)
        if isinstance(value, dict):
            return self.within(value, self.path(name))
        if not self.has(name):
            self.missing(obligation, name, "an object", also)
        else:
            self.note(obligation, "wrong-type", name, "an object", described(value), also=also)
        return None

    def objects(self, name: str, obligation: str, kind: str, most: int, beyond: str) -> list[_Members]:
        """Return readers for the objects of an array; one object is taken for an array. Raises `BeyondLimit`."""
        value = self.get(name)
        if isinstance(value, dict):
            self.note(obligation, "not-an-array", name, f"an array, also for a single {kind}", described(value))
            value = [value]
        if not isinstance(value, list):
            self.note(obligation, "null" if value is None else "not-an-array", name, "an array", described(value))
            return []
        if len(value) > most:
            raise BeyondLimit(beyond)
        found: list[_Members] = []
        for number, element in enumerate(value):
            place = f"{name}[{number}]"
            if isinstance(element, dict):
                found.append(self.within(element, self.path(place)))
            else:
                self.note(obligation, "wrong-type", place, "an object", described(element))
        return found

    def strings(self, name: str, obligation: str, separator: str, **easing: Any) -> list[tuple[str, Value]] | None:
        """Return the elements of an array of strings, each with its place; None without one. A string is split."""
        value = self.get(name)
        if isinstance(value, str):
            self.note(obligation, "string-for-array", name, "an array of strings", described(value), **easing)
            value = [piece for piece in re.split(separator, value) if piece]
        if isinstance(value, list):
            return [(f"{name}[{number}]", element) for number, element in enumerate(value)]
        if self.has(name):
            self.wrong(obligation, name, "an array of strings")
        return None

    def text(self, name: str, obligation: str, obligatory: bool = True) -> str | None:
        """Read a string; a number is taken for its digits."""
        if not self.has(name):
            if obligatory:
                self.missing(obligation, name, "a string")
            return None
        value = self.get(name)
        if isinstance(value, str):
            return value
        self.wrong(obligation, name, "a string")
        return value.text if isinstance(value, Number) else None

    def name(self, name: str, obligation: str) -> str | None:
        """Read an obligatory string that has to say something."""
        value = self.text(name, obligation)
        if value is not None and not value.strip():
            self.note(obligation, "empty", name, "a string that says something", described(value))
            return None
        return value

    def count(self, name: str, obligation: str) -> int | None:
        """Read a number of sessions: an integer that is not negative."""
        if not self.has(name):
            self.missing(obligation, name, "an integer")
            return None
        value = self.get(name)
        if isinstance(value, str) and re.fullmatch(r"\d{1,30}", value.strip(), re.ASCII):
            self.note(obligation, "wrong-type", name, "a JSON number", described(value))
            return int(value)
        if not isinstance(value, Number):
            self.wrong(obligation, name, "an integer")
            return None
        return self._integer(value, name, obligation)

    def _integer(self, number: Number, name: str, obligation: str) -> int | None:
        count = number.integer
        if count is None:
            if not number.written_as_integer:
                self.note(obligation, "not-an-integer", name, "an integer", described(number))
            return None
        if count < 0:
            self.note(obligation, "negative", name, "0 or more", described(number))
            return None
        if not number.written_as_integer:
            easing = {"grade": Grade.INFO, "note": "the value is an integer, only its spelling is not"}
            self.note(obligation, "integer-with-fraction", name, "an integer", described(number), **easing)
        return count


def _moment(dates: _Members | None, name: str) -> Moment | None:
    text = dates.name(name, "RPT-4.4-02") if dates else None
    return None if text is None else read_moment(text)


def _policies(members: _Members) -> Iterator[Policy]:
    if not members.has("policies"):
        members.missing("RPT-4-02", "policies", "an array")
        return
    room = MOST_FAILURES
    beyond = f"the report has more than {MOST_POLICIES} policies"
    for block in members.objects("policies", "RPT-4-02", "policy", MOST_POLICIES, beyond):
        policy = _policy(block, room)
        room -= len(policy.failures or ())
        yield policy


def _policy(block: _Members, room: int) -> Policy:
    policy = block.inner("policy", "RPT-4.4-06", also=("RPT-4.4-08",))
    summary = block.inner("summary", "RPT-4.4-12", also=("RPT-4.4-13",))
    return Policy(
        where=block.where,
        policy_type=policy.name("policy-type", "RPT-4.4-06") if policy else None,
        policy_string=_policy_string(policy) if policy else None,
        policy_domain=policy.name("policy-domain", "RPT-4.4-08") if policy else None,
        mx_host=_mx_host(policy) if policy else None,
        mx_host_is_text=policy is not None and isinstance(policy.get("mx-host"), str),
        successful=summary.count("total-successful-session-count", "RPT-4.4-12") if summary else None,
        failed=summary.count("total-failure-session-count", "RPT-4.4-13") if summary else None,
        failures=_failures(block, room),
        draft_names=_draft_names(policy) if policy else (),
    )


def _policy_string(policy: _Members) -> tuple[str, ...] | None:
    """Read policy-string. Whether it may be missing depends on the type of the policy, and is not judged here."""
    easing = {"grade": Grade.FAIL, "note": STRING_IN_SECTION_4}
    value = policy.strings("policy-string", "RPT-4.4-07", r"[\r\n]+", **easing)
    lines: list[str] = []
    for place, element in value or ():
        if isinstance(element, list):
            policy.note("RPT-4.5-03", "nested-array", place, "a string for each line", described(element))
            lines += [line for line in element if isinstance(line, str)]
        elif isinstance(element, str):
            lines.append(element)
        else:
            policy.note("RPT-4.4-07", "wrong-type", place, "a string", described(element))
    return None if value is None else tuple(lines)


def _mx_host(policy: _Members) -> tuple[str, ...] | None:
    easing = {"grade": Grade.WEAK, "note": STRING_IN_APPENDIX}
    value = policy.strings("mx-host", "RPT-4.4-10", r"[\s,;]+", **easing)
    for place, element in value or ():
        if not isinstance(element, str):
            policy.note("RPT-4.4-10", "wrong-type", place, "a string", described(element))
        elif not element:
            policy.note("RPT-4.4-10", "empty", place, "an mx pattern", described(element))
    return None if value is None else tuple(one for _, one in value if isinstance(one, str) and one)


def _failures(block: _Members, room: int) -> tuple[Failure, ...] | None:
    if not block.has("failure-details"):
        return None
    beyond = f"the report has more than {MOST_FAILURES} failure details"
    return tuple(map(_failure, block.objects("failure-details", "RPT-4-05", "failure", room, beyond)))


def _draft_names(members: _Members) -> tuple[str, ...]:
    return tuple(old for old, new in DRAFT_NAMES.items() if members.has(old) and not members.has(new))


def _failure(entry: _Members) -> Failure:
    rest = {name: value for name, value in entry.members.items() if name != "failed-session-count"}
    return Failure(
        where=entry.where,
        result_type=entry.name("result-type", "RPT-4.4-14"),
        # Whether these three may be missing depends on the result type, and is not judged here.
        sending_mta_ip=entry.text("sending-mta-ip", "RPT-4.4-15", obligatory=False),
        receiving_mx_hostname=entry.text("receiving-mx-hostname", "RPT-4.4-16", obligatory=False),
        receiving_mx_helo=entry.text("receiving-mx-helo", "RPT-4.4-17", obligatory=False),
        receiving_ip=entry.text("receiving-ip", "RPT-4.4-18", obligatory=False),
        failed_session_count=entry.count("failed-session-count", "RPT-4.4-19"),
        additional_information=entry.text("additional-information", "RPT-4.4-20", obligatory=False),
        failure_reason_code=entry.text("failure-reason-code", "RPT-4.4-21", obligatory=False),
        draft_names=_draft_names(entry),
        identity=repr(sorted(rest.items(), key=lambda item: item[0])),
    )
