"""The DKIM signature of a mailed report (RFC 8460, section 3; RFC 6376): what it covers, and whether it is valid.

Keys are asked for through a callable, so that nothing here reaches for the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta_sts_lab.model.grading import Grade
from mta_sts_lab.rfc.domain_names import a_labels
from mta_sts_lab.tlsrpt.checks.mail import REPORT_FIELDS
from mta_sts_lab.tlsrpt.departures import Departure, quoted
from mta_sts_lab.tlsrpt.limits import MOST_SIGNATURES
from mta_sts_lab.tlsrpt.mail import Message
from mta_sts_lab.tlsrpt.names import within
from mta_sts_lab.tlsrpt.registry import KeyLookup, Scope, check, key_check
from mta_sts_lab.tlsrpt.report import ParsedReport
from mta_sts_lab.tlsrpt.verification import (
    OBSOLETE_ALGORITHM,
    Validity,
    canonical_body,
    point_in_time,
    tags_of,
    verify_with,
)

WHO_SIGNS = "the signing domain has to be the submitter or a parent of it; sts-lab docs ambiguities#signing-domain"
NO_SERVICE = (
    "tlsrpt was never registered as a service type (errata 5889 and 8303); sts-lab docs ambiguities#key-service-type"
)
UNUSABLE_FOR_MAIL = (
    "as RFC 8460 wants it; but by RFC 6376 an ordinary verifier has to ignore such a key; "
    "sts-lab docs ambiguities#key-service-type"
)


#: Characters of the name of a key that are quoted: DNS has 253 of them.
_QUOTED_NAME = 260

#: Digits of a number of octets (l=) that int() takes (RFC 6376, section 3.5).
_LENGTH = re.compile(r"[0-9]{1,76}")


class KeyUnavailable(LookupError):
    """Nobody can say just now whether there is a key at a name."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM-Signature field: its number from the top, and its tags."""

    number: int
    tags: Mapping[str, str]

    @property
    def domain(self) -> str:
        """The signing domain, d=."""
        return self.tags.get("d", "")

    @property
    def key_name(self) -> str:
        """Where the TXT record with the key is."""
        return f"{self.tags.get('s', '')}._domainkey.{self.domain}"

    @property
    def covered(self) -> frozenset[str]:
        """The names in h=, in lower case."""
        return frozenset(name.strip().lower() for name in self.tags.get("h", "").split(":"))

    @property
    def expires(self) -> int | None:
        """When it expires, in seconds since 1970 (x=); None if it does not, or if that cannot be read."""
        return point_in_time(self.tags.get("x", ""))

    def leaves_unsigned(self, message: Message) -> int:
        """Return how many octets at the end of the body it does not cover (l=); none if that is no number."""
        relaxed = self.tags.get("c", "").partition("/")[2] == "relaxed"
        length = self.tags.get("l", "")
        body = canonical_body(message.octets[message.top.begin :], relaxed) if _LENGTH.fullmatch(length) else b""
        return max(len(body) - int(length), 0) if body else 0

    @property
    def where(self) -> str:
        """How a finding names it."""
        return f"DKIM-Signature {self.number + 1} (d={self.domain or 'missing'})"


def signatures(message: Message) -> tuple[Signature, ...]:
    """Return the signatures of a message, from the top."""
    return tuple(Signature(number, tags_of(value)) for number, value in enumerate(message.all("dkim-signature")))


def reporting_signatures(parsed: ParsedReport) -> tuple[Signature, ...]:
    """Return the signatures that were made in the name of the reporting domain; all, where it is not known."""
    found = signatures(parsed.message) if parsed.message else ()
    submitter = _submitter(parsed)
    return tuple(one for one in found if not submitter or (one.domain and within(submitter, one.domain)))


@check(scope=(Scope.MAIL,), obligations=("RPT-3-11",), of_the_run=True)
def report_is_signed_by_submitter(parsed: ParsedReport) -> Iterator[Departure]:
    """There is a DKIM signature, in the name of the reporting domain or a parent of it."""
    found = signatures(parsed.message) if parsed.message else ()
    if not found:
        yield Departure("RPT-3-11", "no-signature", "header", "a DKIM-Signature", "none")
    elif not reporting_signatures(parsed):
        domains = ", ".join(quoted(one.domain) for one in found[:MOST_SIGNATURES])
        expected = f"a signature of {_submitter(parsed)}"
        yield Departure("RPT-3-11", "unrelated-signature", "DKIM-Signature", expected, domains, note=WHO_SIGNS)


