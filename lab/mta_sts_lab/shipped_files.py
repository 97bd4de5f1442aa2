"""Where the files are that come with the lab beside its code: the scenarios, and the folders of the targets."""

from __future__ import annotations

from pathlib import Path


def shipped_files() -> Path:
    """Return the folder that holds `scenarios/` and `docker/`: the data of an installed package, or the checkout."""
    package = Path(__file__).resolve().parent
    data = package / "_data"
    return data if data.is_dir() else package.parent.parent
