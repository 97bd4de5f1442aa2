"""The reference sender: its parts, wired together, with a life that can end and begin again on the same directory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp

from mta_sts_lab.reference.address_delivery import AddressDelivery
from mta_sts_lab.reference.dane_delivery import Dane
from mta_sts_lab.reference.delivery import Delivery
from mta_sts_lab.reference.discovery import Discovery, PolicyCache
from mta_sts_lab.reference.dnssec import Validator
from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.https_client import PolicyFetcher, checked_request, open_session
from mta_sts_lab.reference.own_certificate import server_context
from mta_sts_lab.reference.queue import Entry, Queue, Spool
from mta_sts_lab.reference.report_counts import ReportCounts
from mta_sts_lab.reference.report_mail import ReportSigner
from mta_sts_lab.reference.report_record import ReportRecords
from mta_sts_lab.reference.reporter import PendingReport, Reporter, ReportSender
from mta_sts_lab.reference.resolver import Resolver
from mta_sts_lab.reference.retry_scheduler import VirtualClock
from mta_sts_lab.reference.revocation import RevocationChecker
from mta_sts_lab.reference.routing import alias_target
from mta_sts_lab.reference.session import Sessions
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.smtp_server import SmtpServer
from mta_sts_lab.reference.store import JsonFolder
from mta_sts_lab.reference.tls import TlsContexts
from mta_sts_lab.world.network import Network

#: Lines of log that are kept in memory.
LONGEST_LOG = 20_000

#: Seconds by which the days of the flaw that counts in local time are ahead of UTC. Summer in Berlin.
_LOCAL_TIME = 7200


class NotRunning(Exception):
    """The sender was asked for something while it is not running."""


@dataclass(slots=True)
class _Life:
    """Everything that ends with a restart."""

    queue: Queue
    sessions: Sessions
    reporter: Reporter
    server: SmtpServer
    https: tuple[aiohttp.ClientSession, ...]


@dataclass(eq=False, repr=False, kw_only=True)
class ReferenceSender:
    """A sending mail server. What it must not lose is in `directory`; the clock is the machine's and outlives restarts.

    `dns` is the virtual address of the name server, `ca_pem` what it trusts. Mail is taken at `listen`. `on_error`
    is called with exceptions in the sender itself, which are bugs and no verdict on anything.
    """

    network: Network
    dns: str
    ca_pem: str
    directory: Path
    #: What it validates signed answers with, as a line of a zone file; without it the name server's word counts.
    trust_anchor: str = ""
    flaws: Flaws = NO_FLAWS
    settings: Settings = field(default_factory=Settings)
    listen: tuple[str, int] = ("127.0.0.1", 0)
    on_error: Callable[[str, BaseException], None] = lambda where, error: None
    _life: _Life | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        #: Signs report mail.
        self.signer = ReportSigner(
            self.settings.sender_domain,
            self.settings.dkim_selector,
            self.directory / "dkim-key.pem",
            self.settings.dkim_key,
            self.flaws,
        )
        #: Where mail is taken, once started.
        self.address: tuple[str, int] = self.listen
        self._own_context = server_context(self.settings.hostname, self.directory / "smtp.pem")
        self._contexts = TlsContexts(self.ca_pem, self.flaws)
        self._log_lines: deque[str] = deque(maxlen=LONGEST_LOG)

    async def start(self) -> None:
        """Begin, with what the directory holds. Raises `OSError` when the port or the directory cannot be used."""
        self._life = life = self._begin()
        life.queue.start()
        life.reporter.start()
        try:
            port = await life.server.start(*self.listen)
        except OSError:
            await self.stop(gently=False)
            raise
        self.address = (self.listen[0], port)
        self.log("started")

    async def stop(self, *, gently: bool = True) -> None:
        """End. Not gently: everything breaks off where it is, as when the process is killed."""
        life, self._life = self._life, None
        if life is None:
            return
        await life.server.stop()
        await life.queue.stop(gently=gently)
        await life.reporter.stop()
        await life.sessions.stop()
        for session in life.https:
            await session.close()
        self.log("stopped" if gently else "killed")

    async def restart(self, *, gently: bool) -> None:
        """End and begin again: what was only in memory is gone."""
        await self.stop(gently=gently)
        await self.start()

    def queue(self) -> list[Entry]:
        """Return what is held. Raises `NotRunning`."""
        return self._living().queue.view()

    def flush(self) -> None:
        """Try everything now, reports too. Raises `NotRunning`."""
        self._living().queue.flush()
        self._living().reporter.flush()

    async def send_reports(self) -> int:
        """Send all TLS-RPT reports as if the UTC day had ended, return how many were taken. Raises `NotRunning`."""
        return await self._living().reporter.send_all()

    def log(self, line: str) -> None:
        """Append a line to the log, under the virtual time."""
        now = datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="milliseconds")
        self._log_lines.append(f"{now} {line}")

    def _failed(self, where: str, error: BaseException) -> None:
        self.log(f"{where}: internal error: {type(error).__name__}: {error}")
        self.on_error(where, error)

    def logs(self) -> str:
        """Return the log."""
        return "".join(f"{line}\n" for line in self._log_lines)

    def _living(self) -> _Life:
        if self._life is None:
            raise NotRunning("the reference sender is not running")
        return self._life

    def _begin(self) -> _Life:
        settings, network, flaws = self.settings, self.network, self.flaws
        resolver = Resolver(
            network,
            self.dns,
            settings.lookup_seconds,
            settings.families,
            needs_every_family=flaws.needs_addresses_of_every_family,
            trusts_every_answer=flaws.trusts_every_answer,
            asks_for_unchecked_addresses=flaws.asks_for_unchecked_addresses,
            asks_for_tlsa_unaware=flaws.asks_for_tlsa_unaware_of_dnssec,
        )
        if self.trust_anchor:
            resolver.validator = Validator(self.trust_anchor, resolver.for_validation, flaws)
        cache = PolicyCache(self.directory / "policies", self.log)
        if not flaws.forgets_cache_at_restart:
            cache.load()
        listing = open_session(resolver, network, self._contexts.verifying(), settings.fetch_seconds)
        revocation = RevocationChecker(listing, self.ca_pem, settings.revocation, flaws)
        checked = checked_request(revocation.problem, flaws)
        fetching = open_session(resolver, network, self._contexts.https, settings.fetch_seconds, checked)
        reporting = open_session(resolver, network, self._contexts.verifying(), settings.report_seconds)
        discovery = Discovery(
            resolver,
            PolicyFetcher(fetching, flaws, partial(alias_target, resolver)),
            cache,
            self.clock,
            flaws,
            self.log,
        )
        zone_seconds = _LOCAL_TIME if flaws.counts_days_in_local_time else 0
        counts = ReportCounts(self.directory / "report-counts", self.clock.now, self.log, zone_seconds=zone_seconds)
        records = ReportRecords(resolver, flaws)
        sessions = Sessions(settings, network, self._contexts, flaws, revocation)
        dane = Dane(resolver, flaws)
        at_addresses = AddressDelivery(sessions, dane, flaws, self.log)
        delivery = Delivery(resolver, discovery, sessions, counts, records, dane, at_addresses, flaws)
        spool = Spool(self.directory / "spool", self.log)
        queue = Queue(spool, delivery.deliver, self.clock, settings, flaws, self.log, self._failed)
        report_sender = ReportSender(reporting, delivery, self.signer, self.clock, settings.hostname, flaws)
        kept = JsonFolder(self.directory / "reports", PendingReport, "reports", self.log)
        reporter = Reporter(counts, kept, records, report_sender, self.clock, settings, flaws, self.log, self._failed)
        server = SmtpServer(settings.hostname, queue.take, self._own_context, flaws)
        return _Life(queue, sessions, reporter, server, (listing, fetching, reporting))
