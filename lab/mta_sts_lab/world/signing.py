"""DNSSEC for the domains that are really signed: signatures, proofs of absence, and the chain up to the trust anchor.

See RFC 4033 to 4035. Each such domain is a zone below `SIGNED_ZONE`, whose key is the trust anchor. All of them have
the key of the run's certificate authority: it is already wherever the lab needs it. Absence is denied as RFC 9824 does,
by one NSEC record at the very name that was asked for, so that a name which does not exist is one without records.

dnspython's own way to sign wants a newer `cryptography` than mitmproxy takes on Python 3.11.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from mta_sts_lab.rfc.domain_names import canonical
from mta_sts_lab.world.resource_data import wire_data
from mta_sts_lab.world.zone import TTL, Answer, Question, Record, Security, Zone, start_of_authority

#: The zone above every signed domain.
SIGNED_ZONE = "signed.example"

#: Seconds for which a signature counts before and after it is made: clocks differ, and answers travel.
_BEFORE, _AFTER = 3600, 7 * 86400

_DAY = 86400

#: The flags of a key that signs a zone and is the entry to it (RFC 4034, section 2.1.1).
_FLAGS = 257

#: The only protocol of DNSKEY records (section 2.1.2).
_PROTOCOL = 3

#: Octets of each of the two numbers of a key and of a signature of the algorithm (RFC 6605, section 4).
_HALF = 32

_ALGORITHM = dns.dnssectypes.Algorithm.ECDSAP256SHA256


def trust_anchor(certificate_pem: bytes) -> str:
    """Return the trust anchor of a run, as a line of a zone file, by the certificate of its authority."""
    key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return f"{SIGNED_ZONE}. IN DNSKEY {_dnskey(key).to_text()}\n"


@dataclass(frozen=True, slots=True)
class Signing:
    """Whether the answers of a domain have signatures, and whether its parent vouches for the key (a DS record)."""

    signed: bool = True
    chained: bool = True


class Signer:
    """Makes the records of DNSSEC, all with one key. `days_ago` dates a signature back."""

    def __init__(self, key_pem: bytes) -> None:
        key = load_pem_private_key(key_pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._stranger = ec.generate_private_key(ec.SECP256R1())
        self._dnskey = _dnskey(key.public_key())

    def key_of(self, zone: str) -> Record:
        """Return the DNSKEY record of a zone."""
        return Record(zone, "DNSKEY", self._dnskey.to_text())

    def ds_of(self, zone: str) -> Record:
        """Return the DS record by which the zone above vouches for the key of another."""
        return Record(zone, "DS", dns.dnssec.make_ds(_name(zone), self._dnskey, "SHA256").to_text())

    def signature(self, records: Sequence[Record], zone: str, *, bogus: bool = False, days_ago: int = 0) -> Record:
        """Return the RRSIG record of records of one name and type. A `bogus` one was made with another key."""
        now = int(time.time()) - days_ago * _DAY
        name, ttl = _name(records[0].name), records[0].ttl
        kind = dns.rdatatype.from_text(records[0].type)
        times = now + _AFTER, now - _BEFORE
        labels = len(name.labels) - 1
        fields = struct.pack("!HBBIIIH", kind, _ALGORITHM, labels, ttl, *times, dns.dnssec.key_id(self._dnskey))
        own = fields + _name(zone).to_digestable()
        key = self._stranger if bogus else self._key
        made = key.sign(own + _signed_octets(name, kind, ttl, records), ec.ECDSA(hashes.SHA256()))
        halves = (number.to_bytes(_HALF, "big") for number in decode_dss_signature(made))
        return Record(records[0].name, "RRSIG", _text("RRSIG", own + b"".join(halves)), ttl)


class SignedZone(Zone):
    """Everything that the lab's resolver knows, with signatures in the answers of domains that have them."""

    def __init__(self, key_pem: bytes) -> None:
        super().__init__()
        self._signer = Signer(key_pem)
        self._signing: dict[str, Signing] = {}
        self.publish(SIGNED_ZONE, (), security=Security("secure"))
        self.sign(SIGNED_ZONE, Signing())

    def sign(self, domain: str, signing: Signing) -> None:
        """Say how a domain below `SIGNED_ZONE`, or that zone itself, is signed."""
        self._signing[canonical(domain)] = signing

    def withdraw(self, domain: str) -> None:
        """See `Zone`."""
        super().withdraw(domain)
        self._signing.pop(canonical(domain), None)

    def honest(self, question: Question, days_ago: int = 0) -> Answer:
        """Answer honestly, as it was done so many days ago, with what belongs to DNSSEC."""
        owner = self.owner_of(question.name)
        if owner not in self._signing:
            return self.lookup(question)
        if question.type == "DS" and question.name == owner != SIGNED_ZONE:
            return self._delegation(owner, days_ago)
        if question.type == "DNSKEY" and question.name == owner and self._signing[owner].signed:
            key = (self._signer.key_of(owner),)
            return Answer("NOERROR", (*key, self._signer.signature(key, owner, days_ago=days_ago)), security="secure")
        return self._signed(question, self.lookup(question), days_ago)

    def _delegation(self, child: str, days_ago: int) -> Answer:
        """Answer whether the parent vouches for the key of a domain, or say with a proof that it does not."""
        if self._signing[child].chained:
            ds = (self._signer.ds_of(child),)
            signature = self._signer.signature(ds, SIGNED_ZONE, days_ago=days_ago)
            return Answer("NOERROR", (*ds, signature), security="secure")
        denial = tuple(self._denial(child, SIGNED_ZONE, ("NS",), days_ago=days_ago))
        return Answer("NOERROR", (), security="secure", authority=denial)

    def _signed(self, question: Question, answer: Answer, days_ago: int) -> Answer:
        """Add the signatures of each set of records, and a proof if there is nothing of the type."""
        records: list[Record] = []
        sets: dict[tuple[str, str], list[Record]] = {}
        for record in answer.records:
            sets.setdefault((record.name, record.type), []).append(record)
        for name_and_type, found in sets.items():
            records += [*found, *self._signature_of(found, self.state_of(*name_and_type), days_ago)]
        if answer.rcode not in ("NOERROR", "NXDOMAIN") or any(one.type == question.type for one in answer.records):
            return replace(answer, records=tuple(records))
        last = canonical(answer.records[-1].data) if answer.records else question.name
        zone = self.owner_of(last)
        if not (zone in self._signing and self._signing[zone].signed):
            return replace(answer, records=tuple(records))
        bogus = self.state_of(last, question.type) == "bogus"
        denial = self._denial(last, zone, self.types_at(last), bogus=bogus, days_ago=days_ago)
        return replace(answer, rcode="NOERROR", records=tuple(records), authority=tuple(denial))

    def _signature_of(self, records: Sequence[Record], state: str, days_ago: int) -> Iterator[Record]:
        zone = self.owner_of(records[0].name)
        if zone in self._signing and self._signing[zone].signed:
            yield self._signer.signature(records, zone, bogus=state == "bogus", days_ago=days_ago)

    def _denial(
        self, name: str, zone: str, kinds: Sequence[str], *, bogus: bool = False, days_ago: int = 0
    ) -> Iterator[Record]:
        """Yield the SOA and the NSEC record that say which types a name has, and so which not, each signed."""
        types = " ".join(sorted({*kinds, "RRSIG", "NSEC"}))
        for record in (start_of_authority(zone), Record(name, "NSEC", f"\\000.{name}. {types}", TTL)):
            yield record
            yield self._signer.signature((record,), zone, bogus=bogus, days_ago=days_ago)


