"""SARIF: obligations are rules with a link, each finding is a result, and known failures are suppressed."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.reports.writers import JudgedRecord
from mta_sts_lab.reports.writers.sarif import sarif, sarif_document, section_link
from mta_sts_lab.requirements import load_requirements

from ..records import HOSTILE, REQUIREMENTS, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)
_JUDGED = JudgedRecord(_RECORD, _VERDICTS, REQUIREMENTS)


def _run(judged: JudgedRecord) -> dict[str, Any]:
    document = sarif_document(judged)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def test_an_obligation_is_a_rule_and_a_finding_its_result() -> None:
    run = _run(_JUDGED)
    rules = run["tool"]["driver"]["rules"]
    (rule,) = [rule for rule in rules if rule["id"] == "STS-5-03"]
    assert rule["helpUri"] == "https://www.rfc-editor.org/rfc/rfc8461#section-5"
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert run["results"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "starttls/strip[enforce]"
        assert "suppressions" not in result
    fingerprints = [result["partialFingerprints"]["finding/v1"] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    assert run["invocations"][0]["exitCode"] == 1


def test_known_failures_are_suppressed_with_their_reason() -> None:
    run = _run(replace(_JUDGED, known=KnownComparison({_VERDICTS[0].case: ("being mended",)}, (), ())))
    for result in run["results"]:
        assert result["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "being mended"}]
    assert run["invocations"][0]["exitCode"] == 0


def test_a_run_in_which_nothing_was_judged_is_no_success() -> None:
    unsupported = [replace(one, grade=Grade.UNSUPPORTED, judgements=()) for one in _VERDICTS]
    (invocation,) = _run(replace(_JUDGED, verdicts=unsupported))["invocations"]
    assert invocation["exitCode"] == 5
    assert not invocation["executionSuccessful"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"] == "nothing was judged: all that was selected is unsupported"


def test_what_proves_nothing_is_a_notification_and_no_result() -> None:
    verdicts = [replace(_VERDICTS[0], grade=Grade.INCONCLUSIVE, judgements=()), *_VERDICTS[1:]]
    run = _run(replace(_JUDGED, verdicts=verdicts))
    assert not run["results"]
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert "starttls/strip[enforce]" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_an_entry_of_the_list_that_is_wrong_is_a_notification() -> None:
    entry = KnownFailure("starttls/strip[testing]", "STS-5-05", "bounced", ("bounced",), "a reason", "seen")
    run = _run(replace(_JUDGED, known=KnownComparison({_VERDICTS[0].case: ("known",)}, (entry,), ())))
    (invocation,) = run["invocations"]
    assert invocation["exitCode"] == 1
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"] == "starttls/strip[testing]: a known failure no longer occurs: correct the list"


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("sts-lab", "run", "--target", "./ci/my-mta/"), "ci/my-mta/target.toml"),
        (("sts-lab", "run", "--target=ci/my-mta"), "ci/my-mta/target.toml"),
        (("sts-lab", "run", "--target", "postfix"), "record.jsonl"),
        (("sts-lab", "run", "--target", "/elsewhere/mta"), "record.jsonl"),
    ],
)
def test_a_finding_is_pinned_to_the_targets_file(command: tuple[str, ...], place: str) -> None:
    record = replace(_RECORD, header=msgspec.structs.replace(_RECORD.header, command=command))
    (result, *_) = _run(replace(_JUDGED, record=record))["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == place


def test_every_obligation_has_a_link_to_its_section() -> None:
    links = {requirement.id: section_link(requirement) for requirement in load_requirements().values()}
    assert links["RPT-4.3.1-01"] == "https://www.rfc-editor.org/rfc/rfc8460#section-4.3.1"
    for link in links.values():
        assert "#section-" in link or "#appendix-" in link


def test_hostile_text_leaves_a_document_that_can_be_read() -> None:
    judgement = replace(_VERDICTS[0].judgements[0], grade=Grade.FAIL, observed=HOSTILE + "\ud800", reason=HOSTILE)
    judged = replace(_JUDGED, verdicts=[replace(_VERDICTS[0], judgements=(judgement,)), *_VERDICTS[1:]])
    ((name, content),) = sarif(judged)
    assert name == "findings.sarif"
    assert json.loads(content)["runs"][0]["results"]


def test_a_finding_of_the_run_is_one_result() -> None:
    side = replace(_VERDICTS[0].judgements[0], grade=Grade.WEAK, check="subject-is-well-formed", reason="id-form")
    verdicts = [replace(one, grade=Grade.PASS, judgements=(), of_the_run=(side,)) for one in _VERDICTS]
    (result,) = _run(replace(_JUDGED, verdicts=verdicts))["results"]
    assert result["level"] == "warning"
    assert result["message"]["text"].startswith("run: id-form")
    key = (side.check, side.reason, side.obligation)
    known = KnownComparison({}, (), (), known_of_the_run={key: ("colons",)})
    (result,) = _run(replace(_JUDGED, verdicts=verdicts, known=known))["results"]
    assert result["suppressions"][0]["justification"] == "colons"
