#!/usr/bin/env python3
"""Fit a configuration that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there, with LAB_HOSTNAME, LAB_SENDER_DOMAIN and LAB_PREFIX in the
environment. Rules and reasons are in overlay.toml. Postfix's own `postconf` reads and writes every file: nothing here
parses main.cf or master.cf. What was done is written to /lab/kept-and-overridden.txt. A configuration that Postfix
refuses ends this program with status 78 and Postfix's own words.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from laid_over import EMPTY, Sayings, filled, laid_files, read_rules, refuse, trust_the_lab

MASTER_AS_PACKAGED = Path("/usr/share/mta-sts-lab/packaged-master.cf")
TABLE = re.compile(r"(?<![\w/])(?:proxy:)?(?P<type>[a-z]+):(?P<path>/[^\s,{}]+)")
REMOTE_TABLE = re.compile(r"(?:proxy:)?(?P<type>[a-z]+):[^\s,{}]+")
PATH = re.compile(r"(?<![\w.:/}])/[\w./+-]+")
INDEXED = {"hash", "btree", "lmdb", "cdb", "dbm", "sdbm"}

sayings = Sayings()
say = sayings.say


def postconf(*arguments: str) -> list[str]:
    """Run postconf and return its lines. What it refuses ends this program."""
    done = subprocess.run(["postconf", *arguments], check=False, capture_output=True, text=True, errors="replace")
    for line in done.stderr.splitlines():
        if "fatal:" in line or "error:" in line:
            refuse("Postfix", line.partition(": ")[2])
        warning = line.partition("warning: ")[2]
        if warning and not any(warning in one for one in sayings.lines):
            say("warning", warning, "postconf")
    return done.stdout.splitlines()


def pairs(lines: Iterable[str]) -> dict[str, str]:
    """Turn lines of `name = value` into a dictionary."""
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


# Types of tables that other builds of Postfix know. Anything else before a colon is no table.
ELSEWHERE = {"pcre", "lmdb", "cdb", "sdbm", "dbm", "sqlite"}


def without_unreachable(value: str, types: set[str], remote: set[str]) -> str:
    """Return a value without tables that Postfix here does not know, or whose server the lab cannot reach."""

    def kept(match: re.Match[str]) -> str:
        return "" if match["type"] in remote | (ELSEWHERE - types) else match[0]

    fitting = REMOTE_TABLE.sub(kept, value)
    return value if fitting == value else " ".join(fitting.replace(",", " ").split())


def demanded(rules: dict) -> dict[str, list[str]]:
    """Return the parameters that the lab must set in this run, each with its value and the reason."""
    has_ipv6 = "ipv6" in os.environ.get("LAB_FAMILIES", "")
    return rules["main"] | (rules["main_with_ipv6"] if has_ipv6 else {})


def fit_main(theirs: dict[str, str], rules: dict) -> None:
    """Set what the lab must in main.cf, and say what is kept."""
    wanted = {name: (filled(value), why) for name, (value, why) in demanded(rules).items()}
    image = rules["image"]
    types = set(postconf("-m"))
    whole = pairs(postconf("-n", "-x"))
    defaults = pairs(postconf("-d", *wanted))
    changes, reset = [], []
    for name, value in theirs.items():
        fitting = without_unreachable(value, types, set(rules["unreachable"]["types"]))
        if name in wanted and value != wanted[name][0]:
            say("overridden", f"{name} = {value} -> {wanted[name][0] or EMPTY}", wanted[name][1])
        elif name in image["parameters"]:
            say("overridden", f"{name} = {value} -> the image's", image["why"])
            reset.append(name)
        elif any(fnmatch.fnmatch(name, pattern) for pattern in rules["unused"]["patterns"]):
            say("unused", f"{name} = {value}", rules["unused"]["why"])
        elif fitting != value:
            say("overridden", f"{name} = {value} -> {fitting or EMPTY}", "tables that Postfix here cannot look up")
            changes.append(f"{name} = {fitting}")
        else:
            say("kept", f"{name} = {value}")
            look_for_files(name, whole[name])
    for name, (value, why) in wanted.items():
        if name not in theirs and defaults.get(name) != value:
            say("added", f"{name} = {value}", why)
        changes.append(f"{name} = {value}")
    if reset:
        postconf("-X", *reset)
    postconf("-e", *changes)


def look_for_files(name: str, value: str) -> None:
    """Make the indexes of tables anew, as this Postfix writes them, and say which files are not here."""
    for table in TABLE.finditer(value):
        kind, path = table["type"], Path(table["path"])
        index = path.with_name(f"{path.name}.{'lmdb' if kind == 'lmdb' else 'db'}")
        if kind in INDEXED and path.is_file() and (index.is_file() or not indexes()):
            subprocess.run(["postalias" if "alias" in name else "postmap", f"{kind}:{path}"], check=False)
            say("added", str(index), f"made from {path}, for {name}")
        elif kind in INDEXED and not index.is_file():
            what = f"{path} is there, and postmap was not run on it" if path.is_file() else f"there is no {path}"
            say("missing", f"{index}, for {name}", what)
    for path in PATH.findall(TABLE.sub("", value)):
        if not Path(path).exists():
            say("missing", f"{path}, for {name}", "give it with --config FILE=" + path)
    for table in TABLE.finditer(value):
        if table["type"] not in INDEXED and not Path(table["path"]).exists():
            say("missing", f"{table['path']}, for {name}", f"give it with --config FILE={table['path']}")


def indexes() -> list[str]:
    """Return the indexes that were laid over the image. Without any, this configuration is kept without its indexes."""
    return [path for path in laid_files() if path.endswith((".db", ".lmdb"))]


def fit_master(rules: dict, theirs: bool) -> None:
    """Put the lab's listener into master.cf instead of all others. If it is `theirs`, say what is kept of the rest."""
    packaged = set(MASTER_AS_PACKAGED.read_text().splitlines())
    must = demanded(rules)
    services = {" ".join(line.split()[:2]).replace(" ", "/"): line for line in postconf("-M")}
    for service, line in services.items():
        if service.endswith("/inet"):
            if theirs and line not in packaged:
                say("overridden", f"master.cf: {line}", rules["unused"]["why"])
            postconf("-MX", service)
    for line in postconf("-P"):
        field, _, value = (part.strip() for part in line.partition("="))
        if field.rpartition("/")[2] in must:
            say("overridden", f"master.cf: {field} = {value}", must[field.rpartition("/")[2]][1])
            postconf("-PX", field)
    for line in postconf("-M"):
        if theirs and line not in packaged:
            say("kept", f"master.cf: {line}")
    master = rules["master"]
    postconf("-Me", f"smtp/inet = {master['listener']}")
    postconf("-Pe", *(f"smtp/inet/{name} = {value}" for name, value in master["options"].items()))
    if "postlog/unix-dgram" not in services:
        say("added", f"master.cf: {master['postlog']}", must["maillog_file"][1])
        postconf("-Me", f"postlog/unix-dgram = {master['postlog']}")
    say("overridden", "master.cf: no service runs in a chroot", "the lab's resolver and CA are outside of one")
    postconf("-F", "*/*/chroot=n")


def main() -> None:
    """Fit what was laid over the image into the lab."""
    laid = laid_files()
    rules = read_rules()
    for path in laid:
        if not path.startswith("/etc/postfix/"):
            say("kept", path)
    if any(path.startswith("/etc/postfix/") for path in laid):
        # Its answer is read twice: first only for what Postfix refuses.
        postconf("-M")
        theirs = pairs(postconf("-n")) if "/etc/postfix/main.cf" in laid else {}
        if theirs:
            fit_main(theirs, rules)
        fit_master(rules, "/etc/postfix/master.cf" in laid)
        names = ("smtp_tls_CAfile", "tlsproxy_client_CAfile")
        trust_the_lab(sayings, [(name, "".join(postconf("-x", "-h", name))) for name in names])
    sayings.write()


if __name__ == "__main__":
    main()
