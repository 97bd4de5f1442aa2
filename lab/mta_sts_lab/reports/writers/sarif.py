"""`findings.sarif` for code scanning (SARIF 2.1.0): obligations are rules, and each finding is a result of one.

A rule links the section of the RFC. Known failures are results that are suppressed, with their reason.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from mta_sts_lab import __version__
from mta_sts_lab.judge.known_failures import findings_of
from mta_sts_lab.judge.run_findings import findings_of_the_run
from mta_sts_lab.model.grading import Grade, Requirement
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.reports.escaping import escape_unprintable, legal_json
from mta_sts_lab.reports.glossary import level_phrase
from mta_sts_lab.reports.summary import AS_EXPECTED, FINDING, summarise
from mta_sts_lab.reports.writers import JudgedRecord, writer

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {Grade.FAIL: "error", Grade.WEAK: "warning"}

#: The rule of a finding that names no obligation.
_NO_OBLIGATION = "no-obligation"


@writer
def sarif(judged: JudgedRecord) -> Iterator[tuple[str, bytes]]:
    """Write `findings.sarif`."""
    yield "findings.sarif", (legal_json(sarif_document(judged)) + "\n").encode("ascii")


def sarif_document(judged: JudgedRecord) -> dict[str, Any]:
    """Return the document as plain data."""
    selected = [verdict for verdict in judged.verdicts if not verdict.control_only]
    found = [(verdict, judgement) for verdict in selected for judgement in findings_of(verdict)]
    of_the_run = findings_of_the_run(selected)
    broken = [judgement for _, judgement in found] + [one.judgement for one in of_the_run]
    rules = list(dict.fromkeys(judgement.obligation or _NO_OBLIGATION for judgement in broken))
    known = judged.known.known if judged.known else {}
    known_of_the_run = judged.known.known_of_the_run if judged.known else {}
    place = _place(judged.record.header.command)
    run = {
        "tool": {
            "driver": {
                "name": "mta-sts-lab",
                "version": __version__,
                "rules": [_rule(name, judged.requirements) for name in rules],
            }
        },
        "automationDetails": {"id": f"mta-sts-lab/{escape_unprintable(judged.record.header.about.name)}"},
        "invocations": [_invocation(judged, selected)],
        "results": [
            *(
                _result(verdict.case, judgement, rules, known.get(verdict.case, ()), place)
                for verdict, judgement in found
            ),
            *(_result("run", one.judgement, rules, known_of_the_run.get(one.key, ()), place) for one in of_the_run),
        ],
        "columnKind": "unicodeCodePoints",
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str, requirements: Mapping[str, Requirement]) -> dict[str, Any]:
    requirement = requirements.get(name)
    if requirement is None:
        return {"id": name}
    where = f"RFC {requirement.rfc}, section {requirement.section}"
    return {
        "id": name,
        "shortDescription": {"text": f"{level_phrase(requirement.level)}, {where}"},
        "fullDescription": {"text": requirement.text},
        "helpUri": section_link(requirement),
        "help": {"text": f"{requirement.text} ({where}: {section_link(requirement)})"},
        "defaultConfiguration": {"level": _LEVELS.get(requirement.grade_when_broken, "note")},
    }


def section_link(requirement: Requirement) -> str:
    """Return the address of the section of the RFC that has an obligation."""
    page = f"https://www.rfc-editor.org/rfc/rfc{requirement.rfc}"
    first, *_ = requirement.section.split()
    if first[0].isdigit():
        return f"{page}#section-{first}"
    return f"{page}#appendix-{first}" if len(first.split(".")[0]) == 1 else page


def _result(case: str, judgement: Judgement, rules: Sequence[str], known: Sequence[str], place: str) -> dict[str, Any]:
    rule = judgement.obligation or _NO_OBLIGATION
    step = f", step {judgement.step}" if judgement.step and case != "run" else ""
    text = f"{case}{step}: {judgement.reason}: expected {judgement.expected}; observed {judgement.observed}"
    identity = f"{case} {rule} {judgement.check} {judgement.reason} {judgement.step}"
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": _LEVELS[judgement.grade],
        "message": {"text": escape_unprintable(text)},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": place}, "region": {"startLine": 1}},
                "logicalLocations": [{"fullyQualifiedName": case, "kind": "module"}],
            }
        ],
        # The same finding of another run has the same value.
        "partialFingerprints": {"finding/v1": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()},
    }
    if known:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": "; ".join(known)}]
    return result


def _place(command: Sequence[str]) -> str:
    """Return the file to which findings are pinned: the target's `target.toml`, or the record of the run."""
    words = [word for option in command for word in option.split("=", 1)]
    named = [name for option, name in itertools.pairwise(words) if option == "--target"]
    folders = [name for name in named if "/" in name and not name.startswith(("/", "../"))]
    return str(PurePosixPath(folders[0]) / "target.toml") if len(folders) == 1 else "record.jsonl"


def _invocation(judged: JudgedRecord, selected: Sequence[Verdict]) -> dict[str, Any]:
    summary = summarise(judged.record, judged.verdicts, judged.known)
    unproved = [one for one in selected if one.grade in (Grade.INCONCLUSIVE, Grade.LAB_ERROR)]
    notes = [
        {
            "level": "error" if verdict.grade is Grade.LAB_ERROR else "warning",
            "message": {"text": escape_unprintable(f"{verdict.case}: {verdict.grade.value}: nothing is proved")},
        }
        for verdict in unproved
    ]
    notes += [
        {"level": "warning", "message": {"text": f"{case}: the case has no verdict"}} for case in summary.unjudged
    ]
    if summary.exit_code not in (AS_EXPECTED, FINDING) and not notes:
        notes.append({"level": "error", "message": {"text": escape_unprintable(summary.meaning)}})
    for what, failure in judged.known.wrong_entries if judged.known else ():
        text = escape_unprintable(f"{failure.case}: a known failure {what}: correct the list")
        notes.append({"level": "error", "message": {"text": text}})
    return {
        "commandLine": " ".join(escape_unprintable(word) for word in judged.record.header.command),
        "exitCode": summary.exit_code,
        "exitCodeDescription": summary.meaning,
        "executionSuccessful": summary.complete and summary.exit_code in (AS_EXPECTED, FINDING),
        "toolExecutionNotifications": notes,
    }
