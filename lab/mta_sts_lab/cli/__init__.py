"""The command line: `sts-lab`. Thin: it reads what was typed, has it done, and says how it went.

Everything heavy is imported where it is needed, so that `--help` answers at once.
"""


def main() -> None:
    """Run the command line; see `mta_sts_lab.cli.commands`."""
    try:
        # Here, because importing takes a tenth of a second in which somebody may press Ctrl-C, too.
        from mta_sts_lab.cli.commands import main as run_commands

        run_commands()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


__all__ = ["main"]
