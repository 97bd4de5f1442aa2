"""Believable records made by hand: STARTTLS stripped from a sender in four modes, as a run against Postfix leaves them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any, get_args

import msgspec
from mta_sts_lab import __version__
from mta_sts_lab import events as facts
from mta_sts_lab.events import AnyFact, Event
from mta_sts_lab.model.case import AttackUse, Case, Expectation, Mode, Scenario, Step
from mta_sts_lab.model.grading import Grade, Outcome, Requirement
from mta_sts_lab.model.target import About
from mta_sts_lab.model.verdict import Harm, Judgement, StepResult, Verdict
from mta_sts_lab.model.world import Dns, MxHost, Tlsa, World
from mta_sts_lab.record import Record
from rich.cells import cell_len
from rich.console import Console, RenderableType

from tests.made_records import made_record


def schema(name: str) -> dict[str, Any]:
    """Return a published JSON Schema: `verdicts` or `matrix`."""
    file = resources.files("mta_sts_lab.reports").joinpath(f"{name}.schema.json")
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def assert_closed(node: Any) -> None:
    """Assert that every object of a JSON Schema lists, requires and describes its members, and allows no others."""
    for item in node if isinstance(node, list) else node.values() if isinstance(node, dict) else ():
        assert_closed(item)
    if isinstance(node, dict) and node.get("type") == "object":
        assert "additionalProperties" in node
        if "properties" in node:
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
            for name, field in node["properties"].items():
                assert field.get("description") or "$ref" in field, name


MODES = (Mode.ENFORCE, Mode.TESTING, Mode.NONE, Mode.ABSENT)
STARTED = "2026-03-02T09:30:00+00:00"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CLIENT = "mta.sender.example"
REASON = "MTA-STS policy: STARTTLS not offered by mx1, delivery temporarily suspended"

REQUIREMENTS = {
    "STS-5-03": Requirement(
        "STS-5-03",
        "8461",
        "5",
        "MUST NOT",
        "sender",
        "Under enforce, the sender hands no message to a host that offers no STARTTLS.",
        "covered",
    ),
    "RPT-4.3.1-01": Requirement(
        "RPT-4.3.1-01", "8460", "4.3.1", "DEFN", "reporter", "A stripped STARTTLS is reported.", "not-yet"
    ),
    "STS-3.3-18": Requirement(
        "STS-3.3-18",
        "8461",
        "3.3",
        "SHOULD",
        "sender",
        "Administrators are alerted.",
        "not-observable",
        reason="log only",
    ),
}


def case_id(mode: Mode, scenario: str = "starttls/strip") -> str:
    return f"{scenario}[{mode.value}]"


def strip_case(mode: Mode) -> Case:
    attack = (AttackUse("strip_starttls", "smtp"),)
    held = mode is Mode.ENFORCE
    return Case(
        id=case_id(mode),
        scenario="starttls/strip",
        mode=mode,
        steps=(
            Step("prime", World(), expect=Expectation(("delivered-authenticated",), "STS-5-03")),
            Step(
                "attack",
                World(),
                attacks=attack,
                expect=Expectation(("deferred",) if held else ("delivered",), "STS-5-03"),
            ),
            Step("recover", World(), send=False, recovers=held),
        ),
        control="" if mode is Mode.ABSENT else case_id(Mode.ABSENT),
    )


SCENARIO = Scenario(
    id="starttls/strip",
    title="STARTTLS removed from the EHLO reply",
    story=(
        "The attacker sits on the path between two mail servers and deletes one line of the receiver's\n"
        "greeting: the offer of STARTTLS.\n\nWhat is left looks like a server without TLS."
    ),
    effect="Mail leaves in clear text; anyone on the path can read it.",
    requirements=("STS-5-03", "RPT-4.3.1-01"),
    cases=tuple(strip_case(mode) for mode in MODES),
    path="scenarios/starttls/strip.toml",
)


class Tape:
    """Writes the events of one case by hand. Numbers and times go up by themselves."""

    def __init__(self, case: str = "", number: int = 0, at: float = 0.0) -> None:
        self.case = case
        self.step = ""
        self.number = number
        self.at = at
        self.events: list[Event] = []

    def write(self, *said: AnyFact, after: float = 0.004) -> None:
        for fact in said:
            self.number += 1
            self.at = round(self.at + after, 6)
            self.events.append(Event(number=self.number, at=self.at, fact=fact, case=self.case, step=self.step))

    def enter(self, step: str, *attacks: str) -> None:
        self.step = step
        self.write(facts.StepBegan(attacks=attacks))

    def leave(self) -> None:
        self.write(facts.StepEnded())

    def said(self, session: str, speaker: str, *lines: str, secured: bool = False) -> None:
        self.write(*(facts.SmtpSaid(session=session, speaker=speaker, line=line, secured=secured) for line in lines))


def strip_events(mode: Mode, leaks: bool | None = None, number: int = 0, at: float = 0.0) -> list[Event]:
    """Return the events of one case; `leaks` says whether the sender gives in (by default under every mode but enforce)."""
    leaks = mode is not Mode.ENFORCE if leaks is None else leaks
    tape = Tape(case_id(mode), number, at)
    domain = f"k7{mode.value[:2]}.example"
    tape.write(facts.CaseBegan(domain=domain, mode=mode.value))
    primed, attacked = "aa11bb22cc33dd44", "6f1c0a9b8e7d6c5b"
    tape.enter("prime")
    _inject(tape, primed, domain)
    _look_up(tape, domain, mode)
    _honest_session(tape, f"s1-{mode.value}", domain, primed)
    tape.leave()
    tape.enter("attack", "strip_starttls")
    _inject(tape, attacked, domain)
    _stripped_session(tape, f"s2-{mode.value}", domain, attacked, leaks)
    if not leaks:
        tape.write(facts.QueueSeen(token=attacked, state="active", looked=tape.at + 0.002))
        tape.write(facts.QueueSeen(token=attacked, state="deferred", looked=tape.at + 0.002, reason=REASON))
        tape.write(facts.QueueSeen(token=attacked, state="deferred", looked=tape.at + 0.002, reason=REASON))
        tape.write(facts.TargetFlushed())
        tape.write(_answer(domain, "MX", f"10 mx1.{domain}."), after=1.0)
        _stripped_session(tape, f"s3-{mode.value}", domain, attacked, leaks)
        tape.write(facts.QueueSeen(token=attacked, state="deferred", looked=tape.at + 0.002, reason=REASON))
    tape.leave()
    tape.enter("recover")
    if not leaks:
        _honest_session(tape, f"s4-{mode.value}", domain, attacked)
        tape.write(facts.QueueSeen(token=attacked, state="gone", looked=tape.at + 0.002))
    tape.leave()
    tape.write(facts.CaseEnded())
    return tape.events


def _answer(name: str, kind: str, *answers: str) -> facts.DnsAnswered:
    rcode = "NOERROR" if answers else "NXDOMAIN"
    return facts.DnsAnswered(name=name, type=kind, transport="udp", rcode=rcode, answers=answers)


def _inject(tape: Tape, token: str, domain: str) -> None:
    tape.write(
        facts.MessageInjected(
            token=token,
            sender="alice@sender.example",
            recipient=f"{token}@{domain}",
            reply="250 2.0.0 Ok: queued as 4FqXkT0Zz1",
            body_digest=DIGEST,
        )
    )


def _look_up(tape: Tape, domain: str, mode: Mode) -> None:
    record = () if mode is Mode.ABSENT else ("v=STSv1; id=20260302T093000;",)
    tape.write(_answer(domain, "MX", f"10 mx1.{domain}."), _answer(f"_mta-sts.{domain}", "TXT", *record))
    if mode is not Mode.ABSENT:
        session = f"p1-{mode.value}"
        host = f"mta-sts.{domain}"
        tape.write(
            _answer(host, "A", "198.18.3.7"),
            facts.ConnectionAccepted(session=session, role="policy-host", host=host, address="198.18.3.7", port=443),
            facts.ClientHelloSeen(session=session, sni=host),
            facts.TlsEstablished(session=session, version="TLSv1.3", certificate="valid", sni=host),
            facts.PolicyRequested(
                session=session,
                host=host,
                method="GET",
                path="/.well-known/mta-sts.txt",
                sni=host,
                status=200,
                policy_id="20260302T093000",
                user_agent="resolver/1.5",
                policy=f"version: STSv1\r\nmode: {mode.value}\r\nmx: mx1.{domain}\r\nmax_age: 604800\r\n",
                media_type="text/plain",
            ),
            facts.ConnectionClosed(session=session),
        )
    tape.write(_answer(f"mx1.{domain}", "A", "198.18.4.7"))


def _honest_session(tape: Tape, session: str, domain: str, token: str, via: str = "") -> None:
    host = f"mx1.{domain}"
    tape.write(facts.ConnectionAccepted(session=session, role="mx", host=host, address="198.18.4.7", port=25, via=via))
    tape.said(session, "mx", f"220 {host} ESMTP")
    tape.said(session, "sender", f"EHLO {CLIENT}")
    tape.said(session, "mx", f"250-{host}", "250-SIZE 33554432", "250-STARTTLS", "250 8BITMIME")
    tape.said(session, "sender", "STARTTLS")
    tape.said(session, "mx", "220 go ahead")
    tape.write(
        facts.ClientHelloSeen(session=session, sni=host),
        facts.TlsEstablished(session=session, version="TLSv1.3", certificate="valid", sni=host),
    )
    tape.said(session, "sender", f"EHLO {CLIENT}", "MAIL FROM:<alice@sender.example>", secured=True)
    tape.said(session, "mx", f"250-{host}", "250 8BITMIME", "250 ok", secured=True)
    tape.said(session, "sender", f"RCPT TO:<{token}@{domain}>", "DATA", secured=True)
    tape.said(session, "mx", "250 ok", "354 end with a dot", secured=True)
    tape.write(_accepted(session, domain, token, secured=True))
    tape.said(session, "mx", "250 2.0.0 taken", secured=True)
    tape.write(facts.ConnectionClosed(session=session))


def _accepted(session: str, domain: str, token: str, secured: bool, via: str = "") -> facts.MessageAccepted:
    return facts.MessageAccepted(
        session=session,
        role="mx",
        host=f"mx1.{domain}",
        address="198.18.4.7",
        secured=secured,
        certificate="valid" if secured else "",
        mail_from="alice@sender.example",
        recipients=(f"{token}@{domain}",),
        tokens=(token,),
        octets=741,
        body_digest=DIGEST,
        via=via,
    )


def _stripped_session(tape: Tape, front: str, domain: str, token: str, leaks: bool) -> None:
    host = f"mx1.{domain}"
    behind = front.replace("s2", "s3")
    taken = {"role": "mx", "host": host, "address": "198.18.4.7", "port": 25}
    tape.write(
        facts.ConnectionAccepted(session=front, **taken), facts.ConnectionAccepted(session=behind, via=front, **taken)
    )

    def both(speaker: str, *lines: str) -> None:
        for line in lines:
            tape.said(front, speaker, line)
            tape.said(behind, speaker, line)

    both("mx", f"220 {host} ESMTP")
    both("sender", f"EHLO {CLIENT}")
    tape.said(behind, "mx", f"250-{host}", "250-SIZE 33554432", "250-STARTTLS", "250 8BITMIME")
    tape.said(front, "mx", f"250-{host}", "250-SIZE 33554432")
    removed = facts.SmtpSaid(
        session=front, speaker="mx", line="", secured=False, altered=True, instead_of="250-STARTTLS"
    )
    tape.write(
        removed,
        facts.AttackFired(
            attack="strip_starttls", channel="smtp", detail="removed STARTTLS from the reply to EHLO", session=front
        ),
    )
    tape.said(front, "mx", "250 8BITMIME")
    if leaks:
        both("sender", "MAIL FROM:<alice@sender.example>", f"RCPT TO:<{token}@{domain}>", "DATA")
        both("mx", "250 ok", "250 ok", "354 end with a dot")
        tape.write(facts.TokenRead(session=front, token=token, secured=False, reader="attacker"))
        text = "Received: by mta.sender.example\r\nSubject: The figures\r\n\r\nFor your eyes only.\r\n"
        tape.write(facts.MessageRead(session=front, text=text, octets=len(text), secured=False, reader="attacker"))
        tape.write(_accepted(behind, domain, token, secured=False, via=front))
        both("mx", "250 2.0.0 taken")
    both("sender", "QUIT")
    both("mx", "221 bye")
    tape.write(facts.ConnectionClosed(session=behind), facts.ConnectionClosed(session=front))


def strip_record(leaking_enforce: bool = False, complete: bool = True, extra: Iterable[Event] = ()) -> Record:
    """Return a whole record of the four cases, played one after the other."""
    lines: list[Event] = []
    for mode in MODES:
        leaks = True if mode is Mode.ENFORCE and leaking_enforce else None
        lines += strip_events(mode, leaks, number=len(lines), at=lines[-1].at if lines else 0.4)
    lines += list(extra)
    return record_of(lines, SCENARIO.cases, complete)


def record_of(lines: list[Event], cases: Iterable[Case], complete: bool = True) -> Record:
    return made_record(
        lines,
        cases,
        About("postfix", {"postfix": "3.10.2", "postfix-mta-sts-resolver": "1.5.0"}, ("mta-sts", "tls-rpt"), 0.5),
        complete,
        run="20260302-093000-c0ffee",
        started=STARTED,
        command=("sts-lab", "run", "starttls/strip", "--target", "postfix"),
        versions={"mta-sts-lab": __version__, "python": "3.11.7"},
        seed=42,
    )


def number_of(record: Record, case: str, kind: type) -> int:
    """Return the number of a case's first event of a kind."""
    return next(event.number for event in record.events if event.case == case and isinstance(event.fact, kind))


