"""Every rule about reports, shown firing: bend one thing about a report that passes, and it no longer does."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from mta_sts_lab.events import (
    AnyFact,
    AttackFired,
    ClockAdvanced,
    ConnectionAccepted,
    ConnectionClosed,
    DnsAnswered,
    LabFailed,
    NotSupported,
    PolicyRequested,
    ReportReceived,
    ReportsAsked,
    ReportsLeft,
    SmtpSaid,
    StepBegan,
    TlsEstablished,
    TlsFailed,
)
from mta_sts_lab.judge import views_of
from mta_sts_lab.judge.arrivals import Arrival
from mta_sts_lab.judge.ground_truth import known_sessions, sessions_in
from mta_sts_lab.judge.report_window import TargetClock, Window
from mta_sts_lab.judge.served_policies import served_policies
from mta_sts_lab.model.case import Case, Expectation, Mode
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Verdict
from mta_sts_lab.model.world import MAY_BE_REFUSED, MxHost, Policy, PolicyHost, Reports, World
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.rfc.published import MAILBOX, ReportPlaces, served_policy
from mta_sts_lab.tlsrpt import Range, parse_report

from tests.judge.stories import (
    ABSENT,
    CASES,
    DOMAIN,
    ENFORCE,
    Line,
    changed,
    connection,
    policy_facts,
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
    """The findings of a case, and of the run in it: obligation and reason."""
    return {
        (one.obligation, one.reason)
        for one in (*of.judgements, *of.of_the_run)
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

    def test_who_cannot_be_asked_again_has_not_given_up(self) -> None:
        """Without a clock of the target's the steps are not played in which a refused report comes again."""
        base = owing()
        again = replace(base.steps[-1], name="again", reports=True, advance=600)
        steps = (*base.steps[:-1], replace(base.steps[-1], reports=True), again)
        refused = [*story(posted(content(), status=503)), (ENFORCE, "again", NotSupported(what="POST /clock"))]
        made = record(refused, taken_in(), cases=(replace(base, steps=steps), CASES[ABSENT]), capabilities=CLAIMS)
        assert not [one for one in verdict(made).judgements if one.check == "report-arrives"]
        assert verdict(made).grade is Grade.UNSUPPORTED

    def test_a_target_that_claims_nothing_is_unsupported(self) -> None:
        made = record(story(), taken_in(), cases=(owing(), CASES[ABSENT]))
        assert verdict(made).grade is Grade.UNSUPPORTED
        made = record(story(), taken_in(), cases=(owing(needs=()), CASES[ABSENT]))
        assert verdict(made).grade is Grade.PASS
        assert not [one for one in verdict(made).judgements if one.check == "the-target-reports"]

    def test_a_report_that_is_not_wanted(self) -> None:
        silent = owing("none", report_obligation="RPT-3-15")
        other = json.loads(json.dumps(content()).replace(DOMAIN[ENFORCE], "another.example"))
        elsewhere = ("", "", posted(other, place="https://reports.example/elsewhere"))
        cases = (silent, CASES[ABSENT])
        made = record([*story(), elsewhere], taken_in(), cases=cases, capabilities=CLAIMS)
        assert verdict(made).grade is Grade.PASS
        assert found(judged(posted(content(), status=503), case=silent)) >= {("RPT-3-15", "report-not-wanted")}

    def test_who_reports_to_nobody_has_not_shown_that_it_minds_a_record(self) -> None:
        """A reporter that is silently off sends no report where none is wanted, either."""
        silent = judged(case=owing("none", report_obligation="RPT-3-15"))
        assert (silent.grade, reasons(silent)) == (Grade.INFO, {"no-report-to-anybody"})

    @pytest.mark.parametrize(("counted", "grade"), [(1, Grade.INFO), (3, Grade.FAIL)])
    def test_a_report_after_the_record_was_withdrawn(self, counted: int, grade: Grade) -> None:
        """Postfix tells the reporter at each session where the domain wants its reports at that time."""
        silent = owing("none", report_obligation="RPT-3-15")
        withdrawn = changed(silent, "attack", world=World(reports=Reports(records=())))
        report = content()
        report["policies"][0]["summary"] = {
            "total-successful-session-count": counted,
            "total-failure-session-count": 0,
        }
        told = [one for one in judged(posted(report), case=withdrawn).judgements if one.check == "report-arrives"]
        assert [(one.grade, one.obligation) for one in told] == [(grade, "RPT-3-15")]

    def test_a_report_that_nobody_took_is_not_delivered(self) -> None:
        assert found(judged(posted(content(), status=503))) == {("STS-6-03", "given-up")}
        assert judged(posted(content(), status=503), posted(content())).grade is Grade.PASS

    def test_a_report_that_went_elsewhere_is_not_delivered(self) -> None:
        both = {("STS-6-03", "sent-elsewhere"), ("RPT-3-05", "sent-elsewhere")}
        assert found(judged(posted(content(), place=f"{PLACE}/elsewhere"))) == both

    def test_a_stray_report_is_found_by_its_domain(self) -> None:
        lines = [*story(), ("", "", posted(content(), place="https://reports.lab.example/"))]
        made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert found(verdict(made)) == {("STS-6-03", "sent-elsewhere"), ("RPT-3-05", "sent-elsewhere")}

    def test_another_result_type_is_not_the_one(self) -> None:
        report = content()
        report["policies"][0]["failure-details"][0] |= {"result-type": "certificate-expired"}
        assert ("STS-6-03", "reported-as-something-else") in found(judged(posted(report)))

    def test_a_failure_filed_under_another_policy_type_says_so(self) -> None:
        report = content()
        policy(report)["policy"]["policy-type"] = "no-policy-found"
        (told,) = (one for one in judged(posted(report)).judgements if one.reason == "failure-not-reported")
        assert told.harm is Harm.UNTRUE_REPORT
        assert told.expected.endswith("names starttls-not-supported under the domain's policy (policy-type sts)")
        assert told.observed.endswith("naming starttls-not-supported under policy-type no-policy-found")

    @pytest.mark.parametrize(
        ("looks", "grade", "reason"),
        [(False, Grade.INFO, "no-fetch-tried"), (True, Grade.WEAK, "failure-not-reported")],
    )
    def test_who_did_not_look_for_the_policy_has_no_failed_fetch_to_tell_of(
        self, looks: bool, grade: Grade, reason: str
    ) -> None:
        report = content()
        policy(report)["failure-details"] = []
        lines = story(posted(report))
        began = lines.index((ENFORCE, "attack", StepBegan(attacks=("strip_starttls",))))
        if looks:
            lines.insert(began + 1, (ENFORCE, "attack", policy_facts(ENFORCE)[0]))
        cases = (owing("sts-policy-fetch-error", report_obligation="STS-6-02"), CASES[ABSENT])
        made = record(lines, taken_in(), cases=cases, capabilities=CLAIMS)
        (told,) = (one for one in verdict(made).judgements if one.check == "report-arrives")
        assert (told.grade, told.reason) == (grade, reason)

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

    @pytest.mark.parametrize("named", [None, "certificate-expired"])
    def test_without_the_attack_there_was_nothing_of_its_kind_to_tell(self, named: str | None) -> None:
        report = content()
        if named is None:
            report["policies"][0].pop("failure-details")
        else:
            report["policies"][0]["failure-details"][0]["result-type"] = named
        told = [(ENFORCE, "recover", posted(report)), ("", "", ReportsLeft())]
        unmet = without(resisted(), lambda fact: isinstance(fact, AttackFired))
        for lines, doubted in ((resisted(), False), (unmet, True)):
            made = record(
                [*lines, ("", "", ReportsAsked()), *told],
                taken_in(),
                cases=(owing(), CASES[ABSENT]),
                capabilities=CLAIMS,
            )
            arrives = [one for one in verdict(made).judgements if one.check == "report-arrives"]
            assert [one.grade for one in arrives] == [Grade.INCONCLUSIVE if doubted else Grade.WEAK]
            assert ("attack-not-in-force" in {one.reason for one in arrives}) is doubted


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
    "successes of what was held": (lambda r: policy(r)["summary"].update({"total-successful-session-count": 3}), ("RPT-4.2.1-01", "successes-untrue")),
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
    assert (noted.grade, reasons(noted)) == (Grade.PASS, set())
    assert [(one.grade, one.reason) for one in noted.of_the_run] == [(Grade.INFO, "null")]
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


