"""Scenarios, their cases and steps, and what is expected of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.world import World


class Mode(StrEnum):
    """What the recipient's domain publishes: a policy (RFC 8461, section 5), or none.

    `dane` is DANE (RFC 7672) without a policy; a domain with a policy may have DANE as well, by its world. `absent` is
    neither, whatever the world says: the control case.
    """

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"
    DANE = "dane"
    ABSENT = "absent"

    @property
    def has_policy(self) -> bool:
        """Whether the domain publishes an MTA-STS policy."""
        return self in (Mode.ENFORCE, Mode.TESTING, Mode.NONE)


@dataclass(frozen=True, slots=True)
class Message:
    """What a message asks for. In an `absent` case it asks for nothing."""

    #: Whether its MAIL FROM says REQUIRETLS (RFC 8689, section 2).
    requiretls: bool = False
    #: Whether its MAIL FROM says RET=FULL: a bounce is to have the whole message (RFC 3461, section 4.3).
    return_whole: bool = False
    #: Fields of its header beside the usual ones, each a whole line, or several if it is folded.
    header: tuple[str, ...] = ()
    #: Lines at the beginning of its body.
    body: tuple[str, ...] = ()
    #: Whether it has the null reverse-path, as notices have (RFC 5321, section 4.5.5). In an `absent` case, too.
    null_sender: bool = False
    #: Where its recipient is: at the domain; at the domain in capital letters, which is the same one (RFC 4343); at
    #: `behind.<domain>`, mail for which is relayed to the domain as a smart host; or at the address of the first MX
    #: host (RFC 5321, section 4.1.3). In an `absent` case, too.
    to: Literal["", "in-capitals", "behind-smart-host", "address"] = ""
    #: How many messages to `beside.<domain>` are handed to the target just before it: a domain without a policy that
    #: has the same MX hosts. In an `absent` case, too.
    beside: int = 0
    #: Whether it has a second recipient, at that other domain.
    also_beside: bool = False


#: What an attack may need: a published policy, or records that are signed (DNSSEC).
PUBLISHED_POLICY, SIGNED_RECORDS = "policy", "signatures"


@dataclass(frozen=True, slots=True)
class AttackUse:
    """An attack that is on during a step, with its parameters. `channel` is smtp, dns or https."""

    name: str
    channel: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    #: A pass normally needs every attack to have fired; an optional one may stay unused by a correct sender.
    optional: bool = False
    #: What a domain has to publish, or nothing is attacked; see `AttackForm.needs`.
    needs: str = ""


@dataclass(frozen=True, slots=True)
class AttackForm:
    """What can be said of an attack without running it: the catalogue validates scenario files against it.

    `parameters` gives each parameter's allowed values, the default first. `needs` is what a domain has to publish for
    the attack to have an effect: PUBLISHED_POLICY, SIGNED_RECORDS, or nothing.
    """

    name: str
    channel: str
    summary: str
    parameters: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    needs: str = ""

    def use(self, parameters: Mapping[str, str | int] | None = None, *, optional: bool = False) -> AttackUse:
        """Return the attack with some of its parameters, as it is on during a step."""
        return AttackUse(self.name, self.channel, parameters or {}, optional, self.needs)


@dataclass(frozen=True, slots=True)
class PolicyRequests:
    """How many policy requests a step may see. `obligation` is broken outside the bounds."""

    obligation: str = ""
    least: int = 0
    most: int | None = None
    #: Count the requests of every step, not of this one only: a policy may be fetched in background, long after.
    whole_case: bool = False


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must happen to the message that a step sends.

    `outcome` lists what is allowed: outcome words, `delivered` for any kind of delivery, `as-absent` for "not worse
    than without a policy", `any` for "recorded, not judged". `should` narrows it: what is allowed but outside it
    has the grade `should_grade`. `obligation` is what another outcome breaks; its level says how bad that is unless
    `grade` overrides it (open ambiguities), and `note` says why.
    """

    outcome: tuple[str, ...] = ()
    obligation: str = ""
    should: tuple[str, ...] = ()
    grade: Grade | None = None
    note: str = ""
    policy_requests: PolicyRequests | None = None
    #: The result types (RFC 8460, section 4.3) of which a report about the case has to name one; or, alone, `success`
    #: (a report without failures), `any` (a report, whatever it tells) or `none` (no report at all). Empty: not judged.
    report: tuple[str, ...] = ()
    #: What a report that does not come, or tells something else, breaks.
    report_obligation: str = ""
    #: Whether no obligation asks for that report: its absence is then only noted.
    report_optional: bool = False
    #: How bad it is to do what is allowed and not advised.
    should_grade: Grade = Grade.WEAK


