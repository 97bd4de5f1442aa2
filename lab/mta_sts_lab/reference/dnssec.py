"""Validation of signed answers up to a trust anchor (RFC 4035, section 5).

It knows zones directly below the anchor's, as the lab has them, keys of ECDSA on the curve P-256 (RFC 6605), and the
proofs of absence of RFC 9824: an NSEC record at the very name that was asked for. Any other proof counts as none.

dnspython's own way to validate wants a newer `cryptography` than mitmproxy takes on Python 3.11.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.NSEC
import dns.rrset
import dns.zonefile
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

from mta_sts_lab.reference.flaws import Flaws

#: Asks a question with the DO and the CD bit. Raises `Bogus` where no answer comes.
Ask = Callable[[dns.name.Name, str], Awaitable[dns.message.Message]]


class Bogus(Exception):
    """An answer is not what its zone has signed, or ought to be signed and is not. The message says why."""


@dataclass(frozen=True, slots=True)
class _Zone:
    """A zone and its keys; None: it is provably not signed, or nothing vouches for its keys."""

    name: dns.name.Name
    keys: dns.rrset.RRset | None


class Validator:
    """Checks the answers about names below one trust anchor, which is given as a line of a zone file."""

    def __init__(self, anchor: str, ask: Ask, flaws: Flaws) -> None:
        (found,) = dns.zonefile.read_rrsets(anchor, rdclass=None, default_ttl=0)
        self._anchor = _Zone(found.name, found)
        self._ask = ask
        self._flaws = flaws
        #: Only for the flaw that holds on to signatures: the zones that had some.
        self._signed_before: set[dns.name.Name] = set()

    def covers(self, name: dns.name.Name) -> bool:
        """Whether a name is one that the trust anchor is about."""
        return name.is_subdomain(self._anchor.name)

    async def is_secure(self, message: dns.message.Message, asked: dns.name.Name, kind: str) -> bool:
        """Whether an answer is signed up to the anchor; false: its zone is not signed. Raises `Bogus`."""
        try:
            zone = await self._zone_of(asked)
        except _Unsigned as unsigned:
            raise Bogus(str(unsigned)) from unsigned
        if zone.keys is None:
            return self._flaws.trusts_ad_bit_of_anybody and bool(message.flags & dns.flags.AD)
        try:
            return self._validated(message, asked, dns.rdatatype.from_text(kind), zone)
        except _Unsigned as unsigned:
            if self._flaws.takes_unsigned_answers_for_insecure:
                return False
            raise Bogus(str(unsigned)) from unsigned

    def _validated(
        self, message: dns.message.Message, asked: dns.name.Name, kind: dns.rdatatype.RdataType, zone: _Zone
    ) -> bool:
        """Check every set of records on the way, and the proof if there is none of the type at its end."""
        owner = asked
        for _ in range(len(message.answer) + 1):
            found = _set_at(message.answer, owner, kind)
            if found is not None:
                self._check(message.answer, found, zone)
                return True
            alias = _set_at(message.answer, owner, dns.rdatatype.CNAME)
            if alias is None:
                break
            self._check(message.answer, alias, zone)
            owner = alias[0].target
        if not owner.is_subdomain(zone.name):
            return True  # what is behind the alias is asked for on its own
        self._check_absence(message, owner, kind, zone)
        return not self._flaws.takes_signed_denials_for_insecure

    def _check_absence(
        self, message: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType, zone: _Zone
    ) -> dns.rrset.RRset | None:
        """Check the proof that a name has no records of a type, and return it. Raises `Bogus`."""
        proof = _set_at(message.authority, name, dns.rdatatype.NSEC)
        if proof is None and self._flaws.takes_unproven_denials and kind != dns.rdatatype.DS:
            return None
        if proof is None:
            signed = any(one.rdtype == dns.rdatatype.RRSIG for one in (*message.answer, *message.authority))
            unsigned = _Unsigned if not signed else Bogus
            raise unsigned(f"no proof that {name} has no {dns.rdatatype.to_text(kind)} record")
        self._check(message.authority, proof, zone)
        if _denies(proof, kind):
            return proof
        raise Bogus(f"the proof for {name} says that there is what is denied")

    async def _zone_of(self, name: dns.name.Name) -> _Zone:
        """Return the zone of a name, with its keys if the zone above vouches for them."""
        depth = len(self._anchor.name.labels)
        if len(name.labels) == depth:
            return self._anchor
        child = name.split(depth + 1)[1]
        answer = await self._ask(child, "DS")
        vouched = _set_at(answer.answer, child, dns.rdatatype.DS)
        if vouched is None:
            return await self._unchained(answer, child)
        self._check(answer.answer, vouched, self._anchor)
        self._signed_before.add(child)
        return await self._with_keys(child, vouched)

    async def _unchained(self, answer: dns.message.Message, child: dns.name.Name) -> _Zone:
        """Return a zone that nothing vouches for: that there is no DS record has to be proved."""
        flaws = self._flaws
        if not flaws.takes_unproven_delegations_for_insecure:
            self._check_absence(answer, child, dns.rdatatype.DS, self._anchor)
        if flaws.holds_mail_of_domains_no_longer_signed and child in self._signed_before:
            raise Bogus(f"{child} is no longer signed")
        if not flaws.trusts_keys_without_chain:
            return _Zone(child, None)
        keys = _set_at((await self._ask(child, "DNSKEY")).answer, child, dns.rdatatype.DNSKEY)
        return _Zone(child, keys)

    async def _with_keys(self, child: dns.name.Name, vouched: dns.rrset.RRset) -> _Zone:
        answer = await self._ask(child, "DNSKEY")
        keys = _set_at(answer.answer, child, dns.rdatatype.DNSKEY)
        if keys is None:
            raise Bogus(f"{child} has no DNSKEY record")
        known = [key for key in keys if any(dns.dnssec.make_ds(child, key, one.digest_type) == one for one in vouched)]
        if not known:
            raise Bogus(f"no key of {child} is the one that the zone above vouches for")
        self._check(answer.answer, keys, _Zone(child, dns.rrset.from_rdata_list(child, keys.ttl, known)))
        return _Zone(child, keys)

    def _check(self, section: Iterable[dns.rrset.RRset], found: dns.rrset.RRset, zone: _Zone) -> None:
        """Check the signature of a set of records. Raises `Bogus`, and `_Unsigned` where there is none."""
        signatures = _signatures(section, found)
        if signatures is None:
            raise _Unsigned(f"{found.name} {dns.rdatatype.to_text(found.rdtype)}: no signature")
        if self._flaws.checks_no_signature:
            return
        assert zone.keys is not None
        counts = any(self._counts(one, found, zone) for one in signatures)
        if not counts or self._flaws.takes_signed_answers_for_bogus:
            raise Bogus(f"{found.name} {dns.rdatatype.to_text(found.rdtype)}: no signature that counts")

    def _counts(self, signature: RRSIG, found: dns.rrset.RRset, zone: _Zone) -> bool:
        """Whether a signature was made for these records, with a key of their zone, and for today (section 5.3)."""
        today = signature.inception <= time.time() <= signature.expiration
        if not (today or self._flaws.accepts_expired_signatures) or signature.signer != zone.name:
            return False
        octets = _signed_octets(signature, found)
        return any(_verifies(key, signature.signature, octets) for key in zone.keys or ())


class _Unsigned(Exception):
    """There is no signature where the zone's answers have one."""


