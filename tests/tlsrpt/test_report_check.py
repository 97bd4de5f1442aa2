"""What people learn from `sts-lab report-check`: failures first, hints, sums over many reports, JSON and HTML."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mta_sts_lab.cli.commands import app
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.rfc.result_types import RESULT_MEANINGS, RESULT_TYPES
from mta_sts_lab.tlsrpt.checking import Checked, Input, Options, check_inputs, summary_of
from mta_sts_lab.tlsrpt.files import DMARC
from mta_sts_lab.tlsrpt.limits import LONGEST_CALL
from typer.testing import CliRunner, Result

from .builder import Mail, changed, good, text

#: 4 March 2026, noon UTC: the day of the good report is over.
NOW = 1772625600.0
STS = "policies[0].policy"


def _checked(*files: bytes, now: float = NOW) -> tuple[Checked, ...]:
    inputs = [Input(f"file {number}", octets) for number, octets in enumerate(files, start=1)]
    return check_inputs(inputs, load_requirements(), Options(now=now))


def _hints(octets: bytes, now: float = NOW) -> list[tuple[str, str, Grade, str]]:
    (one,) = _checked(octets, now=now)
    return [(found.obligation, found.reason, found.grade, found.observed) for found in one.findings]


def _policy(report: dict[str, Any], number: int = 0) -> dict[str, Any]:
    policy: dict[str, Any] = report["policies"][number]["policy"]
    return policy


def _with(change: Callable[[dict[str, Any]], object]) -> bytes:
    return text(changed(change))


class TestHints:
    def test_a_good_report_needs_none(self) -> None:
        assert _hints(text(good())) == []
        assert [reason for _, reason, _, _ in _hints(Mail().octets())] == []

    def test_a_range_that_is_not_over(self) -> None:
        ((obligation, reason, grade, observed),) = _hints(text(good()), now=1772409600 + 3600)
        assert (obligation, reason, grade) == ("RPT-4.1-01", "range-not-over", Grade.WEAK)
        assert observed == "2026-03-02 23:59 UTC, and it is now 2026-03-02 01:00 UTC"

    def test_a_report_from_the_future(self) -> None:
        assert [reason for _, reason, _, _ in _hints(text(good()), now=1700000000.0)] == ["range-not-begun"]

    def test_a_range_that_was_not_over_when_the_mail_was_written(self) -> None:
        early = Mail(signed_by=None).octets().replace(b"Date: Tue, 03 Mar", b"Date: Mon, 02 Mar")
        found = {reason: observed for _, reason, _, observed in _hints(early)}
        assert found["range-not-over"].endswith("its Date is 2026-03-02 00:10 UTC")
        assert "range-not-over" not in {reason for _, reason, _, _ in _hints(Mail().octets())}

    def test_a_date_of_an_unknown_zone_is_one_in_utc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            late = Mail(signed_by=None).octets().replace(b"00:10:00 +0000", b"00:10:00 -0000")
            assert "range-not-over" not in {reason for _, reason, _, _ in _hints(late)}
            early = late.replace(b"Tue, 03 Mar 2026 00:10", b"Mon, 02 Mar 2026 20:10")
            assert "range-not-over" in {reason for _, reason, _, _ in _hints(early)}
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_repeated_policy_lines(self) -> None:
        octets = _with(lambda report: _policy(report)["policy-string"].append("mode: testing"))
        assert _hints(octets) == [("RPT-4.5-02", "lines-repeated", Grade.INFO, '"mode: testing" more than once')]

    @pytest.mark.parametrize(
        ("record", "hint"), [("3 1 1 abcd", True), ("3 1 2 " + "ab" * 64, False), ("3 1 0 abcd", False)]
    )
    def test_a_tlsa_record_of_the_wrong_length(self, record: str, hint: bool) -> None:
        octets = _with(lambda report: _policy(report, 1).update({"policy-string": [record]}))
        expected = [("RPT-4.5-01", "digest-length", Grade.INFO, '2 octets in "3 1 1 abcd"')]
        assert _hints(octets) == (expected if hint else [])

    def test_the_name_of_a_tlsa_record_as_policy_domain(self) -> None:
        octets = _with(lambda report: _policy(report, 1).update({"policy-domain": "_25._tcp.mx.b.example"}))
        assert [(reason, grade) for _, reason, grade, _ in _hints(octets)] == [("name-of-tlsa-record", Grade.INFO)]

    def test_names_of_early_drafts(self) -> None:
        def change(report: dict[str, Any]) -> None:
            first = report["policies"][0]["failure-details"][0]
            first["session-count"] = first.pop("failed-session-count")
            first["additional-info-uri"] = first.pop("additional-information")

        found = {reason: observed for _, reason, _, observed in _hints(_with(change))}
        assert found["missing"] == 'absent; instead there is "session-count", its name in an early draft'
        assert found["draft-name"] == '"additional-info-uri"'

    def test_unknown_members_beside_missing_ones(self) -> None:
        octets = _with(lambda report: report.update(report_id=report.pop("report-id")))
        assert _hints(octets) == [("RPT-4.4-05", "missing", Grade.FAIL, 'absent; instead there is "report_id"')]

    def test_members_of_policy_that_stand_too_high(self) -> None:
        octets = _with(lambda report: report["policies"][2].update(report["policies"][2].pop("policy")))
        ((_, _, _, observed),) = _hints(octets)
        assert observed == "absent; its members stand beside summary instead"

    def test_an_absent_member_is_called_absent(self) -> None:
        octets = _with(lambda report: _policy(report).pop("mx-host"))
        assert _hints(octets) == [("RPT-4.4-10", "mx-host-not-the-policys", Grade.FAIL, "mx-host is absent")]

    def test_a_last_delimiter_without_its_hyphens_is_one_finding(self) -> None:
        octets = Mail(signed_by=None).octets().replace(b"--=_limit--", b"--=_limit")
        assert [reason for _, reason, _, _ in _hints(octets)] == ["not-closed", "no-signature"]


class TestTogether:
    def test_two_reports_under_one_id_are_noticed(self) -> None:
        other = _with(lambda report: report["policies"].pop())
        first, second = _checked(text(good()), other)
        assert first.findings == ()
        ((check, grade, observed),) = [(found.check, found.grade, found.observed) for found in second.findings]
        assert (check, grade) == ("report-ids-are-unique", Grade.FAIL)
        assert observed == '"20260302.a.example@sender.example" is also the id of another report, in file 1'

    def test_the_same_report_again_is_no_fault_and_counts_once(self) -> None:
        first, second = _checked(text(good()), Mail().octets())
        assert (first.copy_of, second.copy_of, second.findings) == ("", "file 1", ())
        assert summary_of([first, second]).reports == 1

    def test_other_senders_may_have_the_same_id(self) -> None:
        other = _with(lambda report: report.update({"organization-name": "Another"}))
        assert [one.findings for one in _checked(text(good()), other)] == [(), ()]

    def test_a_report_that_was_cut_is_no_other_report(self) -> None:
        assert [found.reason for found in _checked(text(good()), text(good())[:-10])[1].findings] == ["cut-short"]

    def test_failures_are_added_up_by_type_and_host(self) -> None:
        def next_day(report: dict[str, Any]) -> None:
            report["date-range"] = {"start-datetime": "2026-03-03T00:00:00Z", "end-datetime": "2026-03-03T23:59:59Z"}
            report["report-id"] = "20260303@sender.example"

        total = summary_of(_checked(text(good()), _with(next_day)))
        assert (total.reports, total.senders) == (2, ("Sender Incorporated",))
        assert total.days == ("2026-03-02", "2026-03-03")
        told = [(row.sessions, row.result_type, row.host, row.reason) for row in total.failures]
        assert told == [
            (4, "starttls-not-supported", "mx1.a.example", ""),
            (2, "certificate-not-trusted", "one.backup.a.example", "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT"),
            (2, "sts-policy-fetch-error", "", ""),
        ]
        domains = [(row.domain, row.policy_type, row.successful, row.failed, row.reports) for row in total.domains]
        assert domains == [
            ("a.example", "no-policy-found", 6, 0, 2),
            ("a.example", "sts", 20, 8, 2),
            ("mx.b.example", "tlsa", 10, 0, 2),
        ]

    def test_failures_without_details_are_not_lost(self) -> None:
        octets = _with(lambda report: report["policies"][0].pop("failure-details"))
        ((result, sessions),) = [(row.result_type, row.sessions) for row in summary_of(_checked(octets)).failures]
        assert (result, sessions) == ("no details given", 4)

    def test_every_result_type_is_explained(self) -> None:
        assert set(RESULT_MEANINGS) == set(RESULT_TYPES)

    def test_a_call_ends_in_time_and_says_what_it_left_out(self) -> None:
        ticks = iter([0.0, 1.0, LONGEST_CALL + 1])
        inputs = (Input(f"file {number}", text(good())) for number in range(9))
        found = check_inputs(inputs, load_requirements(), Options(now=NOW), lambda: next(ticks))
        assert len(found) == 3
        assert found[-1].unreadable.startswith("stopped after 600 seconds")

    @pytest.mark.parametrize("octets", [b'{"name": "something else"}', b"%PDF-1.7", b"<html></html>", b"\x00\x01"])
    def test_what_is_no_report_is_named_and_not_graded(self, octets: bytes) -> None:
        (one,) = _checked(octets)
        assert (bool(one.other), one.findings) == (True, ())

    def test_an_empty_file_is_a_matter_only_if_it_was_named(self) -> None:
        found = check_inputs([Input("a", b""), Input("b", b"", named=False)], load_requirements(), Options(now=NOW))
        assert [(bool(one.unreadable), bool(one.other)) for one in found] == [(True, False), (False, True)]

    def test_an_excerpt_is_told_kindly(self) -> None:
        excerpt = text({"policies": good()["policies"]})
        (one,) = _checked(excerpt)
        (remark,) = one.remarks
        assert remark.startswith(
            "this looks like an excerpt of a report: it has no organization-name and no date-range"
        )
        assert _checked(_with(lambda report: report.pop("report-id")))[0].remarks == ()


def _call(*arguments: str, columns: int = 80) -> Result:
    return CliRunner().invoke(app, ["report-check", *arguments], env={"COLUMNS": str(columns)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a good report by mail, one with a fault, other mail, and a DMARC report."""
    (tmp_path / "good.eml").write_bytes(Mail().octets())
    (tmp_path / "bad.json").write_bytes(
        _with(lambda report: report.update({"contact-info": None, "report-id": "b@x.example"}))
    )
    (tmp_path / "letter").write_bytes(b"From: a@b.example\nSubject: lunch?\n\nAt noon.\n")
    (tmp_path / "dmarc.xml").write_bytes(b"<feedback></feedback>")
    return tmp_path


