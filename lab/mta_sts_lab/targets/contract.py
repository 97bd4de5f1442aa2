"""What the lab asks of a sending mail server, and what it can offer.

A target must use the resolver it is given, trust the CA it is given (for MX hosts and policy hosts), relay what the lab
injects to any domain, and keep what it cannot deliver. Everything else is offered, and has a slower fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class TargetError(Exception):
    """The target broke its contract: it died, never answered, or answered nonsense. The message says what and where."""


class NotAnswering(TargetError):
    """Nobody answered: the connection was refused, or broke, or nothing came in time."""


class NotOffered(TargetError):
    """The target does not offer this part of the contract."""


class NotNow(TargetError):
    """The target cannot do this at the moment, because of what it is doing: ask again."""


@dataclass(frozen=True, slots=True)
class About:
    """What a target says of itself. `capabilities` are of: mta-sts, tls-rpt, dane, requiretls."""

    name: str
    versions: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    #: Seconds that a message must have been held before another attempt at it, also one that was asked for by `flush`,
    #: is made as the target's own retries are. Some senders are laxer with an older message (Postfix goes on in clear
    #: after a broken handshake once a message is older than its shortest back-off), and a hold is only proved after
    #: that.
    retry_seconds: float = 0.0
    #: Whether a learned policy is kept when the target ends: persistent or volatile.
    policy_cache: str = "persistent"
    #: The DKIM key records that its report mail needs: owner name -> the whole TXT text. The lab publishes them.
    dkim_records: Mapping[str, str] = field(default_factory=dict)
    #: Seconds for which it may go on with an answer of DNS whose time to live is 0 (OpenSMTPD keeps the MX hosts of a
    #: domain that it has just delivered to). A forged answer meets it only after that.
    dns_memory_seconds: float = 0.0
    #: Whether each call for reports ends the day on a calendar that its reporter has for itself, and that no change of
    #: the clock touches. Otherwise reports name days by the target's clock.
    reports_end_the_day: bool = False
    #: Seconds that it lets pass between attempts of its own, where that is more than `retry_seconds`: what has to be
    #: waited for where no attempt can be asked for. Where the pauses grow, four times this has to cover the first two
    #: of them together, and the third: a hold is proved by three attempts, and a fourth one delivers.
    own_retry_seconds: float = 0.0
    #: Capabilities that it claims, too, and that nobody can look at in this run.
    set_aside: tuple[str, ...] = ()
    #: Members of its answer that the contract does not know.
    unknown: tuple[str, ...] = ()

    def pause_seconds(self, asked: bool) -> float:
        """Return the seconds from one attempt at a message to the next, `asked` for or the target's own."""
        return self.retry_seconds if asked else max(self.retry_seconds, self.own_retry_seconds)


@dataclass(frozen=True, slots=True)
class Held:
    """One recipient of one message that the target holds. `state` is active (being tried) or deferred."""

    recipient: str
    sender: str
    state: str
    reason: str = ""


class MailSession(Protocol):
    """An SMTP session with a target that is nobody else's."""

    async def reset(self) -> None:
        """Say RSET. Raises `TargetError`."""

    async def close(self) -> None:
        """End it. Never raises."""


class Target(Protocol):
    """A running sending mail server. Every call may raise `TargetError`; those marked *offered* also `NotOffered`."""

    async def about(self) -> About:
        """Return name, versions and capabilities."""

    async def inject(self, sender: str, recipient: str, message: bytes) -> str:
        """Hand over a message by SMTP; return the reply to the final dot ("250 2.0.0 queued").

        Raises `InjectionRefusedError` when the target answers anything but a 2xx.
        """

    async def open_session(self) -> MailSession:
        """Open an SMTP session as for an injection, and leave it to the caller."""

    async def queue(self) -> tuple[Held, ...]:
        """Return what is held now. Offered."""

    async def flush(self) -> None:
        """Try everything in the queue now. Offered. Raises `NotNow` while the target is too busy for it.

        Nothing is injected meanwhile: there are targets that can only do it by starting anew.
        """

    async def restart(self, signal: str) -> None:
        """End the processes with a signal ("TERM" or "KILL"), start them again, return when mail is taken. Offered."""

    async def advance(self, seconds: int) -> None:
        """Move the target's clock forward by so many seconds. Offered."""

    async def reports(self) -> None:
        """Send all TLS-RPT reports that are due, as if the day had ended; return when they have left. Offered."""

    async def logs(self) -> str:
        """Return the log of the mail server. Offered."""

    async def close(self) -> None:
        """End the target and whatever was started for it."""


class InjectionRefusedError(TargetError):
    """The target answered an injected message with a refusal: its reply is the message."""
