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

from mta_sts_lab.runs.merging import merge
from mta_sts_lab.runs.service import RunRequest, RunResult, judge_run, load_shipped_catalogue, plan, run
from mta_sts_lab.runs.watching import Watcher

__all__ = ["RunRequest", "RunResult", "Watcher", "judge_run", "load_shipped_catalogue", "merge", "plan", "run"]
