"""TLS records in clear on the wire, beside the ClientHello: unencrypted alerts and ServerHellos (RFC 8446).

A passive look that holds no key: enough for attackers that only watch, cut or disturb a handshake.
"""

from __future__ import annotations

from ssl import AlertDescription

_ALERT = 21
_HANDSHAKE = 22

#: change_cipher_spec, alert, handshake, application data (RFC 8446, section 5.1) and heartbeat (RFC 6520).
_RECORD_TYPES = range(20, 25)

#: Octets in a record at most, with what encryption may add (RFC 5246, section 6.2.3).
_LARGEST_RECORD = 16384 + 2048

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


def alert_words(description: int) -> str:
    """Return the words for an alert's description."""
    return ALERTS.get(description, f"alert {description}")


def plain_alert(octets: bytes) -> str:
    """Return the words for an alert that stands unencrypted at the beginning of some octets; empty if none does."""
    if len(octets) >= 7 and octets[0] == _ALERT and octets[1] == 3 and octets[3:5] == b"\x00\x02":
        return alert_words(octets[6])
    return ""


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
