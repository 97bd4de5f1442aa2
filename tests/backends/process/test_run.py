"""Commands of this machine as targets, in namespaces of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from mta_sts_lab.backends.process.network import TARGET_ADDRESS, TARGET_IPV6
from mta_sts_lab.backends.registry import BackendError
from mta_sts_lab.events import ConnectionAccepted
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.targets.contract import TargetError

from tests.backends.process.sandbox import REFERENCE_SENDER, TOY_SENDER, Sandbox, toy_sender

pytestmark = pytest.mark.namespaces

STRIP = "starttls/strip[enforce]"
CONTROL = "starttls/strip[absent]"


def test_a_sender_without_mta_sts_lets_mail_out(sandbox: Sandbox, ordinary: None) -> None:
    verdicts = sandbox.play(sandbox.target(toy_sender()), STRIP)

    assert verdicts[STRIP].grade is Grade.FAIL
    assert verdicts[CONTROL].grade is Grade.PASS
    assert {one.obligation for one in verdicts[STRIP].judgements if one.grade is Grade.FAIL} == {"STS-5-03"}
    assert ": sent" in sandbox.log
    assert not (sandbox.kept / "output.txt").exists()


def test_the_reference_sender_as_a_process_passes(sandbox: Sandbox, ordinary: None) -> None:
    cases = (STRIP, "certificate/own-expired", "policy/cache-survives-restart")
    verdicts = sandbox.play(sandbox.target(REFERENCE_SENDER, 25, serves_contract=True), *cases)

    assert len(verdicts) > 4
    assert {verdict.grade for verdict in verdicts.values()} == {Grade.PASS}


@pytest.mark.parametrize(
    ("family", "blocks"), [("ipv6", {"2001:db8:18:"}), ("both", {"2001:db8:18:", "198.18."}), ("ipv4", {"198.18."})]
)
def test_the_addresses_of_a_family_are_real_ones(sandbox: Sandbox, family: str, blocks: set[str]) -> None:
    target = sandbox.target(REFERENCE_SENDER, 25, serves_contract=True)

    assert sandbox.play(target, STRIP, family=family)[STRIP].grade is Grade.PASS
    assert sandbox.record is not None
    met = [event.fact for event in sandbox.record.events if isinstance(event.fact, ConnectionAccepted)]
    met = [fact for fact in met if not fact.via]
    assert {next(block for block in blocks if fact.address.startswith(block)) for fact in met} == blocks
    assert {fact.peer for fact in met} <= {TARGET_ADDRESS, TARGET_IPV6}
    assert (TARGET_IPV6 in {fact.peer for fact in met}) is (family != "ipv4")


def test_a_flaw_of_the_reference_sender_is_found(sandbox: Sandbox) -> None:
    target = sandbox.target(REFERENCE_SENDER, 25, serves_contract=True)

    assert sandbox.play(target, STRIP, flaws=["sends_clear_without_starttls"])[STRIP].grade is Grade.FAIL


def test_a_command_that_goes_into_the_background_is_a_target_like_any_other(sandbox: Sandbox, ordinary: None) -> None:
    assert sandbox.play(sandbox.target(toy_sender(after=" &")), CONTROL)[CONTROL].grade is Grade.PASS


def test_executables_in_the_folder_answer_the_contract(sandbox: Sandbox, ordinary: None) -> None:
    hooks = sandbox.folder / "hooks"
    hooks.mkdir()
    about = (
        '{"contract": 1, "name": "hooked", "versions": {"dns": "\'$LAB_DNS\'", "pid": "\'$$\'"}, "retry_seconds": 2}'
    )
    (hooks / "about").write_text(f"#!/bin/sh\necho '{about}'\n")
    (hooks / "logs").write_text("#!/bin/sh\necho what the hook says\n")
    for hook in hooks.iterdir():
        hook.chmod(0o755)

    verdicts = sandbox.play(sandbox.target(toy_sender()), CONTROL)

    assert verdicts[CONTROL].grade is Grade.PASS
    assert sandbox.record is not None
    assert sandbox.record.header.about.name == "hooked"
    assert sandbox.record.header.about.versions["dns"] == "198.18.0.1"
    # Process numbers begin anew in a PID namespace.
    assert int(sandbox.record.header.about.versions["pid"]) < 1000
    assert sandbox.log == "what the hook says\n"
    assert ": sent" in (sandbox.kept / "output.txt").read_text()


def test_what_is_printed_is_the_log_where_no_hook_shows_one(sandbox: Sandbox, ordinary: None) -> None:
    hooks = sandbox.folder / "hooks"
    hooks.mkdir()
    (hooks / "about").write_text('#!/bin/sh\necho \'{"contract": 1, "name": "hooked", "retry_seconds": 2}\'\n')
    (hooks / "about").chmod(0o755)

    assert sandbox.play(sandbox.target(toy_sender()), CONTROL)[CONTROL].grade is Grade.PASS
    assert ": sent" in sandbox.log
    assert not (sandbox.kept / "output.txt").exists()


def of_this_machine() -> tuple[object, ...]:
    """Return what no run may change. Container engines make and remove mounts of their own meanwhile."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if "docker" not in line]
    return (
        Path("/etc/resolv.conf").read_bytes(),
        mounts,
        socket.gethostname(),
        {"lab", "target"} & set(os.listdir("/sys/class/net")),
    )


