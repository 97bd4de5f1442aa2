"""Where the checks of reports register. A new check is one function in a file of `mta_sts_lab.tlsrpt.checks`.

There is a registry for each set of arguments. The scope says what a check needs to have something to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeAlias

from mta_sts_lab.check_registry import CheckRegistry
from mta_sts_lab.tlsrpt.departures import Departure
from mta_sts_lab.tlsrpt.known_sessions import KnownSessions
from mta_sts_lab.tlsrpt.report import ParsedReport

#: Returns the TXT record at a name (`selector._domainkey.domain`, no root dot) as octets; None where there is none.
#: Raises `KeyUnavailable` where that is not known.
KeyLookup: TypeAlias = "Callable[[str], bytes | None]"


class Scope(StrEnum):
    """What a check needs, in the words for a report that lacks it."""

    CONTENT = "there is no report to look at"
    MAIL = "this is not a mail message"
    SENT = "this is a file: how it was sent is not known"
    POSTED = "the media type of the request is not known"
    NAMED = "the file name that the reporter chose is not known"


Scopes: TypeAlias = tuple[Scope, ...]

#: Checks of what the report itself shows.
check: CheckRegistry[Callable[[ParsedReport], Iterator[Departure]], Scopes] = CheckRegistry()
#: Checks that return what the parser noted under their obligations. They run whatever was read.
reading_check: CheckRegistry[Callable[[ParsedReport], Iterator[Departure]], Scopes] = CheckRegistry()
#: Hints for people who look at a report outside a run of the lab, at some time (seconds since 1970). A report in a run
#: is about a day that may not be over, and its policy may be wrong on purpose.
hint_check: CheckRegistry[Callable[[ParsedReport, float], Iterator[Departure]], Scopes] = CheckRegistry()
#: Checks that also need the DKIM keys, and when the report arrived (seconds since 1970, None if unknown).
key_check: CheckRegistry[Callable[[ParsedReport, KeyLookup, float | None], Iterator[Departure]], Scopes] = (
    CheckRegistry()
)
#: Checks against what a witness knows about the sessions.
session_check: CheckRegistry[Callable[[ParsedReport, KnownSessions], Iterator[Departure]], Scopes] = CheckRegistry()
