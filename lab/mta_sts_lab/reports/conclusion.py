"""What a demonstration may conclude: for each case how the mail server behaved, what became of the mail, and why.

Everything follows from the record, the verdict and the policy that the mail server had. Where a case proves nothing the
conclusion says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from mta_sts_lab.events import LabFailed, TargetFailed
from mta_sts_lab.judge.comparison import compare_reports
from mta_sts_lab.judge.policy_known import PolicyKnown, PolicyState
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.judge.why_held import CERTIFICATE_REVOKED
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade, Outcome, Requirement
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.told_steps import ToldStep, told_steps

BEHAVED = "The mail server behaved as the RFCs demand"

#: The grades that prove nothing about the mail server.
_NOTHING_PROVED = {
    Grade.INCONCLUSIVE: "nothing is proved either way",
    Grade.LAB_ERROR: "the lab itself failed in it",
    Grade.UNSUPPORTED: "the mail server does not claim to do what it is about",
}

_WORST_FIRST = (Harm.LET_OUT, Harm.READ, Harm.KEPT_BACK, Harm.UNTRUE_REPORT, Harm.NONE)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What one case shows. `behaviour` is about the mail server, `mail` about the messages, a sentence each."""

    case: str
    mode: str
    grade: Grade
    behaviour: str
    mail: tuple[str, ...]
    #: Whether a policy in force stopped an attack on the way of the mail, and whether somebody read any.
    stopped: bool = False
    read: bool = False

    @property
    def text(self) -> str:
        """All of it as one paragraph."""
        return " ".join((self.behaviour, *self.mail))


def conclude(view: CaseView, verdict: Verdict) -> Conclusion:
    """Return what a case shows."""
    broken = bool(view.of_run.of_kind(LabFailed)) or bool(view.of_run.of_kind(TargetFailed))
    if verdict.grade in _NOTHING_PROVED or not view.facts.ended or broken:
        return _no_conclusion(view, verdict)
    steps = told_steps(view)
    mail = _told(view, steps, at_fault=verdict.grade is Grade.FAIL)
    behaviour = _behaviour(verdict, view.requirements)
    if len(mail) == 1 and verdict.grade is not Grade.FAIL:
        # One message, and no fault: then behaviour and mail are one sentence.
        behaviour, mail = f"{behaviour.removesuffix('.')}; {mail[0]}", []
    mail = [sentence[0].upper() + sentence[1:] for sentence in mail]
    mail += _besides(verdict, view.requirements)
    return Conclusion(
        view.case.id,
        view.case.mode.value,
        verdict.grade,
        behaviour,
        (*mail, *_of_reports(view, verdict)),
        stopped=any(_stopped(step) for step in steps) and verdict.grade is not Grade.FAIL,
        read=any(step.read for step in steps),
    )


def closing(conclusions: Sequence[Conclusion]) -> tuple[str, ...]:
    """Return what the cases show together: what stopped the attack, and what it would take to get past that."""
    if not any(one.stopped and one.mode != Mode.DANE for one in conclusions):
        return ()
    return (
        "What stopped the attack is the policy in mode enforce that the mail server had fetched before. Under it a"
        " message goes only to a host that the policy names, inside TLS, with a certificate that is valid for that host"
        " (RFC 8461, section 5). Otherwise the mail waits.",
        "How an attacker could still succeed: with a certificate for that host's name from a CA that the sender trusts"
        " (RFC 8461, section 10.1), or by keeping the sender from ever fetching its first policy (section 10.2).",
    )


def _no_conclusion(view: CaseView, verdict: Verdict) -> Conclusion:
    unfinished = "the lab or the mail server failed" if view.facts.ended else "it was not played to its end"
    why = _NOTHING_PROVED.get(verdict.grade, unfinished)
    said = (one.observed for one in verdict.judgements if one.grade is verdict.grade and one.observed)
    observed = next(said, "") if verdict.grade in _NOTHING_PROVED else ""
    text = f"This case allows no conclusion: {why}{f' ({observed})' if observed else ''}."
    return Conclusion(view.case.id, view.case.mode.value, verdict.grade, text, ())


# ---------------------------------------------------------------------------------------------------------------------
# How the mail server behaved


_BROKE_NOTHING = {
    Grade.PASS: f"{BEHAVED}.",
    Grade.INFO: "The mail server broke no rule.",
    Grade.WEAK: "The mail server broke no MUST.",
}

#: Characters of what was expected or seen: a finding quotes up to 160 of a report, and its note has up to 120.
_LONGEST = 280