@check(scope=(Scope.MAIL,), obligations=("RPT-3-11",), of_the_run=True)
def signature_algorithm_is_current(parsed: ParsedReport) -> Iterator[Departure]:
    """A signature of the reporting domain is not made with SHA-1 (RFC 8301, section 3.1)."""
    if _only_obsolete(parsed):
        where, expected = _judged(parsed)[0].where, "a=rsa-sha256"
        yield Departure("RPT-3-11", "obsolete-algorithm", where, expected, f"a={OBSOLETE_ALGORITHM}")


@check(scope=(Scope.MAIL,), obligations=("RPT-3-12", "DKIM-3.5-01"), of_the_run=True)
def signature_covers_the_body(parsed: ParsedReport) -> Iterator[Departure]:
    """The signature has no l= tag; with one, whatever of the body lies behind that many octets is not protected."""
    for one in _judged(parsed):
        if "l" not in one.tags:
            continue
        observed = f"l={one.tags['l'][:20]}"
        yield Departure("RPT-3-12", "body-length-tag", one.where, "no l= tag", observed)
        if parsed.message and (unsigned := one.leaves_unsigned(parsed.message)):
            observed = f"{observed}: {unsigned} octets at the end are not"
            yield Departure("DKIM-3.5-01", "body-partly-signed", one.where, "the whole body is signed", observed)


@check(scope=(Scope.MAIL,), obligations=("DKIM-5.4-01",), of_the_run=True)
def signature_covers_from(parsed: ParsedReport) -> Iterator[Departure]:
    """From is in h=."""
    for one in _judged(parsed):
        if "from" not in one.covered:
            yield Departure("DKIM-5.4-01", "from-not-signed", one.where, "From in h=", _listed(one))


@check(scope=(Scope.MAIL,), obligations=("RPT-5.3-08",), of_the_run=True)
def signature_covers_report_fields(parsed: ParsedReport) -> Iterator[Departure]:
    """TLS-Report-Domain and TLS-Report-Submitter are in h=."""
    judged = _judged(parsed)
    if not any(_lacking(one) == () for one in judged):
        yield from _fields_not_signed(judged)


@key_check(scope=(Scope.MAIL,), obligations=("RPT-3-11",), of_the_run=True)
def signature_is_valid(parsed: ParsedReport, find_key: KeyLookup, arrived: float | None) -> Iterator[Departure]:
    """A signature of the reporting domain verifies, and had not expired when the report arrived.

    What could not be verified here is not held against it: `unverified` says so. Nor is what is obsolete in any case,
    which `signature_algorithm_is_current` says.
    """
    results = verified(parsed, find_key, arrived)
    if results and all(validity is Validity.INVALID for validity, _ in results) and not _only_obsolete(parsed):
        where, (_, why) = _judged(parsed)[0].where, results[0]
        yield Departure("RPT-3-11", "invalid-signature", where, "a signature that verifies", why)


@key_check(scope=(Scope.MAIL,), obligations=("RPT-5.3-08",), of_the_run=True)
def valid_signature_covers_report_fields(
    parsed: ParsedReport, find_key: KeyLookup, arrived: float | None
) -> Iterator[Departure]:
    """TLS-Report-Domain and TLS-Report-Submitter are in h= of a signature that verifies, or that may do so.

    One that does not verify is as good as none (RFC 6376, section 6.1): what it lists protects nothing. Where no
    signature lists them, `signature_covers_report_fields` says so.
    """
    judged = _judged(parsed)
    results = verified(parsed, find_key, arrived)
    invalid = {number for number, (validity, _) in enumerate(results) if validity is Validity.INVALID}
    standing = [one for number, one in enumerate(judged) if number not in invalid]
    if any(_lacking(one) == () for one in judged) and not any(_lacking(one) == () for one in standing):
        yield from _fields_not_signed(standing)


@key_check(scope=(Scope.MAIL,), obligations=("RPT-3-13", "DKIM-3.6.1-01"), of_the_run=True)
def key_is_for_reports(parsed: ParsedReport, find_key: KeyLookup, _: float | None) -> Iterator[Departure]:
    """The key record lists the service type tlsrpt, or none, which means all; without email nobody else may use it."""
    for one in _judged(parsed)[:MOST_SIGNATURES]:
        try:
            record = find_key(one.key_name)
        except KeyUnavailable:
            continue
        if record is None:
            continue
        where = f"TXT record at {one.key_name}"
        services = service_types(record)
        if services == ("tlsrpt",):
            expected, observed = "a key that mail verifiers accept as well", "s=tlsrpt alone"
            yield Departure("DKIM-3.6.1-01", "tlsrpt-alone", where, expected, observed, Grade.INFO, UNUSABLE_FOR_MAIL)
        elif services and "tlsrpt" not in services and "*" not in services:
            observed = f"s={':'.join(services)[:60]}"
            yield Departure("RPT-3-13", "service-type", where, "s= with tlsrpt, or no s=", observed, note=NO_SERVICE)
            if "email" not in services:
                expected = "a key that verifiers of mail or of reports may use"
                yield Departure("DKIM-3.6.1-01", "key-for-another-service", where, expected, observed)


