"""Scenarios that are made from somebody's own policy, TXT records and MX hosts instead of from files. Pure.

The lab's domains have random names, so every name N of the given policy becomes N.<domain of the case>. Which pattern
matches which host stays the same by that: names are compared label by label from the right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mta_sts_lab.catalogue.catalogue import Catalogue
from mta_sts_lab.catalogue.expand import CONTROL_CASE_NOTE, HARMLESS, MAIN_STEP, OPPORTUNISTIC
from mta_sts_lab.model.case import PUBLISHED_POLICY, AttackUse, Case, Expectation, Mode, Scenario, Step
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.world import Dns, MxHost, World
from mta_sts_lab.model.world import Policy as PublishedPolicy
from mta_sts_lab.rfc.domain_names import is_address, is_mx_pattern
from mta_sts_lab.rfc.policy import LONGEST_BODY, Policy, lists, read_policy, values_of
from mta_sts_lab.rfc.published import served_policy
from mta_sts_lab.rfc.txt_records import sts_record

#: Characters. A longer name would leave no room for the domain of a case behind it.
LONGEST_NAME = 200

#: Seconds. A play lasts minutes with some mail servers: a policy that ends sooner may end in it, or may not.
SHORTEST_AGE = 3600

#: As long as the domain of a case at least.
_ANY_DOMAIN = "x" * 32

#: What the lab fills in when it serves a policy: a policy with one of these could not be served as it is.
_FILLED_IN = ("{mode}", "{max_age}", "{mx}", "{id}")

#: The first label of a host that stands for any that a wildcard matches.
_ANY_HOST = "recovery"

_AUTHENTICATED, _DEFERRED, _DELIVERED = ("delivered-authenticated",), ("deferred",), ("delivered",)


class CannotPublish(ValueError):
    """The lab cannot serve what was given as it is. The message says why."""


class Question(StrEnum):
    """What a case is to find out."""

    PUBLISH = "publish"
    UPDATE = "update"
    ATTACK = "attack"


@dataclass(frozen=True, slots=True)
class Publication:
    """A policy and the TXT records that announce it. Without records the right one is made, with a new id."""

    body: bytes
    records: tuple[str, ...] = ()

    @property
    def policy(self) -> Policy:
        """What the body says."""
        return read_policy(self.body)

    @property
    def in_force(self) -> str:
        """The mode that a sender keeps to which never knew another policy; empty: none."""
        return "" if self.fault else self.policy.mode

    @property
    def ends_in_a_play(self) -> bool:
        """Whether senders that know it may forget it while a case is played."""
        return bool(self.in_force) and self.policy.max_age < SHORTEST_AGE

    @property
    def id(self) -> str:
        """What the record calls the policy; empty where the lab makes the record."""
        return sts_record([text.encode() for text in self.records]).id if self.records else ""

    @property
    def fault(self) -> str:
        """Why senders cannot use it; empty if they can."""
        record = sts_record([text.encode() for text in self.records]) if self.records else None
        faults = [f"its TXT record: {fault}" for fault in (record.faults if record else ())]
        return next(iter([*faults, *map(str, self.policy.faults)]), "")


@dataclass(frozen=True, slots=True)
class Asked:
    """One case and what it is to find out: about mail to one host, or about one attack.

    `kept` is the publication that a correct sender keeps to when the message is sent.
    """

    case: Case
    question: Question
    kept: Publication
    host: str = ""
    attack: str = ""


@dataclass(frozen=True, slots=True)
class _Attack:
    """An attack on a published policy. It is optional where a correct sender need not meet it."""

    name: str
    says: str
    uses: tuple[AttackUse, ...]


ROLLOVER = "rollover"
_STRIP = AttackUse("strip_starttls", "smtp")
ATTACKS = (
    _Attack("strip", "removes the offer of STARTTLS", (_STRIP,)),
    _Attack(
        "swap",
        "answers in the place of the MX hosts, with a certificate that nobody trusts",
        (AttackUse("swap_certificate", "smtp", {"certificate": "untrusted"}),),
    ),
    _Attack("forge", "forges the MX record, to a server of the attacker's own", (AttackUse("forge_mx", "dns"),)),
    _Attack(
        ROLLOVER,
        "announces a new policy that nobody can fetch, and removes the offer of STARTTLS",
        (
            _STRIP,
            AttackUse("forge_policy_id", "dns", optional=True, needs=PUBLISHED_POLICY),
            AttackUse("block_policy_host", "https", {"how": "refuse"}, optional=True, needs=PUBLISHED_POLICY),
        ),
    ),
)
ATTACK_WORDS = {attack.name: attack.says for attack in ATTACKS}


def questions(now: Publication, hosts: Sequence[str], then: Publication | None = None) -> tuple[Asked, ...]:
    """Return the cases: mail to each host under the policy, and after the update, and under each attack.

    Of a policy that ends in a play there are none in which a sender has to know it although it cannot fetch it.

    Raises `CannotPublish`.
    """
    for publication in filter(None, (now, then)):
        _check(publication)
    for host in hosts:
        if is_address(host.strip("[]")):
            raise CannotPublish(f"{host[:80]}: an address is no name of a host, and no certificate can be valid for it")
        if not is_mx_pattern(host) or host.startswith("*.") or len(host) > LONGEST_NAME:
            raise CannotPublish(f"{host[:80]}: it is no name of a host")
    asked = [_publishing(now, host) for host in hosts]
    if then is not None and (noticed(now, then) or not now.ends_in_a_play):
        asked += [_updating(now, then, host) for host in hosts]
    asked += [
        one
        for attack in ATTACKS
        if _listed(now, hosts) and (attack.name != ROLLOVER or (now.in_force and not now.ends_in_a_play))
        for one in _attacked(now, hosts, attack)
    ]
    return tuple(asked)


def catalogue_of(asked: Sequence[Asked]) -> Catalogue:
    """Return a catalogue of these cases alone."""
    cases = {one.case.id: one.case for one in asked}
    names = dict.fromkeys(case.scenario for case in cases.values())
    scenarios = tuple(
        Scenario(
            name,
            title=name,
            story="Made from your own policy.",
            effect="",
            requirements=(),
            cases=tuple(case for case in cases.values() if case.scenario == name),
        )
        for name in names
    )
    return Catalogue(scenarios, cases)


def noticed(now: Publication, then: Publication) -> bool:
    """Whether a sender that knows the policy of now takes the next one: it is usable, and its id is another."""
    return bool(then.in_force) and (not then.records or then.id != now.id)


def _check(publication: Publication) -> None:
    if not publication.body.strip():
        raise CannotPublish("the policy is empty")
    try:
        text = publication.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotPublish("the policy is not UTF-8: no sender can read it, and the lab cannot serve it") from error
    for place in _FILLED_IN:
        if place in text:
            raise CannotPublish(f"the policy has {place} in it, which the lab would fill in: leave it out")
    served = served_policy(_world(publication, ()), "", _ANY_DOMAIN)
    if max(len(served), len(publication.body)) > LONGEST_BODY:
        raise CannotPublish(
            f"the policy has {len(publication.body)} octets, and {len(served)} as the lab serves it: senders may "
            "refuse one of more than 64 KiB (RFC 8461, section 3.3), so nothing can be said about them"
        )


def _publishing(now: Publication, host: str) -> Asked:
    after = _expected(now.in_force, now.policy, host)
    steps = (
        _step("prime", _world(now, [_any_host(now, host)]), learns=True),
        _step(MAIN_STEP, _world(now, [host]), expect=after),
        _recovery(now, host),
    )
    return Asked(_case(Question.PUBLISH, host, _mode(now), steps), Question.PUBLISH, now, host)


def _updating(now: Publication, then: Publication, host: str) -> Asked:
    """Return the case of a sender that knows the policy of now when the next one is published.

    One that cannot be used leaves the former in force (RFC 8461, section 3.3), and so does a record whose id stays.
    """
    kept = then if noticed(now, then) or not now.in_force else now
    steps = (
        _step("prime", _world(now, [_any_host(now, host)]), learns=True),
        _step("update", _world(then, [_any_host(kept, host)], 2), learns=True),
        _step(MAIN_STEP, _world(then, [host], 2), expect=_expected(kept.in_force, kept.policy, host)),
        replace(_recovery(kept, host), world=_world(then, [_any_host(kept, host)], 2)),
    )
    return Asked(_case(Question.UPDATE, host, _mode(now, then), steps), Question.UPDATE, kept, host)


def _attacked(now: Publication, hosts: Sequence[str], attack: _Attack) -> Iterator[Asked]:
    """Yield the case of an attack on all hosts, and its control case, in which no policy is published."""
    world = _world(now, hosts)
    enforced = now.in_force == Mode.ENFORCE.value
    prime, recover = _step("prime", world, learns=True), _step("recover", world, send=False)
    held = Expectation(_DEFERRED, "STS-5-03") if enforced else _expected(now.in_force, now.policy, hosts[0])
    attacked = replace(_step(MAIN_STEP, world, expect=held), attacks=attack.uses)
    control_step = replace(
        attacked,
        attacks=tuple(use for use in attack.uses if not use.optional),
        expect=Expectation(_DELIVERED, OPPORTUNISTIC, grade=Grade.INCONCLUSIVE, note=CONTROL_CASE_NOTE),
    )
    absent = _case(
        Question.ATTACK, attack.name, Mode.ABSENT, (replace(prime, learns_policy=False), control_step, recover)
    )
    case = replace(_case(Question.ATTACK, attack.name, _mode(now), (prime, attacked, recover)), control=absent.id)
    yield Asked(case, Question.ATTACK, now, attack=attack.name)
    yield Asked(absent, Question.ATTACK, now, attack=attack.name)


def _expected(mode: str, policy: Policy, host: str) -> Expectation:
    """Return what RFC 8461 demands for mail when only one host takes mail, under the policy that is in force."""
    if mode == Mode.ENFORCE.value:
        if lists(policy.mx, host):
            return Expectation(_AUTHENTICATED, "STS-5-03")
        return Expectation(_DEFERRED, "STS-4-01")
    # As in the scenarios: nothing asks for mail to be kept back, and it harms those who wait for it.
    return Expectation(_DELIVERED, HARMLESS if mode == Mode.TESTING.value else OPPORTUNISTIC, grade=Grade.WEAK)


def _world(publication: Publication, hosts: Sequence[str], revision: int = 1) -> World:
    policy = publication.policy
    return World(
        mx=tuple(MxHost(name=host, preference=10 * number) for number, host in enumerate(hosts, start=1)),
        policy=PublishedPolicy(
            mode=policy.mode,
            mx=policy.mx,
            max_age=policy.max_age,
            revision=revision,
            lines=tuple(_lines(policy)),
            last_line_end=publication.body.endswith(b"\n"),
        ),
        dns=Dns(publication.records) if publication.records else Dns(),
    )


def _lines(policy: Policy) -> Iterator[str]:
    """Yield the lines as they were given, but for one line that stands for all mx patterns that can be used."""
    filled = False
    for line in policy.lines:
        if set(values_of([line], "mx")) & set(policy.mx) and line.startswith("mx:"):
            if not filled:
                yield "mx: {mx}"
            filled = True
        else:
            yield line


def _any_host(publication: Publication, host: str) -> str:
    """Return a host to which mail goes under a policy in any case, so that a sender can learn the policy."""
    if publication.in_force != Mode.ENFORCE.value or lists(publication.policy.mx, host):
        return host
    return publication.policy.mx[0].replace("*", _ANY_HOST, 1)


def _recovery(publication: Publication, host: str) -> Step:
    return _step("recover", _world(publication, [_any_host(publication, host)]), send=False)


def _listed(now: Publication, hosts: Sequence[str]) -> bool:
    return now.in_force != Mode.ENFORCE.value or any(lists(now.policy.mx, host) for host in hosts)


def _mode(*publications: Publication) -> Mode:
    """Return the mode of a case: the strictest that is published in it; enforce where nothing usable is."""
    modes = {one.in_force for one in publications}
    return next((mode for mode in (Mode.ENFORCE, Mode.TESTING, Mode.NONE) if mode.value in modes), Mode.ENFORCE)


def _step(
    name: str, world: World, *, learns: bool = False, send: bool = True, expect: Expectation | None = None
) -> Step:
    return Step(name, world, send=send, recovers=not send, learns_policy=learns, expect=expect)


def _case(question: Question, about: str, mode: Mode, steps: tuple[Step, ...]) -> Case:
    scenario = f"what-if/{question.value}"
    return Case(f"{scenario}[{mode.value},{about}]", scenario, mode, steps, vector=about, degrades=True)
