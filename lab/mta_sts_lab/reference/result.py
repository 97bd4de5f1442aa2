"""What became of one attempt to deliver a message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """A host took the message."""

    detail: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """It did not work this time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It will never work. `status` is an enhanced status code (RFC 3463)."""

    reason: str
    status: str = "5.0.0"


Result = Delivered | Deferred | Failed


@dataclass(frozen=True, slots=True)
class Unused:
    """A host did not get the message. `blocked` tells whether the policy was the reason."""

    reason: str
    blocked: bool = False
    #: Flaws: whether no other host is tried, and whether the message is returned.
    last: bool = False
    gives_up: bool = False
