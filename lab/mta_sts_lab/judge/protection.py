"""What a domain's protection demands of a session that carries its mail. Pure: it knows no record and no mode."""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts_lab.model.verdict import Harm
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY
from mta_sts_lab.rfc.dane_demands import DaneDemand
from mta_sts_lab.rfc.policy import lists
from mta_sts_lab.rfc.require_tls import RequiretlsDemand

#: The reason code of mail that goes to a host which matches no mx pattern.
HOST_NOT_LISTED = "host-not-listed"

#: What breaks DANE (RFC 7672): mail in clear to a host with TLSA records, mail under a certificate that matches none of
#: them, and mail to a host about which a look-up failed.
CLEAR_UNDER_DANE = "DANE-2.2.3-05"
MISMATCH_UNDER_DANE = "DANE-3.2-02"
LOOKUP_FAILED = "DANE-2.1.2-05"
OF_DANE = (CLEAR_UNDER_DANE, MISMATCH_UNDER_DANE, LOOKUP_FAILED)

#: What breaks REQUIRETLS (RFC 8689): such mail in clear, to a host whose name nothing validates, or that the policy
#: does not list, under a certificate that does not verify, and to a host that does not announce the extension.
CLEAR_UNDER_REQUIRETLS = "RTLS-4.2.1-09"
UNPROVEN_NAME = "RTLS-2-03"
UNLISTED_UNDER_REQUIRETLS = "RTLS-4.2.1-02"
UNVERIFIED_UNDER_REQUIRETLS = "RTLS-4.2.1-04"
NOT_ANNOUNCED = "RTLS-4.2.1-05"
OF_REQUIRETLS = (
    CLEAR_UNDER_REQUIRETLS,
    UNPROVEN_NAME,
    UNLISTED_UNDER_REQUIRETLS,
    UNVERIFIED_UNDER_REQUIRETLS,
    NOT_ANNOUNCED,
)


@dataclass(frozen=True, slots=True)
class Breach:
    """How a session breaks a protection. `reason` is a reason code, `observed` says it in words."""

    obligation: str
    reason: str
    observed: str
    harm: Harm = Harm.LET_OUT


@dataclass(frozen=True, slots=True)
class Protection:
    """The demands on a session: which hosts, whether inside TLS, and under which certificates.

    `None` demands nothing. Mail may go to a host that matches one of `hosts`, under one of `certificates`; neither
    being `None` means that it may not go in clear. `dane` has the demands of DANE on single hosts: where TLSA records
    can be used, they alone decide (RFC 8461, section 2). `requiretls` is what the message itself demands (RFC 8689).
    """

    hosts: tuple[str, ...] | None = None
    certificates: tuple[str, ...] | None = None
    dane: tuple[DaneDemand, ...] = ()
    requiretls: RequiretlsDemand | None = None

    def breach(self, host: str, secured: bool, certificate: str) -> Breach | None:
        """Say what a session with a host breaks; None if mail may go to it.

        `certificate` is the variant under which TLS ended at that very host; empty: TLS ended elsewhere, or the
        handshake is not on record.
        """
        if self.requiretls is not None:
            return self._breach_of_requiretls(self.requiretls, host, secured, certificate)
        demand = self.dane_of(host)
        if demand is not None:
            breach = _breach_of_dane(demand, secured, certificate)
            if breach is not None or demand.certificates is not None:
                return breach
        if self.hosts is not None and not lists(self.hosts, host):
            return Breach("STS-4-01", HOST_NOT_LISTED, f"{host}, which matches no mx pattern of the policy in force")
        if self.certificates is None:
            return None
        if not secured:
            return Breach("STS-5-03", "in-clear", f"{host} in clear, against the policy in force")
        if certificate not in self.certificates:
            shown = (
                f"under the certificate variant {certificate!r}" if certificate else "inside TLS that did not end there"
            )
            return Breach("STS-5-02", "not-authenticated", f"{host} {shown}, against the policy in force")
        return None

    def _breach_of_requiretls(
        self, demand: RequiretlsDemand, host: str, secured: bool, certificate: str
    ) -> Breach | None:
        """What REQUIRETLS demands is no less than what a policy that is enforced does, and needs none."""
        if not secured:
            return Breach(CLEAR_UNDER_REQUIRETLS, "in-clear", f"{host} in clear, against REQUIRETLS")
        if not demand.proves(host):
            row = UNPROVEN_NAME if demand.patterns is None else UNLISTED_UNDER_REQUIRETLS
            return Breach(row, "name-not-proven", f"{host}, whose name neither DNSSEC nor a policy vouches for")
        if not self.authenticates(host, certificate):
            shown = f"under the certificate variant {certificate!r}" if certificate else "under somebody's certificate"
            return Breach(UNVERIFIED_UNDER_REQUIRETLS, "not-authenticated", f"{host} {shown}, against REQUIRETLS")
        if host not in demand.announcing:
            return Breach(NOT_ANNOUNCED, "not-announced", f"{host}, which does not announce REQUIRETLS inside TLS")
        return None

    def dane_of(self, host: str) -> DaneDemand | None:
        """Return what DANE demands of a host, if it demands anything."""
        return next((demand for demand in self.dane if demand.host == host), None)

    def authenticates(self, host: str, certificate: str) -> bool:
        """Whether a certificate variant proves to a careful sender that it has reached a host."""
        demand = self.dane_of(host)
        accepted = demand.certificates if demand is not None else None
        return certificate in (CERTIFICATES_THAT_VERIFY if accepted is None else accepted)


def _breach_of_dane(demand: DaneDemand, secured: bool, certificate: str) -> Breach | None:
    if demand.lookup_failed:
        observed = f"{demand.host}, although a DNS look-up about it failed"
        return Breach(LOOKUP_FAILED, "lookup-failed", observed)
    if not secured:
        return Breach(CLEAR_UNDER_DANE, "in-clear", f"{demand.host} in clear, against its TLSA records")
    if demand.certificates is not None and certificate not in demand.certificates:
        shown = f"the certificate variant {certificate!r}" if certificate else "a certificate of somebody else's"
        observed = f"{demand.host} under {shown}, which matches none of its TLSA records"
        return Breach(MISMATCH_UNDER_DANE, "not-authenticated", observed)
    return None


#: What holds for a domain without a policy, or with one that is not enforced.
NO_PROTECTION = Protection()


def enforced(patterns: tuple[str, ...]) -> Protection:
    """Return the protection of an MTA-STS policy of mode enforce (RFC 8461, section 5)."""
    return Protection(patterns, CERTIFICATES_THAT_VERIFY)
