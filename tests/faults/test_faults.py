"""Whatever goes wrong in the lab, in the machine or in an adapter is no verdict on the mail server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mta_sts_lab.attacks.toolkit import controller
from mta_sts_lab.attacks.toolkit.attack import DnsAttack, Parameters, Script, Session, SmtpAttack
from mta_sts_lab.events import AnyFact, Event, LabUnhealthy, MessageInjected
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.record import Recorder
from mta_sts_lab.reference.target import InProcessTarget
from mta_sts_lab.rfc.published import REPORT_HOST, REPORT_MX
from mta_sts_lab.runs import RunRequest, Watcher, run
from mta_sts_lab.targets.contract import Held
from mta_sts_lab.world.host import AcceptingHost, HttpsHost
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.policy_host import PolicyServer
from mta_sts_lab.world.receiving_session import ReceivingSession
from mta_sts_lab.world.report_sink import ReportInbox, ReportMx, ReportServer
from mta_sts_lab.world.zone import Answer, Question, Zone

from tests.faults.rig import CASES, EXCUSED, Played, is_played, play_with, shorten_waits, unfair

Patch = pytest.MonkeyPatch
Inject = Callable[[Patch], None]


# -- attacks that are not what they say


def _attacks(change: Callable[[Any], Any]) -> Inject:
    def inject(patch: Patch) -> None:
        patch.setattr(controller, "ATTACKS", {name: change(attack) for name, attack in controller.ATTACKS.items()})

    return inject


def _idle(says_so: bool) -> Callable[[Any], Any]:
    def script(session: Session, _: Parameters) -> Script:
        if says_so:
            session.fire("nothing at all")
        yield from session.relay_greeting()
        while (command := (yield from session.read_command())) is not None:
            reply = yield from session.relay(command)
            if reply is None:
                return
            if command.verb == "STARTTLS" and reply.code == "220":
                yield from session.pipe()
                return

    def change(attack: Any) -> Any:
        if isinstance(attack, SmtpAttack):
            return replace(attack, play=script)
        if isinstance(attack, DnsAttack) and says_so:
            return replace(attack, tamper=lambda _, __, answer: replace(answer, tampered_by=attack.form.name))
        return replace(attack, tamper=lambda _, __, answer: answer) if isinstance(attack, DnsAttack) else attack

    return change


@pytest.mark.parametrize("says_so", [False, True])
def test_an_attack_that_does_nothing_proves_nothing(says_so: bool, tmp_path: Path) -> None:
    played = play_with(CASES, _attacks(_idle(says_so)), tmp_path)
    attacked = {case for case in played.grades if not case.startswith(("certificate/own", "mx/fail-over"))}
    assert attacked
    assert {case: played.grades[case] for case in attacked} == dict.fromkeys(attacked, Grade.INCONCLUSIVE)


# -- a lab that is broken


def _answers_instead(answer: Answer, is_hit: Callable[[Zone, Question], bool]) -> Inject:
    """Let the name server give another answer than the honest one to some questions."""

    def inject(patch: Patch) -> None:
        honest = Zone.lookup
        patch.setattr(
            Zone, "lookup", lambda zone, question: answer if is_hit(zone, question) else honest(zone, question)
        )

    return inject


def _about_cases(kind: str) -> Callable[[Zone, Question], bool]:
    return lambda zone, question: question.type == kind and is_played(zone.case_of(question.name))


def _servfail(kind: str) -> Inject:
    return _answers_instead(Answer("SERVFAIL"), _about_cases(kind))


def _dies(kind: type[AcceptingHost], connections: int) -> Inject:
    """Let hosts stop listening behind the lab's back after so many connections."""

    def inject(patch: Patch) -> None:
        honest = AcceptingHost._on_connection
        served: dict[AcceptingHost, int] = {}

        async def on_connection(host: AcceptingHost, address: str, sock: socket.socket) -> None:
            served[host] = served.get(host, 0) + 1
            if isinstance(host, kind) and is_played(host.case) and served[host] > connections:
                for listener in host._listeners.values():
                    listener.close()
                sock.close()
                return
            await honest(host, address, sock)

        patch.setattr(AcceptingHost, "_on_connection", on_connection)

    return inject


def _no_such_records(kind: str) -> Inject:
    return _answers_instead(Answer("NOERROR"), _about_cases(kind))


