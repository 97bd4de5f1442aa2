"""Whether the lines of a log that known failures quote are in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta_sts_lab.judge.known_failures import KnownFailure

#: What is quoted as a line of the log: `Log: '=> ... H=mx1.<domain>'`. An apostrophe within a word ends no quote.
_QUOTED = re.compile(r"\b[Ll]og: '(.+?)'(?!\w)")

#: What is left out of a quote, or stands for a name that is another one in each run.
_LEFT_OUT = re.compile(r"<[^<>]*>|\.\.\.")


def quotes_not_in_the_log(known: KnownFailure, log: str) -> Iterator[str]:
    """Yield the lines that the evidence of a known failure quotes, and that the log of a run with its case lacks."""
    for quote in _QUOTED.findall(f"{known.reason} {known.evidence}"):
        line = ".*?".join(re.escape(part) for part in _LEFT_OUT.split(quote))
        if not re.search(line, log):
            yield quote
