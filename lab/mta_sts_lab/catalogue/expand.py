"""Expand a scenario file to its cases: vectors times modes, with default steps and expectations filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from mta_sts_lab.catalogue.document import AttackTable, Document, StepTable, Uses
from mta_sts_lab.catalogue.loader import Source
from mta_sts_lab.catalogue.problems import KeyPath, Problem
from mta_sts_lab.model.case import (
    PUBLISHED_POLICY,
    SIGNED_RECORDS,
    AttackForm,
    AttackUse,
    Case,
    Expectation,
    Message,
    Mode,
    Scenario,
    Step,
)
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.world import Policy, PolicyHost, World

#: The step to which the tables at the top of a file belong: `[attack]`, `[fault]` and `[expect]`.
MAIN_STEP = "attack"

#: Learn the policy without an attack, send under attack, and deliver what was held once the attack is over.
DEFAULT_STEPS = (
    StepTable("prime", learns_policy=True),
    StepTable(MAIN_STEP),
    StepTable("recover", send=False, recovers=True),
)

#: A delivery that fares worse under a testing policy than without any policy breaks this (RFC 8461, section 5).
HARMLESS = "STS-5-05"
AS_WITHOUT_POLICY = "STS-5-06"

#: What a control case judges: without a policy a message is delivered with whatever TLS there is. Another outcome makes
#: the case inconclusive, unless the record shows that the sender is to blame; the judge decides that.
OPPORTUNISTIC = "STLS-6-02"
CONTROL_CASE_NOTE = "control case: no policy asks for TLS here, so that the attack shows its effect"

#: What is broken by a report that is missing or says something else.
REPORT_UNDER_TESTING = "STS-5-04"
REPORT_UNDER_ENFORCE = "STS-6-03"
FAILURES_COUNTED = "RPT-4.2.2-01"
HEARTBEAT = "RPT-4.2.1-01"
NO_REPORT_WANTED = "RPT-3-15"

_VECTOR_NAME = re.compile(r"^[a-z0-9]+([-.][a-z0-9]+)*$")


@dataclass(slots=True)
class _Plan:
    """One vector of a scenario while it is expanded. What is wrong with it gathers in `problems`."""

    source: Source
    vector: str
    document: Document
    attacks: Mapping[str, AttackForm]
    problems: list[Problem] = field(default_factory=list)
    steps: tuple[StepTable, ...] = ()
    modes: tuple[Mode, ...] = ()

    def __post_init__(self) -> None:
        self.steps = self.document.step or DEFAULT_STEPS
        expectations = (self.document.expect, *(step.expect for step in self.steps))
        used = {mode for table in expectations for mode in table.modes()}
        self.modes = tuple(mode for mode in Mode if mode in used)

    def report(self, message: str, *at: str | int) -> None:
        self.problems.append(Problem(message, at, self.vector))


def expand(source: Source, attacks: Mapping[str, AttackForm]) -> tuple[Scenario, list[Problem]]:
    """Return a scenario with all its cases, and what is wrong with how its parts fit together."""
    vectors: list[dict[str, Any]] = source.raw.get("vector") or [{}]
    plans = [_plan(source, vector, attacks) for vector in vectors]
    problems = list(_vector_names(source))
    cases: list[Case] = []
    for plan in plans:
        _check_steps(plan)
        cases += [_case(plan, mode) for mode in plan.modes]
        problems += plan.problems
    head = plans[0].document
    scenario = Scenario(
        source.id,
        head.title,
        head.story,
        head.effect,
        head.requirements,
        _with_shared_controls(cases),
        str(source.path),
        head.kills,
    )
    return scenario, [source.place(problem) for problem in dict.fromkeys(problems)]


def _with_shared_controls(cases: list[Case]) -> tuple[Case, ...]:
    """Return the cases without the control cases that play the same as another: vectors of a policy share one."""
    controls: list[tuple[object, str]] = []
    same: dict[str, str] = {}
    for case in cases:
        if case.mode is Mode.ABSENT:
            plays = (case.degrades, [*map(_without_policy, case.steps)])
            same[case.id] = next((known for played, known in controls if played == plays), case.id)
            controls.append((plays, case.id))
    kept = (case for case in cases if same.get(case.id, case.id) == case.id)
    return tuple(replace(case, control=same.get(case.control, case.control)) for case in kept)


def _without_policy(step: Step) -> Step:
    """Return a step of a control case without what a domain publishes only if it has a policy."""
    dns = replace(step.world.dns, sts_records=(), sts_string_length=0, sts_aliases=0)
    return replace(step, world=replace(step.world, policy=Policy(), policy_host=PolicyHost(), dns=dns))


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return one table laid over another.

    Tables are merged key by key, steps by their names, and the only table of a list with the only table of another;
    everything else is replaced.
    """
    merged = dict(under)
    for key, value in over.items():
        match merged.get(key), value:
            case (list() as before, list() as steps) if key == "step":
                merged[key] = _merge_steps(before, steps)
            case (dict() as before, dict() as table) | ([dict() as before], [dict() as table]):
                both = merge(before, table)
                merged[key] = both if isinstance(value, dict) else [both]
            case _:
                merged[key] = value
    return merged


