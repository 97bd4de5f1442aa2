"""Flaws: beginnings of a TLS handshake that the ssl module of Python does not make."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from mta_sts_lab.reference.flaws import Flaws

#: ECDHE-ECDSA-AES128-GCM-SHA256 and ECDHE-RSA-AES128-GCM-SHA256.
_USUAL_SUITES = (0xC02B, 0xC02F)

#: ADH-AES128-SHA and AECDH-AES128-SHA: nobody shows a certificate.
_ANONYMOUS_SUITES = (0x0034, 0xC018)

_TLS_1_2 = 0x0303


def odd_hello(server_name: str, flaws: Flaws) -> bytes:
    """Return the ClientHello that a flaw makes; empty without one."""
    if flaws.says_hello_of_ssl2:
        return _ssl2_hello()
    if flaws.offers_anonymous_suites_alone:
        return _hello((server_name,), _ANONYMOUS_SUITES)
    if flaws.offers_raw_public_keys:
        return _hello((server_name,), _USUAL_SUITES, _extension(20, b"\x02\x02\x00"))
    return b""


def hello_with_two_names(host: str, other: str) -> bytes:
    """Return a ClientHello that names two servers (RFC 6066, section 3, forbids it)."""
    return _hello((host, other), _USUAL_SUITES)


def hello_that_resumes(server_name: str) -> bytes:
    """Return a ClientHello that offers to resume a session by a ticket (RFC 5077, section 3.2)."""
    return _hello((server_name,), _USUAL_SUITES, _extension(35, os.urandom(192)))


def _ssl2_hello() -> bytes:
    """Return a hello in the form of SSL 2.0 (RFC 5246, appendix E.2)."""
    suites = b"".join(struct.pack("!BH", 0, suite) for suite in _USUAL_SUITES)
    body = struct.pack("!BHHHH", 1, _TLS_1_2, len(suites), 0, 32) + suites + os.urandom(32)
    return struct.pack("!H", 0x8000 | len(body)) + body


def _hello(server_names: Sequence[str], suites: Sequence[int], more: bytes = b"") -> bytes:
    """Return a ClientHello for TLS 1.2 (RFC 5246, section 7.4.1.2) that names one server or several."""
    offered = b"".join(struct.pack("!H", suite) for suite in suites)
    named = _long(b"".join(b"\x00" + _long(name.encode("ascii")) for name in server_names))
    groups, algorithms = b"\x00\x02\x00\x17", b"\x00\x04\x04\x03\x04\x01"
    extensions = _extension(0, named) + _extension(10, groups) + _extension(13, algorithms) + more
    body = struct.pack("!H", _TLS_1_2) + os.urandom(32) + b"\x00" + _long(offered) + b"\x01\x00" + _long(extensions)
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + _long(message)


def _extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!H", kind) + _long(content)


def _long(content: bytes) -> bytes:
    return struct.pack("!H", len(content)) + content
