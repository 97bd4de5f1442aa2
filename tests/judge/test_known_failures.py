"""Known failures: what a file may say, and what becomes of what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.folder import shipped_targets
from mta_sts_lab.judge.checks.evidence import ENDED_WITH_ITS_FIRST_MESSAGE
from mta_sts_lab.judge.known_failures import (
    KnownComparison,
    KnownFailure,
    KnownFailuresError,
    compare_with_known,
    known_failures_file,
    read_known_failures,
    with_inherited,
)
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement, Verdict

ENTRY = """
[[known-failure]]
case = {case}
obligation = "STS-5-04"
result = "weak"
codes = ["failure-not-reported"]
reason = "It has no policy."
evidence = "The report."
"""


def read(path: Path, text: str) -> tuple[KnownFailure, ...]:
    (path / "known-failures.toml").write_text(text)
    return read_known_failures(path / "known-failures.toml")


NOT_OFFERED = Judgement(Grade.UNSUPPORTED, "not-offered", step="lapse")


def weak(case: str, reason: str = "failure-not-reported", step: str = "attack") -> Verdict:
    judgement = Judgement(Grade.WEAK, reason, obligation="STS-5-04", step=step)
    return Verdict(case, Grade.WEAK, (), (judgement,), 0.0, 1.0)


def test_one_cause_has_one_entry_for_all_its_cases(tmp_path: Path) -> None:
    found = read(tmp_path, ENTRY.format(case='["a/x[testing]", "a/y[testing]"]') + ENTRY.format(case='"b/*"'))
    assert [one.case for one in found] == ["a/x[testing]", "a/y[testing]", "b/*"]
    assert {(one.obligation, one.codes, one.reason) for one in found} == {
        ("STS-5-04", ("failure-not-reported",), "It has no policy.")
    }


def test_each_of_its_cases_has_to_occur(tmp_path: Path) -> None:
    known = read(tmp_path, ENTRY.format(case='["a/x[testing]", "a/y[testing]", "a/z[testing]"]'))
    passed = Verdict("a/y[testing]", Grade.PASS, (), (), 0.0, 1.0)
    found = compare_with_known([weak("a/x[testing]"), passed], known, ["a/x[testing]", "a/y[testing]"])
    assert found.known == {"a/x[testing]": ("It has no policy.",)}
    assert [one.case for one in found.vanished] == ["a/y[testing]"]
    assert [one.case for one in found.unmatched] == ["a/z[testing]"]


def test_what_a_run_shows_only_sometimes_is_known_and_need_not_occur(tmp_path: Path) -> None:
    known = read(tmp_path, ENTRY.format(case='["a/x[testing]", "a/y[testing]"]') + "sometimes = true\n")
    passed = Verdict("a/y[testing]", Grade.PASS, (), (), 0.0, 1.0)
    found = compare_with_known([weak("a/x[testing]"), passed], known, ["a/x[testing]", "a/y[testing]"])
    assert found.known == {"a/x[testing]": ("It has no policy.",)}
    assert found.vanished == ()


def test_what_is_known_and_in_doubt_for_another_reason_is_named(tmp_path: Path) -> None:
    known = read(tmp_path, ENTRY.format(case='"a/x[testing]"'))
    doubt = Judgement(Grade.INCONCLUSIVE, "not-settled")
    found = weak("a/x[testing]")
    other = weak("a/x[testing]", "other")
    for verdict, in_doubt in ((found, {"a/x[testing]"}), (other, set())):
        both = replace(verdict, judgements=(*verdict.judgements, doubt))
        compared = compare_with_known([both], known, ["a/x[testing]"])
        assert compared.in_doubt == in_doubt
        assert compared.known == {}
        assert compared.vanished == ()


def test_another_reason_is_news(tmp_path: Path) -> None:
    known = read(tmp_path, ENTRY.format(case='["a/x[testing]"]'))
    assert compare_with_known([weak("a/x[testing]", "no-report")], known, ["a/x[testing]"]).known == {}


def test_a_case_that_was_played_in_part_is_known_for_what_it_shows_and_hides_nothing_else(tmp_path: Path) -> None:
    """chasquid has no clock to be moved: its case about max_age ends in the middle, with a finding before that."""
    known = read(tmp_path, ENTRY.format(case='"a/x[testing]"'))
    whole = weak("a/x[testing]")
    found = compare_with_known([replace(whole, judgements=(*whole.judgements, NOT_OFFERED))], known, ["a/x[testing]"])
    assert found.known == {"a/x[testing]": ("It has no policy.",)}
    assert found.vanished == ()
    other = weak("a/x[testing]", "no-report")
    news = replace(other, judgements=(*other.judgements, NOT_OFFERED))
    assert compare_with_known([news], known, ["a/x[testing]"]).known == {}


ENDED = Judgement(Grade.INCONCLUSIVE, ENDED_WITH_ITS_FIRST_MESSAGE, step="prime")


def ended(finding: Grade, *doubts: Judgement, reason: str = "failure-not-reported") -> Verdict:
    """A case whose first message was not delivered, with a finding against the target for it."""
    found = Judgement(finding, reason, obligation="STS-5-04", step="prime")
    grade = Grade.FAIL if finding is Grade.FAIL else Grade.INCONCLUSIVE
    return Verdict("a/x[testing]", grade, (), (ENDED, *doubts, found), 0.0, 1.0)


def test_a_case_that_ended_with_a_known_failure_is_known(tmp_path: Path) -> None:
    entry = ENTRY.format(case='"a/x[testing]"') + 'step = "prime"\n'
    for grade in (Grade.WEAK, Grade.FAIL):
        known = read(tmp_path, entry.replace('"weak"', f'"{grade.value}"'))
        found = compare_with_known([ended(grade)], known, ["a/x[testing]"])
        assert (found.known, found.vanished) == ({"a/x[testing]": ("It has no policy.",)}, ())


def test_a_case_that_ended_early_hides_nothing_new_and_loses_nothing_known(tmp_path: Path) -> None:
    entry = ENTRY.format(case='"a/x[testing]"')
    known = read(tmp_path, f'{entry}step = "prime"\n{entry.replace("not-reported", "counted-twice")}step = "attack"\n')
    for doubt in (Judgement(Grade.INCONCLUSIVE, "lab-not-in-order"), Judgement(Grade.LAB_ERROR, "lab-failed")):
        assert compare_with_known([ended(Grade.WEAK, doubt)], known, ["a/x[testing]"]).known == {}
    news = compare_with_known([ended(Grade.WEAK, reason="no-report")], known, ["a/x[testing]"])
    assert news.known == {}
    assert [one.step for one in news.vanished] == ["prime"]
    # What a step that was not played would show has not vanished.
    assert compare_with_known([ended(Grade.WEAK)], known, ["a/x[testing]"]).vanished == ()
    # Without a finding in its first step the case ended for a reason that nobody knows.
    elsewhere = weak("a/x[testing]")
    elsewhere = replace(elsewhere, judgements=(*elsewhere.judgements, ENDED), grade=Grade.INCONCLUSIVE)
    assert compare_with_known([elsewhere], known, ["a/x[testing]"]) == KnownComparison({}, (), ())


class TestClaims:
    """What a target no longer offers can no longer be seen, and that is news as well."""

    def test_a_case_that_became_unsupported_no_longer_shows_its_known_failure(self, tmp_path: Path) -> None:
        known = read(tmp_path, ENTRY.format(case='"a/x[testing]"'))
        lacking = Judgement(Grade.UNSUPPORTED, "not-claimed")
        verdict = Verdict("a/x[testing]", Grade.UNSUPPORTED, (), (lacking,), 0.0, 0.0)
        found = compare_with_known([verdict], known, ["a/x[testing]"])
        assert [one.case for one in found.vanished] == ["a/x[testing]"]
        assert found.known == {}

    def test_what_a_later_step_showed_is_missed_where_that_step_is_no_longer_offered(self, tmp_path: Path) -> None:
        """Otherwise a target that drops its clock would drop its known failures with it, and nobody would be told."""
        early, late = (ENTRY.format(case='"a/x[testing]"') + f'step = "{step}"\n' for step in ("attack", "lapse"))
        known = read(tmp_path, early + late)
        whole = weak("a/x[testing]")
        verdict = replace(whole, judgements=(*whole.judgements, NOT_OFFERED))
        found = compare_with_known([verdict], known, ["a/x[testing]"])
        assert [one.step for one in found.vanished] == ["lapse"]

    @pytest.mark.parametrize("grade", [Grade.INCONCLUSIVE, Grade.LAB_ERROR])
    def test_a_doubt_says_nothing(self, tmp_path: Path, grade: Grade) -> None:
        known = read(tmp_path, ENTRY.format(case='"a/x[testing]"'))
        unclear = Verdict("a/x[testing]", grade, (), (), 0.0, 1.0)
        assert compare_with_known([unclear], known, ["a/x[testing]"]).vanished == ()


class TestCodes:
    """Every code of an entry occurs in each of its cases: less than that is news, and so is more."""

    @pytest.fixture
    def known(self, tmp_path: Path) -> tuple[KnownFailure, ...]:
        both = 'codes = ["failure-not-reported", "no-report"]'
        return read(tmp_path, ENTRY.format(case='"a/x[testing]"').replace('codes = ["failure-not-reported"]', both))

    def test_one_of_two_is_not_enough(self, known: tuple[KnownFailure, ...]) -> None:
        found = compare_with_known([weak("a/x[testing]", "no-report")], known, ["a/x[testing]"])
        assert [one.codes for one in found.vanished] == [("failure-not-reported",)]
        assert found.known == {"a/x[testing]": ("It has no policy.",)}

    def test_all_of_them_are(self, known: tuple[KnownFailure, ...]) -> None:
        one, other = weak("a/x[testing]"), weak("a/x[testing]", "no-report")
        verdict = replace(one, judgements=(*one.judgements, *other.judgements))
        assert compare_with_known([verdict], known, ["a/x[testing]"]).vanished == ()

    def test_the_same_code_with_another_obligation_or_grade_is_not_it(self, known: tuple[KnownFailure, ...]) -> None:
        verdict = weak("a/x[testing]", "no-report")
        (judgement,) = verdict.judgements
        strangers = replace(judgement, obligation="STS-6-01"), replace(judgement, grade=Grade.FAIL)
        found = compare_with_known([replace(verdict, judgements=strangers)], known, ["a/x[testing]"])
        assert found.known == {}
        assert [one.codes for one in found.vanished] == [known[0].codes]

    @pytest.mark.parametrize("line", ["codes = []", "case = []", "step = []"])
    def test_an_entry_that_could_never_be_missed_is_refused(self, tmp_path: Path, line: str) -> None:
        key = line.partition(" ")[0]
        text = ENTRY.format(case='"a/x[testing]"') + 'step = "attack"\n'
        kept = "\n".join(line if row.startswith(f"{key} =") else row for row in text.splitlines())
        with pytest.raises(KnownFailuresError, match=f"length >= 1.*{key}"):
            read(tmp_path, kept)


class TestStep:
    """What happens before and after the attack is not covered by what is known of the attack."""

    @pytest.mark.parametrize("step", ["prime", "recover"])
    def test_an_honest_step_has_to_be_named(self, tmp_path: Path, step: str) -> None:
        entry = ENTRY.format(case='"a/x[testing]"')
        attacked, honest = weak("a/x[testing]"), weak("a/x[testing]", step=step)
        verdict = replace(attacked, judgements=(*attacked.judgements, *honest.judgements))
        silent = compare_with_known([verdict], read(tmp_path, entry), ["a/x[testing]"])
        assert silent.known == {}
        assert silent.vanished == ()
        named = read(tmp_path, f'{entry}step = ["attack", "{step}"]\n')
        assert compare_with_known([verdict], named, ["a/x[testing]"]).known

    def test_of_several_steps_one_is_enough(self, tmp_path: Path) -> None:
        """The sender's own pauses decide in which steps it tries again."""
        named = read(tmp_path, ENTRY.format(case='"a/x[testing]"') + 'step = ["attack", "recover"]\n')
        for step in ("attack", "recover"):
            found = compare_with_known([weak("a/x[testing]", step=step)], named, ["a/x[testing]"])
            assert (set(found.known), found.vanished) == ({"a/x[testing]"}, ())
        nowhere = compare_with_known([weak("a/x[testing]", step="report")], named, ["a/x[testing]"])
        assert nowhere.known == {}
        assert [one.step for one in nowhere.vanished] == ["attack|recover"]

    def test_a_step_that_is_named_is_the_only_one(self, tmp_path: Path) -> None:
        known = read(tmp_path, ENTRY.format(case='"a/x[testing]"') + 'step = "report"\n')
        found = compare_with_known([weak("a/x[testing]")], known, ["a/x[testing]"])
        assert found.known == {}
        assert [one.step for one in found.vanished] == ["report"]


