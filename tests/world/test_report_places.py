"""Where reports may go: each record of a scenario, and what a reader of RFC 8460 makes of it."""

from __future__ import annotations

import pytest
from mta_sts_lab.model import REPORT_PLACES, Reports
from mta_sts_lab.world.report_places import ReportPlaces, name_of_case, place_of, report_records, wanted_places

DOMAIN = "c0ffee.example"
HTTPS = "https://reports.lab.example/v1/c0ffee"
MAIL = "tls-reports@c0ffee.reports.lab.example"


def wanted(*records: str, **settings: str) -> tuple[str, ...]:
    return wanted_places(DOMAIN, Reports(records=records, **settings))  # type: ignore[arg-type]


def test_every_word_is_filled_in_and_no_other() -> None:
    filled = ReportPlaces(DOMAIN).fill_in(" ".join(f"{{{word}}}" for word in REPORT_PLACES) + " {x}")
    assert filled == f"{HTTPS} mailto:{MAIL} mailto:tls-reports@{DOMAIN} c0ffee.reports.lab.example {{x}}"


@pytest.mark.parametrize(
    ("records", "places"),
    [
        (("v=TLSRPTv1; rua={https}",), (HTTPS,)),
        (("v=TLSRPTv1;rua=mailto:x@Y.example , {https};",), ("x@y.example", HTTPS)),
        (("v=TLSRPTv1; new=1; rua={mailto}; newer=2",), (MAIL,)),
        (("v=spf1 -all", "v=TLSRPTv1; rua={https}"), (HTTPS,)),
        (("v=TLSRPTv1; rua={https}/a%2Cb%21c",), (f"{HTTPS}/a,b!c",)),
        (("v=TLSRPTv1; rua=mailto:a%2Cb@{report_domain}?subject=x",), ("a,b@c0ffee.reports.lab.example",)),
        ((), ()),
        (("v=TLSRPTv2; rua={https}",), ()),
        (("v=tlsrptv1; rua={https}",), ()),
        (("rua={https}; v=TLSRPTv1",), ()),
        (("v=TLSRPTv1; rua={https}", "v=TLSRPTv1; rua={mailto}"), ()),
        (("v=TLSRPTv1;",), ()),
        (("v=TLSRPTv1; rua=ftp://x.example/y",), ()),
    ],
)
def test_what_a_record_comes_to(records: tuple[str, ...], places: tuple[str, ...]) -> None:
    assert wanted(*records) == places


def test_equal_places_are_equal_whatever_their_spelling() -> None:
    assert place_of("https://Reports.lab.example/v1/a%2Cb") == place_of("https://reports.lab.example/v1/a,b")
    assert place_of("mailto:a%21b@X.example") == place_of("mailto:a!b@x.example")
    assert place_of("mailto:A@x.example") != place_of("mailto:a@x.example")


@pytest.mark.parametrize(
    "uri", ["https://[/v1/a", "https://x]/", "https://[::1/", "https://[v6]/", "https://a\u2100b/"]
)
def test_what_only_looks_like_a_url_is_a_place_of_its_own(uri: str) -> None:
    assert place_of(uri) == uri


def test_a_bad_certificate_has_a_host_of_its_own() -> None:
    assert wanted("v=TLSRPTv1; rua={https}", certificate="expired") == ("https://c0ffee.reports.lab.example/v1/c0ffee",)


def test_the_strings_of_a_record_are_as_long_as_it_says() -> None:
    (record,) = report_records(DOMAIN, Reports(string_length=9))
    assert (record.name, record.string_length) == (f"_smtp._tls.{DOMAIN}", 9)


def test_a_record_can_stand_where_an_alias_leads() -> None:
    alias, record = report_records(DOMAIN, Reports(alias=True))
    assert (alias.name, alias.type, alias.data) == (f"_smtp._tls.{DOMAIN}", "CNAME", record.name)
    assert (record.type, record.name) == ("TXT", f"tls-reporting.{DOMAIN}")


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("reports.lab.example", "/v1/c0ffee", "c0ffee.reports.lab.example"),
        ("Reports.lab.example", "/v1/C0FFEE/x", "c0ffee.reports.lab.example"),
        ("c0ffee.reports.lab.example", "/anything", "c0ffee.reports.lab.example"),
        ("reports.lab.example", "/v1/", ""),
        ("reports.lab.example", "/c0ffee", ""),
    ],
)
def test_a_request_names_a_case(host: str, path: str, name: str) -> None:
    assert name_of_case(host, path) == name


def test_a_wish_can_stand_at_the_mail_hosts_too() -> None:
    wishes = Reports(at_mx=("v=TLSRPTv1; rua={https}/mx",))
    records = list(report_records(DOMAIN, wishes, ["mx1.c0ffee.example", "mx2.c0ffee.example"]))
    assert [(one.name, one.data) for one in records[1:]] == [
        (f"_smtp._tls.mx{number}.c0ffee.example", f"v=TLSRPTv1; rua={HTTPS}/mx") for number in (1, 2)
    ]
    assert wanted_places(DOMAIN, wishes) == (HTTPS,)
