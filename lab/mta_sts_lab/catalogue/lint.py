"""Refuse scenarios that prove nothing: expectations that cannot fail, attacks that cannot fire, unknown words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from mta_sts_lab.catalogue.expand import MAIN_STEP
from mta_sts_lab.catalogue.problems import KeyPath, Problem, unknown
from mta_sts_lab.model.case import AttackForm, AttackUse, Case, Expectation, Mode, Scenario, Step
from mta_sts_lab.model.grading import Grade, Outcome, Requirement
from mta_sts_lab.model.target import CAPABILITIES, IPV6
from mta_sts_lab.model.world import CERTIFICATE_VARIANTS, REPORT_PLACES, SECURITY_STATES, TLSA_SUBJECTS, Family
from mta_sts_lab.rfc.result_types import RESULT_TYPES

#: Every attack on SMTP can be confined to one MX host, named as in `[[world.mx]]`.
HOST = "host"

#: The same for the address of one family.
FAMILY = "family"

#: What an expectation can say beside the outcomes themselves.
_DELIVERED, _AS_ABSENT, _ANY = "delivered", "as-absent", "any"
_OUTCOMES = tuple(outcome.value for outcome in Outcome if outcome is not Outcome.UNSETTLED)
_WORDS = (*_OUTCOMES, _DELIVERED, _AS_ABSENT, _ANY)
_DELIVERED_OR_HELD = {outcome.value for outcome in Outcome if outcome.delivered or outcome is Outcome.DEFERRED}

#: What an expectation can say of a report instead of result types.
_REPORT_WORDS = ("success", "any", "none")

#: What a scenario can ask a target to claim.
_CAPABILITIES = (*CAPABILITIES, IPV6)

#: Replies of the lab's mailbox, and what the report host can answer; a status of 0 is a stall.
_MAIL_REPLIES = (250, 451, 550)
_STATUSES = range(200, 600)

#: Octets of a character-string (RFC 1035, section 3.3).
_LONGEST_STRING = 255

#: What one octet can hold.
_HIGHEST_OCTET = 255

_IN_BRACES = re.compile(r"\{(\w*)\}")

_POLICY_MODES = ("", Mode.ENFORCE.value, Mode.TESTING.value, Mode.NONE.value)


def lint(
    scenario: Scenario,
    attacks: Mapping[str, AttackForm],
    requirements: Mapping[str, Requirement],
    flaws: Collection[str],
) -> list[Problem]:
    """Return everything that keeps a scenario from proving something, each once."""
    found = [
        *_texts(scenario),
        *_names("requirements", "requirement", scenario.requirements, requirements),
        *_names("kills", "flaw", scenario.kills, flaws),
        *_control_case(scenario),
        *_reports_expected(scenario),
    ]
    # A message that was sent before meets the attacks of these, in the modes in which it is still held.
    watched = {step.name for case in scenario.cases for step in case.steps if step.expect}
    for case in scenario.cases:
        problems = [*_families(case), *_reports_asked(case)]
        for step in case.steps:
            problems += _world(step)
            problems += _report_places(step)
            problems += _uses(step, attacks, watched=step.name in watched)
            problems += _expectation(scenario, case, step, requirements)
        found += [replace(problem, vector=case.vector) for problem in problems]
    return list(dict.fromkeys(found))


def _texts(scenario: Scenario) -> Iterator[Problem]:
    for key, text in (("title", scenario.title), ("story", scenario.story), ("effect", scenario.effect)):
        if not text.strip():
            yield Problem(f"`{key}` is empty", (key,))


def _names(key: str, what: str, names: tuple[str, ...], legal: Collection[str]) -> Iterator[Problem]:
    if not names:
        yield Problem(f"`{key}` is empty: a scenario names at least one {what}", (key,))
    for name, times in Counter(names).items():
        if times > 1:
            yield Problem(f"the {what} {name} is listed twice", (key,))
        if name not in legal:
            yield Problem(unknown(what, name, legal), (key,))


def _control_case(scenario: Scenario) -> Iterator[Problem]:
    cases = {case.id: case for case in scenario.cases}
    for case in scenario.cases:
        control = cases.get(case.control)
        if control and case.degrades and _misses_its_attack(case, control):
            message = "without a policy nothing is attacked, so nothing can get worse: say `degrades = false`"
            yield Problem(message, ("attack",), case.vector)
    uncontrolled = [case for case in scenario.cases if case.mode is not Mode.ABSENT and not case.control]
    for case in uncontrolled:
        steps = case.steps
        if any(step.attacks for step in steps):
            yield Problem("an attack without a control case: [expect.absent] is missing", ("expect",), case.vector)
        elif any(step.expect and _AS_ABSENT in step.expect.outcome for step in steps):
            yield Problem("nothing to compare `as-absent` with: [expect.absent] is missing", ("expect",), case.vector)


def _misses_its_attack(case: Case, control: Case) -> bool:
    pairs = zip(case.steps, control.steps, strict=True)
    return any(step.expect and step.attacks and not other.attacks for step, other in pairs)


def _world(step: Step) -> Iterator[Problem]:
    table = "fault" if step.name == MAIN_STEP else "world"
    world = step.world
    if not world.mx:
        yield Problem("a domain without MX hosts: nothing can be delivered", (table, "mx"))
    for name, times in Counter(host.name for host in world.mx).items():
        if times > 1:
            yield Problem(f"the MX host `{name}` is there twice", (table, "mx"))
    shown = [((table, "mx", number, "certificate"), host.certificate) for number, host in enumerate(world.mx)]
    for at, variant in (*shown, ((table, "policy_host", "certificate"), world.policy_host.certificate)):
        if variant not in CERTIFICATE_VARIANTS:
            yield Problem(unknown("certificate variant", variant, CERTIFICATE_VARIANTS), at)
    yield from _security(step, table)
    if world.policy.mode not in _POLICY_MODES:
        yield Problem(unknown("mode", world.policy.mode, _POLICY_MODES[1:]), (table, "policy", "mode"))


def _security(step: Step, table: str) -> Iterator[Problem]:
    """Yield what is wrong with the security of a world's answers, and with its TLSA records."""
    world = step.world
    named: list[tuple[KeyPath, str]] = [(("dns", "mx_security"), world.dns.mx_security)]
    for number, host in enumerate(world.mx):
        named += [
            (("mx", number, "address_security"), host.address_security),
            (("mx", number, "tlsa_security"), host.tlsa_security),
            (("mx", number, "alias_security"), host.alias_security),
        ]
        if not host.alias_of and (host.alias_security or host.alias_through or host.tlsa_below != "alias"):
            message = f"the host `{host.name}` is no alias: say of which name it is one (`alias_of`)"
            yield Problem(message, (table, "mx", number))
        if host.tlsa_below == "between" and not host.alias_through:
            message = f"no name is between `{host.name}` and `{host.alias_of}`: say which (`alias_through`)"
            yield Problem(message, (table, "mx", number))
        records = [("tlsa", *one) for one in enumerate(host.tlsa)]
        records += [("tlsa_of_alias", *one) for one in enumerate(host.tlsa_of_alias)]
        for key, place, record in records:
            at: KeyPath = (table, "mx", number, key, place)
            if record.of not in TLSA_SUBJECTS:
                yield Problem(unknown("subject of a TLSA record", record.of, TLSA_SUBJECTS), (*at, "of"))
            if not all(0 <= value <= _HIGHEST_OCTET for value in (record.usage, record.selector, record.matching)):
                yield Problem("the parameters of a TLSA record are numbers from 0 to 255", at)
            if record.cut < 0:
                yield Problem("`cut` is how many octets are missing", (*at, "cut"))
    for path, state in ((("dns", "security"), world.dns.security), *((path, state) for path, state in named if state)):
        if state not in SECURITY_STATES:
            yield Problem(unknown("security state", state, SECURITY_STATES), (table, *path))


