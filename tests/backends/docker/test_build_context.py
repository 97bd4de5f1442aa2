"""What a build is given, and when an image counts as another one."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.build_context import EXTRA_CA_VARIABLE, BuildContext, context_of, foreign_context
from mta_sts_lab.backends.docker.engine import EngineError
from mta_sts_lab.backends.docker.images import _LAB_PARTS


def members(context: BuildContext) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(context.archive())) as archive:
        return {member.name: member for member in archive}


def test_an_image_is_named_after_what_it_is_made_of(tmp_path: Path) -> None:
    def digest() -> str:
        return foreign_context(tmp_path, (), "Dockerfile").digest()

    program = tmp_path / "part" / "program"
    program.parent.mkdir()
    program.write_text("one", encoding="utf-8")
    before = digest()
    (tmp_path / "part" / "__pycache__").mkdir()
    (tmp_path / "part" / "__pycache__" / "program.pyc").write_bytes(b"compiled")
    assert digest() == before
    program.chmod(0o755)
    runnable = digest()
    assert runnable != before
    program.write_text("two", encoding="utf-8")
    assert digest() not in (before, runnable)


def test_modes_and_links_of_a_folder_of_ones_own_are_part_of_its_image(tmp_path: Path) -> None:
    """They are part of the archive: who mends a file that the mail server may not read gets another image."""

    def digest() -> str:
        return foreign_context(tmp_path, (), "Dockerfile").digest()

    (tmp_path / "mta.conf").touch(0o600)
    (tmp_path / "current").symlink_to("/opt/mta-1")
    before = digest()
    (tmp_path / "mta.conf").chmod(0o644)
    readable = digest()
    assert readable != before
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("/opt/mta-2")
    assert digest() not in (before, readable)


def test_a_dockerfile_of_ones_own_names_the_images_that_it_is_made_of(tmp_path: Path) -> None:
    lines = (
        *(
            "ARG BASE=debian",
            "FROM --platform=linux/amd64 golang:1.24 AS build",
            "FROM $BASE",
            "from example.org/mta:dev",
        ),
        *(
            "COPY --from=build /x /x",
            "COPY --chown=1:1 --from=example.org/tools /y /y",
            "# FROM old",
            "RUN echo FROM new",
        ),
    )
    (tmp_path / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
    context = foreign_context(tmp_path, (), "Dockerfile")
    assert context.images() == ["build", "example.org/mta:dev", "example.org/tools", "golang:1.24"]
    assert context.digest("sha256:1") != context.digest("sha256:2")
    assert context_of(("docker/exim",), "docker/exim/Dockerfile").images() == []


def test_an_image_on_another_base_is_another_image() -> None:
    plain = context_of(("docker/exim",), "docker/exim/Dockerfile")
    other = context_of(("docker/exim",), "docker/exim/Dockerfile", base="debian:bookworm-slim")
    assert other.digest() != plain.digest()
    assert (plain.base, other.base) == ("", "debian:bookworm-slim")


def test_a_dockerfile_without_a_place_for_another_base_is_refused() -> None:
    with pytest.raises(EngineError, match=r"docker/haraka/Dockerfile has no line 'FROM \$BASE'.*debian:bookworm-slim"):
        context_of(("docker/haraka",), "docker/haraka/Dockerfile", base="debian:bookworm-slim")


def test_a_certificate_in_a_targets_folder_is_part_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "own.crt").write_text("one", encoding="utf-8")
    before = foreign_context(tmp_path, (), "Dockerfile").digest()
    (tmp_path / "own.crt").write_text("two", encoding="utf-8")
    assert foreign_context(tmp_path, (), "Dockerfile").digest() != before


def test_extra_certificates_are_in_the_context_and_not_in_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(("docker/postfix",), "docker/postfix/Dockerfile")
    before = context.digest()
    (tmp_path / "mirror.crt").write_text("PEM", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no certificate", encoding="utf-8")
    monkeypatch.setenv(EXTRA_CA_VARIABLE, str(tmp_path))
    inside = members(context)
    assert [name for name in inside if name.startswith("docker/extra-ca")] == [
        "docker/extra-ca",
        "docker/extra-ca/mirror.crt",
    ]
    assert context.digest() == before
    monkeypatch.setenv(EXTRA_CA_VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(EngineError, match="missing, which is not a folder"):
        context.archive()


def test_the_labs_own_image_is_made_of_its_package_and_scenarios() -> None:
    inside = members(context_of(_LAB_PARTS, "docker/lab/Dockerfile"))
    for name in (
        "pyproject.toml",
        "docker/lab/Dockerfile",
        "lab/mta_sts_lab/__init__.py",
        "scenarios/starttls/strip.toml",
    ):
        assert inside[name].isfile()
    assert not [name for name in inside if "__pycache__" in name or "/_data/" in name]


def test_hooks_can_be_executed_and_settings_cannot() -> None:
    inside = members(context_of(("docker/postfix",), "docker/postfix/Dockerfile"))
    assert inside["docker/postfix/hooks/queue"].mode == 0o755
    assert inside["docker/postfix/main.cf"].mode == 0o644
    assert {(member.uid, member.uname) for member in inside.values()} == {(0, "")}


def test_links_and_private_files_of_a_folder_of_ones_own_are_kept(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("secret", encoding="utf-8")
    key.chmod(0o600)
    (tmp_path / "spool").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    inside = members(foreign_context(tmp_path, ("docker/common",), "Dockerfile"))
    assert inside["key.pem"].mode == 0o600
    assert inside["spool"].isdir()
    assert inside["link"].linkname == "nowhere"
    assert "docker/common/contract_server.py" in inside


def test_two_builds_of_one_image_wait_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").touch()
    order: list[str] = []

    def build() -> None:
        with foreign_context(tmp_path, (), "Dockerfile").locked():
            order.append("second")

    with foreign_context(tmp_path, (), "Dockerfile").locked():
        second = threading.Thread(target=build)
        second.start()
        second.join(0.2)
        order.append("first")
    second.join()
    assert order == ["first", "second"]
