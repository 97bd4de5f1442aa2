"""Begins and ends the attacks of a step: interposes on paths, and forges DNS answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from mta_sts_lab.attacks.toolkit.attack import (
    FAMILY,
    HOST,
    Block,
    DnsAttack,
    DnsContext,
    HttpsAttack,
    Parameters,
    SmtpAttack,
    complete,
)
from mta_sts_lab.attacks.toolkit.registry import ATTACKS
from mta_sts_lab.attacks.toolkit.session import fire_once
from mta_sts_lab.events import AttackFired, ConnectionDenied, DeadlinePassed
from mta_sts_lab.model.case import AttackUse
from mta_sts_lab.model.world import Family
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import ATTACK_SESSION, STALL, Deadline
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.host import AcceptingHost
from mta_sts_lab.world.network import family_of, reset
from mta_sts_lab.world.path import Accepted, Host, Path, StraightPath
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.zone import Answer, Question, Tamper


class ConflictingAttacks(ValueError):
    """Two attacks of a step act on the same path. The message names them."""


class UnknownHost(ValueError):
    """An attack on an MX host that the case does not have."""


class Interposed(Path, Protocol):
    """A path that holds live sessions of its own."""

    async def close(self) -> None:
        """End them all, and return when nothing is left of them."""


_BLOCKED = {
    "reset": "accepted the connection and broke it with a reset",
    "stall": "accepted the connection and says nothing",
}


class BlockedPath:
    """Blocks a host: `how` is refuse, reset or stall.

    With `refuse` the host does not listen, and no connection ever comes here.
    """

    def __init__(self, attack: str, how: str, recorder: Recorder, deadline: Deadline = STALL) -> None:
        self.refuses = how == "refuse"
        self._attack = attack
        self._how = how
        self._recorder = recorder
        self._deadline = deadline
        self._released = asyncio.Event()
        self._held: set[asyncio.Future[None]] = set()

    async def take(self, accepted: Accepted, host: Host) -> None:
        """See `mta_sts_lab.world.path.Path`."""
        if self._how == "reset" or self.refuses:
            # A connection that was on its way when the host stopped listening is no exception to its refusal.
            self._deny(accepted, "reset")
            reset(accepted.sock)
            return
        self._deny(accepted, "stalled")
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.add(over)
        try:
            async with asyncio.timeout(self._deadline.seconds):
                await self._released.wait()
        except TimeoutError:
            name, seconds = self._deadline.name, self._deadline.seconds
            waited_for = f"the end of the step that stalls {accepted.host}"
            self._recorder.write(DeadlinePassed(deadline=name, seconds=seconds, waited_for=waited_for), accepted.case)
        finally:
            reset(accepted.sock)
            self._held.discard(over)
            over.set_result(None)

    def _deny(self, accepted: Accepted, how: str) -> None:
        self._recorder.write(
            ConnectionDenied(
                session=accepted.session,
                role=accepted.role,
                host=accepted.host,
                address=accepted.address,
                port=accepted.port,
                how=how,
            ),
            accepted.case,
        )
        detail = _BLOCKED["stall" if how == "stalled" else how]
        fact = AttackFired(attack=self._attack, channel="https", detail=detail, session=accepted.session)
        self._recorder.write(fact, accepted.case)

    async def close(self) -> None:
        """Let go of what is stalled."""
        self._released.set()
        if self._held:
            await asyncio.wait(set(self._held))


class OneFamilyPath:
    """A path to the address of one family; all other addresses lead straight to the host."""

    refuses = False

    def __init__(self, family: Family, path: Interposed) -> None:
        self._family = family
        self._path = path

    async def take(self, accepted: Accepted, host: Host) -> None:
        """See `mta_sts_lab.world.path.Path`."""
        if family_of(accepted.address) is self._family:
            await self._path.take(accepted, host)
        else:
            await host.serve(accepted)

    async def close(self) -> None:
        """See `Interposed`."""
        await self._path.close()


def load_mitmproxy() -> None:
    """Import what stands in the path of an attacked session. Without it the first such session waits for 0.3 s."""
    import mta_sts_lab.attacks.toolkit.interpose  # noqa: F401 - most of what the program does needs none of it


@dataclass(slots=True)
class _Positions:
    """The active attacks of one case."""

    hosts: list[AcceptingHost] = field(default_factory=list)
    paths: list[Interposed] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    tampers: list[Tamper] = field(default_factory=list)


class AttackController:
    """The attacks of a run, case by case."""

    def __init__(self, recorder: Recorder, authority: Authority, deadline: Deadline = ATTACK_SESSION) -> None:
        self._recorder = recorder
        self._authority = authority
        self._deadline = deadline
        self._positions: dict[str, _Positions] = {}

    async def begin(self, world: CaseWorld, attacks: Sequence[AttackUse]) -> None:
        """Begin a step's attacks; those of an earlier step are ended first.

        Attacks on DNS are applied in the order given, each to the answer of the one before. Raises
        `ConflictingAttacks`, `UnknownHost`, `attack.UnknownParameter` and `KeyError` (an attack that is not
        registered), and then no attack is active.
        """
        await self.end(world)
        positions = _Positions()
        self._positions[world.case] = positions
        try:
            for use in attacks:
                await self._place(world, use, positions)
        except BaseException:
            await self.end(world)
            raise
        if positions.tampers:
            world.set_tamper(_one_after_the_other(positions.tampers))

    async def end(self, world: CaseWorld) -> None:
        """End every attack of the case and its live sessions."""
        positions = self._positions.pop(world.case, None)
        if positions is None:
            return
        if positions.tampers:
            world.set_tamper(None)
        for host in positions.hosts:
            host.path = StraightPath()
        await asyncio.gather(*(path.close() for path in positions.paths))

    async def close(self) -> None:
        """End the live sessions of every case, when a run ends before its steps do."""
        left, self._positions = self._positions, {}
        for positions in left.values():
            await asyncio.gather(*(path.close() for path in positions.paths))

    async def _place(self, world: CaseWorld, use: AttackUse, positions: _Positions) -> None:
        attack = ATTACKS[use.name]
        parameters = complete(attack.form, use.parameters)
        match attack:
            case SmtpAttack():
                for host in _attacked(world, use):
                    path = self._man_in_the_middle(attack, parameters)
                    if FAMILY in use.parameters:
                        path = OneFamilyPath(Family(str(use.parameters[FAMILY])), path)
                    self._stand(host, use.name, path, positions)
            case DnsAttack():
                attacker_mx = (await world.attacker_mx()).name if attack.needs_attacker_mx else ""
                attacked = DnsContext(world.domain, parameters, attacker_mx, world.zone.honest)
                positions.tampers.append(self._forger(world, attack, attacked))
            case HttpsAttack():
                self._stand(world.policy_server, use.name, self._at_the_policy_host(attack, parameters), positions)
                if attack.tampering(parameters) == Block("refuse"):
                    positions.tampers.append(self._refusal_watcher(world, use.name))

    def _stand(self, host: AcceptingHost, attack: str, path: Interposed, positions: _Positions) -> None:
        if host.name in positions.taken:
            raise ConflictingAttacks(f"{attack} and {positions.taken[host.name]} both stand in front of {host.name}")
        positions.taken[host.name] = attack
        positions.hosts.append(host)
        positions.paths.append(path)
        host.path = path

    def _man_in_the_middle(self, attack: SmtpAttack, parameters: Parameters) -> Interposed:
        # Here and below: mitmproxy takes 0.2 s to import, and most of what the program does needs none of it.
        from mta_sts_lab.attacks.toolkit.interpose import Interposer, play_script

        return Interposer(play_script(attack, parameters), self._recorder, self._authority, self._deadline)

    def _at_the_policy_host(self, attack: HttpsAttack, parameters: Parameters) -> Interposed:
        tampering = attack.tampering(parameters)
        if isinstance(tampering, Block):
            return BlockedPath(attack.form.name, tampering.how, self._recorder)
        from mta_sts_lab.attacks.toolkit.interpose import Interposer, show_certificate

        begin = show_certificate(attack.form.name, tampering.certificate)
        return Interposer(begin, self._recorder, self._authority, self._deadline)

    def _forger(self, world: CaseWorld, attack: DnsAttack, attacked: DnsContext) -> Tamper:
        fire = fire_once(partial(self._recorder.write, case=world.case), attack.form.name, "dns")

        def tamper(question: Question, answer: Answer) -> Answer:
            forged = attack.tamper(attacked, question, answer)
            if forged.content == answer.content:
                return answer
            fire(attack.detail(attacked))
            return replace(forged, tampered_by=attack.form.name)

        return tamper

    def _refusal_watcher(self, world: CaseWorld, attack: str) -> Tamper:
        """A connection that the kernel refuses leaves no trace, so the question for the host's address has to do."""
        host = world.policy_server.name
        fire = fire_once(partial(self._recorder.write, case=world.case), attack, "https")

        def watch(question: Question, answer: Answer) -> Answer:
            if question.name == host and any(record.type in ("A", "AAAA") for record in answer.records):
                fire(f"gave out the address of {host}, where port 443 now refuses every connection")
            return answer

        return watch


def _attacked(world: CaseWorld, use: AttackUse) -> Sequence[AcceptingHost]:
    """Return the MX hosts that an attack on SMTP stands in front of. Raises `UnknownHost`."""
    if HOST not in use.parameters:
        return world.mx
    relative = str(use.parameters[HOST])
    name = f"{relative}.{world.domain}" if relative else world.domain
    found = [host for host in world.mx if host.name == name]
    if not found:
        known = ", ".join(host.name for host in world.mx)
        raise UnknownHost(f"{use.name} on {name}, but the case's MX hosts are {known}")
    return found


def _one_after_the_other(tampers: Sequence[Tamper]) -> Tamper:
    def tamper(question: Question, answer: Answer) -> Answer:
        for each in tampers:
            answer = each(question, answer)
        return answer

    return tamper