def _is_hit(host: AcceptingHost) -> bool:
    """Whether a fault hits a host: those of the cases that are played, and those that take the reports of all."""
    return is_played(host.case) or host.role in ("report-host", "report-mx")


def _no_tls(kind: type[MxServer] | type[HttpsHost], after: int) -> Inject:
    """Let hosts listen, and break off each handshake after so many."""

    def inject(patch: Patch) -> None:
        name = "choose_credentials" if issubclass(kind, MxServer) else "_choose_credentials"
        honest = getattr(kind, name)
        chosen: dict[AcceptingHost, int] = {}

        def choose(host: AcceptingHost, *told: Any) -> Credentials | None:
            chosen[host] = chosen.get(host, 0) + 1
            breaks = _is_hit(host) and chosen[host] > after
            return None if breaks else honest(host, *told)

        patch.setattr(kind, name, choose)

    return inject


def _mute(kind: type[AcceptingHost], after: int) -> Inject:
    """Let hosts take each connection after so many, and say nothing on it until the client gives up."""

    def inject(patch: Patch) -> None:
        honest = kind._speak
        served: dict[AcceptingHost, int] = {}

        async def speak(host: AcceptingHost, accepted: Accepted, via: str) -> None:
            served[host] = served.get(host, 0) + 1
            if not _is_hit(host) or served[host] <= after:
                await honest(host, accepted, via)
                return
            try:
                while await asyncio.get_running_loop().sock_recv(accepted.sock, 1000):
                    pass
            finally:
                accepted.sock.close()

        patch.setattr(kind, "_speak", speak)

    return inject


def _answers(status: int) -> Inject:
    """Let policy hosts answer with an error that no scenario wants."""

    def inject(patch: Patch) -> None:
        def response_to(host: PolicyServer, *_: str) -> tuple[web.Response, bool]:
            return (web.Response(status=status), False) if is_played(host.case) else honest(host, *_)

        honest = PolicyServer._response_to
        patch.setattr(PolicyServer, "_response_to", response_to)

    return inject


def _refuses_mail(patch: Patch) -> None:
    """Let MX hosts refuse every recipient for now."""
    honest = ReceivingSession.handle_RCPT

    async def refuse(session: Any, server: Any, smtp: Any, envelope: Any, address: str, options: list[str]) -> str:
        if is_played(session._host.case):
            return "451 4.3.0 not now"
        return await honest(session, server, smtp, envelope, address, options)

    patch.setattr(ReceivingSession, "handle_RCPT", refuse)


def _raises(kind: type, method: str) -> Inject:
    """Let an exception of the lab's happen in the midst of each session."""

    def inject(patch: Patch) -> None:
        honest = getattr(kind, method)

        async def broken(part: Any, *arguments: Any) -> Any:
            if is_played(part.case if isinstance(part, AcceptingHost) else part._host.case):
                raise LookupError("a mistake in the lab")
            return await honest(part, *arguments)

        patch.setattr(kind, method, broken)

    return inject


def _breaks_off(change: Any) -> Any:
    """Let an attack raise an exception: on SMTP behind the greeting, on DNS at once."""

    def script(session: Session, _: Parameters) -> Script:
        yield from session.relay_greeting()
        raise LookupError("a mistake in the attack")

    def tamper(*_: Any) -> Answer:
        raise LookupError("a mistake in the attack")

    if isinstance(change, SmtpAttack):
        return replace(change, play=script)
    return replace(change, tamper=tamper) if isinstance(change, DnsAttack) else change


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        *(pytest.param(_no_such_records(kind), "name server", id=f"no {kind} records") for kind in ("TXT", "MX", "A")),
        pytest.param(_no_tls(MxServer, 1), "mx", id="no TLS with MX hosts after the first"),
        pytest.param(_mute(MxServer, 1), "mx", id="MX hosts that say nothing after the first"),
        pytest.param(_refuses_mail, "mx", id="MX hosts that refuse mail"),
        pytest.param(_no_tls(PolicyServer, 0), "policy host", id="no TLS with policy hosts"),
        pytest.param(_mute(PolicyServer, 0), "policy host", id="policy hosts that say nothing"),
        pytest.param(_answers(503), "policy host", id="policy hosts that fail"),
    ],
)
def test_a_part_of_the_lab_that_listens_and_cannot_answer_is_seen(fault: Inject, part: str, tmp_path: Path) -> None:
    cases = ("starttls/strip[enforce]", "discovery/record-hidden[enforce,nxdomain]")
    played = play_with(cases, fault, tmp_path)
    assert unfair(played) == {}
    events = played.result.record.events
    seen = {event.case for event in events if isinstance(event.fact, LabUnhealthy) and event.fact.part == part}
    assert set(cases) <= seen
    assert {played.grades[case] for case in cases} <= set(EXCUSED)
    assert all("lab-not-in-order" in played.reasons(case) for case in cases)


