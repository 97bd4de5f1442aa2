"""The delivery of one message to the addresses of a host, inside TLS as a policy, DANE or REQUIRETLS demand it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mta_sts_lab.reference import certificate_flaws
from mta_sts_lab.reference.dane import Tlsa
from mta_sts_lab.reference.dane_delivery import Dane
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.policy import Policy
from mta_sts_lab.reference.report_counts import AppliedPolicy, SessionTally
from mta_sts_lab.reference.result import Delivered, Failed, Unused
from mta_sts_lab.reference.session import (
    Accepted,
    Destination,
    NotAnnounced,
    Rejected,
    Sessions,
    Unprotected,
    Unreachable,
    is_self_signed,
)
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.reference.tls import WRONG_NAME


@dataclass(eq=False, repr=False)
class AddressDelivery:
    """Delivers messages to the addresses of a host, one call each."""

    sessions: Sessions
    dane: Dane
    flaws: Flaws
    log: Callable[[str], None]
    #: Only for the flaw that gives in at a retry: whose mail was held for the sake of a certificate.
    _refused_before: set[str] = field(default_factory=set, init=False)
    #: Only for the flaw that remembers broken handshakes: the hosts that had one.
    _broken_before: set[str] = field(default_factory=set, init=False)

    async def to_addresses(
        self,
        envelope: Envelope,
        destinations: list[Destination],
        policy: Policy | None,
        tally: SessionTally,
        tlsa: Tlsa | None,
    ) -> Delivered | Failed | Unused:
        """Try the addresses in order until one takes the message or refuses it for good. Without `tlsa`: no DANE."""
        problems: list[str] = []
        blocked = False
        for to in destinations:
            try:
                accepted = (
                    await self._to_address(envelope, to, self._policy_at(to, destinations[0], policy), tally)
                    if tlsa is None
                    else await self._under_dane(envelope, to, policy, tally, tlsa)
                )
            except Rejected as rejected:
                if rejected.permanent and not (envelope.waives_tls and self.flaws.keeps_refused_marked_mail):
                    return Failed(str(rejected))
                problems.append(str(rejected))
            except Unreachable as unreachable:
                problems.append(str(unreachable))
                if self.flaws.reports_unreachable_as_no_starttls:
                    failure = Unprotected("starttls-not-supported", str(unreachable), local_address="")
                    tally.unprotected(Destination(to.host, to.address), failure)
            except NotAnnounced as lacking:
                problems.append(f"{to.host}: {lacking}")
                blocked = True
            except Unprotected as unprotected:
                problems.append(f"{to.host}: {unprotected}")
                blocked = True
            else:
                return Delivered(f"{to.host} [{to.address}] {accepted.tls or 'clear'}: {accepted.reply.text}")
        return Unused("; ".join(problems), blocked)

    def _policy_at(self, to: Destination, first: Destination, policy: Policy | None) -> Policy | None:
        """Return the policy that counts at an address of a host: the same at each, unless a flaw knows better."""
        return None if self.flaws.verifies_first_address_alone and to != first else policy

    async def _to_address(
        self, envelope: Envelope, to: Destination, policy: Policy | None, tally: SessionTally
    ) -> Accepted:
        if policy is None:
            return await self._without_policy(envelope, to, tally)
        listed = policy.allows(to.host, self.flaws)
        if policy.mode == "testing" and not listed:
            return await self.sessions.opportunistic(envelope, to)
        try:
            accepted = await self.sessions.verified(envelope, to)
        except Unprotected as failure:
            tally.unprotected(to, failure)
            self.log(f"{to.host} [{to.address}]: {failure} (policy mode {policy.mode})")
            if policy.mode == "testing" and not self.flaws.demands_tls_of_everybody:
                return await self.sessions.opportunistic(envelope, to)
            return await self._after_violation(envelope, to, policy, failure)
        except (Rejected, Unreachable) as trouble:
            if trouble.secured:
                tally.succeeded()
            raise
        if accepted.weakness is not None:  # only a flawed sender's message was accepted all the same
            tally.unprotected(to, accepted.weakness)
        else:
            tally.succeeded()
        return accepted

    async def _under_dane(
        self, envelope: Envelope, to: Destination, policy: Policy | None, tally: SessionTally, tlsa: Tlsa
    ) -> Accepted:
        """Deliver as the TLSA records say, whatever a policy says (RFC 8461, section 2).

        If none of them can be used, TLS is still a must (RFC 7672, section 2.2), and a policy that is enforced stands.
        """
        mine = tally.under(AppliedPolicy("tlsa", tuple(map(str, tlsa.records)), domain=tlsa.base))
        if not tlsa.usable:
            mine.failed("tlsa-invalid", to.host, reason="none of the TLSA records can be used")
            if envelope.requires_tls or (policy is not None and policy.mode == "enforce"):
                return await self._to_address(envelope, to, policy, tally)
        try:
            accepted = await self.dane.session(self.sessions, envelope, to, tlsa)
        except Unprotected as failure:
            mine.unprotected(to, failure)
            self.log(f"{to.host} [{to.address}]: {failure} (DANE)")
            if envelope.requires_tls:
                return await self._after_requiretls_violation(envelope, to, failure)
            if self.flaws.lets_policy_override_dane and policy is not None:
                return await self._to_address(envelope, to, policy, tally)
            return await self.dane.after_violation(self.sessions, envelope, to, failure)
        except (Rejected, Unreachable) as trouble:
            if trouble.secured:
                mine.succeeded()
            raise
        if tlsa.usable:
            mine.succeeded()
        return accepted

    async def _after_violation(
        self, envelope: Envelope, to: Destination, policy: Policy, failure: Unprotected
    ) -> Accepted:
        """Under enforce nothing more is said to this host: always raises, unless a flaw knows better."""
        if envelope.requires_tls:
            return await self._after_requiretls_violation(envelope, to, failure)
        if envelope.waives_tls and not failure.handshake:  # only with a flaw it comes here
            return await self.sessions.opportunistic(envelope, to)
        if certificate_flaws.forgives(self.flaws, failure.verify_code):
            return await self.sessions.opportunistic(envelope, to)
        fits = certificate_flaws.takes(self.flaws, policy)
        if fits is not None and failure.verify_code == WRONG_NAME:
            return await self.sessions.to_met(envelope, to, fits)
        if self.flaws.clears_after_broken_handshake and failure.handshake:
            if to.host in self._broken_before:
                return await self.sessions.clear(envelope, to)
            self._broken_before.add(to.host)
        if failure.handshake and failure.verify_code is None:
            await self.sessions.after_broken_handshake(to)
        alerted = self.flaws.clears_after_alert and "alert" in str(failure).lower()
        if (self.flaws.retries_in_clear or alerted) and failure.handshake:
            return await self.sessions.clear(envelope, to)
        if self.flaws.accepts_self_signed and is_self_signed(failure):
            return await self.sessions.to_self_signed(envelope, to)
        if self.flaws.accepts_refused_on_retry and failure.verify_code is not None:
            if envelope.recipient in self._refused_before:
                return await self.sessions.opportunistic(envelope, to)
            self._refused_before.add(envelope.recipient)
        if self.flaws.sends_envelope_before_check and failure.verify_code is not None:
            await self.sessions.leak_envelope(envelope, to)
        raise failure

    async def _after_requiretls_violation(self, envelope: Envelope, to: Destination, failure: Unprotected) -> Accepted:
        """A message that requires TLS goes no further here: always raises, unless a flaw knows better."""
        flaws, certificate = self.flaws, failure.verify_code is not None
        if flaws.sends_requiretls_mail_in_clear and not failure.handshake:
            return await self.sessions.clear(envelope, to)
        if flaws.sends_requiretls_mail_under_any_certificate and certificate:
            return await self.sessions.opportunistic(envelope, to)
        if flaws.sends_requiretls_mail_inside_old_tls and failure.handshake and not certificate:
            return await self.sessions.opportunistic(envelope, to)
        if flaws.says_requiretls_before_check and certificate:
            await self.sessions.leak_envelope(envelope, to)
        raise failure

    async def _without_policy(self, envelope: Envelope, to: Destination, tally: SessionTally) -> Accepted:
        unchecked = self.flaws.verifies_requiretls_hosts_under_policies_alone
        unchecked = unchecked or (self.flaws.returns_requiretls_mail_under_any_certificate and not envelope.sender)
        required = envelope.requires_tls and not unchecked
        demands = self.flaws.demands_tls_of_everybody or required
        deliver = self.sessions.verified if demands else self.sessions.opportunistic
        try:
            accepted = await deliver(envelope, to)
        except Unprotected as failure:
            if envelope.requires_tls:
                return await self._after_requiretls_violation(envelope, to, failure)
            raise
        except (Rejected, Unreachable) as trouble:
            if trouble.secured:
                tally.succeeded()
            raise
        if accepted.weakness is not None:
            tally.unprotected(to, accepted.weakness)
        elif accepted.tls:
            tally.succeeded()
        return accepted