def _signed_octets(signature: RRSIG, found: dns.rrset.RRset) -> bytes:
    """Return what a signature is made of: its own fields but the last, and the records (RFC 4034, section 3.1.8.1)."""
    own = signature.replace(signature=b"").to_digestable()
    head = found.name.to_digestable() + struct.pack("!HHI", found.rdtype, found.rdclass, signature.original_ttl)
    data = sorted(record.to_digestable() for record in found)
    return own + b"".join(head + struct.pack("!H", len(one)) + one for one in data)


def _verifies(key: DNSKEY, signature: bytes, octets: bytes) -> bool:
    if key.algorithm != Algorithm.ECDSAP256SHA256 or len(signature) != len(key.key):
        return False
    half = len(signature) // 2
    numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key.key)
    try:
        public.verify(encode_dss_signature(*numbers), octets, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _denies(proof: dns.rrset.RRset, kind: dns.rdatatype.RdataType) -> bool:
    """Whether an NSEC record says that its name has neither records of a type nor an alias (RFC 4035, section 5.4)."""
    there = {one for record in proof if isinstance(record, dns.rdtypes.ANY.NSEC.NSEC) for one in _types(record)}
    return not there & {kind, dns.rdatatype.CNAME}


def _types(record: dns.rdtypes.ANY.NSEC.NSEC) -> set[dns.rdatatype.RdataType]:
    found = set()
    for window, bitmap in record.windows:
        for place, octet in enumerate(bitmap):
            numbers = (window * 256 + place * 8 + bit for bit in range(8) if octet & (0x80 >> bit))
            found |= {dns.rdatatype.RdataType.make(number) for number in numbers}
    return found


def _set_at(
    section: Iterable[dns.rrset.RRset], name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    return next((one for one in section if (one.name, one.rdtype) == (name, kind)), None)


def _signatures(section: Iterable[dns.rrset.RRset], found: dns.rrset.RRset) -> dns.rrset.RRset | None:
    return next(
        (
            one
            for one in section
            if (one.name, one.rdtype, one.covers) == (found.name, dns.rdatatype.RRSIG, found.rdtype)
        ),
        None,
    )
