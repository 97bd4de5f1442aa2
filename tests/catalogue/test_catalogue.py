from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import Catalogue, CatalogueError, NothingSelected, load_catalogue
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import load_requirements

from tests.catalogue.files import GOOD, put

VECTORS = '\n[[vector]]\nname = "301"\n[[vector]]\nname = "302"\n'


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    directory = tmp_path_factory.mktemp("scenarios")
    put(directory, GOOD, "starttls/strip")
    put(directory, GOOD, "starttls/strip-twice")
    put(directory, GOOD + VECTORS, "policy/redirect")
    return load_catalogue(directory, ATTACK_FORMS, load_requirements(), FLAWS)


def _found(catalogue: Catalogue, *patterns: str) -> list[str]:
    return [case.id for case in catalogue.find(patterns)]


def test_everything_is_found_by_its_id(catalogue: Catalogue) -> None:
    assert [scenario.id for scenario in catalogue.scenarios] == [
        "policy/redirect",
        "starttls/strip",
        "starttls/strip-twice",
    ]
    assert len(catalogue.cases) == 15
    assert catalogue.scenario("starttls/strip").title == "A title"
    assert catalogue.scenario("starttls/strip").kills == ("sends_clear_without_starttls",)
    with pytest.raises(KeyError):
        catalogue.scenario("starttls/nothing")


@pytest.mark.parametrize(
    ("pattern", "number"),
    [
        ("starttls/strip[enforce]", 1),
        ("policy/redirect[enforce,302]", 1),
        ("starttls/strip", 4),
        ("starttls", 8),
        ("starttls/strip*", 8),
        ("*[enforce]", 2),
        ("*[enforce*", 4),
        ("*,30?]", 7),
        ("*", 15),
    ],
)
def test_a_pattern_selects_cases_scenarios_and_families(catalogue: Catalogue, pattern: str, number: int) -> None:
    assert len(_found(catalogue, pattern)) == number


def test_brackets_stand_for_themselves(catalogue: Catalogue) -> None:
    with pytest.raises(NothingSelected):
        catalogue.find(["starttls/strip[ef]nforce"])


def test_cases_come_once_and_in_the_order_of_the_catalogue(catalogue: Catalogue) -> None:
    found = _found(catalogue, "starttls/strip[absent]", "policy", "starttls/strip[enforce]", "policy/*")
    assert found == [*(identifier for identifier in catalogue.cases if identifier.startswith("policy/")),
                     "starttls/strip[enforce]", "starttls/strip[absent]"]  # fmt: skip


def test_no_pattern_selects_all(catalogue: Catalogue) -> None:
    assert len(catalogue.find([])) == 15


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("startls/strip", "did you mean starttls/strip"),
        ("policy/redirect[enforce]", r"did you mean policy/redirect\[enforce,301\]"),
        ("zzz", "the families are policy, starttls"),
    ],
)
def test_a_pattern_that_matches_nothing_says_what_was_meant(catalogue: Catalogue, pattern: str, hint: str) -> None:
    with pytest.raises(NothingSelected, match=hint):
        catalogue.find(["starttls", pattern])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.text(alphabet="*?[]/,startlip", max_size=12))
def test_any_text_selects_something_or_is_refused(catalogue: Catalogue, pattern: str) -> None:
    try:
        found = catalogue.find([pattern])
    except NothingSelected:
        found = ()
    assert bool(found) == any(fnmatch(name, pattern) for name in _names(catalogue))


def _names(catalogue: Catalogue) -> set[str]:
    return {name for case in catalogue.cases.values() for name in (case.id, case.scenario, case.scenario.split("/")[0])}


def fnmatch(name: str, pattern: str) -> bool:
    """Match letter by letter: another way to the same answer."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return fnmatch(name, pattern[1:]) or (bool(name) and fnmatch(name[1:], pattern))
    return bool(name) and pattern[0] in ("?", name[0]) and fnmatch(name[1:], pattern[1:])


def test_problems_of_several_files_are_reported_together(tmp_path: Path) -> None:
    put(tmp_path, GOOD.replace("outcome", "outcom", 1), "a/one")
    put(tmp_path, GOOD.replace("strip_starttls", "strip"), "a/two")
    put(tmp_path, GOOD, "misplaced")
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(tmp_path, ATTACK_FORMS, load_requirements(), FLAWS)
    message = str(caught.value)
    assert f"{tmp_path}/a/one.toml:14: unknown key `outcom`; did you mean `outcome`?" in message
    assert f"{tmp_path}/a/two.toml:11: unknown smtp attack `strip`" in message
    assert f"{tmp_path}/misplaced.toml: unused" in message
    assert len(caught.value.problems) == 3


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no scenarios here"):
        load_catalogue(tmp_path, ATTACK_FORMS, load_requirements(), FLAWS)
