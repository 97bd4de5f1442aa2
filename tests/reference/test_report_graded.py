"""The strict grader, which shares no line with the sender, on the sender's reports: clean, or found for the right thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.reference.flaws import FLAWS, Flaws
from mta_sts_lab.reference.report import build_report
from mta_sts_lab.reference.report_counts import NO_POLICY, CountedDay
from mta_sts_lab.reference.report_mail import ReportSigner, build_report_mail
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.tlsrpt.grading import grade
from mta_sts_lab.tlsrpt.parser import parse_report

from tests.reference.reports import DAY_BEGINS, a_day, dkim_key

REQUIREMENTS = load_requirements()

#: Flaws that show in the mail itself; the others show only against what the lab did.
IN_THE_MAIL = (
    "writes_policies_as_object",
    "writes_policy_string_as_string",
    "writes_mx_host_as_string",
    "leaves_out_policy_string",
    "cuts_policy_string",
    "leaves_out_reason",
    "counts_zero",
    "writes_null_contact",
    "ends_day_at_24",
    "writes_times_without_zone",
    "mails_as_mixed",
    "mails_wrong_media_type",
    "names_file_badly",
    "names_other_submitter",
    "leaves_out_report_fields",
    "writes_free_subject",
    "sends_unsigned_reports",
    "signs_with_length",
    "signs_beginning_of_body",
    "signs_without_from",
    "signs_without_report_fields",
    "publishes_key_for_another_service",
)


def findings(directory: Path, day: CountedDay, **flaws: bool) -> set[str]:
    """The obligations for which the mailed report of a day is found."""
    had = Flaws(**flaws)
    signer = ReportSigner("sender.example", "lab", directory / "key.pem", dkim_key(), had)
    report = build_report(day, "sender.example", had)
    mail = signer.signed(build_report_mail(report, "tls@box.example", "mta.sender.example", DAY_BEGINS + 9e4, had))
    keys = {name: text.encode() for name, text in signer.records().items()}
    return {one.obligation for one in grade(parse_report(mail), REQUIREMENTS, lambda name: keys.get(name.rstrip(".")))}


def eventful() -> CountedDay:
    return a_day("starttls-not-supported", "certificate-not-trusted", number=3)


@pytest.mark.parametrize("day", [eventful(), a_day(), a_day(policy=NO_POLICY)], ids=["failures", "clean", "no policy"])
def test_a_correct_report_is_clean(day: CountedDay, tmp_path: Path) -> None:
    assert findings(tmp_path, day) == set()


@pytest.mark.parametrize("flaw", IN_THE_MAIL)
def test_a_flaw_is_found_for_its_own_obligation(flaw: str, tmp_path: Path) -> None:
    assert FLAWS[flaw].obligation in findings(tmp_path, eventful(), **{flaw: True})
