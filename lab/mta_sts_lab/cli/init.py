"""`sts-lab init`: the folder of a new target. Everything heavy is imported where it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mta_sts_lab.cli.output import say


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder: my-mta.")],
    package: Annotated[
        str, typer.Option("--package", help="Debian's package of a mail server (postfix, exim4 ...), run in Docker.")
    ] = "",
) -> None:
    """Write the folder of a mail server of your own.

    It is in order as it stands: a program of this machine, or the image of a mail server of Debian's.
    """
    from mta_sts_lab.backends.new_folder import new_folder
    from mta_sts_lab.runs.errors import UsageError

    try:
        written = new_folder(folder, package)
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    for file in written:
        say(f"wrote {file}")
    target = folder if folder.is_absolute() else f"./{folder}"
    say(f"next: sts-lab target-check {target}, then sts-lab run --target {target}")