@pytest.mark.parametrize(
    "spelling",
    [
        {"end-datetime": "2025-01-07T00:00:00Z"},
        {"start-datetime": "2025-01-06T00:00:00+00:00"},
        {"start-datetime": "2025-01-06T01:00:00+01:00", "end-datetime": "2025-01-06T23:59:59.999Z"},
    ],
)
def test_another_spelling_of_a_day_is_no_other_day(spelling: dict[str, str]) -> None:
    again = content()
    again["date-range"] |= spelling
    copies = judged(posted(content()), posted(again))
    assert ("RPT-4.4-05", "id-used-twice") not in found(copies)
    again["report-id"] = "two@sender.example"
    assert found(judged(posted(content()), posted(again))) == {("RPT-4.1-01", "two-reports-for-a-day")}


def test_a_failure_has_to_be_told_where_the_scenario_expects_success() -> None:
    """Who names no server in the handshake gets a wrong certificate in `sni-required`, and reports success."""
    told = found(judged(posted(TestCopies().lie()), case=owing("success", report_obligation="RPT-4.2.1-01")))
    assert told == {("RPT-4.2.2-01", "failures-untrue"), ("RPT-4.3.1-01", "failure-not-listed")}


class TestCopies:
    def lie(self) -> dict[str, Any]:
        report = content()
        policy(report)["summary"] = {"total-successful-session-count": 2, "total-failure-session-count": 0}
        del policy(report)["failure-details"]
        return report

    def test_each_that_differs_is_read(self) -> None:
        told = found(judged(posted(content()), posted(self.lie())))
        assert told == {
            ("RPT-4.4-05", "copies-differ"),
            ("RPT-4.2.2-01", "failures-untrue"),
            ("RPT-4.3.1-01", "failure-not-listed"),
        }

    def test_a_mail_says_what_the_post_says(self) -> None:
        mail = b"From: <tls@sender.example>\r\nSubject: x\r\n\r\n"
        place = f"tls-reports@{ReportPlaces(DOMAIN[ENFORCE]).mail_domain}"
        for report, differs in ((content(), False), (self.lie(), True)):
            octets = mail + json.dumps(report).encode()
            fact = ReportReceived(
                session="m", transport="mail", place=place, octets=octets, size=len(octets), status=250
            )
            assert (("RPT-4.4-05", "copies-differ") in found(judged(posted(content()), fact))) is differs

    def test_what_is_wrong_with_all_of_them_is_said_once(self) -> None:
        report = content() | {"contact-info": None}
        octets = [json.dumps(report, indent=indent).encode() for indent in (None, 1)]
        made = judged(*(posted(gzip.compress(one)) for one in octets))
        (null,) = [one for one in made.of_the_run if one.reason == "null"]
        assert len(null.evidence) == 2

    def test_what_is_wrong_with_one_of_them_is_found(self) -> None:
        plain = posted(json.dumps(content()).encode(), media_type="application/tlsrpt+json")
        assert found(judged(posted(content()), plain)) == {("RPT-5.2-01", "not-compressed")}


