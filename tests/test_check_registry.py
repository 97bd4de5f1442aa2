"""Checks register themselves, under the name of their function and only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from mta_sts_lab.check_registry import CheckRegistry


def registry() -> CheckRegistry[Callable[[], Iterator[str]], str]:
    return CheckRegistry()


def test_the_id_is_the_name_of_the_function() -> None:
    check = registry()

    @check(scope="case", obligations=("RPT-4-01",))
    def report_is_i_json() -> Iterator[str]:
        yield "finding"

    (found,) = check
    assert (found.id, found.scope, found.obligations) == ("report-is-i-json", "case", ("RPT-4-01",))
    assert list(report_is_i_json()) == list(found.function()) == ["finding"]


def test_an_id_that_is_taken_is_refused() -> None:
    check = registry()

    def message_outcome() -> Iterator[str]:
        yield "finding"

    check(scope="case")(message_outcome)
    with pytest.raises(ValueError, match="message-outcome is defined twice"):
        check(scope="step")(message_outcome)