@dataclass(frozen=True, slots=True)
class Step:
    """A phase of a case. Changes to the target (`restart`, `advance`) happen before the message is sent."""

    name: str
    world: World
    attacks: tuple[AttackUse, ...] = ()
    send: bool = True
    #: What that message asks for.
    message: Message = field(default_factory=Message)
    #: The signal by which the target is ended before it is started again: "TERM" or "KILL"; empty: no restart.
    restart: str = ""
    #: Seconds that the target's clock is moved forward.
    advance: int = 0
    #: What must become of the step's own message; in a step that sends none, of the one that was sent last.
    expect: Expectation | None = None
    #: Whether messages that an earlier step left in the queue must have arrived when the step ends.
    recovers: bool = False
    #: Whether the runner waits, after the delivery, until the policy has been fetched too (it may come in background).
    learns_policy: bool = False
    #: Whether the target is asked for its TLS-RPT reports at the end of the step, with its world and attacks in force.
    reports: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario under one mode and one vector. `id` is `family/name[mode]` or `family/name[mode,vector]`."""

    id: str
    scenario: str
    mode: Mode
    steps: tuple[Step, ...]
    vector: str = ""
    #: The id of the case that plays the same without a policy; empty for the control case itself.
    control: str = ""
    #: Whether the attack must worsen the delivery without a policy; otherwise the attacker is broken.
    degrades: bool = True
    #: The capabilities that a target must claim for the case to be about it at all.
    needs: tuple[str, ...] = ()
    #: The obligations that its scenario is about.
    requirements: tuple[str, ...] = ()

    @property
    def asks_for_reports(self) -> bool:
        """Whether a step asks for reports itself."""
        return any(step.reports for step in self.steps)

    @property
    def judges_reports(self) -> bool:
        """Whether a step expects something of a report."""
        return any(step.expect is not None and step.expect.report for step in self.steps)

    @property
    def is_about_reports(self) -> bool:
        """Whether reports are wanted in the case at all: something is expected of them, or they are asked for."""
        return self.judges_reports or self.asks_for_reports

    @property
    def has_dane(self) -> bool:
        """Whether the domain has DANE in some step."""
        return self.mode is not Mode.ABSENT and any(step.world.dns.security == "secure" for step in self.steps)

    @property
    def shows_the_clock(self) -> bool:
        """Whether mail is held by a policy, and has to leave under the same attack when the clock has outlived that."""
        held = False
        for step in self.steps if self.mode is Mode.ENFORCE and not self.needs else ():
            wanted = step.expect.outcome if step.expect and step.attacks else ()
            if held and wanted == ("delivered",) and step.advance > step.world.policy.max_age:
                return True
            held = held or wanted == ("deferred",)
        return False

    @property
    def changes_target(self) -> bool:
        """Whether a step restarts the target or moves its clock, which every other case would feel."""
        return any(step.restart or step.advance for step in self.steps)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story, its reasons, and the cases that it expands to.

    `kills` names the flaws of a sender that the scenario must find, each for the flaw's own obligation.
    """

    id: str
    title: str
    story: str
    effect: str
    requirements: tuple[str, ...]
    cases: tuple[Case, ...]
    path: str = ""
    kills: tuple[str, ...] = ()
