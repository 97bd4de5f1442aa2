"""What `--command` and `[process]` of target.toml may say, and what a wrong one is answered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mta_sts_lab.backends.folder import FolderError, find_target, read_folder
from mta_sts_lab.backends.process import Process, hooks_of, program_of, target_of_command
from mta_sts_lab.backends.registry import TargetRefused
from mta_sts_lab.backends.target_folder import TargetFolder
from mta_sts_lab.model.target import CAPABILITIES
from mta_sts_lab.reports.command_line import deciding_options

from tests.backends.process.sandbox import TOY_SENDER
from tests.cli.program import Shell

CASE = "starttls/strip[absent]"

DESCRIPTION = 'name = "my-mta"\ntitle = "Mine"\ndescription = "As compiled."\n[process]\ncommand = ["./mymta"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A target's folder with an executable."""
    (tmp_path / "target.toml").write_text(DESCRIPTION)
    (tmp_path / "mymta").write_text("#!/bin/sh\n")
    (tmp_path / "mymta").chmod(0o755)
    return tmp_path


def refused(target: TargetFolder) -> str:
    """Return why a target cannot be played."""
    with pytest.raises(TargetRefused) as caught:
        Process().check(target, ())
    return str(caught.value)


def test_a_command_line_becomes_a_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    # Not the hooks of a project that has something else to do with that word.
    (tmp_path / "hooks").mkdir()

    target = target_of_command("./build/My_MTA --config 'lab file.conf'", 2525, None)

    assert target.name == "my-mta"
    assert target.path == tmp_path
    assert target.file.process is not None
    assert target.file.process.command == ("./build/My_MTA", "--config", "lab file.conf")
    assert (target.file.backend, target.file.inject.port, target.file.ready_seconds) == ("process", 2525, 60)
    assert hooks_of(target) is None


def test_what_a_command_claims_is_said_beside_it() -> None:
    claimed = target_of_command("./mymta", 25, None, ["mta-sts"]).file.process
    assert claimed is not None
    assert claimed.capabilities == ("mta-sts",)
    everything = target_of_command("./mymta", 25, None, CAPABILITIES).file.process
    assert everything is not None
    assert everything.capabilities == CAPABILITIES
    with pytest.raises(TargetRefused, match="it claims 'mtasts', and what can be claimed is mta-sts, tls-rpt"):
        Process().check(target_of_command("./mymta", 25, None, ["mtasts"]), ())


def test_a_folder_with_a_process_table_needs_no_dockerfile(folder: Path) -> None:
    target = find_target(f"{folder}/")

    assert target.file.backend == "process"
    Process().check(target, ())
    assert hooks_of(target) is None


def test_the_toy_sender_is_one() -> None:
    Process().check(read_folder(TOY_SENDER), ())


@pytest.mark.parametrize("command", ["[]", '""', "[7]"])
def test_a_process_table_that_names_no_command(folder: Path, command: str) -> None:
    (folder / "target.toml").write_text(DESCRIPTION.replace('["./mymta"]', command))

    with pytest.raises(FolderError, match="legal keys are"):
        read_folder(folder)


def test_a_program_that_cannot_be_run(folder: Path) -> None:
    (folder / "mymta").chmod(0o644)
    assert refused(read_folder(folder)) == f"the program './mymta' is not executable (chmod +x) in {folder}"
    (folder / "mymta").unlink()
    assert refused(read_folder(folder)) == f"the program './mymta' is not there in {folder}"
    (folder / "target.toml").write_text(DESCRIPTION.replace("./mymta", "no-such-mta"))
    assert refused(read_folder(folder)) == "the program 'no-such-mta' is not there in any folder of PATH"


