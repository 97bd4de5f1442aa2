"""The result of `sts-lab report-check` as one HTML page that needs no server, loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mta_sts_lab import __version__
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import GRADES
from mta_sts_lab.reports.pages import content_hash, environment, read_part
from mta_sts_lab.reports.tls_reports.grouping import grouped, some, stated
from mta_sts_lab.tlsrpt.checking import Checked, summary_of


def _printable(value: object) -> object:
    return escape_unprintable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def page(checked: Sequence[Checked]) -> str:
    """Return the page. Everything in it that is foreign is escaped."""
    made = environment(__package__)
    made.finalize = _printable
    style = read_part(__package__, "page.css")
    return made.get_template("page.html.jinja").render(
        summary=summary_of(checked),
        groups=list(reversed(grouped(checked))),
        reports=[one for one in checked if one.is_report],
        set_aside=[one for one in checked if not one.is_report],
        style=style,
        style_hash=content_hash(style),
        meanings={grade.value: meaning for grade, meaning in GRADES.items()},
        some=some,
        stated=stated,
        made_by=f"mta-sts-lab {__version__}",
    )