class TestTerminal:
    def test_failures_come_first_with_host_reason_and_number(self, folder: Path) -> None:
        lines = _call(str(folder / "good.eml"), columns=100).output.splitlines()
        assert lines[0] == "Reported failures"
        shown = "\n".join(lines)
        found = re.search(r"\n +1  certificate-not-trusted +one.backup.a.example +a.example\n", shown)
        assert found
        assert "the certificate has no" in shown
        assert "X509_V_ERR_UNABLE_TO_GET_ISSUER_" in shown
        assert all(len(line) <= 100 and line == line.rstrip() for line in lines)

    def test_a_clean_report_prints_a_few_lines(self, folder: Path) -> None:
        quiet = folder / "quiet.json"
        quiet.write_bytes(_with(lambda report: report["policies"].__delitem__(slice(0, 2))))
        shown = _call(str(quiet), columns=100)
        assert shown.exit_code == 0
        assert len(shown.output.splitlines()) <= 12
        assert "RPT-" not in shown.output
        assert shown.output.startswith("No failures were reported, in 3 sessions.")
        assert "RPT-4.3.1-01" in _call("--verbose", str(quiet)).output

    def test_all_of_a_folder_is_read_and_other_things_are_counted(self, folder: Path) -> None:
        shown = _call(str(folder))
        assert shown.exit_code == 1
        assert f"NO REPORT  1 file or message: {DMARC}" in shown.output
        assert "a mail message, but not a TLS report" in shown.output
        assert "2 reports: 1 fail. At least one rule is not kept." in shown.output

    def test_an_unreadable_file_is_one_sentence_and_stops_nothing(self, folder: Path) -> None:
        shown = _call(str(folder / "none"), str(folder / "good.eml"))
        assert shown.exit_code == 2
        assert "UNREADABLE" in shown.output
        assert "starttls-not-supported" in shown.output

    def test_no_level_and_no_grade_stays_unexplained(self, folder: Path) -> None:
        shown = _call(str(folder)).output
        assert "DEFN" not in shown
        assert "(fail: a MUST was broken)" in shown

    def test_no_failures_are_claimed_where_a_count_is_missing(self, tmp_path: Path) -> None:
        def change(report: dict[str, Any]) -> None:
            del report["policies"][0]["failure-details"]
            del report["policies"][0]["summary"]["total-failure-session-count"]

        (tmp_path / "a.json").write_bytes(json.dumps(changed(change)).encode())
        shown = _call(str(tmp_path / "a.json"), "--html", str(tmp_path / "page.html")).output
        assert "No failures can be read, in 18 sessions; 1 block of a report lacks a count." in shown
        assert "No failures were reported" not in shown
        assert re.search(r"sts +10\? +\? +1 ", shown)
        assert "None that can be read; some report lacks a count." in (tmp_path / "page.html").read_text()
        document = json.loads(_call("--json", str(tmp_path / "a.json")).stdout)
        assert sorted(one["uncounted"] for one in document["summary"]["domains"]) == [0, 0, 1]

    def test_nothing_but_other_things_is_status_2(self, folder: Path) -> None:
        shown = _call(str(folder / "dmarc.xml"))
        assert shown.exit_code == 2
        assert "There is no TLS report in it." in shown.output

    def test_help_has_examples(self) -> None:
        shown = _call("--help").output
        assert "sts-lab report-check ~/Maildir" in shown
        assert "0 clean, 1 findings, 2" in shown


