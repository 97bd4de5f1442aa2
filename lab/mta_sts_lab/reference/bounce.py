"""The notice that a message was given up (RFC 3464, RFC 5321, section 6.1)."""

from __future__ import annotations

import email
from dataclasses import replace
from email import policy
from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.smtp_client import Envelope

#: Octets of the returned message's header section.
LARGEST_HEADER = 16 * 1024

#: Only for the flaw that spells its own address without the tag (RFC 5321, section 4.1.3).
_SOME_IPV6_ADDRESS = "[2001:db8::25]"


def build_bounce(
    failed: Envelope, reason: str, status: str, hostname: str, now: float, flaws: Flaws = NO_FLAWS
) -> Envelope:
    """Return the notification that a message was given up, with the null reverse-path (RFC 5321, section 6.1).

    It requires TLS if the message did, and has no body of it: RET=FULL is disregarded then (RFC 8689, section 5).
    """
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
    author = _SOME_IPV6_ADDRESS if flaws.writes_bare_ipv6_addresses_in_notices else hostname
    report.attach(_delivery_status(failed, said, "" if flaws.writes_notices_without_status else status, author))
    heeded = failed.return_whole and (not failed.requires_tls or flaws.heeds_ret_full)
    whole = heeded or (failed.requires_tls and flaws.returns_body_of_requiretls_mail)
    returned = EmailMessage(policy=policy.SMTP)
    returned["Content-Type"] = "message/rfc822" if whole else "text/rfc822-headers"
    returned.set_payload(_readable(failed.message) if whole else _header_section(failed.message))
    report.attach(returned)
    named = flaws.names_itself_in_bounces if failed.requires_tls else flaws.gives_notices_a_sender
    sender = f"mailer-daemon@{hostname}" if named else ""
    return Envelope(sender, failed.sender, report.as_bytes(), requires_tls=failed.requires_tls)


def redacted(bounce: Envelope) -> Envelope:
    """Return a notification without what it quotes, which may go where REQUIRETLS is unknown (RFC 8689, section 5)."""
    report = email.message_from_bytes(bounce.message, policy=policy.SMTP)
    kept: list[Message | str] = [*list(report.iter_parts())[:2]]
    report.set_payload(kept)
    return replace(bounce, message=report.as_bytes(), requires_tls=False)


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
    return _readable(message.replace(b"\r\n", b"\n").partition(b"\n\n")[0][:LARGEST_HEADER]) + "\n"


def _readable(octets: bytes) -> str:
    return octets.replace(b"\r\n", b"\n").decode("ascii", "replace").replace("�", "?")