def _uses(step: Step, attacks: Mapping[str, AttackForm], *, watched: bool) -> Iterator[Problem]:
    for use in step.attacks:
        at: KeyPath = ("attack", use.channel)
        form = attacks.get(use.name)
        if form is None or form.channel != use.channel:
            known = [form.name for form in attacks.values() if form.channel == use.channel]
            yield Problem(unknown(f"{use.channel} attack", use.name, known), (*at, "name"))
        else:
            yield from _parameters(use, form, step, at)
        if not (step.send or step.recovers or step.reports or watched):
            yield Problem(f"{use.name} cannot fire: nothing is sent in the step `{step.name}`", at)


def _parameters(use: AttackUse, form: AttackForm, step: Step, at: KeyPath) -> Iterator[Problem]:
    hosts = [host.name for host in step.world.mx]
    for name, value in use.parameters.items():
        if name == HOST and use.channel == "smtp":
            if value not in hosts:
                yield Problem(f"{use.name} cannot fire: {unknown('MX host', str(value), hosts)}", (*at, HOST))
        elif name == FAMILY and use.channel == "smtp":
            if value not in list(Family):
                yield Problem(unknown("family:", str(value), list(Family)), (*at, FAMILY))
        elif name not in form.parameters:
            legal = (*form.parameters, HOST, FAMILY) if use.channel == "smtp" else tuple(form.parameters)
            yield Problem(unknown(f"parameter of {use.name}:", name, legal), (*at, name))
        elif value not in form.parameters[name]:
            values = [str(legal) for legal in form.parameters[name]]
            yield Problem(unknown(f"value of `{name}` of {use.name}:", str(value), values), (*at, name))


