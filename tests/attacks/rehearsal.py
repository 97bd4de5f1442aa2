"""A script played without sockets: for tests, and for whoever writes an attack.

TLS is transparent here: an instruction to start it succeeds at once and shows up in `done`, with the octets of the
handshake that were read too far.
"""

from __future__ import annotations

from collections.abc import Callable

from mta_sts_lab.attacks.toolkit.instructions import Arrived, Instruction, Receive, Script, SecureSender, Send, Side
from mta_sts_lab.attacks.toolkit.session import Session
from mta_sts_lab.events import AnyFact


class Rehearsal:
    """Plays a script and keeps everything that it did.

    `said` is what each side was told so far, `facts` what was recorded, `done` every instruction but `Receive`, `over`
    whether the script has returned.
    """

    def __init__(self, attack: str, play: Callable[[Session], Script]) -> None:
        self.facts: list[AnyFact] = []
        self.done: list[Instruction] = []
        self.said: dict[Side, bytes] = dict.fromkeys(Side, b"")
        self.over = False
        self.session = Session(attack, "session", "mx1.domain.example", self.facts.append)
        self._script = self.session.whole(play(self.session))
        self._advance(None)

    def hear(self, side: Side, octets: bytes) -> None:
        """Let octets arrive from a side."""
        if octets:
            self._arrive(Arrived(side, octets))

    def end(self, side: Side) -> None:
        """Let a side send no more."""
        self._arrive(Arrived(side, b""))

    def _arrive(self, arrived: Arrived) -> None:
        if not self.over:
            self._advance(arrived)

    def _advance(self, answer: Arrived | bool | None) -> None:
        try:
            while True:
                instruction = self._script.send(answer)
                answer = True if isinstance(instruction, SecureSender) else None
                if isinstance(instruction, Receive):
                    return
                self.done.append(instruction)
                if isinstance(instruction, Send):
                    self.said[instruction.side] += instruction.octets
        except StopIteration:
            self.over = True
