"""Every rule about reports, shown firing: bend one thing about a report that passes, and it no longer does."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.events import (
    AnyFact,
    LabFailed,
    PolicyRequested,
    ReportReceived,
    ReportsAsked,
    ReportsLeft,
    SmtpSaid,
    TlsEstablished,
    TlsFailed,
)
from lab.judge.arrivals import Arrival
from lab.judge.witness import Window, known_sessions, sessions_in
from lab.model import Case, Expectation, Grade, Mode, Reports, Verdict
from lab.requirements import load_requirements
from lab.tlsrpt import Range, parse_report
from lab.world.policy_host import served_policy
from lab.world.report_places import ReportPlaces
from tests.judge.stories import (
    ABSENT,
    CASES,
    DOMAIN,
    ENFORCE,
    Line,
    changed,
    connection,
    reasons,
    record,
    resisted,
    taken_in,
    verdict,
    without,
)

CLAIMS = ("mta-sts", "tls-rpt")
PLACE = ReportPlaces(DOMAIN[ENFORCE]).https
LINES = served_policy(CASES[ENFORCE].steps[0].world, "enforce", DOMAIN[ENFORCE]).decode().splitlines()


def owing(*report: str, needs: tuple[str, ...] = ("tls-rpt",), base: Case = CASES[ENFORCE], **more: Any) -> Case:
    """The strip scenario under enforce, of which a report has to tell."""
    expect = Expectation(
        ("deferred",),
        "STS-5-03",
        report=report or ("starttls-not-supported",),
        **{"report_obligation": "STS-6-03"} | more,
    )
    return replace(changed(base, "attack", expect=expect), needs=needs)


def content() -> dict[str, Any]:
    """A report that tells the truth about `resisted`."""
    domain = DOMAIN[ENFORCE]
    failure = {
        "result-type": "starttls-not-supported",
        "sending-mta-ip": "198.18.66.1",
        "receiving-mx-hostname": f"mx1.{domain}",
        "receiving-ip": "198.18.64.9",
        "failed-session-count": 2,
    }
    return {
        "organization-name": "Sender",
        "date-range": {"start-datetime": "2025-01-06T00:00:00Z", "end-datetime": "2025-01-06T23:59:59Z"},
        "contact-info": "tls@sender.example",
        "report-id": "one@sender.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": LINES,
                    "policy-domain": domain,
                    "mx-host": [f"mx1.{domain}"],
                },
                "summary": {"total-successful-session-count": 2, "total-failure-session-count": 2},
                "failure-details": [failure],
            }
        ],
    }


def posted(report: dict[str, Any] | bytes, **values: Any) -> ReportReceived:
    octets = report if isinstance(report, bytes) else gzip.compress(json.dumps(report).encode())
    given = {"status": 201, "place": PLACE, "method": "POST", "media_type": "application/tlsrpt+gzip"} | values
    return ReportReceived(session="r", transport="https", octets=octets, **{"size": len(octets)} | given)


def story(*received: AnyFact, asked: bool = True, left: bool = True) -> list[Line]:
    """A case that resisted, and what came when reports were asked for."""
    lines: list[Line] = [("", "", ReportsAsked())] if asked else []
    lines += [(ENFORCE, "recover", fact) for fact in received]
    return resisted() + lines + ([("", "", ReportsLeft())] if left else [])


def judged(*received: AnyFact, case: Case | None = None, asked: bool = True, left: bool = True) -> Verdict:
    cases = (case or owing(), CASES[ABSENT])
    return verdict(record(story(*received, asked=asked, left=left), taken_in(), cases=cases, capabilities=CLAIMS))


def found(of: Verdict) -> set[tuple[str, str]]:
    """The findings of a verdict: obligation and reason."""
    return {
        (one.obligation, one.reason)
        for one in of.judgements
        if one.grade in (Grade.FAIL, Grade.WEAK, Grade.INCONCLUSIVE)
    }


def test_a_true_report_passes() -> None:
    passed = judged(posted(content()))
    assert passed.grade is Grade.PASS, reasons(passed)
    assert "reported" in {judgement.reason for judgement in passed.judgements}


# -- owed or not


class TestOwed:
    def test_without_a_report_the_level_of_the_obligation_decides(self) -> None:
        assert judged().grade is Grade.WEAK
        assert found(judged()) == {("STS-6-03", "no-report")}
        assert judged(case=owing(report_obligation="RPT-5-01")).grade is Grade.FAIL

    def test_what_no_obligation_asks_for_is_noted(self) -> None:
        noted = judged(case=owing(report_optional=True))
        assert (noted.grade, reasons(noted)) == (Grade.INFO, {"no-report"})

    @pytest.mark.parametrize(("asked", "left"), [(False, False), (True, False)])
    def test_who_was_not_asked_has_not_failed(self, asked: bool, left: bool) -> None:
        assert found(judged(asked=asked, left=left)) == {("", "reports-never-left")}

    def test_a_target_that_claims_nothing_is_unsupported(self) -> None:
        made = record(story(), taken_in(), cases=(owing(), CASES[ABSENT]))
        assert verdict(made).grade is Grade.UNSUPPORTED
        made = record(story(), taken_in(), cases=(owing(needs=()), CASES[ABSENT]))
        assert verdict(made).grade is Grade.PASS
        assert not [one for one in verdict(made).judgements if one.check == "the-target-reports"]

    def test_a_report_that_is_not_wanted(self) -> None:
        silent = owing("none", report_obligation="RPT-3-15")
        assert judged(case=silent).grade is Grade.PASS
        assert found(judged(posted(content(), status=503), case=silent)) >= {("RPT-3-15", "report-not-wanted")}

    def test_a_report_that_nobody_took_is_not_delivered(self) -> None:
        assert found(judged(posted(content(), status=503))) == {("STS-6-03", "given-up")}
        assert judged(posted(content(), status=503), posted(content())).grade is Grade.PASS

    def test_a_report_that_went_elsewhere_is_not_delivered(self) -> None:
        assert found(judged(posted(content(), place=f"{PLACE}/elsewhere"))) == {("STS-6-03", "sent-elsewhere")}

    def test_a_stray_report_is_found_by_its_domain(self) -> None:
        lines = [*story(), ("", "", posted(content(), place="https://reports.lab.example/"))]
        made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert found(verdict(made)) == {("STS-6-03", "sent-elsewhere")}

    def test_another_result_type_is_not_the_one(self) -> None:
        report = content()
        report["policies"][0]["failure-details"][0] |= {"result-type": "certificate-expired"}
        assert ("STS-6-03", "reported-as-something-else") in found(judged(posted(report)))

    def test_a_report_too_large_to_keep_proves_nothing(self) -> None:
        assert found(judged(posted(b"", size=9_999_999))) == {("", "report-too-large")}

    def test_the_labs_own_fault_is_held_against_nobody(self) -> None:
        made = record(
            [*story(), (ENFORCE, "recover", LabFailed(where="x", error="y"))],
            taken_in(),
            cases=(owing(), CASES[ABSENT]),
            capabilities=CLAIMS,
        )
        assert verdict(made).grade is Grade.LAB_ERROR


# -- well made, and true


def policy(report: dict[str, Any]) -> dict[str, Any]:
    return report["policies"][0]


BENT: dict[str, tuple[Callable[[dict[str, Any]], object], tuple[str, str]]] = {
    "null contact": (lambda r: r.update({"contact-info": None}), ("RPT-4.4-04", "null")),
    "day at 24": (lambda r: r["date-range"].update({"end-datetime": "2025-01-06T24:00:00Z"}), ("DT-5.6-01", "hour-above-23")),
    "object": (lambda r: r.update({"policies": r["policies"][0]}), ("RPT-4-02", "not-an-array")),
    "other domain": (lambda r: policy(r)["policy"].update({"policy-domain": "mx1.x.example"}), ("RPT-4.4-08", "no-block-for-the-domain")),
    "no policy": (lambda r: policy(r)["policy"].update({"policy-type": "no-policy-found"}), ("RPT-4.4-06", "policy-type-untrue")),
    "line missing": (lambda r: policy(r)["policy"].update({"policy-string": LINES[:-1]}), ("RPT-4.5-02", "lines-missing")),
    "other mx": (lambda r: policy(r)["policy"].update({"mx-host": ["mx9.x.example"]}), ("RPT-4.4-10", "mx-host-untrue")),
    "not counted": (lambda r: policy(r)["summary"].update({"total-failure-session-count": 0}), ("RPT-4.2.2-01", "failures-untrue")),
    "too many": (lambda r: policy(r)["failure-details"][0].update({"failed-session-count": 9}), ("RPT-4.4-19", "count-untrue")),
    "zero": (lambda r: policy(r)["failure-details"][0].update({"failed-session-count": 0}), ("RPT-4.4-19", "zero-sessions")),
    "no success": (lambda r: policy(r)["summary"].update({"total-successful-session-count": 0}), ("RPT-4.2.1-01", "successes-untrue")),
    "other sender": (lambda r: policy(r)["failure-details"][0].update({"sending-mta-ip": "192.0.2.1"}), ("RPT-4.4-15", "address-untrue")),
    "other address": (lambda r: policy(r)["failure-details"][0].update({"receiving-ip": "192.0.2.1"}), ("RPT-4.4-18", "address-untrue")),
    "other host": (lambda r: policy(r)["failure-details"][0].update({"receiving-mx-hostname": "x.example"}), ("RPT-4.4-16", "host-untrue")),
    "other type": (lambda r: policy(r)["failure-details"][0].update({"result-type": "certificate-expired"}), ("RPT-4.3.1-03", "result-type-untrue")),
}  # fmt: skip


@pytest.mark.parametrize("name", BENT)
def test_a_bent_report_is_found_out(name: str) -> None:
    bend, finding = BENT[name]
    report = copy.deepcopy(content())
    bend(report)
    assert finding in found(judged(posted(report)))


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"media_type": "application/gzip"}, ("RPT-5.4-02", "media-type")),
        ({"media_type": ""}, ("RPT-5.4-02", "media-type")),
    ],
)
def test_how_it_was_posted_counts(values: dict[str, Any], finding: tuple[str, str]) -> None:
    assert finding in found(judged(posted(content(), **values)))


def test_plain_json_is_only_advised_against() -> None:
    plain = posted(json.dumps(content()).encode(), media_type="application/tlsrpt+json")
    assert found(judged(plain)) == {("RPT-5.2-01", "not-compressed")}


def test_what_is_no_report_at_all_is_said_once() -> None:
    assert ("RPT-4-01", "no-json") in found(judged(posted(b"hello"), posted(content())))


def test_beside_the_story_the_form_is_only_noted() -> None:
    report = content() | {"contact-info": None}
    noted = judged(posted(report), case=owing(needs=()))
    assert (noted.grade, reasons(noted)) == (Grade.INFO, {"null"})
    policy(report)["summary"]["total-failure-session-count"] = 0
    assert ("RPT-4.2.2-01", "failures-untrue") in found(judged(posted(report), case=owing(needs=())))


def test_a_mailed_report_is_judged_as_mail() -> None:
    mail = b"From: <tls@sender.example>\r\nSubject: x\r\n\r\n" + json.dumps(content()).encode()
    place = f"tls-reports@{ReportPlaces(DOMAIN[ENFORCE]).mail_domain}"
    fact = ReportReceived(session="m", transport="mail", place=place, octets=mail, size=len(mail), status=250)
    wanting = Reports(records=("v=TLSRPTv1; rua={mailto}",))
    case = owing()
    case = replace(case, steps=tuple(replace(one, world=replace(one.world, reports=wanting)) for one in case.steps))
    broken = {obligation for obligation, _ in found(judged(fact, case=case))}
    assert {"RPT-3-11", "RPT-5.3-05", "RPT-5.3-02", "RPT-5.3-09"} <= broken
    assert "STS-6-03" not in broken, "it arrived, and it names the failure"


# -- one report beside another


def test_two_reports_for_a_day() -> None:
    again = content() | {"report-id": "two@sender.example"}
    assert found(judged(posted(content()), posted(again))) == {("RPT-4.1-01", "two-reports-for-a-day")}
    assert judged(posted(content()), posted(content())).grade is Grade.PASS, "copies are one report"


def test_an_id_used_twice() -> None:
    other_day = {"start-datetime": "2025-01-07T00:00:00Z", "end-datetime": "2025-01-07T23:59:59Z"}
    twice = judged(posted(content()), posted(content() | {"date-range": other_day}))
    assert ("RPT-4.4-05", "id-used-twice") in found(twice)


def test_a_report_on_reports() -> None:
    report = content() | {"report-id": "three@sender.example"}
    policy(report)["policy"]["policy-domain"] = ReportPlaces(DOMAIN[ENFORCE]).mail_domain
    assert found(judged(posted(content()), posted(report))) == {("RPT-3-09", "report-on-reports")}


def test_a_failure_under_none() -> None:
    report = content()
    policy(report)["policy"]["policy-string"] = ["version: STSv1", "mode: none", "max_age: 86400"]
    assert ("STS-6-03", "failure-under-none") in found(judged(posted(report)))


# -- the witness


def witness(lines: list[Line], case: Case | None = None) -> tuple[list[Any], Any]:
    from lab.judge.facts import CaseFacts
    from lab.judge.view import CaseView

    made = record(lines, cases=(case or owing(),), capabilities=CLAIMS)
    events = [event for event in made.events if event.case == ENFORCE]
    view = CaseView(
        case or owing(), CaseFacts(ENFORCE, events), CaseFacts("", []), None, None, load_requirements(), CLAIMS
    )
    window = Window(-1.0, 1e9)
    return sessions_in(view, window), known_sessions(view, window, ("starttls-not-supported",), optional=False)


class TestTheWitness:
    def test_it_counts_what_it_saw(self) -> None:
        sessions, known = witness(resisted())
        assert [session.trouble for session in sessions] == ["", "starttls-not-offered", "starttls-not-offered", ""]
        assert (known.attempts, known.failed) == (Range(3, 4), Range(1, 2))
        assert known.policy_types == {"sts"}
        assert (known.sending_ips, known.receiving_ips) == ({"198.18.66.1"}, {"198.18.64.9"})
        assert set(known.result_types) == {"starttls-not-supported"}

    def test_a_policy_that_was_never_fetched_is_none(self) -> None:
        _, known = witness(without(resisted(), lambda fact: isinstance(fact, PolicyRequested)))
        assert "no-policy-found" in known.policy_types
        assert known.policy_lines is None
        assert known.failed.least == 0

    def test_the_session_that_carried_a_report_is_not_counted(self) -> None:
        extra: list[Line] = [
            (ENFORCE, "recover", connection(ENFORCE, "carrier")),
            (
                ENFORCE,
                "recover",
                SmtpSaid(
                    session="carrier", speaker="sender", line=f"RCPT TO:<tls-reports@{DOMAIN[ENFORCE]}>", secured=False
                ),
            ),
        ]
        assert len(witness([*resisted(), *extra])[0]) == 4

    @pytest.mark.parametrize(
        ("facts", "trouble", "types"),
        [
            (
                [TlsEstablished(session="x", version="TLSv1.3", certificate="expired")],
                "expired",
                {"certificate-expired"},
            ),
            (
                [TlsFailed(session="x", alert="unknown ca", certificate="untrusted")],
                "untrusted",
                {"certificate-not-trusted"},
            ),
            (
                [TlsFailed(session="x", alert="", certificate="self-signed")],
                "self-signed",
                {"certificate-not-trusted", "validation-failure"},
            ),
            (
                [TlsEstablished(session="x", version="TLSv1", certificate="valid")],
                "handshake-broken",
                {"validation-failure"},
            ),
            ([TlsFailed(session="x", alert="", certificate="valid")], "handshake-broken", {"validation-failure"}),
            (
                [
                    SmtpSaid(session="x", speaker="sender", line="STARTTLS", secured=False),
                    SmtpSaid(session="x", speaker="attacker", line="454 not now", secured=False, altered=True),
                ],
                "starttls-refused",
                {"starttls-not-supported", "validation-failure"},
            ),
        ],
    )
    def test_each_trouble_has_its_types(self, facts: list[AnyFact], trouble: str, types: set[str]) -> None:
        extra = [(ENFORCE, "attack", fact) for fact in (connection(ENFORCE, "x"), *facts)]
        sessions, known = witness([*resisted(), *extra])
        assert sessions[-1].trouble == trouble
        assert set(known.result_types) == types | {"starttls-not-supported"}


def test_a_quoted_mailbox_is_the_place_that_its_uri_named() -> None:
    fact = ReportReceived(session="m", transport="mail", place='"a,b"@X.example', octets=b"", size=0, status=250)
    event = record([(ENFORCE, "x", fact)]).events[0]
    assert Arrival(event, fact, parse_report(b"")).place == "a,b@x.example"


def test_modes_that_nothing_is_owed_in() -> None:
    assert CASES[ABSENT].mode is Mode.ABSENT
    assert not CASES[ABSENT].judges_reports
