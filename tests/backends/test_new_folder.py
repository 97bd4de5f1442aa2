"""`sts-lab init` writes a folder that is in order as it stands, asks nothing, and overwrites nothing."""

from pathlib import Path

import pytest
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.backends.new_folder import new_folder
from mta_sts_lab.backends.registry import TargetRefused, find_backend

FOLDER_OF = {"postfix": "postfix", "exim4": "exim", "opensmtpd": "opensmtpd"}

#: Where the mail server of each package has its configuration.
PLACE_OF = {"postfix": "/etc/postfix", "exim4": "/etc/exim4", "opensmtpd": "/etc/mail", "postfix-no-policy": "/etc"}


def test_a_process(tmp_path: Path) -> None:
    written = new_folder(tmp_path / "My MTA")
    assert {file.name for file in written} == {"target.toml", "start", "toy_sender.py"}
    target = find_target(f"{tmp_path}/My MTA")
    assert (target.name, target.file.backend) == ("my-mta", "process")
    find_backend("process").check(target, ())


@pytest.mark.parametrize("package", FOLDER_OF)
def test_a_package(tmp_path: Path, package: str) -> None:
    new_folder(tmp_path / "mine", package)
    target = find_target(f"{tmp_path}/mine")
    assert (target.name, target.file.based_on, target.file.backend) == ("mine", FOLDER_OF[package], "docker")


@pytest.mark.parametrize("package", PLACE_OF)
def test_the_lines_that_are_commented_out_are_right(tmp_path: Path, package: str) -> None:
    (file,) = new_folder(tmp_path / "mine", package)
    text = file.read_text()
    file.write_text(text.replace("# [files]", "[files]").replace('# "/', '"/'))
    (tmp_path / "mine" / "etc").mkdir()
    (tmp_path / "mine" / "etc" / "some-table").touch()
    (laid,) = [one for one in find_target(f"{tmp_path}/mine").laid if one.source.name == "some-table"]
    assert laid.at.startswith(PLACE_OF[package])


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(TargetRefused, match="is there already"):
        new_folder(tmp_path / "mine")
    with pytest.raises(TargetRefused, match="the lab has no image of it; did you mean postfix"):
        new_folder(tmp_path / "new", "postfx")
    with pytest.raises(TargetRefused, match="'postfix' is no name for a target of one's own"):
        new_folder(tmp_path / "postfix")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
