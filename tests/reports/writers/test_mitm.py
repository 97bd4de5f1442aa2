"""`.mitm` files are read back by mitmproxy itself and tell the case's story."""

import subprocess
import sys
from io import BytesIO
from typing import Any

import pytest
from mitmproxy import dns, http, tcp
from mitmproxy.io import FlowReader
from mta_sts_lab import events as facts
from mta_sts_lab.model.case import Mode
from mta_sts_lab.reports.writers.mitm import mitm_name, write_mitm

from ..records import EVERY_FACT, STARTED, events_of, hostile_events, strip_events

_BEGAN = 1772443800.0


def _read(content: bytes) -> list[Any]:
    return list(FlowReader(BytesIO(content)).stream())  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def flows() -> list[Any]:
    return _read(write_mitm(strip_events(Mode.ABSENT), STARTED) + write_mitm(strip_events(Mode.ENFORCE), STARTED))


def _of(flows: list[Any], kind: type, mode: Mode) -> list[Any]:
    return [flow for flow in flows if isinstance(flow, kind) and f"[{mode.value}]" in flow.comment]


def test_every_flow_carries_its_case_and_step(flows: list[Any]) -> None:
    assert {flow.comment.split("\n")[0] for flow in flows} == {
        "starttls/strip[absent], step prime",
        "starttls/strip[absent], step attack",
        "starttls/strip[enforce], step prime",
        "starttls/strip[enforce], step attack",
        "starttls/strip[enforce], step recover",
    }


def test_dns_lookups_keep_name_type_and_answer(flows: list[Any]) -> None:
    lookups = _of(flows, dns.DNSFlow, Mode.ENFORCE)
    by_name = {flow.request.questions[0].name: flow for flow in lookups}
    policy = by_name["_mta-sts.k7en.example"]
    assert policy.response.answers[0].text == "v=STSv1; id=20260302T093000;"
    assert policy.response.answers[0].type == policy.request.questions[0].type == 16
    assert str(by_name["mta-sts.k7en.example"].response.answers[0].ipv4_address) == "198.18.3.7"
    exchange = by_name["k7en.example"].response.answers[0]
    assert (exchange.type, exchange.data[:2]) == (15, b"\x00\x0a")
    assert exchange.data[2:] == b"\x03mx1\x04k7en\x07example\x00"
    assert "10 mx1.k7en.example." in by_name["k7en.example"].comment


def test_a_name_that_does_not_exist_says_so(flows: list[Any]) -> None:
    lookups = {flow.request.questions[0].name: flow for flow in _of(flows, dns.DNSFlow, Mode.ABSENT)}
    assert lookups["_mta-sts.k7ab.example"].response.response_code == 3
    assert not lookups["_mta-sts.k7ab.example"].response.query


def test_the_policy_fetch_is_an_https_request(flows: list[Any]) -> None:
    (fetch,) = _of(flows, http.HTTPFlow, Mode.ENFORCE)
    assert fetch.request.url == "https://mta-sts.k7en.example/.well-known/mta-sts.txt"
    assert fetch.request.headers["User-Agent"] == "resolver/1.5"
    assert fetch.response.status_code == 200
    assert fetch.client_conn.sni == "mta-sts.k7en.example"
    assert fetch.client_conn.tls_version == "TLSv1.3"
    assert not _of(flows, http.HTTPFlow, Mode.ABSENT)


def test_the_smtp_dialogue_is_there_line_by_line(flows: list[Any]) -> None:
    honest, front, behind = _of(flows, tcp.TCPFlow, Mode.ABSENT)
    assert (honest.messages[0].from_client, honest.messages[0].content) == (False, b"220 mx1.k7ab.example ESMTP\r\n")
    assert honest.client_conn.timestamp_tls_setup is not None
    contents = [message.content for message in front.messages]
    assert b"MAIL FROM:<alice@sender.example>\r\n" in contents
    assert b"250-STARTTLS\r\n" not in contents
    assert "changed by the attacker: 250-STARTTLS removed" in front.comment
    assert front.client_conn.timestamp_tls_setup is None
    assert b"250-STARTTLS\r\n" in [message.content for message in behind.messages]
    assert "the attacker's own connection" in behind.comment
    assert behind.client_conn.peername[0] == "attacker"


def test_times_are_those_of_the_record(flows: list[Any]) -> None:
    created = [flow.timestamp_created for flow in flows if "[enforce]" in flow.comment]
    assert created == sorted(created)
    assert all(_BEGAN <= at < _BEGAN + 10 for at in created)
    (first, *_) = _of(flows, tcp.TCPFlow, Mode.ENFORCE)
    assert _BEGAN < first.messages[0].timestamp < _BEGAN + 10


def test_what_went_wrong_is_an_error() -> None:
    def taken(session: str) -> facts.ConnectionAccepted:
        return facts.ConnectionAccepted(session=session, role="mx", host="m", address="198.18.0.9", port=25)

    refused, failed, silent, unanswered = _read(
        write_mitm(
            events_of(
                facts.ConnectionDenied(session="a", role="mx", host="m", address="198.18.0.9", port=25, how="reset"),
                taken("b"),
                facts.TlsFailed(session="b", alert="unknown ca"),
                facts.DnsAnswered(name="d.example", type="TXT", transport="tcp", rcode="TIMEOUT"),
                facts.PolicyRequested(session="p", host="h", method="GET", path="/x", sni="", status=0),
            )
        )
    )
    assert refused.error.msg == "connection reset"
    assert failed.error.msg == "TLS failed: unknown ca"
    assert (silent.error.msg, silent.response) == ("deliberately not answered", None)
    assert (unanswered.error.msg, unanswered.response) == ("never answered", None)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("A", "not an address"),
        ("AAAA", "1"),
        ("MX", "no number"),
        ("MX", "70000 a."),
        ("TLSA", "3 1 1 ab"),
        ("NEW", "x"),
    ],
)
def test_an_answer_of_no_known_form_is_kept_as_text(kind: str, answer: str) -> None:
    (flow,) = _read(
        write_mitm(
            events_of(facts.DnsAnswered(name="d", type=kind, transport="udp", rcode="NOERROR", answers=(answer,)))
        )
    )
    assert flow.response.answers[0].data == answer.encode()
    assert answer in flow.comment


def test_hostile_words_are_written_and_read_back() -> None:
    content = write_mitm(hostile_events([*events_of(*EVERY_FACT), *strip_events(Mode.ENFORCE)]))
    flows = _read(content)
    assert {type(flow).__name__ for flow in flows} == {"DNSFlow", "HTTPFlow", "TCPFlow"}
    for flow in flows:
        assert all(line.isprintable() for line in flow.comment.split("\n"))


def test_a_case_without_events_is_an_empty_file() -> None:
    assert write_mitm([]) == b""


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("starttls/strip[enforce]", "starttls.strip.enforce.mitm"),
        ("policy/redirect[enforce,302]", "policy.redirect.enforce.302.mitm"),
        ("../../etc/passwd", "etc.passwd.mitm"),
        ("/abs/\x00\n", "abs.mitm"),
    ],
)
def test_file_names_never_leave_their_folder(case: str, name: str) -> None:
    assert mitm_name(case) == name


def test_mitmproxy_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, mta_sts_lab.reports.writers.mitm, mta_sts_lab.reports.terminal; sys.exit('mitmproxy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
