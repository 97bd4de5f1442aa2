"""An adapter check names each mistake that one makes, and complains of nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP
from mta_sts_lab.adapter_check import Status
from mta_sts_lab.adapter_check.delivery import _no_connection
from mta_sts_lab.adapter_check.page import exit_code
from mta_sts_lab.adapter_check.probes import HONEST
from mta_sts_lab.adapter_check.run import play_plan
from mta_sts_lab.model.target import ReportChannel
from mta_sts_lab.reference.report import Report
from mta_sts_lab.reference.sender import ReferenceSender
from mta_sts_lab.reference.smtp_server import _Intake
from mta_sts_lab.reference.tls import TlsContexts
from mta_sts_lab.runner.plan import plan_run
from mta_sts_lab.runner.run import RunSetup
from mta_sts_lab.targets.contract import TargetError
from mta_sts_lab.timeouts import Deadline
from mta_sts_lab.world.pki import Authority

from tests.adapter_check.adapters import (
    COMES_UP,
    NEVER_COMES_UP,
    NOBODY,
    PATIENT,
    PATIENT_SENDER,
    UNHURRIED,
    Adapter,
    Elsewhere,
    Handler,
    Result,
    checked,
    says,
)
from tests.runner.arena import AUTHORITY, QUICK, Kept

ABOUT = {"contract": 1, "name": "mine", "capabilities": ["mta-sts", "tls-rpt"]}


async def test_a_good_one(tmp_path: Path) -> None:
    result = await checked(Adapter(tmp_path), timeouts=UNHURRIED)
    others = {part: status for part, status in result.statuses().items() if status is not Status.OK}
    shown_by_cases_alone = ("dane", "requiretls", "tls-required", "queue-clock", "smart-host", "address-literals")
    unproved = ['says "retry_seconds": 0', *(f"claims {name}" for name in shown_by_cases_alone)]
    assert others == dict.fromkeys(unproved, Status.NOT_PROVABLE), result.findings
    assert {
        "resolver",
        "special addresses",
        "relay",
        "honest delivery",
        "GET /queue",
        "POST /flush",
    } <= result.statuses().keys()
    assert "delivered" in result.log


async def test_one_that_offers_nothing(tmp_path: Path) -> None:
    missing = dict.fromkeys(("/queue", "/flush", "/restart", "/clock", "/reports", "/logs"))
    about = says({"contract": 1, "name": "mine"})
    result = await checked(Adapter(tmp_path, answers={**missing, "/about": about}))
    statuses = result.statuses()
    assert [part for part, status in statuses.items() if status is Status.NOT_OFFERED] == [
        "GET /queue",
        "POST /flush",
        "POST /restart",
        "POST /clock",
        "POST /reports",
        "GET /logs",
    ]
    assert statuses["honest delivery"] is Status.OK
    assert result.codes() == ["retry-seconds-belied", "there-and-not-claimed"], "it fetches policies all the same"
    assert "no attempt of its own" in result.of("retry-seconds-belied").observed


async def test_one_that_only_tries_again_by_itself(tmp_path: Path) -> None:
    quick = replace(PATIENT_SENDER, retry_seconds=2.6, longest_retry_seconds=2.6)
    missing = dict.fromkeys(("/queue", "/flush", "/restart", "/clock", "/reports"))
    about = says({"contract": 1, "name": "mine", "capabilities": ["mta-sts"], "retry_seconds": 3})
    adapter = Adapter(tmp_path, settings=quick, answers={**missing, "/about": about})
    result = await checked(adapter, timeouts=replace(PATIENT, longest_retry=Deadline("longest-retry", 3.0)))
    assert result.codes() == []
    assert result.statuses()["tries again by itself after 3 s"] is Status.OK
    assert result.statuses()["claims mta-sts: enforces policies"] is Status.OK, "a hold is proved by three attempts"


# -- from the start to the honest delivery


async def only(adapter: Adapter, code: str, seconds: float = COMES_UP) -> Result:
    """Check an adapter of which one thing is wrong."""
    result = await checked(adapter, seconds)
    assert result.codes() == [code], [(one.part, one.code, one.observed) for one in result.findings if one.code]
    found = result.of(code)
    assert found.observed
    assert len(found.remedy) > 40, "it says what to do"
    return result


async def test_nobody_serves_the_contract(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, contract_port=NOBODY), "contract-unreachable", NEVER_COMES_UP)
    assert ":9/about" in result.of("contract-unreachable").observed
    assert result.statuses()["mail port"] is Status.SKIPPED


@pytest.mark.parametrize(
    ("about", "observed"),
    [
        (says("postfix 3.10\n"), "does not keep the contract"),
        (says({"error": "hook 'about' did not print a JSON object: 'x'"}, 500), "did not print a JSON object"),
        (says({"contract": 2, "name": "x"}), "version 2 of the contract"),
        (None, "404"),
    ],
)
async def test_about_is_wrong(tmp_path: Path, about: Handler | None, observed: str) -> None:
    result = await only(Adapter(tmp_path, answers={"/about": about}), "about-broken", NEVER_COMES_UP)
    assert observed in result.of("about-broken").observed


async def test_the_mail_port_is_closed(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, smtp_port=NOBODY), "mail-port-closed", NEVER_COMES_UP)
    assert "port 9 does not take mail" in result.of("mail-port-closed").observed


async def test_a_dialogue_that_breaks_is_told_by_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang_up(self: _Intake, server: SMTP, *_: object) -> str:
        server.transport.abort()
        return "451 4.3.0 Nobody reads this"

    monkeypatch.setattr(_Intake, "handle_RCPT", hang_up)
    result = await checked(Adapter(tmp_path))
    (relay,) = [finding for finding in result.findings if finding.part == "relay"]
    assert relay.observed.startswith("no message was injected: ")
    assert "the SMTP dialogue broke while a message was injected" in relay.observed


async def test_mail_of_the_lab_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: _Intake, *_: object) -> str:
        return "554 5.7.1 Relay access denied"

    monkeypatch.setattr(_Intake, "handle_RCPT", refuse)
    result = await only(Adapter(tmp_path), "relay-refused")
    assert "554 5.7.1 Relay access denied" in result.of("relay-refused").observed
    assert result.statuses()["resolver"] is Status.SKIPPED
    assert result.statuses()["claims"] is Status.SKIPPED


async def test_the_resolver_is_not_used(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, dns="198.18.255.254"), "resolver-not-used")
    assert "its queue says" in result.of("resolver-not-used").observed
    assert result.statuses()["special addresses"] is Status.SKIPPED


async def test_no_connection_comes(tmp_path: Path) -> None:
    """Nothing says that the addresses are refused, so the advice is not about them."""
    adapter = Adapter(tmp_path, network=lambda network: Elsewhere(network, 25))
    result = await only(adapter, "no-connection")
    assert "198.18." in result.of("no-connection").observed
    assert "198.18.0.0/15" not in result.of("no-connection").remedy


async def test_a_hook_that_fails_is_told_as_such_before_a_run(tmp_path: Path) -> None:
    """The lab cannot see the queue and stops waiting. That no connection has come by then is not the reason."""
    answers = {"/queue": says({"error": "hook 'queue' did not print a JSON object: 'x'"}, 500)}
    adapter = Adapter(tmp_path, answers=answers, network=lambda network: Elsewhere(network, 25))
    plan = plan_run((HONEST,), {HONEST.id: HONEST}, ("pytest",), 7)
    setup = RunSetup(authority=AUTHORITY, timeouts=PATIENT)
    try:
        with pytest.raises(TargetError, match=r"\(contract-broken\): .*queue cannot be seen: .*did not print a JSON"):
            await play_plan(plan, setup, adapter.start, Kept().outlet())
    finally:
        await adapter.stop()


async def test_a_message_that_nobody_waited_for_is_no_fault_of_the_retry_time(tmp_path: Path) -> None:
    """The queue that shows nothing is the fault, and ends the wait."""
    missing = dict.fromkeys(("/flush", "/restart", "/clock", "/reports"))
    about = says({"contract": 1, "name": "mine"})
    result = await checked(Adapter(tmp_path, answers={**missing, "/about": about, "/queue": says({"messages": []})}))
    assert result.codes() == ["queue-belied", "there-and-not-claimed"], result.findings
    assert result.statuses()["tries again by itself after 0 s"] is Status.INCONCLUSIVE


async def test_a_target_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    """A command that ends at once would cost a minute of silence."""
    adapter = Adapter(tmp_path, contract_port=NOBODY, ended="the command ended with status 3")
    async with asyncio.timeout(30):
        result = await checked(adapter, ready_seconds=600)
    assert result.of("contract-unreachable").observed == "the command ended with status 3"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("its queue says: all host addresses were ignored (ignore_target_hosts)", "special-addresses-refused"),
        ("its queue says: client TLS configuration problem", "no-connection"),
        ("its queue says: connect to 203.0.113.9[203.0.113.9]:25: Network is unreachable", "no-connection"),
    ],
)
def test_special_addresses_are_blamed_only_by_the_mail_servers_words(words: str, code: str) -> None:
    assert _no_connection(words)[0] == code


async def test_the_ca_is_not_trusted_for_mail_hosts(tmp_path: Path) -> None:
    """A sender that demands a trusted certificate of every host, and does not know the lab's CA."""

    def strict(sender: ReferenceSender) -> None:
        foreign = TlsContexts(Authority.create().certificate_pem.decode(), sender.flaws)
        sender._contexts.opportunistic = foreign.verified

    result = await only(Adapter(tmp_path, prepare=strict), "ca-not-trusted")
    assert "unknown ca" in result.of("ca-not-trusted").observed.lower()


