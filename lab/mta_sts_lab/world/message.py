"""The lab's own messages, and what it reads out of those that arrive: tokens, a digest, and the bounces they carry.

Whatever arrives was written by the target and is hostile: nothing that reads here raises for any octets.
"""

from __future__ import annotations

import datetime
import email
import email.utils
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message as Mail

from mta_sts_lab.model.case import Message
from mta_sts_lab.rfc.require_tls import header_fields

#: A token as the lab writes it: in the header `X-Lab-Token: <token>` and in the body as `lab-token:<token>`.
_TOKEN = re.compile(rb"lab-token:[ \t]*([0-9a-f]{16})(?![0-9a-f])", re.IGNORECASE)
#: The field of the header in which it stands.
_MARKING_FIELD = "X-Lab-Token"
#: Fields of one of the lab's messages in what a notice says.
_FIELD_OF_OURS = re.compile(
    rb"^(X-Lab-Token|(?:From|To|Message-ID)(?=:[ \t]*<[0-9a-f]{16}@)):", re.IGNORECASE | re.MULTILINE
)
#: The first line of the body of each of the lab's messages.
_FIRST_LINE = "For your eyes only."

_BARE_TOKEN = re.compile(r"[0-9a-f]{16}")
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")

#: What can have become of a recipient (RFC 3464, section 2.3.3).
_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})

#: Characters of a diagnostic that go on record: the longest SMTP reply line (RFC 5321, section 4.5.3.1.5) fits.
_LONGEST_DIAGNOSTIC = 600


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a delivery status notification says of one recipient (RFC 3464, section 2.3).

    `action` is failed, delayed, delivered, relayed or expanded; `unreadable` for a message from the null sender without
    such a status, with a broken one, or with an unknown action. `hosts` are the mail servers that it names (RFC 3464,
    sections 2.2.2 and 2.3.5), as it spells them.
    """

    recipient: str
    action: str
    status: str
    diagnostic: str
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeMessage:
    """A message that the lab injects. Its token stands in the envelope, in the header and in the body."""

    sender: str
    recipient: str
    content: bytes
    #: See `body_digest`.
    digest: str


def probe_message(
    token: str, sender_domain: str, domain: str, subject: str, asks: Message | None = None
) -> ProbeMessage:
    """Return a message to the case's domain: 7-bit text in short lines, which no relay has a reason to change.

    `asks` says what stands in it beside the usual. Both addresses have the token as their local part, so that a queue
    entry and a bounce tell whose they are.
    """
    asks = asks or Message()
    sender, recipient = f"{token}@{sender_domain}", f"{token}@{domain}"
    date = email.utils.format_datetime(datetime.datetime.now(datetime.UTC))
    lines = (
        f"From: <{sender}>",
        f"To: <{recipient}>",
        f"Subject: {subject}",
        f"Date: {date}",
        f"Message-ID: <{token}@{sender_domain}>",
        f"{_MARKING_FIELD}: {token}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        *asks.header,
        "",
        *asks.body,
        _FIRST_LINE,
        "",
        f"lab-token:{token}",
    )
    content = "".join(f"{line}\r\n" for line in lines).encode()
    return ProbeMessage(sender, recipient, content, body_digest(content))


def tokens_in(octets: bytes) -> tuple[str, ...]:
    """Return the lab's tokens in some octets of a message, each once, in order."""
    return tuple(dict.fromkeys(found.decode().lower() for found in _TOKEN.findall(octets)))


def tokens_of_message(content: bytes, recipients: Iterable[str]) -> tuple[str, ...]:
    """Return the tokens in a message and in its envelope, where a recipient's local part is one."""
    named = (token for token in map(token_of_address, recipients) if token)
    return tuple(dict.fromkeys((*tokens_in(content), *named)))


def token_of_address(address: str) -> str:
    """Return an address's local part if it is a token, else the empty string."""
    local_part = address.rpartition("@")[0].lower()
    return local_part if _BARE_TOKEN.fullmatch(local_part) else ""


def stamped(content: bytes) -> float:
    """Return when the relay before us took a message, by its own clock, in seconds since 1970; 0: it does not say.

    That is the date of the topmost Received field (RFC 5321, section 4.4).
    """
    field = next((one for one in header_fields(content) if one.lower().startswith("received:")), "")
    try:
        return email.utils.parsedate_to_datetime(field.rpartition(";")[2].strip()[:200]).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def quotes_body(content: bytes) -> bool:
    """Whether a message has the body of one of the lab's in it, in whatever encoding."""
    return any(_FIRST_LINE.encode() in text for text in _as_read(content))


