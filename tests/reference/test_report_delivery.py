"""Reports on their way: by mail and by HTTPS, in spite of attacks, again and again for a day, across restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import dkim
import pytest
from mta_sts_lab.reference.reporter import PendingReport, Receipt, Reporter
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.target import InProcessTarget

from tests.reference.reports import MAILBOX, WEB, ask, mailed, mailed_report, signing
from tests.reference.standin import POLICY_HOST, Internet, report_body, sender, settle, until

HOUR = 3600


async def counted(internet: Internet, target: InProcessTarget, rua: str) -> None:
    ask(internet, rua)
    assert await settle(target) == "gone"


def posted(internet: Internet) -> list[dict[str, Any]]:
    return [report_body(request) for request in internet.reports.requests]


def protect_mailbox(internet: Internet) -> None:
    """Publish mode enforce for `box.example`, whose MX then offers no STARTTLS."""
    internet.publish("enforce", mx=("mx2.there.example",))
    internet.dns.zone["_mta-sts.box.example", "TXT"] = internet.dns.zone.pop(("_mta-sts.there.example", "TXT"))
    internet.dns.zone["mta-sts.box.example", "A"] = [POLICY_HOST]
    internet.web.context = internet.server_context("mta-sts.box.example")
    internet.show(internet.mx2, None)


async def test_by_mail_signed_with_the_key_that_about_shows(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, signing()) as target:
        await counted(internet, target, MAILBOX)
        assert await target.sender.send_reports() == 1
        about = await target.about()
    [mail] = internet.mx2.taken
    assert (mail.sender, mail.recipient, mail.secured) == ("tls-reports@sender.example", "tls@box.example", True)
    report = mailed_report(mail)
    assert report["policies"][0]["summary"]["total-successful-session-count"] == 1
    assert mailed(mail)["TLS-Report-Domain"] == "there.example"

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        return about.dkim_records[name.decode().rstrip(".")].encode()

    assert dkim.verify(mail.content, dnsfunc=look_up)


async def test_every_address_gets_the_same_report(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, signing()) as target:
        await counted(internet, target, f"{MAILBOX} , ftp://x.example/,{WEB},{WEB},mailto:o%2Cdd@box.example")
        assert await target.sender.send_reports() == 1
    [first] = posted(internet)
    assert [mailed_report(mail) for mail in internet.mx2.taken] == [first, first]
    assert {mail.recipient for mail in internet.mx2.taken} == {"tls@box.example", '"o,dd"@box.example'}


async def test_reports_leave_a_few_at_a_time(
    internet: Internet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = [0]

    async def bring(reporter: Reporter, _: PendingReport) -> Receipt:
        under_way.append(under_way[-1] + 1)
        await asyncio.sleep(0)
        under_way.append(under_way[-1] - 1)
        return Receipt(True, "taken")

    monkeypatch.setattr(Reporter, "_bring", bring)
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        assert target.sender._life is not None
        reporter = target.sender._life.reporter
        [day] = reporter.counts.take()
        for number in range(30):
            reporter._report_on(replace(day, id=f"{day.id}{number}"))
        assert await target.sender.send_reports() == 30
    assert max(under_way) == Settings().parallel_reports


async def test_one_address_that_takes_it_is_enough(internet: Internet, tmp_path: Path) -> None:
    internet.reports.status = "500 No"
    async with sender(internet, tmp_path, signing()) as target:
        await counted(internet, target, f"{WEB},{MAILBOX}")
        assert await target.sender.send_reports() == 1
        await target.advance(25 * HOUR)
        assert await target.sender.send_reports() == 0
    assert len(internet.reports.requests) == len(internet.mx2.taken) == 1


async def test_mail_goes_out_in_spite_of_policy_and_attack(internet: Internet, tmp_path: Path) -> None:
    protect_mailbox(internet)
    async with sender(internet, tmp_path, signing()) as target:
        await counted(internet, target, MAILBOX)
        assert "starttls" in await settle(target, "bob@box.example")
        assert await target.sender.send_reports() == 1
    assert [mail.secured for mail in internet.mx2.taken] == [False]


async def test_flaw_holds_reports_under_attack(internet: Internet, tmp_path: Path) -> None:
    protect_mailbox(internet)
    async with sender(internet, tmp_path, signing(), holds_reports_under_attack=True) as target:
        await counted(internet, target, MAILBOX)
        assert await target.sender.send_reports() == 0
        assert internet.mx2.taken == []
        internet.show(internet.mx2, internet.server_context("mx2.there.example"))
        await target.advance(301)
        assert await target.sender.send_reports() == 1


@pytest.mark.parametrize("flawed", [False, True])
async def test_report_mail_is_in_the_next_report_only_with_the_flaw(
    internet: Internet, tmp_path: Path, flawed: bool
) -> None:
    ask(internet, MAILBOX, domain="box.example")
    async with sender(internet, tmp_path, signing(), reports_on_reports=flawed) as target:
        await counted(internet, target, MAILBOX)
        assert await target.sender.send_reports() == 1
        await target.advance(24 * HOUR)
        assert await target.sender.send_reports() == (1 if flawed else 0)
    domains = [mailed(mail)["TLS-Report-Domain"] for mail in internet.mx2.taken]
    assert domains == ["there.example", *(["box.example"] if flawed else [])]


async def test_what_http_refuses_is_sent_again_with_growing_pauses_for_a_day(
    internet: Internet, tmp_path: Path
) -> None:
    internet.reports.status = "503 Later"
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        assert await target.sender.send_reports() == 0
        for attempts, minutes in enumerate([5, 10, 20, 40, 80, 160, 320, 640, 24 * 60 - 1275], start=1):
            await target.advance(minutes * 60 - 30)
            assert len(internet.reports.requests) == attempts
            await target.advance(31)
            # The sender writes down how an attempt went when it has planned the next one: only then may time move on.
            await until(lambda: target.sender.logs().count(" 503") > attempts)  # noqa: B023 awaited in the loop
        await target.advance(72 * HOUR)
        internet.reports.status = "200 OK"
        assert await target.sender.send_reports() == 0
    assert len(internet.reports.requests) == 10
    assert len({report["report-id"] for report in posted(internet)}) == 1


async def test_mail_that_is_put_off_goes_again_under_the_same_report_id(internet: Internet, tmp_path: Path) -> None:
    internet.mx2.answers["DATA"] = "451 later"
    async with sender(internet, tmp_path, signing()) as target:
        await counted(internet, target, MAILBOX)
        assert await target.sender.send_reports() == 0
        internet.mx2.answers.clear()
        await target.advance(300)
        await until(lambda: internet.mx2.taken)
    [mail] = internet.mx2.taken
    assert mailed(mail)["Subject"].endswith(f"Report-ID: <{mailed_report(mail)['report-id']}>")


async def test_mail_that_is_refused_for_good_is_not_sent_again(internet: Internet, tmp_path: Path) -> None:
    internet.mx2.answers["RCPT"] = "550 nobody"
    async with sender(internet, tmp_path, signing()) as target:
        await counted(internet, target, MAILBOX)
        await target.sender.send_reports()
        internet.mx2.answers.clear()
        assert await target.sender.send_reports() == 0
    assert internet.mx2.taken == internet.home.taken == []


async def test_a_flush_does_not_wait_for_the_time(internet: Internet, tmp_path: Path) -> None:
    internet.reports.status = "503 Later"
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        await target.sender.send_reports()
        internet.reports.status = "200 OK"
        await target.flush()
        await until(lambda: len(internet.reports.requests) == 2)


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
async def test_counters_and_waiting_reports_survive_a_restart(internet: Internet, tmp_path: Path, signal: str) -> None:
    internet.reports.status = "503 Later"
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        await target.restart(signal)
        await settle(target)
        await target.sender.send_reports()
        await target.restart(signal)
        internet.reports.status = "200 OK"
        await target.advance(301)
        await until(lambda: len(internet.reports.requests) == 2)
        await target.restart(signal)
        assert await target.sender.send_reports() == 0
    first, second = posted(internet)
    assert first == second
    assert first["policies"][0]["summary"]["total-successful-session-count"] == 2


async def test_a_kill_amid_a_report_sends_it_again_under_the_same_id(internet: Internet, tmp_path: Path) -> None:
    import asyncio

    internet.reports.stalls = True
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        sending = asyncio.create_task(target.sender.send_reports())
        await until(lambda: internet.reports.requests)
        await target.restart("KILL")
        assert await sending == 0
        internet.reports.stalls = False
        assert await target.sender.send_reports() == 1
    first, second = posted(internet)
    assert first == second


async def test_each_day_has_its_report(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        await target.advance(24 * HOUR)
        await settle(target)
        await settle(target)
        assert await target.sender.send_reports() == 2
    first, second = sorted(posted(internet), key=lambda report: str(report["date-range"]))
    assert [one["policies"][0]["summary"]["total-successful-session-count"] for one in (first, second)] == [1, 2]
    assert first["date-range"]["end-datetime"] < second["date-range"]["start-datetime"]
    assert first["report-id"] != second["report-id"]


@pytest.mark.parametrize("rcode", ["SERVFAIL", "TIMEOUT"])
async def test_a_record_that_cannot_be_looked_up_is_asked_for_again(
    internet: Internet, tmp_path: Path, rcode: str
) -> None:
    async with sender(internet, tmp_path) as target:
        await counted(internet, target, WEB)
        internet.dns.rcodes["_smtp._tls.there.example", "TXT"] = rcode
        assert await target.sender.send_reports() == 0
        internet.dns.rcodes.clear()
        await target.advance(301)
        await until(lambda: internet.reports.requests)


@pytest.mark.parametrize("remembers", [False, True])
async def test_a_record_that_is_gone_counts_only_with_the_flaw(
    internet: Internet, tmp_path: Path, remembers: bool
) -> None:
    async with sender(internet, tmp_path, reports_without_record=remembers) as target:
        await counted(internet, target, WEB)
        del internet.dns.zone["_smtp._tls.there.example", "TXT"]
        assert await target.sender.send_reports() == int(remembers)
    assert len(internet.reports.requests) == int(remembers)


@pytest.mark.parametrize("spaced", [False, True])
async def test_strings_of_a_record_are_joined_unless_flawed(internet: Internet, tmp_path: Path, spaced: bool) -> None:
    async with sender(internet, tmp_path, joins_record_strings_with_spaces=spaced) as target:
        await counted(internet, target, WEB)
        record = '"v=TLSRPTv1; rua=https://reports.the" "re.example/v1/tls"'
        internet.dns.zone["_smtp._tls.there.example", "TXT"] = [record]
        assert await target.sender.send_reports() == int(not spaced)


async def test_flaw_sends_no_reports(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, sends_no_reports=True) as target:
        await counted(internet, target, WEB)
        assert await target.sender.send_reports() == 0
    assert internet.reports.requests == []


async def test_flaw_reports_twice(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, reports_twice=True) as target:
        await counted(internet, target, WEB)
        assert await target.sender.send_reports() == 2
    first, second = posted(internet)
    assert first.pop("report-id") != second.pop("report-id")
    assert first == second


async def test_flaw_takes_sent_as_delivered(internet: Internet, tmp_path: Path) -> None:
    internet.reports.status = "500 No"
    async with sender(internet, tmp_path, signing(), takes_sent_as_delivered=True) as target:
        await counted(internet, target, f"{WEB},{MAILBOX}")
        await target.sender.send_reports()
        assert await target.sender.send_reports() == 0
    assert (len(internet.reports.requests), internet.mx2.taken) == (1, [])


async def test_flaw_never_retries_reports(internet: Internet, tmp_path: Path) -> None:
    internet.reports.status = "500 No"
    async with sender(internet, tmp_path, never_retries_reports=True) as target:
        await counted(internet, target, WEB)
        assert await target.sender.send_reports() == 0
        assert await target.sender.send_reports() == 0
        assert len(internet.reports.requests) == 1
        internet.reports.status = "200 OK"
        await settle(target)
        assert await target.sender.send_reports() == 1


@pytest.mark.parametrize(
    ("flaw", "media_type", "packed"),
    [
        ("posts_wrong_media_type", "application/gzip", True),
        ("posts_plain_as_gzip", "application/tlsrpt+gzip", False),
    ],
)
async def test_flaws_of_the_post(internet: Internet, tmp_path: Path, flaw: str, media_type: str, packed: bool) -> None:
    async with sender(internet, tmp_path, **{flaw: True}) as target:
        await counted(internet, target, WEB)
        assert await target.sender.send_reports() == 1
    [(_, headers, content)] = internet.reports.requests
    assert headers["content-type"] == media_type
    assert content.startswith(b"\x1f\x8b" if packed else b"{")


async def test_flaw_local_time(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, counts_days_in_local_time=True) as target:
        await counted(internet, target, WEB)
        assert await target.sender.send_reports() == 1
    [report] = posted(internet)
    assert [moment[10:] for moment in report["date-range"].values()] == ["T22:00:00Z", "T21:59:59Z"]