class TestPattern:
    """A pattern speaks for every case that it fits."""

    IDS = ("b/x[enforce]", "b/y[enforce]", "b/z[enforce]")

    def test_a_case_that_no_longer_shows_it_is_named(self, tmp_path: Path) -> None:
        known = read(tmp_path, ENTRY.format(case='"b/*"'))
        passed = Verdict("b/y[enforce]", Grade.PASS, (), (), 0.0, 1.0)
        found = compare_with_known([weak("b/x[enforce]"), passed], known, self.IDS)
        assert found.known == {"b/x[enforce]": ("It has no policy.",)}
        assert [one.case for one in found.vanished] == ["b/y[enforce]"]
        assert found.unmatched == ()

    def test_a_case_that_shows_something_else_is_named(self, tmp_path: Path) -> None:
        known = read(tmp_path, ENTRY.format(case='"b/*"'))
        found = compare_with_known([weak("b/x[enforce]"), weak("b/y[enforce]", "no-report")], known, self.IDS)
        assert list(found.known) == ["b/x[enforce]"]
        assert [one.case for one in found.vanished] == ["b/y[enforce]"]

    def test_entries_that_overlap_all_occur(self, tmp_path: Path) -> None:
        narrow = ENTRY.format(case='"b/x[enforce]"').replace("It has no policy.", "Only here.")
        for text in (narrow + ENTRY.format(case='"b/*"'), ENTRY.format(case='"b/*"') + narrow):
            found = compare_with_known([weak("b/x[enforce]")], read(tmp_path, text), self.IDS)
            assert set(found.known["b/x[enforce]"]) == {"Only here.", "It has no policy."}
            assert found.vanished == ()


