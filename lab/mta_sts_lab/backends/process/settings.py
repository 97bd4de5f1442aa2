"""The settings for process 1 of the target's namespaces: the files, environment and rights of the target."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from OpenSSL import crypto

from mta_sts_lab.backends.process import hooks_of
from mta_sts_lab.backends.process.network import NAME_SERVER, TARGET_ADDRESS
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.world.network import BENCHMARK_BLOCK, SENDER_DOMAIN
from mta_sts_lab.world.signing import trust_anchor

HOSTNAME = f"mta.{SENDER_DOMAIN}"

#: The run's own files, as the target sees them.
PLACE = "/run/mta-sts-lab"

#: What programs and libraries read the trusted authorities from: OpenSSL and Go, Node.js, requests, curl.
CA_VARIABLES = ("LAB_CA", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

#: As in Docker. Without the others root can change nothing of the machine that is not in the namespaces.
CAPABILITIES = (
    *("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "setfcap"),
    *("net_bind_service", "net_raw", "sys_chroot", "audit_write"),
)


class InitSettings(msgspec.Struct, frozen=True):
    """The settings of `target_init.py`."""

    #: Whether the target is root of the machine, and not of a user namespace at the most.
    root: bool
    #: The file that takes what the target prints.
    output: str
    #: Where the command runs.
    folder: str
    hostname: str
    #: The files that stand in the place of others, by path.
    files: dict[str, str]
    ca_pem: str
    #: The name by which OpenSSL looks for the CA in a folder.
    ca_name: str
    trust_anchor: str
    environment: dict[str, str]
    #: The command that serves the hooks; empty: there are none.
    hook_server: list[str]
    command: list[str]


def init_settings(
    target: TargetFolder, environment: Mapping[str, str], ca_pem: bytes, user: tuple[int, int] | None, output: Path
) -> InitSettings:
    """Return the settings for a target that runs as some user and group, or as root."""
    process, hooks = target.file.process, hooks_of(target)
    assert process is not None
    contract_server = shipped_files() / "docker" / "common" / "contract_server.py"
    server = [sys.executable, str(contract_server), "--hooks", str(hooks), "--port", str(target.file.contract.port)]
    name = crypto.load_certificate(crypto.FILETYPE_PEM, ca_pem).subject_name_hash()
    return InitSettings(
        root=user is None,
        output=str(output.resolve()),
        folder=str(target.path.resolve()),
        hostname=HOSTNAME,
        files={
            "/etc/resolv.conf": f"nameserver {NAME_SERVER}\noptions timeout:2 attempts:2 edns0 trust-ad\n",
            "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{TARGET_ADDRESS} {HOSTNAME} mta\n",
        },
        ca_pem=ca_pem.decode(),
        ca_name=f"{int(name):08x}.0",
        trust_anchor=trust_anchor(ca_pem),
        environment=_environment(environment),
        hook_server=_as_user(server, user) if hooks else [],
        command=_as_user(process.command, user),
    )


def _as_user(command: Sequence[str], user: tuple[int, int] | None) -> list[str]:
    """Return a command that runs with the rights that the target is to have."""
    if user is None:
        return ["setpriv", "--bounding-set", _bounding_set(), *command]
    return ["unshare", "--user", f"--map-user={user[0]}", f"--map-group={user[1]}", *command]


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in environment.items() if not name.lower().endswith("_proxy")}
    return {
        **kept,
        "HOSTNAME": HOSTNAME,
        "LAB_DNS": NAME_SERVER,
        "LAB_PREFIX": str(BENCHMARK_BLOCK),
        "LAB_HOSTNAME": HOSTNAME,
        "LAB_SENDER_DOMAIN": SENDER_DOMAIN,
        "LAB_STATE": f"{PLACE}/state",
        "SSL_CERT_DIR": f"{PLACE}/authorities",
        **dict.fromkeys(CA_VARIABLES, f"{PLACE}/ca.pem"),
    }


def _bounding_set() -> str:
    return ",".join(["-all", *(f"+{name}" for name in CAPABILITIES)])