def strip_verdicts(record: Record, leaking_enforce: bool = False) -> list[Verdict]:
    """Return what a judge would say of `strip_record`."""
    verdicts = []
    for mode in MODES:
        leaked = mode is not Mode.ENFORCE or leaking_enforce
        broken = mode is Mode.ENFORCE and leaking_enforce
        evidence = (number_of(record, case_id(mode), facts.TokenRead),) if leaked else ()
        judgement = Judgement(
            check="no-message-read",
            grade=Grade.FAIL if broken else Grade.PASS,
            reason="read-in-clear" if broken else "as-demanded",
            obligation="STS-5-03",
            step="attack",
            expected="nobody but the genuine host can read the message",
            observed="the attacker read the whole message in clear" if leaked else "nobody read it",
            blame="target" if broken else "nobody",
            evidence=evidence,
            harm=Harm.READ if broken else Harm.NONE,
        )
        outcome = Outcome.DELIVERED_CLEAR if leaked else Outcome.DEFERRED
        verdicts.append(
            Verdict(
                case=case_id(mode),
                grade=judgement.grade,
                steps=(
                    StepResult("prime", Outcome.DELIVERED_AUTHENTICATED, 0.4, 0.6, "delivered, authenticated"),
                    StepResult("attack", outcome, 0.6, 1.9, "in clear" if leaked else "held"),
                    StepResult("recover", None, 1.9, 2.1),
                ),
                judgements=(judgement,),
                began=0.4,
                ended=2.1,
                control_only=False,
            )
        )
    return verdicts


