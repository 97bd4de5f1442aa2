"""Reads what a policy is checked with: files with a policy, TXT records and certificates, and lists of MX names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mta_sts_lab.policy_check import GivenCertificate, GivenRecord
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.given_files import Unreadable, beginning_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: Octets. No policy, record or chain of certificates comes near.
LARGEST_FILE = 1 << 20


def read_file(name: str) -> bytes:
    """Return what is in a file, or comes from standard input (`-`). Raises `UsageError`."""
    try:
        octets = beginning_of(name, LARGEST_FILE + 1)
    except Unreadable as error:
        raise UsageError(f"{_shown(name)}: {error}") from error
    if len(octets) > LARGEST_FILE:
        raise UsageError(f"{_shown(name)}: larger than {LARGEST_FILE >> 20} MiB: nothing that belongs here")
    return octets


def mx_names(said: Sequence[str]) -> tuple[str, ...]:
    """Return the names of lists that are separated by commas or blanks."""
    return tuple(name for one in said for name in one.replace(",", " ").split())


def given_records(said: Sequence[str], files: Sequence[str]) -> tuple[GivenRecord, ...]:
    """Return the TXT records that were typed, and those of files, one a line. Raises `UsageError`."""
    found = [GivenRecord("--record", _text_of(text.encode("utf-8", "surrogateescape"))) for text in said]
    for name in files:
        found += [GivenRecord(name, _text_of(line)) for line in read_file(name).splitlines() if line.strip()]
    return tuple(found)


def given_certificate(said: str) -> GivenCertificate:
    """Return what a host shows, from HOST=FILE, or from FILE for every MX host. Raises `UsageError`."""
    host, equals, name = said.partition("=")
    if not equals:
        host, name = "", said
    leaf, *chain = certificates_in(name)
    return GivenCertificate(name, host, leaf, tuple(chain))


def certificates_in(name: str) -> tuple[Certificate, ...]:
    """Return the certificates of a file. Raises `UsageError`."""
    from mta_sts_lab.policy_check.certificates import read_certificates

    try:
        return read_certificates(read_file(name))
    except ValueError as error:
        raise UsageError(f"{_shown(name)}: {_shown(str(error))}") from error


def _text_of(line: bytes) -> bytes:
    """Return the text of a record; one in quotes, as a zone file or `dig` shows it, is unpacked and joined."""
    import dns.exception
    import dns.rdata

    stripped = line.strip()
    if not stripped.startswith(b'"'):
        return line
    try:
        record = dns.rdata.from_text("IN", "TXT", stripped.decode("utf-8", "surrogateescape"))
    except (dns.exception.DNSException, UnicodeError, ValueError):
        return line
    return b"".join(getattr(record, "strings", ()))


def _shown(text: str) -> str:
    """Return foreign text for a message."""
    return escape_unprintable(text)[:200]
