"""The ClientHello as it stands in clear on the wire: its SNI and what else DANE has rules about (RFC 8446). Pure."""

from __future__ import annotations

from dataclasses import dataclass

_HANDSHAKE = 22
_CLIENT_HELLO = 1

#: Extensions (RFC 6066, section 3, RFC 7250, section 3, RFC 5077, section 3.2, and RFC 8446, section 4.2).
_SERVER_NAME = 0
_SERVER_CERTIFICATE_TYPE = 20
_SESSION_TICKET = 35
_PRE_SHARED_KEY = 41
_SUPPORTED_VERSIONS = 43

#: The versions of TLS as they stand in a hello (RFC 8446, section 4.2.1).
_VERSIONS = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}

#: A certificate type: a bare key (RFC 7250, section 3).
_RAW_PUBLIC_KEY = 2

#: Octets. The largest hello seen from a client with post-quantum key shares has 1.8 KiB.
LARGEST_HELLO = 65536

#: The suites of the IANA registry that show no certificate (DH_anon and ECDH_anon).
_ANONYMOUS = frozenset(
    {
        *(0x17, 0x18, 0x19, 0x1A, 0x1B, 0x34, 0x3A, 0x46, 0x6C, 0x6D, 0x89, 0x9B, 0xA6, 0xA7, 0xBF, 0xC5),
        *(0xC015, 0xC016, 0xC017, 0xC018, 0xC019, 0xC046, 0xC047, 0xC05A, 0xC05B, 0xC084, 0xC085),
    }
)

#: Two values that are no suites but signals (RFC 5746, section 3.3, and RFC 7507, section 2).
_SIGNALS = frozenset({0x00FF, 0x5600})


class NotTls(Exception):
    """What arrived is not the beginning of a TLS handshake. The message says why."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The first message of a handshake. `sni` is empty when the client named no server (RFC 6066, section 3)."""

    sni: str
    #: The numbers of the cipher suites that the client offers.
    cipher_suites: tuple[int, ...] = ()
    #: Whether it offers to take a bare key in place of a certificate (RFC 7250).
    raw_public_keys: bool = False
    #: The newest version of TLS that it offers: "1.0" to "1.3", or the highest number if it offers none of these.
    version: str = ""
    #: Host names that it has beside the first one, which no client may have (RFC 6066, section 3).
    more_names: tuple[str, ...] = ()
    #: Whether it offers to resume a session by a ticket.
    resumes: bool = False


def authenticates_server(suite: int) -> bool:
    """Whether a cipher suite, by its number, is one in which the server shows who it is."""
    return suite not in _ANONYMOUS | _SIGNALS


def is_ssl2_hello(octets: bytes) -> bool:
    """Whether some octets begin as a hello in the form of SSL 2.0, without room for SNI (RFC 5246, appendix E.2)."""
    return len(octets) >= 3 and octets[0] & 0x80 != 0 and octets[2] == _CLIENT_HELLO


def looks_like_tls(octets: bytes) -> bool:
    """Whether some octets can be the beginning of a TLS handshake: no SMTP command starts with octet 22."""
    return octets[:1] == bytes([_HANDSHAKE]) and octets[1:2] in (b"", b"\x03")


def parse_client_hello(octets: bytes) -> ClientHello | None:
    """Return the ClientHello at the beginning of some octets, or None while it is incomplete. Raises `NotTls`."""
    message = _handshake_message(octets)
    if message is None:
        return None
    if message[0] != _CLIENT_HELLO:
        raise NotTls(f"handshake message {message[0]} instead of a ClientHello")
    return _read(message[4:])


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


def _read(hello: bytes) -> ClientHello:
    reader = _Reader(hello)
    legacy_version = reader.take(2)
    reader.take(32)  # random
    reader.field(1)  # session id
    suites = reader.field(2)
    reader.field(1)  # compression methods
    extensions = _extensions(reader)
    names = _server_names(extensions)
    return ClientHello(
        names[0] if names else "",
        tuple(int.from_bytes(suites[at : at + 2], "big") for at in range(0, len(suites) - 1, 2)),
        _RAW_PUBLIC_KEY in extensions.get(_SERVER_CERTIFICATE_TYPE, b"")[1:],
        _newest_version(legacy_version, extensions),
        names[1:],
        bool(extensions.get(_SESSION_TICKET) or _PRE_SHARED_KEY in extensions),
    )


def _extensions(reader: _Reader) -> dict[int, bytes]:
    if not reader:
        return {}
    extensions = _Reader(reader.field(2))
    found: dict[int, bytes] = {}
    while extensions:
        kind = int.from_bytes(extensions.take(2), "big")
        found.setdefault(kind, extensions.field(2))
    return found


def _server_names(extensions: dict[int, bytes]) -> tuple[str, ...]:
    if _SERVER_NAME not in extensions:
        return ()
    names = _Reader(_Reader(extensions[_SERVER_NAME]).field(2))
    found = []
    while names:
        kind, name = names.take(1), names.field(2)
        if kind == b"\x00":
            found.append(name.decode("ascii", "replace"))
    return tuple(found)


def _newest_version(legacy: bytes, extensions: dict[int, bytes]) -> str:
    """Return the newest version on offer; values that only test a server's tolerance (RFC 8701) are none."""
    offered = [int.from_bytes(legacy, "big")]
    if _SUPPORTED_VERSIONS in extensions:
        listed = _Reader(_Reader(extensions[_SUPPORTED_VERSIONS]).field(1))
        offered = []
        while listed:
            offered.append(int.from_bytes(listed.take(2), "big"))
    known = [number for number in offered if number in _VERSIONS]
    return _VERSIONS[max(known)] if known else f"{max(offered, default=0):#06x}"
