"""Hand-made records for the judge: a strip attack that was resisted, and ways to bend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    CaseBegan,
    CaseEnded,
    ConnectionAccepted,
    ConnectionClosed,
    DnsAnswered,
    Event,
    MessageAccepted,
    MessageInjected,
    PolicyRequested,
    QueueSeen,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TargetFlushed,
    TlsEstablished,
    TokenRead,
)
from mta_sts_lab.judge import judge
from mta_sts_lab.judge.view import ABOVE_THEIR_LEVEL
from mta_sts_lab.model.case import AttackUse, Case, Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade, least
from mta_sts_lab.model.target import About
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.model.world import World
from mta_sts_lab.record import Part, Record
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.tlsrpt.departures import printed_alike

from tests.made_records import made_record

ENFORCE, ABSENT, TESTING = "starttls/strip[enforce]", "starttls/strip[absent]", "starttls/strip[testing]"
DOMAIN = {ENFORCE: "enforcing.example", ABSENT: "absent.example", TESTING: "testing.example"}
ATTACK = AttackUse("strip_starttls", "smtp")

Line = tuple[str, str, AnyFact]


def case(mode: Mode, outcome: tuple[str, ...], **expected: object) -> Case:
    """Return the strip scenario under one mode."""
    expect = Expectation(outcome=outcome, obligation="STS-5-03", **expected)  # type: ignore[arg-type]
    steps = (
        Step("prime", World(), learns_policy=True),
        Step("attack", World(), attacks=(ATTACK,), expect=expect),
        Step("recover", World(), send=False, recovers=True),
    )
    control = "" if mode is Mode.ABSENT else ABSENT
    return Case(f"starttls/strip[{mode}]", "starttls/strip", mode, steps, control=control)


CASES = {
    ENFORCE: case(Mode.ENFORCE, ("deferred",)),
    ABSENT: case(Mode.ABSENT, ("delivered",)),
    TESTING: case(Mode.TESTING, ("as-absent",)),
}


def token(case_id: str, step: str) -> str:
    """Return the canary of a step's message."""
    return f"{case_id}-{step}"


def prime(case_id: str) -> list[Line]:
    """An honest delivery, and the fetch of a policy where there is one."""
    lines = [
        (case_id, "prime", CaseBegan(domain=DOMAIN[case_id], mode="")),
        (case_id, "prime", StepBegan()),
        (case_id, "prime", injected(case_id, "prime")),
        (case_id, "prime", mx_query(case_id)),
    ]
    if case_id != ABSENT:
        lines += [(case_id, "prime", fact) for fact in policy_facts(case_id)]
    lines += [
        (case_id, "prime", connection(case_id, "honest-1")),
        (case_id, "prime", TlsEstablished(session="honest-1", version="TLSv1.3", certificate="valid")),
        (case_id, "prime", accepted(case_id, "prime", "honest-1")),
        (case_id, "prime", StepEnded()),
    ]
    return lines


def injected(case_id: str, step: str) -> MessageInjected:
    name = token(case_id, step)
    return MessageInjected(
        token=name, sender="a@sender.example", recipient=f"b@{DOMAIN[case_id]}", reply="250 ok", body_digest="same"
    )


def mx_query(case_id: str) -> DnsAnswered:
    domain = DOMAIN[case_id]
    return DnsAnswered(name=domain, type="MX", transport="udp", rcode="NOERROR", answers=(f"10 mx1.{domain}.",))


def policy_facts(case_id: str) -> list[AnyFact]:
    domain = DOMAIN[case_id]
    return [
        DnsAnswered(
            name=f"_mta-sts.{domain}", type="TXT", transport="udp", rcode="NOERROR", answers=("v=STSv1; id=1;",)
        ),
        ConnectionAccepted(
            session=f"https-{domain}", role="policy-host", host=f"mta-sts.{domain}", address="198.18.64.9", port=443
        ),
        PolicyRequested(
            session=f"https-{domain}",
            host=f"mta-sts.{domain}",
            method="GET",
            path="/.well-known/mta-sts.txt",
            sni=f"mta-sts.{domain}",
            status=200,
        ),
        ConnectionClosed(session=f"https-{domain}"),
    ]