def verified(
    parsed: ParsedReport, find_key: KeyLookup, arrived: float | None = None
) -> tuple[tuple[Validity, str], ...]:
    """Verify the signatures that count, and say of each whether it is valid, or why it is not.

    `arrived` is when the report did, in seconds since 1970: a signature that had expired by then is none. Where it is
    None the age of a signature is not held against it.
    """
    message, judged = parsed.message, _judged(parsed)
    if message is None:
        return ()
    results = [_verified(message, one, find_key, arrived) for one in judged[:MOST_SIGNATURES]]
    if len(judged) > MOST_SIGNATURES:
        results.append((Validity.UNKNOWN, f"of {len(judged)} signatures the first {MOST_SIGNATURES} were looked at"))
    return tuple(results)


def unverified(parsed: ParsedReport, find_key: KeyLookup, arrived: float | None = None) -> str:
    """Say why nothing can be said of whether the report is signed validly; empty where that can be said, or it is not.

    One signature that verifies is enough, and one that cannot be verified may be that one.
    """
    results = verified(parsed, find_key, arrived)
    unknown = [why for validity, why in results if validity is Validity.UNKNOWN]
    return unknown[0] if unknown and all(validity is not Validity.VALID for validity, _ in results) else ""


def perhaps_expired(parsed: ParsedReport, find_key: KeyLookup) -> bool:
    """Whether each signature that verifies has a date of expiry, so that it matters when the report arrived."""
    pairs = zip(_judged(parsed), verified(parsed, find_key), strict=False)
    valid = [one for one, (validity, _) in pairs if validity is Validity.VALID]
    return bool(valid) and all(one.expires is not None for one in valid)


def service_types(record: bytes) -> tuple[str, ...]:
    """Return the service types in the s= tag of a key record; none where there is no such tag."""
    text = tags_of(record.decode("utf-8", "replace")).get("s", "")
    return tuple(service.strip().lower() for service in text.split(":") if service.strip())


def _verified(
    message: Message, signature: Signature, find_key: KeyLookup, arrived: float | None
) -> tuple[Validity, str]:
    try:
        record = find_key(signature.key_name)
    except KeyUnavailable:
        return Validity.UNKNOWN, f"the key at {signature.key_name[:_QUOTED_NAME]} is not known"
    if record is None:
        return Validity.INVALID, f"there is no key at {signature.key_name[:_QUOTED_NAME]}"
    validity, why = verify_with(message, signature.number, record)
    expires = signature.expires
    if validity is Validity.VALID and arrived is not None and expires is not None and expires < arrived:
        return Validity.INVALID, f"it had expired when the report arrived, {arrived - expires:.0f} s before (x=)"
    return validity, why


def _judged(parsed: ParsedReport) -> tuple[Signature, ...]:
    """The signatures of the reporting domain; where there are none, every signature is looked at all the same."""
    return reporting_signatures(parsed) or (signatures(parsed.message) if parsed.message else ())


def _only_obsolete(parsed: ParsedReport) -> bool:
    judged = _judged(parsed)
    return bool(judged) and all(one.tags.get("a") == OBSOLETE_ALGORITHM for one in judged)


def _submitter(parsed: ParsedReport) -> str:
    named = parsed.message.first("tls-report-submitter") if parsed.message else None
    return a_labels(named or parsed.contact_domain)


def _lacking(signature: Signature) -> tuple[str, ...]:
    return tuple(name for name in REPORT_FIELDS if name.lower() not in signature.covered)


def _fields_not_signed(judged: Sequence[Signature]) -> Iterator[Departure]:
    for one in judged[:1]:
        expected = f"{' and '.join(_lacking(one))} in h="
        yield Departure("RPT-5.3-08", "report-fields-not-signed", one.where, expected, _listed(one))


def _listed(signature: Signature) -> str:
    return f"h={signature.tags.get('h', '')[:120]}"
