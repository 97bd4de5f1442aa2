"""In which cases a target was perhaps too slow."""

from __future__ import annotations

import pytest
from mta_sts_lab.events import (
    AnyFact,
    ConnectionAccepted,
    ConnectionClosed,
    DeadlinePassed,
    Event,
    InjectionBegan,
    PolicyRequested,
    TlsFailed,
)
from mta_sts_lab.model.target import About
from mta_sts_lab.record import Record
from mta_sts_lab.runs.short_of_time import cases_short_of_time

from tests.judge.stories import CASES, ENFORCE, TESTING
from tests.made_records import made_record


def _record(*facts: tuple[float, AnyFact], fetches: bool = True) -> Record:
    asked = PolicyRequested(
        session="p", host="mta-sts.testing.example", method="GET", path="/", sni="", status=200 if fetches else 404
    )
    lines = [(0.0, TESTING, asked), *((at, ENFORCE, fact) for at, fact in facts)]
    events = tuple(
        Event(number=number, at=at, fact=fact, case=case, step="prime")
        for number, (at, case, fact) in enumerate(lines, start=1)
    )
    return made_record(events, (CASES[ENFORCE], CASES[TESTING]), About("made up"))


def _connection(role: str) -> ConnectionAccepted:
    return ConnectionAccepted(session="c", role=role, host="a.example", address="198.18.64.9", port=25)


INJECTED = (1.0, InjectionBegan(token="t"))
NO_POLICY = DeadlinePassed(deadline="learn-policy", seconds=8, waited_for="a policy request")
SETTLE = DeadlinePassed(deadline="settle", seconds=60, waited_for="x")


@pytest.mark.parametrize(
    ("facts", "short"),
    [
        pytest.param([INJECTED, (1.5, _connection("mx"))], False, id="quick"),
        pytest.param([INJECTED, (3.5, _connection("mx"))], True, id="late at the MX host"),
        pytest.param([INJECTED, (1.5, _connection("mx")), (9.0, _connection("mx"))], False, id="an attempt later"),
        pytest.param([INJECTED, (1.5, _connection("policy-host")), (4.0, _connection("mx"))], True, id="late fetch"),
        pytest.param([(9.0, NO_POLICY)], True, id="waited for in vain"),
        pytest.param([(9.0, SETTLE)], False, id="another wait"),
        pytest.param([(1.0, _connection("policy-host")), (2.0, ConnectionClosed("c"))], True, id="left unasked"),
        pytest.param(
            [(1.0, _connection("policy-host")), (1.1, TlsFailed("c", "bad certificate")), (2.0, ConnectionClosed("c"))],
            False,
            id="refused the certificate",
        ),
    ],
)
def test_which_cases_are_short_of_time(facts: list[tuple[float, AnyFact]], short: bool) -> None:
    assert cases_short_of_time(_record(*facts)) == ({ENFORCE} if short else set())
    assert cases_short_of_time(_record(*facts, fetches=False)) == set()
