"""Where TLS-RPT reports arrive: an HTTPS endpoint and a mail host (RFC 8460, sections 5.3 and 5.4).

What arrives is kept as it is, and judged later by somebody who has nothing to do with its arrival. It is hostile input:
its size and its number are bounded here; whoever reads it bounds compression and nesting (RFC 8460, section 7).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from mta_sts_lab.events import DeadlinePassed, ReportReceived
from mta_sts_lab.model.world import Reports
from mta_sts_lab.record import Recorder
from mta_sts_lab.rfc.published import REPORT_HOST, posted_name
from mta_sts_lab.timeouts import REPORT_BODY, STALL
from mta_sts_lab.world.host import HTTPS_PORT, HostServices, HttpsHost
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.receiving_session import Delivery

#: Octets of one report that are kept. One for 84 domains had 60 KiB of JSON before it was packed; RFC 8460 names no
#: bound. As much as aiohttp reads of a request at all.
LARGEST_REPORT = 1 << 20

#: Octets of all the reports of one case that are kept, and of all that belong to none. An honest case has five.
MOST_KEPT = 4 << 20

#: Reports of one case that go on record at all.
MOST_REPORTS = 200


#: What a report is answered behind one that was answered nothing.
_UNAVAILABLE = 503


@dataclass(slots=True)
class ReportInbox:
    """Puts what arrives on record, up to the bounds, and knows how each case wants it to be answered.

    `case_of` tells which case a domain name belongs to.
    """

    recorder: Recorder
    case_of: Callable[[str], str]
    _settings: dict[str, Reports] = field(default_factory=dict)
    _kept: Counter[str] = field(default_factory=Counter)
    _number: Counter[str] = field(default_factory=Counter)
    _stalled: dict[str, list[asyncio.Event]] = field(default_factory=dict)

    def arrange(self, case: str, settings: Reports) -> None:
        """Answer a case's reports as these settings say from now on. Whoever was kept waiting is let go."""
        self._settings[case] = settings
        for waiting in self._stalled.pop(case, []):
            waiting.set()

    def settings_of(self, case: str) -> Reports:
        """Return how a case's reports are answered."""
        return self._settings.get(case, Reports())

    def status_for(self, case: str) -> int:
        """Return what a report of a case is answered; 0: nothing.

        Only the first one of a step is kept waiting. Postfix's reporter brings it again at every call for reports, in a
        row with all others, and each time would cost the run the whole of its timeouts.
        """
        status = self.settings_of(case).status
        return _UNAVAILABLE if status == 0 and case in self._stalled else status

    async def stall(self, case: str) -> None:
        """Wait until the case moves on, or the longest that the lab holds a connection open."""
        released = asyncio.Event()
        self._stalled.setdefault(case, []).append(released)
        try:
            async with asyncio.timeout(STALL.seconds):
                await released.wait()
        except TimeoutError:
            return

    def take(self, fact: ReportReceived, case: str) -> None:
        """Put a report on record; what is too much of it is left out, and counted."""
        self._number[case] += 1
        if self._number[case] > MOST_REPORTS:
            return
        room = min(LARGEST_REPORT, MOST_KEPT - self._kept[case])
        kept = fact.octets if len(fact.octets) <= room else b""
        self._kept[case] += len(kept)
        bounded = msgspec.structs.replace(
            fact,
            place=fact.place[:_LONGEST_PLACE],
            octets=kept,
            method=fact.method[:_LONGEST_WORD],
            media_type=fact.media_type[:_LONGEST_PLACE],
        )
        self.recorder.write(bounded, case)

    def take_mail(self, delivery: Delivery, accepted: Accepted, status: int) -> None:
        """Put a report that came by mail on record, once for each of its mailboxes."""
        for recipient in delivery.recipients:
            fact = ReportReceived(
                session=accepted.session,
                transport="mail",
                place=recipient,
                octets=delivery.content,
                size=len(delivery.content),
                status=status,
                mail_from=delivery.mail_from,
                secured=delivery.secured,
            )
            self.take(fact, self.case_of(recipient.rpartition("@")[2]))


#: What a report that followed a redirect is answered.
_TAKEN = 201

