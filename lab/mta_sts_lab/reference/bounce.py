"""Delivery status notifications (RFC 3464). Pure."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid

from mta_sts_lab.reference.smtp_client import Envelope

#: Octets of the returned message's header section.
LARGEST_HEADER = 16 * 1024


def build_bounce(failed: Envelope, reason: str, status: str, hostname: str, now: float) -> Envelope:
    """Return the notification that a message was given up, with the null reverse-path (RFC 5321, section 6.1)."""
    report = EmailMessage(policy=policy.SMTP)
    report["From"] = f"Mail Delivery System <mailer-daemon@{hostname}>"
    report["To"] = _header_text(failed.sender)
    report["Subject"] = "Undelivered Mail Returned to Sender"
    report["Date"] = formatdate(now)
    report["Message-ID"] = make_msgid(domain=hostname)
    report["Auto-Submitted"] = "auto-replied"
    report["Content-Type"] = 'multipart/report; report-type=delivery-status; boundary="=_reference_sender_report"'
    report["MIME-Version"] = "1.0"
    said = _header_text(reason)
    explanation = EmailMessage(policy=policy.SMTP)
    explanation.set_content(f"Your message to {_header_text(failed.recipient)} was given up.\n\n{said}\n")
    report.attach(explanation)
    report.attach(_delivery_status(failed, said, status, hostname))
    header = EmailMessage(policy=policy.SMTP)
    header["Content-Type"] = "text/rfc822-headers"
    header.set_payload(_header_section(failed.message))
    report.attach(header)
    return Envelope("", failed.sender, report.as_bytes())


def _delivery_status(failed: Envelope, said: str, status: str, hostname: str) -> EmailMessage:
    of_message, of_recipient = Message(), Message()
    of_message["Reporting-MTA"] = f"dns; {hostname}"
    of_recipient["Final-Recipient"] = f"rfc822; {_header_text(failed.recipient)}"
    of_recipient["Action"] = "failed"
    of_recipient["Status"] = status
    of_recipient["Diagnostic-Code"] = f"X-Reference-Sender; {said}"
    part = EmailMessage(policy=policy.SMTP)
    part["Content-Type"] = "message/delivery-status"
    part.set_payload([of_message, of_recipient])
    return part


def _header_text(text: str) -> str:
    """Text that can stand in a header: one line of printable ASCII, bounded."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)[:400]


def _header_section(message: bytes) -> str:
    section = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0][:LARGEST_HEADER]
    return section.decode("ascii", "replace").replace("�", "?") + "\n"