# ---------------------------------------------------------------------------------------------------------------------
# Looking at what is printed

#: Everything that foreign text might try: terminal sequences in seven and eight bits, rich markup and emoji codes, line
#: ends, a bidirectional override, XML, a lone surrogate.
HOSTILE = "\x1b]0;owned\x07\x1b[31m[bold red]x[/bold red][/]\r\n\u202e\x9b2J :smile: <b>&amp;]]>\x00\ud800"

#: The same made visible.
HOSTILE_VISIBLE = (
    "\\x1b]0;owned\\x07\\x1b[31m[bold red]x[/bold red][/]\\r\\n\\u202e\\x9b2J :smile: <b>&amp;]]>\\x00\\ud800"
)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def console(terminal: bool = False, width: int = 80) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        color_system="truecolor" if terminal else None,
        legacy_windows=False,
    )


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def rendered(*parts: RenderableType, terminal: bool = False, width: int = 80) -> str:
    on = console(terminal, width)
    for part in parts:
        on.print(part)
    return printed(on)


def without_colour(text: str) -> str:
    return _COLOUR.sub("", text)


def assert_fits(text: str, width: int = 80) -> None:
    """No line is longer than the page, and nothing in it can move a cursor."""
    plain = without_colour(text)
    assert plain.strip()
    for line in plain.split("\n"):
        assert cell_len(line) <= width, line
        assert line.isprintable(), ascii(line)


