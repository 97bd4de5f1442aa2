"""The contract of a target: what a sending mail server must do for the lab, and what it can offer.

A target must use the resolver it is given, trust the CA it is given (for MX hosts and policy hosts), relay what the lab
injects to any domain, and keep what it cannot deliver. Everything else is offered, and has a slower fallback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mta_sts_lab.model.target import About

#: The capabilities that the lab has cases for.
MTA_STS, TLS_RPT = "mta-sts", "tls-rpt"


class TargetError(Exception):
    """The target broke its contract: it died, never answered, or answered nonsense. The message says what and where."""


class NeverUp(TargetError):
    """The target never took mail: its command, its port or the time that it was given is wrong."""


class NotAnswering(TargetError):
    """The target did not answer: the connection was refused or broke, or nothing came in time."""


class NotOffered(TargetError):
    """The target does not offer this part of the contract."""


class NotNow(TargetError):
    """The target cannot do this at the moment. Ask again."""


@dataclass(frozen=True, slots=True)
class Held:
    """One recipient of one message that the target holds. `state` is active (being tried) or deferred."""

    recipient: str
    sender: str
    state: str
    reason: str = ""


class MailSession(Protocol):
    """An SMTP session with a target that is used by one caller only."""

    async def reset(self) -> None:
        """Say RSET. Raises `TargetError`."""

    async def close(self) -> None:
        """End it. Never raises."""


class Target(Protocol):
    """A running sending mail server. Every call may raise `TargetError`; those marked *offered* also `NotOffered`."""

    async def about(self) -> About:
        """Return name, versions and capabilities."""

    async def greet(self) -> None:
        """Check that mail is accepted, without sending any."""

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        """Hand over a message by SMTP; return the reply to the final dot ("250 2.0.0 queued").

        `recipient` is an address, or several with commas between them.

        `options` stand behind the address in MAIL FROM.

        Raises `InjectionRefusedError` when the target answers anything but a 2xx.
        """

    async def open_session(self) -> MailSession:
        """Open an SMTP session as for an injection, and leave it to the caller."""

    async def queue(self) -> tuple[Held, ...]:
        """Return the messages in the queue. Offered."""

    async def flush(self) -> None:
        """Try everything in the queue now. Offered. Raises `NotNow` while the target is too busy for it.

        Nothing is injected meanwhile, because some targets can only do it by a restart.
        """

    async def restart(self, signal: str) -> None:
        """End the processes with a signal ("TERM" or "KILL"), start them again, return when mail is taken. Offered."""

    async def advance(self, seconds: int) -> None:
        """Move the target's clock forward by so many seconds. Offered."""

    async def reports(self) -> None:
        """Send all TLS-RPT reports that are due, as if the day had ended; return when they have left. Offered."""

    async def logs(self) -> str:
        """Return the log of the mail server. Offered."""

    def ended(self) -> str:
        """Say how the target has ended, without asking it; empty while it has not, and where nobody can know."""

    async def close(self) -> None:
        """End the target and whatever was started for it."""


class InjectionRefusedError(TargetError):
    """The target answered an injected message with a refusal: its reply is the message."""
