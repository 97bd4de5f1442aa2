"""What can become of a message, what the lab makes of it, and the obligations that it goes by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What happened to one message in one step.

    *Authenticated* means: accepted by a host that the recipient's domain really named and that the policy in force
    lists, inside TLS that ended at that host, under a certificate that is valid for it.
    """

    DELIVERED_AUTHENTICATED = "delivered-authenticated"
    DELIVERED_UNAUTHENTICATED = "delivered-unauthenticated"
    DELIVERED_CLEAR = "delivered-clear"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    LOST = "lost"
    UNSETTLED = "unsettled"

    @property
    def delivered(self) -> bool:
        """Whether some host accepted the message."""
        return self.value.startswith("delivered")


class Grade(StrEnum):
    """The result of one judgement, and the verdict on a case."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    INFO = "info"
    WEAK = "weak"
    INCONCLUSIVE = "inconclusive"
    LAB_ERROR = "lab-error"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"


# From the best to the worst: the worst judgement of a case is its verdict. A failure that was seen stays a failure
# whatever else went wrong in the lab; an unknown outranks every success. `unsupported` stands outside: it is only ever
# given to a whole case.
MERGE_ORDER = (Grade.PASS, Grade.INFO, Grade.WEAK, Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.FAIL)


def merge(grades: list[Grade]) -> Grade:
    """Return the worst of some grades. Without any there is nothing proved: `inconclusive`."""
    judged = [grade for grade in grades if grade is not Grade.UNSUPPORTED]
    if not judged:
        return Grade.UNSUPPORTED if grades else Grade.INCONCLUSIVE
    return max(judged, key=MERGE_ORDER.index)


def least(grades: list[Grade]) -> Grade:
    """Return the best of some grades that a judgement can have."""
    return min(grades, key=MERGE_ORDER.index)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One obligation of a sender, fetcher or reporter, paraphrased from an RFC."""

    id: str
    rfc: str
    section: str
    level: str
    binds: str
    text: str
    status: str
    consequence: bool = False
    reason: str = ""

    @property
    def grade_when_broken(self) -> Grade:
        """How much breaking it counts: absolute wording fails, advice is weak, permission is only noted."""
        if self.level in ("MUST", "MUST NOT", "DEFN", "lc-must"):
            return Grade.FAIL
        if self.level in ("SHOULD", "SHOULD NOT", "lc-should"):
            return Grade.WEAK
        return Grade.INFO
