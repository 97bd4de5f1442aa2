"""DANE in the delivery of a message: what is looked up about a host, and how a session with it goes (RFC 7672)."""

from __future__ import annotations

from dataclasses import dataclass, field

from mta_sts_lab.reference.dane import Tlsa, find_tlsa, problem_with
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.resolver import LookupFailure, Resolver
from mta_sts_lab.reference.routing import Addresses, Route, find_addresses
from mta_sts_lab.reference.session import Accepted, Destination, Sessions, Unprotected
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.reference.tls import Problem


@dataclass(frozen=True, slots=True)
class FoundDane:
    """What DNS says of a host. `addresses` is None where nobody had to ask for them yet."""

    addresses: Addresses | str | None = None
    tlsa: Tlsa | LookupFailure | None = None


@dataclass(eq=False, repr=False)
class Dane:
    """Looks up the TLSA records of hosts, and delivers to those that have some."""

    resolver: Resolver
    flaws: Flaws
    #: Only for the flaw that gives in at a retry: whose mail was held.
    _refused_before: set[str] = field(default_factory=set, init=False)

    async def look_up(self, host: str, *, secure: bool) -> FoundDane:
        """Look up addresses, then TLSA records; nothing if the host's name itself came from an insecure answer."""
        if not (secure or self.flaws.takes_every_name_over_insecure_mx) or self.flaws.ignores_dane:
            return FoundDane()
        if self.flaws.asks_for_tlsa_before_addresses:
            await self.resolver.tlsa(f"_25._tcp.{host}")
        addresses = await find_addresses(self.resolver, host)
        return FoundDane(addresses, await find_tlsa(self.resolver, host, addresses, self.flaws))

    async def preferred(self, route: Route) -> tuple[str, ...]:
        """Return the hosts of a route in the order of their preference, whether they have TLSA records or not."""
        if self.flaws.takes_worse_hosts_first and route.secure:
            return route.hosts[::-1]
        if not (self.flaws.prefers_hosts_with_tlsa or self.flaws.passes_over_hosts_without_tlsa):
            return route.hosts
        found = [(host, await self.look_up(host, secure=route.secure)) for host in route.hosts]
        if self.flaws.passes_over_hosts_without_tlsa:
            return tuple(host for host, one in found if isinstance(one.tlsa, Tlsa)) or route.hosts
        return tuple(host for host, _ in sorted(found, key=lambda one: not isinstance(one[1].tlsa, Tlsa)))

    async def session(self, sessions: Sessions, envelope: Envelope, to: Destination, tlsa: Tlsa) -> Accepted:
        """Deliver to a host with TLSA records, or raise `Unprotected`. Without usable ones TLS alone is a must."""
        if not tlsa.usable:
            if self.flaws.holds_if_no_record_is_usable:
                raise Unprotected("tlsa-invalid", "no TLSA record can be used", local_address="")
            if self.flaws.demands_valid_certificate_if_no_record_is_usable:
                return await sessions.verified(envelope, to)
            if self.flaws.sends_clear_if_no_record_is_usable:
                return await sessions.opportunistic(envelope, to)
            return await self._without_usable_record(sessions, envelope, to, tlsa.base)
        names = self._names(to, tlsa.base)

        def check(chain: list[bytes]) -> Problem | None:
            return problem_with(chain, tlsa, names, self.flaws)

        name = to.host if self.flaws.names_alias_as_server_under_dane else tlsa.base
        return await sessions.under_dane(envelope, to, check, name)

    async def _without_usable_record(
        self, sessions: Sessions, envelope: Envelope, to: Destination, base: str
    ) -> Accepted:
        """TLS under any certificate, and nothing in clear, unless a flaw knows better."""
        try:
            return await sessions.under_dane(envelope, to, None, base)
        except Unprotected as failure:
            if self.flaws.retries_in_clear_if_no_record_is_usable and failure.handshake:
                return await sessions.clear(envelope, to)
            raise

    def _names(self, to: Destination, base: str) -> tuple[str, ...]:
        """Return the names that a certificate of DANE-TA may be for (RFC 7672, section 3.2.2).

        That is the TLSA base domain, the domain of the recipient, and what that is an alias of.
        """
        flaws = self.flaws
        expanded = (to.expanded,) if to.expanded and not flaws.forgets_expanded_next_hop else ()
        unnamed = bool(to.expanded) and flaws.forgets_given_name_of_aliases
        if unnamed or (to.host == to.domain and flaws.forgets_destination_without_mx):
            return (base, *expanded)
        return (base, to.domain, *expanded)

    async def after_violation(
        self, sessions: Sessions, envelope: Envelope, to: Destination, failure: Unprotected
    ) -> Accepted:
        """Nothing more is said to this host: always raises, unless a flaw knows better."""
        flaws, certificate = self.flaws, failure.verify_code is not None
        if flaws.sends_clear_under_dane and not failure.handshake:
            return await sessions.clear(envelope, to)
        if flaws.retries_in_clear_under_dane and failure.handshake and not certificate:
            return await sessions.clear(envelope, to)
        if flaws.says_envelope_in_clear_under_dane and not failure.handshake:
            await sessions.say_envelope_in_clear(envelope, to)
        if flaws.takes_valid_certificate_for_match and certificate:
            return await sessions.verified(envelope, to)
        if flaws.delivers_in_spite_of_mismatch and certificate:
            return await sessions.under_dane(envelope, to, None, to.host)
        if flaws.accepts_mismatch_on_retry and certificate:
            if envelope.recipient in self._refused_before:
                return await sessions.under_dane(envelope, to, None, to.host)
            self._refused_before.add(envelope.recipient)
        raise failure
