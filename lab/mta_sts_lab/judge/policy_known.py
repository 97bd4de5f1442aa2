"""Which policy of the domain the target had when it decided about a step's message, and why it had none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from mta_sts_lab.events import ConnectionAccepted, PolicyRequested
from mta_sts_lab.judge.message_facts import MessageFacts
from mta_sts_lab.judge.policies_in_force import Fetched, announced, fetched_policies
from mta_sts_lab.judge.policy_lookups import still_lasts
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY
from mta_sts_lab.rfc.policy import Policy


class PolicyState(StrEnum):
    """What the target knew of the domain's policy."""

    #: The domain publishes none.
    NOT_PUBLISHED = "not-published"
    #: It was fetched, is usable and lasts; its mode says what it asks for.
    IN_FORCE = "in-force"
    #: It was fetched, and its max_age has passed, or a restart has taken it from a target without a lasting cache.
    ENDED = "ended"
    #: The policy record in DNS is not one, or there was none when the target asked.
    NO_RECORD = "no-record"
    #: The policy host showed a certificate that proves nothing, or sent the target elsewhere.
    NOT_TRUSTED = "not-trusted"
    #: It was not served as text/plain.
    NOT_TEXT = "not-text"
    #: What was fetched is no valid policy.
    NOT_VALID = "not-valid"
    #: The target set out for the policy and did not get it.
    NOT_OBTAINED = "not-obtained"
    #: The target never looked for it.
    NEVER_SOUGHT = "never-sought"


@dataclass(frozen=True, slots=True)
class PolicyKnown:
    """The policy that the target had for a message; `policy` is None in every state but `IN_FORCE`."""

    state: PolicyState
    policy: Policy | None = None
    #: Whether the domain had DANE (RFC 7672) when the message was sent.
    dane: bool = False

    @property
    def protected(self) -> bool:
        """Whether anything forbids to deliver without authenticated TLS."""
        return self.enforced or self.dane

    @property
    def enforced(self) -> bool:
        """Whether it forbids to deliver without authenticated TLS to a listed host."""
        return self.policy is not None and self.policy.mode == Mode.ENFORCE


def policy_known(view: CaseView, message: MessageFacts) -> PolicyKnown:
    """Return which policy the target had when it last decided about a message."""
    known = _known(view, message)
    steps = [step for step in view.case.steps if (found := view.message(step)) and found.token == message.token]
    dane = view.case.mode is not Mode.ABSENT and any(step.world.dns.security == "secure" for step in steps)
    return replace(known, dane=dane)


def _known(view: CaseView, message: MessageFacts) -> PolicyKnown:
    if not view.case.mode.has_policy:
        return PolicyKnown(PolicyState.NOT_PUBLISHED)
    at = _decided(view, message)
    forgets = view.about.policy_cache != "persistent"
    fetched = fetched_policies(view.case, view.facts, at)
    if fetched and fetched[-1].policy.valid and not _served_as_text(view, fetched[-1].at):
        return PolicyKnown(PolicyState.NOT_TEXT)
    usable = [one for one in fetched if one.acceptable and one.policy.valid]
    lasting = [one for one in usable if still_lasts(one.at, one.policy.max_age, at, view.of_run, forgets=forgets)]
    if usable and usable[-1] in lasting:
        return PolicyKnown(PolicyState.IN_FORCE, usable[-1].policy)
    return PolicyKnown(PolicyState.ENDED if usable else _why_none(view, fetched, at))


def _served_as_text(view: CaseView, at: float) -> bool:
    """Whether the policy that was fetched then had the media type that RFC 8461, section 3.3, asks for."""
    step = next(event.step for event, _ in view.facts.of_kind(PolicyRequested) if event.at == at)
    served = next(one.world.policy_host.content_type for one in view.case.steps if one.name == step)
    return served.partition(";")[0].strip().lower() == "text/plain"


def _decided(view: CaseView, message: MessageFacts) -> float:
    """Return when the target had decided: it handed the first copy over, or things stand as they do."""
    copies = [copy for _, copy in message.copies()]
    if not copies:
        return message.until
    session = copies[0].via or copies[0].session
    opened = [event.at for event, fact in view.facts.of_kind(ConnectionAccepted) if fact.session == session]
    accepted = [event.at for event, _ in message.copies()]
    return max(accepted[0], *opened) if opened else accepted[0]


def _why_none(view: CaseView, fetched: list[Fetched], at: float) -> PolicyState:
    if not [event for event in view.facts.policy_asked() if event.at <= at]:
        return PolicyState.NEVER_SOUGHT
    record = announced(view.facts, at)
    if record is None or not record.valid:
        return PolicyState.NO_RECORD
    if any(not one.from_its_host for one in fetched) or _refused_the_host(view, at):
        return PolicyState.NOT_TRUSTED
    if fetched:
        return PolicyState.NOT_VALID
    redirected = [fact for event, fact in view.facts.of_kind(PolicyRequested) if 300 <= fact.status < 400]
    return PolicyState.NOT_TRUSTED if redirected else PolicyState.NOT_OBTAINED


def _refused_the_host(view: CaseView, at: float) -> bool:
    """Whether TLS with the policy host broke off over a certificate that proves nothing."""
    for event in view.facts.policy_host_reached():
        session = view.facts.session(getattr(event.fact, "session", ""))
        if event.at <= at and session.failed and session.failed.certificate not in ("", *CERTIFICATES_THAT_VERIFY):
            return True
    return False
