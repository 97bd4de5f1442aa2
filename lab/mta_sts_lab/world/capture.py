"""Captures the packets of the lab's network namespace: a process of its own, which delays nothing of the lab.

It needs Linux and CAP_NET_RAW. `backends.capturing` starts it, waits for "ready" on its standard output, and ends it by
closing its standard input.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from mta_sts_lab import pcapng

#: The attacker reaches the genuine hosts over this interface.
LOOPBACK = "lo"

#: Octets of packets that are kept. The whole catalogue against Postfix comes to less than a tenth.
LARGEST_CAPTURE = 1 << 30

# linux/if_packet.h and asm-generic/socket.h: names that Python does not have.
_ALL_PROTOCOLS, _SOL_PACKET, _PACKET_STATISTICS = 3, 263, 6
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33

#: Octets that the kernel keeps for this process while it does not run: a second of what a fast disk could take.
_BUFFER = 64 << 20
_TIMESPEC = struct.Struct("@ll")


def main() -> None:
    """Capture into the file of the first argument until standard input ends."""
    try:
        with _all_packets() as sock, Path(sys.argv[1]).open("wb") as file:
            _say("ready")
            _Capture(sock, file).run()
    except OSError as error:
        needs = "; a container needs NET_RAW for that" if isinstance(error, PermissionError) else ""
        _say(f"no packets can be captured here: {error.strerror}{needs}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _all_packets() -> socket.socket:
    """Return a socket that gets each packet of each interface, with the kernel's time. Raises `OSError`."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    sock.setblocking(False)
    return sock


class _Capture:
    """Writes packets as they come."""

    def __init__(self, sock: socket.socket, file: BinaryIO) -> None:
        self._sock = sock
        self._file = file
        self._interfaces: dict[str, int] = {}
        self._left = LARGEST_CAPTURE
        self._lost = 0
        file.write(pcapng.section())

    def run(self) -> None:
        """Capture until standard input ends."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(sys.stdin.buffer, selectors.EVENT_READ)
            while not any(key.fileobj is sys.stdin.buffer for key, _ in selector.select()):
                self._take_all()
        self._take_all()
        _, lost = struct.unpack("@II", self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._file.write(pcapng.statistics(self._lost + lost))

    def _take_all(self) -> None:
        while True:
            try:
                frame, ancillary, _, sender = self._sock.recvmsg(1 << 17, 64)
            except BlockingIOError:
                self._file.flush()
                return
            # Each packet on loopback comes twice: as it goes, and as it arrives.
            if sender[0] != LOOPBACK or sender[2] != socket.PACKET_OUTGOING:
                self._write(sender[0], frame, ancillary[0][2])

    def _write(self, name: str, frame: bytes, time: bytes) -> None:
        self._left -= len(frame)
        if self._left < 0:
            self._lost += 1
            return
        if name not in self._interfaces:
            self._interfaces[name] = len(self._interfaces)
            self._file.write(pcapng.interface(name))
        seconds, nanoseconds = _TIMESPEC.unpack(time)
        self._file.write(pcapng.packet(self._interfaces[name], seconds * 10**9 + nanoseconds, frame))


if __name__ == "__main__":
    main()
