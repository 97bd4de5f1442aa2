"""The checks of the judge, one file for each family.

A check is a function with `@check`: it yields judgements, and the judge sets their id. Every file in this folder is
found, so that a new check is one new function.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache

from mta_sts_lab.check_registry import Check, CheckRegistry
from mta_sts_lab.model.verdict import Judgement

#: Takes a `CaseView`, and the `Step` unless its scope is the case.
CheckFunction = Callable[..., Iterator[Judgement]]


class Scope(StrEnum):
    """When a check runs."""

    #: Once for each case, before all others. If it finds anything the case was not played, and nothing else is judged.
    SUPPORT = "support"
    #: Once for each case.
    CASE = "case"
    #: For each step that has an expectation and that the target could play.
    STEP = "step"
    #: For each step, whatever is expected of it.
    EVERY_STEP = "every-step"


check: CheckRegistry[CheckFunction, Scope] = CheckRegistry()


@cache
def all_checks() -> tuple[Check[CheckFunction, Scope], ...]:
    """Return every check of this folder, by the names of the files, whoever imported one first."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return tuple(sorted(check, key=lambda one: one.function.__module__))


@cache
def checks_of(scope: Scope) -> tuple[Check[CheckFunction, Scope], ...]:
    """Return every check of one scope."""
    return tuple(one for one in all_checks() if one.scope is scope)
