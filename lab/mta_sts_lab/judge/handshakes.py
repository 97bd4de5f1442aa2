"""How the handshakes of sessions ended, and facts picked from events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mta_sts_lab.events import Event, Fact, TlsEstablished, TlsFailed

_Kind = TypeVar("_Kind", bound=Fact)


def facts_of(events: Iterable[Event], kind: type[_Kind]) -> list[_Kind]:
    """Return the facts of one kind, in order."""
    return [event.fact for event in events if isinstance(event.fact, kind)]


def handshake(events: list[Event], session: str) -> tuple[TlsEstablished | None, TlsFailed | None]:
    """Return how the handshake of a session came up and how it failed: a certificate is rejected after it came up."""
    established = [fact for fact in facts_of(events, TlsEstablished) if fact.session == session]
    failed = [fact for fact in facts_of(events, TlsFailed) if fact.session == session]
    return (established[0] if established else None, failed[-1] if failed else None)
