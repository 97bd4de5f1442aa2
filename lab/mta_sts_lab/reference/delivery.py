"""The delivery of one message: policy, MX hosts in order, and what each mode allows (RFC 8461, sections 4 and 5)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from mta_sts_lab.reference.address_delivery import AddressDelivery
from mta_sts_lab.reference.bounce import redacted
from mta_sts_lab.reference.dane import Tlsa
from mta_sts_lab.reference.dane_delivery import Dane, FoundDane
from mta_sts_lab.reference.discovery import Discovered, Discovery
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.policy import Policy
from mta_sts_lab.reference.report_counts import NO_POLICY, AppliedPolicy, ReportCounts, SessionTally, applied
from mta_sts_lab.reference.report_record import ReportRecords
from mta_sts_lab.reference.resolver import Found, LookupFailure, Resolver
from mta_sts_lab.reference.result import Deferred, Delivered, Failed, Result, Unused
from mta_sts_lab.reference.routing import (
    NO_ADDRESS,
    Addresses,
    NoRoute,
    Route,
    find_addresses,
    find_route,
    literal_address,
    next_hop,
    recipient_domain,
)
from mta_sts_lab.reference.session import (
    REQUIRETLS,
    Destination,
    Sessions,
    Unreachable,
)
from mta_sts_lab.reference.smtp_client import Envelope


@dataclass(eq=False, repr=False)
class Delivery:
    """Delivers messages, one call each."""

    resolver: Resolver
    discovery: Discovery
    sessions: Sessions
    counts: ReportCounts
    records: ReportRecords
    dane: Dane
    at_addresses: AddressDelivery
    flaws: Flaws

    async def deliver(self, envelope: Envelope) -> Result:
        """Try everything once. The policy's TXT record is asked for each time, so also before mail is returned."""
        try:
            domain = next_hop(envelope.recipient)
        except ValueError as error:
            return Failed(str(error), "5.1.2")
        if self.flaws.takes_capitals_for_another_domain:
            domain = envelope.recipient.rpartition("@")[2]
        await self.records.mail_goes_to(domain)
        if envelope.waives_tls and not self.flaws.applies_policies_to_marked_mail:
            return await self._in_spite_of_policies(envelope, domain, self.counts)
        result = await self._under_policy(envelope, domain, self.counts)
        if envelope.requires_tls and not envelope.sender and isinstance(result, Failed):
            # A notice must not be lost for want of REQUIRETLS on the way back (RFC 8689, section 5).
            if self.flaws.discards_bounces_without_requiretls:
                return result
            return await self._under_policy(redacted(envelope), domain, self.counts)
        return result

    async def deliver_report(self, envelope: Envelope) -> Result:
        """Deliver report mail once: with TLS where it works, and in spite of any policy or failure of TLS.

        Its session is not part of the next report (RFC 8460, sections 3 and 5.3.1).
        """
        try:
            domain = recipient_domain(envelope.recipient)
        except ValueError as error:
            return Failed(str(error), "5.1.2")
        counts = self.counts if self.flaws.reports_on_reports else None
        if self.flaws.holds_reports_under_attack:
            return await self._under_policy(envelope, domain, counts)
        found = await self.discovery.discover(domain) if self.flaws.holds_reports_for_unlisted_hosts else None
        return await self._in_spite_of_policies(envelope, domain, counts, found.policy if found else None)

    async def _in_spite_of_policies(
        self, envelope: Envelope, domain: str, counts: ReportCounts | None, listing: Policy | None = None
    ) -> Result:
        """Deliver with TLS where it works, as if neither MTA-STS nor DANE were known (RFC 8689, section 4.2.2).

        `listing` is a flaw: a policy to whose hosts it is confined.
        """
        tally = SessionTally(counts, domain, NO_POLICY, self.flaws)
        route = await find_route(self.resolver, domain)
        if isinstance(route, NoRoute):
            if route.permanent or self.flaws.returns_marked_mail_when_mx_lookup_fails:
                return Failed(route.reason, route.status)
            return Deferred(route.reason)
        hosts = tuple(host for host in route.hosts if listing is None or listing.allows(host))
        # As if DNSSEC vouched for nothing.
        secure = route.secure and envelope.waives_tls and self.flaws.holds_marked_mail_without_tlsa_answer
        return await self._to_hosts(envelope, domain, Route(hosts, secure), None, tally)

    async def _under_policy(self, envelope: Envelope, domain: str, counts: ReportCounts | None) -> Result:
        found = await self._discovered(envelope, domain)
        if found.gives_up:
            return Failed("the policy record could not be looked up", "4.7.0")
        if found.hold:
            return Deferred("the policy could not be fetched")
        if found.policy is not None and self.flaws.holds_mail_wherever_there_is_a_policy:
            return Deferred(f"{domain} has a policy")
        exempt = self.flaws.lets_notices_out and not envelope.sender
        policy = None if exempt else self._as_treated(found.policy)
        if envelope.requires_tls and policy is not None and policy.mode == "testing":
            # It vouches for the names of its hosts, and what is then demanded of them is not less than under enforce.
            policy = replace(policy, mode="enforce")
        tally = self._tally(domain, policy, counts)
        if policy is not None and policy.mode == "none":
            # It counts as no policy (RFC 8461, section 5). The flaw looks at every session as under a testing one.
            policy = replace(policy, mode="testing") if self.flaws.reports_failures_under_none else None
        if found.problem is not None and not self._leaves_out_problem(found):
            tally.failed(found.problem.result_type, reason=found.problem.reason)
        try:
            route = await find_route(self.resolver, domain, self.flaws)
            if isinstance(route, NoRoute):
                # A forged "no such domain" must not return mail of a domain that had a policy a moment ago.
                if route.permanent and (policy is None or policy.mode != "enforce"):
                    return Failed(route.reason, route.status)
                return Deferred(route.reason)
            return await self._to_hosts(envelope, domain, route, policy, tally)
        finally:
            tally.close()

    async def _discovered(self, envelope: Envelope, domain: str) -> Discovered:
        """Return the policy of the next hop (RFC 8461, section 3.4); an address literal has none."""
        if literal_address(domain):
            if self.flaws.looks_up_policies_of_literals:
                await self.discovery.discover(domain)
            return Discovered(None)
        if self.flaws.applies_policy_of_recipient_behind_smart_host:
            return await self.discovery.discover(recipient_domain(envelope.recipient))
        if self.flaws.takes_policy_of_alias_target:
            exchangers = await self.resolver.mx(domain)
            target = exchangers.owner.removesuffix(".") if isinstance(exchangers, Found) else ""
            return await self.discovery.discover(target or domain)
        found = await self.discovery.discover(envelope.policy_of or domain)
        recipients = recipient_domain(envelope.recipient)
        if self.flaws.lets_policy_of_recipient_win_behind_smart_host and recipients != domain:
            own = await self.discovery.discover(recipients)
            return found if own.policy is None else own
        return found

    def _leaves_out_problem(self, found: Discovered) -> bool:
        flaws = self.flaws
        return flaws.leaves_out_failed_fetches if found.policy is None else flaws.leaves_out_failed_refreshes

    def _as_treated(self, policy: Policy | None) -> Policy | None:
        """The policy with the mode that it gets: its own, unless a flaw knows better."""
        if policy is None or self.flaws.ignores_policy:
            return None
        mode = policy.mode
        if mode == "testing" and self.flaws.testing_as_enforce:
            mode = "enforce"
        if mode == "testing" and self.flaws.testing_as_none:
            mode = "none"
        elif mode == "none" and self.flaws.none_as_enforce:
            mode = "enforce"
        return replace(policy, mode=mode)

    def _tally(self, domain: str, policy: Policy | None, counts: ReportCounts | None) -> SessionTally:
        if policy is None:
            return SessionTally(counts, domain, NO_POLICY, self.flaws)
        if policy.mode != "none" or self.flaws.reports_failures_under_none:
            return SessionTally(counts, domain, applied(policy), self.flaws)
        if self.flaws.reports_nothing_under_none:
            counts = None
        return SessionTally(counts, domain, NO_POLICY, self.flaws, failures=False)

    async def _to_hosts(
        self, envelope: Envelope, domain: str, route: Route, policy: Policy | None, tally: SessionTally
    ) -> Result:
        """Try the hosts in order until one takes the message or refuses it for good."""
        problems: list[str] = []
        hosts = await self.dane.preferred(route)
        if envelope.requires_tls and self.flaws.tries_requiretls_hosts_backwards:
            hosts = hosts[::-1]
        blocked = False
        if policy is not None and self.flaws.holds_when_a_host_is_unlisted:
            unlisted = [host for host in hosts if not policy.allows(host)]
            if unlisted and policy.mode == "enforce":
                return Deferred(f"{unlisted[0]} is not in the policy of {domain}")
        for host in hosts:
            secure = route.secure and not (self.flaws.asks_for_tlsa_of_first_host_alone and host != hosts[0])
            result = await self._to_host(envelope, domain, host, policy, tally, replace(route, secure=secure))
            if not isinstance(result, Unused):
                return result
            if result.gives_up:
                return Failed(result.reason, "5.4.3")
            problems.append(result.reason)
            blocked = blocked or result.blocked
            no_other = self.flaws.no_fail_over or (route.secure and self.flaws.tries_no_other_host_under_dane)
            no_other = no_other or (envelope.requires_tls and self.flaws.tries_no_other_host_for_requiretls)
            if (blocked and no_other) or self._stops_at(result):
                break
        if blocked and len(hosts) > 1 and self.flaws.takes_last_host_as_it_is:
            taken = await self._to_host(envelope, domain, hosts[-1], None, tally, route)
            return Deferred(taken.reason) if isinstance(taken, Unused) else taken
        if blocked and envelope.requires_tls and not self.flaws.holds_requiretls_mail:
            return Failed("; ".join(problems), self._status(problems))
        if blocked and (self.flaws.bounces_instead_of_deferring or self.flaws.bounces_after_looking):
            return Failed("; ".join(problems), "5.7.10")
        if blocked and route.secure and self.flaws.returns_mail_on_mismatch:
            return Failed("; ".join(problems), "5.7.10")
        return Deferred("; ".join(problems))

    def _status(self, problems: list[str]) -> str:
        """Return the status of mail that requires TLS and is given up (RFC 8689, sections 4.2.1 and 9)."""
        if self.flaws.gives_requiretls_mail_another_status:
            return "5.7.1"
        return "5.7.30" if any(REQUIRETLS in problem for problem in problems) else "5.7.10"

    def _stops_at(self, unused: Unused) -> bool:
        """Flaws: whether a host that was out of order is the last one that is tried."""
        flaws = self.flaws
        if unused.last or unused.blocked:
            return unused.last
        return flaws.tries_first_host_only or (flaws.gives_up_without_address and unused.reason.endswith(NO_ADDRESS))

    async def _to_host(
        self,
        envelope: Envelope,
        domain: str,
        host: str,
        policy: Policy | None,
        tally: SessionTally,
        route: Route,
    ) -> Delivered | Failed | Unused:
        """Try the addresses of a host of a route. If DNSSEC vouches for its name, it may have DANE."""
        secure = route.secure
        found = await self.dane.look_up(host, secure=secure)
        if isinstance(found.tlsa, LookupFailure):
            to = Destination(host, "", domain)
            if self.flaws.sends_clear_after_failed_tlsa_lookup and isinstance(found.addresses, Addresses):
                accepted = await self.sessions.clear(envelope, replace(to, address=found.addresses.values[0]))
                return Delivered(f"{host} in clear: {accepted.reply.text}")
            return await self._without_tlsa_answer(to, found, found.tlsa, tally)
        tlsa = found.tlsa
        under_dane = tlsa is not None and bool(tlsa.usable)
        anywhere = not envelope.sender and self.flaws.returns_requiretls_mail_under_any_name
        if envelope.requires_tls and not anywhere and not self._is_proven(policy, host, secure=secure):
            reason = f"neither DNSSEC nor a policy vouches for the name {host}"
            return await self._to_unproven_host(envelope, Destination(host, "", domain), reason)
        if policy is not None and not under_dane and not await self._lists(policy, host):
            # RFC 8460 has no result type of its own for this.
            reason = f"{host} is not in the policy of {domain}"
            tally.failed("validation-failure", host, reason=reason)
            proven = envelope.requires_tls and self.flaws.takes_unlisted_hosts_for_proven
            excused = self.flaws.trusts_unlisted_host or (self.flaws.excuses_domains_without_mx and host == domain)
            if policy.mode == "enforce" and not excused and not proven:
                return Unused(reason, blocked=True)
        addresses = found.addresses or await find_addresses(self.resolver, host)
        if isinstance(addresses, str):
            failed = self.flaws.stops_at_failed_address_lookup and not addresses.endswith(NO_ADDRESS)
            return Unused(addresses, last=failed)
        if self.flaws.demands_tls_of_insecure_hosts and secure and tlsa is None:
            tlsa = Tlsa(host, (), ())
        destinations = [
            Destination(host, address, domain, addresses.target, route.expanded) for address in addresses.values
        ]
        if self.flaws.tries_first_address_only:
            del destinations[1:]
        return await self.at_addresses.to_addresses(envelope, destinations, policy, tally, tlsa)

    def _is_proven(self, policy: Policy | None, host: str, *, secure: bool) -> bool:
        """Whether the name of a host is validated, as REQUIRETLS wants it (RFC 8689, section 2)."""
        if policy is not None and self.flaws.takes_unlisted_hosts_for_proven:
            return True
        return secure or (policy is not None and policy.allows(host))

    async def _to_unproven_host(self, envelope: Envelope, to: Destination, reason: str) -> Unused:
        """Such a host is told nothing of a message that requires TLS, unless a flaw knows better."""
        if self.flaws.says_requiretls_to_unproven_hosts and envelope.sender:
            addresses = await find_addresses(self.resolver, to.host)
            if isinstance(addresses, Addresses):
                with contextlib.suppress(Unreachable):
                    await self.sessions.leak_envelope(envelope, replace(to, address=addresses.values[0]))
        return Unused(reason, blocked=True)

    async def _without_tlsa_answer(
        self, to: Destination, found: FoundDane, failure: LookupFailure, tally: SessionTally
    ) -> Unused:
        """A host about whose TLSA records nothing is known gets nothing, not even a connection (RFC 7672, 2.1.2)."""
        tally.under(AppliedPolicy("tlsa", domain=to.host)).failed("dnssec-invalid", to.host, reason=failure.reason)
        if self.flaws.visits_hosts_without_tlsa_answer and isinstance(found.addresses, Addresses):
            await self.sessions.visit(replace(to, address=found.addresses.values[0]))
        flaws = self.flaws
        last, gives_up = flaws.stops_at_failed_tlsa_lookup, flaws.returns_mail_after_failed_lookup
        return Unused(f"{to.host}: {failure.reason}", blocked=True, last=last, gives_up=gives_up)

    async def _lists(self, policy: Policy, host: str) -> bool:
        if policy.allows(host, self.flaws) or not self.flaws.matches_alias_targets:
            return policy.allows(host, self.flaws)
        found = await find_addresses(self.resolver, host)
        return not isinstance(found, str) and policy.allows(found.target)