@pytest.mark.parametrize("case", ["7", '["a", 7]', "{a = 1}"])
def test_a_case_is_a_pattern_or_several(tmp_path: Path, case: str) -> None:
    with pytest.raises(KnownFailuresError, match=r"known-failures\.toml: Expected"):
        read(tmp_path, ENTRY.format(case=case))


class TestTheNameOfBefore:
    """Lists in kept runs and in people's own folders were called known-deviations.toml, their entries deviations."""

    def test_an_old_list_is_found_and_read(self, tmp_path: Path) -> None:
        old = tmp_path / "known-deviations.toml"
        old.write_text(ENTRY.format(case='"a/x[testing]"').replace("known-failure", "deviation"))
        assert known_failures_file(tmp_path) == old
        assert [one.case for one in read_known_failures(old)] == ["a/x[testing]"]

    def test_the_new_name_is_looked_for_first(self, tmp_path: Path) -> None:
        (tmp_path / "known-deviations.toml").write_text("")
        assert known_failures_file(tmp_path).name == "known-deviations.toml"
        (tmp_path / "known-failures.toml").write_text("")
        assert known_failures_file(tmp_path).name == "known-failures.toml"

    def test_without_either_it_is_the_new_name(self, tmp_path: Path) -> None:
        assert known_failures_file(tmp_path) == tmp_path / "known-failures.toml"
        assert read_known_failures(known_failures_file(tmp_path)) == ()