def test_a_block_about_another_domain() -> None:
    report = content()
    other = copy.deepcopy(policy(report))
    other["policy"]["policy-domain"] = "victim.example"
    report["policies"].append(other)
    assert found(judged(posted(report))) == {("RPT-4.4-08", "block-about-another")}


def test_a_report_with_a_block_about_report_mail_has_come_all_the_same() -> None:
    report = content()
    other = copy.deepcopy(policy(report))
    other["policy"]["policy-domain"] = ReportPlaces(DOMAIN[ENFORCE]).mail_domain
    report["policies"].append(other)
    told = found(judged(posted(report)))
    assert told == {("RPT-3-09", "report-on-reports"), ("RPT-4.4-08", "block-about-another")}


def test_an_id_used_twice() -> None:
    other_day = {"start-datetime": "2025-01-07T00:00:00Z", "end-datetime": "2025-01-07T23:59:59Z"}
    twice = judged(posted(content()), posted(content() | {"date-range": other_day}))
    assert ("RPT-4.4-05", "id-used-twice") in found(twice)


def test_who_counts_the_session_of_a_report_is_blamed_for_just_that() -> None:
    """The report is mailed to the domain's own host; what it counts too much is that session."""
    handed = [
        connection(ENFORCE, "report-1"),
        SmtpSaid(session="report-1", speaker="sender", line="EHLO a", secured=True),
        SmtpSaid(session="report-1", speaker="sender", line=f"RCPT TO:<{MAILBOX}@{DOMAIN[ENFORCE]}>", secured=True),
        ConnectionClosed(session="report-1"),
    ]
    report = content()
    report["policies"][0]["summary"]["total-successful-session-count"] = 3
    lines = resisted() + [(ENFORCE, "recover", fact) for fact in handed] + [("", "", ReportsAsked())]
    lines += [(ENFORCE, "recover", posted(report)), ("", "", ReportsLeft())]
    made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
    assert found(verdict(made)) == {("RPT-3-09", "report-session-counted")}


def test_a_report_on_reports() -> None:
    report = content() | {"report-id": "three@sender.example"}
    policy(report)["policy"]["policy-domain"] = ReportPlaces(DOMAIN[ENFORCE]).mail_domain
    assert found(judged(posted(content()), posted(report))) == {("RPT-3-09", "report-on-reports")}


def test_a_failure_under_none() -> None:
    report = content()
    policy(report)["policy"]["policy-string"] = ["version: STSv1", "mode: none", "max_age: 86400"]
    assert ("STS-6-03", "failure-under-none") in found(judged(posted(report)))
    policy(report)["failure-details"] = [{"result-type": "sts-policy-fetch-error", "failed-session-count": 1}]
    assert ("STS-6-02", "failure-under-none") in found(judged(posted(report)))