def hostile(fact: AnyFact) -> AnyFact:
    """Return a fact with hostile words in every text of it, except those that are the lab's own vocabulary."""
    own = {"speaker", "role", "state", "how", "session", "via", "reader", "token", "mode"}
    changes: dict[str, object] = {}
    for name in fact.__struct_fields__:
        value = getattr(fact, name)
        if isinstance(value, str) and name not in own:
            changes[name] = HOSTILE
        elif isinstance(value, tuple) and name != "tokens":
            changes[name] = (HOSTILE,)
    return msgspec.structs.replace(fact, **changes)


def hostile_events(lines: Iterable[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, fact=hostile(event.fact)) for event in lines]


#: Values of the lab's own vocabulary, by the names of their fields.
_VALUES: dict[str, Any] = {
    "token": "ab" * 8,
    "tokens": ("ab" * 8,),
    "role": "mx",
    "session": "s",
    "speaker": "sender",
    "reader": "path",
    "state": "deferred",
    "transport": "https",
    "certificate": "valid",
    "version": "TLSv1.3",
    "mode": "enforce",
    "action": "failed",
    "rcode": "NXDOMAIN",
    "secured": True,
    "port": 25,
    "size": 2,
    "octets": 2,
}


def _example(kind: type[AnyFact]) -> AnyFact:
    """Return a fact of a kind, with a value in every field that has no default."""
    by_type: dict[Any, Any] = {str: "x", int: 1, float: 1.0, bool: False, bytes: b"{}"}
    values = {
        field.name: b"{}" if field.type is bytes else _VALUES.get(field.name, by_type.get(field.type, ()))
        for field in msgspec.structs.fields(kind)
        if field.required or field.name in _VALUES
    }
    return kind(**values)


