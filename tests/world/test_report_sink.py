"""Reports arrive and are kept as they are; whoever sends too much of anything is heard to the end, and not kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from mta_sts_lab.events import DeadlinePassed, MessageAccepted, ReportReceived
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.world import Reports, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.published import place_of
from mta_sts_lab.timeouts import Deadline
from mta_sts_lab.world import report_sink
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.report_sink import LARGEST_REPORT, MOST_KEPT, MOST_REPORTS, ReportInbox

from tests.world.clients import SmtpClient, request, trusting
from tests.world.watching import PATIENCE, facts

CASE = Case("a/b[testing]", "a/b", Mode.TESTING, (Step("prime", World()),))
GZIP = "application/tlsrpt+gzip"


@pytest.fixture
async def world(internet: Internet) -> CaseWorld:
    return await internet.add_case(CASE)


def label(world: CaseWorld) -> str:
    return world.domain.partition(".")[0]


async def post(
    internet: Internet,
    path: str,
    body: bytes,
    *,
    method: str = "POST",
    kind: str = GZIP,
    host: str = "reports.lab.example",
) -> int:
    where = internet.network.where(internet.reports.address, 443)
    headers = (f"Content-Type: {kind}",) if kind else ()
    return (await request(where, host, trusting(internet.authority), path, method, headers, body))[0]


async def mail(internet: Internet, recipient: str, content: bytes = b"Subject: Report\r\n\r\nhere\r\n") -> str:
    client = await SmtpClient.dial(internet.network.where(internet.report_mx.address, 25))
    try:
        await client.reply()
        await client.say("EHLO mta.sender.example")
        return await client.deliver("tls@sender.example", recipient, content)
    finally:
        await client.close()


def settings(**values: object) -> World:
    return replace(World(), reports=Reports(**values))  # type: ignore[arg-type]


class TestByHttps:
    async def test_what_is_posted_is_kept_as_it_is(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        for kind, body in ((GZIP, b"\x1f\x8b\0binary"), ("text/plain", b""), ("", b"{")):
            assert await post(internet, f"/v1/{label(world)}/deeper?x=%2C", body, kind=kind) == 201
        found = facts(recorder, ReportReceived, CASE.id)
        assert [fact.octets for fact in found] == [b"\x1f\x8b\0binary", b"", b"{"]
        assert [fact.media_type for fact in found][:2] == [GZIP, "text/plain"]
        assert {fact.place for fact in found} == {f"https://reports.lab.example/v1/{label(world)}/deeper?x=%2C"}
        assert {(fact.transport, fact.status, fact.method) for fact in found} == {("https", 201, "POST")}

    @pytest.mark.parametrize("status", [200, 404, 500, 503])
    async def test_it_is_answered_as_the_case_wants(
        self, internet: Internet, world: CaseWorld, recorder: Recorder, status: int
    ) -> None:
        await world.arrange(settings(status=status))
        assert await post(internet, f"/v1/{label(world)}", b"x") == status
        assert [fact.status for fact in facts(recorder, ReportReceived, CASE.id)] == [status]

    async def test_a_redirect_points_to_where_it_is_taken(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        await world.arrange(settings(status=307, location="/moved"))
        place = f"/v1/{label(world)}"
        status, headers, _ = await request(
            internet.network.where(internet.reports.address, 443),
            internet.reports.name,
            trusting(internet.authority),
            place,
            method="POST",
            body=b"x",
        )
        assert (status, headers["location"]) == (307, f"{place}/moved")
        assert await post(internet, f"{place}/moved", b"x") == 201
        assert [fact.status for fact in facts(recorder, ReportReceived, CASE.id)] == [307, 201]

    async def test_a_stall_ends_when_the_case_moves_on(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        await world.arrange(settings(status=0))
        posting = asyncio.create_task(post(internet, f"/v1/{label(world)}", b"x"))
        while not facts(recorder, ReportReceived, CASE.id):
            await asyncio.sleep(0)
        assert await post(internet, f"/v1/{label(world)}", b"y") == 503  # one is enough
        assert not posting.done()
        await world.arrange(settings())
        assert await posting == 503
        assert [fact.status for fact in facts(recorder, ReportReceived, CASE.id)] == [0, 503]

    async def test_a_bad_certificate_stands_under_a_name_of_the_cases_own(
        self, internet: Internet, world: CaseWorld
    ) -> None:
        import ssl

        await world.arrange(settings(certificate="expired"))
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await post(internet, f"/v1/{label(world)}", b"x", host=f"{label(world)}.reports.lab.example")
        assert await post(internet, f"/v1/{label(world)}", b"x") == 201

    async def test_only_a_post_is_taken(self, internet: Internet, world: CaseWorld, recorder: Recorder) -> None:
        assert await post(internet, f"/v1/{label(world)}", b"x", method="PUT") == 405
        assert [fact.status for fact in facts(recorder, ReportReceived, CASE.id)] == [405]

    async def test_what_is_too_large_is_counted_and_not_kept(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        assert await post(internet, f"/v1/{label(world)}", b"x" * (LARGEST_REPORT + 10)) == 413
        (fact,) = facts(recorder, ReportReceived, CASE.id)
        assert (fact.octets, fact.size) == (b"", LARGEST_REPORT + 10)

    async def test_a_place_that_is_nobodys_is_on_record_without_a_case(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        for path in ("/", "/v1/", "/v1/nobody", "/elsewhere", f"/v2/{label(world)}"):
            assert await post(internet, path, b"x") == 201
        assert facts(recorder, ReportReceived, CASE.id) == []
        assert len(facts(recorder, ReportReceived)) == 5

    @pytest.mark.parametrize("host", ["[::1]", "[", "a/b", "x:1:2", "\u2100"])
    async def test_no_host_is_too_odd_to_be_on_record(
        self, internet: Internet, world: CaseWorld, recorder: Recorder, host: str
    ) -> None:
        await half_a_post(internet, f"Host: {host}\r\nContent-Length: 1\r\nConnection: close", b"x")
        (fact,) = facts(recorder, ReportReceived)
        assert fact.octets == b"x"
        assert place_of(fact.place)

    async def test_half_a_report_ends_in_time_and_is_on_record(
        self, internet: Internet, world: CaseWorld, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(report_sink, "REPORT_BODY", Deadline("report-body", 0.2))
        answer = await half_a_post(internet, "Host: reports.lab.example\r\nContent-Length: 100", b"x", label(world))
        assert answer == b""
        (passed,) = facts(recorder, DeadlinePassed, CASE.id)
        assert (passed.deadline, passed.seconds) == ("report-body", 0.2)
        assert facts(recorder, ReportReceived) == []


async def half_a_post(internet: Internet, fields: str, body: bytes, place: str = "x") -> bytes:
    """Post octets as they are, and return everything that comes back until the lab hangs up."""
    where = internet.network.where(internet.reports.address, 443)
    name = internet.reports.name
    reader, writer = await asyncio.open_connection(*where, ssl=trusting(internet.authority), server_hostname=name)
    writer.write(f"POST /v1/{place} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


class TestByMail:
    async def test_a_mail_belongs_to_the_case_of_its_mailbox(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        recipient = f'"a,b!c"@{label(world)}.Reports.lab.example'
        assert (await mail(internet, recipient)).startswith("250")
        (fact,) = facts(recorder, ReportReceived, CASE.id)
        assert (fact.transport, fact.place, fact.status, fact.secured) == ("mail", recipient, 250, False)
        assert fact.octets.endswith(b"\r\n\r\nhere\r\n")
        assert fact.mail_from == "tls@sender.example"

    @pytest.mark.parametrize("reply", [451, 550])
    async def test_a_mail_is_refused_as_the_case_wants(
        self, internet: Internet, world: CaseWorld, recorder: Recorder, reply: int
    ) -> None:
        await world.arrange(settings(mail_reply=reply))
        assert (await mail(internet, f"x@{label(world)}.reports.lab.example")).startswith(str(reply))
        assert [fact.status for fact in facts(recorder, ReportReceived, CASE.id)] == [reply]
        assert facts(recorder, MessageAccepted) == []

    async def test_it_is_no_open_relay(self, internet: Internet, world: CaseWorld) -> None:
        assert (await mail(internet, f"x@{world.domain}")).startswith("550")

    async def test_the_domains_own_mailbox_is_one_for_reports(
        self, internet: Internet, world: CaseWorld, recorder: Recorder
    ) -> None:
        client = await SmtpClient.dial(internet.network.where(world.mx[0].address, 25))
        await client.reply()
        await client.say("EHLO mta.sender.example")
        for recipient in (f"tls-reports@{world.domain}", f"somebody@{world.domain}"):
            assert (await client.deliver("tls@sender.example", recipient, b"\r\nx\r\n")).startswith("250")
        await client.close()
        assert [fact.place for fact in facts(recorder, ReportReceived, CASE.id)] == [f"tls-reports@{world.domain}"]
        assert len(facts(recorder, MessageAccepted, CASE.id)) == 2


class TestTheDesk:
    def report(self, octets: bytes) -> ReportReceived:
        return ReportReceived(session="s1", transport="https", place="x", octets=octets, size=len(octets), status=201)

    def test_one_case_can_fill_its_own_shelf_only(self) -> None:
        recorder = Recorder()
        inbox = ReportInbox(recorder, lambda name: "")
        for _ in range(2 * MOST_KEPT // LARGEST_REPORT):
            inbox.take(self.report(b"x" * LARGEST_REPORT), "a")
        inbox.take(self.report(b"y"), "b")
        kept = [fact for fact in facts(recorder, ReportReceived, "a") if fact.octets]
        assert sum(len(fact.octets) for fact in kept) == MOST_KEPT
        assert len(facts(recorder, ReportReceived, "a")) == 2 * MOST_KEPT // LARGEST_REPORT
        assert facts(recorder, ReportReceived, "b")[0].octets == b"y"

    def test_a_flood_ends_somewhere(self) -> None:
        recorder = Recorder()
        inbox = ReportInbox(recorder, lambda name: "")
        for _ in range(MOST_REPORTS + 50):
            inbox.take(self.report(b""), "")
        assert len(facts(recorder, ReportReceived)) == MOST_REPORTS

    def test_long_words_are_cut(self) -> None:
        recorder = Recorder()
        ReportInbox(recorder, lambda name: "").take(
            ReportReceived(
                session="s",
                transport="https",
                place="p" * 9999,
                octets=b"",
                size=0,
                status=1,
                method="M" * 999,
                media_type="t" * 9999,
            ),
            "",
        )
        (fact,) = facts(recorder, ReportReceived)
        assert len(fact.place) == len(fact.media_type) == 2000
        assert len(fact.method) == 20
