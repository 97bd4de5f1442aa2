"""The ids that checks had before: old records, verdicts and lists of known failures stay readable."""

from __future__ import annotations

#: Old id -> id of today.
OLD_CHECK_IDS: dict[str, str] = {}


def current_check_id(name: str) -> str:
    """Return the id that a check has today; a name that was never replaced is returned as it is."""
    return OLD_CHECK_IDS.get(name, name)
