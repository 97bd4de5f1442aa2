"""`sts-lab report-check` as its users call it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.cli.commands import app
from typer.testing import CliRunner, Result

from .builder import KEY_NAME, Mail, changed, good, key_record, text

GOOD = Mail().octets()
BAD = text(changed(lambda report: report.update({"contact-info": None})))
NOTED = text(changed(lambda report: report.update(policies=[])))


def _check(*arguments: str, standard_input: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["report-check", *arguments], input=standard_input, env={"COLUMNS": "80"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "good.eml": GOOD,
        "bad.json": BAD,
        "noted.json": NOTED,
        "empty": b"",
        "noise": b"\x00\x01\x02",
        "letter.eml": b"From: a@b.example\nSubject: lunch?\n\nAt noon.\n",
        "deep.json": b'{"a":' + b"[" * 99,
        "dmarc.xml": b"<?xml version='1.0'?><feedback></feedback>",
        "other.json": b'{"Organization-Name": "a"}',
    }
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["good.eml"], 0),
        (["noted.json"], 0),
        (["bad.json"], 1),
        (["noise"], 2),
        (["missing"], 2),
        (["."], 1),
        (["deep.json"], 2),
        (["empty"], 2),
        (["letter.eml"], 2),
        (["good.eml", "letter.eml"], 0),
        (["good.eml", "empty"], 2),
        (["good.eml", "empty", "noise"], 2),
        (["noise", "empty", "bad.json"], 1),
        (["good.eml", "noise"], 2),
        (["good.eml", "other.json"], 2),
        (["good.eml", "dmarc.xml"], 0),
        (["noise", "bad.json"], 1),
    ],
)
def test_exit_status(folder: Path, names: list[str], status: int) -> None:
    arguments = [str(folder / name) for name in names]
    shown = _check(*arguments)
    assert shown.exit_code == status
    assert "Traceback" not in shown.output
    document = json.loads(_check("--json", *arguments).stdout)
    assert document["exit_code"] == status
    assert len(document["reports"]) == (9 if names == ["."] else len(names))


def _zip(path: Path, **members: bytes) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
        archive.mkdir("folder")
    return str(path)


def test_a_named_archive_has_to_hold_a_report_or_mail(folder: Path) -> None:
    report = str(folder / "good.eml")
    assert _check(report, _zip(folder / "a.zip", readme=b"read me", report=GOOD)).exit_code == 0
    assert _check(report, _zip(folder / "b.zip", letter=(folder / "letter.eml").read_bytes())).exit_code == 0
    for none in (_zip(folder / "c.zip", readme=b"read me"), _zip(folder / "d.zip")):
        shown = _check(report, none)
        assert shown.exit_code == 2
        assert "Not every file that was named holds reports or mail." in " ".join(shown.output.split())


def test_in_a_folder_other_files_are_passed_over(tmp_path: Path) -> None:
    for name, octets in {"good.eml": GOOD, "noise": b"\x00\x01\x02", "other.json": b'{"a": 1}'}.items():
        (tmp_path / name).write_bytes(octets)
    _zip(tmp_path / "empty.zip")
    assert _check(str(tmp_path)).exit_code == 0


def test_in_a_folder_text_that_only_begins_like_json_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_bytes(b"[section]\na = 1\n")
    assert _check(str(tmp_path)).exit_code == 2  # no report in it
    assert "no JSON" in _check(str(tmp_path)).output
    assert _check(str(tmp_path / "a.ini")).exit_code == 1  # who names it wants a report in it
    for name, octets in {
        "cut": b'{"organization-name": "x", ',
        "quotes": b"{'organization-name': 'x'}",
        "packed": gzip.compress(b"{'a': "),
        "mail.eml": b"Content-Type: application/tlsrpt+json\r\n\r\n{'a': ",
    }.items():
        (tmp_path / name).write_bytes(octets)
        assert _check(str(tmp_path)).exit_code == 1, name
        (tmp_path / name).unlink()


def test_a_block_says_which_rule_where_and_how_bad(folder: Path) -> None:
    shown = _check(str(folder / "bad.json")).output
    for words in (
        "FAIL  members-have-their-types (null)",
        "RFC 8460, section 4.4 (RPT-4.4-04):",
        "where       contact-info",
        "observed    null",
        "1 report: 1 fail.",
    ):
        assert words in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_what_is_not_judged_is_listed_on_demand(folder: Path) -> None:
    path = str(folder / "bad.json")
    shown = " ".join(_check("--verbose", path).output.split())
    assert "not judged needs the record of sessions: RPT-4.2.1-01, RPT-4.3.1-01" in shown
    assert "not judged this is not a mail message: DKIM-3.5-01" in shown
    assert "not judged" not in _check(path).output


def test_json_has_everything_and_nothing_else(folder: Path) -> None:
    (report,) = json.loads(_check("--json", str(folder / "bad.json")).stdout)["reports"]
    (finding,) = report["findings"]
    assert finding["obligation"] == "RPT-4.4-04"
    assert (finding["grade"], finding["level"], finding["reason"], finding["where"]) == (
        "fail",
        "DEFN",
        "null",
        "contact-info",
    )
    assert report["kind"] == "json"
    assert {"obligation": "RPT-4.3.1-01", "reason": "needs the record of sessions", "in_part": False} in report[
        "not_judged"
    ]


def test_standard_input() -> None:
    assert _check("-", standard_input=GOOD).exit_code == 0
    assert _check("-", standard_input=BAD).exit_code == 1


def test_a_key_that_is_given_is_used(folder: Path) -> None:
    path, key = str(folder / "good.eml"), f"{KEY_NAME}={key_record().decode()}"
    assert "the signature was not verified" in " ".join(_check("-v", path).output.split())
    assert "the signature was not verified" not in " ".join(_check("-v", path, "--dkim-key", key).output.split())
    forged = folder / "forged.eml"
    forged.write_bytes(GOOD.replace(b"programs", b"machines"))
    shown = _check(str(forged), "--dkim-key", key)
    assert shown.exit_code == 1
    assert "invalid-signature" in shown.output
    other = _check("-v", path, "--dkim-key", key.replace("reports.", "other."))
    assert other.exit_code == 0
    assert "is not known" in " ".join(other.output.split())


def test_a_key_that_is_not_written_as_one_is_refused(folder: Path) -> None:
    command = [sys.executable, "-m", "mta_sts_lab", "report-check", str(folder / "good.eml"), "--dkim-key", "nonsense"]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("sts-lab: --dkim-key nonsense")


def test_a_posted_body_is_judged_by_its_media_type(folder: Path) -> None:
    (folder / "body").write_bytes(text(good()))
    shown = _check(str(folder / "body"), "--media-type", "application/tlsrpt+gzip")
    assert shown.exit_code == 1
    assert "RPT-5.4-02" in shown.output
    assert "RPT-5.2-01" in shown.output


def test_the_name_of_a_file_is_judged_where_it_looks_like_a_reports(folder: Path) -> None:
    path = folder / "z.example!a.example!1772409600!1772495999.json"
    path.write_bytes(text(good()))
    assert "sender-differs" in _check(str(path)).output


def test_no_file_is_wrong_usage() -> None:
    assert _check().exit_code == 2


def test_foreign_text_cannot_reach_the_terminal(folder: Path) -> None:
    def change(report: dict[str, Any]) -> None:
        report["organization-name"] = "\x1b[2J\u202e[bold]evil"
        report["contact-info"] = "\x1b]0;x\x07\ud800"
        report["policies"][0]["policy"]["policy-domain"] = "a\r\nb[/red]"

    path = folder / "evil\u202e.json"
    path.write_bytes(json.dumps(changed(change)).encode())
    shown = _check(str(path)).output
    assert not set(shown) & {"\x1b", "\u202e", "\x07", "\r"}
    assert "[bold]evil" in shown
    json.loads(_check("--json", str(path)).stdout.encode("utf-8"))


def test_equal_findings_are_told_once_and_counted(folder: Path) -> None:
    def change(report: dict[str, Any]) -> None:
        entry = {
            "result-type": "certificate-not-trusted",
            "sending-mta-ip": "192.0.2.1",
            "receiving-ip": "192.0.2.2",
            "failed-session-count": 1,
        }
        details = report["policies"][0]["failure-details"]
        details += [entry | {"receiving-mx-hostname": f"mx{number}.a.example"} for number in range(9)]

    path = folder / "many.json"
    path.write_bytes(text(changed(change)))
    shown = " ".join(_check(str(path)).output.split())
    assert shown.count("(no-reason)") == 1
    assert "failure-details[3].failure-reason-code" in shown
    assert "and 6 more" in shown


def test_help_loads_neither_the_grader_nor_the_verifier() -> None:
    code = "import sys, mta_sts_lab.cli.commands; print([name for name in ('mta_sts_lab.tlsrpt', 'dkim', 'rich.console') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mta_sts_lab.tlsrpt" not in ended.stdout
    assert "dkim" not in ended.stdout
