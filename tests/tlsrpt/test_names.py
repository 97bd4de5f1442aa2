"""Moments, names, addresses, parameters, file names and Subjects: the small grammars, one table each."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta_sts_lab.tlsrpt.mail import decoded_words, value_and_parameters
from mta_sts_lab.tlsrpt.names import (
    address_fault,
    canonical,
    domain_of,
    read_file_name,
    read_moment,
    read_subject,
    within,
)


@pytest.mark.parametrize(
    ("text", "unix", "faults"),
    [
        ("1970-01-01T00:00:00Z", 0, ()),
        ("1970-01-01T00:00:01.999+00:00", 1, ()),
        ("1970-01-01T00:00:00-01:30", 5400, ()),
        ("1970-01-01t00:00:00z", 0, ()),
        ("1970-01-01T00:00:00", 0, ("no-offset",)),
        ("1970-01-01 00:00:00", 0, ("blank-for-t", "no-offset")),
        ("1970-01-01T24:00:00Z", 86400, ("hour-above-23",)),
        ("1970-01-01T25:00:00Z", None, ("hour-above-23",)),
        ("1990-12-31T23:59:60Z", 662687999, ()),
        ("1970-02-29T00:00:00Z", None, ("not-a-date-time",)),
        ("1970-01-01T00:00:00+24:00", None, ("not-a-date-time",)),
        ("9999-12-31T24:00:00Z", None, ("hour-above-23",)),
        ("0001-01-01T00:00:00+01:00", None, ("not-a-date-time",)),
        ("0000-01-01T00:00:00Z", None, ("not-a-date-time",)),
        ("1970-01-01T00:00Z", None, ("not-a-date-time",)),
        ("1970-1-1T00:00:00Z", None, ("not-a-date-time",)),
        ("١٩٧٠-01-01T00:00:00Z", None, ("not-a-date-time",)),
        ("1970-01-01T00:00:00Z\n", None, ("not-a-date-time",)),
        ("", None, ("not-a-date-time",)),
        ("1" * 9999, None, ("not-a-date-time",)),
    ],
)
def test_moments(text: str, unix: int | None, faults: tuple[str, ...]) -> None:
    moment = read_moment(text)
    assert (moment.unix, moment.faults) == (unix, faults)


OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS))
def test_every_moment_that_python_writes_is_read(moment: datetime) -> None:
    read = read_moment(moment.isoformat())
    assert read.instant == moment.replace(microsecond=0)
    assert read.faults == ()


@given(st.text(max_size=40))
def test_any_text_is_read_as_a_moment(text: str) -> None:
    moment = read_moment(text)
    assert moment.instant is not None or moment.faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("192.0.2.1", ""),
        ("192.0.2.01", "leading-zeros"),
        ("192.000.2.1", "leading-zeros"),
        ("192.0.2.256", "not-an-address"),
        ("192.0.2", "not-an-address"),
        ("192.0.2.1 ", "not-an-address"),
        ("2001:db8::1", ""),
        ("2001:DB8::1", "not-rfc-5952"),
        ("2001:0db8::1", "not-rfc-5952"),
        ("2001:db8:0:0:0:0:0:1", "not-rfc-5952"),
        ("2001:db8::1:1:1:1:1", "not-rfc-5952"),
        ("::ffff:192.0.2.1", ""),
        ("::ffff:c000:201", ""),
        ("64:ff9b::192.0.2.1", ""),
        ("2001:db8::192.0.2.1", "not-rfc-5952"),
        ("fe80::1%eth0", "not-an-address"),
        ("[2001:db8::1]", "not-an-address"),
        ("IPv6:2001:db8::1", "not-an-address"),
        ("", "not-an-address"),
    ],
)
def test_addresses(text: str, fault: str) -> None:
    assert address_fault(text) == fault


@given(st.ip_addresses())
def test_what_python_writes_is_canonical_and_stays_itself(address: object) -> None:
    assert address_fault(str(address)) == ""
    assert canonical(str(address).upper()) == canonical(str(address))


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_has_a_fault(text: str) -> None:
    address_fault(text)
    canonical(text)


def test_spellings_of_one_address_are_equal() -> None:
    assert canonical("[IPv6:2001:DB8:0::1]") == canonical("2001:db8::1")
    assert canonical("192.000.2.010") == "192.0.2.10"
    assert canonical("a host") == "a host"


def test_within() -> None:
    assert within("Mail.A.example.", "a.example")
    assert within("a.example", "A.example")
    assert not within("ba.example", "a.example")
    assert not within("a.example", "mail.a.example")


@pytest.mark.parametrize("text", ["a.b+c@d.example", "<a@d.example>", "A <a@d.example>"])
def test_the_domain_of_an_address(text: str) -> None:
    assert domain_of(text) == "d.example"


@pytest.mark.parametrize(
    ("text", "value", "parameters"),
    [
        ("text/plain", "text/plain", {}),
        ("", "", {}),
        ('A/B; C=d ; E = "f;\\"g"', "a/b", {"c": "d", "e": 'f;"g'}),
        ("a/b (comment); c=d (comment)", "a/b", {"c": "d"}),
        ('a/b; c="d', "a/b", {"c": "d"}),
        ("a/b; c=1; c=2", "a/b", {"c": "1"}),
        ("a/b; n*=utf-8'de'%C3%BC", "a/b", {"n": "ü"}),
        ("a/b; n*=iso-8859-1''%FC", "a/b", {"n": "ü"}),
        ("a/b; n*=rot13''abc", "a/b", {"n": "abc"}),
        ("a/b; n*1=c; n*0=b", "a/b", {"n": "bc"}),
        ("a/b; n*x*y*z=1; ;;=", "a/b", {}),
    ],
)
def test_parameters(text: str, value: str, parameters: dict[str, str]) -> None:
    assert value_and_parameters(text) == (value, parameters)


@given(st.text(alphabet="ab;=*'\"\\%0F() ?=\u00e4\n", max_size=60))
def test_any_field_is_read(text: str) -> None:
    value_and_parameters(text)
    decoded_words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=?utf-8?B?w7w=?=", "ü"),
        ("=?UTF-8?q?=C3=BC_a?= =?utf-8?q?b?=", "ü ab"),
        ("=?utf-8*de?Q?a?= c", "a c"),
        ("=?utf-8?b?!?=", "=?utf-8?b?!?="),
        ("a=?b", "a=?b"),
    ],
)
def test_encoded_words(text: str, expected: str) -> None:
    assert decoded_words(text) == expected


def test_file_names() -> None:
    name = read_file_name("a.example!b.example!1!22!x9.json.gz")
    assert name is not None
    assert (name.sender, name.domain, name.begin, name.end, name.unique, name.extension) == (
        "a.example",
        "b.example",
        1,
        22,
        "x9",
        "json.gz",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a!b!1!2",
        "a!b!1!2.xml",
        "a!b!1.json",
        "a!b!-1!2.json",
        "a!b!1!2!.json",
        "a!b!1!2!3!4.json",
        "a!b!1!2.json.gz.exe",
        "a!b!" + "1" * 30 + "!2.json",
        "x" * 10_000,
    ],
)
def test_other_file_names(text: str) -> None:
    assert read_file_name(text) is None


def test_subjects() -> None:
    subject = read_subject("Report Domain: a.example Submitter: b.example Report-ID: <1.x@b.example>")
    assert subject is not None
    assert (subject.domain, subject.submitter, subject.report_id) == ("a.example", "b.example", "1.x@b.example")
    assert subject.in_form
    assert subject.id_in_form


@pytest.mark.parametrize(
    "text",
    [
        "report domain: a submitter: b report-id: <c@d>",
        "TLS Report Domain: a Submitter: b",
        "Report Domain: a Submitter: b Report-ID: c@d",
    ],
)
def test_subjects_that_are_near_are_understood_and_marked(text: str) -> None:
    subject = read_subject(text)
    assert subject is not None
    assert (subject.domain, subject.submitter, subject.in_form) == ("a", "b", False)


@pytest.mark.parametrize("text", ["", "hello", "Report Domain: a", "Submitter: a Report Domain: b"])
def test_other_subjects(text: str) -> None:
    assert read_subject(text) is None
