"""The instructions of an attack script: wait, send, start and leave TLS, finish.

A script is a generator of these instructions. It is resumed with the result of each. When it returns, both connections
are closed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar


class Side(StrEnum):
    """One of the two connections: to the target that sends, or to the genuine host that receives."""

    SENDER = "sender"
    RECEIVER = "receiver"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.RECEIVER if self is Side.SENDER else Side.SENDER


@dataclass(frozen=True, slots=True)
class Shown:
    """The TLS server that the attacker plays for the sender.

    `certificate` is the variant he shows, for the genuine host's name. `only_version` is "1.0" or "1.1", or empty for
    whatever the sender likes best. `detail` describes the tampering, which takes effect when the certificate goes out
    or, with `fires_on_answer`, with anything that answers the ClientHello.
    """

    certificate: str
    detail: str
    only_version: str = ""
    fires_on_answer: bool = False


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for octets from either side. The result is `Arrived`."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Octets from a side. No octets: it sends no more."""

    side: Side
    octets: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send octets to a side."""

    side: Side
    octets: bytes


@dataclass(frozen=True, slots=True)
class SecureSender:
    """End the sender's TLS here. `leftover` is what it has sent already.

    Answered with whether the handshake was finished. If not, the connection is in clear as before, and still open; the
    script is not resumed if the sender has left it.
    """

    shown: Shown
    leftover: bytes


@dataclass(frozen=True, slots=True)
class SecureReceiver:
    """Start TLS with the receiver. `leftover` is what it has sent already."""

    leftover: bytes


@dataclass(frozen=True, slots=True)
class LeaveTls:
    """Go on in clear with a sender that has ended its TLS. Both sides are in clear from here on."""


@dataclass(frozen=True, slots=True)
class FinishSending:
    """Send the end of the stream to a side, and go on receiving from it."""

    side: Side


Instruction: TypeAlias = Receive | Send | SecureSender | SecureReceiver | LeaveTls | FinishSending
_Result = TypeVar("_Result")

#: A piece of a script. What an instruction is answered with depends on the instruction, hence `Any`.
Steps: TypeAlias = Generator[Instruction, Any, _Result]
Script: TypeAlias = Steps[None]
