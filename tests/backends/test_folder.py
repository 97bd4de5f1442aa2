"""Target folders: what is read, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.backends.folder import FolderError, find_target, read_folder, shipped_targets
from mta_sts_lab.shipped_files import shipped_files
from mta_sts_lab.targets.injection import Inject
from mta_sts_lab.timeouts import TARGET_READY

MINIMAL = 'name = "my-mta"\ntitle = "Mine"\ndescription = "A mail server of my own."\n'


def folder(path: Path, text: str) -> Path:
    (path / "target.toml").write_text(text)
    return path


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    found = read_folder(folder(tmp_path, MINIMAL))
    assert found.name == "my-mta"
    assert (found.file.inject, found.file.contract.port) == (Inject(port=25), 8025)
    assert found.file.capabilities_needed == ()
    assert found.file.ready_seconds == TARGET_READY.seconds
    assert found.file.backend == "docker"
    assert found.known_failures == tmp_path / "known-failures.toml"


def test_known_failures_are_found_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "known-deviations.toml").touch()
    assert read_folder(folder(tmp_path, MINIMAL)).known_failures == tmp_path / "known-deviations.toml"
    (tmp_path / "known-failures.toml").touch()
    assert read_folder(folder(tmp_path, MINIMAL)).known_failures == tmp_path / "known-failures.toml"


def test_a_backend_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"target\.toml: there is no backend 'dokcer'; there are docker, in_process"):
        read_folder(folder(tmp_path, MINIMAL + 'backend = "dokcer"\n'))


def test_submission(tmp_path: Path) -> None:
    text = MINIMAL + "[inject]\nport = 587\nstarttls = true\nuser = 'lab@mta.example'\npassword = 'pass word'\n"
    assert read_folder(folder(tmp_path, text)).file.inject == Inject(587, True, "lab@mta.example", "pass word")


def test_settings_of_the_network_are_kept_as_they_are(tmp_path: Path) -> None:
    text = MINIMAL + '[sysctls]\n"net.unix.max_dgram_qlen" = "512"\n"net.ipv4.ping_group_range" = "0 10"\n'
    found = read_folder(folder(tmp_path, text))
    assert found.file.sysctls == {"net.unix.max_dgram_qlen": "512", "net.ipv4.ping_group_range": "0 10"}


def test_a_folder_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").touch()
    found = find_target(str(folder(tmp_path, MINIMAL + "ready_seconds = 120\n")))
    assert found.file.ready_seconds == 120
    assert not found.shipped


def test_a_shipped_one_may_be_given_by_its_path() -> None:
    found = find_target(str(shipped_files() / "docker" / "opensmtpd-tls"))
    assert (found.name, found.shipped) == ("opensmtpd-tls", True)


@pytest.mark.parametrize("name", ["postfix", "reference-docker", "lab"])
def test_a_shipped_name_cannot_be_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "Dockerfile").touch()
    with pytest.raises(FolderError, match=f"target.toml: the name '{name}' is one .*name = \"my-{name}\""):
        find_target(str(folder(tmp_path, MINIMAL.replace("my-mta", name))))


class TestDockerfile:
    """In a folder of one's own it is in that folder."""

    def test_it_may_be_named(self, tmp_path: Path) -> None:
        (tmp_path / "builds").mkdir()
        (tmp_path / "builds" / "Plain").touch()
        found = find_target(str(folder(tmp_path, MINIMAL + 'dockerfile = "builds/Plain"\n')))
        assert found.file.dockerfile == "builds/Plain"

    @pytest.mark.parametrize("named", ["docker/postfix/Dockerfile", "Dockerfile.plain", ""])
    def test_it_has_to_be_there(self, tmp_path: Path, named: str) -> None:
        text = MINIMAL + (f'dockerfile = "{named}"\n' if named else "")
        with pytest.raises(FolderError, match=f"there is no {named or 'Dockerfile'}; `sts-lab docs adding-an-mta`"):
            find_target(str(folder(tmp_path, text)))

    @pytest.mark.parametrize("named", ["../Dockerfile", "/etc/hostname"])
    def test_it_may_not_be_anywhere_else(self, tmp_path: Path, named: str) -> None:
        (tmp_path / "own").mkdir()
        (tmp_path / "Dockerfile").touch()
        with pytest.raises(FolderError, match=f"dockerfile = '{named}' is not in this folder"):
            find_target(str(folder(tmp_path / "own", MINIMAL + f'dockerfile = "{named}"\n')))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("name = ", "at end of document"),
        ("name = 7\n", "Expected `str`"),
        ('title = "x"\ndescription = "y"\n', "missing required field `name`"),
        (MINIMAL + "colour = 1\n", "unknown field `colour`"),
        (MINIMAL + "[inject]\nport = 70000\n", "<= 65535"),
        (MINIMAL + "[inject]\nusr = 'x'\n", "in [inject] port, starttls, user, password"),
        (MINIMAL + "[inject]\nstarttls = 1\n", "Expected `bool`"),
        (MINIMAL + "[inject]\nstarttls = true\nuser = 'x'\n", "`user` needs a `password` beside it - at `$.inject`"),
        (MINIMAL + "[inject]\nstarttls = true\npassword = 'x'\n", "`password` needs a `user` beside it"),
        (MINIMAL + "[inject]\nuser = 'x'\npassword = 'y'\n", "need `starttls = true`"),
        (MINIMAL + "[inject]\nstarttls = true\nuser = 'x'\npassword = \"y\\n\"\n", "control characters"),
        (MINIMAL + "[contract]\nport = 0\n", ">= 1"),
        (MINIMAL + "ready_seconds = 0\n", "> 0"),
        (MINIMAL + "ready_seconds = 1e9\n", "<= 900"),
        (MINIMAL.replace("my-mta", "../my mta"), "matching regex"),
        (MINIMAL + '[sysctls]\n"kernel.shmmax" = "1"\n', "matching regex '^net("),
        (MINIMAL + '[sysctls]\n"net" = "1"\n', "matching regex '^net("),
        (MINIMAL + '[sysctls]\n"net/../kernel.shmmax" = "1"\n', "matching regex '^net("),
        (MINIMAL + '[sysctls]\n"net.unix.max_dgram_qlen" = 512\n', "Expected `str`, got `int`"),
        (MINIMAL + '[sysctls]\n"net.unix.max_dgram_qlen" = ""\n', "matching regex"),
    ],
)
def test_a_wrong_one_says_where_and_what(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(FolderError) as caught:
        read_folder(folder(tmp_path, text))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "target.toml"))
    assert hint in message
    assert "legal keys are name, title, description" in message


def test_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be read"):
        find_target(str(tmp_path / "nowhere"))


def test_the_shipped_ones_are_right() -> None:
    shipped = shipped_targets()
    assert {"reference-docker", "postfix"} <= shipped.keys()
    assert shipped["reference-docker"].file.capabilities_needed == ()
    for target in shipped.values():
        assert not {"ALL", "SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_MODULE"} & set(target.file.capabilities_needed)
