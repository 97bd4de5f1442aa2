"""Checks the hook `flush`: does a request cause an attempt that the target would not have made by itself?

The check first measures how long the target waits by itself. It makes no request while a message has just begun to
wait, and then several, each when the last attempt has ended: a requested attempt must come much sooner than one of the
target's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status, at, name_of
from mta_sts_lab.adapter_check.probes import HELD
from mta_sts_lab.events import ClockAdvanced, Event, QueueSeen, TargetFlushed, TargetRestarted
from mta_sts_lab.judge.facts import CaseFacts

#: Seconds from a request to try everything now to the attempt that it causes. Postfix took 0.1 s; a mail server that is
#: restarted for it, 2 s.
FLUSHED_WITHIN = 10.0

#: The share of the target's own pause within which a requested attempt must come. A hook that does nothing is followed
#: by attempts at the target's own pace, never at twice that.
_SOONER = 2.0

#: How many requests must be followed by an attempt. A single one may coincide with the target's own attempt.
_REQUESTS = 2


@dataclass(frozen=True, slots=True)
class _Pause:
    """The time between two attempts: from the end of one to the beginning of the next, or to the end of the record.

    `asked` is when the first request in it was made, `request` that request.
    """

    began: float
    ended: float
    asked: float = math.nan
    request: Event | None = None

    @property
    def seconds(self) -> float:
        """How long the next attempt took, from the request if there was one."""
        return self.ended - (self.began if self.request is None else max(self.began, self.asked))


def the_flush(view: AdapterView) -> Iterator[Finding]:
    """Return the findings on requests to try everything now."""
    flushes = view.of_run.of_kind(TargetFlushed)
    put_off = [event for event, fact in view.tries("flush") if fact.put_off]
    if not flushes and put_off:
        yield Finding(
            name_of("flush"),
            Status.FAULT,
            'whenever it was asked, the answer was "not now"',
            "flush-never-now",
            'The answer {"flushed": false} is for a mail server that is at work and must not be hurried: '
            "the lab asks again. If attempts can never be asked for, leave the hook out.",
            at(put_off),
        )
        return
    pauses = _pauses(view)
    asked = [pause for pause in pauses if pause.request is not None]
    if not asked:
        yield Finding(name_of("flush"), Status.SKIPPED, "answers, but no message waited that it could have moved")
        return
    yield _judged(pauses, [pause for pause in asked if pause.ended < math.inf])


def _judged(pauses: list[_Pause], asked: list[_Pause]) -> Finding:
    requests = [pause.request for pause in asked or pauses if pause.request is not None]
    slowest = max((pause.seconds for pause in asked), default=math.inf)
    if not asked or asked[0].seconds > FLUSHED_WITHIN:
        seen = f"its next attempt {slowest:.1f} s later" if asked else "no attempt at all"
        return Finding(
            name_of("flush"),
            Status.FAULT,
            f"after the request to try everything now there was {seen}",
            "flush-without-attempt",
            "The hook must make the mail server try each waiting message again at once (postqueue -f, exim -qff, "
            "sendmail -q), also one that has failed a moment ago. If it cannot, leave the hook out.",
            at(requests),
        )
    unasked = _unasked(pauses)
    if len(asked) < _REQUESTS or slowest * _SOONER > unasked:
        observed = (
            f"an attempt {slowest:.1f} s after a request, which may be one of the mail server's own: unasked, it was "
            f"seen to wait for {unasked:.1f} s and no longer"
        )
        return Finding(name_of("flush"), Status.NOT_PROVABLE, observed, evidence=at(requests))
    observed = (
        f"{len(asked)} requests, each followed by an attempt within {slowest:.1f} s; "
        f"unasked, none within {unasked:.1f} s"
    )
    return Finding(name_of("flush"), Status.OK, observed, evidence=at(requests))


def _unasked(pauses: list[_Pause]) -> float:
    """Return the shortest time that the target waits by itself between attempts, in seconds."""
    own = [pause.seconds for pause in pauses if pause.request is None and pause.ended < math.inf]
    if own:
        return min(own)
    return max((pause.asked - pause.began for pause in pauses if pause.request is not None), default=0.0)


def _pauses(view: AdapterView) -> list[_Pause]:
    """Return the pauses between the attempts at the waiting message, up to the first other change of the target."""
    facts = view.facts(HELD)
    message = view.message(HELD, "held")
    if message is None:
        return []
    began = message.step_began()
    flushes = [(event.at - fact.seconds, event) for event, fact in view.of_run.of_kind(TargetFlushed)]
    # Attempts after a restart or a change of the clock are not caused by the flush.
    changes = view.of_run.of_kind(ClockAdvanced) + view.of_run.of_kind(TargetRestarted)
    last = max((event.at for event in facts.events), default=began)
    until = min([last, *(event.at for event, _ in changes if event.at > began)])
    pauses: list[_Pause] = []
    for tried, start, end in _between_attempts(facts, message.token, began, until):
        # A request in the middle of an attempt may bring the next one, too.
        asked = next(((at_, event) for at_, event in flushes if tried < at_ < min(end, until)), (math.nan, None))
        pauses.append(_Pause(start, end, *asked))
    return pauses


def _between_attempts(facts: CaseFacts, token: str, began: float, until: float) -> Iterator[tuple[float, float, float]]:
    """Yield when an attempt began, when it had ended, and when the next one began; infinity if there was none.

    An attempt begins with its MX query, or, if the sender has cached that, when its queue shows the attempt. Without
    a queue listing, an attempt at a host that does not listen ends at once.
    """
    queue = [(event.at, fact.state) for event, fact in facts.of_kind(QueueSeen) if fact.token == token]
    marks = [(at_, "active") for at_ in facts.queries("MX", began, until)]
    if not queue:
        queue = [(at_, "deferred") for at_, _ in marks]
    tried, ended = began, math.inf
    for at_, state in sorted([*marks, *queue]):
        if not began <= at_ <= until:
            continue
        if state == "deferred":
            ended = min(ended, at_)
        elif state == "active" and ended < math.inf:
            yield tried, ended, at_
            tried, ended = at_, math.inf
    if ended < math.inf:
        yield tried, ended, math.inf
