"""Brings one report to one address, once: by HTTPS POST (RFC 8460, section 5.4) or by mail (section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from yarl import URL

from mta_sts_lab.reference.clock import VirtualClock
from mta_sts_lab.reference.delivery import Deferred, Delivered, Delivery, Failed
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.report import Report, contact
from mta_sts_lab.reference.report_mail import build_report_mail
from mta_sts_lab.reference.report_record import Mailbox, ReportAddress, WebPlace
from mta_sts_lab.reference.report_signature import ReportSigner
from mta_sts_lab.reference.smtp_client import Envelope


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one attempt. `never` tells that another one is of no use; `what` is a line for the log."""

    taken: bool
    what: str
    never: bool = False


class ReportSender:
    """Carries reports. `hostname` is the sender's own name."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        delivery: Delivery,
        signer: ReportSigner,
        clock: VirtualClock,
        hostname: str,
        flaws: Flaws,
    ) -> None:
        self._session = session
        self._delivery = delivery
        self._signer = signer
        self._clock = clock
        self._hostname = hostname
        self._flaws = flaws

    async def bring(self, report: Report, to: ReportAddress) -> Receipt:
        """Make one attempt. Whatever goes wrong is in the receipt."""
        match to:
            case WebPlace(uri):
                return await self._post(report, uri)
            case Mailbox(address):
                return await self._mail(report, address)

    async def _post(self, report: Report, uri: str) -> Receipt:
        """POST; any status but 2xx is a failure that may pass (RFC 8460, section 5.4 leaves it to local policy)."""
        media_type = "application/gzip" if self._flaws.posts_wrong_media_type else "application/tlsrpt+gzip"
        content = report.text if self._flaws.posts_plain_as_gzip else report.packed
        try:
            async with self._session.post(
                URL(uri, encoded=True), data=content, headers={"Content-Type": media_type}, allow_redirects=False
            ) as response:
                return Receipt(200 <= response.status < 300, f"HTTP status {response.status}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Receipt(False, f"{error or type(error).__name__}")

    async def _mail(self, report: Report, address: str) -> Receipt:
        try:
            mail = build_report_mail(report, address, self._hostname, self._clock.now(), self._flaws)
            signed = self._signer.signed(mail)
        except OSError as error:
            return Receipt(False, f"the mail cannot be signed: {error}")
        match await self._delivery.deliver_report(Envelope(contact(report.submitter), address, signed)):
            case Delivered(detail):
                return Receipt(True, f"delivered to {detail}")
            case Deferred(reason):
                return Receipt(False, reason)
            case Failed(reason):
                return Receipt(False, reason, never=True)
