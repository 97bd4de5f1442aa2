"""`junit.xml` for continuous integration: a suite for each family of scenarios, a test case for each case.

What the lab could not prove is an error, so that no build turns green on it. Advice that was not followed (weak) passes
and is named in system-out. What the target does not claim is skipped. Control cases that nobody selected are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree as ET

from mta_sts_lab.model import Case, Grade, Judgement, Requirement, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import level_phrase
from mta_sts_lab.reports.writers import JudgedRecord, writer

#: The element of JUnit for each grade; the others pass.
_ELEMENTS = {
    Grade.FAIL: "failure",
    Grade.LAB_ERROR: "error",
    Grade.INCONCLUSIVE: "error",
    Grade.UNSUPPORTED: "skipped",
}

_PASSING_WITH_OUTPUT = (Grade.WEAK, Grade.INFO)


@writer
def junit(judged: JudgedRecord) -> Iterator[tuple[str, bytes]]:
    """Write `junit.xml`."""
    yield "junit.xml", junit_xml(judged.record, judged.verdicts, judged.requirements)


def junit_xml(
    record: Record, verdicts: Sequence[Verdict], requirements: Mapping[str, Requirement] | None = None
) -> bytes:
    """Return the file. Unprintable characters are escaped: XML cannot hold control characters."""
    cases = {case.id: case for case in record.header.cases}
    suites: dict[str, list[ET.Element]] = defaultdict(list)
    for verdict in verdicts:
        if not verdict.supporting:
            case = cases.get(verdict.case)
            suites[_family(verdict.case)].append(_test_case(verdict, case, requirements or {}))
    judged = {verdict.case for verdict in verdicts}
    for case in record.header.cases:
        if case.id not in judged:
            suites[_family(case.id)].append(_unjudged(case))
    if not record.footer.complete:
        suites["run"].append(_interrupted(record))
    every_test = [test for tests in suites.values() for test in tests]
    root = ET.Element("testsuites", {"name": "mta-sts-lab", **_totals(every_test)})
    for family, tests in suites.items():
        root.append(_suite(family, tests, record))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _family(case: str) -> str:
    return escape_unprintable(case.split("/", 1)[0])


def _suite(family: str, tests: Sequence[ET.Element], record: Record) -> ET.Element:
    header = record.header
    suite = ET.Element("testsuite", {"name": family, "timestamp": escape_unprintable(header.started), **_totals(tests)})
    properties = ET.SubElement(suite, "properties")
    known = {"run": header.run, "command": " ".join(header.command), "seed": str(header.seed)}
    known |= {"target.name": header.about.name}
    known |= {f"target.{key}": value for key, value in header.about.versions.items()}
    for name, value in known.items():
        ET.SubElement(properties, "property", name=escape_unprintable(name), value=escape_unprintable(value))
    suite.extend(tests)
    return suite


def _totals(tests: Sequence[ET.Element]) -> dict[str, str]:
    def having(tag: str) -> str:
        return str(sum(test.find(tag) is not None for test in tests))

    seconds = sum(float(test.get("time", "0")) for test in tests)
    return {
        "tests": str(len(tests)),
        "failures": having("failure"),
        "errors": having("error"),
        "skipped": having("skipped"),
        "time": f"{seconds:.3f}",
    }


def _test_case(verdict: Verdict, case: Case | None, requirements: Mapping[str, Requirement]) -> ET.Element:
    seconds = max(verdict.ended - verdict.began, 0.0)
    scenario = case.scenario if case else verdict.case.split("[", 1)[0]
    test = ET.Element(
        "testcase", classname=escape_unprintable(scenario), name=escape_unprintable(verdict.case), time=f"{seconds:.3f}"
    )
    telling = [judgement for judgement in verdict.judgements if judgement.grade is not Grade.PASS]
    told = "\n".join(_lines(judgement, requirements) for judgement in telling)
    tag = _ELEMENTS.get(verdict.grade)
    if tag is not None:
        worst = next((judgement for judgement in telling if judgement.grade is verdict.grade), None)
        message = f"{verdict.grade.value}: {worst.reason if worst else 'nothing was proved'}"
        element = ET.SubElement(test, tag, message=escape_unprintable(message), type=verdict.grade.value)
        element.text = told or None
    elif verdict.grade in _PASSING_WITH_OUTPUT or told:
        ET.SubElement(test, "system-out").text = f"{verdict.grade.value}\n{told}"
    return test


def _lines(judgement: Judgement, requirements: Mapping[str, Requirement]) -> str:
    requirement = requirements.get(judgement.obligation)
    parts = [("check", judgement.check), ("result", f"{judgement.grade.value}: {judgement.reason}")]
    if requirement:
        parts.append(("obligation", f"{requirement.id} ({level_phrase(requirement.level)}): {requirement.text}"))
    elif judgement.obligation:
        parts.append(("obligation", judgement.obligation))
    parts += [("step", judgement.step), ("expected", judgement.expected), ("observed", judgement.observed)]
    parts += [("blame", judgement.blame), ("evidence", ", ".join(map(str, judgement.evidence)))]
    return "\n".join(f"{label}: {escape_unprintable(text)}" for label, text in parts if text) + "\n"


def _unjudged(case: Case) -> ET.Element:
    test = ET.Element(
        "testcase", classname=escape_unprintable(case.scenario), name=escape_unprintable(case.id), time="0.000"
    )
    ET.SubElement(test, "error", message="inconclusive: the case has no verdict", type="inconclusive")
    return test


def _interrupted(record: Record) -> ET.Element:
    test = ET.Element("testcase", classname="run", name="the run was played to its end", time="0.000")
    message = f"inconclusive: run {record.header.run} was interrupted"
    ET.SubElement(test, "error", message=escape_unprintable(message), type="inconclusive")
    return test
