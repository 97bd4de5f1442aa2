"""DANE (RFC 7672): which TLSA records a host has, and whether the certificates that it shows match them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.policy import matches
from mta_sts_lab.reference.resolver import Found, LookupFailure, Resolver, TlsaRecord
from mta_sts_lab.reference.routing import Addresses, is_address
from mta_sts_lab.reference.tls import EXPIRED, NOT_YET_VALID, WRONG_NAME, Problem, limits_names, names_of, path_length

#: OpenSSL's X509_V_ERR_DANE_NO_MATCH.
NO_MATCH = 65

_TRUST_ANCHOR, _END_ENTITY = 2, 3
_FULL = 0
_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """The secure TLSA records of a host. `base` is its TLSA base domain; `usable` are the records that count."""

    base: str
    records: tuple[TlsaRecord, ...]
    usable: tuple[TlsaRecord, ...]


def usable_records(records: Sequence[TlsaRecord], flaws: Flaws = NO_FLAWS) -> tuple[TlsaRecord, ...]:
    """Return the records that count: known parameters, whole data, and the strongest digest (RFC 7671, section 9)."""
    able = [one for one in records if _is_usable(one, flaws)]
    if flaws.gives_up_dane_for_one_unusable_record and len(able) < len(records):
        return ()
    if flaws.counts_weak_digests:
        return tuple(able)
    strongest: dict[object, int] = {}
    for one in able:
        kind = _compared_with(one, flaws)
        strongest[kind] = max(strongest.get(kind, 0), one.matching)
    weak = flaws.counts_weak_digests_of_anchors
    return tuple(
        one
        for one in able
        if one.matching in (_FULL, strongest[_compared_with(one, flaws)]) or (weak and one.usage == _TRUST_ANCHOR)
    )


def _compared_with(record: TlsaRecord, flaws: Flaws) -> object:
    """Return what the records have in common whose digests are compared: usage and selector."""
    return None if flaws.compares_digests_of_all_records else (record.usage, record.selector)


def _is_usable(record: TlsaRecord, flaws: Flaws) -> bool:
    if flaws.counts_unknown_parameters and record.matching > max(_DIGESTS):
        return True
    if record.usage not in (_TRUST_ANCHOR, _END_ENTITY) or record.selector not in (0, 1):
        return False
    if record.matching == _FULL:
        return bool(record.data)
    digest = _DIGESTS.get(record.matching)
    whole = digest is not None and len(record.data) == digest().digest_size
    return whole or (flaws.counts_cut_digests and digest is not None)


async def find_tlsa(
    resolver: Resolver, host: str, addresses: Addresses | str, flaws: Flaws
) -> Tlsa | LookupFailure | None:
    """Look up the TLSA records of a host of a secure MX record set; None if it has none that are secure."""
    if isinstance(addresses, str):
        return None
    if flaws.asks_for_tlsa_of_addresses and is_address(host):
        await _at(resolver, host, flaws)
    bases = await _base_domains(resolver, host, addresses, flaws)
    if isinstance(bases, LookupFailure):
        return bases
    results = []
    for base in bases:
        found = await _at(resolver, base, flaws)
        if found is not None and not flaws.joins_tlsa_of_both_ends:
            return found
        results.append(found)
    if flaws.joins_tlsa_of_both_ends and (joined := _joined(results, flaws)):
        return joined
    if not bases and flaws.asks_for_tlsa_of_insecure_hosts:
        await _at(resolver, host, flaws)
    return None


def _joined(results: Sequence[Tlsa | LookupFailure | None], flaws: Flaws) -> Tlsa | LookupFailure | None:
    """Flaw: return the records at both ends of an alias as if they were at one name."""
    found = [one for one in results if isinstance(one, Tlsa)]
    records = tuple(record for one in found for record in one.records)
    failed = next((one for one in results if isinstance(one, LookupFailure)), None)
    return Tlsa(found[0].base, records, usable_records(records, flaws)) if found else failed


async def _base_domains(
    resolver: Resolver, host: str, addresses: Addresses, flaws: Flaws
) -> tuple[str, ...] | LookupFailure:
    """Return the names below which TLSA records may be (RFC 7672, section 2.2.2).

    That is none if the addresses are insecure. Of an alias it is the name that it leads to, and then its own; its own
    alone if the alias is secure, and the addresses are not.
    """
    if not addresses.target or flaws.looks_below_own_name_alone:
        return (host,) if addresses.secure else ()
    if addresses.secure:
        between = await _between(resolver, host, addresses.target) if flaws.looks_between_ends_of_aliases else ()
        return (addresses.target,) if flaws.looks_behind_aliases_alone else (addresses.target, *between, host)
    if flaws.gives_up_at_insecure_ends_of_aliases:
        return ()
    alias = await resolver.alias(host)
    if isinstance(alias, LookupFailure):
        return alias
    secure = isinstance(alias, Found) and alias.secure
    return (host,) if secure or flaws.trusts_insecure_aliases else ()


async def _between(resolver: Resolver, host: str, target: str) -> tuple[str, ...]:
    """Flaw: return the name that a host is an alias of, if that is one as well."""
    alias = await resolver.alias(host)
    return alias.values if isinstance(alias, Found) and target not in alias.values else ()


async def _at(resolver: Resolver, base: str, flaws: Flaws) -> Tlsa | LookupFailure | None:
    """Look up the TLSA records below a name."""
    name = base if flaws.asks_for_tlsa_without_port else f"_25._tcp.{base}"
    answer = await resolver.tlsa(name, follow=not flaws.stops_at_aliases_of_tlsa_records)
    if isinstance(answer, LookupFailure):
        if flaws.encrypts_after_failed_tlsa_lookup:
            return Tlsa(base, (), ())
        if flaws.takes_broken_aliases_for_none and isinstance(await resolver.alias(name), Found):
            return None
        return None if _takes_for_none(answer, flaws) else answer
    if not isinstance(answer, Found):
        return LookupFailure(f"{base} has no TLSA records") if flaws.takes_no_tlsa_for_failure else None
    if (not answer.secure and not flaws.uses_insecure_tlsa) or flaws.overlooks_tlsa:
        return None
    return Tlsa(base, answer.values, usable_records(answer.values, flaws))


def _takes_for_none(failure: LookupFailure, flaws: Flaws) -> bool:
    if failure.indeterminate and flaws.takes_indeterminate_for_insecure:
        return True
    if failure.unanswered and flaws.takes_unanswered_tlsa_lookup_for_none:
        return True
    return flaws.takes_failed_tlsa_lookup_for_none


def problem_with(chain: Sequence[bytes], tlsa: Tlsa, names: Sequence[str], flaws: Flaws) -> Problem | None:
    """Return what keeps a chain (DER, the leaf first) from being what the usable records say; None if nothing does.

    `names` are those that a certificate of DANE-TA may be for (RFC 7672, section 3.2.2).
    """
    certificates = [x509.load_der_x509_certificate(der) for der in chain]
    beside_anchors = flaws.checks_names_beside_anchors and any(one.usage == _TRUST_ANCHOR for one in tlsa.usable)
    problems = [
        _end_entity_problem(record, certificates[0], names, flaws, named=beside_anchors)
        if record.usage == _END_ENTITY
        else _anchor_problem(record, certificates, names, flaws)
        for record in tlsa.usable
    ]
    if None in problems or (flaws.takes_any_of_several_records_for_match and len(problems) > 1):
        return None
    # One about a chain that leads to the right anchor says more than that another record does not match.
    return min((one for one in problems if one is not None), key=lambda one: one.code == NO_MATCH)


def _end_entity_problem(
    record: TlsaRecord, leaf: x509.Certificate, names: Sequence[str], flaws: Flaws, *, named: bool
) -> Problem | None:
    """DANE-EE(3): the key alone counts, neither names nor dates (RFC 7672, section 3.1.1). `named` is a flaw."""
    if not _holds(record, leaf):
        return Problem(NO_MATCH, "the certificate matches no TLSA record")
    if flaws.checks_names_under_dane_ee or named:
        return _name_problem(leaf, names, flaws)
    return _date_problem(leaf) if flaws.checks_dates_under_dane_ee else None


def _anchor_problem(
    record: TlsaRecord, chain: Sequence[x509.Certificate], names: Sequence[str], flaws: Flaws
) -> Problem | None:
    """DANE-TA(2): the chain leads to the anchor, every certificate of it is in its time, and the leaf has a name."""
    path = _path_to_anchor(record, chain, flaws)
    if path is None:
        return Problem(NO_MATCH, "no certificate of the chain matches a TLSA record")
    if not flaws.ignores_name_constraints_of_anchors and not all(_allows(one, chain[0], flaws) for one in path[1:]):
        return Problem(NO_MATCH, "an authority of the chain may not sign for such names")
    anchor = path[-1].public_bytes(Encoding.DER)
    if flaws.refuses_anchors_with_limits and (limits_names(anchor) or path_length(anchor) is not None):
        return Problem(NO_MATCH, "the anchor may not sign for everybody")
    if not flaws.skips_names_under_dane_ta and (problem := _name_problem(chain[0], names, flaws)):
        return problem
    if flaws.skips_dates_under_dane_ta:
        return None
    problems = (problem for one in path if (problem := _date_problem(one)))
    ended_alone = flaws.takes_future_certificates_under_dane_ta
    return next((one for one in problems if not ended_alone or one.code == EXPIRED), None)


def _path_to_anchor(
    record: TlsaRecord, chain: Sequence[x509.Certificate], flaws: Flaws
) -> list[x509.Certificate] | None:
    """Return the certificates from the leaf up to the anchor, which DNS alone may hold (RFC 7671, section 5.2.2)."""
    path = [chain[0]]
    for issuer in (*chain[1:], *_anchors_in_dns(record, flaws)):
        below = 0 if flaws.ignores_path_length_of_anchors else len(path) - 1
        named = flaws.checks_no_signatures_of_chains and path[-1].issuer == issuer.subject
        if named or _issued(path[-1], issuer, below):
            path.append(issuer)
            if _holds(record, issuer):
                return path
    return path if not flaws.knows_no_bare_keys and _signed_by_bare_key(path[-1], record, flaws) else None


def _signed_by_bare_key(certificate: x509.Certificate, record: TlsaRecord, flaws: Flaws) -> bool:
    """Whether the top of a chain was signed by a key that DNS holds whole, without a certificate (section 5.2.3)."""
    if (record.selector, record.matching) != (1, _FULL):
        return False
    try:
        key = load_der_public_key(record.data)
    except (ValueError, UnsupportedAlgorithm):
        return False
    digest = certificate.signature_hash_algorithm
    if not isinstance(key, ec.EllipticCurvePublicKey) or digest is None:
        return False  # the lab's authorities have no other keys
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))
    except InvalidSignature:
        return flaws.takes_any_bare_key
    return True


def _anchors_in_dns(record: TlsaRecord, flaws: Flaws) -> tuple[x509.Certificate, ...]:
    if (record.selector, record.matching) != (0, _FULL) or flaws.wants_anchor_in_handshake:
        return ()
    try:
        return (x509.load_der_x509_certificate(record.data),)
    except ValueError:
        return ()


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Whether a certificate was signed by an issuer that may have as many authorities as `below` under it."""
    try:
        certificate.verify_directly_issued_by(issuer)
        limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return limits.ca and (limits.path_length is None or limits.path_length >= below)


