"""The pause that a sender makes between two attempts of its own (RFC 5321, section 4.5.4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mta_sts_lab.events import (
    ClockAdvanced,
    ConnectionAccepted,
    ConnectionDenied,
    Event,
    MessageInjected,
    OtherMessageInjected,
    TargetFlushed,
    TargetRestarted,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.verdict import Judgement

PAUSES = "SMTP-4.5.4.1-02"

#: Connections to one host, none of them asked for. One attempt makes four at the most of those senders that were seen:
#: with TLS, without it, and both again at a second address.
_AT_ONCE = 10

#: Seconds from the end of one connection to the next below which there was no pause. The shortest that a mail server
#: here is set to is 1 s, and its own attempts were seen 2 s apart. A slow machine only makes these longer.
_NO_PAUSE = 0.8


@check(scope=Scope.CASE, obligations=(PAUSES,))
def pause_between_attempts(view: CaseView) -> Iterator[Judgement]:
    """A sender that failed at a host lets some time pass before it comes back: attempt upon attempt is no queue.

    What the lab asked for does not count: a request to try again, a restart, a leap of the clock, another message.
    Where messages to the other domain wait for the same host, nobody can tell which of them a connection was for.
    """
    if view.facts.of_kind(OtherMessageInjected):
        return
    asked = _asked(view)
    for met in _by_host(view).values():
        series = met[:1]
        for earlier, later in pairwise(met):
            at_once = later.at - _ended(view, earlier) < _NO_PAUSE and not any(
                earlier.at <= at <= later.at for at in asked
            )
            series = [*series, later] if at_once else [later]
            if len(series) >= _AT_ONCE:
                expected = "a pause before the same host is tried again"
                observed = (
                    f"{len(series)} connections to it within {later.at - series[0].at:.1f} s, one after the other"
                )
                yield view.broken(PAUSES, "no-pause-between-attempts", later.step, expected, observed, series)
                return


def _by_host(view: CaseView) -> dict[str, list[Event]]:
    """Return the connections of the target to each receiving host, in order."""
    found: dict[str, list[Event]] = {}
    for event in view.facts.contacts():
        if isinstance(event.fact, ConnectionAccepted | ConnectionDenied):
            found.setdefault(event.fact.host, []).append(event)
    return found


def _ended(view: CaseView, connection: Event) -> float:
    fact = connection.fact
    if not isinstance(fact, ConnectionAccepted):
        return connection.at
    ended = view.facts.session(fact.session).ended
    return connection.at if ended is None else ended


def _asked(view: CaseView) -> list[float]:
    """Return when the lab gave the target a reason to connect."""
    kinds = (TargetFlushed, TargetRestarted, ClockAdvanced)
    asked = [event.at for kind in kinds for event, _ in view.of_run.of_kind(kind)]
    return asked + [event.at for event, _ in view.facts.of_kind(MessageInjected)]
