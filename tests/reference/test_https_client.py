"""Every way in which a policy host can be wrong: the policy does not count, the mail goes out all the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.reference.https_client import LARGEST_BODY

from tests.reference.standin import Internet, sender, settle


async def honoured(internet: Internet, tmp_path: Path, **flaws: bool) -> bool:
    """Whether an enforce policy was applied: then a host without STARTTLS gets nothing."""
    internet.show(internet.mx1, None)
    async with sender(internet, tmp_path, **flaws) as target:
        return await settle(target) != "gone"


async def test_a_valid_policy_is_honoured(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.headers = ["Content-Type: Text/Plain; charset=koi8-r", "Cache-Control: max-age=9999", "ETag: x"]
    assert await honoured(internet, tmp_path)


@pytest.mark.parametrize(
    ("status", "flaw"),
    [
        ("404 Not Found", "ignores_http_status"),
        ("201 Created", "ignores_http_status"),
        ("500 No", "ignores_http_status"),
    ],
)
async def test_only_status_200_counts(internet: Internet, tmp_path: Path, status: str, flaw: str) -> None:
    internet.publish("enforce")
    internet.web.status = status
    assert not await honoured(internet, tmp_path / "a")
    internet.publish("enforce")
    assert await honoured(internet, tmp_path / "b", **{flaw: True})


async def test_redirects_are_not_followed(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.status = "301 Moved Permanently"
    internet.web.headers = ["Content-Type: text/plain", "Location: /elsewhere.txt"]
    internet.web.paths["/elsewhere.txt"] = internet.web.body
    assert not await honoured(internet, tmp_path / "a")
    assert internet.fetches() == 1
    assert await honoured(internet, tmp_path / "b", follows_redirects=True)
    assert [line.split()[1] for line, _, _ in internet.web.requests[1:]] == [
        "/.well-known/mta-sts.txt",
        "/elsewhere.txt",
    ]


@pytest.mark.parametrize("location", ["http://there.example/", "https://127.0.0.1/", "https://[::1]/", "x://y"])
async def test_even_the_flaw_never_leaves_the_lab(internet: Internet, tmp_path: Path, location: str) -> None:
    internet.publish("enforce")
    internet.web.status = "302 Found"
    internet.web.headers = [f"Location: {location}"]
    assert not await honoured(internet, tmp_path, follows_redirects=True)


@pytest.mark.parametrize("header", ["Content-Type: text/html", "X-None: here"])
async def test_the_media_type_is_checked(internet: Internet, tmp_path: Path, header: str) -> None:
    internet.publish("enforce")
    internet.web.headers = [header]
    assert not await honoured(internet, tmp_path)


async def test_a_body_above_the_ceiling_is_refused(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.body += b"x: " + b"y" * LARGEST_BODY + b"\n"
    assert not await honoured(internet, tmp_path)


async def test_a_body_below_the_ceiling_is_read_whole(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.body = b"x: " + b"y" * (LARGEST_BODY - 300) + b"\n" + internet.web.body
    assert await honoured(internet, tmp_path)


async def test_a_body_may_end_with_its_connection(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.counts = False
    assert await honoured(internet, tmp_path)


async def test_a_stalling_host_ends_in_time(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    internet.web.stalls = True
    from dataclasses import replace

    from tests.reference.standin import QUICK

    internet.show(internet.mx1, None)
    async with sender(internet, tmp_path, replace(QUICK, fetch_seconds=0.3)) as target:
        assert await settle(target) == "gone"
        assert "timed out" in await target.logs()


CERTIFICATES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "untrusted": ({}, {"accepts_bad_policy_host"}),
    "expired": ({}, {"accepts_bad_policy_host", "accepts_policy_host_expired"}),
    "wrong-name": ({}, {"accepts_bad_policy_host", "accepts_policy_host_wrong_name"}),
    "cn-only": ({}, {"accepts_bad_policy_host", "accepts_policy_host_wrong_name"}),
}


def show(internet: Internet, how: str) -> None:
    name = "mta-sts.there.example"
    match how:
        case "untrusted":
            internet.web.context = internet.server_context(name, issuer=internet.other_ca)
        case "expired":
            past = datetime.now(UTC) - timedelta(hours=1)
            internet.web.context = internet.server_context(name, not_after=past)
        case "wrong-name":
            internet.web.context = internet.server_context("there.example")
        case "cn-only":
            internet.web.context = internet.server_context("x@there.example", common_name=name)


@pytest.mark.parametrize("how", CERTIFICATES)
@pytest.mark.parametrize(
    "flaw", ["", "accepts_bad_policy_host", "accepts_policy_host_expired", "accepts_policy_host_wrong_name"]
)
async def test_the_certificate_is_checked(internet: Internet, tmp_path: Path, how: str, flaw: str) -> None:
    internet.publish("enforce")
    show(internet, how)
    flaws = {flaw: True} if flaw else {}
    assert await honoured(internet, tmp_path, **flaws) is (flaw in CERTIFICATES[how][1])


@pytest.mark.parametrize(("records", "flaw"), [(['"v=STSv1; id=a1;"', '"v=STSv1; id=b2;"'], "accepts_two_records")])
async def test_two_records_are_none(internet: Internet, tmp_path: Path, records: list[str], flaw: str) -> None:
    internet.publish("enforce")
    internet.dns.zone["_mta-sts.there.example", "TXT"] = records
    assert not await honoured(internet, tmp_path / "a")
    assert await honoured(internet, tmp_path / "b", **{flaw: True})


async def test_last_duplicate_wins(internet: Internet, tmp_path: Path) -> None:
    internet.publish("none")
    internet.web.body += b"mode: enforce\r\n"
    assert not await honoured(internet, tmp_path / "a")
    assert await honoured(internet, tmp_path / "b", last_duplicate_wins=True)


async def test_split_strings_and_aliases_are_followed(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    zone = internet.dns.zone
    del zone["_mta-sts.there.example", "TXT"]
    zone["_mta-sts.there.example", "CNAME"] = ["one.provider.example"]
    zone["one.provider.example", "CNAME"] = ["two.provider.example"]
    zone["two.provider.example", "TXT"] = ['"v=ST" "Sv1; id=a" "1;"']
    assert await honoured(internet, tmp_path)
