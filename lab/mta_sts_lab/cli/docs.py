"""`sts-lab docs`: the documents, also where no checkout is at hand."""

from __future__ import annotations

from typing import Annotated

import typer

from mta_sts_lab.cli.output import console, say


def docs(
    page: Annotated[
        str, typer.Argument(help="A document, or a section of one, as messages name it: ambiguities#end-of-day.")
    ] = "",
) -> None:
    """Read the documents, or a section that a message names."""
    from rich.markdown import Markdown

    from mta_sts_lab.documents import documents

    if not page:
        for document in documents().values():
            say(f"{document.name:20}{document.title}")
        return
    screen = console()
    text = _text_of(page)
    if screen.is_terminal:
        screen.print(Markdown(text))
    else:
        say(text.rstrip())


def _text_of(page: str) -> str:
    from mta_sts_lab.documents import documents
    from mta_sts_lab.requirements import near_misses
    from mta_sts_lab.runs.errors import UsageError

    name, _, section = page.removeprefix("docs/").partition("#")
    known = documents()
    document = known.get(name.removesuffix(".md"))
    if document is None:
        near = near_misses(name, known)
        raise UsageError(f"there is no document {name!r}; {_meant(near) or '`sts-lab docs` lists them'}")
    if not section:
        return document.text
    text = document.section(section)
    if text is None:
        near = near_misses(section, document.sections)
        hint = (
            _meant(tuple(f"{document.name}#{one}" for one in near)) or f"`sts-lab docs {document.name}` has all of it"
        )
        raise UsageError(f"{document.name} has no section {section!r}; {hint}")
    return text


def _meant(near: tuple[str, ...]) -> str:
    return f"did you mean {' or '.join(near)}?" if near else ""
