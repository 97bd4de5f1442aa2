"""What a domain's protection demands of a session that carries its mail. Pure: it knows no record and no mode."""

from __future__ import annotations

from dataclasses import dataclass

from mta_sts_lab.model import Harm
from mta_sts_lab.rfc.policy import lists

#: Variants under which a verifying client accepts the host that shows them.
CERTIFICATES_THAT_VERIFY = ("valid", "wildcard")

#: The reason code of mail that goes to a host which matches no mx pattern.
HOST_NOT_LISTED = "host-not-listed"


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
    being `None` means that it may not go in clear.
    """

    hosts: tuple[str, ...] | None = None
    certificates: tuple[str, ...] | None = None

    def breach(self, host: str, secured: bool, certificate: str) -> Breach | None:
        """Say what a session with a host breaks; None if mail may go to it.

        `certificate` is the variant under which TLS ended at that very host; empty: TLS ended elsewhere, or the
        handshake is not on record.
        """
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


#: What holds for a domain without a policy, or with one that is not enforced.
NO_PROTECTION = Protection()


def enforced(patterns: tuple[str, ...]) -> Protection:
    """Return the protection of an MTA-STS policy of mode enforce (RFC 8461, section 5)."""
    return Protection(patterns, CERTIFICATES_THAT_VERIFY)