def connection(case_id: str, session: str, via: str = "") -> ConnectionAccepted:
    return ConnectionAccepted(
        session=session,
        role="mx",
        host=f"mx1.{DOMAIN[case_id]}",
        address="198.18.64.9",
        port=25,
        via=via,
        peer="198.18.66.1",
    )


def accepted(
    case_id: str,
    step: str,
    session: str,
    *,
    secured: bool = True,
    via: str = "",
    certificate: str = "valid",
    role: str = "mx",
) -> MessageAccepted:
    return MessageAccepted(
        session=session,
        role=role,
        host=f"mx1.{DOMAIN[case_id]}",
        address="198.18.64.9",
        secured=secured,
        certificate=certificate if secured else "",
        mail_from="a@sender.example",
        recipients=(f"b@{DOMAIN[case_id]}",),
        tokens=(token(case_id, step),),
        octets=400,
        body_digest="same",
        via=via,
    )


def stripped(session: str) -> SmtpSaid:
    """What the wire shows of the strip: the line that did not come through."""
    return SmtpSaid(
        session=session, speaker="attacker", line="", secured=False, altered=True, instead_of="250-STARTTLS"
    )


def quits(session: str, secured: bool = True) -> SmtpSaid:
    """What shows that the target has read the reply to its message."""
    return SmtpSaid(session=session, speaker="sender", line="QUIT", secured=secured)


def resisted_attempt(case_id: str, session: str) -> list[AnyFact]:
    """One attempt under the strip: the sender looks, sees no STARTTLS, and leaves."""
    return [
        mx_query(case_id),
        connection(case_id, session),
        SmtpSaid(session=session, speaker="sender", line="EHLO mta.sender.example", secured=False),
        AttackFired(attack="strip_starttls", channel="smtp", session=session, detail="removed 250-STARTTLS"),
        stripped(session),
        SmtpSaid(session=session, speaker="sender", line="QUIT", secured=False),
        ConnectionClosed(session=session),
    ]


def taken_in_attempt(case_id: str, session: str) -> list[AnyFact]:
    """One attempt under the strip by a sender that goes on in clear."""
    return [
        mx_query(case_id),
        connection(case_id, session),
        SmtpSaid(session=session, speaker="sender", line="EHLO mta.sender.example", secured=False),
        AttackFired(attack="strip_starttls", channel="smtp", session=session, detail="removed 250-STARTTLS"),
        stripped(session),
        SmtpSaid(session=session, speaker="sender", line="MAIL FROM:<a@sender.example>", secured=False),
        TokenRead(session=session, token=token(case_id, "attack"), secured=False, reader="attacker"),
        connection(case_id, f"{session}-behind", via=session),
        accepted(case_id, "attack", f"{session}-behind", secured=True, via=session),
        quits(session, secured=False),
        ConnectionClosed(session=session),
    ]


#: The look at the queue began right before it was written down: `record` puts the time in.
JUST_NOW = -1.0


def held(case_id: str, looked: float = JUST_NOW) -> QueueSeen:
    return QueueSeen(token=token(case_id, "attack"), state="deferred", looked=looked, reason="TLS is required")


def gone(case_id: str, step: str = "attack") -> QueueSeen:
    return QueueSeen(token=token(case_id, step), state="gone", looked=JUST_NOW)


def resisted(case_id: str = ENFORCE) -> list[Line]:
    """The whole case of a sender that held the message, and delivered it when the attack was over."""
    attack: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(case_id, "attack"),
        *resisted_attempt(case_id, "attacked-1"),
        held(case_id),
        TargetFlushed(),
        *resisted_attempt(case_id, "attacked-2"),
        held(case_id),
        StepEnded(),
    ]
    return prime(case_id) + [(case_id, "attack", fact) for fact in attack] + recovered(case_id)


def recovered(case_id: str) -> list[Line]:
    """The attack is over and what was held arrives."""
    facts: list[AnyFact] = [
        StepBegan(),
        mx_query(case_id),
        connection(case_id, "honest-2"),
        TlsEstablished(session="honest-2", version="TLSv1.3", certificate="valid"),
        accepted(case_id, "attack", "honest-2"),
        quits("honest-2"),
        gone(case_id),
        StepEnded(),
        CaseEnded(),
    ]
    return [(case_id, "recover", fact) for fact in facts]


