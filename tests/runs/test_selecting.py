"""Selection by obligation, level, and what changed since another run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mta_sts_lab import __version__
from mta_sts_lab.catalogue import Catalogue, NothingSelected
from mta_sts_lab.model.case import Case
from mta_sts_lab.record import encoded
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.command_line import what_is_tested
from mta_sts_lab.runs import RunRequest, load_shipped_catalogue
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.selecting import check_same_target, choose_cases, left_out_since, obligations_of
from mta_sts_lab.runs.service import cases_of, find_target_for, run
from mta_sts_lab.runs.watching import Watcher

from ..reports.records import record_of

STRIP = ["starttls/strip[enforce]", "starttls/strip[testing]", "starttls/strip[none]", "starttls/strip[absent]"]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_shipped_catalogue()


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [case.id for case in cases]


def test_an_obligation_selects_the_cases_that_expect_it(catalogue: Catalogue) -> None:
    found = choose_cases(catalogue, ["STS-5-03"], [])
    assert "starttls/strip[enforce]" in ids(found)
    assert "starttls/strip[testing]" not in ids(found)
    for case in found:
        scenario = catalogue.scenario(case.scenario)
        assert "STS-5-03" in obligations_of(case) or "STS-5-03" in scenario.requirements
    both = choose_cases(catalogue, ["STS-5-03", "policy"], [])
    assert set(ids(found)) | set(ids(choose_cases(catalogue, ["policy"], []))) == set(ids(both))
    assert set(ids(found)) < set(ids(choose_cases(catalogue, ["STS-5-*"], [])))


def test_a_level_narrows_a_selection(catalogue: Catalogue) -> None:
    must = choose_cases(catalogue, ["starttls/strip"], [], ["MUST", "MUST NOT"])
    assert "starttls/strip[enforce]" in ids(must)
    assert len(choose_cases(catalogue, [], [], ["SHOULD"])) < len(catalogue.cases)


def _run(folder: Path, cases: list[Case], verdicts: dict[str, str], **header: Any) -> Path:
    record = record_of([], cases)
    lines = (msgspec.structs.replace(record.header, **header), *record.events, record.footer)
    folder.mkdir(exist_ok=True)
    (folder / "record.jsonl").write_bytes(b"".join(map(encoded, lines)))
    document = {"cases": [{"id": case, "verdict": verdict} for case, verdict in verdicts.items()]}
    (folder / "verdicts.json").write_text(json.dumps(document))
    return folder


def test_since_a_run_selects_what_is_new_changed_or_unproved(catalogue: Catalogue, tmp_path: Path) -> None:
    cases = [catalogue.cases[name] for name in STRIP]
    altered = [replace(cases[0], degrades=not cases[0].degrades), *cases[1:]]
    verdicts = {STRIP[0]: "pass", STRIP[1]: "fail", STRIP[2]: "inconclusive", STRIP[3]: "pass"}
    run = _run(tmp_path, altered, verdicts)
    new = ids(choose_cases(catalogue, ["starttls/mask"], []))
    found = ids(choose_cases(catalogue, ["starttls/strip", "starttls/mask"], [], (), run))
    assert sorted(found) == sorted([STRIP[0], STRIP[2], *new])


def test_since_a_run_selects_what_is_compared_with_another_control_case(catalogue: Catalogue, tmp_path: Path) -> None:
    cases = [catalogue.cases[name] for name in STRIP]
    altered = [*cases[:3], replace(cases[3], degrades=not cases[3].degrades)]
    run = _run(tmp_path, altered, dict.fromkeys(STRIP, "pass"))
    assert ids(choose_cases(catalogue, ["starttls/strip"], [], (), run)) == STRIP


def test_since_a_run_selects_what_its_target_did_not_claim(catalogue: Catalogue, tmp_path: Path) -> None:
    """A target that claims it by now would never be judged by it."""
    run = _run(
        tmp_path, [catalogue.cases[name] for name in STRIP], dict.fromkeys(STRIP, "pass") | {STRIP[1]: "unsupported"}
    )
    assert ids(choose_cases(catalogue, ["starttls/strip"], [], (), run)) == [STRIP[1]]


def test_what_another_target_proved_is_not_proved(catalogue: Catalogue, tmp_path: Path) -> None:
    folder = _run(tmp_path, [catalogue.cases[STRIP[0]]], {STRIP[0]: "pass"})
    assert what_is_tested(read_record(folder / "record.jsonl").header.command) == ("--target postfix",)
    check_same_target(folder, ["sts-lab", "run", "--target=postfix", "--mode", "enforce"], "")
    with pytest.raises(UsageError, match=r"that run was of --target postfix, and this one is of the reference sender"):
        check_same_target(folder, ["sts-lab", "run"], "")


def test_what_was_proved_with_other_files_is_not_proved(catalogue: Catalogue, tmp_path: Path) -> None:
    main_cf = tmp_path / "main.cf"
    main_cf.write_text("relayhost =\n")
    command = ("sts-lab", "run", "--target", "postfix", "--config", str(main_cf))
    request = RunRequest((STRIP[0], STRIP[1]), target="postfix", config=(str(main_cf),), command=command)
    before = find_target_for(request).own_files
    cases = [catalogue.cases[STRIP[0]], catalogue.cases[STRIP[3]]]
    folder = _run(tmp_path, cases, {STRIP[0]: "pass", STRIP[3]: "pass"}, command=command, own_files=before)
    since = replace(request, since=str(folder))
    assert ids(cases_of(since, catalogue)) == [STRIP[1]]
    main_cf.write_text("relayhost = [mx]\n")
    with pytest.raises(UsageError, match=r"\[files\] of target.toml\) are not what they were in that run"):
        cases_of(since, catalogue)
    older = _run(tmp_path / "older", [catalogue.cases[STRIP[0]]], {STRIP[0]: "pass"}, command=command)
    with pytest.raises(UsageError, match=r"that run does not say what the files .* were; play it again"):
        cases_of(replace(request, since=str(older)), catalogue)


def test_a_run_says_what_it_leaves_out_since_another_one(tmp_path: Path) -> None:
    said: list[str] = []
    first = run(RunRequest((STRIP[0],), out=tmp_path))  # and its control, the last
    again = run(RunRequest(("starttls/strip",), out=tmp_path, since=str(first.folder)), Watcher(say=said.append))
    assert ids(again.record.header.cases) == STRIP[1:]  # the last as their control
    assert said == [
        f"left out: 2 of 4 selected cases, which {first.folder} proved (2 pass). "
        "What was changed in the mail server since then is not tested by them"
    ]


def test_nothing_is_left_out_that_another_version_of_the_lab_proved(catalogue: Catalogue, tmp_path: Path) -> None:
    cases = [catalogue.cases[name] for name in STRIP]
    run = _run(tmp_path, cases, dict.fromkeys(STRIP, "pass"), versions={"mta-sts-lab": "0.0.9"})
    found = choose_cases(catalogue, ["starttls/strip"], [], (), run)
    assert ids(found) == STRIP
    assert left_out_since(run, cases, STRIP) == (
        f"left out: none of 4 selected cases. {run} was played by mta-sts-lab 0.0.9, and this is {__version__}, "
        "whose attacks and checks may be others"
    )


def test_a_run_that_proved_nothing_leaves_nothing_out(catalogue: Catalogue, tmp_path: Path) -> None:
    cases = [catalogue.cases[name] for name in STRIP]
    run = _run(tmp_path, cases, dict.fromkeys(STRIP, "inconclusive"))
    said = f"left out: none of 4 selected cases: {run} proved none of them as they are now"
    assert left_out_since(run, cases, STRIP) == said


def test_nothing_changed_is_said(catalogue: Catalogue, tmp_path: Path) -> None:
    cases = [catalogue.cases[name] for name in STRIP]
    run = _run(tmp_path, cases, dict.fromkeys(STRIP, "fail"))
    with pytest.raises(NothingSelected, match="nothing that is selected is new or changed since"):
        choose_cases(catalogue, ["starttls/strip"], [], (), run)
