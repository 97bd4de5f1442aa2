"""What becomes of mail to a domain that publishes a given policy: played by the run service, answered in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mta_sts_lab.catalogue.from_policy import (
    ATTACK_WORDS,
    Asked,
    CannotPublish,
    Publication,
    Question,
    catalogue_of,
    noticed,
    questions,
)
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Harm, Judgement, Verdict
from mta_sts_lab.reports.summary import INCONCLUSIVE, LAB_ERROR
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.rfc.policy import lists
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.service import RunRequest, RunResult, run
from mta_sts_lab.runs.watching import Watcher

#: More hosts are not played: nobody would read so many answers.
MOST_HOSTS = 12

#: How the judge's reason codes end where the policy was never fetched.
POLICY_NEVER_FETCHED = "policy-never-fetched"

_PROVES_NOTHING = (Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of mail to one host, or under one attack.

    `as_demanded` is whether the mail server did what RFC 8461 asks for; None: nothing is proved. `waits` is whether
    mail waits although nobody attacks.
    """

    question: Question
    host: str
    attack: str
    outcome: str
    says: str
    as_demanded: bool | None
    waits: bool
    grade: Grade
    case: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answers, the run that gave them, and what to know before one reads them."""

    answers: tuple[Answer, ...]
    result: RunResult
    remarks: tuple[str, ...] = ()
    #: Whether senders can use the policy, and the one that replaces it.
    usable: bool = True

    @property
    def exit_code(self) -> int:
        """1 where a policy is of no use, mail waits or the mail server is wrong, 3 lab error, 4 nothing is proved."""
        if any(answer.grade is Grade.LAB_ERROR for answer in self.answers):
            return LAB_ERROR
        if not self.usable or any(answer.waits or answer.as_demanded is False for answer in self.answers):
            return 1
        return INCONCLUSIVE if any(answer.as_demanded is None for answer in self.answers) else 0


def what_if(
    request: RunRequest,
    now: Publication,
    hosts: Sequence[str],
    then: Publication | None = None,
    watcher: Watcher | None = None,
) -> WhatIf:
    """Play what becomes of mail. Raises `UsageError` and the errors of `mta_sts_lab.runs.run`."""
    if not hosts:
        raise UsageError("no MX hosts: name them with --mx mx1.example.org,mx2.example.org")
    if len(hosts) > MOST_HOSTS:
        raise UsageError(f"{len(hosts)} MX hosts: at most {MOST_HOSTS} are played at once")
    try:
        asked = questions(now, hosts, then)
    except CannotPublish as error:
        raise UsageError(f"{error}; `sts-lab policy-check` says what is wrong with a policy") from error
    catalogue = catalogue_of(asked)
    result = run(replace(request, selection=(), modes=()), watcher, catalogue)
    verdicts = {verdict.case: verdict for verdict in result.verdicts}
    wanted = [one for one in asked if one.case.mode is not Mode.ABSENT]
    answers = tuple(_answer(one, verdicts[one.case.id], now, then) for one in wanted)
    usable = bool(now.in_force) and (then is None or bool(then.in_force))
    return WhatIf(answers, result, (*_remarks(now, then), *_not_attacked(now, answers)), usable)


def _remarks(now: Publication, then: Publication | None) -> Iterator[str]:
    if not now.in_force:
        yield f"Senders cannot use this policy ({now.fault}): it protects nobody."
    if then is not None and not then.in_force:
        kept = "senders that know the old one keep to it until its max_age is over"
        yield f"Senders cannot use the new policy ({then.fault}): {kept if now.in_force else 'it protects nobody'}."
    if now.ends_in_a_play:
        yield (
            f"Senders forget this policy {now.policy.max_age} s after they fetched it. An attack by somebody who keeps "
            "them from fetching it again for so long is not played: it does not protect against that."
        )
        if then is not None and not noticed(now, then):
            yield "The update is not played: senders do not notice it, and may have forgotten this policy or not."
    if now.in_force == Mode.ENFORCE.value:
        yield "A sender that an attacker has kept from ever fetching the policy knows of none, and is not protected."


def _not_attacked(now: Publication, answers: Sequence[Answer]) -> Iterator[str]:
    if now.in_force == Mode.ENFORCE.value and not any(answer.attack for answer in answers):
        yield "Attacks are not played: under this policy no host gets mail."


def _answer(asked: Asked, verdict: Verdict, now: Publication, then: Publication | None) -> Answer:
    main = next(step for step in asked.case.steps if step.expect is not None)
    found = next((step.outcome for step in verdict.steps if step.step == main.name), None)
    outcome = found or Outcome.UNSETTLED
    proved = verdict.grade not in _PROVES_NOTHING and outcome is not Outcome.UNSETTLED
    kept_back = [one for one in verdict.judgements if one.grade is Grade.WEAK and one.harm is Harm.KEPT_BACK]
    blamed = [one for one in verdict.judgements if one.grade is Grade.FAIL] + kept_back
    published = then if asked.question is Question.UPDATE and then is not None else now
    words = _attack_words(asked, outcome) if asked.attack else _host_words(asked, outcome, published)
    return Answer(
        question=asked.question,
        host=asked.host,
        attack=asked.attack,
        outcome=outcome.value,
        says=" ".join([words, *_verdict_words(verdict, proved, blamed)]),
        as_demanded=None if not proved else not blamed,
        waits=not asked.attack and outcome in (Outcome.DEFERRED, Outcome.BOUNCED),
        grade=verdict.grade,
        case=asked.case.id,
    )


def _host_words(asked: Asked, outcome: Outcome, published: Publication) -> str:
    mail = f"Mail to {asked.host}"
    when = "the moment you publish the new policy" if asked.question is Question.UPDATE else "the moment you publish it"
    mode, why = asked.kept.in_force, ""
    if mode in (Mode.ENFORCE.value, Mode.TESTING.value) and not lists(asked.kept.policy.mx, asked.host):
        why = ": no mx line matches it"
        if asked.question is Question.UPDATE and asked.kept is not published:
            why = ": senders keep to the old policy, and no mx line of that matches it"
    match outcome:
        case Outcome.DEFERRED:
            return f"{mail} waits from {when}{why}."
        case Outcome.BOUNCED:
            return f"{mail} is returned to its sender from {when}{why}."
        case Outcome.UNSETTLED:
            return f"{mail}: what became of it could not be seen."
        case Outcome.LOST:
            return f"{mail} is lost."
    how = ", inside TLS and under a valid certificate" if outcome is Outcome.DELIVERED_AUTHENTICATED else ""
    how = ", in clear" if outcome is Outcome.DELIVERED_CLEAR else how
    later = "; under mode enforce it would wait" if why and mode == Mode.TESTING.value else ""
    return f"{mail} is delivered{how}{why}{later}."


def _attack_words(asked: Asked, outcome: Outcome) -> str:
    became = {
        Outcome.DEFERRED: "the mail waits, and arrives when the attack is over.",
        Outcome.BOUNCED: "the mail is returned to its sender, and the attacker does not get it.",
        Outcome.DELIVERED_AUTHENTICATED: "the mail is delivered to a host that the policy lists, all the same.",
        Outcome.DELIVERED_CLEAR: "the attacker reads the mail, which is sent in clear.",
        Outcome.DELIVERED_UNAUTHENTICATED: "the attacker gets the mail.",
        Outcome.LOST: "the mail is lost.",
    }
    said = became.get(outcome, "what became of the mail could not be seen.")
    return f"An attacker {ATTACK_WORDS[asked.attack]}: {said}"


def _verdict_words(verdict: Verdict, proved: bool, blamed: Sequence[Judgement]) -> Iterator[str]:
    if not proved:
        reasons = dict.fromkeys(one.reason for one in verdict.judgements if one.grade in _PROVES_NOTHING)
        yield f"Nothing is proved by that ({', '.join(reasons) or verdict.grade.value})."
    for one in blamed[:1]:
        rule = load_requirements().get(one.obligation)
        text = f" (RFC {rule.rfc}, section {rule.section}: {rule.id})" if rule else ""
        why = ", which never fetched the policy" if one.reason.endswith(POLICY_NEVER_FETCHED) else ""
        wrong = (
            "That is wrong of this mail server" if one.grade is Grade.FAIL else "Nothing asks this mail server for that"
        )
        yield f"{wrong}{why}{text}."
