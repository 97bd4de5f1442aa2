"""The DKIM signature of a mailed report (RFC 8460, section 3; RFC 6376): what it covers, and whether it is valid.

Keys are asked for through a callable, so that nothing here reaches for the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from lab.model import Grade
from lab.tlsrpt.departures import Departure, quoted
from lab.tlsrpt.limits import MOST_SIGNATURES
from lab.tlsrpt.mail import Message
from lab.tlsrpt.mail_checks import REPORT_FIELDS
from lab.tlsrpt.names import plain, within
from lab.tlsrpt.report import ParsedReport

#: Returns the TXT record at a name (`selector._domainkey.domain`, no root dot) as octets; None where there is none.
#: Raises `KeyUnavailable` where that cannot be told.
KeyLookup: TypeAlias = "Callable[[str], bytes | None]"

A53 = "A53: the signing domain has to be the submitter or a parent of it"
A54 = "A54: tlsrpt was never registered as a service type (errata 5889 and 8303)"
A54_ALONE = "A54: as RFC 8460 wants it; but by RFC 6376 an ordinary verifier has to ignore such a key"

#: Blanks in a row that a message to be verified may have. The verifier's patterns take the square of their number, and
#: lines of mail end after 998 octets.
_MOST_BLANKS = 250
_TOO_MANY_BLANKS = re.compile(rb"\s{%d}" % _MOST_BLANKS)

#: Octets of a signature field that is verified: 4096-bit keys and long h= lists stay below a quarter of it.
_LONGEST_SIGNATURE = 8192


class KeyUnavailable(LookupError):
    """Nobody can say just now whether there is a key at a name."""


class Validity(StrEnum):
    """The result of verifying one signature."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


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
    def where(self) -> str:
        """How a finding names it."""
        return f"DKIM-Signature {self.number + 1} (d={self.domain or 'missing'})"


def signatures(message: Message) -> tuple[Signature, ...]:
    """Return the first few signatures of a message, from the top."""
    values = message.all("dkim-signature")[:MOST_SIGNATURES]
    return tuple(Signature(number, _tags(value)) for number, value in enumerate(values))


def reporting_signatures(parsed: ParsedReport) -> tuple[Signature, ...]:
    """Return the signatures that were made in the name of the reporting domain; all, where it is not known (A53)."""
    found = signatures(parsed.message) if parsed.message else ()
    submitter = _submitter(parsed)
    return tuple(one for one in found if not submitter or (one.domain and within(submitter, one.domain)))


def the_report_is_signed_by_its_submitter(parsed: ParsedReport) -> Iterator[Departure]:
    """There is a DKIM signature, in the name of the reporting domain or a parent of it."""
    found = signatures(parsed.message) if parsed.message else ()
    if not found:
        yield Departure("RPT-3-11", "no-signature", "header", "a DKIM-Signature", "none")
    elif not reporting_signatures(parsed):
        domains = ", ".join(quoted(one.domain) for one in found)
        expected = f"a signature of {_submitter(parsed)}"
        yield Departure("RPT-3-11", "unrelated-signature", "DKIM-Signature", expected, domains, note=A53)


def the_signature_covers_the_whole_body(parsed: ParsedReport) -> Iterator[Departure]:
    """The signature has no l= tag."""
    for one in _judged(parsed):
        if "l" in one.tags:
            observed = f"l={one.tags['l'][:20]}"
            yield Departure("RPT-3-12", "body-length-tag", one.where, "no l= tag", observed, also=("DKIM-3.5-01",))


def the_signature_covers_from(parsed: ParsedReport) -> Iterator[Departure]:
    """From is in h=."""
    for one in _judged(parsed):
        if "from" not in one.covered:
            yield Departure("DKIM-5.4-01", "from-not-signed", one.where, "From in h=", _listed(one))


def the_signature_covers_the_report_fields(parsed: ParsedReport) -> Iterator[Departure]:
    """TLS-Report-Domain and TLS-Report-Submitter are in h=."""
    judged = _judged(parsed)
    if not judged or any(_lacking(one) == () for one in judged):
        return
    one = judged[0]
    expected = f"{' and '.join(_lacking(one))} in h="
    yield Departure("RPT-5.3-08", "report-fields-not-signed", one.where, expected, _listed(one))


