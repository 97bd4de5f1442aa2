"""The third ring: real containers. Same verdicts as in process, no way out, and nothing left behind whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.engine import OWNER_LABEL, RUN_LABEL
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.docker.run import run_in_containers
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.registry import Job
from mta_sts_lab.backends.served_plan import PROCESSOR_TIME, TARGET_LOG
from mta_sts_lab.events import Event, StepBegan
from mta_sts_lab.record_reading import read_record
from mta_sts_lab.runner.outlet import Outlet
from mta_sts_lab.runner.plan import Plan, plan_run
from mta_sts_lab.runs import load_shipped_catalogue as catalogue

import docker
from tests.backends.docker.throw_away import ThrowAway, play
from tests.cli.program import Answer, end, record_in, start, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

OVER_TIME = ("certificate/swapped-untrusted", "policy/cache-survives-restart", "policy/max-age-lapses")


@pytest.fixture(scope="module", autouse=True)
def _image(engine: docker.DockerClient) -> None:
    """Build before anything is timed or interrupted."""
    lab_image(engine, print)


def ours(engine: docker.DockerClient, run: str) -> list[str]:
    """Return what of a run is in the engine."""
    query = {"label": f"{RUN_LABEL}={run}"}
    things = [
        *engine.containers.list(all=True, filters=query, ignore_removed=True),
        *engine.networks.list(filters=query),
    ]
    return [thing.name for thing in things]


def owned_by(engine: docker.DockerClient, process: int) -> list[str]:
    """Return what a process has made."""
    names = []
    for thing in [*_containers(engine), *engine.networks.list(filters={"label": RUN_LABEL})]:
        labels = getattr(thing, "labels", None) or thing.attrs.get("Labels") or {}
        if f":{process}:" in labels.get(OWNER_LABEL, ""):
            names.append(thing.name)
    return names


def _containers(engine: docker.DockerClient) -> list[Any]:
    return list(engine.containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True))


def run_of(folder: Path) -> str:
    path = record_in(folder)
    assert path is not None
    return path.parent.name


def verdicts(answer: Answer) -> dict[str, tuple[str, list[str]]]:
    document = json.loads(answer.out)
    return {case["id"]: (case["verdict"], [step["outcome"] for step in case["steps"]]) for case in document["cases"]}


# -- verdicts


@pytest.mark.parametrize("attacks", ["starttls/strip*", "starttls/*"])
def test_the_reference_sender_fares_in_a_container_as_it_does_in_process(
    engine: docker.DockerClient, tmp_path: Path, attacks: str
) -> None:
    inside = play(tmp_path / "inside", "run", attacks, *OVER_TIME, "--json")
    docked = play(tmp_path / "docked", "run", attacks, *OVER_TIME, "--json", "--target", "reference-docker")
    assert (inside.status, docked.status) == (0, 0), docked.err
    assert verdicts(docked) == verdicts(inside)
    place = tmp_path / "docked" / "runs" / run_of(tmp_path / "docked")
    assert "delivered" in (place / "target" / "log.txt").read_text()
    assert ours(engine, place.name) == []


def test_a_flaw_is_found_in_a_container_too(tmp_path: Path) -> None:
    answer = play(
        tmp_path, "run", "starttls/strip", "--json", "--target", "reference-docker", "--flaw", "ignores_policy"
    )
    assert answer.status == 1, answer.err
    assert verdicts(answer)["starttls/strip[enforce]"][0] == "fail"
    assert json.loads(answer.out)["target"]["name"] == "reference (ignores_policy)"


# -- safety


@dataclass
class Looking:
    """An outlet that looks around in the containers, once, as soon as a condition holds; the run goes on meanwhile."""

    look: Callable[[], None]
    when: Callable[[Event], bool] = lambda event: True
    done: bool = False
    error: BaseException | None = None
    events: list[Event] = field(default_factory=list)
    complete: bool | None = None

    def outlet(self) -> Outlet:
        return Outlet(lambda _: None, self._event, lambda footer: self._footer(footer.complete), lambda *_: None)

    def _footer(self, complete: bool) -> None:
        self.complete = complete

    def _event(self, event: Event) -> None:
        self.events.append(event)
        if not self.done and self.when(event):
            self.done = True
            self.look()


def plan_of(*patterns: str) -> Plan:
    shipped = catalogue()
    return plan_run(shipped.find(patterns), shipped.cases, ("test",), 7)


def container(engine: docker.DockerClient, plan: Plan, part: str) -> Any:
    (found,) = [one for one in _containers(engine) if one.name.startswith(f"mta-sts-lab-{plan.run}-{part}")]
    return found


CONNECT = """
import errno, socket, sys
sock = socket.socket()
sock.settimeout(6)
try:
    sock.connect((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    print(errno.errorcode.get(error.errno, type(error).__name__))
else:
    print("connected")
"""


def test_a_target_has_no_way_out_no_privileges_and_no_key(engine: docker.DockerClient, tmp_path: Path) -> None:
    # So many cases that the run is not over before a busy machine comes to look.
    plan, folder = plan_of("starttls/*", "certificate/*"), find_target("reference-docker")
    found: dict[str, Any] = {}

    def look() -> None:
        target, lab = container(engine, plan, "target"), container(engine, plan, "lab")
        (network,) = target.attrs["NetworkSettings"]["Networks"].values()
        place = network["IPAddress"].rsplit(".", 1)[0]

        def dial(address: str, port: int) -> str:
            # Always says something. The engine was once seen to bring an empty output of a command that ended at once.
            command, told = ["/opt/venv/bin/python", "-c", CONNECT, address, str(port)], ""
            for _ in range(3):
                told = told or target.exec_run(command).output.decode().strip()
            return told

        # The lab's container ends with the run, however long the looking takes. That of the target stays.
        lab.kill("SIGSTOP")
        said = lab.exec_run(["sh", "-c", "ls /lab; echo keys:; grep -rl 'PRIVATE KEY' /lab"]).output.decode()
        found["files of the lab"], found["keys"] = (part.split() for part in said.split("keys:"))
        found["layer of the lab"] = [change["Path"] for change in lab.diff()]
        lab.kill("SIGCONT")
        found["self"] = dial(f"{place}.3", 25)
        found["outside"] = [dial("192.0.2.1", 80), dial("1.1.1.1", 53), dial("10.0.0.1", 22)]
        found["host"] = dial(f"{place}.1", 22)
        found["routes"] = target.exec_run(["ip", "route"]).output.decode()
        found["files"] = target.exec_run(["ls", "/lab"]).output.decode().split()
        found["privileges"] = target.exec_run(
            ["grep", "-E", "Cap(Bnd|Eff)|NoNewPrivs", "/proc/1/status"]
        ).output.decode()
        found["target"], found["lab's"] = target.attrs["HostConfig"], lab.attrs["HostConfig"]
        found["network"] = engine.networks.get(next(iter(target.attrs["NetworkSettings"]["Networks"]))).attrs

    looking = Looking(look)
    run_in_containers(Job(plan, folder, looking.outlet(), tmp_path, say=print))
    assert looking.done
    assert found["self"] == "connected", "the probe itself works"
    assert set(found["outside"]) == {"ENETUNREACH"}, found["outside"]
    assert found["host"] == "EHOSTUNREACH", "not even this host can be reached"
    assert "default" not in found["routes"]
    assert sorted(found["files"]) == ["ca.pem", "trust-anchor"]
    files = set(found["files of the lab"])
    assert files >= {"ca.pem", "plan.json"}
    # A run that ends before the look has written these two.
    assert files <= {"ca.pem", "plan.json", TARGET_LOG.name, PROCESSOR_TIME.name}
    assert found["keys"] == [], "the key of the CA is in no file"
    assert [path for path in found["layer of the lab"] if "key" in path] == []
    assert found["network"]["Internal"] is True
    assert found["target"]["CapDrop"] == found["lab's"]["CapDrop"] == ["ALL"]
    assert sorted(found["target"]["CapAdd"] or []) == sorted(folder.file.capabilities_needed)
    for part in ("target", "lab's"):
        options = found[part]
        assert not options["Privileged"]
        assert options["SecurityOpt"] == ["no-new-privileges"]
        assert not options["Binds"]
        assert not options["Devices"]
        assert not options["PortBindings"]
        assert options["PidsLimit"] > 0
        assert options["Memory"] >= 2 << 30
        assert options["PidMode"] == ""
    assert "CapBnd:\t0000000000000000" in found["privileges"]
    assert "NoNewPrivs:\t1" in found["privileges"]


# -- what goes wrong


#: Seconds: how long the runs below take, roughly, so that a kill may come at any point of them.
_LIFE_OF_A_RUN = 8.0


def test_two_runs_side_by_side(engine: docker.DockerClient, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    arguments = ("run", "starttls/strip", "--json", "--target", "reference-docker")
    answers = [end(process) for process in [start(folder, *arguments) for folder in folders]]
    assert [answer.status for answer in answers] == [0, 0], [answer.err for answer in answers]
    runs = [run_of(folder) for folder in folders]
    assert runs[0] != runs[1]
    assert [ours(engine, run) for run in runs] == [[], []]


@contextlib.contextmanager
def a_live_run(engine: docker.DockerClient, throw_away: ThrowAway, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that goes on beside what a test does: it waits for its target."""
    throw_away.write('CMD ["sleep", "600"]', "ready_seconds = 300")
    place.mkdir()
    process = start(place, "run", "starttls/strip", "--target", str(throw_away.folder))
    try:
        until(process, lambda: len(owned_by(engine, process.pid)) == 3)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        assert end(process).status == 130


def test_a_run_that_is_killed_takes_its_containers_along(
    engine: docker.DockerClient, throw_away: ThrowAway, tmp_path: Path
) -> None:
    """SIGKILL leaves it no time for that: another process waits for its end."""
    throw_away.write('CMD ["sleep", "600"]', "ready_seconds = 300")
    process = start(tmp_path, "run", "starttls/strip", "--target", str(throw_away.folder))
    until(process, lambda: len(owned_by(engine, process.pid)) == 3)
    process.kill()
    end(process)
    _wait_until_gone(engine, process.pid)


@pytest.mark.parametrize(
    ("kills", "target"), [(3, "reference-docker"), pytest.param(20, "postfix", marks=pytest.mark.thorough)]
)
def test_what_a_killed_run_leaves_is_cleaned_up_and_nothing_else(
    engine: docker.DockerClient, throw_away: ThrowAway, tmp_path: Path, kills: int, target: str
) -> None:
    target_image(engine, find_target(target), print)
    volumes = _volumes(engine)
    with a_live_run(engine, throw_away, tmp_path / "live") as live:
        alive = sorted(owned_by(engine, live.pid))
        for number in range(kills):
            folder = tmp_path / f"killed-{number}"
            folder.mkdir()
            process = start(folder, "run", "starttls/*", "--target", target)
            until(process, lambda: owned_by(engine, process.pid) != [])  # noqa: B023 - used up in this round
            moment = random.uniform(0, _LIFE_OF_A_RUN)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            process.kill()
            end(process)
            _wait_until_gone(engine, process.pid)
            cleaned = play(folder, "clean")
            assert cleaned.status == 0, (moment, cleaned.err)
            assert owned_by(engine, process.pid) == [], f"killed after {moment:.2f} s"
            assert sorted(owned_by(engine, live.pid)) == alive
            assert live.poll() is None, "nobody disturbed the other one"
            _nothing_but_the_run(folder)
    assert owned_by(engine, live.pid) == []
    assert _volumes(engine) <= volumes


def _volumes(engine: docker.DockerClient) -> set[str]:
    return {volume.name for volume in engine.volumes.list()}


def _nothing_but_the_run(folder: Path) -> None:
    """Once cleaned up there is nothing left, or the folder of a run that had been played to its end before the kill."""
    assert {path.name for path in folder.iterdir()} <= {"runs", "stdout", "stderr"}
    assert not list(folder.rglob("*.part"))
    record = record_in(folder)
    if record is None:
        assert not list((folder / "runs").iterdir())
    else:
        assert read_record(record).footer.complete


def _wait_until_gone(engine: docker.DockerClient, process: int) -> None:
    """Wait until nothing is left of a run whose process was killed, and nothing that the engine still made for it."""
    seen: list[list[str]] = []
    give_up = time.monotonic() + 60
    while len(seen) < 3 or any(seen[-3:]):
        assert time.monotonic() < give_up, seen[-1]
        seen.append(owned_by(engine, process))
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_after_itself(engine: docker.DockerClient, tmp_path: Path, number: int) -> None:
    process = start(tmp_path, "run", "starttls/*", "--target", "reference-docker")
    wanted = "AttackFired" if number == signal.SIGINT else '{"record":'
    until(process, lambda: (path := record_in(tmp_path)) is not None and wanted.encode() in path.read_bytes())
    process.send_signal(number)
    process.send_signal(number)
    answer = end(process)
    assert answer.status == 128 + number, answer.err
    assert "Traceback" not in answer.err
    assert "marked as incomplete" in answer.err
    assert owned_by(engine, process.pid) == []
    path = record_in(tmp_path)
    assert path is not None
    assert read_record(path).footer.complete is False
    assert not (path.parent / "verdicts.json").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_an_interrupt_before_anything_was_played(engine: docker.DockerClient, tmp_path: Path) -> None:
    process = start(tmp_path, "run", "starttls/*", "--target", "reference-docker")
    until(process, lambda: owned_by(engine, process.pid) != [])
    process.send_signal(signal.SIGINT)
    answer = end(process)
    assert answer.status == 130, answer.err
    assert "Traceback" not in answer.err
    assert "nothing was played yet" in answer.err
    assert owned_by(engine, process.pid) == []
    assert record_in(tmp_path) is None


def test_a_target_that_dies_in_mid_run(engine: docker.DockerClient, tmp_path: Path) -> None:
    plan = plan_of("starttls/*")
    looking = Looking(
        lambda: container(engine, plan, "target").kill(),
        when=lambda event: isinstance(event.fact, StepBegan) and event.step == "attack",
    )
    began = time.monotonic()
    done = run_in_containers(Job(plan, find_target("reference-docker"), looking.outlet(), tmp_path, say=print))
    assert time.monotonic() - began < 60, "it is noticed long before the deadlines of a message"
    assert done.status == 0
    assert looking.complete is True, "the lab itself played to the end"
    assert any(type(event.fact).__name__ == "TargetFailed" for event in looking.events)
    assert ours(engine, plan.run) == []


def test_containers_that_somebody_removes_in_mid_run(engine: docker.DockerClient, tmp_path: Path) -> None:
    process = start(tmp_path, "run", "starttls/*", "--target", "reference-docker")
    until(process, lambda: record_in(tmp_path) is not None and b"MessageInjected" in record_in(tmp_path).read_bytes())  # type: ignore[union-attr]
    parts = [one for one in _containers(engine) if one.labels[RUN_LABEL] == run_of(tmp_path)]
    # The lab's first: one that sees its target go plays to the end.
    for one in sorted(parts, key=lambda part: not str(part.name).endswith("-lab")):
        # The run takes down what is left, and may be there first.
        with contextlib.suppress(docker.errors.APIError):
            one.remove(force=True)
    answer = end(process)
    assert answer.status == 3, answer
    assert answer.err.count("sts-lab: ") == 1
    assert "Traceback" not in answer.err
    assert "ended the run" in answer.err
    path = record_in(tmp_path)
    assert path is not None
    assert read_record(path).footer.complete is False
    assert not (path.parent / "verdicts.json").exists()
    assert ours(engine, path.parent.name) == []


# -- targets that are none


def failure(answer: Answer, status: int) -> str:
    """Return the one message of a run that failed, behind what it said by the way."""
    assert answer.status == status, (answer.status, answer.err)
    assert "Traceback" not in answer.err
    assert answer.out == ""
    _, *messages = answer.err.split("sts-lab: ")
    assert len(messages) == 1
    return messages[0]


def nothing_left(place: Path) -> None:
    """Only the target's own log may tell of a run that never began."""
    assert {path.name for path in place.rglob("*") if path.is_file()} <= {
        "log.txt",
        "configuration.txt",
        "processor-time.txt",
    }


def test_a_target_whose_container_exits_at_once(throw_away: ThrowAway, tmp_path: Path) -> None:
    throw_away.write('CMD ["sh", "-c", "echo no licence key found; exit 7"]')
    began = time.monotonic()
    answer = throw_away.run(tmp_path / "place")
    message = failure(answer, 4)
    assert "A throw-away target: its container ended with status 7 before it took mail" in message
    assert "no licence key found" in message
    assert answer.out == ""
    assert time.monotonic() - began < 40, "nobody waits for it until the deadline"
    nothing_left(tmp_path / "place")


def test_a_target_that_never_answers(throw_away: ThrowAway, tmp_path: Path) -> None:
    hook = "mkdir /hooks && printf '#!/bin/sh\\necho no licence key found\\n' >/hooks/logs && chmod +x /hooks/logs"
    throw_away.write(f'RUN {hook}\nCMD ["sleep", "600"]', "ready_seconds = 5")
    answer = throw_away.run(tmp_path / "place")
    (log,) = (tmp_path / "place").rglob("log.txt")
    assert "no licence key found" in log.read_text()
    assert "target-ready: the target is not up after 5 s: GET http://198." in failure(answer, 4)
    assert answer.out == ""
    nothing_left(tmp_path / "place")


def test_an_image_that_cannot_be_built(engine: docker.DockerClient, throw_away: ThrowAway, tmp_path: Path) -> None:
    throw_away.write(f"RUN echo {throw_away.name} && exit 9")
    message = failure(throw_away.run(tmp_path / "place"), 3)
    assert f"building mta-sts-lab/{throw_away.name}" in message
    assert "exit 9" in message or "code: 9" in message
    nothing_left(tmp_path / "place")
    in_between = [one for one in engine.api.containers(all=True) if throw_away.name in one["Command"]]
    assert in_between == []


def test_a_folder_without_a_dockerfile(throw_away: ThrowAway, tmp_path: Path) -> None:
    throw_away.write("")
    (throw_away.folder / "Dockerfile").rename(throw_away.folder / "Plain")
    assert "there is no Dockerfile" in failure(throw_away.run(tmp_path / "place"), 2)


def test_a_dockerfile_by_another_name_is_the_one_that_is_built(throw_away: ThrowAway, tmp_path: Path) -> None:
    throw_away.write("COPY docker/nobody/configure /", 'dockerfile = "Plain"')
    (throw_away.folder / "Dockerfile").rename(throw_away.folder / "Plain")
    message = failure(throw_away.run(tmp_path / "place"), 3)
    assert f"building mta-sts-lab/{throw_away.name}" in message
    assert "the build context is the target's folder itself" in message


def test_no_docker_command(throw_away: ThrowAway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    throw_away.write("")
    monkeypatch.setenv("PATH", str(tmp_path))
    message = failure(throw_away.run(tmp_path / "place"), 3)
    assert "the `docker` command is not installed" in message


def test_the_process_number_is_what_owns(engine: docker.DockerClient) -> None:
    assert owned_by(engine, os.getpid()) == [], "the tests themselves have left nothing"
