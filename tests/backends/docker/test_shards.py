"""Four shards in four containers of one compose file come to the verdicts of one whole run."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.runs import RunRequest, RunResult, load_shipped_catalogue, merge, run

import docker
from tests.backends.docker.throw_away import compose
from tests.cli.program import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.thorough, pytest.mark.timeout(1800)]

FLAWS = ("ignores_policy", "retries_in_clear")


def found(verdict: Verdict) -> tuple[str, bool, list[tuple[str, str]]]:
    findings = sorted((one.check, one.grade.value) for one in verdict.judgements if one.grade != "pass")
    return verdict.grade.value, verdict.control_only, findings


def test_the_verdicts_are_those_of_one_run(engine: docker.DockerClient, tmp_path: Path) -> None:
    catalogue = load_shipped_catalogue()
    whole = run(RunRequest(out=tmp_path / "whole", flaws=FLAWS, jobs=None), catalogue=catalogue)
    merged = merge(_play_shards(engine, tmp_path), tmp_path / "merged", catalogue)
    assert {one.case: found(one) for one in merged.verdicts} == {one.case: found(one) for one in whole.verdicts}
    assert _said(merged) == _said(whole)
    assert merged.summary.exit_code == 1
    assert {run.header.shard.number for run in merged.record.runs() if run.header.shard} == {1, 2, 3, 4}


def _said(result: RunResult) -> tuple[object, ...]:
    return result.summary.counts, result.summary.cases, result.summary.harms, result.summary.exit_code


def _play_shards(engine: docker.DockerClient, tmp_path: Path) -> list[Path]:
    shutil.copy(ROOT / "docs" / "examples" / "shards" / "compose.yaml", tmp_path)
    command = [*compose(), "--project-name", f"mta-sts-lab-shards-{secrets.token_hex(4)}"]
    environment = {
        **os.environ,
        "LAB_IMAGE": lab_image(engine, print),
        "ARGUMENTS": " ".join(f"--flaw {flaw}" for flaw in FLAWS),
    }
    try:
        done = subprocess.run(
            [*command, "up", "--no-color"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
    finally:
        subprocess.run([*command, "down", "--volumes"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    folders = sorted((tmp_path / "runs").glob("*/*/"))
    assert [folder.parent.name for folder in folders] == ["1", "2", "3", "4"], done.stdout[-2000:] + done.stderr[-2000:]
    return folders
