"""What a domain with DANE publishes: the TLSA records of its hosts, and the security of its answers (RFC 7672)."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mta_sts_lab.model.world import MxHost, Tlsa, World
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.rfc.tlsa import CERTIFICATE, DIGEST_LENGTHS, FULL, SHA_256, TlsaRecord, association, tlsa_name
from mta_sts_lab.world.pki import Authority
from mta_sts_lab.world.zone import Record, Security


def tlsa_records(mx: MxHost, domain: str, authority: Authority) -> Iterator[Record]:
    """Yield the TLSA records of a host of a domain."""
    host = absolute(mx.name, domain)
    places = {"alias": mx.name, "target": mx.alias_of, "between": mx.alias_through}
    name = tlsa_name(absolute(places[mx.tlsa_below], domain))
    for record in mx.tlsa_of_alias:
        yield Record(tlsa_name(host), "TLSA", str(_filled_in(record, mx, host, authority)))
    if mx.tlsa_alias:
        alias, name = name, f"_dane.{host}"
        yield Record(alias, "CNAME", name)
    for record in mx.tlsa:
        yield Record(name, "TLSA", str(_filled_in(record, mx, host, authority)))


def security_of(world: World, domain: str) -> Security:
    """Return what a validating resolver says of a domain's answers."""
    states = {(domain, "MX"): world.dns.mx_security}
    for mx in world.mx:
        host = absolute(mx.name, domain)
        target = absolute(mx.alias_of, domain) if mx.alias_of else host
        states |= {(target, kind): mx.address_security for kind in ("A", "AAAA")}
        states |= {(host, "CNAME"): mx.alias_security} if mx.alias_of else {}
        between = absolute(mx.alias_through, domain)
        names = (tlsa_name(host), tlsa_name(target), tlsa_name(between), f"_dane.{host}")
        states |= {(name, "TLSA"): mx.tlsa_security for name in names}
    return Security(world.dns.security, {key: state for key, state in states.items() if state})


def _filled_in(record: Tlsa, mx: MxHost, host: str, authority: Authority) -> TlsaRecord:
    certificate = authority.certificate_of(record.of, host, mx.certificate)
    if record.selector == CERTIFICATE:
        chosen = certificate.public_bytes(Encoding.DER)
    else:
        chosen = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known = record.matching if record.matching in (FULL, *DIGEST_LENGTHS) else SHA_256
    data = association(known, chosen)
    return TlsaRecord(record.usage, record.selector, record.matching, data[: len(data) - record.cut])
