"""Whatever a target says, on the wire or in its reports: the run is judged, and what was judged can be read back."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mta_sts_lab.events import Event, ReportReceived
from mta_sts_lab.judge import judge
from mta_sts_lab.record import Record
from mta_sts_lab.reports.matrix.evidence import Source, evidence_of
from mta_sts_lab.reports.matrix.markdown import matrix_markdown
from mta_sts_lab.reports.matrix.page import matrix_html
from mta_sts_lab.reports.matrix.table import matrix_of
from mta_sts_lab.reports.verdicts_reading import parse_verdicts
from mta_sts_lab.reports.writers.junit import junit_xml
from mta_sts_lab.reports.writers.verdicts_json import encode, verdicts_document
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.runs import RunResult, load_shipped_catalogue

from tests.playing import play

REQUIREMENTS = load_requirements()
CASES = (
    "certificate/own-expired[testing]",
    "rpt-mail/signature[enforce]",
    "rpt-mail/structure[enforce]",
    "rpt-content/aggregation[enforce]",
    "rpt-dns/several-addresses[enforce,two-mailboxes]",
)

#: What the record takes from the target as it is, by kind of event.
FOREIGN = {
    "BounceReceived": ("token", "action", "status", "diagnostic"),
    "ClientHelloSeen": ("sni",),
    "DnsAnswered": ("name", "type", "transport"),
    "InjectionRefused": ("reply",),
    "MessageAccepted": ("mail_from",),
    "MessageInjected": ("reply",),
    "PolicyRequested": ("host", "method", "path", "sni", "user_agent"),
    "QueueSeen": ("state", "reason"),
    "ReportReceived": ("place", "method", "media_type", "mail_from"),
    "SmtpSaid": ("line",),
    "TlsEstablished": ("sni", "version"),
    "TlsFailed": ("alert",),
}

#: Texts that some function of the standard library or of ours takes for more than they are.
ODD = (
    *("", " ", "\0", "\x1b]0;x\x07", "\u202e", "\uffff", "\U0010ffff", "[", "[::1]", "https://[", "https://[::1]:x/"),
    *(
        "https://a\u2100b/",
        "http://x:99999/",
        "a@b@c",
        "@",
        "<>",
        "mailto:%",
        "%zz",
        "..",
        "a..b",
        ".",
        "xn--",
        "xn--a",
    ),
    *("x" * 300 + ".example", "é" * 70 + ".example", "١٢", "²", "9" * 5000, "-1", "1e999", "nan", "::1%eth0"),
    *("1.2.3.٤", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:60-23:59", "2025-01-06T00:00:00Z\n", "24:00", "Z"),
    *("EHLO [", "MAIL FROM:<", "RCPT TO:<a@[b>", "MAIL FROM:<a@b> SIZE=²", "STARTTLS\0", "multipart/report;boundary="),
)
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=40))
#: The same in JSON, which can hold what no text can: half a surrogate pair, and numbers of any size.
values = st.one_of(
    texts,
    st.sampled_from(("\ud800", "x\udfff", "\ud83d\ude00", None, True, [], {}, [[]], [None], {"\ud800": 1})),
    st.sampled_from((0, -1, 2**31, 2**63, 2**64, 10**400, 1.5, 1e308, float("inf"), float("nan"))),
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    catalogue = load_shipped_catalogue()
    chosen = [catalogue.cases[case] for case in CASES]
    run = play(catalogue, chosen, tmp_path_factory.mktemp("runs"))
    # Hypothesis takes constants from the modules that are loaded, and gives up when one more comes in the midst of its
    # examples ("FlakyStrategyDefinition"): what reads a record loads some of its modules at need.
    read_by_everybody(run.record)
    return run


def read_by_everybody(record: Record) -> None:
    """Judge a record, and have its verdicts told in every form there is."""
    verdicts = judge(record, REQUIREMENTS)
    run = parse_verdicts(encode(verdicts_document(record, verdicts, REQUIREMENTS)), "verdicts.json")
    assert [one.grade for one in run.verdicts] == [one.grade for one in verdicts]
    assert junit_xml(record, verdicts, REQUIREMENTS)
    matrix = matrix_of([run])
    assert matrix_markdown(matrix, every_case=True).encode()

    def evidence(_: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from evidence_of(Source(run, record, "", PurePath("runs/x")))

    assert matrix_html(matrix, evidence, REQUIREMENTS).encode()


def test_the_record_itself_is_read(played: RunResult) -> None:
    read_by_everybody(played.record)
    assert sum(isinstance(event.fact, ReportReceived) for event in played.record.events) >= len(CASES)


@pytest.mark.parametrize("kinds", [{"ReportReceived"}, {*FOREIGN} - {"ReportReceived"}], ids=["reports", "the rest"])
def test_no_odd_word_in_every_place_ends_the_judges_work(played: RunResult, kinds: set[str]) -> None:
    for odd in ODD:
        events = tuple(
            _saying(event, odd) if type(event.fact).__name__ in kinds else event for event in played.record.events
        )
        read_by_everybody(replace(played.record, events=events))


def _saying(event: Event, odd: str) -> Event:
    names = FOREIGN[type(event.fact).__name__]
    return msgspec.structs.replace(event, fact=msgspec.structs.replace(event.fact, **dict.fromkeys(names, odd)))


#: Without shrinking: each example judges a whole run, and what fell over stands in the traceback.
HOSTILE = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[*HealthCheck],
)


@HOSTILE
@given(st.data())
def test_no_word_of_the_target_ends_the_judges_work(played: RunResult, data: st.DataObject) -> None:
    read_by_everybody(bent(played.record, data, _with_other_words, lambda event: type(event.fact).__name__ in FOREIGN))


@HOSTILE
@given(st.data())
def test_no_report_ends_the_judges_work(played: RunResult, data: st.DataObject) -> None:
    read_by_everybody(bent(played.record, data, _with_another_report, lambda event: _report_in(event) is not None))


def bent(record: Record, data: st.DataObject, bend: Any, bendable: Any) -> Record:
    """Return a record with a few of its events bent, each in its own way."""
    events = list(record.events)
    numbers = [number for number, event in enumerate(events) if bendable(event)]
    # A kind of event that comes in hundreds must not crowd out one that comes in ones.
    kinds = sorted({type(events[number].fact).__name__ for number in numbers})
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(kinds))
        number = data.draw(st.sampled_from([one for one in numbers if type(events[one].fact).__name__ == kind]))
        events[number] = bend(record.events[number], data)
    return replace(record, events=tuple(events))


def _with_other_words(event: Event, data: st.DataObject) -> Event:
    names = FOREIGN[type(event.fact).__name__]
    changes = {name: data.draw(texts) for name in names if data.draw(st.booleans())}
    return msgspec.structs.replace(event, fact=msgspec.structs.replace(event.fact, **changes))


def _with_another_report(event: Event, data: st.DataObject) -> Event:
    fact, report = event.fact, _report_in(event)
    assert isinstance(fact, ReportReceived)
    assert report is not None
    if data.draw(st.booleans()):
        path = data.draw(st.sampled_from(list(_paths(json.loads(report)))))
        changed = gzip.compress(json.dumps(_put(json.loads(report), path, data.draw(values))).encode())
        octets = _CODED.sub(lambda _: base64.encodebytes(changed) + b"\r\n--", fact.octets)
        octets = octets if fact.transport == "mail" else changed
    else:
        at, length = data.draw(st.integers(0, len(fact.octets))), data.draw(st.integers(0, 40))
        odd = data.draw(st.one_of(st.binary(max_size=40), texts.map(str.encode)))
        octets = fact.octets[:at] + odd + fact.octets[at + length :]
    return msgspec.structs.replace(event, fact=msgspec.structs.replace(fact, octets=octets, size=len(octets)))


#: The coded data of the reference sender's mail, up to the delimiter behind it.
_CODED = re.compile(rb"H4sI[A-Za-z0-9+/=\r\n]+--")


def _report_in(event: Event) -> bytes | None:
    """Return the JSON of an untouched report; None for anything else."""
    if not isinstance(event.fact, ReportReceived):
        return None
    coded = _CODED.search(event.fact.octets)
    try:
        return gzip.decompress(base64.b64decode(coded[0][:-2]) if coded else event.fact.octets)
    except (OSError, EOFError, ValueError):
        return None


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield from _paths(inner, (*path, step))


def _put(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a document with a value at a path; a member is named by it instead where it is a dictionary of one."""
    if not path:
        return value
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return document


def test_reports_are_bent_in_both_transports(played: RunResult) -> None:
    reports = [event for event in played.record.events if _report_in(event)]
    assert {event.fact.transport for event in reports if isinstance(event.fact, ReportReceived)} == {"https", "mail"}
