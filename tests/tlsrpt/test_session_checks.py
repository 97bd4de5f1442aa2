"""A report against what a witness knows: hand-made sessions, and the open questions of the RFC each the fair way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.result_types import RESULT_TYPES
from mta_sts_lab.tlsrpt import KnownSessions, Range, against_sessions, parse_report, right_result_types
from mta_sts_lab.tlsrpt.known_sessions import RIGHT_RESULT_TYPES, FailedSessions

from .builder import REQUIREMENTS, changed, good, short, text

FAIL, WEAK, INFO, PASS = Grade.FAIL, Grade.WEAK, Grade.INFO, Grade.PASS

LINES = ("version: STSv1", "mode: testing", "mx: mx1.a.example", "mx: *.backup.a.example", "max_age: 604800")
#: What happened, as the good report's MTA-STS block tells it.
KNOWN = KnownSessions(
    policy_domain="a.example",
    attempts=Range(14, 20),
    failed=Range(4, 6),
    policy_types=frozenset({"sts", "no-policy-found"}),
    policy_lines=LINES,
    mx_hosts=frozenset({"mx1.a.example", "one.backup.a.example"}),
    mx_greetings=frozenset({"mail.a.example"}),
    sending_ips=frozenset({"192.0.2.10", "2001:db8::10"}),
    receiving_ips=frozenset({"198.51.100.7", "2001:db8:1::7"}),
    result_types=right_result_types("starttls-not-offered", "untrusted", "policy-unreachable"),
)

Changes = Callable[[dict[str, Any]], object]


#: The good report tells of two domains, so that other tests have a block of every kind.
ANOTHER = ("RPT-4.4-08", "block-about-another", FAIL)


def _told(report: object, known: KnownSessions = KNOWN) -> set[tuple[str, str, Grade]]:
    return short(against_sessions(parse_report(text(report)), known, REQUIREMENTS)) - {ANOTHER}


def _block(report: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = report["policies"][0]
    return block


def _sts_only(report: dict[str, Any]) -> None:
    report["policies"] = report["policies"][:1]


def test_a_further_block_about_an_mx_host_may_find_no_policy() -> None:
    """The host has none of its own, and the block counts the same sessions once more."""
    report = changed(_sts_only)
    further = {"policy-type": "no-policy-found", "policy-domain": "mx1.a.example"}
    report["policies"].append({"policy": further, "summary": dict(_block(report)["summary"])})
    known = replace(KNOWN, policy_types=frozenset({"sts"}))
    assert _told(report, known) == set()
    del report["policies"][0]
    assert _told(report, known) >= {("RPT-4.4-06", "policy-type-untrue", FAIL)}


def test_a_finding_about_the_type_says_that_it_is_partly_open() -> None:
    known = replace(KNOWN, policy_types=frozenset({"no-policy-found"}))
    found = against_sessions(parse_report(text(changed(_sts_only))), known, REQUIREMENTS)
    (untrue,) = [one for one in found if one.reason == "policy-type-untrue"]
    assert "sts-lab docs ambiguities#policy-that-was-never-fetched" in untrue.note


def test_blocks_about_a_domain_and_about_its_host_are_counted_apart() -> None:
    summary = dict(_block(good())["summary"])
    report = changed(_sts_only)
    names = ("a.example", "mx1.a.example")
    report["policies"] = [
        {"policy": {"policy-type": "no-policy-found", "policy-domain": name}, "summary": summary} for name in names
    ]
    found = _told(report, replace(KNOWN, policy_types=frozenset({"no-policy-found"}), policy_lines=None))
    assert not {reason for _, reason, _ in found} & {"failures-untrue", "successes-untrue"}


def test_a_true_report_has_no_findings() -> None:
    assert _told(good()) == set()


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("sts", "victim.example", {ANOTHER}),
        ("tlsa", "mx.victim.example", {ANOTHER}),
        ("sts", "mx1.a.example", {ANOTHER}),
        ("no-policy-found", "mx1.a.example", set()),
    ],
)
def test_what_befell_others_is_for_their_reports(kind: str, name: str, found: set[tuple[str, str, Grade]]) -> None:
    report = changed(lambda r: r["policies"].pop(1))
    report["policies"].append(
        {
            "policy": {"policy-type": kind, "policy-domain": name},
            "summary": {"total-successful-session-count": 0, "total-failure-session-count": 0},
        }
    )
    assert short(against_sessions(parse_report(text(report)), KNOWN, REQUIREMENTS)) == found


CASES: list[tuple[str, Changes, set[tuple[str, str, Grade]]]] = [
    (
        "another domain",
        lambda r: [one["policy"].update({"policy-domain": "z.example"}) for one in r["policies"]],
        {("RPT-4.4-08", "no-block-for-the-domain", FAIL)},
    ),
    ("no blocks", lambda r: r.update(policies=[]), {("RPT-4.4-08", "no-block-for-the-domain", FAIL)}),
    (
        "another type of policy",
        lambda r: _block(r)["policy"].update({"policy-type": "tlsa"}),
        {("RPT-4.4-06", "policy-type-untrue", FAIL)},
    ),
    (
        "a line more",
        lambda r: _block(r)["policy"]["policy-string"].append("x: y"),
        {("RPT-4.5-02", "lines-untrue", FAIL)},
    ),
    ("an mx line less", lambda r: _block(r)["policy"]["policy-string"].pop(2), {("RPT-4.5-02", "lines-missing", FAIL)}),
    (
        "another mode",
        lambda r: _block(r)["policy"]["policy-string"].__setitem__(1, "mode: enforce"),
        {("RPT-4.5-02", "lines-missing", FAIL), ("RPT-4.5-02", "lines-untrue", FAIL)},
    ),
    (
        "another pattern",
        lambda r: _block(r)["policy"]["mx-host"].append("z.example"),
        {("RPT-4.4-10", "mx-host-untrue", FAIL)},
    ),
    (
        "another sender address",
        lambda r: _block(r)["failure-details"][0].update({"sending-mta-ip": "192.0.2.11"}),
        {("RPT-4.4-15", "address-untrue", FAIL)},
    ),
    (
        "another receiver address",
        lambda r: _block(r)["failure-details"][0].update({"receiving-ip": "198.51.100.8"}),
        {("RPT-4.4-18", "address-untrue", FAIL)},
    ),
    (
        "another host",
        lambda r: _block(r)["failure-details"][0].update({"receiving-mx-hostname": "mx9.a.example"}),
        {("RPT-4.4-16", "host-untrue", FAIL)},
    ),
    (
        "another greeting",
        lambda r: _block(r)["failure-details"][0].update({"receiving-mx-helo": "z.example"}),
        {("RPT-4.4-17", "host-untrue", INFO)},
    ),
    (
        "the whole reply to EHLO",
        lambda r: _block(r)["failure-details"][0].update(
            {"receiving-mx-helo": "250-mail.a.example greets you\r\n250-SIZE 1000\r\n250 STARTTLS"}
        ),
        {("RPT-4.4-17", "more-than-the-name", INFO)},
    ),
    (
        "another trouble",
        lambda r: _block(r)["failure-details"][0].update({"result-type": "certificate-expired"}),
        {("RPT-4.3.1-03", "result-type-untrue", FAIL)},
    ),
    (
        "another trouble on the way to the policy",
        lambda r: _block(r)["failure-details"][2].update({"result-type": "sts-policy-invalid"}),
        {("RPT-4.3.2.2-02", "result-type-untrue", FAIL), ("RPT-4.3.2.2-01", "reported-as-another", FAIL)},
    ),
    (
        "no failures",
        lambda r: _block(r)["summary"].update({"total-failure-session-count": 0}),
        {("RPT-4.2.2-01", "failures-untrue", FAIL)},
    ),
    (
        "too many failures",
        lambda r: _block(r)["summary"].update({"total-failure-session-count": 7}),
        {("RPT-4.2.2-01", "failures-untrue", FAIL)},
    ),
    (
        "failures counted in another way",
        lambda r: _block(r)["summary"].update({"total-failure-session-count": 1}),
        {("RPT-4.2.2-01", "failures-differ", INFO)},
    ),
    (
        "an entry of too many",
        lambda r: _block(r)["failure-details"][0].update({"failed-session-count": 7}),
        {("RPT-4.4-19", "count-untrue", FAIL)},
    ),
    (
        "no successes",
        lambda r: [one["summary"].update({"total-successful-session-count": 0}) for one in r["policies"]],
        {("RPT-4.2.1-01", "successes-untrue", FAIL)},
    ),
    (
        "too many successes",
        lambda r: _block(r)["summary"].update({"total-successful-session-count": 21}),
        {("RPT-4.2.1-01", "successes-untrue", FAIL)},
    ),
    (
        "clear text counted as well",
        lambda r: _block(r)["summary"].update({"total-successful-session-count": 17}),
        {("RPT-4.2.1-01", "successes-differ", INFO)},
    ),
    ("no entries", lambda r: _block(r).pop("failure-details"), {("RPT-4.3.1-01", "failure-not-listed", FAIL)}),
]


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_untruth_is_found_and_nothing_else(change: Changes, expected: set[tuple[str, str, Grade]]) -> None:
    assert _told(changed(change)) == expected


HARMLESS: list[tuple[str, Changes]] = [
    (
        "blanks and order of the lines",
        lambda r: _block(r)["policy"].update(
            {
                "policy-string": [
                    "max_age:604800",
                    " mx:*.backup.a.example",
                    "mx:\tMX1.a.example",
                    "mode: testing",
                    "version:STSv1",
                ]
            }
        ),
    ),
    (
        "addresses unknown",
        lambda r: _block(r)["failure-details"][0].update({"sending-mta-ip": "", "receiving-ip": ""}),
    ),
    (
        "an address in another notation, which the grader judges",
        lambda r: _block(r)["failure-details"][1].update({"sending-mta-ip": "2001:DB8:0::10"}),
    ),
    (
        "root dots",
        lambda r: (
            _block(r)["failure-details"][0].update({"receiving-mx-hostname": "MX1.a.example."}),
            _block(r)["policy"].update({"policy-domain": "A.example."}),
        ),
    ),
    (
        "without a policy, under the name of an MX",
        lambda r: r["policies"][2]["policy"].update({"policy-domain": "mx1.a.example"}),
    ),
    (
        "no lines for a policy that was never learnt",
        lambda r: (_block(r)["policy"].pop("policy-string"), _block(r)["policy"].pop("mx-host")),
    ),
]


@pytest.mark.parametrize("change", [case[1] for case in HARMLESS], ids=[case[0] for case in HARMLESS])
def test_what_is_open_is_no_finding(change: Changes) -> None:
    assert _told(changed(change)) == set()


class TestResultTypes:
    """One failing session, and every result type in turn."""

    def _told(self, known: KnownSessions, result_type: str) -> set[tuple[str, str, Grade]]:
        def change(report: dict[str, Any]) -> None:
            _sts_only(report)
            _block(report)["failure-details"] = [{"result-type": result_type, "failed-session-count": 4}]

        return _told(changed(change), known)

    @pytest.mark.parametrize("trouble", RIGHT_RESULT_TYPES)
    def test_exactly_the_right_types_are_right(self, trouble: str) -> None:
        known = replace(KNOWN, result_types=right_result_types(trouble))
        for result_type, row in RESULT_TYPES.items():
            told = self._told(known, result_type)
            grade = RIGHT_RESULT_TYPES[trouble].get(result_type)
            if grade is PASS:
                assert told == set()
            elif grade is not None:
                assert told == {(row, "result-type-tolerated", grade)}
            else:
                assert (row, "result-type-untrue", FAIL) in told
                assert any(reason == "failure-not-listed" for _, reason, _ in told)

    def test_a_tolerated_type_says_why(self) -> None:
        for trouble, note in (
            ("starttls-refused", "the definition"),
            ("self-signed", "certificate-not-trusted is explicit"),
        ):
            report = good()
            _sts_only(report)
            _block(report)["failure-details"] = [{"result-type": "validation-failure", "failed-session-count": 4}]
            known = replace(KNOWN, result_types=right_result_types(trouble))
            (finding,) = against_sessions(parse_report(text(report)), known, REQUIREMENTS)
            assert finding.note.startswith(note)

    def test_nobody_has_to_report_an_mx_outside_the_policy(self) -> None:
        known = replace(KNOWN, result_types=right_result_types("mx-outside-policy"), absent=INFO)
        told = _told(changed(lambda r: (_sts_only(r), _block(r).pop("failure-details"))), known)
        assert told == {("RPT-4.3.1-06", "failure-not-listed", INFO)}

    def test_of_two_troubles_the_better_grade_counts(self) -> None:
        assert right_result_types("self-signed", "handshake-broken")["validation-failure"] is PASS

    def test_a_clean_day_has_no_failures(self) -> None:
        known = replace(KNOWN, failed=Range(0, 0), result_types={})
        told = _told(changed(lambda r: _block(r)["failure-details"].__delitem__(slice(1, None))), known)
        assert told == {
            ("RPT-4.3.1-01", "result-type-untrue", FAIL),
            ("RPT-4.2.2-01", "failures-untrue", FAIL),
            ("RPT-4.4-19", "count-untrue", FAIL),
        }


def test_dane_blocks_stand_under_the_mx_host_with_its_records() -> None:
    records = (f"3 1 1 {'0123456789abcdef' * 4}", f"2 1 1 {'fedcba9876543210' * 4}")
    known = KnownSessions(
        "b.example",
        Range(5, 5),
        Range(0, 0),
        frozenset({"tlsa"}),
        mx_hosts=frozenset({"mx.b.example"}),
        tlsa_records=(records,),
    )
    assert _told(good(), known) == set()
    assert _told(good(), replace(known, tlsa_records=(records[:1],))) == {("RPT-4.5-01", "lines-untrue", FAIL)}
    assert _told(good(), replace(known, mx_hosts=frozenset())) == {("RPT-4.4-08", "no-block-for-the-domain", FAIL)}


def test_a_policy_that_was_replaced_during_the_day_is_right() -> None:
    known = replace(KNOWN, policy_lines=(*LINES[:-1], "max_age: 86400"), earlier_policy_lines=(LINES,))
    assert _told(good(), known) == set()
    assert _told(good(), replace(known, earlier_policy_lines=())) != set()


def test_a_text_that_was_refused_is_quoted_only_as_such() -> None:
    refused = ("version: STSv1", "mode: testing", "max_age: 604800")
    known = replace(KNOWN, refused_policy_lines=(refused,), result_types=right_result_types("policy-broken"))

    def told(result_type: str, successful: int, known: KnownSessions = known) -> set[str]:
        def change(report: dict[str, Any]) -> None:
            block = _block(report)
            block["policy"] |= {"policy-string": list(refused), "mx-host": []}
            block["summary"]["total-successful-session-count"] = successful
            block["failure-details"] = [{"result-type": result_type, "failed-session-count": 4}]

        return {obligation for obligation, _, _ in _told(changed(change), known)}

    assert "RPT-4.5-02" not in told("sts-policy-invalid", 0)
    assert "RPT-4.5-02" in told("sts-policy-invalid", 10)
    assert "RPT-4.5-02" in told("starttls-not-supported", 0)
    assert "RPT-4.5-02" not in told("sts-policy-invalid", 10, replace(known, policy_lines=None))


@pytest.mark.parametrize(("quoted", "right"), [([], True), (["version: STSv1", "mode: enforce"], False)])
def test_where_no_policy_was_in_force_none_need_be_quoted_and_none_invented(quoted: list[str], right: bool) -> None:
    known = replace(KNOWN, policy_lines=None, refused_policy_lines=(("version: STSv1", "mode: testing"),))

    def change(report: dict[str, Any]) -> None:
        _block(report)["policy"] |= {"policy-string": quoted, "mx-host": []}

    broken = {obligation for obligation, _, _ in _told(changed(change), known)}
    assert ("RPT-4.5-02" not in broken) is right


def test_a_session_under_two_policies_is_not_counted_twice() -> None:
    def change(report: dict[str, Any]) -> None:
        report["policies"][1]["policy"]["policy-domain"] = "a.example"
        report["policies"][1]["summary"] = {"total-successful-session-count": 14, "total-failure-session-count": 0}

    known = replace(KNOWN, attempts=Range(14, 14), policy_types=KNOWN.policy_types | {"tlsa"})
    report = changed(change)
    report["policies"].pop()
    assert _told(report, known) == {("RPT-4.2.1-01", "successes-differ", INFO)}


def test_counters_prove_nothing_where_they_are_free() -> None:
    known = replace(KNOWN, counters_are_free=True)
    report = changed(lambda r: _block(r)["summary"].update({"total-failure-session-count": 0}))
    assert _told(report, known) == {("RPT-4.2.2-01", "failures-untrue", INFO)}


def test_free_counters_have_no_more_than_was_attempted() -> None:
    """It is open which counter a session may raise, not how many sessions there were."""
    known = replace(KNOWN, counters_are_free=True)
    for count, grade in ((20, INFO), (21, FAIL)):
        report = changed(lambda r, count=count: _block(r)["summary"].update({"total-failure-session-count": count}))
        assert _told(report, known) == {("RPT-4.2.2-01", "failures-untrue", grade)}


def test_a_session_that_did_not_go_on_is_no_success() -> None:
    """Reporters may add the count of a delivery in clear after the failure; of what was held there was none."""
    report = changed(lambda r: _block(r)["summary"].update({"total-successful-session-count": 17}))
    assert _told(report, replace(KNOWN, successes=17)) == {("RPT-4.2.1-01", "successes-differ", INFO)}
    assert _told(report, replace(KNOWN, successes=16)) == {("RPT-4.2.1-01", "successes-untrue", FAIL)}


def test_what_the_lab_did_not_read_is_inconclusive() -> None:
    deep = b"[" * 40
    assert short(against_sessions(parse_report(b'{"a":' + deep), KNOWN, REQUIREMENTS)) == {
        ("RPT-4.4-08", "no-block-for-the-domain", Grade.INCONCLUSIVE)
    }


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no range"):
        Range(2, 1)
    with pytest.raises(ValueError, match="no range"):
        Range(-1, 1)


class TestInternationalisedNames:
    KNOWN = replace(
        KNOWN,
        policy_domain="xn--bro-hoa.example",
        policy_lines=tuple(line.replace("a.example", "xn--bro-hoa.example") for line in LINES),
        mx_hosts=frozenset({"mx1.xn--bro-hoa.example", "one.backup.xn--bro-hoa.example"}),
        mx_greetings=frozenset(),
    )

    def told(self, change: Changes) -> set[tuple[str, str, Grade]]:
        report = changed(change)
        as_text = text(report).decode().replace("a.example", "xn--bro-hoa.example")
        return short(against_sessions(parse_report(as_text.encode()), self.KNOWN, REQUIREMENTS)) - {ANOTHER}

    def test_a_labels_are_the_truth(self) -> None:
        assert self.told(lambda r: None) == set()

    def test_u_labels_name_the_same_domain_and_hosts(self) -> None:
        """That they are U-labels is found by the grader: here they are told apart from another domain."""
        told = self.told(
            lambda r: _block(r)["policy"].update(
                {
                    "policy-domain": "b\u00fcro.example",
                    "mx-host": ["mx1.b\u00fcro.example", "*.backup.b\u00fcro.example"],
                }
            )
        )
        assert told == set()

    def test_the_policy_is_quoted_as_it_was_published(self) -> None:
        told = self.told(lambda r: _block(r)["policy"]["policy-string"].__setitem__(2, "mx: mx1.b\u00fcro.example"))
        assert told == {("RPT-4.5-02", "lines-missing", FAIL), ("RPT-4.5-02", "lines-untrue", FAIL)}


class TestSeveralTroubles:
    def test_each_of_them_has_to_be_told(self) -> None:
        both = (frozenset({"starttls-not-supported"}), frozenset({"certificate-not-trusted"}))
        assert _told(good(), replace(KNOWN, problems=both)) == set()
        one = changed(lambda r: _block(r)["failure-details"].pop(1))
        assert _told(one, replace(KNOWN, problems=both)) == {("RPT-4-05", "problem-not-listed", FAIL)}

    def test_one_under_a_wrong_type_is_told_all_the_same(self) -> None:
        both = (frozenset({"starttls-not-supported"}), frozenset({"certificate-not-trusted"}))
        wrong = changed(lambda r: _block(r)["failure-details"][1].update({"result-type": "certificate-expired"}))
        assert _told(wrong, replace(KNOWN, problems=both)) == {("RPT-4.3.1-03", "result-type-untrue", FAIL)}

    def test_a_report_without_any_is_found_for_that_alone(self) -> None:
        none = changed(lambda r: _block(r).pop("failure-details"))
        both = (frozenset({"starttls-not-supported"}), frozenset({"certificate-not-trusted"}))
        assert _told(none, replace(KNOWN, problems=both)) == {("RPT-4.3.1-01", "failure-not-listed", FAIL)}


def test_a_type_that_fits_one_session_does_not_excuse_the_others() -> None:
    """One handshake broke and was rightly reported so, the others showed a self-signed certificate."""
    right = right_result_types("self-signed", "handshake-broken", "starttls-not-offered", "policy-unreachable")
    known = replace(KNOWN, result_types=right, fits={"validation-failure": (1, WEAK)})
    report = changed(lambda r: _block(r)["failure-details"][1].update({"result-type": "validation-failure"}))
    assert _told(report, known) == set()
    report["policies"][0]["failure-details"][1]["failed-session-count"] = 2
    assert _told(report, known) == {("RPT-4.3.1-06", "result-type-tolerated", WEAK)}


class TestWhoFailed:
    """Each entry belongs to sessions that there were: type, host and address together."""

    ONE = FailedSessions(frozenset({"mx1.a.example"}), "198.51.100.7", frozenset({"starttls-not-supported"}), 2)
    OTHER = FailedSessions(
        frozenset({"one.backup.a.example"}), "2001:db8:1::7", frozenset({"certificate-not-trusted"}), 2
    )
    KNOWN = replace(KNOWN, failed_sessions=(ONE, OTHER))

    def told(self, number: int, change: dict[str, Any], known: KnownSessions = KNOWN) -> set[tuple[str, str, Grade]]:
        return _told(changed(lambda r: _block(r)["failure-details"][number].update(change)), known)

    def test_the_truth_has_no_findings(self) -> None:
        assert _told(good(), self.KNOWN) == set()

    def test_the_types_of_two_hosts_exchanged(self) -> None:
        def exchange(report: dict[str, Any]) -> None:
            one, other, *_ = _block(report)["failure-details"]
            one["result-type"], other["result-type"] = other["result-type"], one["result-type"]

        laid = {(row, "laid-to-another", FAIL) for row in ("RPT-4.3.1-01", "RPT-4.3.1-04")}
        assert _told(changed(exchange), self.KNOWN) == laid

    def test_the_address_of_the_other_host(self) -> None:
        told = self.told(0, {"receiving-ip": "2001:db8:1::7"})
        assert told == {("RPT-4.4-18", "laid-to-another", FAIL)}

    @pytest.mark.parametrize("more", [{}, {"receiving-ip": "2001:db8:1::7"}])
    def test_a_host_that_nothing_was_wrong_with(self, more: dict[str, str]) -> None:
        known = replace(self.KNOWN, failed_sessions=(self.ONE,))
        told = self.told(0, {"receiving-mx-hostname": "one.backup.a.example"} | more, known)
        assert ("RPT-4.4-16", "laid-to-another", FAIL) in told

    def test_more_than_there_were_at_this_host(self) -> None:
        more = ("RPT-4.4-19", "more-than-this-host-had", FAIL)
        assert self.told(1, {"failed-session-count": 2}) == set()
        assert self.told(1, {"failed-session-count": 3}) == {more}
        assert self.told(1, {"failed-session-count": 7}) == {("RPT-4.4-19", "count-untrue", FAIL)}

    def test_several_entries_of_one_host_are_added_up(self) -> None:
        def split(report: dict[str, Any]) -> None:
            entries = _block(report)["failure-details"]
            entries.append(entries[1] | {"failure-reason-code": "another", "failed-session-count": 2})
            entries[1]["receiving-ip"] = ""

        assert _told(changed(split), self.KNOWN) == {("RPT-4.4-19", "more-than-this-host-had", FAIL)}

    def test_what_an_entry_leaves_out_fits_everybody(self) -> None:
        """That a member must not be left out is judged elsewhere."""
        assert self.told(0, {"receiving-ip": ""}) == set()
        assert self.told(0, {"receiving-mx-hostname": ""}) == set()
        assert self.told(0, {"receiving-ip": "", "receiving-mx-hostname": ""}) == set()

    def test_sessions_that_are_not_told_of_count_for_their_own_trouble(self) -> None:
        right = right_result_types("policy-unreachable", "starttls-not-offered")
        types = {"sts-policy-fetch-error": right["sts-policy-fetch-error"], **right}
        known = replace(KNOWN, failed_sessions=(self.ONE,), result_types=types)
        silent = changed(lambda r: _block(r).pop("failure-details"))
        assert _told(silent, known) == {("RPT-4.3.1-01", "failure-not-listed", FAIL)}

    def test_a_host_that_was_never_connected_to_has_no_address(self) -> None:
        away = FailedSessions(frozenset({"mx1.a.example"}), "", frozenset({"validation-failure"}), 2)
        known = replace(
            self.KNOWN,
            failed_sessions=(away, self.OTHER),
            result_types=right_result_types("handshake-broken", "untrusted", "policy-unreachable"),
        )
        assert self.told(0, {"result-type": "validation-failure"}, known) == set()
