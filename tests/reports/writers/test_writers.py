"""The registry of writers: every file of a run comes from one, and a new format is one new file."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import EarlierPlay
from mta_sts_lab.reports import writers
from mta_sts_lab.reports.writers import JudgedRecord, write_all, write_files
from mta_sts_lab.reports.writers.mitm import flow_files, mitm_name

from ..records import REQUIREMENTS, strip_record, strip_verdicts

_RECORD = strip_record(leaking_enforce=True)
_JUDGED = JudgedRecord(_RECORD, strip_verdicts(_RECORD, leaking_enforce=True), REQUIREMENTS)

_NEW_FORMAT = """
from mta_sts_lab.reports.writers import writer

@writer
def count(judged):
    yield "extra/count.txt", str(len(judged.verdicts)).encode()
"""


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_verdicts_junit_and_a_flow_file_for_each_case_that_did_not_pass(tmp_path: Path) -> None:
    write_all(tmp_path, _JUDGED)
    failed = [mitm_name(verdict.case) for verdict in _JUDGED.verdicts if verdict.grade is not Grade.PASS]
    assert failed == ["starttls.strip.enforce.mitm"]
    assert _files(tmp_path) == {"verdicts.json", "junit.xml", "findings.sarif", f"flows/{failed[0]}"}


def test_a_case_that_was_played_again_has_the_flows_of_its_last_play(tmp_path: Path) -> None:
    earlier = (EarlierPlay("an earlier run", Grade.INCONCLUSIVE, ("no-lookup",)),)
    again = [replace(verdict, earlier=earlier) for verdict in _JUDGED.verdicts]
    write_all(tmp_path, replace(_JUDGED, verdicts=again))
    assert len(list((tmp_path / "flows").iterdir())) == len(again)


def test_all_flows_can_be_written_from_the_record(tmp_path: Path) -> None:
    write_files(tmp_path, flow_files(_RECORD))
    modes = ("enforce", "testing", "none", "absent")
    assert _files(tmp_path) == {f"flows/starttls.strip.{mode}.mitm" for mode in modes}


def test_a_new_format_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "count.py").write_text(_NEW_FORMAT)
    monkeypatch.setattr(writers, "_WRITERS", writers.writers())
    monkeypatch.setattr(writers, "__path__", [*writers.__path__, str(tmp_path / "code")])
    monkeypatch.setitem(sys.modules, "mta_sts_lab.reports.writers.count", sys)
    monkeypatch.delitem(sys.modules, "mta_sts_lab.reports.writers.count")
    write_all(tmp_path / "run", _JUDGED)
    assert (tmp_path / "run" / "extra" / "count.txt").read_text() == "4"
    assert list(writers.writers()) == ["count", "junit", "mitm", "sarif", "verdicts_json"]


def test_a_name_can_be_taken_only_once() -> None:
    def junit(judged: JudgedRecord) -> None:
        raise AssertionError(judged)

    with pytest.raises(ValueError, match=r"junit is defined twice: in mta_sts_lab\.reports\.writers\.junit"):
        writers.writers(), writers.writer(junit)  # type: ignore[arg-type]
