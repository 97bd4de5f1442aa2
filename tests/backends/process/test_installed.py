"""Mail servers that are installed on this machine, run with private copies of their files: what is theirs stays as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.targets.injection import Inject

from tests.backends.process.sandbox import Sandbox

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an installed mail server"),
]

#: As the packaged service starts it: what the parts in the chroot read is copied there, then it comes up. Since Debian
#: 13 it does that by itself.
POSTFIX = ("postfix", "start-fg")
POSTFIX_OF_DEBIAN_12 = ("sh", "-c", "/usr/lib/postfix/configure-instance.sh && exec postfix start-fg")

#: chasquid takes mail for other domains from its own users only, and needs a certificate for that.
CHASQUID = r"""
set -e
printf 'hostname: "%s"\nsmtp_address: ":25"\nsubmission_address: ":587"\n' "$LAB_HOSTNAME" >>/etc/chasquid/chasquid.conf
mkdir -p "/etc/chasquid/certs/$LAB_HOSTNAME" "/etc/chasquid/domains/$LAB_SENDER_DOMAIN"
cd "/etc/chasquid/certs/$LAB_HOSTNAME"
openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj "/CN=$LAB_HOSTNAME" -keyout privkey.pem -out fullchain.pem
chasquid-util user-add "lab@$LAB_SENDER_DOMAIN" --password=not-a-secret
chown -R chasquid: /etc/chasquid
exec setpriv --reuid=chasquid --regid=chasquid --clear-groups --inh-caps=+net_bind_service \
    --ambient-caps=+net_bind_service chasquid
"""


def fingerprint(*folders: str) -> str:
    """Return a digest of everything below some folders: names, owners, modes, times and contents."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            status = path.lstat()
            digest.update(f"{path} {status.st_uid} {status.st_mode} {status.st_mtime_ns} {status.st_size}\n".encode())
            if path.is_file() and not path.is_symlink():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def installed(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def test_postfix_as_installed(sandbox: Sandbox) -> None:
    installed("postfix")
    places = ("/etc/postfix", "/var/spool/postfix", "/var/lib/postfix", "/etc/ssl")
    before = fingerprint(*places)
    case = "starttls/strip[absent]"
    copies_by_itself = "internal script" in Path("/usr/lib/postfix/configure-instance.sh").read_text()
    command = POSTFIX if copies_by_itself else POSTFIX_OF_DEBIAN_12

    assert sandbox.play(sandbox.target(command, 25), case)[case].grade is Grade.PASS

    # Its log goes to syslog, and that is part of what it printed.
    assert "status=sent" in sandbox.log
    assert fingerprint(*places) == before


def test_chasquid_as_installed(sandbox: Sandbox) -> None:
    installed("chasquid")
    places = ("/etc/chasquid", "/var/lib/chasquid", "/etc/ssl")
    before = fingerprint(*places)
    case = "certificate/wildcard[enforce]"
    plain = sandbox.target(("sh", "-c", CHASQUID))
    submission = Inject(port=587, starttls=True, user="lab@sender.example", password="not-a-secret")
    target = TargetFolder(plain.path, replace(plain.file, inject=submission))

    assert sandbox.play(target, case)[case].grade is Grade.PASS

    assert " sent" in sandbox.log
    assert fingerprint(*places) == before
