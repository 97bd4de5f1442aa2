"""Whatever kills the lab, nothing of a run in namespaces survives it."""

from __future__ import annotations

import os
import random
import secrets
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mta_sts_lab.record_reading import read_record

from tests.backends.process.sandbox import Sandbox, toy_sender
from tests.cli.program import Shell, end, on_record, record_in, start
from tests.cli.program import until as wait_for

pytestmark = pytest.mark.namespaces

ROOT = Path(__file__).parents[3]

#: Seconds within which everything has to be gone: the kernel needs milliseconds, a loaded machine more.
GONE_SECONDS = 10.0

#: A run takes about three seconds until its first case is played, most of it for the start of two Pythons.
LONGEST_LIFE = 5.0

DRIVER = """
import sys
from pathlib import Path
from tests.backends.process import run_as
from tests.backends.process.sandbox import Sandbox, toy_sender
run_as(sys.argv[2])
sandbox = Sandbox(Path(sys.argv[1]) / "target", Path(sys.argv[1]) / "kept")
sandbox.play(sandbox.target(toy_sender(), capabilities=("mta-sts",)), "starttls/strip[enforce]")
"""


def marked(mark: str) -> list[int]:
    """Return the processes that have inherited a mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"LAB_TEST_MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def gone(mark: str) -> bool:
    """Wait until no process has a mark; return whether that came in time."""
    give_up = time.monotonic() + GONE_SECONDS
    while marked(mark) and time.monotonic() < give_up:
        time.sleep(0.02)
    return not marked(mark)


@pytest.mark.parametrize(
    "number", [*range(3), *(pytest.param(number, marks=pytest.mark.thorough) for number in range(3, 10))]
)
@pytest.mark.parametrize(
    "user", ["ordinary", pytest.param("root", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))]
)
def test_kill_at_a_random_moment(sandbox: Sandbox, user: str, number: int) -> None:
    mark = secrets.token_hex(8)
    moment = random.Random(f"{user} {number}").uniform(0.2, LONGEST_LIFE)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(sandbox.folder.parent), user],
        env={**os.environ, "LAB_TEST_MARK": mark, "PYTHONPATH": f"{ROOT}:{ROOT / 'lab'}"},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        # It plays for at least eight seconds: the toy sender claims to fetch policies, and never does.
        driver.wait(moment)
    driver.kill()
    driver.wait()

    assert gone(mark), [Path(f"/proc/{process}/cmdline").read_bytes() for process in marked(mark)]
    assert {path.name for path in sandbox.kept.iterdir()} <= {"output.txt", "configuration.txt"}
    assert "mta-sts-lab" not in Path("/proc/self/mountinfo").read_text()
    links = set(os.listdir("/sys/class/net"))
    assert not {"lab", "target"} & links


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_an_incomplete_record_and_nothing_else(namespaces: None, shell: Shell, number: int) -> None:
    mark = secrets.token_hex(8)
    command = shlex.join(toy_sender())
    options = ("--command", command, "--smtp", "2525")
    process = start(shell.folder, "run", "starttls/strip[enforce]", *options, environment={"LAB_TEST_MARK": mark})
    wait_for(process, lambda: on_record(shell.folder, "MessageInjected"))
    process.send_signal(number)
    answer = end(process)

    assert (answer.status, marked(mark)) == (128 + number, [])
    assert "marked as incomplete" in answer.err
    path = record_in(shell.folder)
    assert path is not None
    assert read_record(path).footer.complete is False
    assert (path.parent / "target" / "log.txt").exists()


def test_a_target_with_processes_of_every_kind_goes_with_the_lab(sandbox: Sandbox) -> None:
    """Those that ignore signals, have left their session, or have lost their parent."""
    mark = secrets.token_hex(8)
    stubborn = "trap '' TERM HUP INT; setsid sh -c \"trap '' TERM HUP; while :; do sleep 9; done\" & "
    command = toy_sender(before=f"LAB_TEST_MARK={mark}; export LAB_TEST_MARK; ({stubborn}) ; {stubborn}")

    verdicts = sandbox.play(sandbox.target(command), "starttls/strip[absent]")

    assert verdicts
    assert marked(mark) == []
