"""Whether and where a domain wants reports: the TXT record at `_smtp._tls`, and asking for it (RFC 8460, section 3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from yarl import URL

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.https_client import is_named_https
from mta_sts_lab.reference.resolver import Found, LookupFailure, Resolver

#: Records that do not begin so are dropped before they are counted.
VERSION_PREFIX = b"v=TLSRPTv1;"

#: Addresses that get a copy. The record's author does not pay for the sender's connections.
MOST_ADDRESSES = 10

_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PRINTABLE = re.compile(r"[\x20-\x7e]{1,64}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A report address by mail, as it stands in RCPT TO."""

    address: str
    channel = "mailto"

    def __str__(self) -> str:
        return f"mailto:{self.address}"


@dataclass(frozen=True, slots=True)
class WebPlace:
    """A report address by HTTPS: the URI as it was published, every escape of it kept."""

    uri: str
    channel = "https"

    def __str__(self) -> str:
        return self.uri


ReportAddress = Mailbox | WebPlace


def report_addresses(records: Sequence[bytes], flaws: Flaws = NO_FLAWS) -> tuple[ReportAddress, ...]:
    """Return where a domain with these TXT records at `_smtp._tls` wants its reports.

    Nowhere, unless exactly one of them is a TLS-RPT record. What cannot be used (other schemes, broken addresses) is
    left out, and an address that is there twice counts once.
    """
    record = _the_record(records, flaws)
    if record is None:
        return ()
    usable = (_address(uri, flaws) for uri in _uris(record, flaws))
    return tuple(dict.fromkeys(one for one in usable if one is not None))[:MOST_ADDRESSES]


def _the_record(records: Sequence[bytes], flaws: Flaws) -> bytes | None:
    if flaws.counts_records_of_other_kinds and len(records) > 1:
        return None
    prefix = VERSION_PREFIX[:-2] if flaws.accepts_other_report_version else VERSION_PREFIX
    candidates = [record for record in records if record.startswith(prefix)]
    if len(candidates) == 1 or (candidates and flaws.reports_to_two_records):
        return unquote_to_bytes(candidates[0]) if flaws.decodes_report_record else candidates[0]
    return None


def _uris(record: bytes, flaws: Flaws) -> list[str]:
    """The URIs of the first `rua`; other fields are ignored."""
    try:
        delimiter = re.compile(";") if flaws.refuses_blanks_in_report_record else _DELIMITER
        given = delimiter.split(record.decode("ascii"))[1:]
    except UnicodeDecodeError:
        return []
    fields = [one.partition("=") for one in given if one]
    if flaws.refuses_unknown_report_fields and any(name != "rua" for name, _, _ in fields):
        return []
    values = [value.strip(" \t") for name, equals, value in fields if name == "rua" and equals]
    return [uri for uri in _COMMA.split(values[0]) if uri] if values else []


def _address(uri: str, flaws: Flaws) -> ReportAddress | None:
    scheme, colon, rest = uri.partition(":")
    if colon and scheme.lower() == "mailto":
        return _mailbox(rest, decode=not flaws.keeps_percent_encoding)
    if colon and scheme.lower() == "https":
        return _web_place(uri)
    if colon and scheme.lower() == "http" and flaws.takes_http_for_https:
        return _web_place(f"https:{rest}")
    return None


def _web_place(uri: str) -> WebPlace | None:
    try:
        return WebPlace(uri) if is_named_https(URL(uri, encoded=True)) else None
    except ValueError:
        return None


def _mailbox(rest: str, *, decode: bool) -> Mailbox | None:
    """The mailbox of a mailto URI (RFC 6068): what follows a question mark are header fields, which are left alone."""
    encoded = rest.partition("?")[0]
    if _BROKEN_ESCAPE.search(encoded):
        return None
    try:
        decoded = unquote_to_bytes(encoded).decode("ascii") if decode else encoded
    except UnicodeDecodeError:
        return None
    local, at, domain = decoded.rpartition("@")
    labels = domain.lower().split(".")
    if not at or len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    if _DOT_ATOM.fullmatch(local):
        return Mailbox(f"{local}@{domain.lower()}")
    if _PRINTABLE.fullmatch(local) is None:
        return None
    quoted = local.replace("\\", "\\\\").replace('"', '\\"')
    return Mailbox(f'"{quoted}"@{domain.lower()}')


@dataclass(eq=False, repr=False)
class ReportRecords:
    """The TLS-RPT records of domains, asked for each time: a domain may have changed its mind."""

    resolver: Resolver
    flaws: Flaws
    _remembered: dict[str, tuple[ReportAddress, ...]] = field(default_factory=dict, init=False)

    async def addresses(self, domain: str) -> tuple[ReportAddress, ...] | LookupFailure:
        """Return where a domain wants its reports: nowhere, if it does not ask for any."""
        strings_apart = self.flaws.joins_record_strings_with_spaces
        name = await self._first_mx(domain) if self.flaws.asks_for_reports_at_the_mx else domain
        answer = await self.resolver.txt(
            f"_smtp._tls.{name}",
            joint=b" " if strings_apart else b"",
            follow=not self.flaws.stops_at_aliases_of_report_records,
        )
        if isinstance(answer, LookupFailure):
            return answer
        records = answer.values if isinstance(answer, Found) else ()
        found = report_addresses(records, self.flaws)
        if not found and self.flaws.guesses_report_address and any(map(_is_tlsrpt, records)):
            return (Mailbox(f"tls-reports@{domain}"),)
        return found or self._remembered.get(domain, ())

    async def _first_mx(self, domain: str) -> str:
        """Flaw: return the name under which the record is looked for."""
        answer = await self.resolver.mx(domain)
        return min(answer.values, key=lambda mx: mx.preference).host if isinstance(answer, Found) else domain

    async def mail_goes_to(self, domain: str) -> None:
        """Flaw: remember what a domain wants while mail goes there, and stick to it when the record is gone."""
        if self.flaws.reports_without_record:
            found = await self.addresses(domain)
            if not isinstance(found, LookupFailure) and found:
                self._remembered[domain] = found


def _is_tlsrpt(record: bytes) -> bool:
    return record.startswith(VERSION_PREFIX)
