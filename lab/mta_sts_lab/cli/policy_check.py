"""`sts-lab policy-check`: what was typed, and the files that it names."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mta_sts_lab.cli.output import console, say_document

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from mta_sts_lab.policy_check import GivenCertificate, GivenRecord

#: Octets. No policy, record or chain of certificates comes near.
LARGEST_FILE = 1 << 20

EXAMPLES = """Examples:

sts-lab policy-check mta-sts.txt --mx mx1.example.org,mx2.example.org

sts-lab policy-check mta-sts.txt --record 'v=STSv1; id=20260101;' --certificate mx1.example.org=chain.pem --ca roots.pem

dig +short TXT _mta-sts.example.org | sts-lab policy-check mta-sts.txt --record-file -
"""

PolicyFile = Annotated[str, typer.Argument(metavar="FILE", help="The policy, mta-sts.txt; - for standard input.")]
Records = Annotated[
    list[str] | None, typer.Option("--record", help="A TXT record of _mta-sts or _smtp._tls, its text (repeatable).")
]
RecordFiles = Annotated[
    list[str] | None, typer.Option("--record-file", help="A file with a TXT record in each line (repeatable).")
]
MxNames = Annotated[
    list[str] | None, typer.Option("--mx", help="The MX hosts in DNS, separated by commas (repeatable).")
]
Certificates = Annotated[
    list[str] | None,
    typer.Option(
        "--certificate",
        help="What a host shows, PEM with its chain or DER: HOST=FILE, or FILE for every MX host (repeatable).",
    ),
]
Authorities = Annotated[
    list[str] | None, typer.Option("--ca", help="Certificates of the authorities that senders trust (repeatable).")
]
At = Annotated[
    datetime.datetime | None,
    typer.Option("--at", help="Check certificates for this time in UTC.", show_default="now"),
]


def policy_check(
    policy: PolicyFile,
    record: Records = None,
    record_file: RecordFiles = None,
    mx: MxNames = None,
    certificate: Certificates = None,
    ca: Authorities = None,
    at: At = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, and nothing else.")] = False,
) -> None:
    """Check an MTA-STS policy of your own, and say what senders will do.

    Nothing is looked up: give the policy, and what else you have.

    Exit status: 0 no problem, 1 problems, 2 a file cannot be read.
    """
    from mta_sts_lab.policy_check import Given, GivenPolicy, check_given
    from mta_sts_lab.reports.policy_check.document import document
    from mta_sts_lab.reports.policy_check.terminal import pages

    given = Given(
        now=at.replace(tzinfo=datetime.UTC) if at else datetime.datetime.now(datetime.UTC),
        policy=GivenPolicy(policy, read_file(policy)),
        records=tuple(given_records(record or (), record_file or ())),
        mx=mx_names(mx or ()),
        certificates=tuple(_certificate(one) for one in certificate or ()),
        roots=tuple(root for name in ca or () for root in _certificates_in(name)),
    )
    checked = check_given(given)
    status = 1 if checked.problems else 0
    if json:
        say_document(document(checked, status))
    else:
        screen = console()
        for part in pages(checked):
            screen.print(part)
    raise typer.Exit(status)


def mx_names(said: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a list that was separated by commas or blanks."""
    return tuple(name for one in said for name in one.replace(",", " ").split())


def given_records(said: Sequence[str], files: Sequence[str]) -> list[GivenRecord]:
    """Return the TXT records that were typed, and those of files. Raises `UsageError`."""
    from mta_sts_lab.policy_check import GivenRecord

    found = [GivenRecord("--record", _text_of(text.encode("utf-8", "surrogateescape"))) for text in said]
    for name in files:
        found += [GivenRecord(name, _text_of(line)) for line in read_file(name).splitlines() if line.strip()]
    return found


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


def _certificate(said: str) -> GivenCertificate:
    from mta_sts_lab.policy_check import GivenCertificate

    host, equals, name = said.partition("=")
    if not equals:
        host, name = "", said
    leaf, *chain = _certificates_in(name)
    return GivenCertificate(name, host, leaf, tuple(chain))


def _certificates_in(name: str) -> tuple[Certificate, ...]:
    from mta_sts_lab.policy_check.certificates import read_certificates
    from mta_sts_lab.runs.errors import UsageError

    try:
        return read_certificates(read_file(name))
    except ValueError as error:
        raise UsageError(f"{shown(name)}: {shown(str(error))}") from error


def read_file(name: str) -> bytes:
    """Return what is in a file, or comes from standard input (`-`). Raises `UsageError`."""
    import sys

    from mta_sts_lab.runs.errors import UsageError

    try:
        if name == "-":
            octets = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with Path(name).open("rb") as file:
                octets = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{shown(name)}: cannot be read: {reason}") from error
    if len(octets) > LARGEST_FILE:
        raise UsageError(f"{shown(name)}: larger than {LARGEST_FILE >> 20} MiB: nothing that belongs here")
    return octets


def shown(text: str) -> str:
    """Return foreign text for a message."""
    from mta_sts_lab.reports.escaping import escape_unprintable

    return escape_unprintable(text)[:200]
