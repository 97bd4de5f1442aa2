"""The reference sender as a target in this process: no Docker, no privileges, same event loop."""

from __future__ import annotations

import platform
import ssl
from collections.abc import Callable
from pathlib import Path

from mta_sts_lab import __version__
from mta_sts_lab.model.target import CAPABILITIES, DNSSEC, About
from mta_sts_lab.reference.flaws import FLAWS, NO_FLAWS, Flaws
from mta_sts_lab.reference.sender import NotRunning, ReferenceSender
from mta_sts_lab.reference.settings import IN_PROCESS, Settings
from mta_sts_lab.targets.contract import Held, TargetError
from mta_sts_lab.targets.injection import Inject, Injector, SmtpSession
from mta_sts_lab.world.network import Network

SIGNALS = ("TERM", "KILL")


def about_sender(sender: ReferenceSender) -> About:
    """Return what a reference sender says of itself; its flaws are part of its name unless it was given another one.

    Raises `OSError` when it cannot keep the key that its report mail is signed with.
    """
    flaws = sender.flaws
    had = [name for name in FLAWS if getattr(flaws, name)]
    return About(
        name=sender.settings.name or "reference" + (f" ({', '.join(had)})" if had else ""),
        versions={"mta-sts-lab": __version__, "python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION},
        capabilities=tuple(one for one in CAPABILITIES if one != DNSSEC or sender.trust_anchor),
        # A flush makes the same attempt as the schedule does: there is nothing to wait for.
        retry_seconds=0.0,
        policy_cache="volatile" if flaws.forgets_cache_at_restart else "persistent",
        dkim_records=sender.signer.records(),
        report_channels=sender.settings.report_channels,
    )


class InProcessTarget:
    """A `Target` over a `ReferenceSender`. Call `start` first.

    `on_error` is told of bugs in the sender: `Recorder.lab_failed` fits.
    """

    def __init__(
        self,
        *,
        network: Network,
        dns: str,
        ca_pem: str,
        directory: Path,
        trust_anchor: str = "",
        flaws: Flaws = NO_FLAWS,
        settings: Settings = IN_PROCESS,
        on_error: Callable[[str, BaseException], None] = lambda where, error: None,
    ) -> None:
        self.sender = ReferenceSender(
            network=network,
            dns=dns,
            ca_pem=ca_pem,
            directory=directory,
            trust_anchor=trust_anchor,
            flaws=flaws,
            settings=settings,
            on_error=on_error,
        )
        self._injector = Injector("the reference sender", self._open_session)

    async def start(self) -> None:
        """Start the sender. Raises `TargetError`."""
        try:
            await self.sender.start()
        except OSError as error:
            raise TargetError(f"the reference sender cannot start: {error}") from error

    async def about(self) -> About:
        """See `Target`."""
        try:
            return about_sender(self.sender)
        except OSError as error:
            raise TargetError(f"the reference sender cannot make its DKIM key: {error}") from error

    async def greet(self) -> None:
        """See that the sender takes mail, without sending any. Raises `TargetError`."""
        await self._injector.greet()

    async def open_session(self) -> SmtpSession:
        """Open an SMTP session as for an injection, and leave it to the caller. Raises `TargetError`."""
        return await self._injector.open()

    async def _open_session(self) -> SmtpSession:
        host, port = self.sender.address
        return await SmtpSession.open(host, Inject(port=port, starttls=True))

    async def inject(self, sender: str, recipient: str, message: bytes, options: tuple[str, ...] = ()) -> str:
        """See `Target`."""
        return await self._injector.inject(sender, recipient, message, options)

    async def queue(self) -> tuple[Held, ...]:
        """See `Target`."""
        try:
            entries = self.sender.queue()
        except NotRunning as error:
            raise TargetError(str(error)) from error
        return tuple(
            Held(one.recipient, one.sender, "active" if one.active else "deferred", one.reason) for one in entries
        )

    async def flush(self) -> None:
        """See `Target`."""
        try:
            self.sender.flush()
        except NotRunning as error:
            raise TargetError(str(error)) from error

    async def restart(self, signal: str) -> None:
        """See `Target`."""
        if signal not in SIGNALS:
            raise TargetError(f"unknown signal {signal!r}; there are {' and '.join(SIGNALS)}")
        try:
            await self.sender.restart(gently=signal == "TERM")
        except OSError as error:
            raise TargetError(f"the reference sender cannot start again: {error}") from error

    async def advance(self, seconds: int) -> None:
        """See `Target`."""
        try:
            self.sender.clock.advance(seconds)
        except ValueError as error:
            raise TargetError(str(error)) from error

    async def reports(self) -> None:
        """See `Target`."""
        try:
            await self.sender.send_reports()
        except NotRunning as error:
            raise TargetError(str(error)) from error

    async def logs(self) -> str:
        """See `Target`."""
        return self.sender.logs()

    def ended(self) -> str:
        """See `Target`. It is this process, and does not end before the run."""
        return ""

    async def close(self) -> None:
        """See `Target`."""
        await self._injector.close()
        await self.sender.stop(gently=False)