#: Words. Who does what where, and what the RFC asks for instead, takes more.
SHORTEST_REASON = 8


@pytest.mark.parametrize("name", sorted(shipped_targets()))
def test_each_shipped_known_failure_is_understood_alone(name: str) -> None:
    """A reason stands beside one case in the output, and a pattern would take in cases that nobody has seen fail."""
    known = read_known_failures(known_failures_file(shipped_targets()[name].path))
    assert [one.case for one in known if "*" in one.case or "?" in one.case] == []
    alone = [
        one.reason
        for one in known
        if one.reason.lower().startswith(
            ("the same", "same ", "like", "see ", "as ", "it ", "this ", "here", "unclear")
        )
        or len(one.reason.split()) < SHORTEST_REASON
    ]
    assert (alone, [one.reason for one in known if "see above" in one.reason]) == ([], [])


class TestInherited:
    """Known failures of the shipped target that a configuration of one's own is based on."""

    def known(self, path: Path) -> tuple[KnownFailure, ...]:
        inherited = ENTRY.format(case='["a/x[testing]", "a/y[testing]", "a/z[testing]"]')
        return read(path, with_inherited(ENTRY.format(case='"b/x[testing]"'), inherited, "postfix"))

    def test_those_that_occur_are_known_and_say_where_from(self, tmp_path: Path) -> None:
        found = compare_with_known([weak("a/x[testing]")], self.known(tmp_path), ["a/x[testing]", "b/x[testing]"])
        assert found.known == {"a/x[testing]": ("It has no policy. (So does the shipped postfix.)",)}

    def test_those_that_a_passing_case_disproves_are_cured_and_no_finding(self, tmp_path: Path) -> None:
        right = Judgement(Grade.PASS, "as-expected", obligation="STS-5-04", step="attack")
        passed = Verdict("a/y[testing]", Grade.PASS, (), (right,), 0.0, 1.0)
        found = compare_with_known([passed], self.known(tmp_path), ["a/y[testing]", "b/x[testing]"])
        assert [(one.case, one.inherited_from) for one in found.cured] == [("a/y[testing]", "postfix")]
        assert (found.vanished, found.unmatched) == ((), ())

    def test_nothing_is_cured_where_the_obligation_was_not_judged(self, tmp_path: Path) -> None:
        elsewhere = Judgement(Grade.PASS, "as-expected", obligation="STS-5-03", step="attack")
        passed = Verdict("a/y[testing]", Grade.PASS, (), (elsewhere,), 0.0, 1.0)
        informed = Verdict("a/z[testing]", Grade.INFO, (), (), 0.0, 1.0)
        found = compare_with_known([passed, informed], self.known(tmp_path), ["a/y[testing]", "b/x[testing]"])
        assert (found.cured, found.vanished) == ((), ())

    def test_a_check_that_finds_nothing_may_name_another_obligation(self, tmp_path: Path) -> None:
        entry = ENTRY.format(case='"a/x[enforce]"').replace("STS-5-04", "STS-5-08")
        held = Judgement(Grade.PASS, "deferred", obligation="STS-5-03", step="attack", check="message-outcome")
        passed = Verdict("a/x[enforce]", Grade.PASS, (), (held,), 0.0, 1.0)
        known = read(tmp_path, with_inherited("", entry, "postfix"))
        assert [one.obligation for one in compare_with_known([passed], known, ["a/x[enforce]"]).cured] == ["STS-5-08"]

    def test_ones_own_must_still_occur(self, tmp_path: Path) -> None:
        passed = Verdict("b/x[testing]", Grade.PASS, (), (), 0.0, 1.0)
        found = compare_with_known([passed], self.known(tmp_path), ["b/x[testing]"])
        assert [one.case for one in found.vanished] == ["b/x[testing]"]