async def test_the_ca_is_not_trusted_where_a_policy_demands_it(tmp_path: Path) -> None:
    def foreign(sender: ReferenceSender) -> None:
        sender._contexts.verified = TlsContexts(Authority.create().certificate_pem.decode(), sender.flaws).verified

    # While the message to the slow host is active no attempt is asked for.
    result = await checked(Adapter(tmp_path, prepare=foreign), timeouts=UNHURRIED)
    assert "ca-not-trusted" in result.codes()
    assert "mail was deferred" in result.of("ca-not-trusted").observed


async def test_the_fetcher_does_not_trust_the_ca(tmp_path: Path) -> None:
    result = await checked(Adapter(tmp_path, ca_pem=Authority.create().certificate_pem))
    assert "ca-not-trusted-by-fetcher" in result.codes()
    assert result.statuses()["honest delivery"] is Status.OK


async def test_mail_goes_in_clear(tmp_path: Path) -> None:
    result = await checked(Adapter(tmp_path, flaws=("no_opportunistic_tls",)))
    assert result.codes() == ["starttls-not-used"]


async def test_mail_does_not_arrive_for_another_reason(tmp_path: Path) -> None:
    hasty = QUICK.__class__(connect_seconds=1.0, command_seconds=0.000001, fetch_seconds=1.0, lookup_seconds=0.2)
    result = await checked(Adapter(tmp_path, settings=hasty))
    assert "not-delivered" in result.codes()
    assert "its queue says" in result.of("not-delivered").observed


