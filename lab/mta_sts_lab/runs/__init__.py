"""The service behind every command: plan, play, judge, write.

    result = run(RunRequest(selection=("starttls/*",), target="postfix", out=Path("runs")))
    result.summary.exit_code

- `RunRequest`: what is to be played, against which target, and where the results go.
- `plan(request)`: the cases that a request comes to, without playing them.
- `run(request, watcher)`: plays them, judges the record and writes everything into a folder of its own.
- `judge_run(folder)`: judges the record of a run again.
- `merge(folders, into)`: joins runs of the same target, each with other cases, into one.

A `catalogue` that has been loaded already can be passed to all of them. `runs.errors` lists the errors they raise.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mta_sts_lab.runs.merging import merge
    from mta_sts_lab.runs.scenarios import load_shipped_catalogue
    from mta_sts_lab.runs.service import RunRequest, RunResult, judge_run, plan, run
    from mta_sts_lab.runs.watching import Watcher

__all__ = ["RunRequest", "RunResult", "Watcher", "judge_run", "load_shipped_catalogue", "merge", "plan", "run"]

#: The modules of the names. A command that lists scenarios need not wait until aiohttp and mitmproxy are imported.
_PLACES = {"merge": "merging", "load_shipped_catalogue": "scenarios", "Watcher": "watching"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES.get(name, 'service')}"), name)