class TestJson:
    def test_it_has_content_failures_and_sums_and_keeps_to_its_schema(self, folder: Path) -> None:
        document = json.loads(_call("--json", str(folder), str(folder / "none")).stdout)
        schema = resources.files("mta_sts_lab.reports").joinpath("report-check.schema.json").read_text()
        jsonschema.Draft202012Validator(json.loads(schema)).validate(document)
        by_file = {Path(report["file"]).name: report for report in document["reports"]}
        failure = by_file["good.eml"]["content"]["policies"][0]["failures"][0]
        assert (failure["result_type"], failure["failed_session_count"]) == ("starttls-not-supported", 2)
        assert failure["meaning"] == "the host did not offer STARTTLS"
        assert by_file["dmarc.xml"]["unusable"] == DMARC
        assert document["summary"]["failures"][0]["sessions"] == 4

    def test_the_schema_refuses_another_version(self, folder: Path) -> None:
        document = json.loads(_call("--json", str(folder)).stdout) | {"version": 1}
        schema = resources.files("mta_sts_lab.reports").joinpath("report-check.schema.json").read_text()
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, json.loads(schema))


class TestPage:
    def test_it_shows_failures_domains_and_findings_and_runs_nothing(self, folder: Path) -> None:
        assert _call(str(folder), "--html", str(folder / "page.html")).exit_code == 1
        page = (folder / "page.html").read_text()
        for words in ("starttls-not-supported", "mx1.a.example", "a.example", "members-have-their-types", DMARC):
            assert words in page
        assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
        assert not re.search(r"<script|\son\w+=|src=|url\(", page)

    def test_it_names_every_file_with_what_was_remarked_of_it(self, folder: Path) -> None:
        copy = folder / "the same again.eml"
        copy.write_bytes((folder / "good.eml").read_bytes())
        _call(str(folder / "good.eml"), str(copy), "--html", str(folder / "page.html"))
        files = (folder / "page.html").read_text().partition('<h2 id="files">')[2]
        assert [name in files for name in ("good.eml</li>", "the same again.eml: the same report as in")] == [True] * 2

    def test_the_policy_of_the_page_allows_its_style(self, folder: Path) -> None:
        import base64
        import hashlib

        _call(str(folder / "good.eml"), "--html", str(folder / "page.html"))
        page = (folder / "page.html").read_text()
        style = page.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in page

    def test_foreign_text_is_escaped(self, folder: Path) -> None:
        def change(report: dict[str, Any]) -> None:
            report["organization-name"] = "<script>alert(1)</script>\x1b\ud800"
            report["policies"][0]["failure-details"][0]["receiving-mx-hostname"] = '"><img src=x onerror=y>'

        path = folder / "<b>.json"
        path.write_bytes(json.dumps(changed(change)).encode())
        _call(str(path), "--html", str(folder / "page.html"))
        page = (folder / "page.html").read_text()
        assert "&lt;script&gt;alert(1)" in page
        assert not re.search(r"<script|<img|<b>|\x1b", page)

    def test_a_page_that_cannot_be_written_is_wrong_usage(self, folder: Path) -> None:
        result = _call(str(folder / "good.eml"), "--html", str(folder / "none" / "page.html"))
        assert "cannot be written" in str(result.exception)
