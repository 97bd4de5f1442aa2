"""The world of one case: its hosts, its policy host, and what its domain publishes in the step that is played."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from mta_sts_lab.model.case import Case, Message, Mode
from mta_sts_lab.model.target import DNSSEC, IPV6
from mta_sts_lab.model.world import WITH_REVOCATION_LIST, Family, MxHost, Policy, World
from mta_sts_lab.rfc.domain_names import absolute, policy_host_name, policy_record_name
from mta_sts_lab.rfc.published import (
    BEHIND,
    BESIDE,
    ReportPlaces,
    policy_body,
    policy_id,
    served_policy,
)
from mta_sts_lab.world.dane import security_of, tlsa_records
from mta_sts_lab.world.host import AcceptingHost, HostServices
from mta_sts_lab.world.host_records import host_records, published_addresses
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.network import SENDER_DOMAIN, family_of
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.policy_host import OtherPolicyServer, PolicyServer, PolicySettings, redirect_host
from mta_sts_lab.world.receiving_session import Delivery
from mta_sts_lab.world.report_sink import ReportInbox, ReportServer
from mta_sts_lab.world.revocation_host import RevocationHost
from mta_sts_lab.world.revocation_lists import list_host
from mta_sts_lab.world.signing import SignedZone, Signing
from mta_sts_lab.world.zone import (
    Record,
    Tamper,
    address_records,
    place_records,
    policy_records,
    report_records,
)


class Shared(Protocol):
    """What all cases of a run share, as far as the world of one needs it."""

    authority: Authority
    zone: SignedZone
    services: HostServices
    inbox: ReportInbox
    reports: ReportServer

    def next_addresses(self, *, both: bool = False) -> tuple[str, ...]:
        """Return addresses that nobody has, with `both` of both families."""

    def fresh_domain(self) -> str:
        """Return a domain that nobody has."""


class CaseWorld:
    """What one case's domain runs and publishes now."""

    def __init__(self, shared: Shared, case: Case, domain: str) -> None:
        """Prefer `Internet.add_case`."""
        #: The id of the case.
        self.case = case.id
        self.mode = case.mode
        #: Whether reports are wanted in the case at all.
        self.wants_reports = case.is_about_reports
        self.domain = domain
        self._has_neighbour = any(step.message.beside or step.message.also_beside for step in case.steps)
        self.zone = shared.zone
        #: The MX hosts of the current step, in the order of the scenario.
        self.mx: list[MxServer] = []
        #: What the domain publishes in the current step.
        self.published: tuple[Record, ...] = ()
        self._shared = shared
        self._in_both = IPV6 in case.needs
        self._is_signed = DNSSEC in case.needs
        self._addresses = self._next_addresses()
        self._hosts: dict[str, MxServer] = {}
        self._attacker: MxServer | None = None
        self._return: MxServer | None = None
        #: Has the lists of revoked certificates, once a host's certificate names one.
        self.revocation_host: RevocationHost | None = None
        self.policy_server = PolicyServer(shared.services, case.id, policy_host_name(domain), self._addresses)
        self.zone.publish(domain, (), case.id)
        #: The policy hosts of domains whose policies are none of the case's, by domain.
        self._others: dict[str, OtherPolicyServer] = {}
        if case.steps and self.mode.has_policy:
            self._publish_other_policies(case.steps[0].world)
        self._places = ReportPlaces(domain)
        #: What the domain of its places for reports publishes.
        self.places = place_records(self._places, shared.reports.addresses)
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
        self._shared.inbox.arrange(self.case, world.reports)
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
            domain = self._shared.fresh_domain()
            name, addresses = f"mx.{domain}", self._next_addresses()
            self._attacker = MxServer(self._shared.services, self.case, "attacker-mx", name, addresses)
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
        server = OtherPolicyServer(self._shared.services, self.case, role, name, addresses, body)
        record = Record(policy_record_name(domain), "TXT", f"v=STSv1; id={policy_id(Policy(), domain)};")
        self.zone.publish(domain, [record, *address_records(name, addresses)], self.case)
        server.reachable = True
        self._others[domain] = server

    def _next_addresses(self) -> tuple[str, ...]:
        return self._shared.next_addresses(both=self._in_both)

    def _host(self, mx: MxHost) -> MxServer:
        if mx.name not in self._hosts:
            # The first one shares its address with the policy host: one address a case spares the host's ARP table.
            addresses = self._next_addresses() if self._hosts else self._addresses
            self._hosts[mx.name] = MxServer(
                self._shared.services, self.case, "mx", absolute(mx.name, self.domain), addresses, domain=self.domain
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
                self._shared.services, self.case, "sender-mx", f"mx.{domain}", self._shared.next_addresses(), domain
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
                services, name = self._shared.services, f"crl.{self.domain}"
                self.revocation_host = RevocationHost(services, self.case, name, self._next_addresses())
                self.revocation_host.reachable = True
            yield from address_records(list_host(host), self.revocation_host.addresses)

    def _take_own_report(self, delivery: Delivery, accepted: Accepted) -> None:
        self._shared.inbox.take_mail(delivery, accepted, 250)

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
                yield from tlsa_records(mx, self.domain, self._shared.authority)
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
