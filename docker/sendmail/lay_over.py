#!/usr/bin/env python3
"""Fit a configuration that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there, before the host's name and the access table get what depends on
the run. Rules and reasons are in overlay.toml. sendmail.cf is what sendmail reads; it is made of sendmail.mc only where
there is none. A configuration that sendmail refuses ends this program with status 78 and sendmail's own words.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
from pathlib import Path

from laid_over import EMPTY, Sayings, laid_files, make_readable, read_rules, refuse, trust_the_lab

FOLDER = Path("/etc/mail")
CONFIGURATION, SOURCE, ACCESS = FOLDER / "sendmail.cf", FOLDER / "sendmail.mc", FOLDER / "access"
PACKAGED = Path("/usr/share/mta-sts-lab/packaged")
AS_SENDMAIL = ["setpriv", "--reuid=smmta", "--regid=smmsp", "--clear-groups"]
OPTION = re.compile(r"O\s*(?P<name>[A-Z][\w.]*)\s*=\s*(?P<value>.*)")
TABLE = re.compile(r"K\w+ hash .*?(?P<path>/\S+)$")


def main() -> None:
    """Write the configuration of this run to where the image has its own."""
    sayings = Sayings()
    laid = laid_files()
    make_readable(laid)
    for path in laid:
        if path != str(CONFIGURATION):
            used = path != str(SOURCE) or str(CONFIGURATION) not in laid
            sayings.say("kept" if used else "unused", path, "" if used else "sendmail reads sendmail.cf")
    if str(CONFIGURATION) in laid or str(SOURCE) in laid:
        theirs = CONFIGURATION.read_text() if str(CONFIGURATION) in laid else made_of(SOURCE)
        text = fitted(theirs, (PACKAGED / "sendmail.cf").read_text(), read_rules(), sayings)
        CONFIGURATION.write_text(text)
        make_tables(text, sayings)
        look(laid)
        named = re.findall(r"^O (CACertFile)=(\S+)", text, re.MULTILINE)
        trust_the_lab(sayings, named)
    if str(ACCESS) in laid:
        (PACKAGED / "access").write_text(ACCESS.read_text())
        sayings.say("added", f"{ACCESS}: the lab's network", read_rules()["access"]["why"])
    sayings.write()


def made_of(source: Path) -> str:
    """Return the sendmail.cf that m4 makes of a sendmail.mc."""
    done = subprocess.run(["m4", str(source)], check=False, capture_output=True, text=True)
    if done.returncode:
        refuse("m4", done.stderr.strip())
    return done.stdout


def look(laid: list[str]) -> None:
    """Have sendmail read its configuration once."""
    command = [*AS_SENDMAIL, "sendmail-mta", "-C", str(CONFIGURATION), "-bP"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    wrong = [line for line in (done.stdout + done.stderr).splitlines() if f"{CONFIGURATION}: line" in line]
    if wrong:
        refuse("sendmail", wrong[0].strip())


def make_tables(text: str, sayings: Sayings) -> None:
    """Make the tables that sendmail.cf names and of which only the sources are here."""
    for line in text.splitlines():
        table = TABLE.match(line)
        source = Path(table["path"]) if table else ACCESS
        if source == ACCESS:
            continue
        if source.with_name(f"{source.name}.db").is_file():
            continue
        if source.is_file():
            command = [*AS_SENDMAIL, "/usr/libexec/sendmail/makemap", "hash", str(source)]
            done = subprocess.run(command, check=False, stdin=source.open("rb"), capture_output=True, text=True)
            if done.returncode:
                refuse("makemap", done.stderr.strip())
            sayings.say("added", f"{source}.db", f"made from {source}")
        else:
            sayings.say("missing", f"{source}, for {line}", f"give it with --config FILE={source}")


def fitted(theirs: str, packaged: str, rules: dict, sayings: Sayings) -> str:
    """Return the sendmail.cf of the run, and say what becomes of each line that is not the package's."""
    as_packaged = set(packaged.splitlines())
    kept = []
    for line in theirs.splitlines():
        option = OPTION.match(line)
        name = option["name"] if option else ""
        if line.startswith("Dj"):
            sayings.say("overridden", f"{line} -> the lab's", rules["name"]["why"])
            continue
        if name in rules["options"]:
            value, why = rules["options"][name]
            if option and option["value"] != value and line not in as_packaged:
                sayings.say("overridden", f"{line} -> {value or EMPTY}", why)
            continue
        kept.append(line)
        if line not in as_packaged and line.strip() and not line.startswith("#"):
            unused = any(fnmatch.fnmatch(name, pattern) for pattern in rules["unused"]["patterns"])
            sayings.say("unused" if unused else "kept", line, rules["unused"]["why"] if unused else "")
    # Whatever stands behind the rules ends them.
    kept += ["Dj", *(f"O {name}={value}" for name, (value, _) in rules["options"].items() if value)]
    for name, (value, why) in rules["options"].items():
        if value and f"O {name}={value}" not in as_packaged:
            sayings.say("added", f"O {name}={value}", why)
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    main()
