"""Finds the cases in which a target fetched no policy in time that it would have fetched from a quicker machine.

A policy plug-in gives up after some seconds, and its mail server then delivers as if there were no policy. The record
does not show whether the machine was too slow or the target does not want this policy. So such a case is played once
more, alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta_sts_lab.adapter_check.probes import is_probe
from mta_sts_lab.events import ConnectionAccepted, ConnectionClosed, DeadlinePassed, Event, PolicyRequested, TlsFailed
from mta_sts_lab.record import Record
from mta_sts_lab.timeouts import LEARN_POLICY, LEARN_POLICY_IN_PROCESS, POLICY_QUESTION

_WAITS = (LEARN_POLICY.name, LEARN_POLICY_IN_PROCESS.name, POLICY_QUESTION.name)


def cases_without_their_policy(record: Record) -> frozenset[str]:
    """Return the cases in whose last play the target was waited for to fetch a policy, and did not fetch it.

    None of a target that fetched no policy in any case: it does not do that at all.
    """
    fetched = (one for one in record.events if isinstance(one.fact, PolicyRequested) and one.fact.status == 200)
    if not any(event.case and not is_probe(event.case) for event in fetched):
        return frozenset()
    return frozenset(case for case, events in record.judged_events().items() if _was_short_of_time(events))


def _was_short_of_time(events: Sequence[Event]) -> bool:
    """Whether a wait for a policy request passed, or the target left a policy host before it had asked for anything."""
    if any(isinstance(event.fact, DeadlinePassed) and event.fact.deadline in _WAITS for event in events):
        return True
    facts = [event.fact for event in events]
    reached = {one.session for one in facts if isinstance(one, ConnectionAccepted) and one.role == "policy-host"}
    asked = {one.session for one in facts if isinstance(one, PolicyRequested)}
    refused = {one.session for one in facts if isinstance(one, TlsFailed) and one.alert}
    ended = {one.session for one in facts if isinstance(one, ConnectionClosed)}
    return bool((reached & ended) - asked - refused)