# -- hooks


@pytest.mark.parametrize("part", ["queue", "flush", "restart", "clock", "reports", "logs"])
async def test_a_hook_that_fails(tmp_path: Path, part: str) -> None:
    error = says({"error": f"hook '{part}' failed with exit status 1: no such file"}, 500)
    result = await checked(Adapter(tmp_path, answers={f"/{part}": error}))
    assert f"{part}-broken" in result.codes()
    assert "no such file" in result.of(f"{part}-broken").observed
    others = {f"{other}-broken" for other in ("queue", "flush", "restart", "clock", "reports", "logs")} - {
        f"{part}-broken"
    }
    assert not others & set(result.codes())


async def test_a_hook_that_prints_no_json(tmp_path: Path) -> None:
    result = await checked(Adapter(tmp_path, answers={"/queue": says("Mail queue is empty\n")}))
    assert "does not keep the contract" in result.of("queue-broken").observed


class Listing:
    """A queue listing that is bent before it is shown; with `hides`, without what is being tried."""

    def __init__(self, hides: bool = False, **changed: str) -> None:
        self.hides = hides
        self.changed = changed
        self.adapter: Adapter | None = None

    async def answer(self, _: web.Request) -> web.Response:
        assert self.adapter is not None
        rows = [
            {
                "id": one.id,
                "sender": one.sender,
                "recipient": one.recipient,
                "state": "active" if one.active else "deferred",
                "reason": one.reason,
            }
            | self.changed
            for one in self.adapter.sender.queue()
            if not (self.hides and one.active)
        ]
        return web.json_response({"messages": rows})


