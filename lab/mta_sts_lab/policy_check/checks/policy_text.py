"""Checks of the policy's body (RFC 8461, section 3.2)."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator

from mta_sts_lab.policy_check.given import Finding, Given, Level
from mta_sts_lab.policy_check.registry import Scope, check
from mta_sts_lab.rfc.domain_names import is_address
from mta_sts_lab.rfc.policy import LONGEST_BODY, LONGEST_MAX_AGE, MODES, Fault, Policy, values_of

#: Seconds. "It is expected that this value typically be in the range of weeks or greater" (RFC 8461, section 3.2).
SHORT_MAX_AGE = 7 * 86400

UNUSABLE = "Senders cannot use any of the policy."

_FIELDS = ("version", "mode", "max_age", "mx")
_BYTE_ORDER_MARK = "\ufeff"

#: So many faults of one policy are listed; a file that is no policy at all has one for each line.
MOST_FAULTS = 20


@check(scope=Scope.POLICY)
def policy_grammar(given: Given) -> Iterator[Finding]:
    """The body is a policy."""
    policy, source = _policy(given)
    for fault in policy.faults[:MOST_FAULTS]:
        text = policy.lines[fault.line - 1] if fault.line else ""
        hint = _hint(fault, text, policy)
        yield Finding(Level.PROBLEM, source, fault.what, f"{hint} {UNUSABLE}".strip(), fault.line, text)
    left = len(policy.faults) - MOST_FAULTS
    if left > 0:
        yield Finding(Level.PROBLEM, source, f"{left} more faults like these", UNUSABLE)


@check(scope=Scope.POLICY)
def repeated_field(given: Given) -> Iterator[Finding]:
    """No field but mx is there twice."""
    policy, source = _policy(given)
    names = [_name(line) for line in policy.lines]
    for name, times in Counter(names).items():
        if times > 1 and name in _FIELDS and name != "mx":
            line = len(names) - names[::-1].index(name)
            effect = f"The first {name} counts, and senders ignore the others (RFC 8461, section 3.2)."
            yield Finding(Level.ADVICE, source, f"{name} is there {times} times", effect, line, policy.lines[line - 1])


@check(scope=Scope.POLICY)
def misspelt_field(given: Given) -> Iterator[Finding]:
    """No unknown field looks like a known one."""
    policy, source = _policy(given)
    for number, line in enumerate(policy.lines, start=1):
        name = _name(line)
        near = difflib.get_close_matches(name.lower().replace("-", "_"), _FIELDS, n=1, cutoff=0.75)
        if near and name not in _FIELDS:
            what = f"{name[:40]!r} is an unknown field; is {near[0]} meant?"
            yield Finding(Level.ADVICE, source, what, "Senders ignore unknown fields.", number, line)


@check(scope=Scope.POLICY)
def lifetime(given: Given) -> Iterator[Finding]:
    """An enforced policy is kept long enough to protect against an attacker who hides it, and not beyond the limit."""
    policy, source = _policy(given)
    said = next(iter(values_of(policy.lines, "max_age")), "")
    line = next((number for number, text in enumerate(policy.lines, 1) if _name(text) == "max_age"), 0)
    text = policy.lines[line - 1] if line else ""
    if not said.isascii() or not said.isdigit() or len(said) > 10:
        return
    if int(said) > LONGEST_MAX_AGE:
        effect = "The RFC's limit is 31557600 seconds, just over a year: senders take it as that, or refuse the policy."
        yield Finding(Level.PROBLEM, source, f"max_age is {said} seconds", effect, line, text)
    elif policy.mode == "enforce" and int(said) < SHORT_MAX_AGE:
        effect = (
            "Senders forget the policy so soon after they fetched it; an attacker has to hide it no longer than that. "
            "The RFC expects weeks or more (section 3.2)."
        )
        yield Finding(Level.ADVICE, source, f"max_age is {said} seconds, less than a week", effect, line, text)


@check(scope=Scope.POLICY)
def mx_is_an_address(given: Given) -> Iterator[Finding]:
    """No mx line has an address in the place of a name."""
    policy, source = _policy(given)
    for number, line in enumerate(policy.lines, start=1):
        pattern = line.partition(":")[2].strip(" \t")
        if _name(line) == "mx" and pattern in policy.mx and is_address(pattern):
            what = f"mx is an address and no name: {pattern}"
            effect = "MX hosts have names, and certificates are checked for those: the line lists no host."
            yield Finding(Level.PROBLEM, source, what, effect, number, line)


@check(scope=Scope.POLICY)
def length(given: Given) -> Iterator[Finding]:
    """The body is not longer than senders have to read."""
    assert given.policy is not None
    if len(given.policy.body) > LONGEST_BODY:
        what = f"the body has {len(given.policy.body)} octets"
        effect = "Senders may stop after 64 KiB, and then have no policy (RFC 8461, section 3.3)."
        yield Finding(Level.PROBLEM, given.policy.source, what, effect)


def _policy(given: Given) -> tuple[Policy, str]:
    assert given.policy is not None
    assert given.read is not None
    return given.read, given.policy.source


def _name(line: str) -> str:
    name, colon, _ = line.partition(":")
    return name.strip(" \t") if colon else ""


def _hint(fault: Fault, text: str, policy: Policy) -> str:
    """Return what would be right, where the line shows what was meant."""
    name, _, value = text.partition(":")
    value = value.strip(" \t")
    if not fault.line:
        return "" if policy.lines else "The file is empty."
    hints = {
        "The file begins with a byte order mark: save it as UTF-8 without one.": text.startswith(_BYTE_ORDER_MARK),
        "Lines end in LF or CRLF; a CR alone ends none.": "\r" in text,
        "A policy has no blank lines.": not text.strip(),
        "No blank stands before the colon or the name.": name != name.strip() and bool(value),
        "A field is a name, a colon and a value: `mode: enforce`.": ":" not in text or not value,
        "The modes are written in lower case.": name == "mode" and value.lower() in MODES,
        "The version is STSv1, in this spelling.": name == "version",
        "A name in a policy has no final dot.": name == "mx" and value.endswith("."),
        "Each mx has a line of its own.": name == "mx" and any(mark in value for mark in ", \t;"),
        "A name in a policy is in A-labels (xn--...).": name == "mx" and not value.isascii(),
        "A wildcard is the whole first label, followed by a host name: `*.example.org`.": name == "mx" and "*" in value,
        "It is whole seconds, in digits.": name == "max_age",
    }
    return next((hint for hint, fits in hints.items() if fits), "")
