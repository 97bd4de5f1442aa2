"""Checks the hooks: does each one that is offered work, and are its answers true?"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status, at, name_of
from mta_sts_lab.adapter_check.flush import the_flush
from mta_sts_lab.adapter_check.probes import (
    CLOCK,
    CLOCK_ADVANCE,
    HELD,
    HELD_ALONE,
    HONEST,
    KEPT,
    SLOW,
    STRANGER,
)
from mta_sts_lab.events import (
    ClockAdvanced,
    ConnectionAccepted,
    DeadlinePassed,
    Event,
    LogRead,
    QueueListed,
    SmtpSaid,
    TargetRestarted,
)
from mta_sts_lab.judge.facts import not_killed
from mta_sts_lab.judge.message_facts import SAME_ATTEMPT, MessageFacts
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.targets.contract import MTA_STS

#: What the lab does where a hook is missing, as it is printed.
_WITHOUT = {
    "queue": "holds are proved by three attempts instead, which takes longer",
    "flush": "its own retries are waited for",
    "restart": "cases that restart the mail server are unsupported",
    "clock": "cases in which a policy grows old are unsupported",
    "reports": "cases about reports are unsupported",
    "logs": "findings come without the mail server's own words",
}


def the_hooks(view: AdapterView) -> Iterator[Finding]:
    """Return the findings on each hook, at least one."""
    truths = {"queue": _queue, "flush": the_flush, "restart": _restart, "clock": _clock, "reports": None, "logs": _logs}
    for part, truth in truths.items():
        broken = _not_there(view, part)
        if broken is not None:
            yield broken
        elif truth is not None:
            yield from truth(view)
    yield from _retry_seconds(view)
    yield from _laxer_with_age(view)


def _not_there(view: AdapterView, part: str) -> Finding | None:
    """Return a finding if a hook was not tried, is not offered, or breaks its contract."""
    tries = view.tries(part)
    if not tries:
        return Finding(name_of(part), Status.SKIPPED, "not tried: mail has to arrive first, and a message to be held")
    if not all(fact.offered for _, fact in tries):
        return Finding(name_of(part), Status.NOT_OFFERED, f"answers 404: {_WITHOUT[part]}")
    wrong = [(event, fact) for event, fact in tries if fact.error]
    if not wrong:
        return None
    event, fact = wrong[0]
    asked = f" ({fact.argument})" if fact.argument else ""
    return Finding(
        name_of(part),
        Status.FAULT,
        f"{fact.error}{asked}",
        f"{part}-broken",
        f"The hook `{part}` must be executable (chmod +x; #! and a program that is there; lines that end in LF), "
        "print what the table in `sts-lab docs adding-an-mta` says, and end with status 0. Try it by hand, in a "
        f"container with docker exec -i CONTAINER /hooks/{part} </dev/null, of a program without one with hooks/{part} "
        "</dev/null. A hook that is not there at all is no fault.",
        at([event]),
    )


def _queue(view: AdapterView) -> Iterator[Finding]:
    listed = view.of_run.of_kind(QueueListed)
    probe = HELD if view.played(HELD) else HELD_ALONE
    message = view.message(probe, "held")
    injected = view.facts(probe).message_of("held")
    if message is None or injected is None:
        yield Finding(name_of("queue"), Status.SKIPPED, "answers, but no message was held that it could show")
        return
    rows = [(event, row) for event, fact in listed for row in fact.rows]
    mine = [(event, row) for event, row in rows if row[0].lower() == injected[1].recipient.lower()]
    senders = {row[1].lower().strip("<>") for _, row in mine}
    states = {row[2] for _, row in mine}
    fault = ""
    if view.outcome(probe, "held") is Outcome.DEFERRED or mine:
        if not mine:
            fault = "shows no row of that recipient"
        elif senders != {injected[1].sender.lower()}:
            fault = f"says that it is from {', '.join(sorted(senders)) or 'nobody'}"
        elif "deferred" not in states:
            fault = f"says that it is {', '.join(sorted(states))}, and never that it is deferred"
        elif any(row[0].lower() == injected[1].recipient.lower() for row in listed[-1][1].rows):
            fault = "still shows it after it was delivered" if message.copies() else ""
    else:
        fault = f"shows no row of that recipient (it does show: {_recipients(rows)})"
    if fault:
        yield Finding(
            name_of("queue"),
            Status.FAULT,
            f"a message from {injected[1].sender} for {injected[1].recipient} waits, as nobody listens on its host: "
            f"the queue {fault}",
            "queue-belied",
            "A row for each recipient that is held, with the bare addresses of the envelope, and the state `deferred` "
            "as soon as an attempt has failed.",
            at([event for event, _ in mine] or [event for event, _ in listed]),
        )
    else:
        observed = "shows a message that waits: recipient, sender and state"
        yield Finding(name_of("queue"), Status.OK, observed, evidence=at([mine[0][0]]))
        yield from _while_active(view)


def _while_active(view: AdapterView) -> Iterator[Finding]:
    """Return what the queue says of a message during its delivery, while a host delays its greeting."""
    part = f"{name_of('queue')}: active during an attempt"
    facts = view.facts(SLOW)
    message = view.message(SLOW, SLOW.steps[0].name)
    reached = [(event, fact.session) for event, fact in facts.of_kind(ConnectionAccepted) if fact.role == "mx"]
    if message is None or not reached:
        yield Finding(part, Status.INCONCLUSIVE, "no message came to a host that is slow to greet")
        return
    greeted = min([event.at for event, fact in facts.of_kind(SmtpSaid)] + facts.ends_of([reached[0][1]]), default=0.0)
    came = reached[0][0].at
    seen = [(event, fact) for event, fact in message.queue() if came < fact.looked and event.at < greeted][-1:]
    wrong = [(event, fact) for event, fact in seen if fact.state != "active"]
    if wrong:
        state = "shows no row of it" if wrong[0][1].state == "gone" else f"says that it is {wrong[0][1].state}"
        yield Finding(
            part,
            Status.FAULT,
            f"in the middle of a delivery, with a host that is slow to greet, the queue {state}",
            "queue-state-belied",
            "`deferred` is a message between two attempts only. One that is being tried is `active`, and the lab takes "
            "no attempt for ended before it is deferred or gone.",
            at([event for event, _ in wrong]),
        )
    elif seen:
        yield Finding(part, Status.OK, "a message that is being delivered is active", evidence=at([seen[0][0]]))
    else:
        yield Finding(part, Status.NOT_PROVABLE, "no listing was made in the middle of a delivery")


def _laxer_with_age(view: AdapterView) -> Iterator[Finding]:
    """Say what cannot be checked: whether the sender is less strict with older messages."""
    if view.message(HONEST, HONEST.steps[0].name) is not None:
        yield Finding(
            f'says "retry_seconds": {view.about.retry_seconds:g}',
            Status.NOT_PROVABLE,
            "nothing shows whether it is laxer with a message that has waited for longer; see its configuration",
        )


def _recipients(rows: list[tuple[Event, tuple[str, str, str, str]]]) -> str:
    return ", ".join(sorted({row[0] for _, row in rows})[:3]) or "nothing at all"


def _retry_seconds(view: AdapterView) -> Iterator[Finding]:
    """Return whether a target without `flush` tries again within the `retry_seconds` that it names."""
    facts = view.facts(HELD_ALONE)
    message = view.message(HELD_ALONE, "held")
    if message is None:
        return
    own = view.about.pause_seconds(asked=False)
    part = f"tries again by itself after {own:g} s"
    began = message.step_began()
    attempts = [at_ for at_ in facts.queries("MX", began, float("inf")) if at_ > message.injected + SAME_ATTEMPT]
    if attempts:
        after = f"{attempts[0] - message.injected:.0f} s after the message was handed over"
        seen = f"it tried by itself {after} (what comes within {SAME_ATTEMPT:g} s may be the first attempt still)"
        yield Finding(part, Status.OK, seen)
        return
    waited = [fact.seconds for _, fact in facts.of_kind(DeadlinePassed)]
    if not waited:
        # The queue said that the message had gone, so nobody waited for an attempt.
        yield Finding(part, Status.INCONCLUSIVE, "no message was waited for: what the queue said of it ended that")
        return
    yield Finding(
        part,
        Status.FAULT,
        f"no attempt of its own at a message that waits within {max(waited):g} s, and none can be asked for",
        "retry-seconds-belied",
        "No hold can be proved like this. Set the retry time of the mail server to a few seconds, say what it is in "
        "GET /about (retry_seconds, or own_retry_seconds where that is longer), or offer the hook `flush`.",
    )


def _restart(view: AdapterView) -> Iterator[Finding]:
    kept = view.facts(KEPT)
    message = view.message(KEPT, "held")
    for event, fact in view.tries("restart"):
        part = f"{name_of('restart')} {fact.argument}"
        outlived = [event for event, done in view.of_run.of_kind(TargetRestarted) if not_killed(done)]
        if outlived and fact.argument == "KILL":
            yield Finding(
                part,
                Status.FAULT,
                "an SMTP session that was open before went on afterwards: nothing was killed",
                "restart-not-done",
                "The hook must end every process of the mail server with the signal in its input, and start it again.",
                at(outlived),
            )
        else:
            yield Finding(part, Status.OK, f"takes mail again after {fact.seconds:.1f} s", evidence=at([event]))
    if message is None or not view.tries("restart"):
        return
    part = f"{name_of('restart')}: the queue is kept"
    if message.copies():
        extra = f"; {len(message.copies())} copies" if len(message.copies()) > 1 else ""
        status = Status.FAULT if extra else Status.OK
        code = "delivered-twice" if extra else ""
        yield Finding(part, status, f"a message that waited arrived after the restart{extra}", code)
    elif kept.ended and _lost(view, message):
        yield Finding(
            part,
            Status.FAULT,
            "a message that waited before the restart never arrived",
            "queue-lost-in-restart",
            "The queue must be on disk, in a place that the start of the mail server does not empty.",
        )
    else:
        yield Finding(part, Status.INCONCLUSIVE, "a message that waited before the restart has not arrived yet")


def _lost(view: AdapterView, message: MessageFacts) -> bool:
    """Whether a message that never arrived is lost, and not just waiting for a retry."""
    if message.queue():
        return message.outcome() in (Outcome.LOST, Outcome.BOUNCED)
    unrestarted = view.message(HELD, "held")
    return unrestarted is not None and bool(unrestarted.copies())


def _clock(view: AdapterView) -> Iterator[Finding]:
    part = name_of("clock")
    enforced = view.claims(MTA_STS) and view.outcome(STRANGER, "held") is Outcome.DEFERRED
    counted, became = view.outcome(CLOCK, "counts"), view.outcome(CLOCK, "lapsed")
    if not enforced or not view.of_run.of_kind(ClockAdvanced):
        yield Finding(part, Status.NOT_PROVABLE, "answers; without policies that are enforced nothing shows its effect")
        return
    if counted is not None and counted.delivered:
        observed = "answers; a policy that cannot be looked up is dropped whatever its age: nothing shows its effect"
        yield Finding(part, Status.NOT_PROVABLE, observed)
        return
    if counted is not Outcome.DEFERRED:
        observed = f"before the clock was moved, the message was {counted.value if counted else 'never sent'}"
        yield Finding(part, Status.INCONCLUSIVE, observed)
        return
    if became is not None and became.delivered:
        yield Finding(part, Status.OK, "a policy whose age had passed no longer counts")
        return
    if became is not Outcome.DEFERRED:
        yield Finding(part, Status.INCONCLUSIVE, f"the message was {became.value if became else 'never sent'}")
        return
    yield Finding(
        part,
        Status.FAULT,
        f"moved forward by {CLOCK_ADVANCE} s, and a policy with a shorter max_age still counts",
        "clock-without-effect",
        "The clock that decides about the age of policies must move: libfaketime on the process that keeps them "
        "(FAKETIME_TIMESTAMP_FILE, FAKETIME_NO_CACHE=1). If it cannot, leave the hook out.",
    )


def _logs(view: AdapterView) -> Iterator[Finding]:
    part = name_of("logs")
    read = view.of_run.of_kind(LogRead)
    event, log = read[-1] if read else (None, None)
    if event is None or log is None:
        yield Finding(part, Status.INCONCLUSIVE, "was not read to the end")
    elif not log.characters:
        yield Finding(part, Status.FAULT, "is empty", "logs-empty", _LOG_REMEDY, at([event]))
    elif view.message(HONEST, HONEST.steps[0].name) is None:
        yield Finding(part, Status.SKIPPED, f"{log.characters} characters, and no message of ours that it could name")
    elif not log.lines:
        observed = f"{log.characters} characters, and none of the messages' recipients or domains in them"
        yield Finding(part, Status.FAULT, observed, "logs-silent", _LOG_REMEDY, at([event]))
    else:
        yield Finding(part, Status.OK, f"names our recipients, for instance: {log.lines[-1]}", evidence=at([event]))


_LOG_REMEDY = (
    "The hook must print the mail server's own log of deliveries (the file that it writes, or what it says on standard "
    "output, kept in a file)."
)
