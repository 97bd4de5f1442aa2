from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from mta_sts_lab.backends.process import run

from tests.backends.process.sandbox import Sandbox
from tests.cli.conftest import shell as shell  # noqa: PLC0414 - a fixture

#: Set where missing namespaces must fail the tests instead of skipping them: in continuous integration.
REQUIRED = "LAB_REQUIRE_NAMESPACES"

_TRIAL = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "true")


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skip the test, or fail it where that is required, on a machine that makes no namespaces for us."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    trouble = "" if shutil.which("unshare") else "unshare is not installed"
    if not trouble:
        trial = subprocess.run(["unshare", *user, *_TRIAL], capture_output=True, text=True, check=False)
        trouble = trial.stderr.strip() if trial.returncode else ""
    if trouble and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, and this machine makes no namespaces: {trouble}", pytrace=False)
    if trouble:
        pytest.skip(f"this machine makes no namespaces: {trouble}")


@pytest.fixture
def sandbox(namespaces: None, tmp_path: Path) -> Sandbox:
    """A place for a target, and for what its runs leave."""
    for name in ("target", "kept"):
        (tmp_path / name).mkdir()
    return Sandbox(tmp_path / "target", tmp_path / "kept")


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test that root runs go the way of an ordinary user: everything in a user namespace."""
    if os.geteuid() == 0:
        monkeypatch.setattr(run, "ordinary_user", lambda: (1000, 1000))
