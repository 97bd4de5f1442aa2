"""The document says everything that was judged, and its schema refuses anything else."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError
from mta_sts_lab.judge.known_failures import KnownComparison, KnownFailure
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.reports.verdicts_reading import parse_verdicts
from mta_sts_lab.reports.writers.verdicts_json import UnknownCase, encode, verdicts_document

from ..records import HOSTILE, REQUIREMENTS, assert_closed, schema, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_VERDICTS = strip_verdicts(_RECORD, leaking_enforce=True)


def _document() -> dict[str, Any]:
    return verdicts_document(_RECORD, _VERDICTS, REQUIREMENTS)


def _validate(document: object) -> None:
    Draft202012Validator(schema("verdicts")).validate(document)


def test_the_schema_is_one_and_leaves_no_field_open() -> None:
    Draft202012Validator.check_schema(schema("verdicts"))
    assert_closed(schema("verdicts"))


def test_the_document_fits_its_schema_after_a_round_trip() -> None:
    document = json.loads(encode(_document()))
    _validate(document)
    assert document == _document()


def test_findings_stand_together_by_their_cause() -> None:
    leak = _VERDICTS[0]
    again = replace(leak, case="starttls/strip[absent]")
    known = KnownComparison({leak.case: ("why",)}, (), ())
    document = verdicts_document(_RECORD, [leak, again, *_VERDICTS[2:]], REQUIREMENTS, known)
    (cause,) = [one for one in document["causes"] if one["result"] == "fail"]
    assert (cause["cases"], cause["known"], cause["of_the_run"]) == ([leak.case, again.case], 1, False)
    found = [f"{one.check} ({one.reason})" for one in leak.judgements if one.grade is Grade.FAIL]
    assert set(found) <= set(cause["findings"])


def test_it_says_what_was_run_and_what_was_found() -> None:
    document = _document()
    assert document["run"] == "20260302-093000-c0ffee"
    assert document["target"]["name"] == "postfix"
    assert document["target"]["versions"] == {"postfix": "3.10.2", "postfix-mta-sts-resolver": "1.5.0"}
    assert document["exit"]["code"] == 1
    assert document["summary"]["verdicts"]["fail"] == 1
    assert document["summary"]["verdicts"]["pass"] == 3
    case = document["cases"][0]
    assert (case["id"], case["scenario"], case["mode"], case["verdict"]) == (
        "starttls/strip[enforce]",
        "starttls/strip",
        "enforce",
        "fail",
    )
    assert case["steps"][1]["outcome"] == "delivered-clear"
    assert case["steps"][2]["outcome"] is None
    judgement = case["judgements"][0]
    assert (judgement["obligation"], judgement["level"], judgement["result"]) == ("STS-5-03", "MUST NOT", "fail")
    assert judgement["evidence"] == [66]


def test_every_verdict_word_and_outcome_fits_the_schema() -> None:
    for grade in Grade:
        judgement = replace(_VERDICTS[0].judgements[0], grade=grade)
        _validate(verdicts_document(_RECORD, [replace(_VERDICTS[0], grade=grade, judgements=(judgement,))]))
    for outcome in Outcome:
        steps = tuple(replace(step, outcome=outcome) for step in _VERDICTS[0].steps)
        _validate(verdicts_document(_RECORD, [replace(_VERDICTS[0], steps=steps)]))


def test_every_level_of_the_requirements_fits_the_schema() -> None:
    levels = schema("verdicts")["$defs"]["judgement"]["properties"]["level"]["enum"]
    for level in (
        "MUST",
        "MUST NOT",
        "SHOULD",
        "SHOULD NOT",
        "MAY",
        "DEFN",
        "lc-must",
        "lc-should",
        "lc-may",
        "lc-info",
    ):
        assert level in levels
    assert verdicts_document(_RECORD, _VERDICTS)["cases"][0]["judgements"][0]["level"] is None


def test_known_failures_are_named_and_change_no_verdict() -> None:
    gone = KnownFailure("tls/*", "STS-5-04", "fail", ("delivered-clear",), "old OpenSSL", "a link")
    known = KnownComparison(known={_VERDICTS[0].case: ("not implemented",)}, vanished=(gone,), unmatched=())
    document = verdicts_document(_RECORD, _VERDICTS, REQUIREMENTS, known)
    _validate(document)
    assert document["cases"][0]["known"] == ["not implemented"]
    assert document["cases"][0]["verdict"] == "fail"
    (vanished,) = document["known_failures"]["vanished"]
    assert (vanished["case"], vanished["step"], vanished["codes"]) == ("tls/*", "", ["delivered-clear"])
    assert document["exit"]["code"] == 1


def test_a_black_box_says_so() -> None:
    assert verdicts_document(_RECORD, _VERDICTS)["black_box"] is False
    hidden = replace(_RECORD, header=msgspec.structs.replace(_RECORD.header, black_box=True))
    document = verdicts_document(hidden, _VERDICTS)
    _validate(document)
    assert document["black_box"] is True


def test_an_interrupted_run_says_so() -> None:
    document = verdicts_document(strip_record(complete=False), _VERDICTS[1:])
    assert document["complete"] is False
    assert document["summary"]["unjudged"] == ["starttls/strip[enforce]"]
    assert document["exit"]["code"] == 4


def _drop(document: dict[str, Any]) -> None:
    del document["cases"][0]["verdict"]


def _add(document: dict[str, Any]) -> None:
    document["cases"][0]["judgements"][0]["severity"] = "high"


def _word(document: dict[str, Any]) -> None:
    document["cases"][0]["verdict"] = "ok"


def _number(document: dict[str, Any]) -> None:
    document["cases"][0]["judgements"][0]["evidence"] = ["66"]


def _version(document: dict[str, Any]) -> None:
    document["format"] = 3


def _code(document: dict[str, Any]) -> None:
    document["exit"]["code"] = 6


def _count(document: dict[str, Any]) -> None:
    del document["summary"]["verdicts"]["lab-error"]


def _outcome(document: dict[str, Any]) -> None:
    document["cases"][0]["steps"][0]["outcome"] = "delivered"


@pytest.mark.parametrize("mutation", [_drop, _add, _word, _number, _version, _code, _count, _outcome])
def test_a_mutated_document_is_refused(mutation: Callable[[dict[str, Any]], None]) -> None:
    document = copy.deepcopy(_document())
    mutation(document)
    with pytest.raises(ValidationError):
        _validate(document)


def test_verdicts_of_another_record_are_refused() -> None:
    with pytest.raises(UnknownCase, match=r"other/case\[enforce\]"):
        verdicts_document(_RECORD, [replace(_VERDICTS[0], case="other/case[enforce]")])


def test_hostile_words_are_escaped_and_survive() -> None:
    judgement = replace(_VERDICTS[0].judgements[0], observed=HOSTILE)
    encoded = encode(verdicts_document(_RECORD, [replace(_VERDICTS[0], judgements=(judgement,))]))
    assert encoded.isascii()
    assert all(octet >= 0x20 or octet == 0x0A for octet in encoded)
    survived = HOSTILE.replace("\ud800", "\\ud800")
    assert json.loads(encoded)["cases"][0]["judgements"][0]["observed"] == survived


def test_half_a_surrogate_pair_is_told_and_can_be_read_back() -> None:
    first = _VERDICTS[0]
    judged = replace(first.judgements[0], observed="x\ud800", expected="\udfff")
    told = [replace(first, judgements=(judged, *first.judgements[1:])), *_VERDICTS[1:]]
    octets = encode(verdicts_document(_RECORD, told, REQUIREMENTS))
    (read, *_) = parse_verdicts(octets, "here").verdicts
    assert (read.judgements[0].observed, read.judgements[0].expected) == ("x\\ud800", "\\udfff")
