#!/usr/bin/env python3
"""Process 1 of a target that is a plain command: private copies of what it may change, then the command itself.

The lab starts this file in new mount, PID, IPC and UTS namespaces, inside the target's network namespace. It reads its
settings as one line of JSON on standard input (`settings.py` makes them) and prints what happens as lines of JSON:

    {"event": "up"}                             the command was started
    {"event": "ended", "status": 1}             the command ended; what it left behind goes on
    {"event": "gone"}                           no process of the target is left
    {"event": "trouble", "what": "a sentence"}  something could not be set up

When this process ends, the kernel ends every other one in the namespace. Python's standard library is enough.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Where the run's own files are, inside the namespaces only.
PLACE = Path("/run/mta-sts-lab")

#: What an installed mail server writes to. The command sees what is there and changes copies.
COPIED = ("/etc", "/var", "/var/tmp", "/tmp")  # noqa: S108 - no file of ours

#: Where programs look for the authorities that the system trusts: Debian, Fedora, SUSE, Alpine.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
CERTIFICATE_FOLDER = Path("/etc/ssl/certs")

#: What root could change of the machine, and no mail server has to.
READ_ONLY = ("/usr", "/boot", "/proc/sys", "/proc/sysrq-trigger", "/sys")

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

#: Seconds to wait for the last of the output. Copying a full pipe takes microseconds.
DRAIN_SECONDS = 5.0

#: Octets of output that are kept.
LARGEST_LOG = 64 << 20

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 32, 4096, 16384

_libc = ctypes.CDLL(None, use_errno=True)


class SetupError(Exception):
    """Something could not be set up; the message says what."""


def mount(source: str | Path, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call mount(2). Raises `SetupError`."""
    words = [os.fsencode(source), os.fsencode(target), kind.encode() or None]
    if _libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        raise SetupError(f"{target} cannot be mounted for the target: {os.strerror(ctypes.get_errno())}")


def submounts(folder: str) -> list[str]:
    """Return what is mounted below a folder; those of container engines are left out, and so stay hidden."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = {line.split()[4].encode().decode("unicode_escape") for line in lines}
    engines = tuple(f"/var/lib/{name}/" for name in ("docker", "containerd", "containers", "kubelet"))
    return sorted(point for point in points if point.startswith(f"{folder}/") and not point.startswith(engines))


def private_run() -> None:
    """Replace /run by an empty copy of its folders: the sockets in it belong to the machine's own services."""
    folders = [(path, path.lstat()) for path in _folders(Path("/run"), depth=2)]
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for path, before in folders:
        with contextlib.suppress(OSError):
            path.mkdir()
            path.chmod(stat.S_IMODE(before.st_mode))
            os.chown(path, before.st_uid, before.st_gid)
    PLACE.mkdir(exist_ok=True)


