"""What a failed build says, and when an image counts as another one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import docker.errors
import pytest
from mta_sts_lab.backends.docker.build_context import foreign_context
from mta_sts_lab.backends.docker.images import BASE_IMAGE, _base_of, _called, _hint, _made_of, without_colours


@pytest.mark.parametrize("printed", ["SSLError(... CERTIFICATE_VERIFY_FAILED ...)", "Certificate verification failed"])
def test_a_certificate_that_a_build_does_not_trust_has_a_remedy(printed: str) -> None:
    assert "LAB_EXTRA_CA" in _hint(printed)


def test_what_a_build_prints_is_shown_without_the_codes_of_a_terminal() -> None:
    assert (
        without_colours("\x1b[0m\x1b[91mWARNING: Retrying\n\x1b[0mERROR: none\n") == "WARNING: Retrying\nERROR: none\n"
    )


def test_any_other_failure_speaks_for_itself() -> None:
    assert _hint("E: Unable to locate package postfixx") == ""


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


def test_an_image_whose_base_was_built_anew_is_another_one(tmp_path: Path) -> None:
    """Its program may be in the base alone, and the one that was built before would be tested."""
    (tmp_path / "Dockerfile").write_text("FROM example.org/mta:dev\nCOPY --from=0 /x /x\n", encoding="utf-8")
    ids = {"example.org/mta:dev": "sha256:1"}

    def get(name: str) -> SimpleNamespace:
        if name not in ids:
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(id=ids[name])

    def called() -> str:
        client = SimpleNamespace(images=SimpleNamespace(get=get))
        return _called(client, "mine", foreign_context(tmp_path, (), "Dockerfile"))  # type: ignore[arg-type]

    before = called()
    assert called() == before
    ids["example.org/mta:dev"] = "sha256:2"
    assert called() != before


@pytest.mark.parametrize(
    ("dockerfile", "needed"),
    [
        (f"FROM {BASE_IMAGE}\nCOPY hooks/ /hooks/\n", BASE_IMAGE),
        (f"FROM golang:1 AS made\nFROM {BASE_IMAGE}\nCOPY --from=made /x /x\n", BASE_IMAGE),
        ("FROM alpine:3\n", ""),
        ("ARG BASE\nFROM $BASE\n", BASE_IMAGE),
    ],
)
def test_the_labs_base_is_asked_for_where_it_is_used(tmp_path: Path, dockerfile: str, needed: str) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    assert _base_of(foreign_context(tmp_path, (), "Dockerfile")) == needed