#: The port at the end of a Host field; an address in brackets has colons of its own.
_PORT = re.compile(r":\d*\Z")

#: What any reader of JSON takes (RFC 7493, section 2.2): a client may announce as much as it likes.
_LARGEST_NUMBER = 2**53 - 1

#: Characters of a URI or of a header field that go on record.
_LONGEST_PLACE = 2000

_LONGEST_WORD = 20


class ReportServer(HttpsHost):
    """The report host of a run: all cases share it, and tell their reports apart by the path."""

    def __init__(self, services: HostServices, name: str, addresses: Sequence[str], inbox: ReportInbox) -> None:
        super().__init__(services, "", "report-host", name, addresses, HTTPS_PORT)
        self._inbox = inbox

    def _choose_credentials(self, sni: str) -> Credentials | None:
        """A case whose report host shows a bad certificate has a name of its own for it below the common one."""
        if sni == self.name:
            return self._services.certificates.authority.credentials("valid", self.name)
        case = self._inbox.case_of(sni) if sni.endswith(f".{self.name}") else ""
        if not case:
            return None
        return self._services.certificates.authority.credentials(self._inbox.settings_of(case).certificate, sni)

    async def _answer(self, request: web.BaseRequest, accepted: Accepted, sni: str) -> web.StreamResponse:
        host = _PORT.sub("", request.headers.get("Host", ""))
        case = self._inbox.case_of(posted_name(host, request.path))
        settings = self._inbox.settings_of(case)
        moved = bool(settings.location) and request.path.endswith(settings.location)
        status = (_TAKEN if moved else self._inbox.status_for(case)) if request.method == "POST" else 405
        content = b""
        try:
            async with asyncio.timeout(REPORT_BODY.seconds):
                content = await request.read()
            size = len(content)
        except TimeoutError:
            return self._give_up(request, accepted, case)
        except web.HTTPRequestEntityTooLarge as error:
            # aiohttp reads no further than 1 MiB: how much there was to come, the client alone knows.
            announced = int(request.headers.get("Content-Length") or 0)
            size, status = min(max(announced, LARGEST_REPORT + 1), _LARGEST_NUMBER), error.status
        fact = ReportReceived(
            session=accepted.session,
            transport="https",
            place=f"https://{host}{request.rel_url.raw_path_qs}",
            octets=content,
            size=size,
            status=status,
            method=request.method,
            media_type=request.headers.get("Content-Type", ""),
        )
        if accepted.session:  # a report of the lab's own is none of a sender's
            self._inbox.take(fact, case)
        if status == 0:
            await self._inbox.stall(case)
            return web.Response(status=_UNAVAILABLE)
        if settings.location and 300 <= status < 400:
            return web.Response(status=status, headers={"Location": f"{request.rel_url.raw_path}{settings.location}"})
        return web.Response(status=status, headers={"Allow": "POST"} if status == 405 else None)

    def _give_up(self, request: web.BaseRequest, accepted: Accepted, case: str) -> web.StreamResponse:
        """Hang up on a client that began a report and did not end it."""
        waited_for = f"the rest of a report in session {accepted.session}"
        fact = DeadlinePassed(deadline=REPORT_BODY.name, seconds=REPORT_BODY.seconds, waited_for=waited_for)
        accepted.recorder.write(fact, case)
        # An answer would have aiohttp wait for the rest once more.
        request.protocol.force_close()
        return web.Response(status=408)


class ReportMx(MxServer):
    """The mail host of the mailboxes for reports at the lab."""

    def __init__(self, services: HostServices, name: str, addresses: Sequence[str], inbox: ReportInbox) -> None:
        super().__init__(services, "", "report-mx", name, addresses, domain=REPORT_HOST)
        self._inbox = inbox

    def accept(self, delivery: Delivery, accepted: Accepted, via: str) -> str:
        """Take a report, or refuse it as the case wants it."""
        case = self._inbox.case_of(delivery.recipients[0].rpartition("@")[2]) if delivery.recipients else ""
        status = self._inbox.settings_of(case).mail_reply
        self._inbox.take_mail(delivery, accepted, status)
        if status == 250:
            return super().accept(delivery, accepted, via)
        return f"{status} {status // 100}.7.0 The lab does not take this report"
