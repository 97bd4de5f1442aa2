"""What the HTML pages have in common: each is one file that escapes what it shows and allows only its own parts."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from mta_sts_lab.reports.escaping import escape_unprintable


def environment(package: str) -> Environment:
    """Return what renders the templates of a package. Whatever it is given is escaped."""
    made = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["escape_unprintable"] = escape_unprintable
    return made


def read_part(package: str, name: str) -> str:
    """Return a file of a package: a style sheet, a script or data."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """Return what a content security policy calls a part of the page that may stay (CSP level 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
