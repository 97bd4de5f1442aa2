"""What a failed build says, and when an image counts as another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.containers.images import _digest, _hint, _made_of


@pytest.mark.parametrize("printed", ["SSLError(... CERTIFICATE_VERIFY_FAILED ...)", "Certificate verification failed"])
def test_a_certificate_that_a_build_does_not_trust_has_a_remedy(printed: str) -> None:
    assert "docker/extra-ca/" in _hint(printed)


def test_any_other_failure_speaks_for_itself() -> None:
    assert _hint("E: Unable to locate package postfixx") == ""


def test_an_image_is_named_after_what_it_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    program = tmp_path / "part" / "program"
    program.write_text("one", encoding="utf-8")
    before = _digest(tmp_path, ["part"])
    (tmp_path / "part" / "private.crt").write_text("a certificate of this machine", encoding="utf-8")
    assert _digest(tmp_path, ["part"]) == before
    program.chmod(0o755)
    runnable = _digest(tmp_path, ["part"])
    assert runnable != before
    program.write_text("two", encoding="utf-8")
    assert _digest(tmp_path, ["part"]) not in (before, runnable)


def test_targets_may_share_an_image() -> None:
    own = _made_of("docker/my-mta", "")
    assert own == ("my-mta", "docker/my-mta/Dockerfile", ("docker/my-mta", "docker/common"))
    assert _made_of("docker/my-mta-stricter", "docker/my-mta/Dockerfile") == own
