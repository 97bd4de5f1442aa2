"""Sends TLS-RPT reports, and sends them again for a day if nobody takes them (RFC 8460, sections 4.1, 5.3 to 5.5)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import aiohttp
import msgspec
from yarl import URL

from mta_sts_lab.reference.delivery import Delivery
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report import Report, build_report, contact, emptied, renewed
from mta_sts_lab.reference.report_counts import CountedDay, ReportCounts
from mta_sts_lab.reference.report_mail import ReportSigner, build_report_mail
from mta_sts_lab.reference.report_record import Mailbox, ReportAddress, ReportRecords, WebPlace
from mta_sts_lab.reference.resolver import LookupFailure
from mta_sts_lab.reference.result import Deferred, Delivered, Failed
from mta_sts_lab.reference.retry_scheduler import RetryScheduler, VirtualClock
from mta_sts_lab.reference.settings import DAY, Settings
from mta_sts_lab.reference.smtp_client import Envelope
from mta_sts_lab.reference.store import JsonFolder


class PendingReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report with the history of its attempts. Times are virtual seconds since 1970."""

    report: Report
    begun_at: float
    next_try: float
    attempts: int = 0

    @property
    def file_name(self) -> str:
        """What it is kept under."""
        return self.report.id.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one attempt. `never` tells that another one is of no use; `what` is a line for the log."""

    taken: bool
    what: str
    never: bool = False


@dataclass(eq=False, repr=False)
class ReportSender:
    """Carries reports. `hostname` is the sender's own name."""

    session: aiohttp.ClientSession
    delivery: Delivery
    signer: ReportSigner
    clock: VirtualClock
    hostname: str
    flaws: Flaws

    async def bring(self, report: Report, to: ReportAddress) -> Receipt:
        """Make one attempt. Whatever goes wrong is in the receipt."""
        match to:
            case WebPlace(uri):
                return await self._post(report, uri)
            case Mailbox(address):
                return await self._mail(report, address)

    async def _post(self, report: Report, uri: str) -> Receipt:
        """POST; any status but 2xx is a failure that may pass (RFC 8460, section 5.4 leaves it to local policy)."""
        media_type = "application/gzip" if self.flaws.posts_wrong_media_type else "application/tlsrpt+gzip"
        content = report.text if self.flaws.posts_plain_as_gzip else report.packed
        if self.flaws.sends_reports_unpacked:
            media_type, content = "application/tlsrpt+json", report.text
        if self.flaws.posts_to_another_path:
            uri += "/report"
        try:
            async with self.session.post(
                URL(uri, encoded=True), data=content, headers={"Content-Type": media_type}, allow_redirects=False
            ) as response:
                return Receipt(200 <= response.status < 300, f"HTTP status {response.status}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Receipt(self.flaws.takes_broken_posts_as_delivered, f"{error or type(error).__name__}")

    async def _mail(self, report: Report, address: str) -> Receipt:
        if self.flaws.mails_to_postmaster:
            address = f"postmaster@{address.rpartition('@')[2]}"
        try:
            mail = build_report_mail(report, address, self.hostname, self.clock.now(), self.flaws)
            signed = self.signer.signed(mail)
        except OSError as error:
            return Receipt(False, f"the mail cannot be signed: {error}")
        match await self.delivery.deliver_report(Envelope(contact(report.submitter), address, signed)):
            case Delivered(detail):
                return Receipt(True, f"delivered to {detail}")
            case Deferred(reason):
                return Receipt(False, reason)
            case Failed(reason):
                return Receipt(False, reason, never=True)


#: Virtual seconds by which the last attempt may come late: the clock's timer never fires early.
_LATE = 60.0


@dataclass(eq=False, repr=False)
class Reporter:
    """Makes reports of what was counted and brings them to their addresses. Call `start` first."""

    counts: ReportCounts
    spool: JsonFolder[PendingReport]
    records: ReportRecords
    report_sender: ReportSender
    clock: VirtualClock
    settings: Settings
    flaws: Flaws
    log: Callable[[str], None]
    on_error: Callable[[str, BaseException], None]
    _pending: dict[str, PendingReport] = field(default_factory=dict, init=False)
    _counted: dict[str, CountedDay] = field(default_factory=dict, init=False)
    #: Only for the flaw that reports one day alone: the domains that had a report.
    _reported: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._scheduler = RetryScheduler(
            "reference sender reports",
            lambda: {key: pending.next_try for key, pending in self._pending.items()},
            self._attempt,
            self.clock,
            at_once=self.settings.parallel_reports,
        )

    def start(self) -> None:
        """Read what is kept and begin."""
        if not self.flaws.forgets_counts_at_restart:
            self.counts.load()
        if self.flaws.forgets_ended_days_at_restart:
            self.counts.forget_ended_days()
        self._pending = {pending.report.id: pending for pending in self.spool.load()}
        self._scheduler.start()

    async def stop(self) -> None:
        """End: what is under way breaks off and is on disk."""
        await self._scheduler.stop()

    def flush(self) -> None:
        """Make every report that waits for another attempt due now."""
        now = self.clock.now()
        self._pending = {
            report_id: msgspec.structs.replace(pending, next_try=now) for report_id, pending in self._pending.items()
        }
        self._scheduler.look()

    async def send_all(self) -> int:
        """Send everything as if the UTC day had ended, one report for each domain and day; return how many were taken.

        Nothing hurries a report that was refused: it gets another attempt when that is due. When this returns, each
        report was taken, given up, or waits for its next attempt. What is counted later on the same day makes a report
        of its own.
        """
        for day in self.counts.take():
            self._report_on(day)
        return await self._scheduler.finish_what_is_due()

    def _report_on(self, day: CountedDay) -> None:
        """Turn a day's counters into a report. They stay on disk until the report's own first attempt is over."""
        if self.flaws.sends_no_reports or (self.flaws.reports_one_day_alone and day.domain in self._reported):
            self.counts.forget(day)
            return
        self._reported.add(day.domain)
        now = self.clock.now()
        if self.flaws.dates_report_by_sending:
            day = replace(day, begins=int(now // DAY * DAY))
        report = build_report(day, self.settings.sender_domain, self.flaws)
        self._counted[report.id] = day
        self._pending[report.id] = PendingReport(report, now, now)
        if self.flaws.reports_twice:
            again = build_report(replace(day, id=f"{day.id}2"), self.settings.sender_domain, self.flaws)
            self._pending[again.id] = PendingReport(again, now, now)
        self._scheduler.look()

    async def _attempt(self, key: str) -> bool:
        """Make one attempt at all addresses; return whether one of them took the report."""
        pending = self._pending[key]
        try:
            receipt = await self._bring(pending)
            if (receipt.taken and not self.flaws.sends_again_what_was_taken) or receipt.never:
                self._drop(pending)
            else:
                self._keep(pending)
            self.log(f"report for {pending.report.domain}: {receipt.what}")
            if (day := self._counted.pop(key, None)) is not None:
                self.counts.forget(day)
        except Exception as error:  # noqa: BLE001 - reported; it must not stop the other reports
            self.on_error("reference sender: report", error)
            self._drop(pending)
            return False
        return receipt.taken

    async def _bring(self, pending: PendingReport) -> Receipt:
        """Bring a report to all addresses that the domain names now. It is delivered when one of them has taken it."""
        if self.clock.now() > pending.begun_at + DAY + _LATE and not self.flaws.never_gives_up_reports:
            return Receipt(False, "given up after a day", never=True)
        addresses = await self.records.addresses(pending.report.domain)
        if isinstance(addresses, LookupFailure):
            return Receipt(False, addresses.reason)
        addresses = tuple(one for one in addresses if one.channel in self.settings.report_channels)
        if not addresses:
            return Receipt(False, "the domain asks for none, or not over a channel that is in use", never=True)
        if self.flaws.takes_sent_as_delivered:
            first = await self._to(pending, addresses[0])
            return Receipt(True, first.what)
        further = pending
        if self.flaws.empties_further_copies:
            further = msgspec.structs.replace(pending, report=emptied(pending.report))
        copies = [pending, *(further for _ in addresses[1:])]
        receipts = await asyncio.gather(*map(self._to, copies, addresses))
        said = "; ".join(receipt.what for receipt in receipts)
        never = all(receipt.never for receipt in receipts) or self.flaws.never_retries_reports
        return Receipt(any(receipt.taken for receipt in receipts), said, never)

    async def _to(self, pending: PendingReport, address: ReportAddress) -> Receipt:
        again = self.flaws.renews_report_id and pending.attempts > 0
        receipt = await self.report_sender.bring(renewed(pending.report) if again else pending.report, address)
        return Receipt(receipt.taken, f"to {str(address)[:200]}: {receipt.what}", receipt.never)

    def _keep(self, pending: PendingReport) -> None:
        """Plan the next attempt: after twice the last pause, and once more when the day is over."""
        now, last = self.clock.now(), pending.begun_at + DAY
        if self.flaws.never_gives_up_reports:
            last = math.inf
        if now >= last:
            self._drop(pending)
            return
        even = self.flaws.retries_reports_at_even_pauses
        pause = self.settings.retry_seconds * (1 if even else 2 ** min(pending.attempts, 16))
        kept = msgspec.structs.replace(pending, attempts=pending.attempts + 1, next_try=min(now + pause, last))
        self._pending[kept.report.id] = kept
        self.spool.keep(kept.file_name, kept)

    def _drop(self, pending: PendingReport) -> None:
        self._pending.pop(pending.report.id, None)
        self.spool.remove(pending.file_name)
