"""Where TLS-RPT reports arrive: an HTTPS endpoint that takes what a reporter posts (RFC 8460, section 3).

What is posted is hostile input: its size, its compression and its nesting are bounded (RFC 8460, section 7).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiohttp import web

from lab.events import ReportReceived
from lab.world.host import Ground
from lab.world.https import PORT, HttpsHost
from lab.world.path import Accepted

#: Octets of an unpacked report. One for 84 domains had 60 KiB; RFC 8460 itself names no bound.
_LARGEST_REPORT = 4 << 20

#: Unpacked octets for each packed one. Reports pack 5 to 20 times; a bomb 1000 times.
_HIGHEST_RATIO = 200

#: The longest name or word of a report that goes on record (RFC 1035, section 2.3.4, for a domain).
_LONGEST_WORD = 255

_LARGEST_COUNT = 1 << 53


class BadReport(Exception):
    """What was posted is no report: the message says why."""


def read_report(content: bytes, packed: bool) -> tuple[ReportReceived, ...]:
    """Return what a posted report says, one fact a policy domain. Raises `BadReport`.

    Tolerant of what real reporters leave out or add (RFC 7493 JSON is not demanded): it judges nothing.
    """
    text = _unpacked(content) if packed else content
    try:
        report = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadReport(f"not JSON: {type(error).__name__}") from error
    entries = report.get("policies") if isinstance(report, dict) else None
    if not isinstance(entries, list):
        raise BadReport("no list of policies")
    by_domain: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if isinstance(entry, dict):
            domain = _word(_inner(entry, "policy").get("policy-domain")).rstrip(".").lower()
            by_domain.setdefault(domain, []).append(entry)
    return tuple(_fact(domain, entries) for domain, entries in by_domain.items())


def _unpacked(content: bytes) -> bytes:
    bound = min(_LARGEST_REPORT, _HIGHEST_RATIO * len(content))
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(content, bound + 1)
    except zlib.error as error:
        raise BadReport(f"not gzip: {error}") from error
    if len(text) > bound:
        raise BadReport(f"unpacks to more than {bound} octets")
    if not unpacker.eof:
        raise BadReport("gzip data cut short")
    return text


def _fact(domain: str, entries: list[dict[str, Any]]) -> ReportReceived:
    summaries = [_inner(entry, "summary") for entry in entries]
    return ReportReceived(
        transport="https",
        policy_domain=domain,
        policy_types=_unique(_inner(entry, "policy").get("policy-type") for entry in entries),
        result_types=_unique(detail.get("result-type") for entry in entries for detail in _details(entry)),
        successful_sessions=sum(_count(summary.get("total-successful-session-count")) for summary in summaries),
        failed_sessions=sum(_count(summary.get("total-failure-session-count")) for summary in summaries),
    )


def _details(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    details = entry.get("failure-details")
    return (detail for detail in details if isinstance(detail, dict)) if isinstance(details, list) else iter(())


def _inner(entry: dict[str, Any], key: str) -> dict[str, Any]:
    found = entry.get(key)
    return found if isinstance(found, dict) else {}


def _word(value: object) -> str:
    return value[:_LONGEST_WORD] if isinstance(value, str) else ""


def _unique(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in map(_word, values) if word))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT else 0


class ReportServer(HttpsHost):
    """The report host of a run. `case_of` tells which case a policy domain belongs to."""

    def __init__(self, ground: Ground, name: str, address: str, case_of: Callable[[str], str]) -> None:
        super().__init__(ground, "", "report-host", name, address, PORT)
        self._case_of = case_of

    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        if request.content_type not in ("application/tlsrpt+gzip", "application/tlsrpt+json"):
            return web.Response(status=415)
        content = await request.read()  # aiohttp refuses what is larger than 1 MiB with 413
        try:
            facts = read_report(content, packed=request.content_type.endswith("+gzip"))
        except BadReport as error:
            return web.Response(status=400, text=f"{error}\n")
        for fact in facts:
            self._ground.recorder.write(fact, self._case_of(fact.policy_domain))
        return web.Response(status=201)
