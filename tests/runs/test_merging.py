"""Runs of the same target are joined into one; what does not belong together is refused."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from mta_sts_lab.record import RecordFile
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.target_log import TargetLog
from mta_sts_lab.reports.verdicts_reading import read_verdicts
from mta_sts_lab.runs import RunRequest, RunResult, judge_run, load_shipped_catalogue, merge, run
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.joining import write_joined
from mta_sts_lab.runs.writing import target_log

CATALOGUE = load_shipped_catalogue()
STRIP = "starttls/strip"


def played(out: Path, *selection: str, flaws: tuple[str, ...] = ()) -> RunResult:
    # The same seed, as shards of one run have it: the same names and tokens are in each of them.
    return run(RunRequest(selection, out=out, seed=7, flaws=flaws), catalogue=CATALOGUE)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, RunResult]:
    out = tmp_path_factory.mktemp("runs")
    return (
        played(out, f"{STRIP}[enforce]", flaws=("ignores_policy",)),
        played(out, f"{STRIP}[testing]", "policy/max-age-lapses", flaws=("ignores_policy",)),
    )


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, ...]:
    out = tmp_path_factory.mktemp("halves")
    requests = [RunRequest((STRIP, "mx/forged-mx"), out=out, shard=(number, 2)) for number in (1, 2)]
    return tuple(run(request, catalogue=CATALOGUE) for request in requests)


def with_header(folder: Path, copy: Path, **members: object) -> Path:
    """Copy the folder of a run, and change some members of its header."""
    shutil.copytree(folder, copy)
    path = copy / "record.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps(json.loads(first) | members) + "\n", *others]))
    return copy


def test_each_case_is_judged_as_in_its_own_run(shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
    one, two = shards
    merged = merge([one.folder, two.folder], tmp_path / "merged", CATALOGUE)
    found = {
        verdict.case: (verdict.grade, verdict.control_only, len(verdict.judgements)) for verdict in merged.verdicts
    }
    expected = {
        verdict.case: (verdict.grade, verdict.control_only, len(verdict.judgements))
        for shard in shards
        for verdict in shard.verdicts
    }
    assert found == expected
    assert merged.verdicts[0].grade.value == "fail"
    assert merged.summary.cases == one.summary.cases + two.summary.cases
    assert merged.summary.exit_code == 1


def test_it_is_the_folder_of_a_run(shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
    folders = [shard.folder for shard in shards]
    merged = merge(folders, tmp_path / "merged", CATALOGUE)
    record = read_record(tmp_path / "merged" / "record.jsonl")
    assert [event.number for event in record.events] == list(range(1, len(record.events) + 1))
    assert record.footer.complete
    assert [part.run for part in (one.header for one in record.runs())] == [folder.name for folder in folders]
    judged = read_verdicts(tmp_path / "merged" / "verdicts.json")
    assert (judged.run, judged.verdicts) == ("merged", read_verdicts(tmp_path / "merged" / "verdicts.json").verdicts)
    assert (tmp_path / "merged" / "junit.xml").exists()
    log = (tmp_path / "merged" / "target" / "log.txt").read_text()
    assert all(f"--- {folder.name}" in log for folder in folders)
    assert judge_run(tmp_path / "merged", CATALOGUE).verdicts == merged.verdicts
    evidence = {number for verdict in merged.verdicts for one in verdict.judgements for number in one.evidence}
    assert evidence <= {event.number for event in record.events}


def test_the_log_of_each_run_is_about_its_own_cases(shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
    merged = merge([shard.folder for shard in shards], tmp_path / "merged", CATALOGUE)
    joined = TargetLog.of(target_log(merged.folder), merged.record)
    alone = [TargetLog.of(target_log(shard.folder), shard.record) for shard in shards]
    for case, lines in {case: lines for log in alone for case, lines in log.by_case.items()}.items():
        assert lines
        assert joined.by_case[case] == lines
    (enforce,) = [verdict for verdict in merged.verdicts if verdict.case == f"{STRIP}[enforce]"]
    assert joined.quoted(enforce.case, "attack") == alone[0].quoted(enforce.case, "attack") != ()
    document = html.unescape((merged.folder / "junit.xml").read_text())
    assert all(f"\nits log: {line}" in document for line in joined.quoted(enforce.case, "attack"))


def test_merged_runs_can_be_merged(shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
    third = played(tmp_path, f"{STRIP}[none]", flaws=("ignores_policy",))
    pair = merge([shard.folder for shard in shards], tmp_path / "pair", CATALOGUE)
    three = merge([pair.folder, third.folder], tmp_path / "three", CATALOGUE)
    assert len(three.record.runs()) == 3
    assert [verdict.grade for verdict in three.verdicts[: len(pair.verdicts)]] == [one.grade for one in pair.verdicts]


class TestRefused:
    def test_a_case_in_two_runs(self, shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
        again = played(tmp_path, f"{STRIP}[enforce]", flaws=("ignores_policy",))
        with pytest.raises(UsageError, match=r"strip\[enforce\] was selected in .*, too; each case may be in one run"):
            merge([shards[0].folder, again.folder], tmp_path / "merged")
        assert not (tmp_path / "merged").exists()

    def test_a_case_in_two_runs_that_one_of_them_also_has_as_a_control_case(self, tmp_path: Path) -> None:
        control, protected = (played(tmp_path, f"{STRIP}[{mode}]") for mode in ("absent", "enforce"))
        both = merge([control.folder, protected.folder], tmp_path / "both", CATALOGUE)
        with pytest.raises(UsageError, match=r"strip\[absent\] was selected in .*, too"):
            merge([both.folder, played(tmp_path, f"{STRIP}[absent]").folder], tmp_path / "merged")

    def test_another_target(self, shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
        other = played(tmp_path, f"{STRIP}[none]")
        with pytest.raises(
            UsageError, match=r"the target is not the same as in .*reference.* and reference \(ignores_policy\)"
        ):
            merge([shards[0].folder, other.folder], tmp_path / "merged")

    def test_another_version_of_the_lab(self, shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
        with_header(shards[1].folder, tmp_path / "older", versions={"mta-sts-lab": "0.0.1"})
        with pytest.raises(UsageError, match=r"older: the lab is not the same as in .* \(0\.0\.1 and "):
            merge([shards[0].folder, tmp_path / "older"], tmp_path / "merged")

    def test_other_known_failures(self, shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
        shutil.copytree(shards[1].folder, tmp_path / "other")
        (tmp_path / "other" / "target" / "known-failures.toml").write_text("# something\n")
        with pytest.raises(UsageError, match="the known failures are not the same"):
            merge([shards[0].folder, tmp_path / "other"], tmp_path / "merged")

    def test_another_catalogue(self, shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
        changed = with_header(shards[1].folder, tmp_path / "changed", catalogue="0123")
        with pytest.raises(UsageError, match=r"changed: the catalogue is not the same as in .* \(0123 and "):
            merge([shards[0].folder, changed], tmp_path / "merged")

    def test_another_configuration_of_the_target(self, shards: tuple[RunResult, RunResult], tmp_path: Path) -> None:
        typed = ["sts-lab", "run", "--config", "./mine"]
        other = with_header(shards[1].folder, tmp_path / "other", command=typed)
        with pytest.raises(UsageError, match=r"other: what is tested is not the same .*--config ./mine and the ref"):
            merge([shards[0].folder, other], tmp_path / "merged")

    def test_files_of_the_target_that_were_changed_meanwhile(
        self, shards: tuple[RunResult, RunResult], tmp_path: Path
    ) -> None:
        other = with_header(shards[1].folder, tmp_path / "other", own_files="0123")
        with pytest.raises(UsageError, match=r"other: the files that were laid over the target .* are not the same as"):
            merge([shards[0].folder, other], tmp_path / "merged")

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no runs were given"):
            merge([], tmp_path / "merged")


class TestShards:
    def test_they_come_to_one_run(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        merged = merge([half.folder for half in halves], tmp_path / "merged", CATALOGUE)
        expected = {case.id for case in CATALOGUE.find((STRIP, "mx/forged-mx"))}
        assert {verdict.case for verdict in merged.verdicts} == expected
        assert merged.record.header.shard is None
        assert merged.summary.exit_code == 0

    def test_a_case_that_shows_the_clock_counts_in_the_shard_that_selected_it(self, tmp_path: Path) -> None:
        """Each shard that moves the clock plays it, most of them for others alone."""
        selection = ("policy/max-age-lapses", "policy/late-in-life", "policy/renewed-in-time", "queue/given-up")
        requests = [RunRequest(selection, out=tmp_path, shard=(number, 2)) for number in (1, 2)]
        parts = [run(request, catalogue=CATALOGUE) for request in requests]
        shown = next(case for case in CATALOGUE.cases.values() if case.shows_the_clock).id
        assert all(shown in _cases(part) for part in parts)
        merged = merge([part.folder for part in parts], tmp_path / "merged", CATALOGUE)
        assert {verdict.case for verdict in merged.verdicts} == {case.id for case in CATALOGUE.find(selection)}

    def test_cases_that_were_played_again_count_once(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        number = next(number for number, half in enumerate(halves) if f"{STRIP}[enforce]" in _cases(half))
        again = played(tmp_path / "again", f"{STRIP}[enforce]")
        shutil.copytree(halves[number].folder, tmp_path / "twice")
        first = halves[number].record
        with RecordFile(tmp_path / "twice" / "record.jsonl") as file:
            write_joined(file, [first, again.record], first.header, complete=True)
        folders = [tmp_path / "twice", halves[1 - number].folder]
        merged = merge(folders, tmp_path / "merged", CATALOGUE)
        assert merged.summary.cases == 8
        assert merged.summary.exit_code == 0

    def test_one_is_missing(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"shard 2/2 is missing: .* --partial"):
            merge([halves[0].folder], tmp_path / "merged")
        assert not (tmp_path / "merged").exists()
        some = merge([halves[0].folder], tmp_path / "some", CATALOGUE, partial=True)
        assert not some.record.footer.complete
        assert some.summary.exit_code == 4

    def test_one_is_there_twice(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        again = run(RunRequest((STRIP, "mx/forged-mx"), out=tmp_path, shard=(1, 2)), catalogue=CATALOGUE)
        with pytest.raises(UsageError, match=r"shard 1/2 is in .* already"):
            merge([*(half.folder for half in halves), again.folder], tmp_path / "merged")

    def test_they_are_of_two_selections(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        other = with_header(halves[1].folder, tmp_path / "other", shard=_shard(halves[1], digest="0123"))
        with pytest.raises(UsageError, match="other: a shard of another selection than"):
            merge([halves[0].folder, other], tmp_path / "merged")

    def test_they_are_of_two_totals(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        third = with_header(halves[1].folder, tmp_path / "third", shard=_shard(halves[1], total=3))
        with pytest.raises(UsageError, match=r"third: a shard of 3, and .* is one of 2"):
            merge([halves[0].folder, third], tmp_path / "merged")

    def test_they_were_divided_by_different_times(self, halves: tuple[RunResult, ...], tmp_path: Path) -> None:
        more = [
            with_header(half.folder, tmp_path / f"more{number}", shard=_shard(half, cases=9))
            for number, half in enumerate(halves)
        ]
        with pytest.raises(UsageError, match=r"come to 8 of 9 cases: they were not divided by the same --times"):
            merge(more, tmp_path / "merged")


def _cases(result: RunResult) -> set[str]:
    return {case.id for case in result.record.header.cases}


def _shard(result: RunResult, **members: object) -> dict[str, object]:
    shard = result.record.header.shard
    assert shard is not None
    return {**msgspec.to_builtins(shard), **members}
