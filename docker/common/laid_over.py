"""What an image's `lay_over.py` needs to fit a configuration that was laid over the image into the lab.

The lab puts the files in place before the container starts, and lists them in /lab/laid-over.txt. What becomes of each
line is said in /lab/kept-and-overridden.txt.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

RULES = Path("/opt/mta-sts-lab/overlay.toml")
LAID_OVER = Path("/lab/laid-over.txt")
AUTHORITY = Path("/lab/ca.pem")
SAID = Path("/lab/kept-and-overridden.txt")
REFUSED = 78  # EX_CONFIG
EMPTY = "(nothing)"
# The words that a line about a configuration begins with, in the order in which they are printed.
WORDS = ("warning", "missing", "overridden", "unused", "added", "kept")
SYSTEM_BUNDLE, SYSTEM_FOLDER = Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/ssl/certs")
# Where other systems have the bundle of public authorities.
BUNDLES_ELSEWHERE = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-bundle.crt",
)


class Sayings:
    """The lines about a configuration."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, word: str, what: str, why: str = "") -> None:
        """Take down one line; `word` is one of WORDS."""
        line = f"{word:<11} {what}" + (f"  ({why})" if why else "")
        if line not in self.lines:
            self.lines.append(line)

    def write(self) -> None:
        """Write the lines where the lab reads them, sorted by their first word."""
        SAID.write_text("\n".join(sorted(self.lines, key=lambda line: WORDS.index(line.split()[0]))) + "\n")


def laid_files() -> list[str]:
    """Return the paths that were laid over the image."""
    return LAID_OVER.read_text().splitlines()


def read_rules() -> dict[str, Any]:
    """Read the image's overlay.toml."""
    return tomllib.loads(RULES.read_text())


def make_readable(paths: Iterable[str]) -> None:
    """Let every account of the container read some files: at home they belong to accounts that it does not have."""
    for path in map(Path, paths):
        path.chmod(path.stat().st_mode | 0o444)


def filled(value: str) -> str:
    """Put what depends on the run into a value: @NAME@ is the environment variable LAB_NAME."""
    return re.sub(r"@(\w+)@", lambda match: os.environ[f"LAB_{match[1]}"], value)


def refuse(mail_server: str, words: str) -> NoReturn:
    """End the container: the mail server itself cannot use this configuration."""
    print(f"entrypoint: {mail_server} refuses this configuration: {words}", file=sys.stderr)
    raise SystemExit(REFUSED)


def trust_the_lab(sayings: Sayings, files: Iterable[tuple[str, str]]) -> None:
    """Have the lab's CA stand for the public ones, in the system's bundle and folder and in copies of the bundle.

    `files`: settings that name a file of authorities, and the file.
    """
    ours = AUTHORITY.read_text()
    public = certificates(SYSTEM_BUNDLE.read_text())
    if shutil.which("openssl"):
        asked = ["openssl", "x509", "-in", str(AUTHORITY), "-noout", "-subject_hash"]
        digest = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        link = SYSTEM_FOLDER / f"{digest}.0"
        if not link.exists():
            link.symlink_to(AUTHORITY)
    for elsewhere in map(Path, BUNDLES_ELSEWHERE):
        if not elsewhere.exists():
            elsewhere.parent.mkdir(parents=True, exist_ok=True)
            elsewhere.symlink_to(SYSTEM_BUNDLE)
    for name, value in files:
        file = Path(value)
        if value and file.is_file() and file.resolve() != SYSTEM_BUNDLE and certificates(file.read_text()) & public:
            file.write_text(f"{file.read_text()}\n{ours}")
            sayings.say("added", f"the lab's CA to {file}, for {name}", "it stands for the public authorities")
    SYSTEM_BUNDLE.write_text(f"{SYSTEM_BUNDLE.read_text()}\n{ours}")
    sayings.say("added", f"the lab's CA to {SYSTEM_BUNDLE} and {SYSTEM_FOLDER}", "it stands for the public authorities")


def certificates(text: str) -> set[str]:
    """Return the certificates of a bundle, without white space."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    return {"".join(one.split()) for one in found}