def _not_found(name: str) -> Inject:
    """Let a host's name have no address."""
    return _answers_instead(Answer("NOERROR"), lambda _, question: question.name == name and question.type == "A")


#: No domain says that it wants reports.
_hides_report_records = _answers_instead(
    Answer("NXDOMAIN"), lambda _, question: question.name.startswith("_smtp._tls.")
)


def _takes_no_report(patch: Patch) -> None:
    """Let the report host answer every report with an error that no scenario wants."""
    patch.setattr(ReportInbox, "status_for", lambda *_: 500)


def _has_no_mailbox(patch: Patch) -> None:
    """Let the report MX refuse every mailbox."""
    patch.setattr(ReportMx, "takes_mail_for", lambda *_: False)


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        # A report MX without TLS is no such host: report mail goes there in clear.
        *(
            pytest.param(fault(kind, after), part, id=f"{part}: {what} after {after}")
            for fault, what, kind, part in (
                (_no_tls, "no TLS", ReportServer, "report host"),
                (_mute, "nothing said", ReportServer, "report host"),
                (_mute, "nothing said", ReportMx, "report mx"),
            )
            for after in (0, 1)
        ),
        pytest.param(_not_found(REPORT_HOST), "report host", id="report host: no address"),
        pytest.param(_not_found(REPORT_MX), "report mx", id="report mx: no address"),
        pytest.param(_takes_no_report, "report host", id="report host: an error for every report"),
        pytest.param(_has_no_mailbox, "report mx", id="report mx: no mailbox"),
    ],
)
def test_a_host_that_cannot_take_reports_is_no_verdict(fault: Inject, part: str, tmp_path: Path) -> None:
    case = "rpt-https/posted[enforce,201]" if part == "report host" else "rpt-mail/structure[enforce]"
    played = play_with((case,), fault, tmp_path)
    assert (played.grades[case], "lab-not-in-order" in played.reasons(case)) == (Grade.INCONCLUSIVE, True)
    facts = [event.fact for event in played.result.record.events if isinstance(event.fact, LabUnhealthy)]
    assert {(fact.part, fact.lasting) for fact in facts if fact.part != "event loop"} == {(part, True)}


def test_a_wish_for_reports_that_the_lab_hides_is_no_verdict(tmp_path: Path) -> None:
    case = "rpt-https/posted[enforce,201]"
    played = play_with((case,), _hides_report_records, tmp_path)
    assert (played.grades[case], "lab-not-in-order" in played.reasons(case)) == (Grade.INCONCLUSIVE, True)


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(_servfail(kind), id=f"SERVFAIL for {kind}") for kind in ("TXT", "MX", "A")),
        pytest.param(_dies(PolicyServer, 0), id="policy hosts die"),
        *(pytest.param(_dies(MxServer, served), id=f"MX hosts die after {served}") for served in (0, 3)),
        *(
            pytest.param(_raises(kind, name), id=f"an exception in {name}")
            for kind, name in (
                (ReceivingSession, "_start_tls"),
                (ReceivingSession, "handle_RCPT"),
                (ReceivingSession, "handle_DATA"),
                (PolicyServer, "_answer"),
            )
        ),
        pytest.param(_attacks(_breaks_off), id="an exception in the attack"),
    ],
)
def test_a_lab_that_fails_is_no_verdict(fault: Inject, tmp_path: Path) -> None:
    played = play_with(CASES, fault, tmp_path)
    assert unfair(played) == {}


# -- an adapter that lies about its queue


