"""What a failure means for the mail: it got out although an enforced policy forbids it, or it was kept for no reason.

The two are told apart because they are worlds apart for whoever runs a mail server, and one letter stands for both.
"""

from __future__ import annotations

from enum import StrEnum

from mta_sts_lab.judge.checks.soundness import FARED
from mta_sts_lab.model import Grade, Judgement, Mode, Verdict

#: The reasons of the judge's monitors that mean: an outsider had the message.
_IN_STRANGE_HANDS = ("read-in-clear", "read-under-a-bad-certificate", "message-sent-under-a-bad-certificate")

#: How the reasons begin by which monitors say what became of a held message: `arrived-delivered-clear`,
#: `lost-instead-of-retried`, `bounced-instead-of-retried`, and `lost` of one that vanished between two steps.
_ARRIVED = "arrived-delivered"
_GONE = ("lost", "bounced", "returned")


class Harm(StrEnum):
    """What became of mail in a case that failed. Failures of reports and of bookkeeping do the mail no harm."""

    NONE = ""
    #: Delivered, or read on the way, against an enforced policy (RFC 8461, section 5).
    LET_OUT = "let-out"
    #: Held, returned or lost where nothing asked for that.
    KEPT_BACK = "kept-back"


def harm_of(verdict: Verdict) -> Harm:
    """Return what a failed case means for its mail; of both, the worse: what got out cannot be called back."""
    failures = [judgement for judgement in verdict.judgements if judgement.grade is Grade.FAIL]
    if _is_enforced(verdict.case) and any(map(_got_out, failures)):
        return Harm.LET_OUT
    kept = any(_was_kept(judgement) for judgement in failures)
    return Harm.KEPT_BACK if kept else Harm.NONE


def _is_enforced(case: str) -> bool:
    """Whether a case, `family/name[mode,vector]`, is played under a policy in mode enforce."""
    return case.partition("[")[2].rstrip("]").split(",")[0] == Mode.ENFORCE.value


def _got_out(judgement: Judgement) -> bool:
    if judgement.check == FARED:
        return judgement.reason.startswith("delivered")
    return judgement.reason.startswith(_ARRIVED) or judgement.reason in _IN_STRANGE_HANDS


def _was_kept(judgement: Judgement) -> bool:
    if judgement.check == FARED:
        return not _got_out(judgement)
    return judgement.reason.startswith(_GONE)
