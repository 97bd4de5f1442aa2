"""Build the images that tests with Docker need, before anything is timed. Without an engine there is nothing to do."""

from __future__ import annotations

import sys

from mta_sts_lab.backends.docker.engine import EngineError, connect
from mta_sts_lab.backends.docker.images import build_all
from mta_sts_lab.backends.folder import find_target

#: The lab's own image serves the reference sender, too.
TARGETS = ("reference-docker", "postfix", "chasquid")


def main() -> int:
    """Build, and return the exit status."""
    try:
        connect().close()
    except EngineError as error:
        print(f"no images were built: {error}")
        return 0
    problems = [built for built in build_all([find_target(name) for name in TARGETS], print) if built.problem]
    for built in problems:
        print(f"{built.target}: {built.problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
