"""What the arms of a scenario, side by side, teach: what stopped the attack, and what it would take to get past that.

Each sentence rests on facts of the arms; where those do not allow a conclusion, it says that instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta_sts_lab.model import Mode, Outcome
from mta_sts_lab.reports.arms import Arm
from mta_sts_lab.reports.escaping import escape_unprintable

_KEPT = (Outcome.DEFERRED, Outcome.BOUNCED, Outcome.DELIVERED_AUTHENTICATED)


def lesson(arms: Sequence[Arm]) -> list[str]:
    """Return the closing paragraphs of a demonstration."""
    told = [sentence for sentence in (_without_policy(arms), _testing(arms)) if sentence]
    enforced = [arm for arm in arms if arm.mode == Mode.ENFORCE]
    if not enforced:
        return [*told, "No arm with a policy in mode enforce was played, so nothing here shows what stops the attack."]
    for arm in enforced:
        told += _enforced(arm)
    return list(dict.fromkeys(told))


def _sound(arm: Arm) -> bool:
    """Whether the arm proves anything: played to its end, nothing broken, and every attack in it took effect."""
    return arm.ended and not arm.spoilt and set(arm.attacks) <= set(arm.fired)


def _without_policy(arms: Sequence[Arm]) -> str:
    bare = [arm for arm in arms if arm.mode in (Mode.ABSENT, Mode.NONE) and _sound(arm)]
    if not any(arm.outcome is Outcome.DELIVERED_CLEAR for arm in bare):
        return ""
    return "Without an enforced policy the sender had no reason to insist on TLS: the message went out in clear."


def _testing(arms: Sequence[Arm]) -> str:
    tested = [arm for arm in arms if arm.mode == Mode.TESTING and _sound(arm)]
    if not any(arm.outcome in (Outcome.DELIVERED_CLEAR, Outcome.DELIVERED_UNAUTHENTICATED) for arm in tested):
        return ""
    return "Mode testing stops nothing: it lets the mail pass and has the failure reported (RFC 8461, section 5)."


def _enforced(arm: Arm) -> list[str]:
    if not _sound(arm):
        return [f"{escape_unprintable(arm.case)} allows no conclusion: {_why_unsound(arm)}."]
    if arm.outcome in _KEPT and not arm.read:
        return _stopped(arm)
    if arm.outcome in (None, Outcome.UNSETTLED, Outcome.LOST) and not arm.read:
        return [f"{escape_unprintable(arm.case)} allows no conclusion: {arm.sentence}."]
    knew = "although the sender had fetched" if arm.policy_learned else "and the sender had not fetched"
    told = f"Nothing stopped the attack in {escape_unprintable(arm.case)}: {arm.sentence}"
    return [f"{told}, {knew} the policy in mode enforce before it."]


def _why_unsound(arm: Arm) -> str:
    if not arm.ended:
        return "it was not played to its end"
    if arm.spoilt:
        return "the lab or the sender itself failed in it"
    return "the attack did not take effect"


def _stopped(arm: Arm) -> list[str]:
    if not arm.policy_learned:
        return [
            f"In {escape_unprintable(arm.case)} the message was kept safe, but not by the policy: the sender had not"
            " fetched it before the attack."
        ]
    cost = "the mail waits" if arm.outcome is Outcome.DEFERRED else "the attack fails"
    return [
        "What stopped the attack: the policy in mode enforce, which the sender had fetched before the attack began."
        " Under it a message goes only to a host that the policy names, inside TLS, with a certificate that is valid"
        f" for that host (RFC 8461, section 5). Failing that, {cost}.",
        "What it would take to get past it: a certificate for that host's name from a CA that the sender trusts (RFC"
        " 8461, section 10.1), or to keep the sender from ever fetching its first policy (section 10.2).",
    ]
