#!/usr/bin/env python3
"""Fit a configuration that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there, before chasquid.conf gets the lab's own settings. Rules and
reasons are in overlay.toml. `chasquid-util` reads the configuration first; what it refuses ends this program with
status 78.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from laid_over import Sayings, laid_files, make_readable, read_rules, refuse

CONFIGURATION = Path("/etc/chasquid/chasquid.conf")
OURS = Path("/usr/share/mta-sts-lab/chasquid.conf")


def main() -> None:
    """Write the operator's settings behind the lab's own into the template that the entry point fills in."""
    sayings = Sayings()
    laid = laid_files()
    make_readable(laid)
    if str(CONFIGURATION) in laid:
        asked = ["chasquid-util", "-C=/etc/chasquid", "print-config"]
        done = subprocess.run(asked, check=False, capture_output=True, text=True)
        if done.returncode:
            refuse("chasquid", (done.stdout + done.stderr).strip())
        kept = settled(CONFIGURATION.read_text(), read_rules(), sayings)
        OURS.write_text(f"{OURS.read_text()}\n# From the configuration that was laid over the image.\n{kept}\n")
    for path in laid:
        if path != str(CONFIGURATION):
            sayings.say("kept", path)
    sayings.write()


def settled(text: str, rules: dict, sayings: Sayings) -> str:
    """Return the settings that are kept, `key: value`, one a line, and say of each what becomes of it."""
    kept = []
    for line in map(str.strip, text.splitlines()):
        key = line.partition(":")[0].strip()
        if not line or line.startswith("#"):
            continue
        if key in rules["overridden"]:
            sayings.say("overridden", f"{line} -> the lab's", rules["overridden"][key])
        else:
            sayings.say("kept", line)
            kept.append(line)
    return "\n".join(kept)


if __name__ == "__main__":
    main()
