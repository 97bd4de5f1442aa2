"""The lab in tests of one's own: a world with an attack, the record of what happened, and assertions on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS
from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.events import AttackFired, Event
from mta_sts_lab.model.case import AttackUse, Case, Expectation, Mode, Step
from mta_sts_lab.model.grading import Grade, Outcome
from mta_sts_lab.model.verdict import Verdict
from mta_sts_lab.model.world import World
from mta_sts_lab.pytest_plugin.playing import PlayedCase, play_quietly
from mta_sts_lab.pytest_plugin.settings import Settings
from mta_sts_lab.record import Record
from mta_sts_lab.requirements import near_misses
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.scenarios import whole_catalogue

_Result = TypeVar("_Result")
_Word = TypeVar("_Word", bound=StrEnum)

#: What a message breaks that leaves under an enforced policy; an outcome that a test asserts itself breaks nothing.
_OBLIGATION = "STS-5-03"


@dataclass(frozen=True, slots=True)
class Played:
    """What happened in a case."""

    case: Case
    _played: PlayedCase

    @property
    def verdict(self) -> Verdict:
        """What the lab's judge says."""
        return self._played.verdict

    @property
    def folder(self) -> Path:
        """The folder of the run: record, flows, the target's log."""
        return self._played.result.folder

    @property
    def record(self) -> Record:
        """The record of the run, with the control case, if there is one."""
        return self._played.result.record

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of the case."""
        return tuple(self.record.judged_events()[self.case.id])

    @property
    def attacks_fired(self) -> tuple[str, ...]:
        """The attacks that took effect."""
        return tuple(dict.fromkeys(event.fact.attack for event in self.events if isinstance(event.fact, AttackFired)))

    def outcome(self, step: str = "attack") -> Outcome | None:
        """Return what became of the message of a step, when the step ended; None if it sent none."""
        return next((result.outcome for result in self.verdict.steps if result.step == step), None)

    def assert_outcome(self, *allowed: str, step: str = "attack") -> None:
        """Fail unless the message of a step had one of some outcomes ("deferred"), and every attack took effect.

        Where the lab was not in order the outcome may be its doing, and proves nothing.
        """
        __tracebackhide__ = True
        for word in allowed:
            _one_of(Outcome, word)
        assert not self._doubt, f"{self.case.id}: nothing is proved: {self._doubt}; {self._where}"
        missing = {use.name for one in self.case.steps for use in one.attacks if not use.optional}
        missing -= set(self.attacks_fired)
        assert not missing, (
            f"{self.case.id}: the attack did not take effect: {', '.join(sorted(missing))}; {self._where}"
        )
        found = self.outcome(step)
        assert found in allowed, f"{self.case.id}: {found} in step {step}, not {' or '.join(allowed)}; {self._where}"

    def assert_passed(self) -> None:
        """Fail unless the judge says pass or info, with the block that `sts-lab run` prints."""
        __tracebackhide__ = True
        assert self.verdict.grade.value in ("pass", "info"), self._played.text

    @property
    def _doubt(self) -> str:
        """What was wrong with the lab, where the judge could decide nothing for that; empty for nothing."""
        if self.verdict.grade not in (Grade.INCONCLUSIVE, Grade.LAB_ERROR):
            return ""
        return next((one.observed for one in self.verdict.judgements if one.blame == "lab"), "")

    @property
    def _where(self) -> str:
        return f"the record is in {self.folder}"


class Lab:
    """Plays single cases against the session's target."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self._settings = settings
        self._out = out
        self._catalogue = whole_catalogue(settings.scenarios)

    def play(self, case: str) -> Played:
        """Play a case of the lab's catalogue, by its id. Raises `NothingSelected`, with near misses."""
        found = self._catalogue.find([case])
        if len(found) != 1:
            raise UsageError(f"{case} is {len(found)} cases; one is played at a time, such as {found[0].id}")
        return self._play(found[0], self._catalogue)

    def attack(
        self, name: str = "", *, mode: str = "enforce", world: World | None = None, **parameters: str | int
    ) -> Played:
        """Play a world with an attack (`sts-lab list` shows scenarios; without a name nobody attacks).

        The target learns the policy from a first message, gets another one while the attack is in force, and a third
        step waits for what it held. `world` is what the recipient's domain runs and publishes.
        """
        world, mode_ = world or World(), _one_of(Mode, mode)
        published = mode_ is not Mode.ABSENT
        case = Case(
            id=f"own/{(name or 'no_attack').replace('_', '-')}[{mode_.value}]",
            scenario=f"own/{(name or 'no_attack').replace('_', '-')}",
            mode=mode_,
            steps=(
                Step("prime", world, learns_policy=published, expect=Expectation(("any",), _OBLIGATION)),
                Step("attack", world, attacks=_uses(name, parameters), expect=Expectation(("any",), _OBLIGATION)),
                Step("recover", world, send=False, recovers=True),
            ),
        )
        return self._play(case, replace(self._catalogue, cases={case.id: case}))

    def _play(self, case: Case, catalogue: Catalogue) -> Played:
        result = _outside_of_any_loop(lambda: play_quietly(self._settings, catalogue, (case.id,), self._out))
        return Played(case, PlayedCase.of(result, case.id))


def _one_of(kind: type[_Word], word: str) -> _Word:
    """Return a word as one of its kind. Raises `UsageError`, with all that there are."""
    if word not in [one.value for one in kind]:
        raise UsageError(f"{word!r} is none of {', '.join(one.value for one in kind)}")
    return kind(word)


def _uses(name: str, parameters: dict[str, str | int]) -> tuple[AttackUse, ...]:
    """Return the use of an attack. Raises `UsageError` for a name, a parameter or a value that it does not have."""
    if not name:
        return ()
    if name not in ATTACK_FORMS:
        near = near_misses(name, ATTACK_FORMS) or sorted(ATTACK_FORMS)
        raise UsageError(f"no attack is called {name!r}; did you mean {' or '.join(near)}?")
    form = ATTACK_FORMS[name]
    for key, value in parameters.items():
        if key != "host" and value not in form.parameters.get(key, ()):
            legal = "; ".join(f"{one}: {', '.join(map(str, values))}" for one, values in form.parameters.items())
            raise UsageError(f"{name} has no {key}={value!r}; it has {legal or 'no parameters'}")
    return (form.use(parameters),)


def _outside_of_any_loop(work: Callable[[], _Result]) -> _Result:
    """Do something that has an event loop of its own; in an asynchronous test that needs another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    done: list[_Result] = []
    raised: list[BaseException] = []

    def working() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised below, in the test
            raised.append(error)

    thread = threading.Thread(target=working)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return done[0]
