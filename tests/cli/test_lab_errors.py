"""Status 1 is the judge's alone: a lab that fails, or cannot say what it found, ends with 3 and one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mta_sts_lab.judge.checks import Scope, all_checks, check, checks_of
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.reports import writers

from tests.backends.process.conftest import namespaces as namespaces  # noqa: PLC0414 - a fixture
from tests.cli.program import ROOT, Shell, end, record_in, start

STRIP = "starttls/strip"
FULL = Path("/dev/full")


@pytest.fixture
def broken_check(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A check that stumbles over one case, after it has found something."""
    all_checks()
    monkeypatch.setattr(check, "_checks", dict(check._checks))

    @check(scope=Scope.EVERY_STEP)
    def stumbles(view: CaseView, step: Step) -> Iterator[Judgement]:
        if view.case.id == f"{STRIP}[enforce]" and step.name == "attack":
            raise ZeroDivisionError("of its own\nin two lines")
        yield from ()

    for cached in (all_checks, checks_of):
        cached.cache_clear()
    yield
    for cached in (all_checks, checks_of):
        cached.cache_clear()


@pytest.mark.usefixtures("broken_check")
def test_an_exception_in_a_check_is_a_lab_error_of_its_case_alone(shell: Shell) -> None:
    answer = shell("run", STRIP, "--json")
    assert answer.status == 3
    cases = {case["id"]: case for case in json.loads(answer.out)["cases"]}
    broken = cases.pop(f"{STRIP}[enforce]")
    assert broken["verdict"] == "lab-error"
    (failed,) = [one for one in broken["judgements"] if one["reason"] == "check-failed"]
    assert (failed["check"], failed["step"], failed["blame"]) == ("stumbles", "attack", "lab")
    assert "ZeroDivisionError: of its own" in failed["observed"]
    assert {case["verdict"] for case in cases.values()} == {"pass"}


def test_an_exception_elsewhere_is_one_line_and_status_3(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise KeyError("a bug\nof two lines")

    monkeypatch.setattr("mta_sts_lab.reports.tables.scenarios_table", fails)
    message = shell("list").message(3)
    assert message.count("\n") == 1
    assert "an error in the lab, and no finding: KeyError" in message
    assert "test_lab_errors.py, line" in message


def test_a_writer_that_fails_costs_no_verdict(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> Iterator[tuple[str, bytes]]:
        raise ValueError("no XML for this")
        yield

    monkeypatch.setitem(writers._WRITERS, "junit", fails)
    shell("run", f"{STRIP}[absent]", "--json").message(3)
    (folder,) = shell.runs()
    assert json.loads((folder / "verdicts.json").read_text())["cases"]


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["lint"], ["run", f"{STRIP}[absent]"], ["run", f"{STRIP}[absent]", "--json"]],
    ids=" ".join,
)
def test_an_output_that_is_full_is_no_finding(shell: Shell, arguments: list[str]) -> None:
    with FULL.open("wb") as full:
        message = end(start(shell.folder, *arguments, stdout=full)).message(3)
    assert "sts-lab: the output cannot be written: No space left on device\n" in message
    if arguments[0] == "run":
        path = record_in(shell.folder)
        assert path is not None
        assert (path.parent / "verdicts.json").exists()


@pytest.mark.namespaces
@pytest.mark.usefixtures("namespaces")
def test_a_machine_whose_loopback_is_down_is_the_reason_that_is_given(tmp_path: Path) -> None:
    """In a new network namespace the interface `lo` is down: what is bound there can never be reached."""
    away = ("unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "mta_sts_lab")
    command = [*away, "run", f"{STRIP}[absent]"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("sts-lab: this machine cannot reach its own address 127.0.0.1 (")
    assert "ip link set lo up" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_an_output_that_is_not_utf_8(shell: Shell, encoding: str) -> None:
    def say(*arguments: str) -> bytes:
        process = start(shell.folder, *arguments, environment={"PYTHONIOENCODING": encoding})
        out, err = process.communicate(timeout=60)
        assert (process.returncode, b"Traceback" in err) == (0, False), err.decode()
        return out

    assert "encryption" in say("show", f"{STRIP}[enforce]").decode(encoding)
    assert json.loads(say("run", f"{STRIP}[absent]", "--json").decode())["cases"]
