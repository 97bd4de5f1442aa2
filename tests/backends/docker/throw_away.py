"""Target folders of a test's own, outside the checkout, and what becomes of their images."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.docker.images import BASE_IMAGE, lab_image, target_image
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.judge.known_failures import read_known_failures
from mta_sts_lab.runs import load_shipped_catalogue as catalogue

import docker
from tests.backends.docker.quotes import quotes_not_in_the_log
from tests.cli.program import Answer, end, start

#: Seconds for the whole catalogue on a real mail server: twice what the slowest took for a case on two busy cores,
#: Postfix with its reports (195 s for 385 cases). What it should take is for the benchmark to say.
WHOLE_CATALOGUE = 2 * 195 / 385 * len(catalogue().cases)
#: The same for a test that begins with building the image.
WITH_THE_IMAGE = WHOLE_CATALOGUE + 120

#: Seconds for any other run. Alone none takes half a minute; three at once on two processors take longer.
ANY_RUN = 150.0


def play(folder: Path, *arguments: str, longest: float = ANY_RUN) -> Answer:
    """Run the program in a folder, to its end."""
    folder.mkdir(exist_ok=True)
    return end(start(folder, *arguments), longest)


@dataclass(frozen=True)
class FinishedRun:
    """A run with `--json` that has ended, and the folder that it was started in."""

    answer: Answer
    place: Path

    @property
    def folder(self) -> Path:
        """The folder of the run itself."""
        (folder,) = (self.place / "runs").iterdir()
        return folder

    @property
    def document(self) -> dict[str, Any]:
        """What it printed."""
        assert self.answer.out, self.answer.err
        return dict(json.loads(self.answer.out))

    def case(self, name: str) -> dict[str, Any]:
        """Return one case of what it printed."""
        (found,) = [case for case in self.document["cases"] if case["id"] == name]
        return dict(found)


def run_on(engine: docker.DockerClient, place: Path, target: str, *cases: str) -> FinishedRun:
    """Play some cases, or the whole catalogue, against a mail server, whose image is built before anything is timed."""
    lab_image(engine, print)
    target_image(engine, find_target(target), print)
    return FinishedRun(play(place, "run", *cases, "--json", "--target", target, longest=WHOLE_CATALOGUE), place)


@dataclass
class ThrowAway:
    """A target folder of the test's own, and what becomes of its image."""

    engine: docker.DockerClient
    folder: Path
    name: str

    def write(self, dockerfile: str, target: str = "", base: str = BASE_IMAGE) -> None:
        """Write the folder: what stands below FROM, and what `target.toml` says beside the names."""
        self.folder.mkdir()
        (self.folder / "Dockerfile").write_text(f"FROM {base}\n{dockerfile}\n")
        (self.folder / "target.toml").write_text(
            f'name = "{self.name}"\ntitle = "A throw-away target"\ndescription = "None."\n{target}\n'
        )

    def run(self, place: Path) -> Answer:
        """Play a scenario against it."""
        return play(place, "run", "starttls/strip", "--json", "--target", str(self.folder))

    def check(self, place: Path) -> Answer:
        """Check its adapter."""
        return play(place, "target-check", "--json", str(self.folder))

    def forget(self) -> None:
        """Remove its images."""
        # By name: the same layers may be somebody else's image, too.
        for image in self.engine.images.list(name=f"mta-sts-lab/{self.name}"):
            for tag in image.tags:
                if tag.startswith(f"mta-sts-lab/{self.name}:"):
                    self.engine.images.remove(tag)


def nothing_but_what_is_known(run: FinishedRun, proves_nothing: frozenset[str] = frozenset()) -> None:
    """Check that a run of the whole catalogue found what is known of its target, and nothing else."""
    no_finding_but_known_ones(run, proves_nothing)
    assert run.document["summary"]["cases"] == len(catalogue().cases)
    assert _untrue_quotes(run.folder / "target") == []


def no_finding_but_known_ones(run: FinishedRun, proves_nothing: frozenset[str] = frozenset()) -> None:
    """Check that a run of any cases found in them what is known of its target, and nothing else.

    `proves_nothing` are the cases that are known to be inconclusive there.
    """
    document = run.document
    found = [case for case in document["cases"] if case["verdict"] in ("fail", "weak") and not case["control_only"]]
    unknown = [line for case in found if not case["known"] for line in _told(case)]
    trouble = _trouble(run.folder / "target") if unknown else []
    assert not unknown, "\n".join(["findings that are not on the list of known failures:", *unknown, *trouble])
    assert document["known_failures"] == {"vanished": [], "unmatched": [], "cured": document["known_failures"]["cured"]}
    unproved = {case["id"] for case in document["cases"] if case["verdict"] in ("inconclusive", "lab-error")}
    assert unproved == proves_nothing
    assert document["summary"]["verdicts"]["lab-error"] == 0
    assert run.answer.status == (4 if proves_nothing else 0)
    assert (run.folder / "target" / "configuration.txt").read_text()


def _told(case: dict[str, Any]) -> list[str]:
    """Return what a case was found to do, and what became of its earlier plays: the run itself is gone when CI ends."""
    return [
        f"{case['id']}: {case['verdict']}; steps {[(step['name'], step['outcome']) for step in case['steps']]}",
        *(f"  earlier {play['verdict']}: {play['reasons']}" for play in case["earlier_plays"]),
        *(
            f"  {one['result']} {one['obligation']} {one['reason']} in {one['step']}: {one['observed']}"
            for one in case["judgements"]
            if one["result"] not in ("pass", "info")
        ),
    ]


#: What Postfix, its policy plug-in and its reporter say when the machine kept them from something: a count of TLS that the
#: collector did not take, a look-up or a connection that took too long.
_TROUBLE = re.compile(
    r"Could not report TLS|timed? ?out|Resource temporarily unavailable|socketmap:.*lookup error|Traceback",
    re.IGNORECASE,
)


def _trouble(target: Path) -> list[str]:
    """Return the last lines in which a target's log speaks of trouble, which some scenarios are about."""
    file = target / "log.txt"
    log = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return ["what the log says of trouble:", *[line[:300] for line in log if _TROUBLE.search(line)][-40:]]


def _untrue_quotes(target: Path) -> list[tuple[str, str]]:
    """Return the lines that known failures quote from the target's log and that are not in it, with a case of each.

    One that is listed for the target that this one is based on need not occur.
    """
    log = (target / "log.txt").read_text(encoding="utf-8", errors="replace")
    own = [one for one in read_known_failures(target / "known-failures.toml") if not one.inherited_from]
    return [(one.case, quote) for one in own for quote in quotes_not_in_the_log(one, log)]


def compose() -> list[str]:
    """Return the command of compose: the engine's plug-in, or the older program."""
    plugin = ["docker", "compose"]
    if shutil.which("docker") and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode:
        return plugin
    if not shutil.which("docker-compose"):
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    return ["docker-compose"]