@pytest.mark.parametrize(
    ("changed", "observed"),
    [
        ({"recipient": "postmaster@sender.example"}, "shows no row of that recipient"),
        ({"sender": "postmaster@sender.example"}, "says that it is from postmaster@sender.example"),
        ({"state": "active"}, "never that it is deferred"),
    ],
)
async def test_a_queue_that_does_not_tell_the_truth(tmp_path: Path, changed: dict[str, str], observed: str) -> None:
    listing = Listing(**changed)
    listing.adapter = Adapter(tmp_path, answers={"/queue": listing.answer})
    result = await checked(listing.adapter)
    assert observed in result.of("queue-belied").observed


@pytest.mark.parametrize(
    ("listing", "observed"),
    [(Listing(state="deferred"), "says that it is deferred"), (Listing(hides=True), "shows no row of it")],
)
async def test_a_queue_that_does_not_say_what_is_being_tried(tmp_path: Path, listing: Listing, observed: str) -> None:
    listing.adapter = Adapter(tmp_path, answers={"/queue": listing.answer})
    result = await checked(listing.adapter)
    assert observed in result.of("queue-state-belied").observed


async def test_a_flush_that_does_nothing(tmp_path: Path) -> None:
    result = await checked(Adapter(tmp_path, answers={"/flush": says({"flushed": True})}))
    assert "there was no attempt at all" in result.of("flush-without-attempt").observed


async def test_a_flush_that_does_nothing_where_mail_is_soon_tried_again_anyway(tmp_path: Path) -> None:
    """The next attempt is the target's own: it is no proof that the request had any effect."""
    settings = replace(PATIENT_SENDER, retry_seconds=1.5, longest_retry_seconds=1.5)
    result = await checked(Adapter(tmp_path, settings=settings, answers={"/flush": says({"flushed": True})}))
    assert result.statuses()["POST /flush"] is Status.NOT_PROVABLE, result.findings
    (found,) = [finding for finding in result.findings if finding.part == "POST /flush"]
    assert "may be one of the mail server's own" in found.observed


@pytest.mark.parametrize("seconds", [0.4, 0.8, 1.3])
async def test_a_flush_that_does_nothing_is_never_shown_whatever_the_rhythm(tmp_path: Path, seconds: float) -> None:
    """As `exim -q2s` with a hook that only prints; once the rhythm fits into the quiet time, twice it does not.

    With the shortest rhythm the message may have left before anybody asks: nothing is shown then, either.
    """
    settings = replace(PATIENT_SENDER, retry_seconds=seconds, longest_retry_seconds=seconds)
    result = await checked(Adapter(tmp_path, settings=settings, answers={"/flush": says({"flushed": True})}))
    unshown = (Status.NOT_PROVABLE, Status.SKIPPED) if seconds < 0.5 else (Status.NOT_PROVABLE,)
    assert result.statuses()["POST /flush"] in unshown, result.findings


async def test_a_flush_that_is_always_put_off(tmp_path: Path) -> None:
    settings = replace(PATIENT_SENDER, retry_seconds=0.3, longest_retry_seconds=0.3)
    adapter = Adapter(tmp_path, settings=settings, answers={"/flush": says({"flushed": False})})
    result = await only(adapter, "flush-never-now")
    assert exit_code(result.findings) == 1
    assert 'the answer was "not now"' in result.of("flush-never-now").observed