def day(number: int) -> dict[str, str]:
    return {"start-datetime": f"2025-01-{number:02}T00:00:00Z", "end-datetime": f"2025-01-{number:02}T23:59:59Z"}


class TestTheDay:
    def test_it_is_that_of_the_sessions(self) -> None:
        assert found(judged(posted(content() | {"date-range": day(7)}))) == {("RPT-4.4-03", "another-day")}

    def test_the_clock_of_the_target_counts(self) -> None:
        lines = [("", "", ClockAdvanced(seconds=86400)), *story(posted(content() | {"date-range": day(7)}))]
        made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert verdict(made).grade is Grade.PASS
        lines = [("", "", ClockAdvanced(seconds=86400)), *story(posted(content()))]
        made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert found(verdict(made)) == {("RPT-4.4-03", "another-day")}

    def test_a_report_on_yesterday_counts_the_sessions_of_yesterday(self) -> None:
        """The attack was yesterday, the message that had been held arrived today: each day has its own report."""
        recovered = resisted().index(next(line for line in resisted() if line[1] == "recover"))
        yesterday, today = content(), content() | {"report-id": "two@sender.example", "date-range": day(7)}
        policy(yesterday)["summary"]["total-successful-session-count"] = 1
        policy(today)["summary"] = {"total-successful-session-count": 1, "total-failure-session-count": 0}
        del policy(today)["failure-details"]
        lines = [*resisted()[:recovered], ("", "", ClockAdvanced(seconds=86400)), *resisted()[recovered:]]
        lines += [
            ("", "", ReportsAsked()),
            (ENFORCE, "recover", posted(yesterday)),
            (ENFORCE, "recover", posted(today)),
        ]
        lines.append(("", "", ReportsLeft()))
        made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert verdict(made).grade is Grade.PASS, found(verdict(made))

    def test_a_reporters_own_calendar_is_turned_by_the_calls_alone(self) -> None:
        lines: list[Line] = [("", "", ReportsAsked()), ("", "", ClockAdvanced(seconds=86400 * 9)), *resisted()]
        lines += [("", "", ReportsAsked()), (ENFORCE, "recover", posted(content() | {"date-range": day(7)}))]
        made = record(
            [*lines, ("", "", ReportsLeft())], taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS
        )
        made = replace(
            made,
            header=msgspec.structs.replace(made.header, about=replace(made.header.about, reports_end_the_day=True)),
        )
        assert verdict(made).grade is Grade.PASS, found(verdict(made))

    def test_without_anything_to_tell_of_no_day_is_wrong(self) -> None:
        late = posted(content() | {"report-id": "late@sender.example", "date-range": day(9)})
        a_while: list[Line] = [("", "", ReportsLeft())] * 150
        lines = [*resisted(), *a_while, *story(posted(content()))[len(resisted()) :]]
        lines += [("", "", ReportsAsked()), (ENFORCE, "recover", late), ("", "", ReportsLeft())]
        made = record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert ("RPT-4.4-03", "another-day") not in found(verdict(made))


