#!/usr/bin/env python3
"""Fit a configuration that was laid over the image into the lab, and say line by line what was kept and overridden.

Run by the entry point when /lab/laid-over.txt is there, before it writes what depends on the run. Reasons are in
overlay.toml. What the lab sets is set by `configure`, as it was when the image was built.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
from pathlib import Path

from laid_over import EMPTY, Sayings, laid_files, make_readable, read_rules, trust_the_lab

FOLDER = Path("/etc/courier")
SHARE = Path("/usr/share/mta-sts-lab")
# Written by the entry point after this.
BY_THE_ENTRY_POINT = ("me", "defaultdomain", "locals")


def main() -> None:
    """Set what the lab must in /etc/courier, and say what is kept."""
    sayings = Sayings()
    laid = laid_files()
    make_readable(laid)
    rules = read_rules()
    names = [str(Path(path).relative_to(FOLDER)) for path in laid if path.startswith(f"{FOLDER}/")]
    theirs = {name: lines_of(FOLDER / name) for name in names}
    for name, why in rules["without"].items():
        (FOLDER / name).unlink(missing_ok=True)
        if name in theirs:
            sayings.say("overridden", f"{name}: {' '.join(theirs.pop(name))} -> {EMPTY}", why)
    for name in filter(lambda name: is_unused(name, rules), theirs):
        put_back(name)
    subprocess.run([str(SHARE / "configure")], check=True)
    for name, lines in theirs.items():
        in_force = [] if name in BY_THE_ENTRY_POINT else lines_of(FOLDER / name)
        tell_file(name, lines, in_force, rules, sayings)
    for path in laid:
        if not path.startswith(f"{FOLDER}/"):
            sayings.say("kept", path)
    trust = re.findall(r'^(TLS_TRUST\w*CERTS)="?([^"\n]+)', (FOLDER / "courierd").read_text(), re.MULTILINE)
    trust_the_lab(sayings, trust)
    for name, file in trust:
        if not Path(file).exists():
            sayings.say("missing", f"{file}, for {name}", f"give it with --config FILE={file}")
    sayings.write()


def is_unused(name: str, rules: dict) -> bool:
    """Tell whether a file is about mail that comes in."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in rules["unused"]["patterns"])


def put_back(name: str) -> None:
    """Have the package's file again, or none where it has none."""
    packaged = SHARE / "packaged" / name
    if packaged.is_file():
        (FOLDER / name).write_bytes(packaged.read_bytes())
    else:
        (FOLDER / name).unlink()


def lines_of(file: Path) -> list[str]:
    """Return the lines of a file that say something."""
    if not file.is_file():
        return []
    lines = map(str.strip, file.read_text(errors="replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def tell_file(name: str, lines: list[str], in_force: list[str], rules: dict, sayings: Sayings) -> None:
    """Say what becomes of each line of a file that the package does not have as it is."""
    as_packaged = lines_of(SHARE / "packaged" / name)
    unused = is_unused(name, rules)
    for line in lines:
        if line not in in_force and name in rules["overridden"] and not unused:
            sayings.say("overridden", f"{name}: {line} -> the lab's", rules["overridden"][name])
        elif line not in as_packaged:
            sayings.say("unused" if unused else "kept", f"{name}: {line}", rules["unused"]["why"] if unused else "")
    for line in in_force:
        if line not in lines and line not in as_packaged:
            sayings.say("added", f"{name}: {line}", rules["overridden"].get(name, ""))


if __name__ == "__main__":
    main()