async def test_a_restart_that_does_nothing(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, answers={"/restart": says({"restarted": True})}), "restart-not-done")
    assert "KILL" in result.of("restart-not-done").part


async def test_a_restart_that_loses_the_queue(tmp_path: Path) -> None:
    adapter = Adapter(tmp_path)

    async def restart(request: web.Request) -> web.Response:
        gently = json.loads(await request.read())["signal"] == "TERM"
        await adapter.sender.stop(gently=gently)
        for file in (tmp_path / "spool").iterdir():
            file.unlink()
        await adapter.sender.start()
        return web.json_response({"restarted": True})

    adapter.answers = {"/restart": restart}
    assert "queue-lost-in-restart" in (await checked(adapter)).codes()


async def test_a_restart_that_answers_before_mail_is_taken(tmp_path: Path) -> None:
    adapter = Adapter(tmp_path)

    async def restart(_: web.Request) -> web.Response:
        await adapter.sender.stop(gently=False)
        return web.json_response({"restarted": True})

    adapter.answers = {"/restart": restart}
    result = await checked(adapter)
    assert "does not take mail" in result.of("restart-broken").observed


async def test_a_clock_that_stands_still(tmp_path: Path) -> None:
    await only(Adapter(tmp_path, answers={"/clock": says({"offset": 90000})}), "clock-without-effect")


async def test_a_clock_is_not_proved_by_a_policy_that_is_lost_without_it(tmp_path: Path) -> None:
    about = says({"contract": 1, "name": "mine", "capabilities": ["mta-sts"], "policy_cache": "volatile"})
    answers = {"/about": about, "/clock": says({"offset": 90000}), "/reports": None}
    adapter = Adapter(tmp_path, flaws=("drops_cache_without_record",), answers=answers)
    result = await checked(adapter, timeouts=UNHURRIED)
    (clock,) = [finding for finding in result.findings if finding.part == "POST /clock"]
    assert clock.status is Status.NOT_PROVABLE
    assert "whatever its age" in clock.observed


@pytest.mark.parametrize(("text", "code"), [("", "logs-empty"), ("nothing of interest\n", "logs-silent")])
async def test_a_log_that_says_nothing(tmp_path: Path, text: str, code: str) -> None:
    await only(Adapter(tmp_path, answers={"/logs": says(text)}), code)


async def test_a_target_that_dies_in_mid_check(tmp_path: Path) -> None:
    adapter = Adapter(tmp_path)
    looks = 0

    async def queue(_: web.Request) -> web.Response:
        nonlocal looks
        looks += 1
        if looks > 4:
            raise web.HTTPServiceUnavailable(text=json.dumps({"error": "the mail server is not running"}))
        return web.json_response({"messages": []})

    adapter.answers = {"/queue": queue}
    result = await checked(adapter)
    assert "not running" in result.of("queue-broken").observed


# -- claims


async def test_policies_are_claimed_and_never_fetched(tmp_path: Path) -> None:
    result = await checked(Adapter(tmp_path, network=lambda network: Elsewhere(network, 443)))
    assert "claimed-and-not-there" in result.codes()
    found = next(finding for finding in result.findings if finding.code == "claimed-and-not-there")
    assert "the policy host was never reached" in found.observed
    assert result.statuses()["claims mta-sts: enforces policies"] is Status.SKIPPED


async def test_policies_are_claimed_and_not_enforced(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, flaws=("ignores_policy",)), "claimed-and-not-there")
    assert "was delivered-unauthenticated" in result.of("claimed-and-not-there").observed
    assert result.statuses()["claims mta-sts: trusts the lab's CA for MX hosts"] is Status.NOT_PROVABLE
    assert result.statuses()['says "policy_cache": "persistent"'] is Status.NOT_PROVABLE


@pytest.mark.parametrize("flaw", ["bounces_instead_of_deferring", "bounces_after_looking"])
async def test_a_mail_server_that_returns_blocked_mail_has_an_adapter_in_order(tmp_path: Path, flaw: str) -> None:
    result = await checked(Adapter(tmp_path, flaws=(flaw,)), timeouts=UNHURRIED)
    assert result.codes() == []
    assert exit_code(result.findings) == 0, result.findings
    found = result.of("returned-under-a-policy")
    assert found.status is Status.FINDING
    assert "The adapter is in order" in found.remedy


