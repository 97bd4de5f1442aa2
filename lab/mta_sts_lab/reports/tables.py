"""What there is: scenarios, one case in detail, obligations and how they are covered, targets. For 80 columns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mta_sts_lab.model.case import AttackUse, Case, Expectation, Scenario, Step
from mta_sts_lab.model.grading import Requirement
from mta_sts_lab.model.world import Tlsa, World
from mta_sts_lab.reports.escaping import shortened
from mta_sts_lab.reports.glossary import COVERAGE, LEVELS, STEPS, level_phrase, levels_explained
from mta_sts_lab.reports.layout import Hanging, escaped, explained, labelled, paragraph, paragraphs, story
from mta_sts_lab.reports.narration import demanded


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """A target that can be tested, as `sts-lab targets` lists it. `where` is in process, docker, or an address.

    `capabilities` are empty where only the running target can say them.
    """

    name: str
    where: str
    summary: str = ""
    capabilities: tuple[str, ...] = ()


def scenarios_table(scenarios: Sequence[Scenario]) -> RenderableType:
    """Return what `list` shows: a paragraph a scenario, and the ids of its cases in short."""
    parts: list[RenderableType] = []
    for scenario in scenarios:
        parts.append(escaped(scenario.id, style="bold"))
        parts.append(paragraph(scenario.title, indent=2))
        parts.append(paragraph(_cases_in_short(scenario), indent=2, style="dim"))
    cases = sum(len(scenario.cases) for scenario in scenarios)
    parts += [Text(), Text(f"scenarios: {len(scenarios)}, cases: {cases}", style="bold")]
    return Group(*parts)


def scenario_page(
    scenario: Scenario, requirements: Mapping[str, Requirement], cases: Sequence[Case] | None = None
) -> RenderableType:
    """Return what `show` shows: the story, the obligations, and of each case (or of some) the steps."""
    parts = story(scenario)
    if scenario.effect:
        parts.append(labelled("effect", " ".join(paragraphs(scenario.effect)), indent=0))
    for id_ in scenario.requirements:
        parts.append(labelled("obligation", _obligation(id_, requirements), indent=0))
    if scenario.path:
        parts.append(labelled("file", scenario.path, indent=0))
    shown = scenario.cases if cases is None else cases
    steps = {step.name for case in shown for step in case.steps}
    parts += [Text(), explained({name: meaning for name, meaning in STEPS.items() if name in steps})]
    for case in shown:
        parts += [Text(), escaped(case.id, style="bold")]
        parts += [row for step in case.steps for row in _step(step)]
    return Group(*parts)


def requirements_table(requirements: Iterable[Requirement]) -> RenderableType:
    """Return for each RFC and level how many obligations have which status."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for requirement in requirements:
        rows[requirement.rfc, requirement.level][requirement.status] += 1
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for number, heading in enumerate(("RFC", "level", *(name for name, _ in COVERAGE.values()), "all")):
        table.add_column(heading, justify="right" if number >= 2 else "left", no_wrap=number < 2)
    total: Counter[str] = Counter()
    for rfc, level in sorted(rows, key=lambda key: (int(key[0]) if key[0].isdigit() else 0, _rank(key[1]))):
        counted = rows[rfc, level]
        total += counted
        table.add_row(*_texts(f"RFC {rfc}", level, *_counts(counted)))
    table.add_section()
    table.add_row(*_texts("all", "", *_counts(total)), style="bold")
    return Group(
        table,
        *_meanings("What the levels mean", levels_explained(level for _, level in rows)),
        *_meanings("What the columns count", dict(COVERAGE.values())),
    )


def requirement_page(requirement: Requirement, scenarios: Iterable[Scenario]) -> RenderableType:
    """Return one obligation, its status, and the scenarios that are about it."""
    where, level = f"RFC {requirement.rfc}, section {requirement.section}", requirement.level
    parts: list[RenderableType] = [
        Hanging(escaped(f"{requirement.id}  ", "bold"), escaped(requirement.text)),
        labelled("from", where),
        labelled("level", "; ".join([level, *levels_explained([level]).values()])),
        labelled("applies to", requirement.binds),
        labelled("status", ": ".join(COVERAGE.get(requirement.status, (requirement.status,)))),
    ]
    if requirement.reason:
        parts.append(labelled("reason", requirement.reason))
    about = [scenario for scenario in scenarios if requirement.id in scenario.requirements]
    for scenario in about:
        parts.append(labelled("scenario", f"{scenario.id}: {scenario.title}"))
    if not about:
        parts.append(labelled("scenario", "none"))
    return Group(*parts)


def targets_table(targets: Sequence[TargetSummary]) -> RenderableType:
    """Return what `targets` shows."""
    parts: list[RenderableType] = []
    for target in targets:
        parts.append(Hanging(escaped(f"{target.name}  ", "bold"), escaped(target.where, "dim")))
        if target.summary:
            parts.append(paragraph(target.summary, indent=2))
        if target.capabilities:
            parts.append(labelled("claims", ", ".join(target.capabilities)))
    return Group(*parts)


def _texts(*cells: str) -> list[Text]:
    return [escaped(cell) for cell in cells]


def _counts(counted: Counter[str]) -> list[str]:
    return [str(counted[status]) for status in COVERAGE] + [str(counted.total())]


def _meanings(title: str, words: Mapping[str, str]) -> list[RenderableType]:
    width = max(map(len, words), default=0) + 2
    return [Text(), Text(title, style="bold"), *(labelled(word, words[word], width=width) for word in words)]


