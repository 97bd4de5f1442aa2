#!/usr/bin/env python3
"""Fit a configuration that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there, before chasquid.conf gets the lab's own settings. Rules and
reasons are in overlay.toml. `chasquid-util` reads the configuration first; what it refuses ends this program with
status 78.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

CONFIGURATION = Path("/etc/chasquid/chasquid.conf")
RULES = Path("/opt/mta-sts-lab/overlay.toml")
LAID_OVER = Path("/lab/laid-over.txt")
SAID = Path("/lab/kept-and-overridden.txt")
OURS = Path("/usr/share/mta-sts-lab/chasquid.conf")
REFUSED = 78  # EX_CONFIG


def main() -> None:
    """Write the operator's settings behind the lab's own into the template that the entry point fills in."""
    laid = LAID_OVER.read_text().splitlines()
    said = [f"kept        {path}" for path in laid if path != str(CONFIGURATION)]
    for path in map(Path, laid):
        path.chmod(path.stat().st_mode | 0o444)  # another account owned it, and chasquid reads it
    if str(CONFIGURATION) in laid:
        asked = ["chasquid-util", "-C=/etc/chasquid", "print-config"]
        done = subprocess.run(asked, check=False, capture_output=True, text=True)
        if done.returncode:
            words = (done.stdout + done.stderr).strip()
            print(f"entrypoint: chasquid refuses this configuration: {words}", file=sys.stderr)
            raise SystemExit(REFUSED)
        kept, lines = settled(CONFIGURATION.read_text(), tomllib.loads(RULES.read_text()))
        said += lines
        OURS.write_text(f"{OURS.read_text()}\n# From the configuration that was laid over the image.\n{kept}\n")
    SAID.write_text("\n".join(said) + "\n")


def settled(text: str, rules: dict) -> tuple[str, list[str]]:
    """Return the settings that are kept, and a line about each: `key: value`, one a line."""
    kept, said = [], []
    for line in map(str.strip, text.splitlines()):
        key = line.partition(":")[0].strip()
        if not line or line.startswith("#"):
            continue
        if key in rules["overridden"]:
            said.append(f"overridden  {line} -> the lab's  ({rules['overridden'][key]})")
        else:
            said.append(f"kept        {line}")
            kept.append(line)
    return "\n".join(kept), said


if __name__ == "__main__":
    main()
