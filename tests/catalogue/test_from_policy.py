"""Cases that are made from somebody's own policy: what is served is what was given, and expectations follow RFC 8461."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.catalogue.from_policy import CannotPublish, Publication, Question, catalogue_of, questions
from mta_sts_lab.model.case import Mode
from mta_sts_lab.rfc.policy import lists, read_policy
from mta_sts_lab.rfc.published import served_policy

ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.mx.example.com\r\nx-note: a b\r\nmax_age: 604800\r\n"
HOSTS = ("mail.example.com", "a.mx.example.com", "b.example.net")


def expected(
    body: bytes, then: bytes | None = None, question: Question = Question.PUBLISH
) -> dict[str, tuple[str, ...]]:
    later = Publication(then) if then is not None else None
    found = {}
    for one in questions(Publication(body), HOSTS, later):
        (demand,) = [step.expect for step in one.case.steps if step.expect is not None]
        if one.question is question:
            found[one.host] = demand.outcome
    return found


def test_what_is_served_is_the_policy_with_names_of_the_case() -> None:
    (case, *_) = catalogue_of(questions(Publication(ENFORCE), HOSTS)).cases.values()
    served = read_policy(served_policy(case.steps[0].world, "enforce", "x.example"))
    assert served.valid
    assert served.mx == ("mail.example.com.x.example", "*.mx.example.com.x.example")
    assert "x-note: a b" in served.lines
    assert case.mode is Mode.ENFORCE


@given(
    st.sampled_from(HOSTS), st.sampled_from(["*.example.com", "mail.example.com", "*.mx.example.com", "b.example.net"])
)
def test_matching_stays_as_it_was(host: str, pattern: str) -> None:
    assert lists([pattern], host) == lists([f"{pattern}.x.example"], f"{host}.x.example")


def test_mail_waits_for_hosts_that_are_not_listed() -> None:
    assert expected(ENFORCE) == {
        "mail.example.com": ("delivered-authenticated",),
        "a.mx.example.com": ("delivered-authenticated",),
        "b.example.net": ("deferred",),
    }
    assert set(expected(ENFORCE.replace(b"enforce", b"testing")).values()) == {("delivered",)}
    assert set(expected(ENFORCE.replace(b"max_age", b"max-age")).values()) == {("delivered",)}


def test_a_new_policy_counts_only_if_it_can_be_used() -> None:
    moved = ENFORCE.replace(b"mail.example.com", b"b.example.net")
    assert expected(ENFORCE, moved, Question.UPDATE)["mail.example.com"] == ("deferred",)
    assert expected(ENFORCE, moved.replace(b"max_age", b"max-age"), Question.UPDATE)["b.example.net"] == ("deferred",)
    assert expected(ENFORCE, moved, Question.UPDATE)["b.example.net"] == ("delivered-authenticated",)


def test_nobody_notices_a_policy_under_the_same_id() -> None:
    record = ("v=STSv1; id=1",)
    moved = ENFORCE.replace(b"mail.example.com", b"b.example.net")

    def kept(*records: str) -> set[bytes]:
        asked = questions(Publication(ENFORCE, record), HOSTS, Publication(moved, records))
        return {one.kept.body for one in asked if one.question is Question.UPDATE}

    assert kept(*record) == {ENFORCE}
    assert kept("v=STSv1; id=1;") == {ENFORCE}, "another text, and the same id"
    assert kept("v=spf1 -all", "v=STSv1;id=1; note=a") == {ENFORCE}
    assert kept("v=STSv1; id=2") == {moved}
    assert kept() == {moved}


def asked_about(body: bytes, then: Publication | None = None) -> set[str]:
    return {one.attack or one.question.value for one in questions(Publication(body, ("v=STSv1; id=1",)), HOSTS, then)}


@pytest.mark.parametrize("age", [b"0", b"60"])
def test_nothing_rests_on_a_policy_that_ends_in_a_play(age: bytes) -> None:
    short = ENFORCE.replace(b"604800", age)
    assert asked_about(ENFORCE) - asked_about(short) == {"rollover"}
    assert "update" in asked_about(short, Publication(ENFORCE, ("v=STSv1; id=2",)))
    assert "update" not in asked_about(short, Publication(ENFORCE, ("v=STSv1; id=1",)))
    assert "update" not in asked_about(short, Publication(b"no policy"))
    assert "update" in asked_about(ENFORCE, Publication(b"no policy"))
    assert "update" in asked_about(b"no policy", Publication(short))


def test_each_attack_has_its_control_case() -> None:
    cases = catalogue_of(questions(Publication(ENFORCE), HOSTS)).cases
    attacked = [
        case for case in cases.values() if any(step.attacks for step in case.steps) and case.mode is Mode.ENFORCE
    ]
    assert len(attacked) == 4
    assert all(cases[case.control].mode is Mode.ABSENT for case in attacked)


@pytest.mark.parametrize(
    ("body", "hosts", "words"),
    [
        (b" \n", HOSTS, "empty"),
        (b"\xff\xfe", HOSTS, "not UTF-8"),
        (b"mode: {mode}", HOSTS, "{mode}"),
        (ENFORCE + b"note: a\n" * 8192, HOSTS, "more than 64 KiB"),
        (ENFORCE + b"mx: a\n" * 4096, HOSTS, "as the lab serves it"),
        (ENFORCE, ("a b",), "no name of a host"),
        (ENFORCE, ("192.0.2.1",), "an address is no name of a host"),
        (ENFORCE, ("[2001:db8::1]",), "an address is no name of a host"),
        (ENFORCE, ("*.example.com",), "no name of a host"),
        (ENFORCE, ("a" * 250,), "no name of a host"),
    ],
)
def test_what_the_lab_cannot_serve_as_it_is(body: bytes, hosts: tuple[str, ...], words: str) -> None:
    with pytest.raises(CannotPublish, match=words):
        questions(Publication(body), hosts)


def test_a_policy_that_senders_have_to_read_is_served() -> None:
    assert questions(Publication(ENFORCE + b"note: a\n" * 7000), HOSTS)


@pytest.mark.parametrize("end", [b"\r", b"\r\n\r"])
def test_a_cr_alone_at_the_end_is_served(end: bytes) -> None:
    (first, *_) = questions(Publication(ENFORCE.removesuffix(b"\r\n") + end), HOSTS)
    assert served_policy(first.case.steps[0].world, "enforce", "x.example").endswith(b"max_age: 604800" + end)


@given(
    st.lists(
        st.sampled_from(
            [
                b"version: STSv1",
                b"mode: enforce",
                b"mode: none",
                b"mx: *",
                b"mx: b.example.net",
                b"mx:",
                b"max_age: 1",
                b"\xef\xbb\xbf",
                b"\n",
                b"\r\n",
                b"\r",
                b"x: \x01",
            ]
        )
    ).map(b"".join)
)
def test_an_unusable_policy_is_served_unusable(body: bytes) -> None:
    publication = Publication(body)
    try:
        (first, *_) = questions(publication, HOSTS)
    except CannotPublish:
        return
    served = read_policy(served_policy(first.case.steps[0].world, "enforce", "x.example"))
    assert served.valid == publication.policy.valid