def _signed_octets(name: dns.name.Name, kind: dns.rdatatype.RdataType, ttl: int, records: Sequence[Record]) -> bytes:
    """Return what of some records is signed, behind the signature's own fields (RFC 4034, section 3.1.8.1)."""
    head = name.to_digestable() + struct.pack("!HHI", kind, dns.rdataclass.IN, ttl)
    data = sorted(_data(records[0].type, wire_data(record)).to_digestable() for record in records)
    return b"".join(head + struct.pack("!H", len(one)) + one for one in data)


def _data(kind: str, octets: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(dns.rdataclass.IN, kind, octets, 0, len(octets))


def _text(kind: str, octets: bytes) -> str:
    return _data(kind, octets).to_text()


def _dnskey(key: ec.EllipticCurvePublicKey) -> DNSKEY:
    """Return a key as a zone publishes it (RFC 6605, section 4)."""
    numbers = key.public_numbers()
    both = numbers.x.to_bytes(_HALF, "big") + numbers.y.to_bytes(_HALF, "big")
    found = _data("DNSKEY", struct.pack("!HBB", _FLAGS, _PROTOCOL, _ALGORITHM) + both)
    assert isinstance(found, DNSKEY)
    return found


def _name(name: str) -> dns.name.Name:
    return dns.name.from_text(name)
