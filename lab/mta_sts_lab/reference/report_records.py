"""Asks DNS whether and where a domain wants reports (RFC 8460, section 3)."""

from __future__ import annotations

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report_record import VERSION_PREFIX, Mailbox, ReportAddress, report_addresses
from mta_sts_lab.reference.resolver import Found, LookupFailure, Resolver


class ReportRecords:
    """The TLS-RPT records of domains, asked for each time: a domain may have changed its mind."""

    def __init__(self, resolver: Resolver, flaws: Flaws) -> None:
        self._resolver = resolver
        self._flaws = flaws
        self._remembered: dict[str, tuple[ReportAddress, ...]] = {}

    async def addresses(self, domain: str) -> tuple[ReportAddress, ...] | LookupFailure:
        """Return where a domain wants its reports: nowhere, if it does not ask for any."""
        strings_apart = self._flaws.joins_record_strings_with_spaces
        name = await self._first_mx(domain) if self._flaws.asks_for_reports_at_the_mx else domain
        answer = await self._resolver.txt(
            f"_smtp._tls.{name}",
            joint=b" " if strings_apart else b"",
            follow=not self._flaws.stops_at_aliases_of_report_records,
        )
        if isinstance(answer, LookupFailure):
            return answer
        records = answer.values if isinstance(answer, Found) else ()
        found = report_addresses(records, self._flaws)
        if not found and self._flaws.guesses_report_address and any(map(_is_tlsrpt, records)):
            return (Mailbox(f"tls-reports@{domain}"),)
        return found or self._remembered.get(domain, ())

    async def _first_mx(self, domain: str) -> str:
        """Flaw: the name under which the wish is looked for."""
        answer = await self._resolver.mx(domain)
        return min(answer.values, key=lambda mx: mx.preference).host if isinstance(answer, Found) else domain

    async def mail_goes_to(self, domain: str) -> None:
        """Flaw: remember what a domain wants while mail goes there, and stick to it when the record is gone."""
        if self._flaws.reports_without_record:
            found = await self.addresses(domain)
            if not isinstance(found, LookupFailure) and found:
                self._remembered[domain] = found


def _is_tlsrpt(record: bytes) -> bool:
    return record.startswith(VERSION_PREFIX)
