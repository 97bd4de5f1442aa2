"""The words of the output and what they mean. Whatever prints one of them prints its meaning beside or below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Harm

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

#: What a domain publishes, from the weakest protection to the strongest.
PUBLISHED: Mapping[Mode, str] = {
    Mode.ABSENT: "no policy",
    Mode.NONE: "a policy in mode none",
    Mode.TESTING: "a policy in mode testing",
    Mode.DANE: "TLSA records (DANE), and no policy",
    Mode.ENFORCE: "a policy in mode enforce",
}

#: How a mail server behaved in a case, in the two words that fit a cell.
BEHAVIOUR: Mapping[Grade, str] = {
    Grade.PASS: "as demanded",
    Grade.INFO: "as demanded",
    Grade.WEAK: "against advice",
    Grade.UNSUPPORTED: "not judged",
    Grade.INCONCLUSIVE: "not proved",
    Grade.LAB_ERROR: "not proved",
    Grade.FAIL: "at fault",
}

#: What a finding means for the mail, in the words by which cases are counted.
HARMS: Mapping[Harm, tuple[str, str]] = {
    Harm.LET_OUT: ("let out", "delivered against the policy or TLSA records in force"),
    Harm.READ: ("read", "an outsider read the message or its envelope, against the policy or TLSA records in force"),
    Harm.KEPT_BACK: ("kept back", "held, returned or lost, although neither a policy nor an RFC asks for it"),
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
    "covered": ("covered", "a deliberate fault of the reference sender breaks it, and a case fails that fault for it"),
    "judged": ("judged", "a check or a scenario names it, but no deliberate fault has tried it"),
    "permission": ("permission", "the text allows something, so nobody can break it"),
    "not-yet": ("not yet", "nothing looks at it so far"),
    "not-observable": ("not observable", "cannot be seen from outside the mail server"),
    "out-of-scope": ("out of scope", "does not concern a sending mail server, or not this lab"),
}


#: The steps that several scenarios have.
STEPS: Mapping[str, str] = {
    "publish": "the domain publishes its policy, and honest mail lets the sender fetch it",
    "wait": "mail goes on as usual, so that reports can tell of failures",
    "clean-report": "the sender is asked for its report on the test: nothing is enforced before one names no failure",
    "promote": "the domain publishes the policy in mode enforce, under a new id",
    "update": "the domain changes its hosts or its policy, and makes a mistake",
    "report": "the sender is asked for its TLS reports",
    "fix": "the domain mends its mistake, under a new id; what was held must arrive",
    "contact": "one honest delivery, so that the sender can fetch the policy",
    "prime": "honest mail before the attack, so that the sender can fetch the policy",
    "attack": "a message is sent while the attack is active",
    "recover": "the attack has ended, and the sender tries again what it still holds",
}


def level_phrase(level: str) -> str:
    """Return a level with its meaning, where it is no key word of RFC 2119: `lc-may: "may" in lower case`."""
    return f"{level}: {LEVELS[level]}" if level == "DEFN" or level.startswith("lc-") else level


def levels_explained(levels: Iterable[str]) -> dict[str, str]:
    """Return the meaning of some levels and how breaking one is graded, strictest first."""
    found = set(levels)
    return {
        level: f"{meaning}; if broken: {Requirement('', '', '', level, '', '', '').grade_when_broken.value}"
        for level, meaning in LEVELS.items()
        if level in found
    }
