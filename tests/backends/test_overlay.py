"""Configurations of one's own over a shipped target: what is laid where, and what a wrong request says."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.files import laid_archive
from mta_sts_lab.backends.folder import FolderError, find_target, read_folder, shipped_targets, with_config
from mta_sts_lab.backends.overlay import MOST_FILES, digest_of_files, laid_files, left_out, not_laid
from mta_sts_lab.backends.registry import TargetRefused
from mta_sts_lab.backends.target_folder import TargetFolder

MINE = 'name = "my-postfix"\ntitle = "Mine"\ndescription = "A configuration of my own."\nbased_on = "postfix"\n'


def mine(folder: Path, text: str = MINE) -> TargetFolder:
    (folder / "target.toml").write_text(text)
    return find_target(str(folder))


def configured(folder: Path) -> Path:
    (folder / "postfix").mkdir()
    (folder / "postfix" / "main.cf").write_text("relayhost =\n")
    return folder / "postfix"


def placed(target: TargetFolder) -> dict[str, Path]:
    return {file.at: file.source for file in target.laid}


class TestBasedOn:
    """A folder that says only what is different from a shipped target."""

    def test_everything_else_is_as_the_shipped_one_says(self, tmp_path: Path) -> None:
        found, base = mine(tmp_path), shipped_targets()["postfix"]
        assert (found.name, found.called, found.base) == ("my-postfix", "my-postfix", base)
        assert found.file.capabilities_needed == base.file.capabilities_needed
        assert found.file.sysctls == base.file.sysctls
        assert found.file.better_than_packaged == ()
        assert found.inherited_failures == base.known_failures
        assert found.known_failures == tmp_path / "known-failures.toml"

    def test_what_it_says_itself_counts(self, tmp_path: Path) -> None:
        found = mine(tmp_path, MINE + 'ready_seconds = 7\n[environment]\nLAB_POLICY_PLUGIN = "off"\n')
        assert found.file.ready_seconds == 7
        assert found.file.environment == {"LAB_POLICY_PLUGIN": "off"}

    def test_files_and_folders_are_laid_over_the_image(self, tmp_path: Path) -> None:
        (tmp_path / "tables" / "more").mkdir(parents=True)
        for name in ("main.cf", "tables/one", "tables/more/two"):
            (tmp_path / name).touch()
        found = mine(tmp_path, MINE + '[files]\n"/etc/postfix/main.cf" = "main.cf"\n"/etc/postfix/tables" = "tables"\n')
        assert placed(found) == {
            "/etc/postfix/main.cf": tmp_path / "main.cf",
            "/etc/postfix/tables/more/two": tmp_path / "tables" / "more" / "two",
            "/etc/postfix/tables/one": tmp_path / "tables" / "one",
        }

    def test_a_slash_behind_a_folder_is_no_mistake(self, tmp_path: Path) -> None:
        configured(tmp_path)
        found = mine(tmp_path, MINE + '[files]\n"/etc/postfix/" = "postfix/"\n')
        assert placed(found) == {"/etc/postfix/main.cf": tmp_path / "postfix" / "main.cf"}

    def test_a_folder_of_a_known_kind_has_one_place(self, tmp_path: Path) -> None:
        configured(tmp_path)
        with pytest.raises(TargetRefused, match=r"nothing in the image reads /etc/postfx; did you mean /etc/postfix\?"):
            mine(tmp_path, MINE + '[files]\n"/etc/postfx" = "postfix"\n')

    def test_one_may_be_based_on_one_that_is_based_on_another(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yml").touch()
        text = MINE.replace('"postfix"', '"postfix-as-installed"')
        found = mine(tmp_path, text + '[files]\n"/etc/mta-sts-daemon.yml" = "mine.yml"\n')
        assert placed(found)["/etc/mta-sts-daemon.yml"] == tmp_path / "mine.yml"
        assert "/etc/tlsrpt/reportd.cfg" in placed(found)
        assert found.origin.name == "postfix"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (
                MINE.replace('"postfix"', '"postfxi"'),
                r"based_on = 'postfxi' is no shipped target.*did you mean postfix",
            ),
            (MINE.replace('"postfix"', '"../docker/postfix"'), r"is no shipped target with an image"),
            (MINE + 'dockerfile = "Dockerfile"\n', r"'dockerfile' and based_on exclude each other"),
            (MINE + '[process]\ncommand = ["x"]\n', r"'process' and based_on exclude each other"),
            (
                MINE.replace('based_on = "postfix"', 'base_image = "debian:bookworm-slim"'),
                r"base_image goes with based_on; a Dockerfile of one's own says its own FROM",
            ),
            (MINE + 'base_image = "--privileged"\n', r"legal keys are"),
            (MINE + '[files]\n"/etc/x" = "x"\n', r"\[files\]: .*x is neither a file nor a folder"),
            (MINE + '[files]\n"/etc/postfix" = "target.toml"\n', r"/etc/postfix is a folder"),
            (MINE + '[files]\n"/etc/postfi/main.cf" = "target.toml"\n', r"did you mean /etc/postfix/main.cf\?"),
            (MINE + '[files]\n"etc/x" = "target.toml"\n', r"'etc/x' is no absolute path in a container"),
            (MINE + '[files]\n"/etc/../x" = "target.toml"\n', r"is no absolute path in a container"),
            (MINE + '[files]\n"/lab/ca.pem" = "target.toml"\n', r"nothing can be laid over /lab/ca.pem"),
            (
                MINE.replace('based_on = "postfix"', '[files]\n"/x" = "y"'),
                r"\[files\] are laid over a shipped target; wh",
            ),
        ],
    )
    def test_a_wrong_one_says_what_would_be_right(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises((FolderError, TargetRefused), match=says):
            mine(tmp_path, text)


class TestConfig:
    """`--config`: folders and files that are known by what they are called."""

    def test_a_folder_is_known_by_a_file_in_it(self, tmp_path: Path) -> None:
        folder = configured(tmp_path)
        (folder / "transport").touch()
        (folder / "dynamicmaps.cf").touch()
        found = with_config(find_target("postfix"), [str(folder)], [])
        assert placed(found) == {
            "/etc/postfix/main.cf": folder / "main.cf",
            "/etc/postfix/transport": folder / "transport",
        }
        assert found.called == f"postfix with {folder}"
        assert found.known_failures == folder / "known-failures.toml"
        assert found.inherited_failures == find_target("postfix").known_failures

    def test_a_file_is_known_by_its_name_or_given_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "mta-sts-daemon.yml").touch()
        given = [str(tmp_path / "mta-sts-daemon.yml"), f"{tmp_path / 'mta-sts-daemon.yml'}=/etc/aliases"]
        found = with_config(find_target("postfix"), given, [])
        assert set(placed(found)) == {"/etc/mta-sts-daemon.yml", "/etc/aliases"}

    def test_a_target_that_shares_an_image_takes_what_the_owner_of_it_takes(self, tmp_path: Path) -> None:
        (tmp_path / "smtpd.conf").touch()
        found = with_config(find_target("opensmtpd-tls"), [str(tmp_path / "smtpd.conf")], [])
        assert placed(found) == {"/etc/smtpd.conf": tmp_path / "smtpd.conf"}
        assert found.made_in == find_target("opensmtpd").path

    def test_a_package_and_a_program_are_installed(self, tmp_path: Path) -> None:
        (tmp_path / "postfix.deb").touch()
        (tmp_path / "smtp").touch()
        given = [str(tmp_path / "postfix.deb"), f"{tmp_path / 'smtp'}=/usr/lib/postfix/sbin/smtp"]
        found = with_config(find_target("postfix"), [], given)
        assert [one.at for one in found.installs] == ["", "/usr/lib/postfix/sbin/smtp"]
        assert not found.known_failures.exists()

    @pytest.mark.parametrize(
        ("config", "install", "says"),
        [
            ("nowhere", "", r"--config .*nowhere: there is no such file or folder"),
            ("empty", "", r"--config .*empty: this folder does not hold main.cf"),
            ("strange", "", r"it is not known where strange belongs; .*--config .*strange=/etc/"),
            ("strange=/lab/plan.json", "", r"nothing can be laid over /lab/plan.json"),
            ("nowhere=/etc/x", "", r"nowhere is neither a file nor a folder"),
            ("strange=/etc/postfix", "", r"/etc/postfix is a folder; name the file in it: /etc/postfix/strange"),
            ("strange=/etc/postfx/main.cf", "", r"nothing in the image reads .*; did you mean /etc/postfix/main.cf\?"),
            ("", "nowhere.deb", r"--install .*nowhere.deb: there is no file"),
            ("", "strange", r"this is no Debian package \(\*.deb\); .*strange=/usr/sbin/strange"),
        ],
    )
    def test_a_wrong_request_says_what_would_be_right(
        self, tmp_path: Path, config: str, install: str, says: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "strange").touch()
        configs, installs = ([f"{tmp_path}/{one}"] if one else [] for one in (config, install))
        with pytest.raises(TargetRefused, match=says):
            with_config(find_target("postfix"), configs, installs)

    def test_it_is_for_targets_with_an_image(self, tmp_path: Path) -> None:
        with pytest.raises(TargetRefused, match="and reference is not one; name one: --target postfix"):
            with_config(find_target("reference"), [str(configured(tmp_path))], [])

    def test_a_whole_disk_is_no_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mta_sts_lab.backends.overlay.MOST_FILES", 1)
        folder = configured(tmp_path)
        (folder / "transport").touch()
        with pytest.raises(TargetRefused, match="more than 1 files of 0 MiB are no configuration; at most 1 files"):
            with_config(find_target("postfix"), [str(folder)], [])
        assert MOST_FILES > 100


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_this_user_may_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(0o000)
    (tmp_path / "sasl").mkdir(0o000)
    files = laid_files("/etc/postfix", tmp_path, "--config")
    assert list(not_laid(files)) == ["/etc/postfix/sasl", "/etc/postfix/secret"]
    assert left_out(files)[0].endswith(f"({tmp_path / 'sasl'} may only be read by others; give it with sudo)")


def test_a_digest_changes_with_what_a_file_says_its_mode_and_its_place(tmp_path: Path) -> None:
    main_cf, gone = tmp_path / "main.cf", tmp_path / "gone"
    main_cf.write_text("relayhost =\n")
    gone.symlink_to("/no/such/file")

    def digest(at: str = "/etc/postfix") -> str:
        return digest_of_files(laid_files(at, tmp_path, "--config"))

    before = digest()
    assert before == digest()
    found = [before, digest("/etc/other")]
    main_cf.chmod(0o600)
    found.append(digest())
    main_cf.write_text("relayhost = [mx]\n")
    found.append(digest())
    gone.unlink()
    gone.touch()  # an empty file is laid over the image's, one that cannot be read is not
    found.append(digest())
    assert len(set(found)) == len(found) == 5
    assert digest_of_files(()) == ""


def test_what_lies_beside_a_configuration_is_none_of_it(tmp_path: Path) -> None:
    """A checkout that `--config .` names has both, and they change while the configuration does not."""
    (tmp_path / "main.cf").touch()
    without = digest_of_files(laid_files("/etc/postfix", tmp_path, "--config"))
    for name in (".git/index", "runs/one/record.jsonl", "runs/one/target/log.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = laid_files("/etc/postfix", tmp_path, "--config")
    assert digest_of_files(files) == without
    with tarfile.open(fileobj=io.BytesIO(laid_archive(files))) as archive:
        assert archive.getnames() == ["etc/postfix/main.cf", "lab/laid-over.txt"]
    why = "has version control, or runs of the lab, and no configuration"
    assert left_out(files) == [
        f"left out    /etc/postfix/{name}  ({tmp_path / name} {why})" for name in (".git", "runs")
    ]
    (tmp_path / "main.cf").unlink()
    with pytest.raises(TargetRefused, match="there is no file in"):
        laid_files("/etc/postfix", tmp_path, "--config")


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    """Where they are not, the mail server runs with the image's files, and nobody knows."""
    for name in ("elsewhere", "exim4/conf.d/router"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "100_mine").touch()
    (tmp_path / "exim4" / "conf.d" / "transport").symlink_to("../../elsewhere")
    (tmp_path / "exim4" / "conf.d" / "again").symlink_to("..")
    files = laid_files("/etc/exim4", tmp_path / "exim4", "--config")
    assert [file.at for file in files] == ["/etc/exim4/conf.d/transport/100_mine"]


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    """Nothing would be laid over the image, and it would be judged as it is."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(TargetRefused, match=r"there is no file in .* that could be laid over /etc/postfix"):
        laid_files("/etc/postfix", tmp_path, "--config")


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.cf").symlink_to("/no/such/main.cf")
    files = laid_files("/etc/postfix", tmp_path, "--config")
    where = f"{tmp_path / 'main.cf'} cannot be read: No such file or directory"
    assert left_out(files) == [f"left out    /etc/postfix/main.cf  ({where})"]
    with tarfile.open(fileobj=io.BytesIO(laid_archive(files))) as archive:
        assert archive.getnames() == ["lab/laid-over.txt"]


def test_the_shipped_ones_say_where_they_are_better() -> None:
    shipped = shipped_targets()
    assert any("tlsrpt: true" in one for one in shipped["postfix"].file.better_than_packaged)
    assert shipped["postfix-as-installed"].file.better_than_packaged == ()
    assert read_folder(shipped["postfix-as-installed"].path).laid
