"""Writes the folder of a new target that is in order as it stands: a process, or the image of a mail server."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from mta_sts_lab.backends.folder import shipped_targets
from mta_sts_lab.backends.overlay import rules_if_any
from mta_sts_lab.backends.registry import TargetRefused
from mta_sts_lab.shipped_files import shipped_files

#: Debian's packages whose name is not that of the shipped target.
_PACKAGES = {"exim4": "exim", "courier-mta": "courier", "sendmail-bin": "sendmail"}

_PROCESS = """\
# A mail server as a plain process of this machine. As it stands it is a toy that does not know MTA-STS, so that
# `sts-lab target-check {folder}` finds everything in order; put your own in its place, in the file `start`.
name = "{name}"
title = "{title}"
description = "As it is started by the file start."

[process]
command = ["./start"]
# What it does: "mta-sts", "tls-rpt", "dane", "requiretls" and others (sts-lab docs adding-an-mta#about). What is not
# listed is not judged, but for "mta-sts": mail under a policy is judged in any case, and the claim says that the lab
# may wait for the fetch of the policy. Where there are hooks, the hook `about` says it instead.
capabilities = []
# Seconds between its attempts at a message.
retry_seconds = 2

# Where it takes mail for any domain.
[inject]
port = 2525
"""

_START = """\
#!/bin/sh
# Starts the mail server and stays with it. The lab runs this in namespaces of its own: /etc/resolv.conf (and $LAB_DNS)
# names the lab's resolver, the system's CA bundle and $LAB_CA are the lab's CA, $LAB_STATE is a place for state.
exec {python} toy_sender.py 2525
"""

_BASED = """\
# {base} as the lab's image has it, and what you lay over it. `sts-lab target-check {folder}` finds it in order.
name = "{name}"
title = "{title}"
description = "{base} with a configuration of one's own."
based_on = "{base}"

# Files and folders of this folder, by their path in the image. The lab says what it keeps and what it must change.
# [files]
# "{place}" = "etc"
"""


def new_folder(path: Path, package: str = "") -> tuple[Path, ...]:
    """Write a target's folder and return its files: for a process, or for a mail server of Debian's.

    Raises `TargetRefused`, and `OSError`.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise TargetRefused(f"{path}: is there already; name a folder that is new or empty")
    name = re.sub("[^a-z0-9]+", "-", path.resolve().name.lower()).strip("-")[:40].strip("-")
    if not name or name in shipped_targets():
        raise TargetRefused(f"{path}: {name!r} is no name for a target of one's own; name the folder otherwise: my-mta")
    words = {"name": name, "title": name.replace("-", " ").capitalize(), "folder": f"./{path}".removeprefix("././")}
    files = _based_on(package, words) if package else _process(words)
    path.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (path / file).write_text(text, encoding="utf-8")
    if "start" in files:
        (path / "start").chmod(0o755)
    return tuple(path / file for file in files)


def _process(words: Mapping[str, str]) -> dict[str, str]:
    toy = shipped_files() / "docs" / "examples" / "toy-sender" / "toy_sender.py"
    return {
        "target.toml": _PROCESS.format(**words),
        "start": _START.format(python=sys.executable),
        "toy_sender.py": toy.read_text(encoding="utf-8"),
    }


def _based_on(package: str, words: Mapping[str, str]) -> dict[str, str]:
    base = _PACKAGES.get(package, package)
    there = sorted(name for name, target in shipped_targets().items() if target.file.backend == "docker")
    if base not in there:
        near = difflib.get_close_matches(package, [*there, *_PACKAGES], n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(there)}"
        raise TargetRefused(f"--package {package}: the lab has no image of it; {hint}")
    known = rules_if_any(shipped_targets()[base].made_in).folder
    return {"target.toml": _BASED.format(base=base, place=known[0].at if known else f"/etc/{base}", **words)}
