#!/usr/bin/env python3
"""Fit an smtpd.conf that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there. Rules and reasons are in overlay.toml. The result goes where
the entry point takes the lab's own from, with @HOSTNAME@ and @PREFIX@ to be filled in; `smtpd -n` checks it afterwards.
"""

from __future__ import annotations

import re
from pathlib import Path

from laid_over import Sayings, laid_files, make_readable, read_rules, refuse, trust_the_lab

CONFIGURATIONS = ("/etc/smtpd.conf", "/etc/mail/smtpd.conf")
OURS = Path("/usr/share/mta-sts-lab/smtpd.conf")
RELAYS = re.compile(r'^action\s+("[^"]+"|\S+)\s+relay\b')
AUTHORITIES = re.compile(r'^(ca \S+) cert "?([^"\s]+)', re.MULTILINE)
SOURCE = re.compile(r' (?:src|helo-src) (?:<[^>]+>|"[^"]+"|\S+)')


def main() -> None:
    """Write the operator's lines, and the lab's behind them, in the place of the lab's own smtpd.conf."""
    sayings = Sayings()
    laid = laid_files()
    make_readable(laid)
    for path in laid:
        if path in CONFIGURATIONS:
            text = Path(path).read_text()
            trust_the_lab(sayings, AUTHORITIES.findall(text))
            OURS.write_text(fitted(text, read_rules(), sayings))
        else:
            sayings.say("kept", path)
    sayings.write()


def fitted(text: str, rules: dict, sayings: Sayings) -> str:
    """Return the smtpd.conf of the run, and say what becomes of each line. Lines may go on behind a backslash."""
    kept, action = [], ""
    lines = [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines()]
    relaying = [line for line in lines if RELAYS.match(line)]
    for line in lines:
        word, _, rest = line.partition(" ")
        fitting = SOURCE.sub("", line) if line in relaying else line
        if not line or line.startswith("#"):
            continue
        if word in rules["overridden"]:
            sayings.say("overridden", line, rules["overridden"][word])
            continue
        if word in rules["certificates"]["words"] and not named(word, rest.partition(" ")[0], relaying):
            sayings.say("unused", line, rules["certificates"]["why"])
            continue
        if fitting != line:
            sayings.say("overridden", f"{line} -> {fitting}", rules["source"]["why"])
        else:
            sayings.say("kept", line)
        kept.append(fitting)
        if not action and (relays := RELAYS.match(line)):
            action = relays[1]
    if not action:
        refuse("The lab", "smtpd.conf has no action that relays, so OpenSMTPD sends no mail to other domains")
    ours = [line.replace("@ACTION@", action) for line in rules["lab"].values()]
    for line in ours[:2]:
        sayings.say("added", line, "the lab injects the mail")
    sayings.say("added", ours[2], "each delivery stands for itself")
    # Before theirs: the first match counts.
    first = [line for line in kept if not line.startswith("match")]
    return "\n".join([*first, *ours, *(line for line in kept if line.startswith("match"))]) + "\n"


def named(word: str, name: str, actions: list[str]) -> bool:
    """Tell whether an action names a certificate or an authority: `... tls pki NAME`."""
    wanted = f" {word} {name} ".replace('"', "")
    return any(wanted in f"{action} ".replace('"', "") for action in actions)


if __name__ == "__main__":
    main()
