"""A TLS-RPT report as a mail: multipart/report with report-type tlsrpt (RFC 8460, section 5.3). Pure."""

from __future__ import annotations

import base64
from email import policy
from email.message import EmailMessage
from email.utils import formatdate

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.report import Report, contact
from mta_sts_lab.reference.report_spoiled import in_u_labels

#: Lines are not folded: the email package would break long names up into encoded words, which no field here allows.
#: All of them stay below the 998 octets of RFC 5322, section 2.1.1: the longest has two domain names in it.
_UNFOLDED = policy.SMTP.clone(max_line_length=None)

#: Occurs in no base64.
_BOUNDARY = "=_reference_sender_tls_report"


def build_report_mail(report: Report, to: str, hostname: str, now: float, flaws: Flaws = NO_FLAWS) -> bytes:
    """Return the mail that carries a report to an address. `now` is virtual, in seconds since 1970."""
    mail = EmailMessage(policy=_UNFOLDED)
    mail["From"] = contact(report.submitter)
    mail["To"] = to
    mail["Subject"] = _subject(report, flaws)
    mail["Date"] = formatdate(now)
    mail["Message-ID"] = f"<{report.id}>"
    if not flaws.leaves_out_report_fields:
        mail["TLS-Report-Domain"] = report.domain
        mail["TLS-Report-Submitter"] = hostname if flaws.names_other_submitter else report.submitter
    mail["TLS-Required"] = "No"
    mail["Auto-Submitted"] = "auto-generated"
    kind = "multipart/mixed" if flaws.mails_as_mixed else "multipart/report; report-type=tlsrpt"
    mail["Content-Type"] = f'{kind}; boundary="{_BOUNDARY}"'
    mail["MIME-Version"] = "1.0"
    explanation = EmailMessage(policy=_UNFOLDED)
    explanation.set_content(
        f"This is an aggregate TLS report of {report.submitter} about {report.domain} (RFC 8460).\n", cte="7bit"
    )
    mail.attach(explanation)
    mail.attach(_machine_part(report, flaws))
    return mail.as_bytes()


def _subject(report: Report, flaws: Flaws) -> str:
    if flaws.writes_free_subject:
        return f"TLS report for {report.domain}"
    return f"Report Domain: {report.domain} Submitter: {report.submitter} Report-ID: <{report.id}>"


def _machine_part(report: Report, flaws: Flaws) -> EmailMessage:
    name = "tls-report.json.gz" if flaws.names_file_badly else report.file_name
    subtype = "gzip" if flaws.mails_wrong_media_type else "tlsrpt+gzip"
    part = EmailMessage(policy=_UNFOLDED)
    part["Content-Type"] = f"application/{subtype}"
    part["Content-Transfer-Encoding"] = "base64"
    if flaws.names_file_in_u_labels:
        name = name.replace(report.domain, in_u_labels(report.domain))
    # Outside of ASCII the package encodes it as RFC 2231 has it.
    part.add_header("Content-Disposition", "attachment", filename=name)
    part.set_payload(base64.encodebytes(report.packed).decode("ascii"))
    return part
