"""What a command line says of what is played against what, and the command that plays a case again like that."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from mta_sts_lab.reports.escaping import escape_unprintable

#: Where `sts-lab serve` finds the mail server.
_OF_SERVE = ("--network", "--container", "--at")

#: What may differ between two runs of the same: how it is reached and given time, and the program, which an author
#: builds in one folder today and in another tomorrow.
_OF_THE_WAY = (*_OF_SERVE, "--ca", "--retry", "--smtp", "--ready", "--scenarios", "--command")

_OF_THE_TARGET = ("--claims", "--target", "--flaw", "--exercise", "--config", "--install", "--family")

_DECIDING = (*_OF_THE_WAY, *_OF_THE_TARGET)

_BLACK_BOX = "--black-box"

#: What is played against where nothing is said.
_REFERENCE = "--target reference"


def repeat_command(case: str, options: Sequence[str] = ()) -> str:
    """Return the command that plays just this case again."""
    return repeat_command_of((case,), options)


def repeat_command_of(cases: Sequence[str], options: Sequence[str]) -> str:
    """Return the command that plays just these cases again. `options` decide what they are played against."""
    command = "serve" if any(word.partition("=")[0] in _OF_SERVE for word in options) else "run"
    return " ".join(shlex.quote(escape_unprintable(word)) for word in ("sts-lab", command, *cases, *options))


def deciding_options(command: Sequence[str]) -> tuple[str, ...]:
    """Return the options of a command line that decide what is played against what."""
    return tuple(word for option in _options(command, _DECIDING) for word in option)


def what_is_tested(command: Sequence[str]) -> tuple[str, ...]:
    """Return the options that two command lines share if they test the same thing (`--target postfix`).

    They are sorted by name. Those of one name stay as typed, for a configuration is laid over the one before it.
    """
    said = [" ".join(option).replace("=", " ", 1) for option in _options(command, _OF_THE_TARGET)]
    return tuple(sorted((one for one in said if one != _REFERENCE), key=lambda one: one.partition(" ")[0]))


def _options(command: Sequence[str], wanted: Sequence[str]) -> Iterator[Sequence[str]]:
    for position, word in enumerate(command):
        if word in wanted:
            yield command[position : position + 2]
        elif word == _BLACK_BOX or word.startswith(tuple(f"{option}=" for option in wanted)):
            yield (word,)