class TestSentAgain:
    def again(self, *attempts: tuple[int, ReportReceived], call_every: int = 0) -> Verdict:
        """Reports arrive after so many seconds of the target's clock, the lab calling for them in between, or not."""
        lines = story()[:-1]
        for seconds, received in attempts:
            calls = seconds // call_every if call_every else 1
            for _ in range(calls):
                lines.append(("", "", ClockAdvanced(seconds=seconds // calls)))
                lines += [("", "", ReportsAsked())] if call_every else []
            lines.append((ENFORCE, "recover", received))
            lines += [("", "", ReportsLeft())] if call_every else []
        lines.append(("", "", ReportsLeft()))
        return verdict(record(lines, taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS))

    def refusals(self, *seconds: int) -> list[tuple[int, ReportReceived]]:
        return [(pause, posted(content(), status=503)) for pause in seconds]

    def test_under_its_own_id(self) -> None:
        renewed = posted(content() | {"report-id": "two@sender.example"})
        noted = self.again((0, posted(content(), status=503)), (300, renewed))
        assert ("sent-again-under-another-id", Grade.INFO) in {(one.reason, one.grade) for one in noted.judgements}
        kept = self.again((0, posted(content(), status=503)), (300, posted(content())))
        assert kept.grade is Grade.PASS, reasons(kept)

    @pytest.mark.parametrize("reply_read", [True, False])
    def test_a_mail_that_was_taken_comes_again_only_where_the_reply_was_not_read(self, reply_read: bool) -> None:
        report = json.dumps(content()).encode()
        mail = b"Content-Type: application/tlsrpt+json\r\n\r\n" + report
        place = f"{MAILBOX}@{DOMAIN[ENFORCE]}"
        copy = ReportReceived(session="m", transport="mail", place=place, octets=mail, size=len(mail), status=250)
        quits = SmtpSaid(session="m", speaker="sender", line="QUIT", secured=True)
        first: list[Line] = [(ENFORCE, "recover", copy), *([("", "", quits)] if reply_read else [])]
        second: list[Line] = [("", "", ReportsAsked()), (ENFORCE, "recover", copy), ("", "", ReportsLeft())]
        made = record([*story(), *first, *second], taken_in(), cases=(owing(), CASES[ABSENT]), capabilities=CLAIMS)
        assert (("RPT-5.5-01", "sent-again-when-taken") in found(verdict(made))) is reply_read

    def test_after_pauses_that_grow(self) -> None:
        passed = self.again(*self.refusals(0, 300, 600, 1200), (2400, posted(content())))
        assert passed.grade is Grade.PASS, reasons(passed)

    def test_even_pauses_are_found(self) -> None:
        even = self.again(*self.refusals(0, 400, 400, 400), (400, posted(content())))
        assert found(even) == {("RPT-5.5-02", "pauses-do-not-grow")}
        called = self.again(*self.refusals(0, 400, 400, 400), (400, posted(content())), call_every=200)
        assert found(called) == {("RPT-5.5-02", "pauses-do-not-grow")}

    def test_three_attempts_are_too_few_to_tell(self) -> None:
        assert self.again(*self.refusals(0, 400, 400), (400, posted(content()))).grade is Grade.PASS

    def test_later_than_a_day_is_found(self) -> None:
        late = self.again(*self.refusals(0, 100_000), (100_000, posted(content())), call_every=50_000)
        assert found(late) == {("RPT-5.5-01", "still-tried-after-a-day")}

    def test_the_first_call_behind_a_day_may_find_what_was_due_before(self) -> None:
        due = self.again(*self.refusals(0), (100_000, posted(content())), call_every=50_000)
        assert due.grade is Grade.PASS, reasons(due)

    def test_within_a_day_is_right(self) -> None:
        kept = self.again(*self.refusals(0, 30_000), (50_000, posted(content())), call_every=10_000)
        assert kept.grade is Grade.PASS, reasons(kept)

    def watched(self, *attempts: tuple[int, ReportReceived]) -> Verdict:
        """The same in a case that calls for reports again and again, as only one about the pauses does."""
        case = owing()
        last = case.steps[-1]
        calls = tuple(replace(last, name=f"call-{n}", reports=True, send=False, expect=None) for n in range(5))
        lines = story()[:-1]
        for seconds, received in attempts:
            lines += [("", "", ClockAdvanced(seconds=seconds)), (ENFORCE, "recover", received)]
        lines.append(("", "", ReportsLeft()))
        case = replace(case, steps=(*case.steps[:-1], *calls, last))
        return verdict(record(lines, taken_in(), cases=(case, CASES[ABSENT]), capabilities=CLAIMS))

    def told(self, made: Verdict) -> set[tuple[str, Grade]]:
        """Return what was said of the pauses."""
        check = "report-retry-pauses-grow"
        return {(one.reason, one.grade) for one in made.judgements if one.check == check}

    @pytest.mark.parametrize("pauses", [(), (0,), (0, 600), (0, 600, 600), (0, 600, 400)])
    def test_too_few_attempts_prove_nothing_where_it_is_about_them(self, pauses: tuple[int, ...]) -> None:
        few = self.watched(*self.refusals(*pauses), (4000, posted(content())))
        assert self.told(few) == {("too-few-attempts", Grade.INCONCLUSIVE)}

    def test_growth_shows_in_three_attempts(self) -> None:
        assert self.told(self.watched(*self.refusals(0, 400, 600), (4000, posted(content())))) == set()

    def test_enough_attempts_at_even_pauses_are_a_finding_there_too(self) -> None:
        even = self.watched(*self.refusals(0, 400, 400, 400), (4000, posted(content())))
        assert ("RPT-5.5-02", "pauses-do-not-grow") in found(even)

    def test_pauses_that_the_lab_makes_prove_nothing(self) -> None:
        paced = self.again(*self.refusals(0, 400, 400, 400), (400, posted(content())), call_every=400)
        assert (paced.grade, reasons(paced)) == (Grade.INFO, {"every-call-made-an-attempt"})


# -- the witness


def witness(lines: list[Line], case: Case | None = None, after: float = -1.0) -> tuple[list[Any], Any]:
    from mta_sts_lab.judge.facts import CaseFacts
    from mta_sts_lab.judge.view import CaseView

    made = record(lines, cases=(case or owing(),), capabilities=CLAIMS)
    events = [event for event in made.events if event.case == ENFORCE]
    of_run = CaseFacts("", [event for event in made.events if not event.case])
    view = CaseView(
        case or owing(), CaseFacts(ENFORCE, events), of_run, None, None, load_requirements(), made.header.about
    )
    window = Window(after, 1e9)
    return sessions_in(view, window), known_sessions(view, window, ("starttls-not-supported",), optional=False)


def test_what_happens_while_reports_are_made_may_be_told_in_these_or_in_the_next() -> None:
    first = Window(after=-1.0, until=20.0, asked=10.0)
    second = Window(after=10.0, until=40.0, settled=20.0, asked=30.0)
    for began, ended, certain, possible in (
        (5, 6, (True, False), (True, False)),
        (12, 13, (False, False), (True, True)),
        (9, 21, (False, False), (True, True)),
        (22, 23, (False, True), (False, True)),
        (31, 32, (False, False), (False, True)),
    ):
        assert (first.counts(began, ended), second.counts(began, ended)) == certain, began
        assert (first.may_count(began, ended), second.may_count(began, ended)) == possible, began


def test_a_page_is_turned_some_time_between_the_request_and_the_answer() -> None:
    midnight = 86400.0
    calendar = TargetClock(began=0.0, moves=((100.0, midnight - 100.0, 110.0),), is_calendar=True)
    before, between, behind = (calendar.shows(at) for at in (50.0, 105.0, 120.0))
    assert before[0] < 50.0 < before[1] < midnight
    assert before[0] < between[0] < 105.0 < midnight < between[1]
    assert midnight <= behind[0] < behind[1]


class TestTheWitness:
    def test_it_counts_what_it_saw(self) -> None:
        sessions, known = witness(resisted())
        assert [session.failure for session in sessions] == ["", "starttls-not-offered", "starttls-not-offered", ""]
        assert (known.attempts, known.failed) == (Range(3, 4), Range(1, 2))
        assert known.policy_types == {"sts"}
        assert (known.sending_ips, known.receiving_ips) == ({"198.18.66.1"}, {"198.18.64.9"})
        assert set(known.result_types) == {"starttls-not-supported"}

    def test_it_knows_who_failed(self) -> None:
        _, known = witness(resisted())
        (failed,) = known.failed_sessions
        assert (failed.hosts, failed.address, failed.most) == ({f"mx1.{DOMAIN[ENFORCE]}"}, "198.18.64.9", 2)
        assert failed.result_types == {"starttls-not-supported"}
        assert known.successes == 2

    def test_a_host_is_known_by_the_name_that_dns_gave_its_address(self) -> None:
        asked = [
            DnsAnswered(name=name, type=kind, transport="udp", rcode="NOERROR", answers=(answer,))
            for name, kind, answer in (
                (DOMAIN[ENFORCE], "MX", "10 alias.hosting.example."),
                ("alias.hosting.example", "A", "198.18.64.9"),
                (f"mta-sts.{DOMAIN[ENFORCE]}", "A", "198.18.64.9"),
            )
        ]
        _, known = witness([*resisted(), *((ENFORCE, "attack", fact) for fact in asked)])
        failed = next(one for one in known.failed_sessions if one.address)
        assert failed.hosts == {f"mx1.{DOMAIN[ENFORCE]}", "alias.hosting.example"}

    def test_a_policy_that_came_after_the_first_session_was_known_in_later_steps(self) -> None:
        early = [(ENFORCE, "prime", fact) for fact in (connection(ENFORCE, "early"), ConnectionClosed("early"))]
        lines = resisted()
        at = next(number for number, line in enumerate(lines) if isinstance(line[2], StepBegan)) + 1
        _, known = witness([*lines[:at], *early, *lines[at:]])
        assert known.policy_types == {"sts", "no-policy-found"}
        assert known.failed.least == 1
        assert known.problems == (frozenset({"starttls-not-supported"}),)

    def test_mail_that_went_on_may_be_taken_for_a_success(self) -> None:
        went_on = SmtpSaid(session="attacked-1", speaker="sender", line="MAIL FROM:<a@sender.example>", secured=False)
        assert witness([*resisted(), (ENFORCE, "attack", went_on)])[1].successes == 3

    @pytest.mark.parametrize("certificate", MAY_BE_REFUSED)
    def test_a_revoked_certificate_may_be_told_as_a_failure_and_need_not(self, certificate: str) -> None:
        """RFC 8460, section 4.3 has no result type for it: the next of kin is a certificate that is not trusted."""
        met = [connection(ENFORCE, "revoked"), TlsEstablished("revoked", "TLSv1.3", certificate)]
        lines = without(resisted(), lambda fact: isinstance(fact, ConnectionAccepted), "attack")
        sessions, known = witness(
            [*lines, *((ENFORCE, "attack", fact) for fact in (*met, ConnectionClosed("revoked")))]
        )
        assert sessions[-1].failure == "revoked"
        assert "certificate-not-trusted" in known.result_types
        assert (known.failed, known.problems) == (Range(0, 1), ())
        went_on = SmtpSaid(session="revoked", speaker="sender", line="MAIL FROM:<a@sender.example>", secured=True)
        _, delivered = witness([*lines, *((ENFORCE, "attack", fact) for fact in (*met, went_on))])
        assert delivered.successes == known.successes + 1

    def test_a_policy_that_was_never_fetched_is_none(self) -> None:
        _, known = witness(without(resisted(), lambda fact: isinstance(fact, PolicyRequested)))
        assert "no-policy-found" in known.policy_types
        assert known.policy_lines is None
        assert known.failed.least == 0

    @pytest.mark.parametrize(
        ("lines", "types"),
        [
            (("version: STSv1", "mode: {mode}", "next: year", "mx: {mx}", "max_age: 86400"), {"sts"}),
            (("version: STSv1", "mode: {mode}", "mx: {mx}"), {"sts", "no-policy-found"}),
        ],
    )
    def test_only_a_broken_policy_may_be_called_none(self, lines: tuple[str, ...], types: set[str]) -> None:
        # Postfix's report on a domain whose policy had an unknown line said no-policy-found, and passed.
        world = World(policy=Policy(lines=lines))
        case = replace(owing(), steps=tuple(replace(step, world=world) for step in owing().steps))
        _, known = witness(resisted(), case)
        assert known.policy_types == types
        assert ("sts-policy-invalid" in known.result_types) is ("no-policy-found" in types)

    def test_a_policy_that_nobody_fetched_may_only_be_quoted_as_it_was_published(self) -> None:
        _, known = witness(without(resisted(), lambda fact: isinstance(fact, PolicyRequested)))
        assert known.policy_lines is None
        assert known.refused_policy_lines
        _, fetched = witness(resisted())
        assert (fetched.policy_lines, fetched.refused_policy_lines) == (known.refused_policy_lines[0], ())

    def fetches(self, *later: Line, after: float = -1.0, **policy: Any) -> Any:
        """What is known when the attack step serves another policy, and some more lines came in it."""
        base = owing()
        bent = replace(base.steps[1], world=World(policy=Policy(**policy)))
        case = replace(base, steps=(base.steps[0], bent, base.steps[2]))
        return witness([*resisted(), *later], case, after)[1]

    def fetch(self, step: str = "attack", status: int = 200) -> Line:
        name = f"mta-sts.{DOMAIN[ENFORCE]}"
        return (
            ENFORCE,
            step,
            PolicyRequested(session="f", host=name, method="GET", path="/", sni=name, status=status),
        )

    def test_a_policy_that_nobody_fetched_was_not_applied(self) -> None:
        known = self.fetches(max_age=1234)
        assert (known.policy_lines, known.earlier_policy_lines) == (tuple(LINES), ())
        known = self.fetches(self.fetch(), max_age=1234)
        assert "max_age: 1234" in known.policy_lines
        assert known.earlier_policy_lines == (tuple(LINES),)

    def test_a_policy_that_had_been_replaced_before_was_not_applied(self) -> None:
        known = self.fetches(self.fetch(), after=1e8, max_age=1234)
        assert "max_age: 1234" in known.policy_lines
        assert known.earlier_policy_lines == ()

    def test_a_text_that_is_no_policy_replaces_none(self) -> None:
        known = self.fetches(self.fetch(), lines=("version: STSv1", "mode: enforce"))
        assert (known.policy_lines, known.earlier_policy_lines) == (tuple(LINES), ())
        assert known.refused_policy_lines == (("version: STSv1", "mode: enforce"),)
        assert known.policy_types == {"sts"}, "the older one is in force, and no failure makes it none"

    @pytest.mark.parametrize(("passed", "types"), [(0, {"sts"}), (10**8, {"sts", "no-policy-found"})])
    def test_a_policy_lapses(self, passed: int, types: set[str]) -> None:
        later: list[Line] = [("", "", ClockAdvanced(seconds=passed)), (ENFORCE, "attack", connection(ENFORCE, "late"))]
        assert self.fetches(*later, self.fetch(status=500)).policy_types == types

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
        ("facts", "failure", "types"),
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
    def test_each_failure_has_its_types(self, facts: list[AnyFact], failure: str, types: set[str]) -> None:
        extra = [(ENFORCE, "attack", fact) for fact in (connection(ENFORCE, "x"), *facts)]
        hello = SmtpSaid(session="x", speaker="sender", line="EHLO mta.sender.example", secured=False)
        sessions, known = witness([*resisted(), extra[0], (ENFORCE, "attack", hello), *extra[1:]])
        assert sessions[-1].failure == failure
        assert set(known.result_types) == types | {"starttls-not-supported"}

    def test_a_session_that_ended_before_hello_shows_nothing(self) -> None:
        sessions, _ = witness([*resisted(), (ENFORCE, "attack", connection(ENFORCE, "x"))])
        assert (sessions[-1].good, sessions[-1].failure) == (False, "")

    def test_it_knows_what_the_hosts_call_themselves(self) -> None:
        dialogue = [
            ("mx", "220 mail.a.example ESMTP"),
            ("sender", "EHLO mta.sender.example"),
            ("mx", "250-other.a.example at your service"),
            ("mx", "250-size.is.no.name"),
        ]
        extra = [
            (ENFORCE, "attack", SmtpSaid(session="x", speaker=by, line=line, secured=False)) for by, line in dialogue
        ]
        _, known = witness([*resisted(), (ENFORCE, "attack", connection(ENFORCE, "x")), *extra])
        assert known.mx_greetings == {"mail.a.example", "other.a.example"}

    def test_what_a_failure_twice_met_is_called_has_to_be_told(self) -> None:
        _, known = witness(resisted())
        assert known.problems == (frozenset({"starttls-not-supported"}),)
        one_attempt = [line for line in resisted() if getattr(line[2], "session", "") != "attacked-2"]
        assert witness(one_attempt)[1].problems == ()

    def test_a_type_is_tolerated_only_for_the_sessions_that_it_does_not_fit(self) -> None:
        extra: list[Line] = []
        for session, certificate in (("x", "self-signed"), ("y", "valid")):
            extra.append((ENFORCE, "attack", connection(ENFORCE, session)))
            extra.append((ENFORCE, "attack", TlsFailed(session=session, alert="", certificate=certificate)))
        _, known = witness([*resisted(), *extra])
        assert known.result_types["validation-failure"] is Grade.PASS
        assert known.fits == {"validation-failure": (1, Grade.WEAK)}

    def test_a_host_that_is_away_may_be_told_of(self) -> None:
        """A port that refuses leaves nothing on record but the question for the host's address."""
        base = owing()
        gone = replace(base.steps[1].world, mx=(MxHost(name="mx1", reachable=False),))
        steps = (base.steps[0], replace(base.steps[1], world=gone), base.steps[2])
        name = f"mx1.{DOMAIN[ENFORCE]}"
        asked = DnsAnswered(name=name, type="A", transport="udp", rcode="NOERROR", answers=("198.18.64.99",))
        _, known = witness([*resisted(), (ENFORCE, "attack", asked)], replace(base, steps=steps))
        assert known.result_types["validation-failure"] is Grade.PASS
        assert "198.18.64.99" in known.receiving_ips
        assert known.attempts.most == 5


def policy_failures(**world: Any) -> set[str]:
    """What the witness finds wrong on the way to the policy, in a world that differs from the first step on."""
    base = owing()
    bent = replace(base.steps[0].world, **world)
    case = replace(base, steps=tuple(replace(step, world=bent) for step in base.steps))
    asked = DnsAnswered(
        name=f"mta-sts.{DOMAIN[ENFORCE]}", type="A", transport="udp", rcode="NOERROR", answers=("198.18.64.9",)
    )
    made = record([*resisted(), (ENFORCE, "attack", asked)], cases=(case,), capabilities=CLAIMS)
    view = next(iter(views_of(made, load_requirements())))
    return set(served_policies(view, Window(-1.0, 1e9)).failures)


def test_a_policy_is_broken_only_if_it_is_no_policy() -> None:
    assert policy_failures() == set()
    assert policy_failures(policy=Policy(lines=("mode: enforce",))) == {"policy-broken"}
    valid = ("version: STSv1", "mode: {mode}", "next: year", "mx: {mx}", "max_age: {max_age}")
    assert policy_failures(policy=Policy(lines=valid)) == set()


def test_a_policy_host_that_is_away_cannot_be_reached() -> None:
    assert policy_failures(policy_host=PolicyHost(reachable=False)) == {"policy-unreachable"}


def test_a_quoted_mailbox_is_the_place_that_its_uri_named() -> None:
    fact = ReportReceived(session="m", transport="mail", place='"a,b"@X.example', octets=b"", size=0, status=250)
    event = record([(ENFORCE, "x", fact)]).events[0]
    assert Arrival(event, fact, parse_report(b"")).place == "a,b@x.example"


def test_modes_that_nothing_is_owed_in() -> None:
    assert CASES[ABSENT].mode is Mode.ABSENT
    assert not CASES[ABSENT].judges_reports
