from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from mta_sts_lab.catalogue import CatalogueError
from mta_sts_lab.catalogue.expand import merge
from mta_sts_lab.model.case import PUBLISHED_POLICY, AttackUse, Case, Mode, PolicyRequests
from mta_sts_lab.model.grading import Grade

from tests.catalogue.files import ATTACK, EXPECT, GOOD, HEAD, complaints, line_with, load, put

CONTROL = '[expect.absent]\noutcome = "delivered"\n'

STEPS = """
[[step]]
name = "first"
learns_policy = true
world.policy.revision = 2

[[step]]
name = "attack"
world = "keep"
restart = "KILL"

[[step]]
name = "last"
advance = 60
attack = "keep"
send = false
recovers = true
"""


def _case(directory: Path, text: str, identifier: str = "family/name[enforce]") -> Case:
    return load(directory, text).cases[identifier]


def test_a_mode_makes_a_case_and_a_missing_one_does_not(tmp_path: Path) -> None:
    text = HEAD + ATTACK + '[expect.enforce]\noutcome = "deferred"\n' + CONTROL
    cases = load(tmp_path, text).cases
    assert list(cases) == ["family/name[enforce]", "family/name[absent]"]
    assert cases["family/name[enforce]"].control == "family/name[absent]"
    assert cases["family/name[absent]"].control == ""


def test_vectors_multiply_modes_and_each_has_its_own_control(tmp_path: Path) -> None:
    text = GOOD + '[[vector]]\nname = "a"\n[[vector]]\nname = "b"\nworld.mx.starttls = false\n'
    cases = load(tmp_path, text).cases
    assert len(cases) == 8
    assert cases["family/name[none,b]"].control == "family/name[absent,b]"
    assert cases["family/name[none,b]"].vector == "b"


def test_vectors_that_differ_in_the_policy_alone_share_a_control_case(tmp_path: Path) -> None:
    cases = load(tmp_path, GOOD + '[[vector]]\nname = "a"\n[[vector]]\nname = "b"\nworld.policy.revision = 2\n').cases
    assert [name for name in cases if "absent" in name] == ["family/name[absent,a]"]
    assert {cases[f"family/name[none,{vector}]"].control for vector in "ab"} == {"family/name[absent,a]"}


def test_the_default_steps(tmp_path: Path) -> None:
    prime, attack, recover = _case(tmp_path, GOOD).steps
    assert (prime.name, prime.send, prime.learns_policy, prime.attacks, prime.expect) == ("prime", True, True, (), None)
    assert (attack.name, attack.send, attack.attacks) == ("attack", True, (AttackUse("strip_starttls", "smtp"),))
    assert attack.expect is not None
    assert attack.expect.outcome == ("deferred",)
    assert (recover.name, recover.send, recover.recovers, recover.attacks) == ("recover", False, True, ())


def test_without_a_policy_there_is_none_to_learn(tmp_path: Path) -> None:
    assert not any(step.learns_policy for step in _case(tmp_path, GOOD, "family/name[absent]").steps)


def test_a_world_holds_throughout_and_a_fault_during_the_attack(tmp_path: Path) -> None:
    text = GOOD + '[world.mx]\nname = "a"\n[fault.mx]\ncertificate = "expired"\n[fault.policy]\nrevision = 3\n'
    prime, attack, recover = _case(tmp_path, text).steps
    assert [step.world.mx[0].name for step in (prime, attack, recover)] == ["a", "a", "a"]
    assert [step.world.mx[0].certificate for step in (prime, attack, recover)] == ["valid", "expired", "valid"]
    assert [step.world.policy.revision for step in (prime, attack, recover)] == [1, 3, 1]


def test_own_steps_replace_the_default_ones(tmp_path: Path) -> None:
    first, attack, last = _case(tmp_path, GOOD + STEPS).steps
    assert (first.world.policy.revision, attack.world.policy.revision, last.world.policy.revision) == (2, 2, 1)
    assert (first.attacks, len(attack.attacks), len(last.attacks)) == ((), 1, 1)
    assert (attack.restart, last.advance) == ("KILL", 60)
    assert attack.expect is not None
    assert (first.expect, last.expect) == (None, None)
    assert _case(tmp_path, GOOD + STEPS).changes_target


def test_a_step_has_its_own_attack_and_expectation(tmp_path: Path) -> None:
    text = GOOD + '[[step]]\nname = "attack"\nattack.dns = "forge_mx"\nexpect.enforce.outcome = "delivered"\n'
    (step,) = _case(tmp_path, text).steps
    assert step.attacks == (AttackUse("forge_mx", "dns"),)
    assert step.expect is not None
    assert step.expect.outcome == ("delivered",)


