"""How the address of a mailbox and a URI are written (RFC 5322, section 3.4.1; RFC 3986). Pure."""

from __future__ import annotations

import re

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
_ADDR_SPEC = re.compile(rf'(?:{DOT_ATOM}|"(?:[ !#-\[\]-~]|\\[ -~])*")@(?:{DOT_ATOM}|\[[!-Z^-~]*\])', re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)


def is_addr_spec(text: str) -> bool:
    """Whether it is a bare mailbox address (RFC 5322, section 3.4.1)."""
    return len(text) <= 512 and _ADDR_SPEC.fullmatch(text) is not None


def is_uri(text: str) -> bool:
    """Whether it is a URI with a scheme and only characters that a URI may have (RFC 3986)."""
    return _URI.fullmatch(text) is not None