def taken_in(case_id: str = ABSENT) -> list[Line]:
    """The whole case of a sender that delivered in clear under the attack."""
    attack: list[AnyFact] = [
        StepBegan(attacks=("strip_starttls",)),
        injected(case_id, "attack"),
        *taken_in_attempt(case_id, f"attacked-{case_id}"),
        StepEnded(),
    ]
    after: list[AnyFact] = [StepBegan(), StepEnded(), CaseEnded()]
    return (
        prime(case_id) + [(case_id, "attack", fact) for fact in attack] + [(case_id, "recover", fact) for fact in after]
    )


def without(lines: Iterable[Line], unwanted: Callable[[AnyFact], bool], step: str = "") -> list[Line]:
    """Return the lines without some facts, optionally of one step only."""
    return [line for line in lines if not (unwanted(line[2]) and step in ("", line[1]))]


def record(
    *stories: list[Line],
    capabilities: tuple[str, ...] = ("mta-sts",),
    cases: Iterable[Case] = (),
    retry_seconds: float = 0.0,
) -> Record:
    """Number and time the lines of some stories and make a record of them."""
    lines = [line for story in stories for line in story]
    played = tuple(cases) or tuple(CASES[name] for name in dict.fromkeys(line[0] for line in lines if line[0]))
    events = tuple(
        Event(number=number, at=number / 100, fact=_dated(fact, number / 100), case=case_id, step=step)
        for number, (case_id, step, fact) in enumerate(lines, start=1)
    )
    about = About("made up", capabilities=capabilities, retry_seconds=retry_seconds)
    return made_record(events, played, about, clock_began="2025-01-06T09:00:00+00:00")


def joined(*runs: Record) -> Record:
    """Merge the records of some runs into one."""
    events = [event for run in runs for event in run.events]
    numbered = [msgspec.structs.replace(event, number=number) for number, event in enumerate(events, start=1)]
    cases = {case.id: case for run in runs for case in run.header.cases}
    parts = tuple(Part(run.header, len(run.events)) for run in runs)
    first = runs[0].header
    return made_record(numbered, cases.values(), first.about, clock_began=first.clock_began, parts=parts)


def _dated(fact: AnyFact, at: float) -> AnyFact:
    if isinstance(fact, QueueSeen) and fact.looked == JUST_NOW:
        return msgspec.structs.replace(fact, looked=at - 0.005)
    return fact


def verdict(made: Record, case_id: str = ENFORCE) -> Verdict:
    """Return the verdict on one case of a record.

    Each of its findings says what differs, and is no graver than the level of its obligation.
    """
    found = next(item for item in judge(made, load_requirements()) if item.case == case_id)
    judgements = (*found.judgements, *found.of_the_run)
    assert not [one for one in judgements if says_nothing(one)]
    assert not [one for one in judgements if above_its_level(one)]
    return found


def above_its_level(judgement: Judgement) -> bool:
    """Whether a finding counts for more than the RFC's wording of its obligation does."""
    requirement = load_requirements().get(judgement.obligation)
    if requirement is None or judgement.grade not in (Grade.FAIL, Grade.WEAK):
        return False
    most = ABOVE_THEIR_LEVEL.get(judgement.obligation, requirement.grade_when_broken)
    return least([judgement.grade, most]) is not judgement.grade


def says_nothing(judgement: Judgement) -> bool:
    """Whether what was expected and what was observed would be printed alike, the name of a member aside."""
    _, _, value = judgement.expected.partition(": ")
    found = judgement.grade is not Grade.PASS and bool(judgement.expected)
    return found and any(printed_alike(one, judgement.observed) for one in (judgement.expected, value))


def reasons(found: Verdict) -> set[str]:
    """Return the reason codes of a verdict's judgements that are not passes."""
    return {judgement.reason for judgement in found.judgements if judgement.grade.value != "pass"}


def changed(base: Case, step: str, **values: object) -> Case:
    """Return a case with one of its steps changed."""
    steps = tuple(replace(item, **values) if item.name == step else item for item in base.steps)  # type: ignore[arg-type]
    return replace(base, steps=steps)
