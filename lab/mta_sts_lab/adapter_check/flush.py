"""The hook `flush`: does a request bring an attempt, and one that the target would not have made by itself?

Only the target's own rhythm can tell. So the check asks for nothing while a message has just begun to wait, and then
asks several times, each time when the last attempt has ended: what a request brings has to come much sooner than what
comes unasked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Word, at, name_of
from mta_sts_lab.adapter_check.probes import HELD
from mta_sts_lab.events import ClockAdvanced, Event, QueueSeen, TargetFlushed, TargetRestarted
from mta_sts_lab.judge.facts import CaseFacts

#: Seconds from a request to try everything now to the attempt that it causes. Postfix took 0.1 s; a mail server that is
#: restarted for it, 2 s.
FLUSHED_WITHIN = 10.0

#: By how much an attempt that was asked for has to come sooner than one of the target's own. A hook that does nothing
#: is followed by attempts in the target's own rhythm, never in half of it.
_SOONER = 2.0

#: Requests that have to be followed by an attempt: one may have met the target's own by chance.
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
    """Return what requests to try everything now brought about."""
    flushes = view.of_run.of_kind(TargetFlushed)
    put_off = [event for event, fact in view.tries("flush") if fact.put_off]
    if not flushes and put_off:
        yield Finding(
            name_of("flush"),
            Word.FAULT,
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
        yield Finding(name_of("flush"), Word.SKIPPED, "answers, but no message waited that it could have moved")
        return
    yield _judged(pauses, [pause for pause in asked if pause.ended < math.inf])


def _judged(pauses: list[_Pause], asked: list[_Pause]) -> Finding:
    requests = [pause.request for pause in asked or pauses if pause.request is not None]
    slowest = max((pause.seconds for pause in asked), default=math.inf)
    if not asked or asked[0].seconds > FLUSHED_WITHIN:
        seen = f"its next attempt {slowest:.1f} s later" if asked else "no attempt at all"
        return Finding(
            name_of("flush"),
            Word.FAULT,
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
        return Finding(name_of("flush"), Word.NOT_PROVABLE, observed, evidence=at(requests))
    observed = (
        f"{len(asked)} requests, each followed by an attempt within {slowest:.1f} s; "
        f"unasked, none within {unasked:.1f} s"
    )
    return Finding(name_of("flush"), Word.OK, observed, evidence=at(requests))


def _unasked(pauses: list[_Pause]) -> float:
    """Return for how long at least the target waits by itself, in seconds."""
    own = [pause.seconds for pause in pauses if pause.request is None and pause.ended < math.inf]
    if own:
        return min(own)
    return max((pause.asked - pause.began for pause in pauses if pause.request is not None), default=0.0)


def _pauses(view: AdapterView) -> list[_Pause]:
    """Return the pauses between the attempts at the message that waits, up to the first other change of the target."""
    facts = view.facts(HELD)
    message = view.message(HELD, "held")
    if message is None:
        return []
    began = message.step_began()
    flushes = [(event.at - fact.seconds, event) for event, fact in view.of_run.of_kind(TargetFlushed)]
    # What a restart or another time brings about later is not the flush's doing.
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

    An attempt begins with its MX query. A sender that remembers the host leaves no trace: its queue says that it tries.
    Where no queue is shown, an attempt at a host that nobody listens on has ended when it began.
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