def the_signature_is_valid(parsed: ParsedReport, find_key: KeyLookup) -> Iterator[Departure]:
    """A signature of the reporting domain verifies. What could not be verified here is not held against it."""
    results = verified(parsed, find_key)
    if results and all(validity is Validity.INVALID for validity, _ in results):
        where, (_, why) = _judged(parsed)[0].where, results[0]
        yield Departure("RPT-3-11", "invalid-signature", where, "a signature that verifies", why)


def the_key_is_for_reports(parsed: ParsedReport, find_key: KeyLookup) -> Iterator[Departure]:
    """The key record lists the service type tlsrpt, or none, which means all."""
    for one in _judged(parsed):
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
            yield Departure("DKIM-3.6.1-01", "tlsrpt-alone", where, expected, observed, Grade.INFO, A54_ALONE)
        elif services and "tlsrpt" not in services and "*" not in services:
            observed = f"s={':'.join(services)[:60]}"
            yield Departure("RPT-3-13", "service-type", where, "s= with tlsrpt, or no s=", observed, note=A54)


def verified(parsed: ParsedReport, find_key: KeyLookup) -> list[tuple[Validity, str]]:
    """Verify the signatures that count, and say of each whether it is valid, or why it is not."""
    message = parsed.message
    return [verify(message, one, find_key) for one in _judged(parsed)] if message else []


def service_types(record: bytes) -> tuple[str, ...]:
    """Return the service types in the s= tag of a key record; none where there is no such tag."""
    text = _tags(record.decode("utf-8", "replace")).get("s", "")
    return tuple(service.strip().lower() for service in text.split(":") if service.strip())


def verify(message: Message, signature: Signature, find_key: KeyLookup) -> tuple[Validity, str]:
    """Verify one signature, and say why it is not valid where it is not. Never raises for what the message says."""
    if len(message.all("dkim-signature")[signature.number]) > _LONGEST_SIGNATURE:
        return Validity.UNKNOWN, "the signature field is too long to be looked at"
    if _TOO_MANY_BLANKS.search(message.octets):
        return Validity.UNKNOWN, f"the message has {_MOST_BLANKS} blanks in a row"
    try:
        record = find_key(signature.key_name)
    except KeyUnavailable:
        return Validity.UNKNOWN, f"the key at {signature.key_name} is not known"
    if record is None:
        return Validity.INVALID, f"there is no key at {signature.key_name}"
    return _verified(message, signature, record)


def _verified(message: Message, signature: Signature, record: bytes) -> tuple[Validity, str]:
    import dkim

    try:
        verifier = dkim.DKIM(message.octets.lstrip(b"\r\n"))
        valid = verifier.verify(signature.number, dnsfunc=lambda *_, **__: _without_services(record))
    except dkim.ValidationError as error:
        # Who reads last year's report must not blame it for its age.
        expired = "x= value is past" in str(error)
        return (Validity.UNKNOWN if expired else Validity.INVALID), f"{error}"[:200]
    except (dkim.KeyFormatError, dkim.MessageFormatError) as error:
        return Validity.INVALID, f"{error}"[:200]
    except Exception as error:  # noqa: BLE001 - the verifier is not ours, and a hostile signature must not end the run
        return Validity.UNKNOWN, f"the verifier gave up: {type(error).__name__}"
    return (Validity.VALID, "") if valid else (Validity.INVALID, "it does not verify under the key of its domain")


def _without_services(record: bytes) -> bytes:
    """Leave s= out of a key record: the verifier knows only single service types, and we judge them ourselves."""
    return b";".join(tag for tag in record.split(b";") if tag.partition(b"=")[0].strip() != b"s")


def _judged(parsed: ParsedReport) -> tuple[Signature, ...]:
    """The signatures of the reporting domain; where there are none, every signature is looked at all the same."""
    return reporting_signatures(parsed) or (signatures(parsed.message) if parsed.message else ())


def _submitter(parsed: ParsedReport) -> str:
    named = parsed.message.first("tls-report-submitter") if parsed.message else None
    return plain(named or parsed.contact_domain)


def _lacking(signature: Signature) -> tuple[str, ...]:
    return tuple(name for name in REPORT_FIELDS if name.lower() not in signature.covered)


def _listed(signature: Signature) -> str:
    return f"h={signature.tags.get('h', '')[:120]}"


def _tags(text: str) -> Mapping[str, str]:
    pairs = (tag.partition("=") for tag in text.split(";"))
    found: dict[str, str] = {}
    for name, _, value in pairs:
        if name.strip():
            found.setdefault(name.strip(), re.sub(r"\s+", "", value))
    return found