RESTART = """#!/bin/sh
signal=$(sed 's/.*"signal": *"\\([A-Z]*\\)".*/\\1/')
kill -"$signal" "$(cat "$LAB_STATE/pid")"
./start &
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 2525))' 2>/dev/null; do :; done
echo '{"restarted": true}'
"""


def test_a_hook_restarts_the_command_inside_the_namespaces(sandbox: Sandbox, ordinary: None) -> None:
    (sandbox.folder / "hooks").mkdir()
    begin = 'echo $$ >"$LAB_STATE/pid"; exec '
    files = {
        "start": f"#!/bin/sh\n{begin}{toy_sender()[2]}\n",
        "hooks/about": '#!/bin/sh\necho \'{"contract": 1, "name": "toy", "retry_seconds": 2}\'\n',
        "hooks/restart": RESTART,
    }
    for name, text in files.items():
        (sandbox.folder / name).write_text(text)
        (sandbox.folder / name).chmod(0o755)
    case = "policy/cache-survives-restart[absent]"

    sandbox.play(sandbox.target(("./start",)), case)

    assert sandbox.record is not None
    restarts = [event.fact for event in sandbox.record.events if type(event.fact).__name__ == "TargetRestarted"]
    assert restarts
    assert not any(type(event.fact).__name__ in ("NotSupported", "TargetFailed") for event in sandbox.record.events)


SEES = """
import json, os, pathlib, socket, ssl, subprocess, urllib.request
def writes(path):
    try:
        pathlib.Path(path).write_text("changed by the target")
    except OSError as error:
        return error.strerror
    return "written"
def reaches(address):
    try:
        socket.create_connection((address, 9), 2)
    except OSError as error:
        return error.strerror
def sets_the_clock():
    import time
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time())
    except OSError as error:
        return error.strerror
subprocess.run(["logger", "a line for syslog"])
bundle = pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_text()
listener = socket.create_server(("0.0.0.0", 25))
print("SEEN" + json.dumps({
    "uid": os.getuid(),
    "pids": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "resolver": pathlib.Path("/etc/resolv.conf").read_text(),
    "host name": socket.gethostname(),
    "own address": socket.gethostbyname(socket.gethostname()),
    "default trust": len(ssl.create_default_context().get_ca_certs()),
    "bundle": bundle.count("BEGIN CERT"),
    "same CA": bundle == pathlib.Path(os.environ["LAB_CA"]).read_text(),
    "node": os.environ["NODE_EXTRA_CA_CERTS"] == os.environ["LAB_CA"],
    "proxies": urllib.request.getproxies(),
    "writes": {path: writes(path) for path in PATHS},
    "Internet": reaches("192.0.2.1"),
    "lab": reaches("198.18.77.77"),
    "clock": sets_the_clock(),
    "state": writes(os.environ["LAB_STATE"] + "/x"),
    "programs": os.access("/usr/local/bin", os.W_OK),
    "docker": os.path.exists("/run/docker.sock"),
}), flush=True)
"""


