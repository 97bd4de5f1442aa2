"""The mutation run itself: what it changes, what it leaves alone, and when it says that a mutant was found."""

from __future__ import annotations

import ast
import os
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from mta_sts_lab.model.case import Scenario
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict
from mta_sts_lab.runs import load_shipped_catalogue

from tests import mutants as command
from tests.mutant_plays import Played, _findings, play_mutant
from tests.mutant_sources import MODULES, Mutant, mutants, places, text_of
from tests.mutants import EXPLAINED, Kept, _in_processes, identified


@pytest.mark.parametrize("module", MODULES)
def test_each_mutant_is_a_program_of_its_own(module: str) -> None:
    text = text_of(module)
    found = list(mutants(module, text))
    original = ast.dump(ast.parse(text))
    assert found
    assert len({one.key for one in found}) == len({one.source for one in found}) == len(found)
    for one in found:
        assert ast.dump(ast.parse(one.source)) != original, one.key
        assert "flaws" not in one.before
        assert one.places


def test_each_explanation_is_about_mutants_that_there_are() -> None:
    known = {one.key for module in MODULES for one in mutants(module, text_of(module))}
    groups = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("explained", [])
    explained = [key for group in groups for key in group["mutants"]]
    assert [key for key in explained if key not in known] == []
    assert len(set(explained)) == len(explained)
    assert len({group["reason"] for group in groups}) == len(groups)
    assert all(len(group["reason"]) > 20 for group in groups)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("LIMIT = 5", ["m.LIMIT: 5 -> 6"]),
        ("def f(a):\n    return not a", ["m.f: not a -> a"]),
        ("def f(a):\n    return a is None, a is None", ["m.f: a is None -> a is not None"] * 2),
        ("class C:\n    n: int = 0\n    m: int = field(default=0)", ["m.C.n: 0 -> 1"]),
        ("@dataclass(frozen=True)\nclass C(Struct, frozen=True):\n    n: int", []),
        ("def f(a, flaws):\n    if flaws.x and a == 1:\n        return 2\n    return 3", ["m.f: 3 -> 4"]),
        ("def f(a, flaws):\n    if not flaws.x:\n        a = 2\n    else:\n        a = 3", ["m.f: 2 -> 3"]),
        ("def f(a, flaws):\n    if not flaws.x and a > 1:\n        a.go()", ["m.f: a > 1 -> a >= 1", "m.f: 1 -> 2"]),
        ("def f(a, self):\n    return 1 if self.flaws.x else 2", ["m.f: 2 -> 3"]),
        ("def f(a, flaws):\n    return a == 1 or not flaws.x", []),
        ('def f(a):\n    """Flaw: do it."""\n    return 1', []),
        ('def f(a):\n    return f"no field: {a[:60]}"', []),
    ],
)
def test_what_only_a_flaw_runs_is_left_as_it_is(text: str, keys: list[str]) -> None:
    found = [one.key.removesuffix(" (2)") for one in mutants("m", text)]
    assert sorted(found) == sorted(keys)


def test_a_mutant_has_the_places_of_its_whole_statement() -> None:
    text = "def f(a):\n    return (\n        a == 1\n        or a.b\n    )\n"
    found = {one.places for one in mutants("m", text)}
    assert found == {("m.f: return (", "m.f: a == 1", "m.f: or a.b", "m.f: )")} or found == {
        ("m.f: a == 1", "m.f: or a.b")
    }


def test_a_place_is_the_same_when_its_line_has_moved() -> None:
    text = "class C:\n    def f(self):\n        return 1\n"
    assert places("m", text)[3] == places("m", "\n\n" + text)[5] == "m.C.f: return 1"


def _mutant(key: str) -> Mutant:
    module = key.partition(".")[0]
    return next(one for one in mutants(module, text_of(module)) if one.key == key)


