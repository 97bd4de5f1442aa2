"""Finds the cases in which a target was perhaps too slow to do what it does on a quicker machine.

A policy plug-in gives up after some seconds, and its mail server then delivers as if there were no policy. The record
does not show whether the machine was too slow or the target does not want this policy. So such a case is played once
more, alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta_sts_lab.adapter_check.probes import is_probe
from mta_sts_lab.events import (
    ConnectionAccepted,
    ConnectionClosed,
    ConnectionDenied,
    DeadlinePassed,
    Event,
    InjectionBegan,
    PolicyRequested,
    TlsFailed,
)
from mta_sts_lab.judge.facts import RECEIVING
from mta_sts_lab.record import Record
from mta_sts_lab.timeouts import LEARN_POLICY, LEARN_POLICY_IN_PROCESS, POLICY_QUESTION

_WAITS = (LEARN_POLICY.name, LEARN_POLICY_IN_PROCESS.name, POLICY_QUESTION.name)

#: Seconds from the beginning of an injection to the first connection to a receiving host. Postfix takes 0.2 to 0.7 s on
#: a quiet machine; where its plug-in gave up, after 4 s, these were 3 to 48 s.
_SLOW = 2.0


def cases_short_of_time(record: Record) -> frozenset[str]:
    """Return the cases in whose last play the target was slow, or was waited for in vain to fetch a policy.

    None of a target that fetched no policy in any case: it does not do that at all.
    """
    fetched = (one for one in record.events if isinstance(one.fact, PolicyRequested) and one.fact.status == 200)
    if not any(event.case and not is_probe(event.case) for event in fetched):
        return frozenset()
    played = record.judged_events().items()
    return frozenset(case for case, events in played if _fetched_nothing_in_time(events) or _came_late(events))


def _fetched_nothing_in_time(events: Sequence[Event]) -> bool:
    """Whether a wait for a policy request passed, or the target left a policy host before it had asked for anything."""
    if any(isinstance(event.fact, DeadlinePassed) and event.fact.deadline in _WAITS for event in events):
        return True
    facts = [event.fact for event in events]
    reached = {one.session for one in facts if isinstance(one, ConnectionAccepted) and one.role == "policy-host"}
    asked = {one.session for one in facts if isinstance(one, PolicyRequested)}
    refused = {one.session for one in facts if isinstance(one, TlsFailed) and one.alert}
    ended = {one.session for one in facts if isinstance(one, ConnectionClosed)}
    return bool((reached & ended) - asked - refused)


def _came_late(events: Sequence[Event]) -> bool:
    """Whether the target took long, after a message was handed to it, until it connected to a receiving host."""
    waits_since: float | None = None
    for event in events:
        if isinstance(event.fact, InjectionBegan):
            waits_since = event.at
        elif isinstance(event.fact, (ConnectionAccepted, ConnectionDenied)) and event.fact.role in RECEIVING:
            if waits_since is not None and event.at - waits_since > _SLOW:
                return True
            waits_since = None
    return False
