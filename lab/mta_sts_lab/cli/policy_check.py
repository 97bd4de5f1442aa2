"""`sts-lab policy-check`: what was typed, and the files that it names."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from mta_sts_lab.cli.output import console, say_document

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
    typer.Option(
        "--at",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"],
        help="Check certificates for this time in UTC: 2026-12-01, or 2026-12-01T12:00:00.",
        show_default="now",
    ),
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
    """Check your own MTA-STS policy before you publish it.

    It says what is wrong with which line, and what senders will do.

    Nothing is looked up: give the policy, and what else you have.

    Exit status: 0 no problem, 1 problems, 2 a file cannot be read.
    """
    from mta_sts_lab.policy_check import Given, GivenPolicy, check_given
    from mta_sts_lab.reports.policy_check.document import document
    from mta_sts_lab.reports.policy_check.terminal import pages
    from mta_sts_lab.runs.policy_files import certificates_in, given_certificate, given_records, mx_names, read_file

    given = Given(
        now=at.replace(tzinfo=datetime.UTC) if at else datetime.datetime.now(datetime.UTC),
        policy=GivenPolicy(policy, read_file(policy)),
        records=given_records(record or (), record_file or ()),
        mx=mx_names(mx or ()),
        certificates=tuple(given_certificate(one) for one in certificate or ()),
        roots=tuple(root for name in ca or () for root in certificates_in(name)),
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
