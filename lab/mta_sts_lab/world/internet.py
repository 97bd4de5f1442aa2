"""The whole fake Internet of a run: a name server, the sender's domain, a report host, and a small world for each case.

Every case has a domain and addresses of its own, so that caches, connection reuse and back-off of the target cannot
leak from one case to another.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from mta_sts_lab.events import CaseBegan, Event, MessageInjected
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.target import DNSSEC
from mta_sts_lab.model.world import Family, MxHost, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.domain_names import a_labels, canonical, is_within
from mta_sts_lab.rfc.published import (
    LAB_DOMAIN,
    REPORT_HOST,
    REPORT_MX,
)
from mta_sts_lab.world.address_pool import PREFIXES, AddressPool
from mta_sts_lab.world.case_world import CaseWorld
from mta_sts_lab.world.dns import DnsServer
from mta_sts_lab.world.host import HostServices
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.network import SENDER_DOMAIN, Network
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.report_sink import ReportInbox, ReportMx, ReportServer
from mta_sts_lab.world.signing import SIGNED_ZONE, SignedZone
from mta_sts_lab.world.tls import Certificates
from mta_sts_lab.world.zone import (
    Record,
    address_records,
)

#: The domain above those of cases (RFC 2606, section 2).
TOP = "example"

#: What the name of an internationalised domain begins with.
_UMLAUT = "b\u00fcro"


class Internet:
    """See the module. Everything runs in the event loop in which it was opened."""

    sender_domain = SENDER_DOMAIN

    def __init__(
        self,
        network: Network,
        authority: Authority,
        recorder: Recorder,
        addresses: AddressPool,
        seed: int,
        families: Sequence[Family],
    ) -> None:
        """Prefer `open`."""
        self.network = network
        self.authority = authority
        self.recorder = recorder
        self.zone = SignedZone(authority.private_key_pem)
        self.services = HostServices(network, recorder, Certificates(authority))
        self._addresses = addresses
        self._families = tuple(families)
        self._chance = random.Random(seed)  # noqa: S311 - a run must be repeatable; the names are no secrets
        self._names: set[str] = set()
        self._cases: dict[str, CaseWorld] = {}
        self._case_of_token: dict[str, str] = {}
        self.dns_address = addresses.next_in(Family.IPV4)
        self.dns = DnsServer(network, self.zone, recorder, self.dns_address)
        self.sender_mx = MxServer(
            self.services, "", "sender-mx", f"mx.{SENDER_DOMAIN}", self.next_addresses(), domain=SENDER_DOMAIN
        )
        self.sender_mx.case_of_bounce = self._case_of_bounce
        self.inbox = ReportInbox(recorder, self.zone.case_of)
        self.reports = ReportServer(self.services, REPORT_HOST, self.next_addresses(), self.inbox)
        self.report_mx = ReportMx(self.services, REPORT_MX, self.reports.addresses, self.inbox)

    @classmethod
    async def open(
        cls,
        network: Network,
        authority: Authority,
        recorder: Recorder,
        prefixes: Mapping[Family, str] = PREFIXES,
        seed: int = 0,
        families: Sequence[Family] = (Family.IPV4,),
    ) -> Internet:
        """Start the name server, the sender's MX and the report host; cases come with `add_case`.

        Hosts get addresses of the `prefixes`, one after the other, in each of the `families`; those of a case that
        needs it, in both. The name server gets the first IPv4 address, whatever the families: there the target is told
        to ask. The seed decides the domains' names. Raises `AddressInUse`.
        """
        internet = cls(network, authority, recorder, AddressPool(prefixes), seed, families)
        try:
            await internet._start()
        except BaseException:
            await internet.close()
            raise
        return internet

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_loop_error)
        self.recorder.listen(self._remember_token)
        self.publish_keys({})
        self.zone.publish(
            LAB_DOMAIN,
            [
                Record(f"ns.{LAB_DOMAIN}", "A", self.dns_address),
                *address_records(REPORT_HOST, self.reports.addresses),
                *address_records(REPORT_MX, self.report_mx.addresses),
            ],
        )
        await self.dns.open()
        self.sender_mx.arrange(MxHost())
        self.reports.reachable = True
        self.report_mx.arrange(MxHost())

    def publish_keys(self, records: Mapping[str, str]) -> None:
        """Publish the sender's domain, with the DKIM key records that its report mail needs (RFC 6376, section 3.6.1).

        A name outside of that domain is nobody's here, and stays unpublished.
        """
        mx = self.sender_mx
        keys = [
            Record(name, "TXT", text) for name, text in records.items() if is_within(canonical(name), SENDER_DOMAIN)
        ]
        addresses = address_records(mx.name, mx.addresses)
        self.zone.publish(SENDER_DOMAIN, [Record(SENDER_DOMAIN, "MX", f"10 {mx.name}"), *addresses, *keys])

    async def add_case(self, case: Case, control_only: bool = False) -> CaseWorld:
        """Build the world of a case's first step, under a fresh domain. Raises `NoAddressLeft`."""
        first = case.steps[0].world if case.steps else World()
        parent = SIGNED_ZONE if DNSSEC in case.needs else TOP
        domain = self.fresh_domain(parent, internationalised=first.internationalised)
        if first.parent_policy:
            # The first label is in the names of the places for reports.
            domain = f"{domain.partition('.')[0]}.{self.fresh_domain()}"
        world = CaseWorld(self, case, domain)
        self._cases[case.id] = world
        self.recorder.write(CaseBegan(domain=world.domain, mode=case.mode.value, control_only=control_only), case.id)
        if case.steps:
            await world.arrange(case.steps[0].world)
        return world

    def world_of(self, case: str) -> CaseWorld | None:
        """Return the world of a case that is up."""
        return self._cases.get(case)

    async def remove_case(self, world: CaseWorld) -> None:
        """Take a case's world down: its hosts, its sessions and its names."""
        self._cases.pop(world.case, None)
        await world.close()

    async def close(self) -> None:
        """Take everything down."""
        # Side by side: with a target that has vanished each host waits for its own connections to be given up.
        await asyncio.gather(*(self.remove_case(world) for world in list(self._cases.values())))
        await self.sender_mx.close()
        await self.reports.close()
        await self.report_mx.close()
        await self.dns.close()
        loop = asyncio.get_running_loop()
        if loop.get_exception_handler() == self._on_loop_error:
            loop.set_exception_handler(None)

    def next_addresses(self, *, both: bool = False) -> tuple[str, ...]:
        """Return addresses that nothing else of the run has: of each family of the run, or of both.

        Raises `NoAddressLeft`.
        """
        return self._addresses.next(Family if both else self._families)

    def fresh_domain(self, parent: str = TOP, *, internationalised: bool = False) -> str:
        """Return a random domain below a parent that nothing else of the run has, in A-labels."""
        while (label := f"{self._chance.getrandbits(48):012x}") in self._names:
            pass
        self._names.add(label)
        return a_labels(f"{_UMLAUT}-{label}.{parent}" if internationalised else f"{label}.{parent}")

    def _remember_token(self, event: Event) -> None:
        if isinstance(event.fact, MessageInjected):
            self._case_of_token[event.fact.token] = event.case

    def _case_of_bounce(self, recipient: str, token: str) -> str:
        # A bounce may come before the target's reply to the injection is on record, and one may name no recipient.
        return self.zone.case_of(recipient.rpartition("@")[2]) or self._case_of_token.get(token, "")

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback belongs to nobody who could catch it: it is the lab's all the same."""
        error = context.get("exception") or RuntimeError(context["message"])
        self.recorder.lab_failed(f"event loop: {context['message']}", error)