def _behaviour(verdict: Verdict, requirements: Mapping[str, Requirement]) -> str:
    worst = _worst(verdict)
    if verdict.grade in _BROKE_NOTHING or worst is None:
        return _BROKE_NOTHING.get(verdict.grade, "The mail server is at fault.")
    source = _source(worst, requirements)
    expected = f" Expected: {shortened(worst.expected, _LONGEST)}." if worst.expected else ""
    return f"The mail server is at fault: it broke an obligation{source}.{expected} Seen: {_seen(worst)}"


def _besides(verdict: Verdict, requirements: Mapping[str, Requirement]) -> list[str]:
    """Say what is worth knowing of a mail server that broke no MUST."""
    worst = _worst(verdict)
    if worst is None or verdict.grade not in (Grade.INFO, Grade.WEAK):
        return []
    if verdict.grade is Grade.INFO:
        return [f"Worth knowing: {_seen(worst)}"]
    return [f"It did not follow advice{_source(worst, requirements)}. Seen: {_seen(worst)}"]


def _seen(judgement: Judgement) -> str:
    text = shortened(judgement.observed.rstrip("."), _LONGEST)
    return text if text.endswith("...") else f"{text}."


def _worst(verdict: Verdict) -> Judgement | None:
    """Return the finding that decided the verdict, the one with the worst harm first."""
    found = [one for one in verdict.judgements if one.grade is verdict.grade]
    return min(found, key=lambda one: _WORST_FIRST.index(one.harm), default=None)


def _source(judgement: Judgement, requirements: Mapping[str, Requirement]) -> str:
    row = requirements.get(judgement.obligation)
    return f' of RFC {row.rfc}, section {row.section} ("{row.text.rstrip(".")}")' if row else ""


# ---------------------------------------------------------------------------------------------------------------------
# What became of the mail


def _told(view: CaseView, steps: Sequence[ToldStep], at_fault: bool) -> list[str]:
    """Say what became of each message. What is the same of several, one after the other, is said once."""
    told = (
        (_changes(step), _kept(view, step, at_fault) if step.kept else _delivered(view, step, at_fault), step)
        for step in steps
    )
    sentences = []
    for (changes, words), alike in groupby(told, key=itemgetter(0, 1)):
        names = [step.name for _, _, step in alike]
        before = f"in the step{'s' if len(names) > 1 else ''} {_listed(names)}" if len(steps) > 1 else ""
        prefix = ", ".join(part for part in (before, changes) if part)
        sentences.append(f"{prefix}: {words}." if prefix else f"{words}.")
    return sentences


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _changes(step: ToldStep) -> str:
    parts = ["after a restart"] if step.restarted else []
    parts += [f"{_span(step.advanced)} later"] if step.advanced else []
    return " and ".join(parts)


def _span(seconds: int) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length, 1)
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def _kept(view: CaseView, step: ToldStep, at_fault: bool) -> str:
    kept = "the message was returned to its author" if step.outcome is Outcome.BOUNCED else "the message waited"
    seen = f" ({step.why})" if step.why else ""
    if step.read_while_held:
        return f"{kept}{seen}, but {_reader(step)} could read it" + _afterwards(step)
    if step.known.protected and _stopped(step):
        failed = "" if at_fault else "the attack failed; "
        why = f"{failed}{kept}, because {_protection(step)} to deliver like that{seen}"
    elif step.known.dane and not step.known.enforced and step.why.startswith(_LOOKUP_FAILED):
        why = f"{kept}, because under DANE (RFC 7672) no mail goes out on a look-up like that{seen}"
    elif step.known.protected and step.why.startswith(CERTIFICATE_REVOKED):
        why = f"{kept}, as RFC 8461 permits{seen}. {_peace(view)}"
    elif step.known.protected:
        own = _protection(step).replace("the ", "the domain's own ", 1)
        why = f"{kept}, because {own} to deliver like that{seen}"
        why += "" if step.attacks else f". {_peace(view)}"
    else:
        why = f"{kept}{seen}, although {_why_unprotected(step.known)}"
    return why + _afterwards(step)


#: How the reason of a mail server that got no valid answer of DNS begins.
_LOOKUP_FAILED = "a look-up failed"


def _protection(step: ToldStep) -> str:
    return "the policy in mode enforce forbids" if step.known.enforced else "the TLSA records (DANE) forbid"


def _stopped(step: ToldStep) -> bool:
    """Whether the policy stopped an attack on the way of the mail."""
    met = step.fired_on("smtp") or step.fired_on("dns")
    return step.kept and step.known.protected and bool(met)


def _afterwards(step: ToldStep) -> str:
    if step.outcome is Outcome.BOUNCED:
        return ""
    if step.later is None:
        return ". It had not arrived when the case ended"
    if step.later is Outcome.DELIVERED_AUTHENTICATED:
        return f". It arrived later, {'unchanged, ' if step.untouched else ''}inside TLS at the genuine host"
    read = " and was read on the way" if step.read else ""
    return f". It arrived later{_how(step.later)}{read}"


