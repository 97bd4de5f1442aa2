"""JSON that every reader takes: foreign text can hold half a surrogate pair, which is no Unicode (RFC 7493, 2.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def legal_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON, with lone surrogates written out as escapes that are plain text (`\\ud800`).

    ASCII only, so that no foreign text can do anything to a terminal or a pager.
    """
    return json.dumps(_legal(document), indent=2, ensure_ascii=True, allow_nan=False)


def _legal(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {_legal(name): _legal(one) for name, one in value.items()}
        case list() | tuple():
            return [_legal(one) for one in value]
        case _:
            return value
