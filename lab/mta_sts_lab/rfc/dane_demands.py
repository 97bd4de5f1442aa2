"""What DANE demands of sessions with the hosts of a scenario's world (RFC 7672, sections 2.2 and 3). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY, MxHost, Tlsa, World
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.rfc.tlsa import DANE_EE, DANE_TA, DIGEST_LENGTHS, FULL, TlsaRecord

#: The certificate variants of each authority that DANE-TA accepts: in their time, and for the host or the next hop.
#: What an anchor's own certificate forbids, such as a longer path, a sender should heed and need not (RFC 7671, section
#: 5.2.1).
_BELOW = {
    "authority": (*CERTIFICATES_THAT_VERIFY, "cn-only", "for-domain"),
    "stranger": ("untrusted",),
    "topmost": (
        "path-too-long",
        "outside-name-constraints",
        "excluded-by-name-constraints",
        "path-at-its-limit",
        "within-name-constraints",
    ),
}

_FAILED = {"bogus", "indeterminate"}


@dataclass(frozen=True, slots=True)
class DaneDemand:
    """What DANE demands of sessions with one host.

    `certificates` are the variants that match; None: TLS under any certificate, because no record can be used. No mail
    may go to a host about which a look-up failed.
    """

    host: str
    certificates: tuple[str, ...] | None = None
    lookup_failed: bool = False
    #: Whether a record names an authority: then names and dates count.
    by_authority: bool = False
    #: The TLSA base domain, where it is not the host's own name: what that is an alias of.
    target: str = ""

    @property
    def base(self) -> str:
        """The TLSA base domain (RFC 7672, section 2.2.3)."""
        return self.target or self.host


def dane_demands(world: World, domain: str) -> tuple[DaneDemand, ...]:
    """Return the demands of a domain's DANE; a host that has none demands nothing."""
    return tuple(_demands(world, domain))


def _demands(world: World, domain: str) -> Iterator[DaneDemand]:
    named = world.dns.mx_security or world.dns.security
    for mx in world.mx:
        if mx.by_address:
            continue  # DANE is about names (RFC 7672, section 2.2)
        host = absolute(mx.name, domain)
        asked = (mx.alias_security if mx.alias_of else "", mx.address_security, mx.tlsa_security)
        alias, addresses, records = (state or world.dns.security for state in asked)
        if {named, alias, addresses} & _FAILED:
            yield DaneDemand(host, lookup_failed=True)
        elif named != "secure" or alias != "secure" or not (bases := _bases(mx, addresses, domain)):
            continue
        elif records in _FAILED:
            yield DaneDemand(host, lookup_failed=True)
        elif records == "secure" and (found := next((one for one in bases if one[1]), None)):
            yield _demand(mx, host, *found)


def _bases(mx: MxHost, addresses: str, domain: str) -> list[tuple[str, tuple[Tlsa, ...]]]:
    """Return the names below which TLSA records count, in the order of the search, each with its records.

    The host's own name is given as an empty one. Of an alias into an unsigned zone, its own alone is secure.
    """
    own = ("", mx.tlsa if mx.tlsa_below == "alias" else mx.tlsa_of_alias)
    if not mx.alias_of:
        return [own] if addresses == "secure" else []
    target = (absolute(mx.alias_of, domain), mx.tlsa if mx.tlsa_below == "target" else ())
    return [target, own] if addresses == "secure" else [own]


def _demand(mx: MxHost, host: str, target: str, records: tuple[Tlsa, ...]) -> DaneDemand:
    usable = [record for record in records if is_usable(record)]
    by_authority = any(record.usage == DANE_TA for record in usable)
    return DaneDemand(host, _matching(usable, mx) if usable else None, by_authority=by_authority, target=target)


def is_usable(record: Tlsa) -> bool:
    """Whether SMTP can use a record of a scenario."""
    length = DIGEST_LENGTHS.get(record.matching, 1)
    return TlsaRecord(record.usage, record.selector, record.matching, bytes(max(length - record.cut, 0))).usable


def _matching(usable: list[Tlsa], mx: MxHost) -> tuple[str, ...]:
    return (mx.certificate,) if any(_matches(record, mx) for record in usable) else ()


def _matches(record: Tlsa, mx: MxHost) -> bool:
    """Whether a usable record accepts the certificate that its host shows, and what it sends behind it."""
    if record.usage == DANE_EE:
        return record.of in ("shown", mx.certificate)
    whole = record.matching == FULL
    sent = mx.sends_authority or whole or record.of == "topmost"
    return record.usage == DANE_TA and mx.certificate in _BELOW.get(record.of, ()) and sent