def _allows(issuer: x509.Certificate, leaf: x509.Certificate, flaws: Flaws) -> bool:
    """Whether the name constraints of an authority leave the names of a leaf to it (RFC 5280, section 4.2.1.10)."""
    try:
        limits = issuer.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    permitted, excluded = (
        [one.value for one in names or () if isinstance(one, x509.DNSName)]
        for names in (limits.permitted_subtrees, limits.excluded_subtrees)
    )
    shown = names_of(leaf.public_bytes(Encoding.DER))
    if any(_is_below(name, tree) for name in shown for tree in excluded):
        return flaws.ignores_excluded_names_of_anchors
    return not permitted or all(any(_is_below(name, tree) for tree in permitted) for name in shown)


def _is_below(name: str, tree: str) -> bool:
    return name == tree or name.endswith(f".{tree.lstrip('.')}")


def _holds(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    chosen = certificate.public_bytes(Encoding.DER)
    if record.selector == 1:
        chosen = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = _DIGESTS.get(record.matching)
    return record.data == (chosen if digest is None else digest(chosen).digest())


def _name_problem(leaf: x509.Certificate, names: Sequence[str], flaws: Flaws) -> Problem | None:
    """The subjectAltName counts, and the common name only where it has no DNS-ID (RFC 7672, section 3.2.3)."""
    shown = names_of(leaf.public_bytes(Encoding.DER))
    common = [str(one.value) for one in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if flaws.reads_common_name_beside_others_under_dane or not (shown or flaws.refuses_common_name_under_dane):
        shown = [*shown, *common]
    if flaws.refuses_wildcards_under_dane:
        shown = [one for one in shown if not one.startswith("*.")]
    wanted = names[:1] if flaws.knows_base_domain_alone else names[1:] if flaws.knows_next_hop_alone else names
    if any(matches(pattern, name) for pattern in shown for name in wanted):
        return None
    if flaws.accepts_any_host_of_the_domain and any(one.endswith(f".{name}") for one in shown for name in wanted):
        return None
    if flaws.matches_wildcards_without_label_under_dane and any(f"*.{name}" in shown for name in wanted):
        return None
    if flaws.accepts_nameless_certificates and not names_of(leaf.public_bytes(Encoding.DER)):
        return None
    return Problem(WRONG_NAME, f"the certificate is not for {' or '.join(wanted)}")


def _date_problem(certificate: x509.Certificate) -> Problem | None:
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        return Problem(EXPIRED, "the certificate has expired")
    return Problem(NOT_YET_VALID, "it is not yet valid") if certificate.not_valid_before_utc > now else None
