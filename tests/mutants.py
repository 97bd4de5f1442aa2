"""Mutation of the reference sender: small changes to its decisions, each played until a scenario finds it.

`python -m tests.mutants --minutes 10` goes on where the last call stopped, lists the survivors, and ends with status 1 if
there is one that `mutants_explained.toml` does not explain. `mutants_played.json` keeps what became of each mutant, by
the text of the lines: only what has changed is played again. `.mutants.json` keeps which scenarios run which lines. A
mutant is played against the scenarios that run its line, those first that found something near it; one that survives
has met all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeVar

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.model.case import Scenario
from mta_sts_lab.runs import load_shipped_catalogue

from tests.mutant_plays import Played, import_everything, play_mutant, run_places
from tests.mutant_sources import MODULES, Mutant, mutants, text_of

KEPT = Path(__file__).parents[1] / ".mutants.json"
PLAYED = Path(__file__).with_name("mutants_played.json")
EXPLAINED = Path(__file__).with_name("mutants_explained.toml")

#: So many scenarios are played against a mutant that is explained, to see whether the explanation is needed.
ENOUGH_FOR_EXPLAINED = 4

#: What no scenario has found, for whatever reason.
ALIVE = ("survived", "unproved")

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Kept:
    """What earlier calls have found out."""

    #: The places that each scenario runs. A scenario is known by its id and the text of its cases.
    places: dict[str, set[str]] = field(default_factory=dict)
    played: dict[str, Played] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Kept:
        """Read it; empty where nothing was played."""
        kept = cls()
        if KEPT.exists():
            content = json.loads(KEPT.read_text(encoding="utf-8"))
            names = content["names"]
            kept.places = {one: {names[number] for number in found} for one, found in content["places"].items()}
        if PLAYED.exists():
            found = json.loads(PLAYED.read_text(encoding="utf-8"))
            kept.played = {key: Played(result, why) for key, (result, why) in found.items()}
        return kept

    def write_places(self) -> None:
        """Write which places the scenarios run. Each place stands there once."""
        names = sorted(set[str]().union(*self.places.values()))
        number_of = {name: number for number, name in enumerate(names)}
        places = {scenario: sorted(number_of[one] for one in found) for scenario, found in self.places.items()}
        KEPT.write_text(json.dumps({"names": names, "places": places}), encoding="utf-8")

    def write_played(self) -> None:
        """Write what became of the mutants, a line each."""
        lines = [f"{json.dumps(key)}: {json.dumps([one.result, one.why])}" for key, one in sorted(self.played.items())]
        PLAYED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    def scenarios_for(self, mutant: Mutant, scenarios: Mapping[str, Scenario]) -> list[str]:
        """Return the scenarios that run a mutant's statement, or may, in the order in which they are to be played.

        First come those that have killed a mutant of the same function, and those that find its flaws.
        """
        found = [
            scenario
            for identity, scenario in scenarios.items()
            if (ran := self.places.get(identity)) is None or self._is_run(mutant, ran)
        ]
        random.Random(8461).shuffle(found)
        near, of_module = Counter[str](), Counter[str]()
        for key, one in self.played.items():
            if one.result == "killed":
                near[one.scenario] += key.startswith(f"{mutant.module}.{mutant.where}: ")
                of_module[one.scenario] += key.startswith(f"{mutant.module}.")
        found.sort(key=lambda one: of_module[one.id], reverse=True)
        found.sort(key=lambda one: near[one.id] + len(mutant.flaws.intersection(one.kills)), reverse=True)
        return [one.id for one in found]

    @staticmethod
    def _is_run(mutant: Mutant, ran: set[str]) -> bool:
        # What stands outside of functions runs when a module is imported.
        if not mutant.places[0].startswith(f"{mutant.module}.: "):
            return not ran.isdisjoint(mutant.places)
        return any(one.startswith(f"{mutant.module}.") for one in ran)


def identified(scenarios: Iterable[Scenario]) -> dict[str, Scenario]:
    """Return scenarios by what each is known by as long as its cases stay the same."""
    return {f"{one.id} {hashlib.sha256(repr(one.cases).encode()).hexdigest()[:16]}": one for one in scenarios}


def _in_processes(work: Callable[[T], R], things: Iterable[T], jobs: int, end: float) -> Iterator[tuple[T, R | None]]:
    """Do some work on one thing after the other, each in a process of its own; yield its result, None if it died.

    Each process starts as a copy of this one, which has imported the lab. After `end` none is begun.
    """
    context = multiprocessing.get_context("fork")
    waiting, running = iter(things), dict[Connection, T]()
    while True:
        while len(running) < jobs and time.monotonic() < end and (thing := next(waiting, None)) is not None:
            result, sent = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(work, thing, sent))
            process.start()
            sent.close()
            running[result] = thing
        if not running:
            return
        for ready in wait(running):
            assert isinstance(ready, Connection)
            try:
                found: R | None = ready.recv()
            except EOFError:
                found = None
            yield running.pop(ready), found


def _send(work: Callable[[T], R], thing: T, to: Connection) -> None:
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        to.send(work(thing))


def _learn_places(kept: Kept, catalogue: Catalogue, jobs: int, end: float) -> None:
    """Learn which places the scenarios run that are new."""
    scenarios = identified(catalogue.scenarios)
    kept.places = {identity: kept.places[identity] for identity in scenarios if identity in kept.places}
    new = [identity for identity in scenarios if identity not in kept.places]

    def work(identity: str) -> set[str] | None:
        return run_places(catalogue, scenarios[identity].id)

    for identity, found in _in_processes(work, new, jobs, end):
        print(f"{identity}: {'not passed by the correct sender' if found is None else len(found)}", flush=True)
        # The correct sender does not pass each scenario when that is played alone: a domain that gets no report proves
        # something only where others get one. What such a scenario finds says nothing of a mutant.
        kept.places[identity] = found or set()
        kept.write_places()


def _play(kept: Kept, waiting: Sequence[Mutant], catalogue: Catalogue, options: argparse.Namespace, end: float) -> None:
    scenarios, explained = identified(catalogue.scenarios), explanations()

    def work(mutant: Mutant) -> Played:
        most = ENOUGH_FOR_EXPLAINED if mutant.key in explained else options.most
        return play_mutant(mutant, catalogue, kept.scenarios_for(mutant, scenarios), most)

    for mutant, found in _in_processes(work, waiting, options.jobs, end):
        kept.played[mutant.key] = played = found or Played("unproved", "the process died")
        kept.write_played()
        print(f"{played.result:10} {mutant.key}  [{played.why}]", flush=True)


def explanations() -> dict[str, str]:
    """Return the reasons why mutants cannot be found, by their keys."""
    content = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))
    return {key: group["reason"] for group in content.get("explained", ()) for key in group["mutants"]}


def _told(kept: Kept, found: Sequence[Mutant]) -> int:
    explained = explanations()
    results = Counter(kept.played[one.key].result for one in found if one.key in kept.played)
    alive = [one for one in found if one.key in kept.played and kept.played[one.key].result in ALIVE]
    unexplained = [one for one in alive if one.key not in explained]
    for one in unexplained:
        print(f"{kept.played[one.key].result:10} {one.module}.py:{one.line}  {one.key}  [{kept.played[one.key].why}]")
    needless = [one for one in found if one.key in explained and one.key in kept.played and one not in alive]
    for one in needless:
        print(f"explained, and {kept.played[one.key].result}: {one.key}  [{kept.played[one.key].why}]")
    said = ", ".join(f"{number} {result}" for result, number in sorted(results.items()))
    print(
        f"{results.total()} of {len(found)} mutants played: {said}."
        f" Of the others {len(alive) - len(unexplained)} are explained, and {len(unexplained)} are not."
    )
    return 1 if unexplained or needless else 0


def main() -> int:
    """Play mutants for some minutes, in an order that is the same each time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to begin with another one at most")
    parser.add_argument("--jobs", type=int, default=2, help="how many to play at one time")
    parser.add_argument("--most", type=int, metavar="SCENARIOS", help="play no more of them against one mutant")
    parser.add_argument("--again", metavar="MUTANT", help="play these again, whatever became of them; * is wild")
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    catalogue, kept = load_shipped_catalogue(), Kept.read()
    found = [one for module in MODULES for one in mutants(module, text_of(module))]
    kept.played = {one.key: kept.played[one.key] for one in found if one.key in kept.played}
    explained = explanations()
    waiting = [one for one in found if one.key not in kept.played]
    unproved = [one for one in found if one.key in kept.played and kept.played[one.key].result == "unproved"]
    waiting += [one for one in unproved if one.key not in explained]
    if options.again is not None:
        waiting = [one for one in found if fnmatchcase(one.key, options.again)]
    random.Random(8461).shuffle(waiting)
    import_everything()
    _learn_places(kept, catalogue, options.jobs, end)
    scenarios = identified(catalogue.scenarios)
    met_by = {one.key: len(kept.scenarios_for(one, scenarios)) for one in waiting}
    # What few scenarios run is soon known; what many run is soon found, or takes long.
    waiting.sort(key=lambda one: (one.key in explained, one.key in kept.played, met_by[one.key]))
    _play(kept, waiting, catalogue, options, end)
    return _told(kept, found)


if __name__ == "__main__":
    sys.exit(main())
