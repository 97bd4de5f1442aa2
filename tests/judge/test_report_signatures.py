"""The signature of a mailed report, as the judge takes it: what could not be verified is never a pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import msgspec
import pytest
from mta_sts_lab.events import ReportReceived
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import Reports
from mta_sts_lab.rfc.published import ReportPlaces

from tests.judge.stories import ABSENT, CASES, DOMAIN, ENFORCE, record, taken_in, verdict
from tests.judge.test_reports import CLAIMS, content, found, owing, story
from tests.tlsrpt.builder import KEY_NAME, Mail, key_record
from tests.tlsrpt.test_signature import forged, signed

DOMAIN_OF_THE_CASE = DOMAIN[ENFORCE]
MAIL = replace(
    Mail(),
    report=content(),
    file_name=f"sender.example!{DOMAIN_OF_THE_CASE}!1736121600!1736207999!one.json.gz",
    subject=f"Report Domain: {DOMAIN_OF_THE_CASE} Submitter: sender.example Report-ID: <one@sender.example>",
    report_domain=DOMAIN_OF_THE_CASE,
    signed_by=None,
)
TOO_LONG = forged(z="a" * 9000)
#: The record's clock stood at 0 then.
BEGAN = datetime.fromisoformat("2025-01-06T08:30:00+00:00")


def judged(octets: bytes, needs: tuple[str, ...] = ("tls-rpt",)) -> Verdict:
    place = f"tls-reports@{ReportPlaces(DOMAIN_OF_THE_CASE).mail_domain}"
    fact = ReportReceived(session="m", transport="mail", place=place, octets=octets, size=len(octets), status=250)
    wanting = Reports(records=("v=TLSRPTv1; rua={mailto}",))
    steps = tuple(replace(one, world=replace(one.world, reports=wanting)) for one in owing().steps)
    case: Case = replace(owing(needs=needs), steps=steps)
    made = record(story(fact), taken_in(), cases=(case, CASES[ABSENT]), capabilities=CLAIMS)
    about = replace(made.header.about, dkim_records={KEY_NAME: key_record().decode()})
    header = msgspec.structs.replace(made.header, about=about, clock_began=BEGAN.isoformat())
    return verdict(replace(made, header=header))


def about_the_signature(octets: bytes) -> set[str]:
    return {reason for obligation, reason in found(judged(octets)) if obligation == "RPT-3-11"}


def test_a_valid_signature_is_nothing_to_speak_of() -> None:
    passed = judged(signed(MAIL.octets()))
    assert passed.grade is Grade.PASS, found(passed)


@pytest.mark.parametrize("head", [TOO_LONG, forged() + TOO_LONG], ids=["alone", "beside an invalid one"])
def test_one_that_cannot_be_verified_is_inconclusive(head: bytes) -> None:
    doubtful = judged(head + MAIL.octets())
    assert doubtful.grade is Grade.INCONCLUSIVE
    assert found(doubtful) == {("RPT-3-11", "not-verified")}


def test_beside_the_story_it_is_no_matter() -> None:
    assert judged(TOO_LONG + MAIL.octets(), needs=()).grade is not Grade.INCONCLUSIVE


def test_one_that_verifies_is_enough() -> None:
    assert about_the_signature(TOO_LONG + signed(MAIL.octets())) == set()


@pytest.mark.parametrize(
    "octets",
    [
        forged() + MAIL.octets() + b" " * 300 + b"\r\n",
        b"X-Pad:" + b" " * 260 + b"x\r\n" + forged() + MAIL.octets(),
        forged(t="1000000000", x="1000000100") + MAIL.octets(),
    ],
    ids=["blanks in the body", "blanks in the header", "long expired"],
)
def test_nothing_hides_a_forged_one(octets: bytes) -> None:
    assert about_the_signature(octets) == {"invalid-signature"}


@pytest.mark.parametrize(("seconds", "said"), [(-1, {"invalid-signature"}), (60, set())])
def test_what_had_expired_when_the_report_arrived_is_none(seconds: int, said: set[str]) -> None:
    expires = int(BEGAN.timestamp()) + seconds
    octets = signed(MAIL.octets(), t=str(expires - 3600), x=str(expires))
    assert about_the_signature(octets) == said