def _expectation(
    scenario: Scenario, case: Case, step: Step, requirements: Mapping[str, Requirement]
) -> Iterator[Problem]:
    expect = step.expect
    if expect is None:
        return
    at: KeyPath = ("expect", case.mode.value)
    steps = case.steps
    if not any(one.send for one in steps[: steps.index(step) + 1]):
        yield Problem(f"nothing to expect: no message is sent in the step `{step.name}`, or before it", at)
    if not step.send and (expect.report or expect.policy_requests):
        yield Problem(f"the step `{step.name}` sends no message: only an outcome can be expected", at)
    for key, said in (("outcome", expect.outcome), ("should", expect.should)):
        for word in said:
            if word not in _WORDS:
                yield Problem(unknown("outcome", word, _WORDS), (*at, key))
    yield from _report_words(expect, (*at, "report"))
    yield from _can_fail(expect, case, at)
    yield from _obligations(scenario, case, expect, requirements, at)


def _can_fail(expect: Expectation, case: Case, at: KeyPath) -> Iterator[Problem]:
    judged_otherwise = expect.policy_requests is not None or expect.report
    admitted = _admitted(expect.outcome)
    if not expect.outcome:
        yield Problem("an expectation without an outcome", at)
    elif _ANY in expect.outcome and not judged_otherwise:
        yield Problem("this expectation cannot fail: `any` outcome is right", (*at, "outcome"))
    elif admitted >= _DELIVERED_OR_HELD | {Outcome.BOUNCED.value} and _ANY not in expect.outcome:
        yield Problem("this expectation cannot fail: every outcome is right", (*at, "outcome"))
    elif _AS_ABSENT in expect.outcome and case.mode is Mode.ABSENT:
        yield Problem("this expectation cannot fail: the control case is compared with itself", (*at, "outcome"))
    elif _says_nothing(expect, case):
        yield Problem("delivered or held, it is all the same: only the control case may say so", (*at, "outcome"))
    if expect.should and not _admitted(expect.should) < _admitted(expect.outcome):
        yield Problem("`should` must narrow `outcome`: name a part of what is allowed", (*at, "should"))
    if expect.should_grade not in (Grade.WEAK, Grade.INFO) or (expect.should_grade is Grade.INFO and not expect.should):
        yield Problem("`should_grade` is `weak` or `info`, and goes with `should`", (*at, "should_grade"))
    bounds = expect.policy_requests
    if bounds and bounds.most is None and bounds.least == 0:
        yield Problem("these bounds cannot fail: any number of requests is right", (*at, "policy_requests"))
    if bounds and bounds.most is not None and bounds.most < bounds.least:
        yield Problem("these bounds cannot be met: `most` is less than `least`", (*at, "policy_requests"))


def _says_nothing(expect: Expectation, case: Case) -> bool:
    admits_both = _admitted(expect.outcome) >= _DELIVERED_OR_HELD and not {_AS_ABSENT, _ANY} & set(expect.outcome)
    narrowed = expect.should or expect.policy_requests or expect.report
    return admits_both and not narrowed and case.mode is not Mode.ABSENT


def _admitted(said: tuple[str, ...]) -> set[str]:
    """Return the outcomes that an expectation admits; `as-absent` may admit any delivery, and waiting."""
    admitted = set(said)
    if {_DELIVERED, _AS_ABSENT} & admitted:
        admitted |= _DELIVERED_OR_HELD - {Outcome.DEFERRED.value}
    if _AS_ABSENT in admitted:
        admitted.add(Outcome.DEFERRED.value)
    if _ANY in admitted:
        admitted |= set(_OUTCOMES)
    return admitted - {_DELIVERED, _AS_ABSENT, _ANY}


def _obligations(
    scenario: Scenario, case: Case, expect: Expectation, requirements: Mapping[str, Requirement], at: KeyPath
) -> Iterator[Problem]:
    named = [(expect.obligation, (*at, "obligation"))]
    if expect.policy_requests:
        named.append((expect.policy_requests.obligation, (*at, "policy_requests", "obligation")))
    if expect.report_obligation:
        named.append((expect.report_obligation, (*at, "report_obligation")))
    for obligation, place in named:
        if obligation not in requirements:
            yield Problem(unknown("requirement", obligation, requirements), place)
        elif case.mode is not Mode.ABSENT and obligation not in scenario.requirements:
            where = f"mode {case.mode.value} of {scenario.id}"
            yield Problem(f"{obligation} is judged in {where} but not among `requirements`", place)
    held = not set(expect.outcome) <= {_DELIVERED, _AS_ABSENT}
    requirement = requirements.get(expect.obligation)
    if case.mode is Mode.ENFORCE and held and requirement is not None and requirement.binds == "reporter":
        yield Problem(f"{expect.obligation} does not bind the sender: it cannot forbid a delivery", (*at, "obligation"))


