"""The lab sees for itself whether it is in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiohttp import web
from mta_sts_lab.events import DnsAnswered, LabUnhealthy
from mta_sts_lab.model.case import Case, Mode, Step
from mta_sts_lab.model.world import Dns, Family, MxHost, Policy, PolicyHost, Reports, Stall, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.published import LAB_DOMAIN, REPORT_HOST, REPORT_MX
from mta_sts_lab.runner import health
from mta_sts_lab.runner.health import Health
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.dns import DnsServer
from mta_sts_lab.world.host import Document
from mta_sts_lab.world.internet import Internet
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.policy_host import PolicyServer
from mta_sts_lab.world.receiving_session import ReceivingSession
from mta_sts_lab.world.report_sink import ReportInbox, ReportMx, ReportServer
from mta_sts_lab.world.revocation_host import RevocationHost
from mta_sts_lab.world.zone import address_records

CASE = Case("starttls/strip[enforce]", "starttls/strip", Mode.ENFORCE, (Step("prime", World(mx=(MxHost("mx1", 10),))),))


class Clocks:
    """Takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.moved = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now + self.moved


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def internet(recorder: Recorder) -> AsyncIterator[Internet]:
    internet = await Internet.open(LoopbackNetwork(), Authority.create(), recorder)
    yield internet
    await internet.close()


def unhealthy(recorder: Recorder, case: str = "") -> list[tuple[str, float, bool]]:
    facts = [event.fact for event in recorder.of_case(case)]
    return [(fact.part, fact.seconds, fact.lasting) for fact in facts if isinstance(fact, LabUnhealthy)]