def _how(outcome: Outcome) -> str:
    return " in clear text" if outcome is Outcome.DELIVERED_CLEAR else " inside TLS that proves nothing"


def _delivered(view: CaseView, step: ToldStep, at_fault: bool) -> str:
    if step.outcome is Outcome.LOST:
        return "the message was lost: neither delivered nor returned"
    if step.outcome is Outcome.UNSETTLED:
        return "what became of the message is not proved"
    if step.outcome is Outcome.DELIVERED_AUTHENTICATED and not step.read:
        return f"the message arrived inside TLS at the genuine host{_whatever_was_tried(view, step)}"
    if step.outcome is Outcome.DELIVERED_AUTHENTICATED:
        return f"the message arrived at the genuine host, and {_reader(step)} could read it"
    how = "went out in clear text" if step.outcome is Outcome.DELIVERED_CLEAR else "was delivered"
    if step.known.enforced:
        read = f" and {_reader(step)} could read it" if step.read else ""
        return f"the message {how}{read}, although the policy in mode enforce, which the mail server had, forbids that"
    if step.known.dane and at_fault:
        read = f" and {_reader(step)} could read it" if step.read else ""
        return f"the message {how}{read}, although the domain has DANE"
    if not step.read:
        tls = "" if step.outcome is Outcome.DELIVERED_CLEAR else " inside TLS that proves nothing"
        return f"the message {how}{tls}, which nothing forbade, because {_why_unprotected(step.known)}"
    return f"the mail was still readable for {_reader(step)}, because {_why_unprotected(step.known)}"


def _reader(step: ToldStep) -> str:
    return "the attacker" if step.reader == "attacker" else "anybody on the path"


def _whatever_was_tried(view: CaseView, step: ToldStep) -> str:
    """Say why an attack, or a fault of the domain's own, did no harm."""
    if step.fired_on("smtp"):
        return ", and the attack on its way gained nothing"
    if step.fired_on("dns") or step.fired_on("https"):
        return ", and the attack on the policy changed nothing about that"
    if step.attacks:
        return ", and the attacker never met it"
    peace = _peace(view)
    if step.known.state in (PolicyState.IN_FORCE, PolicyState.NOT_PUBLISHED):
        return f". {peace}"
    return f". {peace}, and {_why_unprotected(step.known)}"


def _peace(view: CaseView) -> str:
    """Say of a step without an attack that there was none."""
    attacked = any(step.attacks for step in view.case.steps)
    return "There was no attack on it" if attacked else "Nobody attacked"


_WITHOUT_A_POLICY = {
    PolicyState.NOT_PUBLISHED: "the domain publishes no policy, so nothing told the mail server to insist on TLS",
    PolicyState.ENDED: "the policy that the mail server had was at its end (max_age)",
    PolicyState.NO_RECORD: "DNS showed the mail server no valid policy record, and without one there is no policy",
    PolicyState.NOT_TRUSTED: "the policy did not come, authenticated, from the domain's own policy host, so that it"
    " does not count",
    PolicyState.NOT_TEXT: "the policy was not served as text/plain, so that it does not count",
    PolicyState.NOT_VALID: "what the policy host served is no valid policy",
    PolicyState.NOT_OBTAINED: "the mail server had not been able to fetch the policy",
    PolicyState.NEVER_SOUGHT: "the mail server never looked for the domain's policy",
}

_BY_MODE = {
    Mode.TESTING: "mode testing stops nothing: it lets the mail pass and has failures reported",
    Mode.NONE: "a policy of mode none asks for nothing",
    Mode.ENFORCE: "a policy in mode enforce was in force",
}


def _why_unprotected(known: PolicyKnown) -> str:
    if known.policy is not None:
        return _BY_MODE[Mode(known.policy.mode)]
    if known.dane:
        return "no TLSA record (DANE) could be used, and nothing else told it to insist on TLS"
    return _WITHOUT_A_POLICY[known.state]


# ---------------------------------------------------------------------------------------------------------------------
# Reports


def _of_reports(view: CaseView, verdict: Verdict) -> tuple[str, ...]:
    """Say what the domain's owner is told, in a case that is about that."""
    if not view.case.judges_reports:
        return ()
    found = compare_reports(view, verdict)
    lessons = list(dict.fromkeys(one.lesson for one in found if one.lesson))
    if lessons:
        return (f'The domain\'s owner reads in the report: "{lessons[-1]}."',)
    return ("The report that the domain's owner gets lists no failure.",) if found else ("No report arrived.",)