def test_a_program_of_the_folder_and_one_of_path(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever has just compiled it would otherwise test the one that is installed, and not know."""
    (folder / "target.toml").write_text(DESCRIPTION.replace("./mymta", "mymta"))
    meant = f"the program 'mymta' is not there in any folder of PATH; the one in {folder} is './mymta'"
    assert refused(read_folder(folder)) == meant

    installed = tmp_path / "installed" / "mymta"
    installed.parent.mkdir()
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    monkeypatch.setenv("PATH", f"{installed.parent}:/usr/bin:/bin")
    assert f"write './mymta' or {installed}" in refused(read_folder(folder))
    (folder / "mymta").unlink()
    assert program_of(read_folder(folder)) == installed


def test_a_program_is_looked_for_in_the_path_of_the_target(folder: Path) -> None:
    (folder / "target.toml").write_text(
        DESCRIPTION.replace("[process]", f'[environment]\nPATH = "{folder}"\n[process]').replace("./mymta", "mymta")
    )
    assert program_of(read_folder(folder)) == folder / "mymta"


def test_a_folder_of_hooks_that_is_not_there(folder: Path) -> None:
    """Where the default is not there, none are offered; one that is named is meant."""
    (folder / "target.toml").write_text(f'{DESCRIPTION}hooks = "hoks"\n')
    assert refused(read_folder(folder)) == f"{folder}/target.toml: hooks = 'hoks' is no folder in {folder}"


def test_a_hook_with_the_ending_of_a_script(folder: Path) -> None:
    (folder / "hooks").mkdir()
    (folder / "hooks" / "about").touch()
    (folder / "hooks" / "queue.py").touch()
    assert refused(read_folder(folder)).endswith("queue.py: nobody would call it; a hook's name has no ending: queue")
    (folder / "hooks" / "queue").touch()
    Process().check(read_folder(folder), ())


def test_claims_beside_hooks(folder: Path) -> None:
    """The hook `about` says them, so what is written in the file would silently not be claimed."""
    (folder / "hooks").mkdir()
    (folder / "hooks" / "about").touch()
    (folder / "target.toml").write_text(f'{DESCRIPTION}capabilities = ["mta-sts"]\n')
    assert "capabilities in [process] are for a command without hooks" in refused(read_folder(folder))


def test_hooks_without_the_one_that_is_needed(folder: Path) -> None:
    (folder / "hooks").mkdir()
    assert "there is no `about`" in refused(read_folder(folder))


def test_mail_and_contract_on_one_port(folder: Path) -> None:
    (folder / "hooks").mkdir()
    (folder / "hooks" / "about").touch()
    (folder / "target.toml").write_text(DESCRIPTION + "[inject]\nport = 8025\n")
    assert refused(read_folder(folder)).startswith("port 8025 is the contract's")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--command", "./no-such-mta"), "the program './no-such-mta' is not there in"),
        (("--command", "'open"), "No closing quotation"),
        (("--command", ""), "--command is empty"),
        (("--command", "sleep 9", "--smtp", "0"), "a port is a number from 1 to 65535"),
        (("--command", "sleep 9", "--target", "postfix"), "leave out --target and --flaw"),
    ],
)
def test_what_is_typed_and_cannot_be_done(shell: Shell, options: tuple[str, ...], message: str) -> None:
    assert message in shell("run", CASE, *options).message(2)
    assert shell.runs() == []


@pytest.mark.namespaces
def test_the_log_of_a_run_that_did_not_begin_is_kept(shell: Shell, namespaces: None) -> None:
    answer = shell("run", CASE, "--command", "sh -c 'echo no such option; exit 3'")

    assert answer.status == 2
    assert answer.err.endswith("sts-lab: the command ended with status 3 before it took mail\nno such option\n"), (
        answer.err
    )
    (place,) = shell.runs()
    assert {path.name for path in place.rglob("*") if path.is_file()} == {"log.txt", "configuration.txt"}
    configuration = (place / "target" / "configuration.txt").read_text()
    assert "command: sh -c 'echo no such option; exit 3'\n" in configuration
    assert f"program: {shutil.which('sh')}\n" in configuration
    assert (place / "target" / "log.txt").read_text() == "no such option\n"


def test_the_command_that_repeats_a_case_names_the_command() -> None:
    typed = ("sts-lab", "run", "--command", "./mymta -c lab", "--smtp", "2525", "starttls/*", "--out", "elsewhere")
    assert deciding_options(typed) == ("--command", "./mymta -c lab", "--smtp", "2525")