async def test_a_cache_that_is_not_what_it_is_said_to_be(tmp_path: Path) -> None:
    forgets = Adapter(tmp_path / "one", flaws=("forgets_cache_at_restart",), answers={"/about": says(ABOUT)})
    assert "forgotten over a restart" in (await only(forgets, "policy-cache-belied")).of("policy-cache-belied").observed
    about = says({**ABOUT, "policy_cache": "volatile"})
    keeps = Adapter(tmp_path / "two", answers={"/about": about})
    assert "kept over a restart" in (await only(keeps, "policy-cache-belied")).of("policy-cache-belied").observed


async def test_reports_are_claimed_and_never_sent(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, flaws=("sends_no_reports",)), "claimed-and-not-there")
    assert "no report arrived" in result.of("claimed-and-not-there").observed


async def test_reports_are_claimed_and_cannot_be_asked_for(tmp_path: Path) -> None:
    result = await only(Adapter(tmp_path, answers={"/reports": None}), "claimed-and-not-there")
    assert "POST /reports could not be asked" in result.of("claimed-and-not-there").observed


async def test_what_is_claimed_beyond_the_labs_knowledge(tmp_path: Path) -> None:
    about: Any = {**ABOUT, "capabilities": ["mta-sts", "tls-rpt", "dane"]}
    result = await checked(Adapter(tmp_path, answers={"/about": says(about)}))
    assert result.statuses()["claims dane"] is Status.NOT_PROVABLE
    assert result.codes() == []


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"x", "there is no JSON in it"),
        (b'{"policies": [{"policy": {"policy-type": "sts", "policy-domain": "other.example"}}]}', "other.example"),
    ],
)
async def test_reports_are_claimed_and_something_else_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: bytes, told: str
) -> None:
    monkeypatch.setattr(Report, "packed", property(lambda _: octets))
    result = await only(Adapter(tmp_path), "no-report-in-it")
    assert told in result.of("no-report-in-it").observed
    assert re.search("(posted|mailed) to ", result.of("no-report-in-it").observed)


@pytest.mark.parametrize("channel", ["https", "mailto"])
async def test_a_reporter_may_use_one_channel_alone(tmp_path: Path, channel: ReportChannel) -> None:
    settings = replace(PATIENT_SENDER, report_channels=(channel,))
    assert (await checked(Adapter(tmp_path, settings=settings))).statuses()["claims tls-rpt"] is Status.OK


async def test_reports_that_can_be_asked_for_are_not_claimed(tmp_path: Path) -> None:
    about = says({**ABOUT, "capabilities": ["mta-sts"]})
    result = await only(Adapter(tmp_path, answers={"/about": about}), "there-and-not-claimed")
    assert "tls-rpt is not claimed" in result.of("there-and-not-claimed").observed


async def test_what_about_says_and_nobody_knows_is_named(tmp_path: Path) -> None:
    about = says({**ABOUT, "retry_second": 2, "policycache": "volatile", "colour": "green"})
    found = (await only(Adapter(tmp_path, answers={"/about": about}), "about-unknown-member")).of(
        "about-unknown-member"
    )
    assert "'retry_second' (is 'retry_seconds' meant?)" in found.observed
    assert "'policycache' (is 'policy_cache' meant?)" in found.observed
    assert found.observed.startswith("says what the contract does not know: 'colour', ")


async def test_a_misspelt_capability_is_named(tmp_path: Path) -> None:
    """It would leave its cases out, and a run without them would look like one that passed."""
    about = says({**ABOUT, "capabilities": ["mta-sts", "tls-rpt", "tls_required"]})
    result = await only(Adapter(tmp_path, answers={"/about": about}), "about-unknown-member")
    assert "'tls_required' (is 'tls-required' meant?)" in result.of("about-unknown-member").observed
    assert "claims tls_required" not in result.statuses()
