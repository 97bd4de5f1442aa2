"""The command line: `sts-lab`. Thin: it reads what was typed, has it done, and says how it went.

Everything heavy is imported where it is needed, so that `--help` answers at once.
"""

from lab.cli.commands import main

__all__ = ["main"]