def _queue(view: Callable[[list[tuple[Held, ...]]], tuple[Held, ...]]) -> Inject:
    def inject(patch: Patch) -> None:
        honest = InProcessTarget.queue
        seen: list[tuple[Held, ...]] = []

        async def queue(target: InProcessTarget) -> tuple[Held, ...]:
            seen.append(await honest(target))
            return view(seen)

        patch.setattr(InProcessTarget, "queue", queue)

    return inject


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda seen: (), id="nothing"),
        pytest.param(lambda seen: seen[-1][::2], id="half"),
        pytest.param(lambda seen: seen[max(0, len(seen) - 8)], id="an old view"),
    ],
)
def test_a_queue_that_is_shown_wrongly_is_no_second_copy(
    view: Callable[[list[tuple[Held, ...]]], tuple[Held, ...]], tmp_path: Path
) -> None:
    played = play_with(CASES, _queue(view), tmp_path)
    assert [case for case in played.grades if "arrived-twice" in played.reasons(case)] == []
    assert [case for case, grade in played.grades.items() if grade is Grade.FAIL] == []


# -- an adapter whose clock answers and moves nothing


def test_a_clock_that_only_says_that_it_moved_proves_nothing(tmp_path: Path) -> None:
    def inject(patch: Patch) -> None:
        async def advance(target: InProcessTarget, seconds: int) -> None:
            assert seconds

        patch.setattr(InProcessTarget, "advance", advance)

    # A policy that should have ended, one that should still last, a message that should be too old, and two days.
    lapses, lasts = "policy/max-age-lapses[enforce]", "policy/late-in-life[enforce]"
    others = ("policy/pause-after-failed-fetch[enforce]", "queue/given-up[enforce]", "rpt-mail/two-days[enforce]")
    played = play_with((lapses, lasts, *others), inject, tmp_path)
    assert unfair(played) == {}
    for case in (lapses, lasts, *others):
        assert (played.grades[case], "clock-not-seen-to-move" in played.reasons(case)) == (Grade.INCONCLUSIVE, True)
    honest = play_with((lasts,), lambda _: None, tmp_path / "honest")
    assert honest.grades[lasts] is Grade.PASS


# -- a machine that stands still, or changes its clock


def _once_on(kind: type, then: Callable[[], None]) -> Inject:
    """Let something happen when a fact of a kind is on record for the third time in cases."""

    def inject(patch: Patch) -> None:
        honest = Recorder.write
        seen: list[AnyFact] = []

        def write(recorder: Recorder, fact: AnyFact, case: str = "") -> Event:
            event = honest(recorder, fact, case)
            if isinstance(fact, kind) and is_played(case):
                seen.append(fact)
                if len(seen) == 3:
                    asyncio.get_running_loop().call_soon(then)
            return event

        patch.setattr(Recorder, "write", write)

    return inject


def _unhealthy(played: Played) -> list[str]:
    return [event.fact.part for event in played.result.record.events if isinstance(event.fact, LabUnhealthy)]


def test_a_loop_that_stands_still_is_on_record(tmp_path: Path) -> None:
    played = play_with(CASES, _once_on(MessageInjected, lambda: time.sleep(4)), tmp_path)
    assert "event loop" in _unhealthy(played)
    assert unfair(played) == {}


def test_a_clock_that_jumps_is_on_record(tmp_path: Path) -> None:
    def inject(patch: Patch) -> None:
        honest = time.time
        jumped: list[int] = []
        _once_on(MessageInjected, lambda: jumped.append(86400))(patch)
        patch.setattr(time, "time", lambda: honest() + sum(jumped))

    played = play_with(CASES, inject, tmp_path)
    assert "clock" in _unhealthy(played)
    assert unfair(played) == {}


def test_the_run_says_which_cases_to_repeat(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        _servfail("MX")(patch)
        shorten_waits(patch)
        run(RunRequest(("starttls/strip[absent]",), out=tmp_path, retry_inconclusive=0), Watcher(say=said.append))
    (line,) = [line for line in said if line.startswith("the lab was not in order: 1 cases")]
    assert line.endswith("repeat them: sts-lab run 'starttls/strip[absent]' --target reference")


def test_the_lab_is_in_order_without_a_fault(tmp_path: Path) -> None:
    played = play_with(CASES, lambda _: None, tmp_path)
    # A loaded machine may make the loop late, and then some case proves nothing.
    assert set(_unhealthy(played)) <= {"event loop"}
    assert Grade.PASS in played.grades.values()
    assert unfair(played) == {}
