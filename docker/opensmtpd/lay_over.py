#!/usr/bin/env python3
"""Fit an smtpd.conf that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there. Rules and reasons are in overlay.toml. The result goes where
the entry point takes the lab's own from, with @HOSTNAME@ and @PREFIX@ to be filled in; `smtpd -n` checks it afterwards.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

LAID = Path("/etc/mail/smtpd.conf")
LAID_OVER = Path("/lab/laid-over.txt")
SAID = Path("/lab/kept-and-overridden.txt")
OURS = Path("/usr/share/mta-sts-lab/smtpd.conf")
RELAYS = re.compile(r'^action\s+("[^"]+"|\S+)\s+relay\b')
REFUSED = 78  # EX_CONFIG


def main() -> None:
    """Write the operator's lines, and the lab's behind them, in the place of the lab's own smtpd.conf."""
    laid = LAID_OVER.read_text().splitlines()
    said = [f"kept        {path}" for path in laid if path != str(LAID)]
    if str(LAID) in laid:
        text, lines = fitted(LAID.read_text(), tomllib.loads(Path("/opt/mta-sts-lab/overlay.toml").read_text()))
        said += lines
        OURS.write_text(text)
    SAID.write_text("\n".join(said) + "\n")


def fitted(text: str, rules: dict) -> tuple[str, list[str]]:
    """Return the smtpd.conf of the run, and a line about each of the operator's. Lines may go on behind a backslash."""
    kept, said, action = [], [], ""
    for line in (" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines()):
        word = line.partition(" ")[0]
        if not line or line.startswith("#"):
            continue
        if word in rules["overridden"]:
            said.append(f"overridden  {line}  ({rules['overridden'][word]})")
            continue
        said.append(f"kept        {line}")
        kept.append(line)
        if not action and (found := RELAYS.match(line)):
            action = found[1]
    if not action:
        print("entrypoint: smtpd.conf has no action that relays: it sends no mail to other domains", file=sys.stderr)
        raise SystemExit(REFUSED)
    ours = [line.replace("@ACTION@", action) for line in rules["lab"].values()]
    said += [f"added       {line}  (the lab injects the mail)" for line in ours[:2]]
    said.append(f"added       {ours[2]}  (each delivery stands for itself)")
    # Before theirs: the first match counts.
    first = [line for line in kept if not line.startswith("match")]
    return "\n".join([*first, *ours, *(line for line in kept if line.startswith("match"))]) + "\n", said


if __name__ == "__main__":
    main()
