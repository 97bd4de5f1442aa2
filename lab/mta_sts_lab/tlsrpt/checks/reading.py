"""What the parser notes while it reads: each obligation belongs to one of these checks."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.tlsrpt.departures import Departure
from mta_sts_lab.tlsrpt.registry import Scope, reading_check
from mta_sts_lab.tlsrpt.report import ParsedReport

_JSON = ("RPT-4-01", "IJ-2.1-01", "IJ-2.2-01", "IJ-2.3-01")
_MEMBERS = (
    *("RPT-4-02", "RPT-4-05", "RPT-4.5-03"),
    *(f"RPT-4.4-{number:02}" for number in (1, 2, 4, 5, 6, 7, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)),
)


@reading_check(scope=(Scope.CONTENT,), obligations=_JSON, of_the_run=True)
def report_is_i_json(parsed: ParsedReport) -> Iterator[Departure]:
    """The data is one JSON text in UTF-8 that every reader understands in the same way."""
    return _noted(parsed, _JSON)


@reading_check(scope=(Scope.CONTENT,), obligations=_MEMBERS, of_the_run=True)
def members_have_their_types(parsed: ParsedReport) -> Iterator[Departure]:
    """The members of the JSON objects are there and have the type that section 4.4 gives them."""
    return _noted(parsed, _MEMBERS)


@reading_check(scope=(Scope.SENT,), obligations=("RPT-5.2-01",), of_the_run=True)
def gzip_data_is_plain(parsed: ParsedReport) -> Iterator[Departure]:
    """The gzip data has one member and nothing behind it."""
    return _noted(parsed, ("RPT-5.2-01",))


@reading_check(scope=(Scope.MAIL,), obligations=("MPR-3-01",), of_the_run=True)
def transfer_encoding_is_clean(parsed: ParsedReport) -> Iterator[Departure]:
    """The data part is encoded as its Content-Transfer-Encoding says."""
    return _noted(parsed, ("MPR-3-01",))


def _noted(parsed: ParsedReport, obligations: tuple[str, ...]) -> Iterator[Departure]:
    return (one for one in parsed.departures if one.obligation in obligations)