def quotes_header(content: bytes) -> bool:
    """Whether a notification has the header section of one of the lab's messages in it, in whatever encoding.

    A notice may name the author, the recipient or the Message-ID; one with two of these fields quotes the header.
    """
    for text in _as_read(content):
        names = {found.lower() for found in _FIELD_OF_OURS.findall(text)}
        if _MARKING_FIELD.lower().encode() in names or len(names) > 1:
            return True
    return False


def _as_read(content: bytes) -> Iterator[bytes]:
    """Yield what follows a message's own header, as it came, and the content of each of its encoded parts.

    The author is the recipient of the notice, so his address stands in its own header.
    """
    end = _END_OF_HEADER.search(content)
    yield content[end.end() :] if end else content
    try:
        for part in email.message_from_bytes(content).walk():
            yield _decoded(part)
    except Exception:  # noqa: BLE001 - see `bounces_in`
        return


def _decoded(part: Mail) -> bytes:
    """Return what an encoded part says; empty for any other.

    Python's parser takes an enclosed message for one before it decodes it: then the encoded lines are its body.
    """
    payload = part.get_payload()
    if isinstance(payload, list) and payload and part.get_content_maintype() == "message":
        part = _with_encoding_of(part, payload[0])
    octets = part.get_payload(decode=True)
    encoded = str(part.get("Content-Transfer-Encoding", "")).strip().lower() in ("base64", "quoted-printable")
    return octets if encoded and isinstance(octets, bytes) else b""


def _with_encoding_of(part: Mail, enclosed: object) -> Mail:
    again = Mail()
    again["Content-Transfer-Encoding"] = str(part.get("Content-Transfer-Encoding", ""))
    again.set_payload(enclosed.get_payload() if isinstance(enclosed, Mail) else "")
    return again


def body_digest(content: bytes) -> str:
    """Return the SHA-256 of a message's body, in hexadecimal digits: equal for what arrived untouched.

    Without the header (every relay adds to it), with CRLF line ends, without blank lines at the end.
    """
    end = _END_OF_HEADER.search(content)
    body = content[end.end() :] if end else b""
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    return hashlib.sha256(lines.replace(b"\n", b"\r\n")).hexdigest()


def bounces_in(content: bytes) -> tuple[Bounce, ...]:
    """Return what a message from the null sender says, one entry a recipient; never empty."""
    try:
        found = tuple(_bounces(email.message_from_bytes(content)))
    except Exception:  # noqa: BLE001 - the parser was not written for hostile input (RecursionError, LookupError, ...)
        found = ()
    return found or (Bounce("", "unreadable", "", ""),)


def _bounces(message: Mail) -> Iterable[Bounce]:
    """Read every delivery status in a message, whatever it is wrapped in.

    RFC 3464, section 2 asks for multipart/report. OpenSMTPD 7.6 writes multipart/mixed; its "delayed" is no less clear.
    """
    for part in _own_parts(message):
        if part.get_content_type() != "message/delivery-status":
            continue
        payload = part.get_payload()
        blocks = [block for block in payload if isinstance(block, Mail)] if isinstance(payload, list) else []
        # The first block is about the message, every other one about a recipient (RFC 3464, section 2.1).
        for block in blocks[1:]:
            if "Action" in block:
                yield _bounce_of(block, blocks[0])


def _own_parts(message: Mail) -> Iterator[Mail]:
    """Yield the parts that a message speaks with itself.

    An enclosed message is older and of somebody else: an old warning of a delay comes back with the notice that the
    message was given up.
    """
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            inner = part.get_payload()
            waiting += [one for one in reversed(inner) if isinstance(one, Mail)] if isinstance(inner, list) else []
        else:
            yield part


def _bounce_of(block: Mail, about_message: Mail) -> Bounce:
    recipient = _value(block, "Final-Recipient") or _value(block, "Original-Recipient")
    action = _value(block, "Action").partition("(")[0].strip().lower()
    return Bounce(
        recipient=recipient.rpartition(";")[2].strip().lower(),
        action=action if action in _ACTIONS else "unreadable",
        status=_value(block, "Status").partition(" ")[0],
        diagnostic=_value(block, "Diagnostic-Code")[:_LONGEST_DIAGNOSTIC],
        hosts=tuple(_hosts((_value(about_message, "Reporting-MTA"), _value(block, "Remote-MTA")))),
    )


def _hosts(fields: Iterable[str]) -> Iterator[str]:
    """Yield the names in fields such as `dns; mx1.example.com`."""
    for field in fields:
        kind, _, name = field.partition(";")
        if kind.strip().lower() == "dns" and name.strip():
            yield name.strip()[:_LONGEST_DIAGNOSTIC]


def _value(block: Mail, name: str) -> str:
    return " ".join(str(block.get(name, "")).split())
