"""Whose a leftover is, and what becomes of it: without an engine, on a stand-in."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass, field
from typing import Any

import docker.errors
import pytest
import requests
from mta_sts_lab.backends.docker.engine import (
    OWNER_LABEL,
    RUN_LABEL,
    EngineError,
    clean,
    engine_errors,
    owner,
    owner_lives,
    sweep,
)


def test_this_process_owns_what_it_makes_and_lives() -> None:
    assert owner_lives(owner())


def test_a_process_that_has_ended_does_not() -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    assert not owner_lives(f"{socket.gethostname()}:{ended.pid}:1")


def test_nor_does_a_later_one_with_the_same_number() -> None:
    assert not owner_lives(f"{socket.gethostname()}:{os.getpid()}:1")


def test_what_another_machine_made_is_left_alone() -> None:
    assert owner_lives("another-host:1:1")


@pytest.mark.parametrize("label", ["", "x", "a:b", f"{socket.gethostname()}:x:1"])
def test_a_label_that_says_nothing_is_nobodys(label: str) -> None:
    assert not owner_lives(label)


@dataclass
class Thing:
    """A container, or a network."""

    name: str
    labels: dict[str, str]
    shelf: list[Thing]
    error: Exception | None = None
    stays: bool = False

    @property
    def attrs(self) -> dict[str, Any]:
        return {"Labels": self.labels}

    def remove(self, **_: Any) -> None:
        if self.error is not None:
            raise self.error
        self.shelf.remove(self)

    def wait(self, condition: str, timeout: float) -> None:
        """Whoever else is removing it has done so in time, or has not."""
        assert condition == "removed"
        if self.stays:
            raise requests.ReadTimeout(f"not removed in {timeout} s")
        self.shelf.remove(self)


@dataclass
class Shelf:
    """`client.containers` or `client.networks`."""

    things: list[Thing] = field(default_factory=list)
    error: Exception | None = None

    def put(self, name: str, run: str, owned_by: str, error: Exception | None = None) -> None:
        labels = {RUN_LABEL: run, OWNER_LABEL: owned_by}
        self.things.append(Thing(name, labels, self.things, error))

    def list(self, filters: dict[str, str], **_: bool) -> list[Thing]:
        if self.error is not None:
            raise self.error
        key, _, value = filters["label"].partition("=")
        return [thing for thing in self.things if key in thing.labels and value in ("", thing.labels[key])]

    def get(self, name: str) -> Thing:
        for thing in self.things:
            if thing.name == name:
                return thing
        raise docker.errors.NotFound(name)


@dataclass
class Engine:
    containers: Shelf = field(default_factory=Shelf)
    networks: Shelf = field(default_factory=Shelf)

    def names(self) -> list[str]:
        return [thing.name for shelf in (self.containers, self.networks) for thing in shelf.things]


DEAD = f"{socket.gethostname()}:{os.getpid()}:1"


@pytest.fixture
def stand_in() -> Any:
    engine = Engine()
    engine.networks.put("dead-network", "dead", DEAD)
    engine.containers.put("dead-lab", "dead", DEAD)
    engine.containers.put("live-lab", "live", owner())
    engine.networks.put("live-network", "live", owner())
    return engine


def test_clean_takes_what_nobody_owns_and_only_that(stand_in: Any) -> None:
    assert [(gone.kind, gone.name) for gone in clean(stand_in)] == [
        ("container", "dead-lab"),
        ("network", "dead-network"),
    ]
    assert stand_in.names() == ["live-lab", "live-network"]
    assert clean(stand_in) == []


def test_clean_all(stand_in: Any) -> None:
    assert len(clean(stand_in, everything=True)) == 4
    assert stand_in.names() == []


def test_sweep_takes_one_run_down(stand_in: Any) -> None:
    sweep(stand_in, "live")
    assert stand_in.names() == ["dead-lab", "dead-network"]


@pytest.mark.parametrize("stays", [False, True])
def test_what_is_being_removed_by_somebody_else_is_waited_for(stand_in: Any, stays: bool) -> None:
    response = requests.Response()
    response.status_code = 409
    dead = stand_in.containers.things[0]
    dead.error, dead.stays = docker.errors.APIError("removal is already in progress", response=response), stays
    clean(stand_in)
    assert ("dead-lab" in stand_in.names()) is stays
    if not stays:
        return
    with pytest.raises(EngineError, match="dead-lab could not be removed; `sts-lab clean` tries again"):
        sweep(stand_in, "dead")


def test_what_cannot_be_removed_is_told(stand_in: Any) -> None:
    stand_in.containers.things[0].error = docker.errors.APIError("device or resource busy")
    with pytest.raises(EngineError, match="cannot remove container dead-lab: device or resource busy"):
        clean(stand_in)


def test_an_engine_that_goes_away_is_one_line(stand_in: Any) -> None:
    stand_in.containers.error = requests.ConnectionError("refused\nand more")
    with pytest.raises(EngineError, match=r"^looking for what is left: refused$"):
        clean(stand_in)
    with pytest.raises(EngineError, match=r"^at work: refused$"), engine_errors("at work"):
        raise requests.ConnectionError("refused\nand more")
