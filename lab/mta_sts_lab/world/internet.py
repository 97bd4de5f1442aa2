"""The whole fake Internet of a run: a name server, the sender's domain, a report host, and a small world for each case.

Every case has a domain and addresses of its own, so that caches, connection reuse and back-off of the target cannot
leak from one case to another.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mta_sts_lab.events import CaseBegan, Event, MessageInjected
from mta_sts_lab.model.case import Case, Message, Mode
from mta_sts_lab.model.target import DNSSEC, IPV6
from mta_sts_lab.model.world import WITH_REVOCATION_LIST, Family, MxHost, Policy, World
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.domain_names import a_labels, absolute, canonical, is_within, policy_host_name, policy_record_name
from mta_sts_lab.rfc.published import (
    BEHIND,
    BESIDE,
    LAB_DOMAIN,
    REPORT_HOST,
    REPORT_MX,
    ReportPlaces,
    policy_body,
    policy_id,
    served_policy,
)
from mta_sts_lab.world.address_pool import PREFIXES, AddressPool
from mta_sts_lab.world.dane import security_of, tlsa_records
from mta_sts_lab.world.dns import DnsServer
from mta_sts_lab.world.host import AcceptingHost, HostServices
from mta_sts_lab.world.host_records import host_records, published_addresses
from mta_sts_lab.world.mail_host import Delivery, MxServer
from mta_sts_lab.world.network import SENDER_DOMAIN, Network, family_of
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.policy_host import OtherPolicyServer, PolicyServer, PolicySettings, redirect_host
from mta_sts_lab.world.report_sink import ReportInbox, ReportMx, ReportServer
from mta_sts_lab.world.revocation_host import RevocationHost
from mta_sts_lab.world.revocation_lists import list_host
from mta_sts_lab.world.signing import SIGNED_ZONE, SignedZone, Signing
from mta_sts_lab.world.tls import Certificates
from mta_sts_lab.world.zone import (
    Record,
    Tamper,
    address_records,
    place_records,
    policy_records,
    report_records,
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


class CaseWorld:
    """What one case's domain runs and publishes now."""

    def __init__(self, internet: Internet, case: Case, domain: str) -> None:
        """Prefer `Internet.add_case`."""
        #: The id of the case.
        self.case = case.id
        self.mode = case.mode
        #: Whether reports are wanted in the case at all.
        self.wants_reports = case.is_about_reports
        self.domain = domain
        self._has_neighbour = any(step.message.beside or step.message.also_beside for step in case.steps)
        self.zone = internet.zone
        #: The MX hosts of the current step, in the order of the scenario.
        self.mx: list[MxServer] = []
        #: What the domain publishes in the current step.
        self.published: tuple[Record, ...] = ()
        self._internet = internet
        self._in_both = IPV6 in case.needs
        self._is_signed = DNSSEC in case.needs
        self._addresses = self._next_addresses()
        self._hosts: dict[str, MxServer] = {}
        self._attacker: MxServer | None = None
        self._return: MxServer | None = None
        #: Has the lists of revoked certificates, once a host's certificate names one.
        self.revocation_host: RevocationHost | None = None
        self.policy_server = PolicyServer(internet.services, case.id, policy_host_name(domain), self._addresses)
        self.zone.publish(domain, (), case.id)
        #: The policy hosts of domains whose policies are none of the case's, by domain.
        self._others: dict[str, OtherPolicyServer] = {}
        if case.steps and self.mode.has_policy:
            self._publish_other_policies(case.steps[0].world)
        self._places = ReportPlaces(domain)
        #: What the domain of its places for reports publishes.
        self.places = place_records(self._places, internet.reports.addresses)
        self.zone.publish(self._places.mail_domain, self.places, case.id)

    async def arrange(self, world: World) -> None:
        """Move on to a step's world. Hosts keep their addresses, and what does not differ stays as it is.

        The policy's body changes before the TXT record does (RFC 8461, section 8.1).
        """
        self.mx = [self._host(mx) for mx in world.mx]
        for host in self._hosts.values():
            if host not in self.mx:
                host.reachable = False
        if not self.mode.has_policy:
            self.policy_server.reachable = self.policy_server.plain.reachable = False
        else:
            self.policy_server.arrange(self._policy_settings(world))
        self._arrange_return(world.return_host)
        self._internet.inbox.arrange(self.case, world.reports)
        security = None if self.mode is Mode.ABSENT else security_of(world, self.domain)
        self.published = tuple(self._records(world))
        self.zone.publish(self.domain, self.published, self.case, security)
        if self._is_signed:
            chained = security is not None and security.domain != "insecure"
            self.zone.sign(self.domain, Signing(chained or world.dns.island, chained))
        for mx, host in zip(world.mx, self.mx, strict=True):
            if mx.by_address:  # so that what is asked of an address as if it were a name is on record of the case
                self.zone.publish(host.addresses[0], (), self.case)

    async def end_sessions(self) -> None:
        """End every session with the case's hosts, so that none of them outlives the step that it began in.

        A sender may keep a connection for its next message, and would then never meet what the next step is about.
        """
        others = filter(None, [self._attacker, self._return, self.revocation_host])
        hosts = (*self._hosts.values(), self.policy_server, *others)
        await asyncio.gather(*(host.end_sessions() for host in hosts))

    def set_tamper(self, tamper: Tamper | None) -> None:
        """Put an attack on every answer about the case's domain, or take it away."""
        self.zone.tamper(self.domain, tamper)

    async def attacker_mx(self) -> MxServer:
        """Return an MX host that belongs to the attacker, always the same one.

        It has a domain of its own, a certificate that is valid for its name there, and takes mail for everybody.
        """
        if self._attacker is None:
            domain = self._internet.fresh_domain()
            name, addresses = f"mx.{domain}", self._next_addresses()
            self._attacker = MxServer(self._internet.services, self.case, "attacker-mx", name, addresses)
            self.zone.publish(domain, address_records(name, addresses), self.case)
            self._attacker.arrange(MxHost())
        return self._attacker

    async def close(self) -> None:
        """Take the world down; `Internet.remove_case` does it."""
        self.zone.withdraw(self.domain)
        self.zone.withdraw(self._places.mail_domain)
        for host in self._hosts.values():
            self.zone.withdraw(host.addresses[0])
        others = filter(None, [self._return, self.revocation_host])
        hosts: list[AcceptingHost] = [*self._hosts.values(), self.policy_server, *others]
        for domain, server in self._others.items():
            self.zone.withdraw(domain)
            hosts.append(server)
        if self._attacker is not None:
            self.zone.withdraw(self._attacker.name.partition(".")[2])
            hosts.append(self._attacker)
        await asyncio.gather(*(host.close() for host in hosts))

    def _publish_other_policies(self, world: World) -> None:
        if world.parent_policy:
            self._publish_other_policy("parent-policy-host", self.domain.partition(".")[2], Mode.ENFORCE.value)
        if world.recipient_policy:
            self._publish_other_policy("recipient-policy-host", f"{BEHIND}.{self.domain}", world.recipient_policy)

    def _publish_other_policy(self, role: str, domain: str, mode: str) -> None:
        """Publish a domain with a policy of its own, which lists none of the case's hosts."""
        name, addresses = policy_host_name(domain), self._next_addresses()
        body = policy_body(Policy(), mode, [f"mx.{domain}"])
        server = OtherPolicyServer(self._internet.services, self.case, role, name, addresses, body)
        record = Record(policy_record_name(domain), "TXT", f"v=STSv1; id={policy_id(Policy(), domain)};")
        self.zone.publish(domain, [record, *address_records(name, addresses)], self.case)
        server.reachable = True
        self._others[domain] = server

    def _next_addresses(self) -> tuple[str, ...]:
        return self._internet.next_addresses(both=self._in_both)

    def _host(self, mx: MxHost) -> MxServer:
        if mx.name not in self._hosts:
            # The first one shares its address with the policy host: one address a case spares the host's ARP table.
            addresses = self._next_addresses() if self._hosts else self._addresses
            self._hosts[mx.name] = MxServer(
                self._internet.services, self.case, "mx", absolute(mx.name, self.domain), addresses, domain=self.domain
            )
            self._hosts[mx.name].on_report = self._take_own_report
        self._hosts[mx.name].arrange(mx)
        return self._hosts[mx.name]

    @property
    def sender_domain(self) -> str:
        """The domain that the case's messages come from."""
        return f"back.{self.domain}" if self._return is not None else SENDER_DOMAIN

    def recipient_domain(self, message: Message) -> str:
        """Return what stands behind the `@` of a message's recipient."""
        if message.to == "address":
            address = self.mx[0].address
            return f"[{address}]" if family_of(address) is Family.IPV4 else f"[IPv6:{address}]"
        if message.to == "in-capitals":
            return self.domain.upper()
        return f"{BEHIND}.{self.domain}" if message.to == "behind-smart-host" else self.domain

    def _arrange_return(self, settings: MxHost | None) -> None:
        """Have a host for the bounces of the case's messages, if it wants one of its own."""
        if settings is None:
            self._return = None
            return
        if self._return is None:
            domain = f"back.{self.domain}"
            self._return = MxServer(
                self._internet.services, self.case, "sender-mx", f"mx.{domain}", self._internet.next_addresses(), domain
            )
            self._return.case_of_bounce = lambda recipient, token: self.case
        self._return.arrange(settings)

    def _list_records(self, world: World) -> Iterator[Record]:
        """Yield where the lists of revoked certificates are had that those of the hosts name; there they are served."""
        shown = [(mx.certificate, host.name) for mx, host in zip(world.mx, self.mx, strict=True)]
        if self.mode.has_policy:
            shown.append((world.policy_host.certificate, self.policy_server.name))
        for host in (name for variant, name in shown if variant in WITH_REVOCATION_LIST):
            if self.revocation_host is None:
                services, name = self._internet.services, f"crl.{self.domain}"
                self.revocation_host = RevocationHost(services, self.case, name, self._next_addresses())
                self.revocation_host.reachable = True
            yield from address_records(list_host(host), self.revocation_host.addresses)

    def _take_own_report(self, delivery: Delivery, accepted: Accepted) -> None:
        self._internet.inbox.take_mail(delivery, accepted, 250)

    def _policy_settings(self, world: World) -> PolicySettings:
        body = served_policy(world, self.mode.value, self.domain)
        return PolicySettings(world.policy_host, body, policy_id(world.policy, self.domain))

    def _mx_records(self, world: World) -> Iterator[Record]:
        names = [absolute(world.dns.alias_of, self.domain)]
        if self._has_neighbour:
            names.append(f"{BESIDE}.{self.domain}")
        for mx, host in zip(world.mx, self.mx, strict=True):
            if mx.mx_record:
                exchange = host.addresses[0] if mx.by_address else host.name
                yield from (Record(name, "MX", f"{mx.preference} {exchange}") for name in names)

    def _records(self, world: World) -> Iterator[Record]:
        yield from self._mx_records(world)
        if world.dns.alias_of:
            yield Record(self.domain, "CNAME", absolute(world.dns.alias_of, self.domain))
        yield from host_records(world.mx, self.mx, self._hosts.values(), self.domain)
        yield from self._list_records(world)
        if self._return is not None:
            yield Record(self._return.domain, "MX", f"10 {self._return.name}")
            yield from address_records(self._return.name, published_addresses(self._return))
        if self.wants_reports:
            # Of the others nobody reads one, and a reporter takes its time for each: Postfix's was seen to take 0.1 s.
            yield from report_records(self.domain, world.reports, [host.name for host in self.mx])
        if self.mode is not Mode.ABSENT:
            for mx in world.mx:
                yield from tlsa_records(mx, self.domain, self._internet.authority)
        if not self.mode.has_policy:
            return
        yield from policy_records(self.domain, world.dns, policy_id(world.policy, self.domain))
        name = self.policy_server.name
        if world.policy_host.alias_of:
            name = absolute(world.policy_host.alias_of, self.domain)
            yield Record(self.policy_server.name, "CNAME", name)
        yield from address_records(name, self.policy_server.addresses)
        if elsewhere := redirect_host(world.policy_host.location, self.domain):
            yield from address_records(elsewhere, self.policy_server.addresses)
