"""The result of `sts-lab report-check` as one HTML page that needs no server, loads nothing and runs no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mta_sts_lab import __version__
from mta_sts_lab.reports.escaping import escape_unprintable
from mta_sts_lab.reports.glossary import GRADES
from mta_sts_lab.reports.tls_reports.grouping import grouped, some
from mta_sts_lab.tlsrpt.checking import Checked, summary_of


def _printable(value: object) -> object:
    return escape_unprintable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def page(checked: Sequence[Checked]) -> str:
    """Return the page. Everything in it that is foreign is escaped."""
    environment = Environment(
        loader=PackageLoader("mta_sts_lab.reports.tls_reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    style = resources.files("mta_sts_lab.reports.tls_reports").joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html.jinja").render(
        summary=summary_of(checked),
        groups=list(reversed(grouped(checked))),
        reports=[one for one in checked if one.is_report],
        set_aside=[one for one in checked if not one.is_report],
        style=style,
        style_hash=f"sha256-{digest}",
        meanings={grade.value: meaning for grade, meaning in GRADES.items()},
        some=some,
        made_by=f"mta-sts-lab {__version__}",
    )
