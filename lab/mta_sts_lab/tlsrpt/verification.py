"""Whether one DKIM signature is valid (RFC 6376, section 6), in linear time whatever the message is.

The body is hashed here: dkimpy's patterns take the square of a run of blanks, and an object for each line. The header,
which is short, and the keys are dkimpy's. Nothing here asks what time it is: what verified once always does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from mta_sts_lab.tlsrpt.limits import LONGEST_SIGNATURE, MOST_SIGNATURES
from mta_sts_lab.tlsrpt.mail import Message

#: The algorithm that nobody may sign with any more, nor accept (RFC 8301, section 3.1).
OBSOLETE_ALGORITHM = "rsa-sha1"

#: Digits of a point in time (RFC 6376, section 3.5: t= and x=), and of a length in octets that int() takes.
_TIME = re.compile(r"[0-9]{1,12}")
_LENGTH = re.compile(rb"\d{1,76}")


class Validity(StrEnum):
    """The result of verifying one signature."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


def tags_of(text: str) -> Mapping[str, str]:
    """Return the tags of a signature or of a key record (RFC 6376, section 3.2), blanks in their values left out."""
    pairs = (tag.partition("=") for tag in text.split(";"))
    found: dict[str, str] = {}
    for name, _, value in pairs:
        if name.strip():
            found.setdefault(name.strip(), re.sub(r"\s+", "", value))
    return found


def point_in_time(text: str) -> int | None:
    """Return what t= or x= says, in seconds since 1970 (RFC 6376, section 3.5); None if that is no point in time."""
    return int(text) if _TIME.fullmatch(text) else None


def verify_with(message: Message, number: int, record: bytes) -> tuple[Validity, str]:
    """Verify a message's signature of a number, from the top, with a key record; say why where it is not valid.

    When it was made and when it expires (t= and x=) is looked at for its form alone. Never raises for what the message
    or the record says.
    """
    if len(message.all("dkim-signature")[number]) > LONGEST_SIGNATURE:
        return Validity.UNKNOWN, f"the signature field is longer than {LONGEST_SIGNATURE >> 10} KiB"
    return _verified(message.octets, message.top.begin, number, record)


def canonical_body(body: bytes, relaxed: bool) -> bytes:
    """Return a body as its hash wants it (RFC 6376, sections 3.4.3 and 3.4.4). Line ends may be bare LF."""
    lines = body.replace(b"\r\n", b"\n")
    if relaxed:
        lines = lines.replace(b"\t", b" ")
        while b"  " in lines:
            lines = lines.replace(b"  ", b" ")
        lines = lines.replace(b" \n", b"\n").removesuffix(b" ")
    lines = lines.rstrip(b"\n")
    return b"" if relaxed and not lines else lines.replace(b"\n", b"\r\n") + b"\r\n"


# Grading and the list of what was not judged both ask for the same signatures.
@lru_cache(maxsize=MOST_SIGNATURES)
def _verified(octets: bytes, body: int, number: int, record: bytes) -> tuple[Validity, str]:
    import dkim

    try:
        verifier = dkim.DKIM(octets[:body].lstrip(b"\r\n"))
        field = [one for one in verifier.headers if one[0].lower() == b"dkim-signature"][number]
        tags: dict[bytes, bytes] = dkim.parse_tag_value(field[1])
        # Times are looked at here: the verifier would judge them by its own clock.
        dkim.validate_signature_fields({name: tags[name] for name in tags if name not in (b"t", b"x")})
        wrong = _wrong_times(tags) or _wrong_key(tags, record) or _wrong_body(tags, octets[body:])
        if wrong:
            return Validity.INVALID, wrong
        # Without bh= the verifier leaves the body alone.
        header = {name: tags[name] for name in tags if name != b"bh"}
        names = [name.strip().lower() for name in tags[b"h"].split(b":")]
        valid = verifier.verify_sig(header, names, field, lambda *_, **__: _without_services(record))
    except (dkim.ValidationError, dkim.KeyFormatError, dkim.MessageFormatError, dkim.InvalidTagValueList) as error:
        return Validity.INVALID, f"{error}"[:200]
    except binascii.Error:
        return Validity.INVALID, "b= or bh= is no base64"
    except Exception as error:  # noqa: BLE001 - the verifier is not ours, and a hostile signature must not end the run
        return Validity.UNKNOWN, f"the verifier gave up: {type(error).__name__}"
    return (Validity.VALID, "") if valid else (Validity.INVALID, "it does not verify under the key of its domain")


def _wrong_times(tags: Mapping[bytes, bytes]) -> str:
    """Say what is wrong with t= and x= whatever the time is (RFC 6376, section 3.5)."""
    times = {name: point_in_time(tags[name].decode("latin-1")) for name in (b"t", b"x") if name in tags}
    for name, time in times.items():
        if time is None:
            return f"{name.decode()}= is no point in time"
    made, expires = times.get(b"t"), times.get(b"x")
    if made is not None and expires is not None and expires <= made:
        return "it expires before it was made (x= and t=)"
    return ""


def _wrong_key(tags: Mapping[bytes, bytes], record: bytes) -> str:
    """Say why a key must not be used for a signature's algorithm (RFC 6376, sections 3.6.1 and 6.1.2; RFC 8301)."""
    algorithm = tags[b"a"].decode("ascii", "replace")
    kind, _, digest = algorithm.partition("-")
    key = tags_of(record.decode("utf-8", "replace"))
    if algorithm == OBSOLETE_ALGORITHM:
        return f"{OBSOLETE_ALGORITHM} must not be used (RFC 8301)"
    if "h" in key and digest not in key["h"].split(":"):
        return f"its key is for h={key['h'][:60]} alone, and it was made with {digest}"
    if key.get("k", "rsa") != kind:
        return f"its key is for k={key.get('k', 'rsa')[:20]}, and it was made with {kind}"
    flags = [flag.strip() for flag in key.get("t", "").split(":")]
    if "y" in flags:
        return "its key says that the domain only tests DKIM (t=y): nobody may take such mail for signed"
    user = tags.get(b"i", b"").rpartition(b"@")[2].lower()
    if "s" in flags and user and user != tags[b"d"].strip().lower():
        return "its key is for no domain below its own (t=s), and i= is of one"
    return ""


def _wrong_body(tags: Mapping[bytes, bytes], body: bytes) -> str:
    """Say why the hash of the body is not the one that was signed."""
    canonicalization = tags.get(b"c", b"simple/simple").partition(b"/")[2] or b"simple"
    covered = canonical_body(body, canonicalization == b"relaxed")
    if b"l" in tags:
        if not _LENGTH.fullmatch(tags[b"l"]) or int(tags[b"l"]) > len(covered):
            return "l= is more than there is of the body"
        covered = covered[: int(tags[b"l"])]
    wanted = base64.b64decode(re.sub(rb"\s+", b"", tags[b"bh"]))
    found = hashlib.sha256(covered).digest()
    return "" if found == wanted else f"body hash mismatch: it is {base64.b64encode(found).decode()}"


def _without_services(record: bytes) -> bytes:
    """Leave s= out of a key record: the verifier knows only single service types, and we judge them ourselves."""
    return b";".join(tag for tag in record.split(b";") if tag.partition(b"=")[0].strip() != b"s")