def _folders(top: Path, depth: int) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for path in sorted(top.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name != "user":
                yield path
                if depth > 1:
                    yield from _folders(path, depth - 1)


def private_copy(folder: str, must: bool) -> None:
    """Put an overlay over a folder and over each file system mounted below it: changes go with the run.

    Where the kernel makes none nothing is done, unless the target `must` not reach the original.
    """
    lower = {point: os.open(point, os.O_PATH) for point in [folder, *submounts(folder)] if os.path.isdir(point)}
    for number, (point, descriptor) in enumerate(lower.items()):
        own = PLACE / "copies" / f"{folder.strip('/')}-{number}"
        own.parent.mkdir(mode=0o700, exist_ok=True)
        for part in ("upper", "work"):
            (own / part).mkdir(parents=True)
        like(point, own / "upper")
        try:
            mount(
                "overlay",
                point,
                "overlay",
                MS_NODEV,
                f"lowerdir=/proc/self/fd/{descriptor},upperdir={own}/upper,workdir={own}/work",
            )
        except SetupError:
            # A file system below it that cannot be copied stays hidden under the copy of the folder itself.
            if must and point == folder:
                raise
        finally:
            os.close(descriptor)


def like(source: str, target: Path) -> None:
    """Give a folder the owner and the mode of another one."""
    before = os.stat(source)
    with contextlib.suppress(OSError):
        os.chown(target, before.st_uid, before.st_gid)
    target.chmod(stat.S_IMODE(before.st_mode))


def put(path: str, text: str) -> None:
    """Put a file in the place of another one, whatever that is a link to."""
    source = PLACE / path.strip("/").replace("/", "-")
    source.write_text(text)
    target = Path(os.path.realpath(path))
    if not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        except OSError as error:
            raise SetupError(f"{path} is not there and cannot be made for the target: {error.strerror}") from error
    mount(source, target, flags=MS_BIND)


def trust(ca_pem: str, name: str, trust_anchor: str) -> None:
    """Make the CA of the run the only one that the system trusts. `name` is what OpenSSL looks it up by.

    Beside it is the trust anchor of the domains that are really signed.
    """
    (PLACE / "trust-anchor").write_text(trust_anchor)
    authorities = PLACE / "authorities"
    authorities.mkdir()
    for file in (PLACE / "ca.pem", authorities / name):
        file.write_text(ca_pem)
    for bundle in BUNDLES:
        if Path(bundle).exists() and Path(bundle).parent != CERTIFICATE_FOLDER:
            put(bundle, ca_pem)
    if not CERTIFICATE_FOLDER.is_dir():
        return
    kept = PLACE / "certificates"
    kept.mkdir()
    for path in CERTIFICATE_FOLDER.iterdir():
        # A server's own certificate (Debian's ssl-cert-snakeoil.pem); the authorities are links.
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink() and str(path) not in BUNDLES:
                (kept / path.name).write_bytes(path.read_bytes())
    for link in ("ca-certificates.crt", name):
        (kept / link).write_text(ca_pem)
    mount(kept, os.path.realpath(CERTIFICATE_FOLDER), flags=MS_BIND)


def private_devices() -> None:
    """Replace /dev by the devices that every program needs, and an empty /dev/shm."""
    own = PLACE / "dev"
    own.mkdir()
    mount("tmpfs", own, "tmpfs", MS_NOSUID, "mode=0755")
    for name in DEVICES:
        (own / name).touch()
        mount(f"/dev/{name}", own / name, flags=MS_BIND)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        (own / name).symlink_to(f"/proc/self/fd/{number}")
    (own / "fd").symlink_to("/proc/self/fd")
    (own / "shm").mkdir()
    (own / "shm").chmod(0o1777)
    mount(own, "/dev", flags=MS_BIND | MS_REC)


def read_only(path: str) -> None:
    """Make a folder or a file read-only."""
    mount(path, path, flags=MS_BIND | MS_REC)
    mount("none", path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def private_places(settings: dict[str, Any]) -> None:
    """Make every change to the file system that the target is to see. Raises `SetupError`."""
    root = settings["root"]
    private_run()
    for folder in COPIED:
        if os.path.isdir(folder):
            private_copy(folder, must=root)
    private_devices()
    for path, text in settings["files"].items():
        put(path, text)
    trust(settings["ca_pem"], settings["ca_name"], settings["trust_anchor"])
    state = PLACE / "state"
    state.mkdir()
    state.chmod(0o1777)
    if root:
        for part in filter(os.path.exists, READ_ONLY):
            read_only(part)
    with contextlib.suppress(OSError):
        socket.sethostname(settings["hostname"])


#: Octets of a line that are kept back until it ends.
LONGEST_LINE = 65536

#: The last line of a log that is cut.
CUT = f"\n--- the rest is left out: no more than {LARGEST_LOG} octets of what the target printed are kept\n".encode()


class Log:
    """What the target prints, and what it sends to syslog, in one file of bounded size."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as this process lives
        self._left = LARGEST_LOG
        self._lock = threading.Lock()

    def write(self, octets: bytes) -> None:
        """Append octets; beyond `LARGEST_LOG` they are dropped, and the log says so."""
        with self._lock, contextlib.suppress(OSError):
            self._file.write(octets[: self._left])
            if 0 < self._left < len(octets):
                self._file.write(CUT)
            self._left -= len(octets[: self._left])

    def pipe(self) -> int:
        """Return the writing end of a pipe whose content goes into the log."""
        reading, self._writing = os.pipe()
        self._copying = threading.Thread(target=self._copy, args=(reading,), daemon=True)
        self._copying.start()
        return self._writing

    def close_pipe(self) -> None:
        """Wait until all that was printed is in the log. Nobody else has the pipe open any more."""
        os.close(self._writing)
        self._copying.join(DRAIN_SECONDS)

    def syslog(self) -> None:
        """Take what is sent to /dev/log."""
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind("/dev/log")
        os.chmod("/dev/log", 0o666)  # noqa: S103 - as everywhere
        threading.Thread(target=self._receive, args=(receiver,), daemon=True).start()

    def _copy(self, reading: int) -> None:
        """Copy whole lines, as long as they are of a size: a line of syslog must not come into the middle of one."""
        pending = b""
        while octets := os.read(reading, LONGEST_LINE):
            lines, end, pending = (pending + octets).rpartition(b"\n")
            whole = lines + end
            if len(pending) > LONGEST_LINE:
                whole, pending = whole + pending, b""
            self.write(whole)
        self.write(pending)

    def _receive(self, receiver: socket.socket) -> None:
        while True:
            # "<22>Nov 28 18:00:00 postfix/smtp[7]: text": the number says facility and severity.
            self.write(receiver.recv(65536).rstrip(b"\0\n").partition(b">")[2] + b"\n")


def tell(event: str, **more: Any) -> None:
    """Send an event to the lab. It is no error if the lab has ended."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps({"event": event, **more}).encode() + b"\n")


class Target:
    """The command and, where there are hooks, the server in front of them."""

    def __init__(self, settings: dict[str, Any], log: Log) -> None:
        self._environment = settings["environment"]
        self._log = log
        self._output = log.pipe()
        self._server = self._started(settings["hook_server"]) if settings["hook_server"] else 0
        self._command = self._started(settings["command"])
        tell("up")

    def wait(self) -> None:
        """Reap every process that ends, until none of the target's is left."""
        while True:
            self._reap()
            if not self._command and not self._anybody():
                if self._server:
                    os.kill(self._server, signal.SIGKILL)
                self._log.close_pipe()
                tell("gone")
                return
            signal.sigtimedwait({signal.SIGCHLD}, 0.5)

    def _started(self, command: list[str]) -> int:
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, self._output, number) for number in (1, 2)]
        return os.posix_spawnp(
            command[0],
            command,
            self._environment,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            if process == self._command:
                self._command = 0
                tell("ended", status=os.waitstatus_to_exitcode(status))
            if process == self._server:
                self._server = 0
                tell(
                    "trouble", what="the server in front of the hooks ended; does the command listen on its port, too?"
                )

    def _anybody(self) -> bool:
        """Whether there is a process beside this one and an idle server of hooks."""
        return any(int(name) not in (1, self._server) for name in os.listdir("/proc") if name.isdigit())


def main() -> None:
    """Set everything up, start the command, stay until nothing of it is left."""
    settings = json.loads(sys.stdin.buffer.readline())
    os.umask(0o022)
    # Before there are threads: one that does not block the signal would take it away from who waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    log = Log(settings["output"])
    try:
        private_places(settings)
        log.syslog()
        os.chdir(settings["folder"])
        Target(settings, log).wait()
    except (SetupError, OSError) as error:
        tell("trouble", what=str(error))
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