#: One fact of every kind that the lab can witness.
EVERY_FACT = tuple(_example(kind) for kind in get_args(AnyFact))


def events_of(*said: AnyFact, case: str = "starttls/strip[enforce]", step: str = "attack") -> list[Event]:
    """Return some facts as events of one step."""
    return [
        Event(number=number, at=number / 10, fact=fact, case=case, step=step) for number, fact in enumerate(said, 1)
    ]


#: A host whose certificate no authority has signed, and whose TLSA record names its key.
UNDER_DANE = Case(
    "dane/x[dane]",
    "dane/x",
    Mode.DANE,
    (Step("attack", World(mx=(MxHost(certificate="self-signed", tlsa=(Tlsa(),)),), dns=Dns(security="secure"))),),
)


def events_under_dane() -> list[Event]:
    """Return a delivery to that host."""
    host = "mx1.d.example"
    told: list[facts.AnyFact] = [
        facts.CaseBegan(domain="d.example", mode="dane"),
        facts.StepBegan(),
        facts.MessageInjected(
            token="t", sender="a@s.example", recipient="b@d.example", reply="250", body_digest="same"
        ),
        facts.ConnectionAccepted(session="s", role="mx", host=host, address="198.18.64.4", port=25),
        facts.TlsEstablished(session="s", version="TLSv1.3", certificate="self-signed"),
        facts.MessageAccepted(
            session="s",
            role="mx",
            host=host,
            address="198.18.64.4",
            secured=True,
            certificate="self-signed",
            mail_from="a@s.example",
            recipients=("b@d.example",),
            tokens=("t",),
            octets=1,
            body_digest="same",
        ),
        facts.StepEnded(),
    ]
    return [Event(number, float(number), fact, UNDER_DANE.id, "attack") for number, fact in enumerate(told)]
