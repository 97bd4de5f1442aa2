"""Makes foreign text harmless: what an MTA or an attacker says goes through here before it is shown or written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len, set_cell_size

#: How much of a message's token is shown: enough to tell a few thousand messages of one run apart.
TOKEN_SHOWN = 8


def escape_unprintable(text: str) -> str:
    """Return the text with everything that is not printable written out, such as `\\n`, `\\x1b` or `\\u202e`.

    That takes control characters, line ends, bidirectional overrides, lone surrogates and unassigned characters out of
    a line of foreign text. It cannot be reversed: the octets themselves are in the record.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _written_out(character) for character in text)


def shortened(text: str, cells: int) -> str:
    """Return foreign text made visible and cut to so many terminal cells, three dots marking the cut."""
    shown = escape_unprintable(text)
    if cell_len(shown) <= cells:
        return shown
    return set_cell_size(shown, max(cells - 3, 0)).rstrip() + "..."


def short_token(token: str) -> str:
    """Return a message's token as it is shown to a reader."""
    shown = escape_unprintable(token)
    return shown if len(shown) <= TOKEN_SHOWN else shown[:TOKEN_SHOWN] + "..."


#: Controls that readers know better by these than by their numbers.
_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _written_out(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def legal_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON that every reader takes, in ASCII.

    Foreign text can hold half a surrogate pair, which is no Unicode (RFC 7493, section 2.1): it is written out as plain
    text (`\\ud800`).
    """
    return json.dumps(plain_data(document), indent=2, ensure_ascii=True, allow_nan=False)


def plain_data(value: Any) -> Any:
    """Return a document without half surrogate pairs, its tuples as lists."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {plain_data(name): plain_data(one) for name, one in value.items()}
        case list() | tuple():
            return [plain_data(one) for one in value]
        case _:
            return value