def _merge_steps(under: list[dict[str, Any]], over: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bent = {step["name"]: step for step in over}
    known = {step["name"] for step in under}
    return [merge(step, bent.get(step["name"], {})) for step in under] + [
        step for step in over if step["name"] not in known
    ]


def _plan(source: Source, vector: dict[str, Any], attacks: Mapping[str, AttackForm]) -> _Plan:
    base = {key: value for key, value in source.raw.items() if key != "vector"}
    overlay = {key: value for key, value in vector.items() if key != "name"}
    merged = merge(base, overlay)
    if source.family is not None:
        merged = merge(_defaults(source.family.raw, merged.get("expect", {})), merged)
    return _Plan(source, vector.get("name", ""), msgspec.convert(merged, Document), attacks)


def _defaults(family: dict[str, Any], expect: dict[str, Any]) -> dict[str, Any]:
    """Return a family's defaults, with expectations only for the modes that a scenario has at the top."""
    named = {mode: table for mode, table in family.get("expect", {}).items() if mode in expect}
    return {**family, "expect": named}


def _vector_names(source: Source) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, vector in enumerate(source.raw.get("vector", ())):
        name, at = vector["name"], ("vector", number, "name")
        if name in seen:
            yield Problem(f"the vector `{name}` is there twice", at)
        elif not _VECTOR_NAME.match(name):
            message = f"the vector `{name}` cannot be part of a case id: use lower-case letters, digits, - and ."
            yield Problem(message, at)
        seen.add(name)


def _check_steps(plan: _Plan) -> None:
    names = [step.name for step in plan.steps]
    for number, step in enumerate(plan.steps):
        if step.name in names[:number]:
            plan.report(f"the step `{step.name}` is there twice", "step", number, "name")
        if number == 0 and step.world == "keep":
            plan.report("the first step has no world to keep", "step", number, "world")
        if step.advance < 0:
            plan.report("a clock is only moved forward", "step", number, "advance")
    document = plan.document
    keeps = any(step.attack == "keep" for step in plan.steps)
    if MAIN_STEP not in names:
        for key, said, used in (
            ("attack", document.attack != AttackTable(), keeps),
            ("fault", bool(document.fault), False),
            ("message", document.message != Message(), False),
            ("expect", bool(document.expect.modes()), False),
        ):
            if said and not used:
                plan.report(f"[{key}] belongs to the step `{MAIN_STEP}`, and there is none", key)
    if not plan.modes:
        plan.report("no [expect.<mode>]: the scenario makes no case")


def _case(plan: _Plan, mode: Mode) -> Case:
    suffix = f",{plan.vector}" if plan.vector else ""
    has_control = mode is not Mode.ABSENT and Mode.ABSENT in plan.modes
    return Case(
        id=f"{plan.source.id}[{mode.value}{suffix}]",
        scenario=plan.source.id,
        mode=mode,
        steps=tuple(_steps(plan, mode)),
        vector=plan.vector,
        control=f"{plan.source.id}[{Mode.ABSENT.value}{suffix}]" if has_control else "",
        degrades=plan.document.degrades,
        needs=plan.document.needs,
        requirements=plan.document.requirements,
    )


def _steps(plan: _Plan, mode: Mode) -> Iterator[Step]:
    world: dict[str, Any] = {}
    for number, table in enumerate(plan.steps):
        world = _world(plan.document, table, world)
        expect = _expectation(plan.document, table, mode)
        attacks = _attacks(plan, table, ("step", number, "attack"))
        concerned = [use for use in attacks if use.needs == PUBLISHED_POLICY]
        if concerned and not any(one.has_policy for one in plan.modes):
            for use in concerned:
                plan.report(
                    f"{use.name} cannot fire: no mode of the scenario publishes a policy", "attack", use.channel
                )
        yield Step(
            name=table.name,
            world=msgspec.convert(world, World),
            attacks=tuple(use for use in attacks if _can_fire(use, mode)),
            send=table.send,
            message=_message(plan.document, table, mode),
            restart=table.restart,
            advance=table.advance,
            expect=expect,
            recovers=table.recovers,
            learns_policy=table.learns_policy and mode.has_policy,
            reports=table.reports,
        )


def _can_fire(use: AttackUse, mode: Mode) -> bool:
    """Whether a mode publishes what an attack needs."""
    if use.needs == SIGNED_RECORDS:
        return mode is not Mode.ABSENT
    return mode.has_policy or use.needs != PUBLISHED_POLICY


def _message(document: Document, step: StepTable, mode: Mode) -> Message:
    """Return what a step's message asks for; that of a control case asks for nothing, but has the same sender."""
    message = step.message or (document.message if step.name == MAIN_STEP else Message())
    if mode is Mode.ABSENT:
        same = ("null_sender", "to", "beside", "also_beside")
        return replace(Message(), **{name: getattr(message, name) for name in same})
    return message


def _world(document: Document, step: StepTable, before: dict[str, Any]) -> dict[str, Any]:
    if isinstance(step.world, str):
        return before
    world = merge(document.world, document.fault) if step.name == MAIN_STEP else document.world
    return merge(world, step.world)


def _attacks(plan: _Plan, step: StepTable, at: KeyPath) -> tuple[AttackUse, ...]:
    if isinstance(step.attack, AttackTable):
        return _uses(plan, step.attack, at)
    if step.attack == "keep" or step.name == MAIN_STEP:
        return _uses(plan, plan.document.attack, ("attack",))
    return ()


def _uses(plan: _Plan, table: AttackTable, at: KeyPath) -> tuple[AttackUse, ...]:
    channels: dict[str, Uses] = {"smtp": table.smtp, "dns": table.dns, "https": table.https}
    entries = [
        (channel, entry)
        for channel, said in channels.items()
        for entry in (said if isinstance(said, list) else [said])
        if entry is not None
    ]
    uses = (_use(plan, entry, channel, (*at, channel)) for channel, entry in entries)
    return tuple(use for use in uses if use is not None)


def _use(plan: _Plan, entry: object, channel: str, at: KeyPath) -> AttackUse | None:
    said = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        plan.report("an attack is a name, or a table with a name", *at)
        return None
    optional = said.get("optional", False)
    if not isinstance(optional, bool):
        plan.report("`optional` is true or false", *at, "optional")
        return None
    parameters = {key: value for key, value in said.items() if key not in ("name", "optional")}
    for key, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            plan.report(f"the parameter `{key}` must be a word or a number", *at, key)
            return None
    # What is wrong with an attack that there is not, or not on this channel, is said by the lint.
    form = plan.attacks.get(said["name"], AttackForm(said["name"], channel, ""))
    return replace(form.use(parameters, optional=optional), channel=channel)


def _expectation(document: Document, step: StepTable, mode: Mode) -> Expectation | None:
    table = step.expect.of(mode) or (document.expect.of(mode) if step.name == MAIN_STEP else None)
    if table is None:
        return None
    said = table if table.obligation else _with_default(document, table, mode)
    if said.obligation == HARMLESS and said.outcome == ("as-absent",):
        # One grade for mail that is kept back under testing, in every case and step.
        said = replace(said, grade=said.grade or Grade.WEAK)
    bounds = said.policy_requests
    return replace(
        said,
        policy_requests=replace(bounds, obligation=bounds.obligation or said.obligation) if bounds else None,
        report_obligation=(said.report_obligation or _owed_report(said.report, mode)) if said.report else "",
    )


def _owed_report(report: tuple[str, ...], mode: Mode) -> str:
    """Return the obligation that a missing report breaks, where a scenario names no other."""
    if report == ("none",):
        return NO_REPORT_WANTED
    if report in (("success",), ("any",)):
        return HEARTBEAT
    return {Mode.TESTING: REPORT_UNDER_TESTING, Mode.ENFORCE: REPORT_UNDER_ENFORCE}.get(mode, FAILURES_COUNTED)


def _with_default(document: Document, table: Expectation, mode: Mode) -> Expectation:
    """Return an expectation with the obligation that another outcome breaks, its grade and a note on why."""
    compared = table.outcome == ("as-absent",)
    if mode is Mode.ABSENT:
        grade, note = table.grade or Grade.INCONCLUSIVE, table.note or CONTROL_CASE_NOTE
        return replace(table, obligation=OPPORTUNISTIC, grade=grade, note=note)
    if compared and mode is Mode.TESTING:
        return replace(table, obligation=HARMLESS)
    if compared and mode is Mode.NONE:
        return replace(table, obligation=AS_WITHOUT_POLICY)
    return replace(table, obligation=next(iter(document.requirements), ""))
