"""What Python's tarfile does not tell of a tar archive: whether there is one, and whether it was read to its end."""

from __future__ import annotations

import tarfile

#: A tar archive consists of blocks of so many octets (POSIX.1-2017, pax, "ustar Interchange Format").
_BLOCK = 512


def is_tar(octets: bytes) -> bool:
    """Whether a tar archive begins here; the oldest kind has no mark, only the checksum of its first header."""
    if octets[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(octets[:_BLOCK], "utf-8", "replace")
    except tarfile.HeaderError:
        return False
    return True


def wrong_end(octets: bytes, end: int) -> str:
    """Say what is wrong with a tar archive behind its last member that was read; empty where it ends as it has to.

    The library takes a header that is damaged, cut or missing for the end of the archive.
    """
    block = octets[end : end + _BLOCK]
    if len(block) < _BLOCK:
        return "it has no end: it was cut off"
    if block.strip(b"\0"):
        return f"no header can be read at octet {end}, and nothing from there on"
    if octets[end:].strip(b"\0"):
        return f"it ends at octet {end}; what follows, as in archives joined into one file, was not read"
    return ""