def test_attacks_are_names_tables_or_lists_of_them(tmp_path: Path) -> None:
    attack = """
[attack]
smtp = ["strip_starttls", { name = "refuse_starttls", code = 502, optional = true }]
dns = { name = "hide_policy_record", how = "TIMEOUT" }
"""
    assert _case(tmp_path, HEAD + attack + EXPECT).steps[1].attacks == (
        AttackUse("strip_starttls", "smtp"),
        AttackUse("refuse_starttls", "smtp", {"code": 502}, optional=True),
        AttackUse("hide_policy_record", "dns", {"how": "TIMEOUT"}, needs=PUBLISHED_POLICY),
    )


def test_attacks_on_the_policy_are_left_out_where_none_is_published(tmp_path: Path) -> None:
    attack = """
[attack]
smtp = "strip_starttls"
dns = ["forge_mx", "forge_policy_id", "hide_policy_record"]
https = "block_policy_host"
"""
    cases = load(tmp_path, HEAD + attack + EXPECT).cases
    assert len(cases["family/name[none]"].steps[1].attacks) == 5
    assert [use.name for use in cases["family/name[absent]"].steps[1].attacks] == ["strip_starttls", "forge_mx"]


def test_a_vector_bends_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    attack = '[attack.smtp]\nname = "swap_certificate"\ncertificate = "expired"\n'
    vectors = """
[[vector]]
name = "a"
attack.smtp.certificate = "self-signed"
expect.enforce.obligation = "STS-5-05"
degrades = false

[[vector]]
name = "b"
"""
    cases = load(tmp_path, HEAD + attack + EXPECT + vectors).cases
    bent, plain = cases["family/name[enforce,a]"], cases["family/name[enforce,b]"]
    assert bent.steps[1].attacks[0].parameters == {"certificate": "self-signed"}
    assert plain.steps[1].attacks[0].parameters == {"certificate": "expired"}
    assert bent.steps[1].expect is not None
    assert (bent.steps[1].expect.outcome, bent.steps[1].expect.obligation) == (("deferred",), "STS-5-05")
    assert (bent.degrades, plain.degrades) == (False, True)


def test_a_vector_bends_steps_by_their_names(tmp_path: Path) -> None:
    text = GOOD + STEPS + '[[vector]]\nname = "v"\nstep = [{ name = "last", world.policy.max_age = 5 }]\n'
    first, _, last = _case(tmp_path, text, "family/name[enforce,v]").steps
    assert (first.world.policy.max_age, last.world.policy.max_age, last.advance) == (604800, 5, 60)


def test_tables_are_merged_and_lists_are_replaced() -> None:
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}
    assert merge({"mx": [{"name": "x", "n": 1}]}, {"mx": [{"n": 2}]}) == {"mx": [{"name": "x", "n": 2}]}
    assert merge({"mx": [{"n": 1}, {"n": 2}]}, {"mx": [{"n": 3}]}) == {"mx": [{"n": 3}]}
    assert merge({"lines": ["a"]}, {"lines": ["b"]}) == {"lines": ["b"]}


@pytest.mark.parametrize(
    ("mode", "obligation", "grade"),
    [
        (Mode.ENFORCE, "STS-5-03", None),
        (Mode.TESTING, "STS-5-05", Grade.WEAK),
        (Mode.NONE, "STS-5-06", None),
        (Mode.ABSENT, "STLS-6-02", Grade.INCONCLUSIVE),
    ],
)
def test_each_mode_has_its_default_obligation(tmp_path: Path, mode: Mode, obligation: str, grade: Grade | None) -> None:
    expect = _case(tmp_path, GOOD, f"family/name[{mode}]").steps[1].expect
    assert expect is not None
    assert (expect.obligation, expect.grade) == (obligation, grade)