@pytest.mark.parametrize(
    "as_root", [False, pytest.param(True, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))]
)
def test_what_the_command_sees_is_the_lab_and_what_it_changes_is_a_copy(
    sandbox: Sandbox, as_root: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not as_root:
        request.getfixturevalue("ordinary")
    monkeypatch.setenv("https_proxy", "http://192.0.2.1:3128")
    paths = ["/etc/mta-sts-lab-test", "/var/tmp/mta-sts-lab-test", "/run/mta-sts-lab-test", str(tmp_path / "in-tmp")]
    (sandbox.folder / "see.py").write_text(SEES.replace("PATHS", repr(paths)))
    before = of_this_machine()

    with pytest.raises(TargetError, match="ended with status 0 before it took mail"):
        sandbox.play(sandbox.target((sys.executable, "see.py")), CONTROL)

    seen = msgspec.json.decode(sandbox.log.split("SEEN")[1].splitlines()[0])
    assert "a line for syslog" in sandbox.log
    assert seen.pop("pids") <= 3
    # Root that goes the way of an ordinary user stays root for the files of the machine.
    assert not seen.pop("programs") or (os.geteuid() == 0 and not as_root)
    assert seen.pop("uid") == (0 if as_root else 1000 if os.geteuid() == 0 else os.geteuid())
    assert seen.pop("resolver").splitlines() == ["nameserver 198.18.0.1", "options timeout:2 attempts:2 edns0 trust-ad"]
    assert seen == {
        "host name": "mta.sender.example",
        "own address": "198.19.255.254",
        "default trust": 1,
        "bundle": 1,
        "same CA": True,
        "node": True,
        "proxies": {},
        "writes": dict.fromkeys(paths, "written"),
        "Internet": "Network is unreachable",
        "lab": "Connection refused",
        "clock": "Operation not permitted",
        "state": "written",
        "docker": False,
    }
    assert not any(map(os.path.exists, paths))
    assert of_this_machine() == before


SILENT = "import socket, time; s = socket.create_server(('127.0.0.1', 2525)); time.sleep(99)"


@pytest.mark.parametrize(
    ("command", "ready", "message"),
    [
        (("sh", "-c", "echo no such option; exit 3"), 30, r"^the command ended with status 3 before it took mail.*\nno such option"),
        (("sh", "-c", "kill -KILL $$"), 30, "^the command ended with signal SIGKILL before it took mail"),
        (("sleep", "99"), 1, "^target-ready: the target is not up after 1 s: .* port 2525 .*refused; it listens on no port$"),
        (("sh", "-c", "sleep 99 &"), 1, "it listens on no port; its first process ended with status 0$"),
        ((sys.executable, "-c", SILENT.replace("2525", "2526")), 4, "it listens on port 2526$"),
        ((sys.executable, "-c", SILENT), 4, "^port 2525 is open, and no SMTP greeting came from it within 4 s$"),
    ],
)  # fmt: skip
def test_a_command_that_never_takes_mail(
    sandbox: Sandbox, ordinary: None, command: tuple[str, ...], ready: float, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        sandbox.play(sandbox.target(command, ready=ready), CONTROL)
    assert sandbox.record is None


#: The first message is the lab's own trial, the second one belongs to the case. With the third it ends.
DIES = f"""
import asyncio, os, sys
sys.path.insert(0, {str(TOY_SENDER)!r})
import toy_sender
class Dies(toy_sender.Relay):
    taken = 0
    async def handle_DATA(self, server, session, envelope):
        self.taken += 1
        if self.taken < 3:
            return await super().handle_DATA(server, session, envelope)
        loop.call_later(0.2, os._exit, 7)
        return "250 queued"
loop = asyncio.new_event_loop()
toy_sender.UnthreadedController(Dies(), "127.0.0.1", 2525, loop=loop).begin()
loop.run_forever()
"""


@pytest.mark.parametrize("black_box", [False, True], ids=["", "black-box"])
def test_a_command_that_dies_in_mid_case(sandbox: Sandbox, ordinary: None, black_box: bool) -> None:
    (sandbox.folder / "dies.py").write_text(DIES)
    verdict = sandbox.play(sandbox.target((sys.executable, "dies.py")), CONTROL, black_box=black_box)[CONTROL]

    assert verdict.grade is Grade.INCONCLUSIVE
    found = next(one for one in verdict.judgements if one.reason == "target-failed")
    assert "the command ended with status 7" in found.observed


KEEPS_ALL = """
import time
from aiosmtpd.controller import Controller
class Keeps:
    async def handle_DATA(self, server, session, envelope):
        return "250 kept"
Controller(Keeps(), hostname="127.0.0.1", port=2525).start()
time.sleep(99)
"""


def test_a_command_that_delivers_nothing(sandbox: Sandbox, ordinary: None) -> None:
    (sandbox.folder / "keeps.py").write_text(KEEPS_ALL)
    with pytest.raises(TargetError, match=r"\(resolver-not-used\).*Either the mail server delivers nothing"):
        sandbox.play(sandbox.target((sys.executable, "keeps.py")), CONTROL)


def test_an_ordinary_user_is_told_of_sudo(sandbox: Sandbox, ordinary: None) -> None:
    with pytest.raises(TargetError, match="needs root, or changes users, is run with sudo"):
        sandbox.play(sandbox.target(("sh", "-c", "chroot /")), CONTROL)


def test_a_command_that_takes_the_port_of_the_hooks(sandbox: Sandbox, ordinary: None) -> None:
    (sandbox.folder / "hooks").mkdir()
    takes_it = "import socket, time; s = socket.create_server(('', 8025)); time.sleep(99)"

    with pytest.raises((TargetError, BackendError), match="does the command listen on its port, too"):
        sandbox.play(sandbox.target((sys.executable, "-S", "-c", takes_it)), CONTROL)


def test_a_machine_without_the_tools(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mta_sts_lab.backends.process.run.shutil.which", lambda tool, path: tool != "ip" and tool)

    with pytest.raises(BackendError, match=r"ip must be installed \(in Debian: iproute2\)"):
        sandbox.play(sandbox.target(toy_sender()), CONTROL)


def test_a_kernel_that_makes_no_namespaces(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    no_more = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"',
        "-",
    ]
    command = "mta_sts_lab.backends.process.run._command"
    from mta_sts_lab.backends.process import run

    usual = run._command(True)
    monkeypatch.setattr(command, lambda _: [*no_more, *usual])

    with pytest.raises(BackendError, match=r"makes no namespaces for us.*sudo.*apparmor_restrict_unprivileged_userns"):
        sandbox.play(sandbox.target(toy_sender()), CONTROL)


def test_root_of_a_user_namespace_counts_as_an_ordinary_user(namespaces: None) -> None:
    """So it is in a container that was started without root."""
    asked = "from mta_sts_lab.backends.process.run import ordinary_user; print(ordinary_user())"
    inside = ["unshare", "--user", "--map-root-user", sys.executable, "-c", asked]
    assert subprocess.run(inside, capture_output=True, text=True, check=True).stdout == "(0, 0)\n"


def test_an_interrupt_ends_everything(sandbox: Sandbox, ordinary: None, monkeypatch: pytest.MonkeyPatch) -> None:
    target = sandbox.target(toy_sender(before="touch running; "))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mta_sts_lab.backends.process.run.pass_on", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sandbox.play(target, CONTROL)
    assert processes_of(sandbox.folder) == []


def processes_of(folder: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            working = os.readlink(process / "cwd")
        except OSError:
            continue
        if working.startswith(str(folder)):
            found.append(int(process.name))
    return found
