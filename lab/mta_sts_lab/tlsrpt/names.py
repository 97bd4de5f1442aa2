"""Domain names, mailbox names, addresses and URIs as a report has to write them."""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
_ADDR_SPEC = re.compile(
    rf'(?:{_DOT_ATOM}|"(?:[ !#-\[\]-~]|\\[ -~])*")@(?:{_DOT_ATOM}|\[[!-Z^-~]*\])',
    re.ASCII,
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_PADDED_QUAD = re.compile(r"\d{1,9}(?:\.\d{1,9}){3}", re.ASCII)

#: Octets of a domain name in text form (RFC 1035, section 2.3.4).
_LONGEST_DOMAIN = 253

LEADING_ZEROS = "leading-zeros"
NOT_AN_ADDRESS = "not-an-address"
NOT_CANONICAL = "not-rfc-5952"

#: Prefixes whose last 32 bits RFC 5952, section 5, wants in dotted decimal.
_MIXED = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))


def is_domain(text: str) -> bool:
    """Whether it is a domain name of letters, digits, hyphens and underscores; a root dot may end it."""
    return len(text.removesuffix(".")) <= _LONGEST_DOMAIN and _DOMAIN.fullmatch(text) is not None


def plain(name: str) -> str:
    """Return a name in the form in which two spellings of it are equal: small letters, A-labels, no root dot."""
    text = name.removesuffix(".").lower()
    return text if text.isascii() or len(text) > _LONGEST_DOMAIN else ".".join(map(_a_label, text.split(".")))


def within(name: str, domain: str) -> bool:
    """Whether a name is a domain or lies below it."""
    return plain(name) == plain(domain) or plain(name).endswith("." + plain(domain))


def is_addr_spec(text: str) -> bool:
    """Whether it is a bare mailbox address (RFC 5322, section 3.4.1)."""
    return len(text) <= 512 and _ADDR_SPEC.fullmatch(text) is not None


def domain_of(address: str | None) -> str:
    """Return the domain of an address, however it is wrapped; empty if it has none."""
    _, at, domain = (address or "").strip().rstrip(">").rpartition("@")
    return domain if at else ""


def is_uri(text: str) -> bool:
    """Whether it is a URI with a scheme and only characters that a URI may have (RFC 3986)."""
    return _URI.fullmatch(text) is not None


def address_fault(text: str) -> str:
    """Return what is wrong with how an IP address is written; empty if nothing is."""
    try:
        address = ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        address = None
    if address is None:
        quad = _PADDED_QUAD.fullmatch(text)
        padded = quad is not None and all(int(number) <= 255 for number in text.split("."))
        return LEADING_ZEROS if padded else NOT_AN_ADDRESS
    if isinstance(address, ipaddress.IPv4Address) or text in _spellings(address):
        return ""
    return NOT_CANONICAL


def canonical(text: str) -> str:
    """Return an address so that two spellings of it are equal; what is no address stays what it is."""
    bare = text.strip("[] ").lower().removeprefix("ipv6:")
    if _PADDED_QUAD.fullmatch(bare):
        bare = ".".join(str(int(number)) for number in bare.split("."))
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0]))
    except ValueError:
        return text


def _a_label(label: str) -> str:
    """Return a label as DNS has it (RFC 5890, section 2.3.2.1); one that has no such form stays as it is."""
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        return label


def _spellings(address: ipaddress.IPv6Address) -> tuple[str, ...]:
    groups = str(ipaddress.IPv6Address(int(address)))
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    heads = ("::ffff:", "64:ff9b::")
    mixed = tuple(f"{head}{last}" for head, prefix in zip(heads, _MIXED, strict=True) if address in prefix)
    # The section leaves it open whether the reader knows the prefix: plain groups are right as well. Python writes
    # mapped addresses in groups up to 3.12 and mixed from 3.13 on, so the groups are written here.
    in_groups = (
        f"{head}{int(last) >> 16:x}:{int(last) & 0xFFFF:x}" for head, prefix in zip(heads, _MIXED, strict=True)
    )
    return (*mixed, *in_groups, groups, address.compressed)
