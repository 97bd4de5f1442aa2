"""`sts-lab run` with several targets: each has its run, none costs the others theirs, and the worst is the exit status."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.reports.summary import EXIT_MEANINGS, EXIT_ORDER, USAGE, worst_exit
from mta_sts_lab.runs.several import command_for, named_targets

from tests.cli.program import Shell, end, on_record, record_in, start, until

if TYPE_CHECKING:
    import docker

STRIP = "starttls/strip[enforce]"

#: Where no Docker engine is: a target that cannot start.
NOWHERE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


class TestWhatWasTyped:
    def test_each_target_once(self) -> None:
        assert named_targets(["postfix", "reference", "postfix"]) == ("postfix", "reference")

    def test_all_is_the_reference_sender_and_what_is_shipped(self) -> None:
        everything = named_targets(["postfix", "all"])
        assert everything[0] == "postfix"
        assert {"reference", "reference-docker", "postfix", "exim"} <= set(everything)
        assert len(set(everything)) == len(everything)

    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("sts-lab run mx --target a --target b --seed 7", "sts-lab run mx --seed 7 --target b"),
            ("sts-lab run --target=a --target=b", "sts-lab run --target b"),
            ("sts-lab run --target all mx", "sts-lab run mx --target b"),
        ],
    )
    def test_each_record_holds_the_command_for_its_own_target(self, typed: str, expected: str) -> None:
        assert " ".join(command_for(typed.split(), "b")) == expected


class TestExitStatus:
    def test_the_worst_of_all_pairs(self) -> None:
        for worse, better in itertools.combinations_with_replacement(EXIT_ORDER, 2):
            assert worst_exit([worse, better]) == worst_exit([better, worse]) == worse

    def test_every_status_has_its_place(self) -> None:
        assert set(EXIT_ORDER) == set(EXIT_MEANINGS) - {USAGE}
        assert worst_exit([0, USAGE, 1]) == USAGE
        assert worst_exit([]) != 0, "nothing was played, so nothing is as expected"


class TestRun:
    def test_a_target_that_cannot_start_costs_the_others_nothing(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", NOWHERE["DOCKER_HOST"])
        answer = shell("run", STRIP, "--target", "postfix", "--target", "reference")
        assert answer.status == 3
        assert "postfix: not played (status 3): no Docker engine answers" in answer.out
        assert "reference: 1 case: 1 pass. All as expected." in answer.out
        (place,) = [place for place in shell.runs() if (place / "verdicts.json").exists()]
        assert f"sts-lab matrix runs/{place.name} --html matrix.html" in answer.out
        assert "reference: all as expected (2 of 2)" in answer.err
        assert read_record(place / "record.jsonl").header.command == (
            *("sts-lab", "run", STRIP),
            *("--target", "reference"),
        )

    @pytest.mark.parametrize(
        ("arguments", "status", "hint"),
        [
            (["--target", "postfx"], 2, "did you mean postfix"),
            (["--target", "postfix", "--flaw", "ignores_policy"], 2, "--flaw is for the reference sender"),
            (["--target", "postfix", "--json"], 2, "`sts-lab matrix RUN... --json`"),
            (["--target", "postfix", "--mode", "enforced"], 2, "the modes are"),
            (["--target", "postfix", "starttls/stripp"], 5, "did you mean starttls/strip"),
        ],
        ids=["name", "flaw", "json", "mode", "case"],
    )
    def test_what_cannot_be_done_is_said_before_anything_is_played(
        self, shell: Shell, arguments: list[str], status: int, hint: str
    ) -> None:
        assert hint in shell("run", "--target", "reference", *arguments).message(status)
        assert shell.left() == []

    def test_ctrl_c_tells_what_was_played_until_then(self, shell: Shell) -> None:
        process = start(
            shell.folder, "run", "starttls/*", "--target", "postfix", "--target", "reference", environment=NOWHERE
        )
        until(process, lambda: on_record(shell.folder, "MessageInjected"))
        process.send_signal(signal.SIGINT)
        answer = end(process)
        assert answer.status == 130
        assert "postfix: not played (status 3)" in answer.out
        assert "everything was taken down" in answer.err
        assert answer.err.strip().endswith("not played to the end: reference")
        path = record_in(shell.folder)
        assert path is not None
        assert read_record(path).footer.complete is False


@pytest.mark.docker
@pytest.mark.timeout(300)
def test_two_targets_and_their_matrix(shell: Shell, engine: docker.DockerClient) -> None:
    answer = shell("run", STRIP, "--target", "reference", "--target", "reference-docker")
    assert answer.status == 0, answer
    assert re.search(r"^reference: 1 case: 1 pass\. All as expected\.$", answer.out, re.M)
    assert re.search(r"^reference-docker: 1 case: 1 pass\. All as expected\.$", answer.out, re.M)
    document = json.loads(shell("matrix", *(place.name for place in shell.runs()), "--json").out)
    assert [column["totals"]["verdicts"]["pass"] for column in document["columns"]] == [1, 1]
    assert len({column["label"] for column in document["columns"]}) == 2
    assert not [one for one in engine.containers.list(all=True) if any(p.name in one.name for p in shell.runs())]


def test_the_line_with_the_matrix_command_can_be_pasted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE["DOCKER_HOST"])
    answer = shell("run", STRIP, "--target", "reference", "--target", "postfix", "--out", "my runs")
    command = next(line for line in answer.out.splitlines() if line.startswith("side by side: "))
    assert "'my runs/" in command
    words = shlex.split(command.removeprefix("side by side: sts-lab "))
    assert shell(*words).status == 0
    assert (Path(shell.folder) / "matrix.html").exists()
