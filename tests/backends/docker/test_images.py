"""What a failed build says, and when an image counts as another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import _COMMON_PARTS, _LAB_PARTS, _digest, _hint, _made_of


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
    (tmp_path / "part" / "__pycache__").mkdir()
    (tmp_path / "part" / "__pycache__" / "program.pyc").write_bytes(b"compiled")
    assert _digest(tmp_path, ["part"]) == before
    program.chmod(0o755)
    runnable = _digest(tmp_path, ["part"])
    assert runnable != before
    program.write_text("two", encoding="utf-8")
    assert _digest(tmp_path, ["part"]) not in (before, runnable)


def test_a_certificate_in_a_targets_folder_is_part_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "own.crt").write_text("one", encoding="utf-8")
    before = _digest(tmp_path, ["."])
    (tmp_path / "own.crt").write_text("two", encoding="utf-8")
    assert _digest(tmp_path, ["."]) != before


def test_what_only_the_builds_of_this_machine_trust_is_not() -> None:
    made_of = [*_LAB_PARTS, *_COMMON_PARTS, *_made_of("docker/postfix", "")[2]]
    assert not any(Path("docker/extra-ca").is_relative_to(part) for part in made_of)


@pytest.mark.parametrize(
    "printed",
    [
        "COPY failed: file not found in build context: stat docker/exim/configure: file does not exist",
        'failed to calculate checksum of ref x::y: "/docker/exim/configure": not found',
    ],
)
def test_a_copied_folder_is_told_where_its_files_are(printed: str) -> None:
    hint = _hint(printed, foreign=True)
    assert "docker/common" in hint
    assert "docker/extra-ca" in hint
    assert _hint(printed) == "", "a shipped folder has the whole checkout"


def test_targets_may_share_an_image() -> None:
    own = _made_of("docker/my-mta", "")
    assert own == ("my-mta", "docker/my-mta/Dockerfile", ("docker/my-mta", "docker/common"))
    assert _made_of("docker/my-mta-stricter", "docker/my-mta/Dockerfile") == own
