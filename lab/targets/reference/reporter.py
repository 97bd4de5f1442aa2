"""Sends TLS-RPT reports by HTTPS POST (RFC 8460, section 5.4). Report mail is not part of this sender."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from lab.targets.reference.clock import VirtualClock
from lab.targets.reference.https_client import is_named_https
from lab.targets.reference.report import build_report, report_addresses
from lab.targets.reference.report_counts import AppliedPolicy, PolicyCounts, ReportCounts
from lab.targets.reference.resolver import Found, LookupFailure, Resolver

#: Reports that are sent at one time.
PARALLEL = 10


class Reporter:
    """Sends what was counted."""

    def __init__(
        self,
        resolver: Resolver,
        session: aiohttp.ClientSession,
        counts: ReportCounts,
        clock: VirtualClock,
        sender_domain: str,
        log: Callable[[str], None],
    ) -> None:
        self._resolver = resolver
        self._session = session
        self._counts = counts
        self._clock = clock
        self._sender_domain = sender_domain
        self._log = log

    async def send_all(self) -> int:
        """Send one report for each domain that asks for them; return how many were taken.

        The counters of a report that could not be delivered are kept for the next time; those of domains that ask for
        none are dropped.
        """
        slots = asyncio.Semaphore(PARALLEL)

        async def send(domain: str, counts: dict[AppliedPolicy, PolicyCounts]) -> bool:
            async with slots:
                return await self._send(domain, counts)

        taken = self._counts.take()
        return sum(await asyncio.gather(*(send(domain, counts) for domain, counts in taken.items())))

    async def _send(self, domain: str, counts: dict[AppliedPolicy, PolicyCounts]) -> bool:
        answer = await self._resolver.txt(f"_smtp._tls.{domain}")
        if isinstance(answer, LookupFailure):
            self._counts.put_back(domain, counts)
            return False
        addresses = report_addresses(answer.values) if isinstance(answer, Found) else ()
        usable = [uri for uri in addresses if uri.lower().startswith("https:")]
        if not usable:
            if addresses:
                self._log(f"report for {domain}: no https address among {', '.join(addresses)[:200]}")
            return False
        report = build_report(domain, counts, self._clock.now(), self._report_id(), self._sender_domain)
        for uri in usable:
            if await self._post(domain, uri, report):
                return True
        self._counts.put_back(domain, counts)
        return False

    async def _post(self, domain: str, uri: str, report: bytes) -> bool:
        headers: Mapping[str, str] = {"Content-Type": "application/tlsrpt+gzip"}
        try:
            url = URL(uri)
            if not is_named_https(url):
                self._log(f"report for {domain} to {uri[:200]}: not an https URI with a host name")
                return False
            async with self._session.post(url, data=report, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._log(f"report for {domain} to {uri[:200]}: {error or type(error).__name__}")
            return False
        self._log(f"report for {domain} to {uri[:200]}: HTTP status {status}")
        return 200 <= status < 300

    def _report_id(self) -> str:
        return f"{int(self._clock.now())}.{secrets.token_hex(8)}@{self._sender_domain}"
