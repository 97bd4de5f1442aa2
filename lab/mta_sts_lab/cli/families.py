"""The option `--family` of the commands that play."""

from __future__ import annotations

from typing import Annotated

import typer

FamilyWord = Annotated[
    str,
    typer.Option(
        "--family",
        metavar="ipv4|ipv6|both",
        help="The addresses of the world's hosts.",
        show_default="ipv4",
    ),
]
