"""What was written is read back as it was, and whatever is wrong with it is one message that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.judge.known_failures import KnownComparison
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm
from mta_sts_lab.old_check_ids import OLD_CHECK_IDS
from mta_sts_lab.reports.verdicts_reading import VerdictsError, parse_verdicts, read_verdicts
from mta_sts_lab.reports.writers.verdicts_json import encode, verdicts_document

from tests.reports.records import REQUIREMENTS, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)


def _document() -> dict[str, Any]:
    known = KnownComparison(known={_VERDICTS[0].case: ("it was told",)}, vanished=(), unmatched=())
    return verdicts_document(_RECORD, _VERDICTS, REQUIREMENTS, known)


def test_it_is_what_was_written() -> None:
    run = parse_verdicts(encode(_document()), "here")
    assert run.verdicts == tuple(_VERDICTS)
    assert run.known == {_VERDICTS[0].case: ("it was told",)}
    assert (run.run, run.started, run.command) == (_RECORD.header.run, _RECORD.header.started, _RECORD.header.command)
    assert (run.target, list(run.versions)) == ("postfix", ["postfix", "postfix-mta-sts-resolver"])
    assert run.lab_versions == _RECORD.header.versions
    assert run.complete
    assert not run.black_box
    assert run.unjudged == ()


def test_what_has_no_verdict_is_named() -> None:
    document = verdicts_document(strip_record(complete=False), _VERDICTS[1:], REQUIREMENTS)
    run = parse_verdicts(encode(document), "here")
    assert not run.complete
    assert run.unjudged == (_VERDICTS[0].case,)


def test_a_run_that_was_never_judged(tmp_path: Path) -> None:
    with pytest.raises(VerdictsError, match=r"verdicts\.json: not there: .*`sts-lab judge "):
        read_verdicts(tmp_path / "verdicts.json")
    (tmp_path / "verdicts.json").mkdir()
    with pytest.raises(VerdictsError, match="cannot be read"):
        read_verdicts(tmp_path / "verdicts.json")


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b"\xff", b"not json", b'{"format": "1"}', b"[" * 100_000])
def test_no_document_at_all(octets: bytes) -> None:
    with pytest.raises(VerdictsError, match=r"here: no verdicts of a run .*`sts-lab judge`"):
        parse_verdicts(octets, "here")


def _other_version(document: dict[str, Any]) -> None:
    document["format"] = 1


def _no_case(document: dict[str, Any]) -> None:
    del document["cases"]


def _word(document: dict[str, Any]) -> None:
    document["cases"][0]["verdict"] = "ok"


def _evidence(document: dict[str, Any]) -> None:
    document["cases"][0]["judgements"][0]["evidence"] = ["66"]


def _twice(document: dict[str, Any]) -> None:
    document["cases"].append(document["cases"][0])


def _unjudged_too(document: dict[str, Any]) -> None:
    document["summary"]["unjudged"].append(document["cases"][0]["id"])
    document["summary"]["cases"] += 1


def _better(document: dict[str, Any]) -> None:
    """The forger also corrects the summary."""
    counts = document["summary"]["verdicts"]
    counts["fail"], counts["pass"] = counts["fail"] - 1, counts["pass"] + 1
    document["cases"][0]["verdict"] = "pass"


def _hidden(document: dict[str, Any]) -> None:
    document["cases"][0]["verdict"] = "unsupported"


def _counts(document: dict[str, Any]) -> None:
    document["summary"]["verdicts"]["pass"] += 1


def _cases(document: dict[str, Any]) -> None:
    document["summary"]["cases"] += 1


def _supporting(document: dict[str, Any]) -> None:
    document["summary"]["control_only"] += 1


def _news(document: dict[str, Any]) -> None:
    assert document["exit"]["code"] == 0
    document["cases"][0]["known"] = []


def _date(document: dict[str, Any]) -> None:
    document["started"] = "yesterday"


def _more(document: dict[str, Any]) -> None:
    document["cases"][0]["severity"] = "high"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_other_version, "version 1 of the format, and this program reads 2 to 4"),
        (_no_case, "damaged .*cases"),
        (_word, r"damaged .*verdict"),
        (_evidence, "damaged .*evidence"),
        (_twice, "a case is there twice"),
        (_unjudged_too, "a case is there twice"),
        (_better, r"starttls/strip\[enforce\] is pass, and its judgements come to fail"),
        (_hidden, r"starttls/strip\[enforce\] is unsupported, and its judgements come to fail"),
        (_counts, "the summary does not add up"),
        (_cases, "the summary does not add up"),
        (_supporting, "the summary does not add up"),
        (_news, "exit 0 beside findings that nobody knew of"),
        (_date, "`started` is no date: 'yesterday'"),
        (_more, "damaged .*severity"),
    ],
)
def test_a_damaged_document(damage: Callable[[dict[str, Any]], None], message: str) -> None:
    document = _document()
    damage(document)
    with pytest.raises(VerdictsError, match=f"here: .*{message}.*`sts-lab judge`"):
        parse_verdicts(json.dumps(document).encode(), "here")


def _in_format_2(check: str, reason: str, outcome: str, mode: str = "enforce", result: str = "fail") -> bytes:
    document = _document()
    document |= {"format": 2, "deviations": document.pop("known_failures")}
    document["summary"]["supporting"] = document["summary"].pop("control_only")
    for case in document["cases"]:
        del case["harm"]
        case["supporting"] = case.pop("control_only")
        for judgement in case["judgements"]:
            del judgement["harm"]
    first = document["cases"][0]
    first["mode"] = mode
    first["steps"][1]["outcome"] = outcome
    first["judgements"][0] |= {"check": check, "reason": reason, "result": result}
    first["verdict"] = result
    document["summary"]["verdicts"] = {"pass": 3, result: 1}
    return json.dumps(document).encode()


_OUTCOME = "the-message-fared-as-demanded"


@pytest.mark.parametrize(
    ("check", "reason", "outcome", "mode", "harm"),
    [
        (_OUTCOME, "delivered-clear", "delivered-clear", "enforce", Harm.LET_OUT),
        (_OUTCOME, "delivered-clear", "delivered-clear", "testing", Harm.NONE),
        (_OUTCOME, "held-without-a-policy", "deferred", "absent", Harm.KEPT_BACK),
        (_OUTCOME, "lost", "lost", "enforce", Harm.KEPT_BACK),
        ("no-message-was-read", "read-in-clear", "delivered-clear", "enforce", Harm.READ),
        ("what-was-held-arrived", "arrived-delivered-clear", "deferred", "enforce", Harm.LET_OUT),
        ("what-was-held-arrived", "lost-instead-of-retried", "deferred", "enforce", Harm.KEPT_BACK),
        ("nothing-vanished-in-between", "lost", "lost", "testing", Harm.KEPT_BACK),
        ("no-message-arrived-twice", "arrived-twice", "delivered-clear", "enforce", Harm.NONE),
    ],
)
def test_format_2_is_read_with_the_ids_of_today_and_its_harm(
    check: str, reason: str, outcome: str, mode: str, harm: Harm
) -> None:
    run = parse_verdicts(_in_format_2(check, reason, outcome, mode), "here")
    (judgement,) = run.verdicts[0].judgements
    assert judgement.check == OLD_CHECK_IDS[check]
    assert run.verdicts[0].harm is harm
    weak = parse_verdicts(_in_format_2(check, reason, outcome, mode, "weak"), "here")
    assert weak.verdicts[0].harm is Harm.NONE


_SIDE = replace(_VERDICTS[0].judgements[0], grade=Grade.WEAK, check="subject-is-well-formed", reason="id-form")
_WITH_SIDE = [replace(_VERDICTS[0], of_the_run=(_SIDE,)), *_VERDICTS[1:]]


def test_findings_of_the_run_are_read_back() -> None:
    key = (_SIDE.check, _SIDE.reason, _SIDE.obligation)
    known = KnownComparison({_VERDICTS[0].case: ("told",)}, (), (), known_of_the_run={key: ("colons",)})
    document = verdicts_document(_RECORD, _WITH_SIDE, REQUIREMENTS, known)
    (found,) = document["findings_of_the_run"]
    assert (found["result"], found["cases"], found["known"]) == ("weak", [_VERDICTS[0].case], ["colons"])
    run = parse_verdicts(encode(document), "here")
    assert run.verdicts == tuple(_WITH_SIDE)
    assert run.known_of_the_run == {key: ("colons",)}
    assert (run.exit_code, document["exit"]["code"]) == (0, 0)


def test_findings_of_the_run_that_are_not_those_of_the_cases_are_damage() -> None:
    document = verdicts_document(_RECORD, _WITH_SIDE, REQUIREMENTS)
    document["findings_of_the_run"] = []
    with pytest.raises(VerdictsError, match="not those of the cases"):
        parse_verdicts(encode(document), "here")


def test_format_3_has_no_findings_of_the_run() -> None:
    document = _document() | {"format": 3}
    del document["causes"], document["findings_of_the_run"]
    for case in document["cases"]:
        del case["of_the_run"]
    assert parse_verdicts(encode(document), "here").verdicts == tuple(_VERDICTS)
