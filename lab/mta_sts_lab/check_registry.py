"""How checks register themselves: the judge's checks of a record and the grader's checks of a report.

A check is a function. Its id is the name of the function with hyphens, so that the two cannot drift apart, and whatever
lists the checks asks the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Function = TypeVar("Function", bound=Callable[..., Iterator[Any]])
Scope = TypeVar("Scope")


@dataclass(frozen=True, slots=True)
class Check(Generic[Function, Scope]):
    """A registered check: its id, what it looks at, and the obligations that it can find broken.

    `of_the_run` marks one that finds what a target does alike whatever a case is about, such as the form of its
    reports: that is one finding of the run, and not one of each case.
    """

    id: str
    scope: Scope
    obligations: tuple[str, ...]
    function: Function
    of_the_run: bool = False


class CheckRegistry(Generic[Function, Scope]):
    """The checks of one kind, in the order in which they registered.

    Used as a decorator: `@check(scope=..., obligations=(...))`. Raises `ValueError` for an id that is taken.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Check[Function, Scope]] = {}

    def __call__(
        self, *, scope: Scope, obligations: tuple[str, ...] = (), of_the_run: bool = False
    ) -> Callable[[Function], Function]:
        """Return a decorator that registers a function under its own name and returns it unchanged."""

        def register(function: Function) -> Function:
            name = check_id(function)
            if name in self._checks:
                first = self._checks[name].function
                raise ValueError(f"the check {name} is defined twice: in {first.__module__} and {function.__module__}")
            self._checks[name] = Check(name, scope, obligations, function, of_the_run)
            return function

        return register

    def __iter__(self) -> Iterator[Check[Function, Scope]]:
        return iter(self._checks.values())


def check_id(function: Callable[..., Any]) -> str:
    """Return the id of a check: `message_outcome` is `message-outcome`."""
    return function.__name__.strip("_").replace("_", "-")
