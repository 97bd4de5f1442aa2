"""Every check registers itself, and every id that a check once had leads to one of today."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mta_sts_lab.check_registry import CheckRegistry
from mta_sts_lab.judge import checks
from mta_sts_lab.judge.checks import Scope, all_checks, checks_of
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.old_check_ids import OLD_CHECK_IDS, current_check_id
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.tlsrpt import grading  # noqa: F401 - it loads every check of reports
from mta_sts_lab.tlsrpt.registry import check, key_check, reading_check, session_check

from tests.judge.stories import ENFORCE, record, resisted, taken_in, verdict

REPORT_CHECKS = (check, reading_check, key_check, session_check)
IDS = [one.id for one in all_checks()]


def test_each_check_has_one_scope_and_an_id_of_its_own() -> None:
    assert sorted(IDS) == sorted({one.id for scope in Scope for one in checks_of(scope)})
    assert len(set(IDS)) == len(IDS)
    assert {"message-outcome", "no-duplicate-delivery", "attack-fired", "control-case-is-sound"} <= set(IDS)


def test_an_id_cannot_be_taken_twice() -> None:
    registry: CheckRegistry[Callable[[object], Iterator[Judgement]], Scope] = CheckRegistry()

    def message_outcome(view: object) -> Iterator[Judgement]:
        yield from ()

    registry(scope=Scope.CASE)(message_outcome)
    with pytest.raises(ValueError, match="message-outcome is defined twice"):
        registry(scope=Scope.CASE)(message_outcome)


def test_the_obligations_of_a_check_exist() -> None:
    known = load_requirements()
    assert not {(one.id, row) for one in all_checks() for row in one.obligations if row not in known}


def test_every_old_id_leads_to_a_check_of_today() -> None:
    # Two findings of the grader come from no check of a report: that it is none, or about another domain.
    today = {
        *IDS,
        "report-is-readable",
        "report-is-about-the-domain",
        *(one.id for registry in REPORT_CHECKS for one in registry),
    }
    assert {new for new in OLD_CHECK_IDS.values() if new not in today} == set()
    assert {old for old in OLD_CHECK_IDS if old in today} == set()


def test_an_id_that_was_never_replaced_is_returned_as_it_is() -> None:
    assert current_check_id("no-envelope-in-clear") == "no-envelope-in-clear"
    assert current_check_id("no-message-was-read") == "no-message-read"


NEW = """
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement

@check(scope=Scope.CASE)
def brand_new(view):
    yield Judgement(Grade.INFO, "looked", observed=view.case.id)
"""


def test_a_new_check_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_new_file.py").write_text(NEW)
    with monkeypatch.context() as patched:
        patched.setattr(checks, "__path__", [*checks.__path__, str(tmp_path)])
        patched.setattr(checks.check, "_checks", dict(checks.check._checks))
        patched.setitem(sys.modules, "mta_sts_lab.judge.checks.a_new_file", None)
        del sys.modules["mta_sts_lab.judge.checks.a_new_file"]
        all_checks.cache_clear()
        checks_of.cache_clear()
        found = verdict(record(resisted(), taken_in()))
    all_checks.cache_clear()
    checks_of.cache_clear()
    assert [(one.reason, one.observed) for one in found.judgements if one.check == "brand-new"] == [("looked", ENFORCE)]
    assert "brand-new" not in {one.id for one in all_checks()}
