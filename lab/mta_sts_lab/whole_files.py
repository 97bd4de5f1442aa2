"""Files that are there whole or not at all, even when the process is killed in between."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, content: bytes, secret: bool = False) -> None:
    """Write or replace a file; a secret one is its owner's alone. Raises `OSError`. A power cut is not considered."""
    draft = path.with_name(path.name + ".part")
    try:
        if secret:
            draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
