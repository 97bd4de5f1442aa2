"""`junit.xml` for continuous integration: a suite for each family of scenarios, a test case for each case.

It agrees with the exit status: 0 has no failure and no error, 1 has a failure. A new finding, also advice that was not
followed (weak), is a failure, and so is a known failure that no longer occurs. What the lab could not prove is an
error, so that no build turns green on it. Known failures are skipped with their reason, or pass with it in a property.
What the target does not claim is skipped. Control cases that nobody selected are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree as ET

from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.judge.run_findings import RunFinding, findings_of_the_run
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.record import Record
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import level_phrase
from mta_sts_lab.reports.summary import NOTHING_SELECTED, summarise
from mta_sts_lab.reports.target_log import TargetLog
from mta_sts_lab.reports.writers import JudgedRecord, writer

#: The element of JUnit for each grade; the others pass.
_ELEMENTS = {
    Grade.FAIL: "failure",
    Grade.WEAK: "failure",
    Grade.LAB_ERROR: "error",
    Grade.INCONCLUSIVE: "error",
    Grade.UNSUPPORTED: "skipped",
}

#: What a known failure becomes.
SKIPPED, PASSED = "skipped", "passed"
KNOWN_AS = (SKIPPED, PASSED)

_NOTHING_KNOWN = KnownComparison({}, (), ())


@writer
def junit(judged: JudgedRecord) -> Iterator[tuple[str, bytes]]:
    """Write `junit.xml`."""
    yield "junit.xml", junit_xml(judged.record, judged.verdicts, judged.requirements, judged.known, log=judged.log)


def junit_xml(
    record: Record,
    verdicts: Sequence[Verdict],
    requirements: Mapping[str, Requirement] | None = None,
    known: KnownComparison | None = None,
    known_as: str = SKIPPED,
    log: str = "",
) -> bytes:
    """Return the file, with what the target's log says of each finding.

    Unprintable characters are escaped: XML cannot hold control characters.
    """
    known = known or _NOTHING_KNOWN
    scenarios = {case.id: case.scenario for case in record.header.cases}
    own_log = TargetLog.of(log, record)
    suites: dict[str, list[ET.Element]] = defaultdict(list)
    for verdict in verdicts:
        if not verdict.control_only:
            test = _test_case(verdict, scenarios.get(verdict.case, verdict.case), requirements or {}, own_log)
            reasons = known.known.get(verdict.case)
            suites[_family(verdict.case)].append(_as_known(test, reasons, known_as) if reasons else test)
    for finding in findings_of_the_run(verdicts):
        test = _of_the_run(finding, requirements or {})
        reasons = known.known_of_the_run.get(finding.key)
        suites["run"].append(_as_known(test, reasons, known_as) if reasons else test)
    suites[_KNOWN_SUITE] += [_wrong_entry(failure, what) for what, failure in known.wrong_entries]
    judged = {verdict.case for verdict in verdicts}
    for case, scenario in scenarios.items():
        if case not in judged:
            suites[_family(case)].append(_error(scenario, case, "the case has no verdict"))
    if not record.footer.complete:
        message = f"run {record.header.run} was interrupted, or a shard of it is missing"
        suites["run"].append(_error("run", "the run was played to its end", message))
    if summarise(record, verdicts, known).exit_code == NOTHING_SELECTED:
        suites["run"].append(_error("run", "something was judged", "all that was selected is unsupported"))
    every_test = [test for tests in suites.values() for test in tests]
    root = ET.Element("testsuites", {"name": "mta-sts-lab", **_totals(every_test)})
    root.extend(_suite(family, tests, record) for family, tests in suites.items() if tests)
    for element in root.iter():
        element.attrib.update({name: escape_unprintable(value) for name, value in element.attrib.items()})
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _family(case: str) -> str:
    return case.split("/", 1)[0]


def _suite(family: str, tests: Sequence[ET.Element], record: Record) -> ET.Element:
    header = record.header
    suite = ET.Element("testsuite", {"name": family, "timestamp": header.started, **_totals(tests)})
    known = {"run": header.run, "command": " ".join(header.command), "seed": str(header.seed)}
    known |= {f"target.{part}": value for part, value in {"name": header.about.name, **header.about.versions}.items()}
    properties = ET.SubElement(suite, "properties")
    for name, value in known.items():
        ET.SubElement(properties, "property", name=name, value=value)
    suite.extend(tests)
    return suite


def _totals(tests: Sequence[ET.Element]) -> dict[str, str]:
    tags = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {name: str(sum(test.find(tag) is not None for test in tests)) for name, tag in tags.items()}
    return {"tests": str(len(tests)), **counts, "time": f"{sum(float(test.attrib['time']) for test in tests):.3f}"}


def _error(classname: str, name: str, message: str) -> ET.Element:
    test = ET.Element("testcase", classname=classname, name=name, time="0.000")
    ET.SubElement(test, "error", message=f"inconclusive: {message}", type="inconclusive")
    return test


def _test_case(verdict: Verdict, scenario: str, requirements: Mapping[str, Requirement], log: TargetLog) -> ET.Element:
    seconds = max(verdict.ended - verdict.began, 0.0)
    test = ET.Element("testcase", classname=scenario, name=verdict.case, time=f"{seconds:.3f}")
    found = [judgement for judgement in verdict.judgements if judgement.grade is not Grade.PASS]
    text = "\n".join(_lines(judgement, requirements) for judgement in found)
    quoted = dict.fromkeys(line for one in found for line in log.quoted(verdict.case, one.step))
    text += "".join(f"\nits log: {escape_unprintable(line)}" for line in quoted)
    tag = _ELEMENTS.get(verdict.grade)
    if tag is not None:
        reason = next((one.reason for one in found if one.grade is verdict.grade), "nothing was proved")
        element = ET.SubElement(test, tag, message=f"{verdict.grade.value}: {reason}", type=verdict.grade.value)
        element.text = text or None
    elif verdict.grade is Grade.INFO or text:
        ET.SubElement(test, "system-out").text = f"{verdict.grade.value}\n{text}"
    return test


def _of_the_run(finding: RunFinding, requirements: Mapping[str, Requirement]) -> ET.Element:
    """Return the test for a finding of the run."""
    test = ET.Element("testcase", classname="run", name=finding.name, time="0.000")
    message, kind = f"{finding.grade.value}: {finding.judgement.reason}", finding.grade.value
    text = f"{_lines(finding.judgement, requirements)}seen in: {', '.join(finding.cases)}\n"
    ET.SubElement(test, "failure", message=message, type=kind).text = text
    return test


#: The suite of what is wrong with the list of known failures.
_KNOWN_SUITE = "known-failures"


def _as_known(test: ET.Element, reasons: Sequence[str], known_as: str) -> ET.Element:
    """Return the test of a known failure: skipped with its reason, or passed with it in a property.

    Advice that was not followed in the first step may have ended a case: what it was about is not proved, known or not.
    """
    found = test.find("failure")
    if found is None:
        return test
    test.remove(found)
    reason = "; ".join(reasons)
    if known_as == PASSED:
        properties = ET.SubElement(test, "properties")
        ET.SubElement(properties, "property", name="known-failure", value=reason)
        ET.SubElement(properties, "property", name="verdict", value=found.get("type", ""))
        ET.SubElement(test, "system-out").text = found.text
    else:
        ET.SubElement(test, "skipped", message=f"known failure: {reason}", type="known-failure").text = found.text
    return test


def _wrong_entry(failure: KnownFailure, what: str) -> ET.Element:
    """Return the test of an entry of the list of known failures that does not agree with the run."""
    test = ET.Element("testcase", classname=_KNOWN_SUITE, name=failure.case, time="0.000")
    message = f"a known failure {what}: {failure.obligation} ({', '.join(failure.codes)}): {failure.reason}"
    ET.SubElement(test, "failure", message=message, type="known-failure")
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