async def test_a_late_beat_and_a_moved_clock(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks()
    monkeypatch.setattr(health, "time", clocks)
    watched = Health(internet, recorder)
    clocks.now += 2.0
    clocks.moved += 0.9
    watched.look()
    assert unhealthy(recorder) == []
    clocks.now += 10
    watched.look()
    assert unhealthy(recorder) == [("event loop", 10.0, False)]
    clocks.now += 0.5
    clocks.moved -= 86400
    watched.look()
    watched.look()
    assert unhealthy(recorder)[1:] == [("clock", 0.0, True)]


async def test_a_loop_that_is_late_half_of_the_time(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks()
    monkeypatch.setattr(health, "time", clocks)
    watched, told = Health(internet, recorder), list[float]()
    watched.on_lag(told.append)
    for _ in range(100):
        clocks.now += 0.15
        watched.look()
    assert unhealthy(recorder) == [], "a third of the time is no trouble"
    assert told == pytest.approx([0.05] * 100)
    for _ in range(12):
        clocks.now += 0.35
        watched.look()
    ((part, seconds, lasting),) = unhealthy(recorder)
    assert (part, lasting) == ("event loop", False)
    assert 3.5 < seconds < 4.5


async def _asked(internet: Internet, recorder: Recorder, world: CaseWorld) -> list[tuple[str, str]]:
    before = len(recorder.of_case(world.case))
    await Health(internet, recorder).ask(world)
    facts = [event.fact for event in recorder.of_case(world.case)[before:]]
    assert {type(fact) for fact in facts} <= {LabUnhealthy}, "nothing of the lab's own look is on record"
    return [(fact.part, fact.observed) for fact in facts if isinstance(fact, LabUnhealthy)]


SEEN = "the lab's own look at {} found: {}"


async def test_hosts_that_do_not_answer(internet: Internet, recorder: Recorder) -> None:
    world = await internet.add_case(CASE)
    assert await _asked(internet, recorder, world) == []
    world.mx[0].reachable = False
    assert await _asked(internet, recorder, world) == [], "it is not meant to"
    (listener,) = world.policy_server._listeners.values()
    listener.close()
    name = world.policy_server.name
    assert await _asked(internet, recorder, world) == [("policy host", SEEN.format(name, "Connection refused"))]
    await Health(internet, recorder).knock(world)
    assert [part for part, _, _ in unhealthy(recorder, world.case)] == ["policy host"] * 2


async def test_a_host_of_revoked_certificates_that_is_broken(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = replace(CASE, steps=(Step("prime", World(mx=(MxHost(certificate="revoked"),))),))
    world = await internet.add_case(listed)
    assert await _asked(internet, recorder, world) == []
    monkeypatch.setattr(RevocationHost, "_document", lambda *_: Document(status=500))
    name = f"crl.{world.domain}"
    assert await _asked(internet, recorder, world) == [("revocation host", SEEN.format(name, "status 500"))]
    assert world.revocation_host is not None
    (listener,) = world.revocation_host._listeners.values()
    listener.close()
    await Health(internet, recorder).knock(world)
    assert [part for part, _, _ in unhealthy(recorder, world.case)] == ["revocation host"] * 2


@pytest.mark.parametrize(
    "host",
    [
        MxHost(starttls=False),
        MxHost(certificate="expired", sni_required=True, sends_authority=True, session_tickets=2),
        MxHost(alias_of="elsewhere"),
        MxHost(address=False),
        MxHost(greets_after=60),
    ],
)
async def test_what_a_host_is_arranged_for_is_in_order(host: MxHost, internet: Internet, recorder: Recorder) -> None:
    world = await internet.add_case(replace(CASE, steps=(Step("prime", World(mx=(host,))),)))
    assert await _asked(internet, recorder, world) == []


@pytest.mark.parametrize(
    "host",
    [
        PolicyHost(status=302, location="/elsewhere"),
        PolicyHost(status=404),
        PolicyHost(certificate="expired"),
        PolicyHost(framing="chunked"),
        *(PolicyHost(framing=framing, cut=True) for framing in ("length", "chunked", "close")),
        *(PolicyHost(stalls=stall) for stall in Stall),
    ],
)
async def test_a_policy_host_that_is_to_answer_so(host: PolicyHost, internet: Internet, recorder: Recorder) -> None:
    world = await internet.add_case(replace(CASE, steps=(Step("prime", World(policy_host=host)),)))
    assert await _asked(internet, recorder, world) == []
    assert world.policy_server._redirects == set(), "no target was redirected"


@pytest.mark.parametrize(
    ("pieces", "wrong"),
    [(2, []), (3, ["another body than its policy"]), (9000, ["another body than its policy"])],
)
async def test_a_policy_that_comes_in_pieces(
    pieces: int, wrong: list[str], internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await internet.add_case(CASE)
    body = world.policy_server.settings.body
    half = len(body) // 2

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:half]
        await asyncio.sleep(0.05)
        for _ in range(pieces - 1):
            yield body[half:]

    def answer(*_: object) -> tuple[web.Response, bool]:
        length = half + (pieces - 1) * (len(body) - half)
        return web.Response(body=slowly(), headers={"Content-Length": str(length)}), True

    monkeypatch.setattr(PolicyServer, "_response_to", answer)
    name = world.policy_server.name
    assert await _asked(internet, recorder, world) == [("policy host", SEEN.format(name, one)) for one in wrong]


async def test_a_policy_of_ten_mebibytes(internet: Internet, recorder: Recorder) -> None:
    large = World(policy=Policy(padded_to=10 * 1024 * 1024))
    world = await internet.add_case(replace(CASE, steps=(Step("prime", large),)))
    assert len(world.policy_server.settings.body) == 10 * 1024 * 1024
    assert await _asked(internet, recorder, world) == []


@pytest.mark.parametrize("security", ["bogus", "indeterminate", "secure"])
async def test_names_that_validate_or_not(security: str, internet: Internet, recorder: Recorder) -> None:
    world = await internet.add_case(replace(CASE, steps=(Step("prime", World(dns=Dns(security=security))),)))
    assert await _asked(internet, recorder, world) == []


async def test_a_host_that_listens_and_is_broken(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await internet.add_case(CASE)
    mx, policy_host = world.mx[0].name, world.policy_server.name

    async def refuse(
        host: Any, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        return ["451 4.3.0 not today"]

    with monkeypatch.context() as patch:
        patch.setattr(ReceivingSession, "handle_EHLO", refuse)
        ((part, observed),) = await _asked(internet, recorder, world)
        assert (part, mx in observed) == ("mx", True)
    with monkeypatch.context() as patch:
        patch.setattr(Authority, "credentials", lambda *_: 1 / 0)
        found = dict(await _asked(internet, recorder, world))
        assert "no TLS came about after STARTTLS" in found["mx"]
        assert found["policy host"].startswith(SEEN.format(policy_host, ""))
    with monkeypatch.context() as patch:
        patch.setattr(PolicyServer, "_response_to", lambda *_: 1 / 0)
        assert await _asked(internet, recorder, world) == [("policy host", SEEN.format(policy_host, "status 500"))]
    internet.zone.publish(world.domain, world.published[:1], world.case)
    assert {part for part, _ in await _asked(internet, recorder, world)} == {"name server"}
    assert await _asked(internet, recorder, await internet.add_case(replace(CASE, id="starttls/strip[testing]"))) == []


async def _asked_of_report_hosts(internet: Internet, recorder: Recorder) -> list[tuple[str, str]]:
    before = len(recorder.of_case(""))
    await Health(internet, recorder).ask_report_hosts()
    facts = [event.fact for event in recorder.of_case("")[before:]]
    assert {(type(fact), getattr(fact, "lasting", None)) for fact in facts} <= {(LabUnhealthy, True)}, "no report"
    return [(fact.part, fact.observed) for fact in facts if isinstance(fact, LabUnhealthy)]


@pytest.mark.parametrize("families", [(Family.IPV4,), (Family.IPV6,), tuple(Family)], ids=str)
@pytest.mark.parametrize(
    "reports",
    [Reports(), Reports(status=503), Reports(status=0), Reports(certificate="expired"), Reports(mail_reply=550)],
    ids=str,
)
async def test_a_case_that_wants_its_reports_refused(
    reports: Reports, families: tuple[Family, ...], recorder: Recorder
) -> None:
    internet = await Internet.open(LoopbackNetwork(), Authority.create(), recorder, families=families)
    try:
        await internet.add_case(replace(CASE, steps=(Step("prime", World(reports=reports)),)))
        assert await _asked_of_report_hosts(internet, recorder) == []
        await internet.reports.close()
        await internet.report_mx.close()
        parts = [part for part, _ in await _asked_of_report_hosts(internet, recorder)]
        assert parts == ["report host"] * len(families) + ["report mx"] * len(families)
    finally:
        await internet.close()


@pytest.mark.parametrize(
    ("kind", "method", "part", "found"),
    [
        (ReportServer, "_choose_credentials", "report host", "UNRECOGNIZED_NAME"),
        (ReportInbox, "status_for", "report host", "status 503"),
        (ReportMx, "choose_credentials", "report mx", "no TLS came about after STARTTLS"),
        (ReportMx, "takes_mail_for", "report mx", "RCPT TO was answered 550"),
    ],
)
async def test_a_host_that_takes_no_reports(
    kind: type,
    method: str,
    part: str,
    found: str,
    internet: Internet,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kind, method, lambda *_: 503 if kind is ReportInbox else None)
    ((seen, observed),) = await _asked_of_report_hosts(internet, recorder)
    assert (seen, found in observed) == (part, True), observed


async def test_the_names_of_the_hosts_for_reports(internet: Internet, recorder: Recorder) -> None:
    internet.zone.publish(LAB_DOMAIN, address_records(REPORT_HOST, ["198.18.64.99"]))
    assert await _asked_of_report_hosts(internet, recorder) == [
        ("report host", SEEN.format(f"{REPORT_HOST} A", "the answer 198.18.64.99")),
        ("report mx", SEEN.format(f"{REPORT_MX} A", "rcode NXDOMAIN")),
    ]


async def test_what_is_broken_to_the_end_of_the_run_is_on_record_once(internet: Internet, recorder: Recorder) -> None:
    watched = Health(internet, recorder)
    await watched.ask_report_hosts()
    await internet.reports.close()
    await watched.ask_report_hosts()
    assert unhealthy(recorder) == [("report host", 0.0, True)]
    await internet.report_mx.close()
    await watched.ask_report_hosts()
    assert unhealthy(recorder)[1:] == [("report mx", 0.0, True)]


async def test_a_name_server_that_is_silent_is_not_waited_for_again(
    internet: Internet, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_QUESTION", 0.01)
    monkeypatch.setattr(DnsServer, "ask", silent := AsyncMock(side_effect=TimeoutError))
    watched = Health(internet, recorder)
    watched.start()
    await recorder.changed("", 5)
    await watched.stop()
    silent.reset_mock()
    for _ in range(2):
        await watched.ask_report_hosts()
    assert [lasting for part, _, lasting in unhealthy(recorder) if part == "name server" and lasting] == [True]
    silent.assert_not_called()


@pytest.mark.parametrize("records", [("v=TLSRPTv1; rua={https}",), ("v=TLSRPTv1; rua={mailto}", "of no use" * 60), ()])
@pytest.mark.parametrize("alias", [False, True])
async def test_the_names_by_which_a_case_gets_its_reports(
    records: tuple[str, ...], alias: bool, internet: Internet, recorder: Recorder
) -> None:
    reports = World(mx=CASE.steps[0].world.mx, reports=Reports(records, alias=alias, string_length=20))
    case = replace(CASE, steps=(Step("prime", reports, reports=True),))
    world = await internet.add_case(case)
    assert await _asked(internet, recorder, world) == []
    kept = [one for one in world.published if "_tls" not in one.name]
    internet.zone.publish(world.domain, kept, world.case)
    lost = [SEEN.format(f"_smtp._tls.{world.domain} TXT", "rcode NXDOMAIN")] if records and not alias else []
    assert await _asked(internet, recorder, world) == [("name server", one) for one in lost]
    name = f"{world.domain.partition('.')[0]}.{REPORT_HOST}"
    internet.zone.publish(name, world.places[1:], world.case)
    lost.append(SEEN.format(f"{name} A", "the answer that there is none"))
    assert await _asked(internet, recorder, world) == [("name server", one) for one in lost]


async def test_the_name_server(internet: Internet, recorder: Recorder) -> None:
    name = f"ns.{LAB_DOMAIN}"
    assert await internet.dns.ask(name, "A") == {internet.dns_address}
    assert not [event for event in recorder.of_case("") if isinstance(event.fact, DnsAnswered)]
    await internet.dns.close()
    with pytest.raises((OSError, TimeoutError)):
        async with asyncio.timeout(0.05):
            await internet.dns.ask(name, "A")
