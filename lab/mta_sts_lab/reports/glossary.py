"""The words of the output and what they mean. Whatever prints one of them prints its meaning beside or below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.text import Text

from mta_sts_lab.model import Grade, Harm, Requirement
from mta_sts_lab.reports.layout import Hanging

#: Best first; every report counts in this order.
GRADES: Mapping[Grade, str] = {
    Grade.PASS: "as demanded, and proved",
    Grade.INFO: "worth knowing; no RFC demands or forbids it",
    Grade.WEAK: "advice (SHOULD) was not followed",
    Grade.UNSUPPORTED: "the target does not claim to do it",
    Grade.INCONCLUSIVE: "nothing is proved either way",
    Grade.LAB_ERROR: "an error in the lab, not in the target",
    Grade.FAIL: "a MUST was broken",
}

#: What a finding means for the mail, in the words by which cases are counted.
HARMS: Mapping[Harm, tuple[str, str]] = {
    Harm.LET_OUT: ("let out", "delivered against the policy in force"),
    Harm.READ: ("read", "an outsider read the message or its envelope, against the policy in force"),
    Harm.KEPT_BACK: ("kept back", "held, returned or lost where nothing asked for that"),
    Harm.UNTRUE_REPORT: ("untrue report", "a TLS report does not say what happened"),
}

#: The levels of obligations, strictest first: the RFC 2119 key words, and what stands for texts without one.
LEVELS: Mapping[str, str] = {
    "MUST": "absolute demand",
    "MUST NOT": "absolute ban",
    "DEFN": "definition or plain statement of the RFC, without a key word",
    "lc-must": '"must" in lower case',
    "SHOULD": "advice to do it",
    "SHOULD NOT": "advice against it",
    "lc-should": '"should" in lower case',
    "MAY": "permission",
    "lc-may": '"may" in lower case',
    "lc-info": "remark in lower case",
}

#: How an obligation is covered: the values of `Requirement.status`, what is printed for each, and what it means.
COVERAGE: Mapping[str, tuple[str, str]] = {
    "covered": ("covered", "at least one scenario judges it"),
    "not-yet": ("not yet", "no scenario judges it so far"),
    "not-observable": ("not observable", "cannot be seen from outside the mail server"),
    "out-of-scope": ("out of scope", "does not concern a sending mail server, or not this lab"),
}


def level_meaning(level: str) -> str:
    """Return what a level means and how breaking it is graded: `"should" in lower case; broken: weak`."""
    grade = Requirement("", "", "", level, "", "", "").grade_when_broken
    return f"{LEVELS.get(level, level)}; broken: {grade.value}"


def level_phrase(level: str) -> str:
    """Return a level with its meaning where the level is not a key word of RFC 2119: `lc-may: "may" in lower case`."""
    return f"{level}: {LEVELS[level]}" if (level in LEVELS and not level.isupper()) or level == "DEFN" else level


def explained(words: Mapping[str, str] | Mapping[Grade, str]) -> Hanging:
    """Return one dim paragraph that explains some words."""
    return Hanging(Text(), Text("  ".join(f"{word}: {meaning}." for word, meaning in words.items()), style="dim"))


def explained_levels(levels: Iterable[str]) -> Hanging:
    """Return a paragraph that explains the levels that occur, strictest first."""
    found = set(levels)
    return explained({level: level_meaning(level) for level in LEVELS if level in found})
