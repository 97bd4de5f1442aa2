"""The target contract over HTTP: the bodies of requests and answers, as strict structures. Pure.

`GET /about`, `/queue`, `/logs` and `POST /flush`, `/restart`, `/clock`, `/reports` on port 8025. A target answers 404
for what it does not offer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Literal

import msgspec

from mta_sts_lab.model.target import CAPABILITIES, ReportChannel
from mta_sts_lab.requirements import near_misses

#: Raised when the contract changes so that older targets cannot be used any more.
CONTRACT_VERSION = 1

PORT = 8025


class AboutBody(msgspec.Struct, frozen=True):
    """The answer of `GET /about`. A run ignores members and capabilities that it does not know, and warns of them."""

    contract: int
    name: str
    versions: dict[str, str] = {}
    capabilities: tuple[str, ...] = ()
    retry_seconds: float = 0.0
    policy_cache: Literal["persistent", "volatile"] = "persistent"
    dkim_records: dict[str, str] = {}
    dns_memory_seconds: Annotated[float, msgspec.Meta(ge=0, le=120)] = 0.0
    reports_end_the_day: bool = False
    report_channels: tuple[ReportChannel, ...] = ()
    own_retry_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


#: The most unknown members and capabilities of `GET /about` that are shown, and characters of each.
_MOST_UNKNOWN, _LONGEST_UNKNOWN = 10, 60


def unknown_in_about(members: Iterable[str], capabilities: Collection[str]) -> tuple[str, ...]:
    """Return what is no member of `GET /about`, or no capability. Otherwise a misspelt one would count as missing.

    A capability that counts as missing leaves its cases out, and a run without them looks as good as one that passed.
    """
    unknown = sorted({*members} - {*AboutBody.__struct_fields__} | {*capabilities} - {*CAPABILITIES})
    return tuple(name[:_LONGEST_UNKNOWN] for name in unknown[:_MOST_UNKNOWN])


def name_unknown(unknown: Iterable[str]) -> str:
    """Name unknown members and capabilities of `GET /about`, each with the one that was perhaps meant."""
    known = (*AboutBody.__struct_fields__, *CAPABILITIES)
    meant = {name: near_misses(name, known)[:1] for name in unknown}
    return ", ".join(f"{name!r}" + "".join(f" (is {near!r} meant?)" for near in found) for name, found in meant.items())


class MessageBody(msgspec.Struct, frozen=True):
    """One message of `GET /queue`."""

    id: str
    sender: str
    recipient: str
    state: Literal["active", "deferred"]
    reason: str = ""


class QueueBody(msgspec.Struct, frozen=True):
    """The answer of `GET /queue`."""

    messages: tuple[MessageBody, ...]


class FlushedBody(msgspec.Struct, frozen=True):
    """The answer of `POST /flush`; false: not now, because of what the target is doing; ask again."""

    flushed: bool


class RestartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /restart`."""

    signal: Literal["TERM", "KILL"]


class RestartedBody(msgspec.Struct, frozen=True):
    """The answer of `POST /restart`, given when mail is taken again."""

    restarted: Literal[True]


class ClockRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /clock`: seconds to move forward, at most ten years at once."""

    advance: int

    def __post_init__(self) -> None:
        if not 0 <= self.advance <= 315360000:
            raise ValueError("advance is a number of seconds from 0 to ten years")


class ClockBody(msgspec.Struct, frozen=True):
    """The answer of `POST /clock`: by how many seconds the clock is now ahead, in all."""

    offset: float


class ReportsBody(msgspec.Struct, frozen=True):
    """The answer of `POST /reports`: how many reports left."""

    sent: int


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of an answer with an HTTP error status."""

    error: str
