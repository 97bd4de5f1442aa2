"""The program as a process: signals, pipes, a full disk, and what it imports to say what it can do."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mta_sts_lab.record_reading import read_record

from tests.cli.program import Shell, end, on_record, record_in, start, until

STRIP = "starttls/strip"


class TestInterrupted:
    @pytest.mark.parametrize(
        ("moment", "number"),
        [
            ('{"record":', signal.SIGINT),
            ("MessageInjected", signal.SIGTERM),
            ("AttackFired", signal.SIGHUP),
            ('"step":"recover"', signal.SIGTERM),
        ],
    )
    def test_at_any_moment(self, shell: Shell, moment: str, number: int) -> None:
        process = start(shell.folder, "run", "starttls/*")
        until(process, lambda: on_record(shell.folder, moment))
        process.send_signal(number)
        answer = end(process)
        message = answer.message(128 + number)
        assert answer.out == ""
        path = record_in(shell.folder)
        assert path is not None
        assert f"{path.parent.relative_to(shell.folder)}/, marked as incomplete" in message
        record = read_record(path)
        assert record.footer.complete is False
        assert sorted(item.name for item in path.parent.iterdir()) == ["record.jsonl", "target"]
        assert not list(path.parent.rglob("*.part"))

        judged = shell("judge", path.parent.name, "--json")
        assert judged.status in (4, 1), "a failure that was seen stays one; nothing else is proved"
        document = json.loads(judged.out)
        assert document["complete"] is False
        assert "inconclusive" in {case["verdict"] for case in document["cases"]}
        assert judged.status == 4, [case for case in document["cases"] if case["verdict"] == "fail"]

    def test_twice(self, shell: Shell) -> None:
        process = start(shell.folder, "run", "starttls/*")
        until(process, lambda: on_record(shell.folder, "MessageInjected"))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        answer = end(process)
        assert answer.status == 130
        assert "Traceback" not in answer.err
        path = record_in(shell.folder)
        assert path is not None
        assert read_record(path).footer.complete is False

    def test_in_background_of_a_shell_that_ignores_ctrl_c(self, shell: Shell) -> None:
        def ignore() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        process = start(shell.folder, "run", "starttls/*", preexec_fn=ignore)
        until(process, lambda: on_record(shell.folder, "MessageInjected"))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        end(process).message(143)
        path = record_in(shell.folder)
        assert path is not None
        assert read_record(path).footer.complete is False


class TestKilled:
    def test_a_record_without_footer_is_refused(self, shell: Shell) -> None:
        process = start(shell.folder, "run", "starttls/*")
        until(process, lambda: on_record(shell.folder, "MessageInjected"))
        process.kill()
        assert end(process).status == -signal.SIGKILL
        path = record_in(shell.folder)
        assert path is not None
        assert "truncated" in shell("judge", path.parent.name).message(2)
        assert not (path.parent / "verdicts.json").exists()


class TestNobodyReads:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["demo", "strip"],
            ["run", f"{STRIP}[absent]", "--json"],
            ["list"],
            ["lint"],
        ],
        ids=" ".join,
    )
    def test_a_closed_pipe_is_no_error_and_no_finding(self, shell: Shell, arguments: list[str]) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        process = start(shell.folder, *arguments, stdout=writing)
        os.close(writing)
        answer = end(process)
        assert (answer.status, answer.err) == (141, "")
        if arguments[0] in ("demo", "run"):
            path = record_in(shell.folder)
            assert path is not None
            assert read_record(path).footer.complete is True, "the run went on to its end"
            assert (path.parent / "verdicts.json").exists()


def test_a_full_disk_is_an_error_in_the_lab_and_never_a_verdict(shell: Shell) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    process = start(shell.folder, "run", STRIP, "--json", preexec_fn=limit)
    answer = end(process)
    message = answer.message(3)
    assert "record.jsonl: cannot be written: File too large; nothing of this run is judged" in message
    assert answer.out == ""
    path = record_in(shell.folder)
    assert path is not None
    assert not (path.parent / "verdicts.json").exists()
    shell("judge", path.parent.name).message(2)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['sts-lab', '--help']\n"
        "from mta_sts_lab.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = [name for name in ('mitmproxy', 'docker', 'aiohttp', 'aiosmtpd', 'cryptography') if name in sys.modules]\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_lab_stays_out_of_its_own_container(shell: Shell, tmp_path: Path) -> None:
    if Path("/lab/plan.json").exists():
        pytest.skip("this is a container of the lab")
    message = shell("play-served-plan").message(2)
    assert "the lab's own container" in message