def test_what_a_file_says_of_an_expectation_stands(tmp_path: Path) -> None:
    text = GOOD.replace(
        'outcome = "as-absent"',
        'outcome = ["delivered", "deferred"]\nshould = "delivered"\nobligation = "STS-5-06"\ngrade = "weak"\nnote = "why"\n'
        'policy_requests = { least = 1, obligation = "STS-5-03" }\nreport = "starttls-not-supported"',
        1,
    )
    text = text.replace('"]\n', '", "STS-5-04"]\n', 1)
    step = _case(tmp_path, text, "family/name[testing]").steps[1]
    assert step.expect is not None
    assert step.expect.outcome == ("delivered", "deferred")
    assert (step.expect.should, step.expect.obligation, step.expect.grade) == (("delivered",), "STS-5-06", Grade.WEAK)
    assert step.expect.policy_requests == PolicyRequests("STS-5-03", 1, None)
    assert (step.expect.report, step.expect.report_obligation) == (("starttls-not-supported",), "STS-5-04")
    assert _case(tmp_path, text, "family/name[testing]").judges_reports
    assert not _case(tmp_path, text, "family/name[enforce]").judges_reports


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (GOOD + '[[vector]]\nname = "v"\n#\n[[vector]]\nname = "v" # again\n', "# again", "the vector `v` is there twice"),
        (GOOD + '[[vector]]\nname = "a,b"\n', "a,b", "cannot be part of a case id"),
        (GOOD + '[[step]]\nname = "attack"\n[[step]]\nname = "attack" # 2\n', "# 2", "the step `attack` is there twice"),
        (GOOD + '[[step]]\nname = "attack"\nworld = "keep"\n', '"keep"', "no world to keep"),
        (GOOD + '[[step]]\nname = "attack"\nadvance = -1\n', "-1", "only moved forward"),
        (HEAD + ATTACK, "title", "makes no case"),
        (GOOD.replace('"strip_starttls"', "{ code = 3 }"), "{ code", "a table with a name"),
        (GOOD.replace('"strip_starttls"', '{ name = "strip_starttls", optional = 1 }'), "{ name", "true or false"),
        (GOOD.replace('"strip_starttls"', '{ name = "strip_starttls", host = 1.5 }'), "{ name", "a word or a number"),
        (HEAD + ATTACK + '[[step]]\nname = "strike"\nexpect.absent.outcome = "delivered"\n', "[attack]", "[attack] belongs to the step `attack`, and there is none"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path, text: str, words: str, message: str) -> None:
    found = complaints(tmp_path, text)
    assert [line for line, said in found if message in said] == [line_with(text, words)]


FAMILY = """
needs = "tls-rpt"
degrades = false

[world.mx]
name = "a"
certificate = "wildcard"

[expect.enforce]
outcome = "deferred"
note = "of the family"

[expect.none]
outcome = "as-absent"
"""


def _with_family(directory: Path, text: str) -> Mapping[str, Case]:
    put(directory, FAMILY, "family/family")
    return load(directory, text).cases


def test_the_defaults_of_a_family_fill_what_a_scenario_leaves_out(tmp_path: Path) -> None:
    text = HEAD + ATTACK + '[world.mx]\ncertificate = "valid"\n[expect.enforce]\nnote = "own"\n' + CONTROL
    case = _with_family(tmp_path, text)["family/name[enforce]"]
    assert (case.needs, case.degrades) == (("tls-rpt",), False)
    assert (case.steps[0].world.mx[0].name, case.steps[0].world.mx[0].certificate) == ("a", "valid")
    assert case.steps[1].expect is not None
    assert (case.steps[1].expect.outcome, case.steps[1].expect.note) == (("deferred",), "own")


def test_the_defaults_of_a_family_add_no_mode(tmp_path: Path) -> None:
    vectors = '[[vector]]\nname = "a"\nexpect.none = {}\n[[vector]]\nname = "b"\nexpect.enforce = {}\n'
    cases = _with_family(tmp_path, HEAD + ATTACK + CONTROL + vectors)
    assert set(cases) == {f"family/name[{mode}]" for mode in ("none,a", "absent,a", "enforce,b")}


@pytest.mark.parametrize(
    ("family", "text", "place", "message"),
    [
        (FAMILY.replace("wildcard", "wildcrad"), GOOD, "family/family.toml:7", "unknown certificate variant `wildcrad`"),
        (FAMILY.replace("needs", "title"), GOOD, "family/family.toml:2", "unknown key `title`"),
        (FAMILY, GOOD.replace('"deferred"', '"defered"'), "family/name.toml:14", "unknown outcome `defered`"),
        (FAMILY.replace('"as-absent"', '"any"'), HEAD + ATTACK + CONTROL + "[expect.none]\n", "family/family.toml:14",
         "cannot fail"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_in_the_file_that_holds_it(
    tmp_path: Path, family: str, text: str, place: str, message: str
) -> None:
    put(tmp_path, family, "family/family")
    with pytest.raises(CatalogueError, match=re.escape(message)) as caught:
        load(tmp_path, text)
    assert any(f"{place}: " in line for line in str(caught.value).splitlines() if message in line)
