"""Signals while a run is written: the first ends it, the second changes nothing, the third breaks off what is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from mta_sts_lab.backends.local import signals_held_back
from mta_sts_lab.runs.errors import Interrupted
from mta_sts_lab.runs.writing import interruptible


@pytest.fixture(autouse=True)
def _hears_ctrl_c() -> Iterator[None]:
    """Undo what a shell does to its background jobs: they ignore it, and so would the run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupted(folder: Path, number: int, later: int, *, held_back: bool = False) -> list[str]:
    """End a run by a signal, and send more of them while it is taken down; return what was done to its end."""
    done: list[str] = []
    with interruptible(folder):
        try:
            if held_back:
                with signals_held_back():
                    os.kill(os.getpid(), number)
                    done.append("what was begun")
            else:
                os.kill(os.getpid(), number)
            done.append("the run")
        finally:
            folder.joinpath("done").write_text("\n".join(done))
            for _ in range(later):
                os.kill(os.getpid(), number)
            folder.joinpath("done").write_text("\n".join([*done, "the taking down"]))
    return done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("held_back", [False, True])
def test_a_second_signal_does_not_break_into_the_taking_down(tmp_path: Path, number: int, held_back: bool) -> None:
    with pytest.raises(Interrupted) as ended:
        _interrupted(tmp_path, number, 1, held_back=held_back)
    assert ended.value.status == 128 + number
    begun = ["what was begun"] if held_back else []
    assert (tmp_path / "done").read_text().split("\n") == [*begun, "the taking down"]


def test_a_third_signal_breaks_it_off(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        _interrupted(tmp_path, signal.SIGTERM, 2)
    assert not (tmp_path / "done").read_text()
