"""TLS records as they stand in clear on the wire: the ClientHello with its SNI, and unencrypted alerts (RFC 8446).

A passive look that holds no key: enough for attackers that only watch, cut or disturb a handshake.
"""

from __future__ import annotations

from dataclasses import dataclass
from ssl import AlertDescription

_ALERT = 21
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0

#: change_cipher_spec, alert, handshake, application data (RFC 8446, section 5.1) and heartbeat (RFC 6520).
_RECORD_TYPES = range(20, 25)

#: Octets in a record at most, with what encryption may add (RFC 5246, section 6.2.3).
_LARGEST_RECORD = 16384 + 2048

#: Octets. The largest hello seen from a client with post-quantum key shares has 1.8 KiB.
LARGEST_HELLO = 65536

#: RFC 8446, section 4.1.3: a ServerHello with this random is a HelloRetryRequest, behind which no certificate follows
#: yet.
_RETRY_RANDOM = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")

#: The descriptions of alerts (RFC 8446, section 6) in OpenSSL's own wording, which is what the record shows for every
#: host of the lab: those that Python knows, and those that it does not know or spells in another way.
ALERTS = {
    alert.value: alert.name.removeprefix("ALERT_DESCRIPTION_").replace("_", " ").lower() for alert in AlertDescription
} | {
    86: "inappropriate fallback",
    90: "user canceled",
    109: "missing extension",
    116: "certificate required",
    120: "no application protocol",
}


class NotTls(Exception):
    """What arrived is not the beginning of a TLS handshake. The message says why."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The first message of a handshake. `sni` is empty when the client named no server (RFC 6066, section 3)."""

    sni: str


def alert_words(description: int) -> str:
    """Return the words for an alert's description."""
    return ALERTS.get(description, f"alert {description}")


def plain_alert(octets: bytes) -> str:
    """Return the words for an alert that stands unencrypted at the beginning of some octets; empty if none does."""
    if len(octets) >= 7 and octets[0] == _ALERT and octets[1] == 3 and octets[3:5] == b"\x00\x02":
        return alert_words(octets[6])
    return ""


def looks_like_tls(octets: bytes) -> bool:
    """Whether some octets can be the beginning of a TLS handshake: no SMTP command starts with octet 22."""
    return octets[:1] == bytes([_HANDSHAKE]) and octets[1:2] in (b"", b"\x03")


def record_ahead(header: bytes) -> int | None:
    """Return how many octets the TLS record has that begins with up to five octets of a header, itself included.

    It is 0 if these are no TLS, and None while they may still become a header.
    """
    if header and (header[0] not in _RECORD_TYPES or header[1:2] not in (b"", b"\x03")):
        return 0
    if len(header) < 5:
        return None
    length = int.from_bytes(header[3:5], "big")
    return 5 + length if length <= _LARGEST_RECORD else 0


def answers_with_certificate(octets: bytes) -> bool:
    """Whether what a server sends first is a ServerHello that goes on (no alert, no HelloRetryRequest)."""
    return octets[:1] == bytes([_HANDSHAKE]) and octets[11:43] != _RETRY_RANDOM


def parse_client_hello(octets: bytes) -> ClientHello | None:
    """Return the ClientHello at the beginning of some octets, or None while it is incomplete. Raises `NotTls`."""
    message = _handshake_message(octets)
    if message is None:
        return None
    if message[0] != _CLIENT_HELLO:
        raise NotTls(f"handshake message {message[0]} instead of a ClientHello")
    return ClientHello(_server_name(_extensions(message[4:])))


def _handshake_message(octets: bytes) -> bytes | None:
    """Return the first handshake message, put together from as many records as it fills."""
    if len(octets) > LARGEST_HELLO:
        raise NotTls(f"{len(octets)} octets and no end of the ClientHello")
    message = b""
    start = 0
    while True:
        header = octets[start : start + 5]
        if header and not looks_like_tls(header):
            raise NotTls(f"begins with {octets[:8].hex()}")
        if len(header) < 5:
            return None
        length = int.from_bytes(header[3:5], "big")
        if length == 0:
            raise NotTls("an empty handshake record")
        message += octets[start + 5 : start + 5 + length]
        start += 5 + length
        wanted = 4 + int.from_bytes(message[1:4], "big") if len(message) >= 4 else LARGEST_HELLO
        if len(message) >= wanted:
            return message[:wanted]
        if start > len(octets):
            return None


class _Reader:
    """Takes length-prefixed fields out of octets. Raises `NotTls` where they end too early."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def take(self, count: int) -> bytes:
        if count > len(self._octets):
            raise NotTls("the ClientHello ends in the middle of a field")
        taken, self._octets = self._octets[:count], self._octets[count:]
        return taken

    def field(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "big"))

    def __bool__(self) -> bool:
        return bool(self._octets)


def _extensions(hello: bytes) -> dict[int, bytes]:
    reader = _Reader(hello)
    reader.take(2 + 32)  # version, random
    reader.field(1)  # session id
    reader.field(2)  # cipher suites
    reader.field(1)  # compression methods
    if not reader:
        return {}
    extensions = _Reader(reader.field(2))
    found: dict[int, bytes] = {}
    while extensions:
        kind = int.from_bytes(extensions.take(2), "big")
        found.setdefault(kind, extensions.field(2))
    return found


def _server_name(extensions: dict[int, bytes]) -> str:
    if _SERVER_NAME not in extensions:
        return ""
    names = _Reader(_Reader(extensions[_SERVER_NAME]).field(2))
    while names:
        kind, name = names.take(1), names.field(2)
        if kind == b"\x00":
            return name.decode("ascii", "replace")
    return ""
