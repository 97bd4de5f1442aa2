"""How much of the lab one case in this process goes through: the lab's own functions that are entered, by module."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from types import FrameType

import mta_sts_lab
from mta_sts_lab.runs import RunRequest, run

_PACKAGE = Path(mta_sts_lab.__file__).parent


def walk(selection: str) -> dict[str, set[str]]:
    """Play what is selected against the reference sender; return the functions that were entered, by module."""
    entered: dict[str, set[str]] = defaultdict(set)

    def enter(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        # Comprehensions and lambdas are not counted.
        if event == "call" and not code.co_name.startswith("<") and code.co_filename.startswith(str(_PACKAGE)):
            entered[code.co_filename].add(code.co_qualname)

    with tempfile.TemporaryDirectory() as out:
        request = RunRequest((selection,), out=Path(out))
        run(request)  # So that everything is imported: what a module does meanwhile is not counted.
        sys.setprofile(enter)
        try:
            run(request)
        finally:
            sys.setprofile(None)
    return {str(Path(name).relative_to(_PACKAGE)): functions for name, functions in sorted(entered.items())}


def print_walk(selection: str) -> None:
    """Print how many functions each module had entered, and the sums."""
    entered = walk(selection)
    for module, functions in entered.items():
        print(f"{len(functions):4}  {module}")  # noqa: T201
    print(f"{sum(map(len, entered.values()))} functions in {len(entered)} modules")  # noqa: T201
