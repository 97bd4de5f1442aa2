"""Which policies the target had fetched, and which of them may have been in force for a session.

A sender decides before it connects, and a fetch may run beside a delivery. So what counts for a session is what was in
force when its step began, and everything that was fetched since; a session has to please one of these only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from mta_sts_lab.events import (
    ConnectionAccepted,
    DnsAnswered,
    Event,
    MessageInjected,
    PolicyRequested,
    SmtpSaid,
    StepBegan,
    StepEnded,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.policy_lookups import still_lasts
from mta_sts_lab.judge.protection import NO_PROTECTION, Protection, enforced
from mta_sts_lab.model.case import Case, Message, Mode, Step
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY, Dns, PolicyHost, World
from mta_sts_lab.rfc.dane_demands import DaneDemand, dane_demands
from mta_sts_lab.rfc.domain_names import canonical, policy_record_name
from mta_sts_lab.rfc.policy import Policy, read_policy
from mta_sts_lab.rfc.published import served_policy
from mta_sts_lab.rfc.require_tls import RequiretlsDemand, goes_without_tls, requiretls_demand
from mta_sts_lab.rfc.txt_records import StsRecord, sts_record


@dataclass(frozen=True, slots=True)
class Fetched:
    """A policy text that the target has fetched, and when.

    `plainly` says that nothing about its record, its host or the way to it gave a reason to refuse it; `acceptable`,
    that no MUST of RFC 8461 forbids to use it.
    """

    at: float
    policy: Policy
    plainly: bool
    acceptable: bool
    #: As `acceptable`, whatever the record was.
    from_its_host: bool

    @property
    def protection(self) -> Protection:
        """What it demands."""
        return protection_of(self.policy)


def protection_of(policy: Policy) -> Protection:
    """Return what a valid policy demands."""
    return enforced(policy.mx) if policy.mode == Mode.ENFORCE.value else NO_PROTECTION


def served_texts(case: Case, domain: str) -> dict[str, Policy]:
    """Return the policy that each step of a case serves."""
    return {step.name: _served_text(step.world, case.mode.value, domain) for step in case.steps}


#: The checks ask for the same texts again and again: those of one case are a dozen at most.
@lru_cache(maxsize=16)
def _served_text(world: World, mode: str, domain: str) -> Policy:
    return read_policy(served_policy(world, mode, domain))


def fetched_policies(case: Case, facts: CaseFacts, until: float) -> list[Fetched]:
    """Return the policy texts that the target had fetched by then, in order."""
    steps, served = {step.name: step for step in case.steps}, served_texts(case, facts.domain)
    found: list[Fetched] = []
    for event, fact in facts.of_kind(PolicyRequested):
        step = steps.get(event.step)
        if step is None or fact.status != 200 or event.at >= until or not case.mode.has_policy:
            continue
        session = facts.session(fact.session)
        handshake = session.established or session.failed
        record = announced(facts, event.at)
        trusted = handshake is None or handshake.certificate in ("", *CERTIFICATES_THAT_VERIFY)
        from_its_host = trusted and not fact.redirected
        acceptable = from_its_host and (record is None or record.valid)
        tampered = any(attack.channel == "https" for attack in step.attacks)
        plainly = acceptable and step.world.policy_host == PolicyHost() and not tampered
        found.append(Fetched(event.at, served[step.name], plainly, acceptable, from_its_host))
    return found


def plainly_published(step: Step, served: Policy) -> bool:
    """Whether nothing in a step gave a reason to refuse the policy served in it, or kept it from the target."""
    world = step.world
    hindered = world.policy_host != PolicyHost() or any(use.channel != "smtp" for use in step.attacks)
    # Who looks where an alias leads to has sought no less (docs/ambiguities.md#alias-of-the-domain).
    hindered = hindered or world.dns.sts_name != Dns().sts_name or bool(world.dns.alias_of)
    record = sts_record([text.replace("{id}", "1").encode() for text in world.dns.sts_records])
    return not hindered and record.valid and served.valid


def announced(facts: CaseFacts, before: float) -> StsRecord | None:
    """Return the policy record that the target last got an answer with; None if it had asked for none by then."""
    answers = [records for event, records in record_answers(facts) if event.at <= before]
    return sts_record(answers[-1]) if answers else None


def record_answers(facts: CaseFacts, step: str | None = None) -> list[tuple[Event, tuple[bytes, ...]]]:
    """Return what the target was answered when it asked for the policy record: all TXT records of the name."""
    name = policy_record_name(facts.domain)
    return [
        (event, tuple(text.encode("utf-8", "surrogateescape") for text in fact.answers))
        for event, fact in facts.of_kind(DnsAnswered, step)
        if fact.type == "TXT" and canonical(fact.name) == name
    ]


class PoliciesInForce:
    """The policies of one case; `of_run` has the restarts of the target and the moves of its clock."""

    def __init__(self, case: Case, facts: CaseFacts, of_run: CaseFacts) -> None:
        self._case, self._facts, self._of_run = case, facts, of_run
        self._fetched: list[Fetched] | None = None

    def for_session(self, session: str) -> tuple[Protection, ...]:
        """Return the protections one of which was in force for a session with a receiving host.

        Sendmail looks for the policy between the handshake and MAIL, and again before RCPT, so what is fetched until
        the message itself is sent counts as well.
        """
        accepted = self._facts.of_kind(ConnectionAccepted)
        began = next((event.at for event, fact in accepted if fact.session == session), None)
        if began is None or self._case.mode is Mode.ABSENT:
            return (NO_PROTECTION,)
        if session in self._facts.carried_other_mail():
            return (NO_PROTECTION,)
        asks = self._asks(session)
        # An address has no policy (RFC 8461, section 3.4). A message that waives TLS does so for itself alone, and no
        # other one may go along (RFC 8689, section 4.2.2).
        if asks and all(goes_without_tls(one) or one.to == "address" for one in asks):
            return (NO_PROTECTION,)
        step_began = max((event.at for event, _ in self._facts.of_kind(StepBegan) if event.at <= began), default=0.0)
        policies = self._between(step_began, self._last_said(session, began))
        demands = self._dane_between(step_began, began)
        required = self._required(step_began) if any(one.requiretls for one in asks) else None
        return tuple(
            dict.fromkeys(replace(one, dane=dane, requiretls=required) for one in policies for dane in demands)
        )

    def _asks(self, session: str) -> list[Message]:
        """Return what the messages asked for whose envelopes were said in a session of the target's."""
        asks = {step.name: step.message for step in self._case.steps}
        sent = {
            fact.token: asks[event.step] for event, fact in self._facts.of_kind(MessageInjected) if event.step in asks
        }
        return [sent[token] for token in self._facts.tokens_said(session) if token in sent]

    def _required(self, step_began: float) -> RequiretlsDemand:
        """Return what REQUIRETLS demands of hosts in a step. A policy of any step may vouch for their names."""
        worlds = {step.name: step.world for step in self._case.steps}
        begun = [event.step for event, _ in self._facts.of_kind(StepBegan) if event.at <= step_began]
        world = worlds.get(begun[-1] if begun else "", self._case.steps[0].world)
        served = served_texts(self._case, self._facts.domain).values() if self._case.mode.has_policy else ()
        vouching = [one for one in served if one.valid and one.mode in (Mode.ENFORCE.value, Mode.TESTING.value)]
        patterns = tuple(pattern for one in vouching for pattern in one.mx) if vouching else None
        return requiretls_demand(world, self._case.mode, self._facts.domain, patterns)

    def _dane_between(self, since: float, until: float) -> list[tuple[DaneDemand, ...]]:
        """Return what the domain's DANE demanded of a session that began in a step, at the end of this time.

        Who had not looked up the MX record again since the step began may have gone by the records of the step before.
        """
        begun = [event.step for event, _ in self._facts.of_kind(StepBegan) if event.at <= since]
        looked = self._facts.queries("MX", since, until)
        worlds = {step.name: step.world for step in self._case.steps}
        counting = begun[-1:] if looked else begun[-2:]
        return [dane_demands(worlds[name], self._facts.domain) for name in counting if name in worlds] or [()]

    def _last_said(self, session: str, began: float) -> float:
        """Return when the target last said DATA in a session, else MAIL, or when the session began."""
        said = [
            event.at
            for event, fact in self._facts.of_kind(SmtpSaid)
            if fact.session == session and fact.speaker == "sender" and fact.line.upper().startswith(("MAIL", "DATA"))
        ]
        return said[-1] if said else began

    def _between(self, since: float, until: float) -> list[Protection]:
        if not self._case.mode.has_policy:
            return [NO_PROTECTION]
        if self._fetched is None:
            self._fetched = fetched_policies(self._case, self._facts, float("inf"))
        usable = [one for one in self._fetched if one.at < until and one.acceptable and one.policy.valid]
        found: list[Protection] = []
        for one in reversed(usable):
            if one.at < since and not self.lasts(one, until):
                break
            found.append(one.protection)
            if one.plainly and one.at < since:
                return found
        return [*found, *self._never_sought(since, until)]

    def _never_sought(self, since: float, until: float) -> list[Protection]:
        """Return what the domain had published, and what it publishes now, if the target never reached out for it.

        Who set out for the policy and did not get it is excused: that may be the lab's doing, or the machine's.
        """
        earlier = {event.step: event.at for event, _ in self._facts.of_kind(StepEnded) if event.at <= since}
        steps = [step for step in self._case.steps if step.name in earlier and step.send]
        if not steps or any(event.at < until for event in self._facts.set_out_for_the_policy()):
            return [NO_PROTECTION]
        last, served = steps[-1], served_texts(self._case, self._facts.domain)
        before, began = served[last.name], earlier[last.name]
        if not plainly_published(last, before) or not still_lasts(began, before.max_age, until, self._of_run):
            return [NO_PROTECTION]
        begun = {event.step for event, _ in self._facts.of_kind(StepBegan) if began < event.at <= until}
        now = [served[step.name] for step in self._case.steps if step.name in begun and served[step.name].valid]
        return [protection_of(policy) for policy in (before, *now)]

    def lasts(self, fetched: Fetched, until: float) -> bool:
        """Whether a policy's max_age had not passed by then, and the target was not restarted since its fetch."""
        return still_lasts(fetched.at, fetched.policy.max_age, until, self._of_run)