def _rank(level: str) -> int:
    return list(LEVELS).index(level) if level in LEVELS else len(LEVELS)


def _cases_in_short(scenario: Scenario) -> str:
    modes = dict.fromkeys(case.mode.value for case in scenario.cases)
    vectors = dict.fromkeys(case.vector for case in scenario.cases if case.vector)
    names = ", ".join(modes)
    return f"{names}; each with {', '.join(vectors)}" if vectors else names


def _obligation(id_: str, requirements: Mapping[str, Requirement]) -> str:
    requirement = requirements.get(id_)
    return f"{id_} ({level_phrase(requirement.level)}): {requirement.text}" if requirement else id_


def step_rows(step: Step) -> list[tuple[str, str]]:
    """Return what is special in a step, as labels and words: its world, its attacks, and what must happen in it."""
    rows = [("world", "; ".join(_differences(World(), step.world))), ("attack", _attacks(step.attacks))]
    before = [f"restart with {step.restart}"] if step.restart else []
    before += [f"advance the clock by {step.advance} s"] if step.advance else []
    rows += [("target", ", ".join(before)), ("message", "" if step.send else "none sent")]
    rows += [("must be", _expectation(step.expect))] if step.expect else []
    rows += [("also", "held mail arrives")] if step.recovers else []
    rows += [("also", "TLS-RPT reports are asked for")] if step.reports else []
    return [(label, text) for label, text in rows if text] or [("world", "nothing unusual")]


def _step(step: Step) -> list[RenderableType]:
    parts: list[RenderableType] = [escaped(f"  {step.name}", "bold")]
    parts += [labelled(label, shortened(text, 600), indent=4) for label, text in step_rows(step)]
    return parts


def _attacks(attacks: Sequence[AttackUse]) -> str:
    phrases = []
    for attack in attacks:
        parameters = ", ".join(f"{key} = {value}" for key, value in attack.parameters.items())
        phrases.append(f"{attack.name} on {attack.channel}" + (f" ({parameters})" if parameters else ""))
    return "; ".join(phrases)


def _expectation(expectation: Expectation) -> str:
    text = demanded(expectation)
    if expectation.obligation:
        text += f", or {expectation.obligation} is broken"
    if expectation.grade:
        text += f" (counts as {expectation.grade.value})"
    if expectation.report:
        text += f"; reported as {' or '.join(expectation.report)}"
    return f"{text}; {expectation.note}" if expectation.note else text


def _differences(usual: object, here: object, path: str = "") -> list[str]:
    """Name every field in which a world differs from one where everything is as it should be."""
    found = []
    for item in fields(usual):  # type: ignore[arg-type]
        before, after = getattr(usual, item.name), getattr(here, item.name)
        where = f"{path}{item.name}"
        if before == after:
            continue
        if hasattr(before, "__dataclass_fields__"):
            found += _differences(before, after, f"{where}.")
        elif isinstance(before, tuple) and after and hasattr(after[0], "__dataclass_fields__"):
            found += [f"{where}: {_host(host)}" for host in after]
        else:
            found.append(f"{where} = {after}")
    return found


def _host(host: object) -> str:
    """Return a host's name, preference and certificate, and what else is not as it should be."""
    usual = type(host)()
    parts = [
        _told_field(item.name, getattr(host, item.name))
        for item in fields(host)  # type: ignore[arg-type]
        if item.name in ("name", "preference", "certificate") or getattr(host, item.name) != getattr(usual, item.name)
    ]
    return ", ".join(parts)


def _told_field(name: str, value: object) -> str:
    place = {"tlsa": "TLSA ", "tlsa_of_alias": "below the alias TLSA "}.get(name)
    if place is None or not isinstance(value, tuple):
        return f"{name} {value}"
    return place + " and ".join(_tlsa(record) for record in value) if value else "no TLSA record"


#: Whose certificate or key a TLSA record holds; any other word is a certificate variant of the host.
_SUBJECTS = {
    "shown": "that the host shows",
    "topmost": "of the last certificate that the host shows",
    "authority": "of the authority that senders trust",
    "stranger": "of an authority that nobody trusts",
    "nobody": "that no host shows",
}

#: What of a certificate a TLSA record holds, by its selector (RFC 6698, section 2.1.2).
_SELECTED = ("the certificate", "the key")


def _tlsa(record: Tlsa) -> str:
    """Say what a TLSA record is about: its three numbers, and whose certificate or key it holds."""
    what = _SELECTED[record.selector] if record.selector < len(_SELECTED) else "an unknown part"
    whose = _SUBJECTS.get(record.of, f"of the certificate variant {record.of}")
    cut = f", {record.cut} octet{'s' if record.cut > 1 else ''} short" if record.cut else ""
    return f"{record.usage} {record.selector} {record.matching} ({what} {whose}{cut})"


def flaws_table(flaws: Iterable[tuple[str, str, str]]) -> RenderableType:
    """Return what `flaws` shows: names, what the sender then does wrong, and the obligations that are broken."""
    parts: list[RenderableType] = []
    for name, text, obligation in flaws:
        parts.append(escaped(name, style="bold"))
        parts.append(paragraph(f"{text} ({obligation})", indent=2))
    count = len(parts) // 2
    parts += [Text(), Text(f"{count} flaw{'' if count == 1 else 's'}; sts-lab run --flaw NAME plays one")]
    return Group(*parts)
