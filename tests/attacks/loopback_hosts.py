"""Real hosts on loopback for the attacks to stand in front of, and senders of two kinds: smtplib and raw streams."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from mta_sts_lab.attacks.toolkit.attack import complete
from mta_sts_lab.attacks.toolkit.interpose import Interposer, play_script, show_certificate
from mta_sts_lab.attacks.toolkit.registry import ATTACKS
from mta_sts_lab.events import AnyFact
from mta_sts_lab.model.world import MxHost, PolicyHost
from mta_sts_lab.record import Recorder
from mta_sts_lab.timeouts import ATTACK_SESSION, Deadline
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.network import LoopbackNetwork
from mta_sts_lab.world.path import Path
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.policy_host import PolicyServer, PolicySettings
from mta_sts_lab.world.tls import Certificates

CASE = "a-case"
DOMAIN = "domain.example"
MX_NAME = f"mx1.{DOMAIN}"
POLICY_NAME = f"mta-sts.{DOMAIN}"
TOKEN = "0123456789abcdef"
MESSAGE = f"Subject: hello\r\nX-Lab-Token: {TOKEN}\r\n\r\nlab-token:{TOKEN}\r\n"

#: Making keys takes longer than anything else here.
AUTHORITY = Authority.create()


@dataclass
class LoopbackHosts:
    """One MX host and one policy host, on record."""

    recorder: Recorder = field(default_factory=Recorder)
    network: LoopbackNetwork = field(default_factory=LoopbackNetwork)

    def __post_init__(self) -> None:
        services = HostServices(self.network, self.recorder, Certificates(AUTHORITY))
        self.mx = MxServer(services, CASE, "mx", MX_NAME, ["198.18.0.1"], DOMAIN)
        self.policy_server = PolicyServer(services, CASE, POLICY_NAME, ["198.18.0.2"])

    def attack(self, name: str, deadline: Deadline = ATTACK_SESSION, **parameters: str | int) -> Interposer:
        """Let an attacker stand in front of the MX host."""
        attack = ATTACKS[name]
        path = Interposer(play_script(attack, complete(attack.form, parameters)), self.recorder, AUTHORITY, deadline)
        self.mx.path = path
        return path

    def attack_policy_host(self, certificate: str) -> Interposer:
        """Let an attacker stand in front of the policy host."""
        path = Interposer(show_certificate("swap_policy_certificate", certificate), self.recorder, AUTHORITY)
        self.policy_server.path = path
        return path

    @property
    def mx_at(self) -> tuple[str, int]:
        return self.network.where(self.mx.address, self.mx.port)

    @property
    def policy_at(self) -> tuple[str, int]:
        return self.network.where(self.policy_server.address, self.policy_server.port)

    def facts(self, kind: type[AnyFact]) -> list[AnyFact]:
        """What is on record of one kind."""
        return [event.fact for event in self.recorder.of_case(CASE) if isinstance(event.fact, kind)]

    async def until(self, kind: type[AnyFact], count: int = 1) -> list[AnyFact]:
        """Wait until there are so many facts of one kind."""
        while len(found := self.facts(kind)) < count:
            assert await self.recorder.changed(CASE, 10), (
                f"no {kind.__name__}; on record: {self.recorder.of_case(CASE)}"
            )
        return found


@contextlib.asynccontextmanager
async def loopback_hosts() -> AsyncIterator[LoopbackHosts]:
    """Hosts that listen, and nothing of them left afterwards."""
    before = asyncio.all_tasks()
    here = LoopbackHosts()
    here.mx.arrange(MxHost())
    here.policy_server.arrange(PolicySettings(PolicyHost(), b"version: STSv1\r\n", "id1"))
    try:
        yield here
    finally:
        for host in (here.mx, here.policy_server):
            path: Path = host.path
            if isinstance(path, Interposer):
                await path.close()
            await host.close()
        left = asyncio.all_tasks() - before
        assert not left, f"stray tasks: {left}"


def client_context(verifies: bool, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    """Return the TLS of a sender that verifies, or of one that takes whatever it is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=AUTHORITY.certificate_pem.decode())
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = oldest
    if oldest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def deliver(at: tuple[str, int], context: ssl.SSLContext | None, opportunistic: bool = True) -> bool:
    """Deliver a message with smtplib; return whether it went inside TLS. Raises what smtplib and ssl raise."""
    with smtplib.SMTP(*at, local_hostname="sender.example", timeout=10) as sender:
        # The name that SNI and verification use; smtplib takes it from the address that it was given otherwise.
        sender._host = MX_NAME  # type: ignore[attr-defined]
        sender.ehlo_or_helo_if_needed()
        secured = False
        if context is not None and (sender.has_extn("starttls") or not opportunistic):
            sender.starttls(context=context)
            sender.ehlo()
            secured = True
        sender.sendmail("a@sender.example", [f"c@{DOMAIN}"], MESSAGE)
        return secured


async def deliver_in_thread(here: LoopbackHosts, context: ssl.SSLContext | None, opportunistic: bool = True) -> bool:
    return await asyncio.to_thread(deliver, here.mx_at, context, opportunistic)
