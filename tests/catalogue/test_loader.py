from __future__ import annotations

from pathlib import Path

import pytest
from mta_sts_lab.catalogue.loader import LARGEST_FILE, misplaced, read_source, scenario_files
from mta_sts_lab.catalogue.problems import Problem

from tests.catalogue.files import GOOD, HEAD, put


def _problems(path: Path, directory: Path) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in read_source(path, directory)[1]]


def test_the_id_is_the_path(tmp_path: Path) -> None:
    source, problems = read_source(put(tmp_path, GOOD, "starttls/strip"), tmp_path)
    assert (source.id, problems) == ("starttls/strip", [])


def test_one_host_is_a_list_of_one(tmp_path: Path) -> None:
    text = GOOD + '[world.mx]\nname = "a"\n[[vector]]\nname = "v"\nstep = [{ name = "attack", world.mx.name = "b" }]\n'
    source, problems = read_source(put(tmp_path, text), tmp_path)
    assert problems == []
    assert source.raw["world"]["mx"] == [{"name": "a"}]
    assert source.raw["vector"][0]["step"][0]["world"]["mx"] == [{"name": "b"}]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('title = "x"\nstory == 3\n', 2, "not TOML"),
        ('title = "x"\n\nstory = """', 3, "not TOML"),
        (HEAD + "[expect.enforce]\noutcom = 3\n", 10, "did you mean `outcome`"),
        ("vector = 3\nstep = [3]\n" + HEAD, 1, "`vector` must be a list of tables"),
    ],
)
def test_a_mistake_is_reported_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    problems = _problems(put(tmp_path, text), tmp_path)
    assert [at for at, message in problems if words in message] == [line]


def test_octets_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, GOOD)
    path.write_bytes(b'title = "\xff"\n')
    assert "not UTF-8" in _problems(path, tmp_path)[0][1]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path, "#" * (LARGEST_FILE + 1))
    assert "larger than" in _problems(path, tmp_path)[0][1]


def test_files_that_nothing_would_play_are_named(tmp_path: Path) -> None:
    put(tmp_path, GOOD, "starttls/strip")
    put(tmp_path, GOOD, "toplevel")
    put(tmp_path, GOOD, "a/b/c")
    put(tmp_path, GOOD, "starttls/Strip_It")
    (tmp_path / "starttls" / "notes.txt").write_text("?")
    names = {Path(problem.file).relative_to(tmp_path).as_posix() for problem in misplaced(tmp_path)}
    assert names == {"toplevel.toml", "a/b/c.toml", "starttls/Strip_It.toml", "starttls/notes.txt"}
    assert scenario_files(tmp_path) == [tmp_path / "starttls" / "strip.toml"]


def test_a_problem_is_placed_in_its_vector_first(tmp_path: Path) -> None:
    text = GOOD + '[[vector]]\nname = "v"\nexpect.enforce.outcome = "delivered"\n'
    source, _ = read_source(put(tmp_path, text), tmp_path)
    at = ("expect", "enforce", "outcome")
    assert source.place(Problem("", at, "v")).line == len(text.splitlines())
    assert source.place(Problem("", at, "another")).line == text.splitlines().index('outcome = "deferred"') + 1


def test_a_fault_may_have_been_said_as_a_world(tmp_path: Path) -> None:
    text = GOOD + '[world.mx]\ncertificate = "bad"\n'
    source, _ = read_source(put(tmp_path, text), tmp_path)
    assert source.place(Problem("", ("fault", "mx", 0, "certificate"))).line == len(text.splitlines())