def _played(mutant: Mutant, *scenarios: str, most: int | None = None) -> Played:
    """Play in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(play_mutant, mutant, load_shipped_catalogue(), scenarios, most).result()


ANY_HOST = "policy.matches: bool(given) and wanted == given -> bool(given) or wanted == given"


def test_a_mutant_is_killed_by_a_finding() -> None:
    played = _played(_mutant(ANY_HOST), "policy/no-mx", "mx/moved-outside-policy")
    assert played.result == "killed"
    assert played.scenario == "mx/moved-outside-policy"
    assert "fail STS-5-01" in played.why


def test_a_mutant_that_no_case_finds_has_survived() -> None:
    unchanged = replace(_mutant(ANY_HOST), source=text_of("policy"))
    assert _played(unchanged, "policy/no-mx", "starttls/mask") == Played("survived")
    assert _played(unchanged).result == "survived"
    assert _played(unchanged, "policy/no-mx", "starttls/mask", most=1).result == "unproved"


def test_an_exception_in_a_mutant_is_judged_by_what_it_does_to_mail() -> None:
    goes_on = 'if policy.mode == "testing" and not self.flaws.demands_tls_of_everybody:\n'
    text = text_of("address_delivery")
    assert goes_on in text
    raises = text.replace(goes_on, f"{goes_on}                raise KeyError\n")
    played = _played(replace(_mutant(ANY_HOST), module="address_delivery", source=raises), "starttls/mask")
    assert played.result == "killed"
    assert played.why.startswith("starttls/mask[testing] weak")


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("raise OverflowError('no')", Played("not startable", "OverflowError: no")),
        (text_of("policy").replace('b"v=STSv1;"', 'b"v=STSv9;"'), Played("refused")),
    ],
)
def test_a_mutant_that_is_not_played_is_not_called_killed(source: str, result: Played) -> None:
    played = _played(replace(_mutant(ANY_HOST), source=source), "starttls/mask")
    assert played.result == result.result
    assert result.why in played.why


@pytest.mark.parametrize("grade", [Grade.PASS, Grade.INCONCLUSIVE, Grade.LAB_ERROR, Grade.UNSUPPORTED])
def test_what_proves_nothing_kills_nothing(grade: Grade) -> None:
    judgement = Judgement(grade, "reason", "STS-4-01")
    assert list(_findings([_verdict(grade, judgement)])) == []


def test_a_finding_of_a_run_kills() -> None:
    judgement = Judgement(Grade.INFO, "reason", "STS-4-01")
    verdict = replace(_verdict(Grade.LAB_ERROR), of_the_run=(judgement,))
    assert list(_findings([verdict])) == ["a/b[enforce] info STS-4-01 reason"]


def _verdict(grade: Grade, *judgements: Judgement) -> Verdict:
    return Verdict("a/b[enforce]", grade, (), judgements, 0.0, 1.0)


def _scenario(name: str, *kills: str) -> Scenario:
    return Scenario(name, name, name, name, (), (), kills=kills)


def test_scenarios_that_find_something_near_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(command, "PLAYED", tmp_path / "played.json")
    text = "def f(a, flaws):\n    if flaws.x:\n        a = 3\n    return a == 1\ndef g():\n    return 2\n"
    mutant = next(iter(mutants("m", text)))
    assert mutant.key == "m.f: a == 1 -> a != 1"
    names = {
        "far": (),
        "module": (),
        "near": (),
        "of_the_flaw": ("x", "y"),
        "elsewhere": (),
        "not_passed": ("x",),
        "unknown": (),
    }
    scenarios = {name: _scenario(name, *kills) for name, kills in names.items()}
    run = {"m.f: return a == 1"}
    by_identity = identified(scenarios.values())
    kept = Kept({identity: run for identity, one in by_identity.items() if one.id != "unknown"})
    kept.places |= {identity: {"m.g: return 2"} for identity, one in by_identity.items() if one.id == "elsewhere"}
    kept.places |= {identity: set() for identity, one in by_identity.items() if one.id == "not_passed"}
    kept.played["m.g: 2 -> 3"] = Played("killed", "module[enforce] fail")
    kept.played["m.f: 1 -> 2"] = kept.played["m.f: 1 -> 2 (2)"] = Played("killed", "near[enforce] fail")
    kept.played["m.f: 1 -> 2 (3)"] = Played("survived", "far[enforce]")
    kept.write_places()
    kept.write_played()
    assert Kept.read() == kept
    order = Kept.read().scenarios_for(mutant, by_identity)
    assert order[:3] == ["near", "of_the_flaw", "module"]
    assert set(order[3:]) == {"far", "unknown"}


def test_what_stands_outside_of_functions_is_run_by_whoever_runs_the_module() -> None:
    (mutant,) = mutants("m", "LIMIT = 5\n")
    scenarios = identified([_scenario("one"), _scenario("other")])
    kept = Kept(dict(zip(scenarios, ({"m.f: return LIMIT"}, {"n.f: return 1"}), strict=True)))
    assert kept.scenarios_for(mutant, scenarios) == ["one"]


def test_a_default_is_run_by_whoever_runs_the_function() -> None:
    (mutant,) = mutants("m", "def f(\n    a=True,\n):\n    return a\n")
    scenarios = identified([_scenario("one"), _scenario("other")])
    kept = Kept(dict(zip(scenarios, ({"m.f: return a"}, {"m.g: return 1"}), strict=True)))
    assert kept.scenarios_for(mutant, scenarios) == ["one"]


def test_a_process_that_dies_is_told() -> None:
    found = dict(_in_processes(_dies_of_two, [1, 2, 3], jobs=2, end=float("inf")))
    assert found == {1: "1", 2: None, 3: "3"}
    assert list(_in_processes(_dies_of_two, [1], jobs=2, end=0.0)) == []


def _dies_of_two(number: int) -> str:
    if number == 2:
        os._exit(1)
    return str(number)