def _report_places(step: Step) -> Iterator[Problem]:
    """Yield what is wrong with where a step's world wants its reports, and how it answers them."""
    reports, at = step.world.reports, ("fault" if step.name == MAIN_STEP else "world", "reports")
    for key, records in (("records", reports.records), ("at_mx", reports.at_mx)):
        for number, record in enumerate(records):
            for word in _IN_BRACES.findall(record):
                if word not in REPORT_PLACES:
                    yield Problem(unknown("place for reports", word, REPORT_PLACES), (*at, key, number))
    if reports.certificate not in CERTIFICATE_VARIANTS:
        yield Problem(unknown("certificate variant", reports.certificate, CERTIFICATE_VARIANTS), (*at, "certificate"))
    if reports.status and reports.status not in _STATUSES:
        yield Problem(f"`status` is an HTTP status, or 0 for no answer, not {reports.status}", (*at, "status"))
    if reports.location and not (reports.location.startswith("/") and 300 <= reports.status < 400):
        yield Problem("`location` is a path, and needs a `status` that points to it: 3xx", (*at, "location"))
    if reports.mail_reply not in _MAIL_REPLIES:
        legal = ", ".join(map(str, _MAIL_REPLIES))
        yield Problem(f"`mail_reply` is one of {legal}, not {reports.mail_reply}", (*at, "mail_reply"))
    if not 0 <= reports.string_length <= _LONGEST_STRING:
        message = f"`string_length` is at most {_LONGEST_STRING} octets; 0 leaves it to the lab"
        yield Problem(message, (*at, "string_length"))


def _reports_asked(case: Case) -> Iterator[Problem]:
    """Yield whether a report is judged that nobody asks for: once, behind all ordinary cases, or by a step."""
    for capability in case.needs:
        if capability not in _CAPABILITIES:
            yield Problem(unknown("capability", capability, _CAPABILITIES), ("needs",))
    awaited = [number for number, step in enumerate(case.steps) if step.expect and step.expect.report]
    asked = [number for number, step in enumerate(case.steps) if step.reports]
    if awaited and not asked and case.changes_target:
        message = "nobody asks for the report: a case that changes the target needs a step with `reports = true`"
        yield Problem(message, ("expect", case.mode.value, "report"))
    if awaited and asked and max(asked) < max(awaited):
        message = "the report is asked for before the step that it has to tell of"
        yield Problem(message, ("step", asked[-1], "reports"))


def _families(case: Case) -> Iterator[Problem]:
    """Yield what is only said of hosts that have addresses in both families, in a case that does not ask for them."""
    if IPV6 in case.needs:
        return
    for step in case.steps:
        uses_one = any(FAMILY in use.parameters for use in step.attacks)
        has_dead = step.world.policy_host.dead_over or any(mx.dead_over for mx in step.world.mx)
        if uses_one or has_dead:
            message = f'one family is dead or attacked, and hosts may have one address alone: say `needs = "{IPV6}"`'
            yield Problem(message, ("needs",), case.vector)
            return


def _reports_expected(scenario: Scenario) -> Iterator[Problem]:
    """Yield whether reports are asked for in vain: no mode expects anything of them."""
    by_vector: dict[str, list[Case]] = {}
    for case in scenario.cases:
        by_vector.setdefault(case.vector, []).append(case)
    for vector, cases in by_vector.items():
        asked = [number for number, step in enumerate(cases[0].steps) if step.reports]
        if asked and not any(case.judges_reports for case in cases):
            message = "reports are asked for and nothing is expected of them"
            yield Problem(message, ("step", asked[0], "reports"), vector)


def _report_words(expect: Expectation, at: KeyPath) -> Iterator[Problem]:
    """Yield what cannot be meant by what an expectation says of a report."""
    for word in expect.report:
        if word not in RESULT_TYPES and word not in _REPORT_WORDS:
            yield Problem(unknown("result type", word, (*RESULT_TYPES, *_REPORT_WORDS)), at)
        elif word in _REPORT_WORDS and len(expect.report) > 1:
            yield Problem(f"`{word}` stands alone: a report cannot be that and something else", at)
    if expect.report_optional and (not expect.report or "none" in expect.report):
        yield Problem("`report_optional` is about a report that would be right", (*at[:-1], "report_optional"))
