"""One attempt to hand a message to one address, at a given level of protection."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from mta_sts_lab.reference.certificate_flaws import Met
from mta_sts_lab.reference.channel import HandshakeFailed, everything, nothing, unfinished
from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.odd_hellos import hello_that_resumes, hello_with_two_names, odd_hello
from mta_sts_lab.reference.revocation import RevocationChecker
from mta_sts_lab.reference.settings import Settings
from mta_sts_lab.reference.smtp_client import Envelope, Reply, SmtpBroken, SmtpClient, SmtpRefused, StarttlsRefused
from mta_sts_lab.reference.tls import (
    EXPIRED,
    SELF_SIGNED,
    WRONG_NAME,
    Problem,
    TlsContexts,
    covers,
    expired,
    self_signed,
)
from mta_sts_lab.world.network import Network, UnsafeAddress

#: The parameter of MAIL FROM that hands the demand for TLS on (RFC 8689, section 2).
REQUIRETLS = "REQUIRETLS"

#: Seconds for which a flaw keeps a session open. Postfix keeps one for 2 s.
_KEPT_OPEN = 1.0

#: Takes the certificates that a host shows and returns what is wrong with them.
ChainCheck = Callable[[list[bytes]], Problem | None]


class Unreachable(Exception):
    """The host could not be used just now, for reasons that have nothing to do with TLS.

    `secured` tells whether the session had its TLS by then: so far it was a good one, and reports count it.
    """

    def __init__(self, reason: str, *, secured: bool = False) -> None:
        super().__init__(reason)
        self.secured = secured


class Rejected(Exception):
    """The host refused the message. `permanent` tells 5xx from 4xx; `secured` as for `Unreachable`."""

    def __init__(self, reason: str, permanent: bool, *, secured: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.secured = secured


class Unprotected(Exception):
    """The session did not get the TLS that it needs. `result_type` is that of RFC 8460, section 4.3.

    `verify_code` is OpenSSL's where the certificate was the reason; `handshake` tells a failed handshake from a missing
    STARTTLS; `local_address` is the sender's end of the connection.
    """

    def __init__(self, result_type: str, reason: str, local_address: str, verify_code: int | None = None) -> None:
        super().__init__(f"{result_type}: {reason}")
        self.result_type = result_type
        self.reason = reason
        self.local_address = local_address
        self.verify_code = verify_code
        self.handshake = result_type != "starttls-not-supported"


class NotAnnounced(Exception):
    """The host does not announce REQUIRETLS inside TLS, and the message requires it (RFC 8689, section 4.2.1)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One address of one MX host of a domain. `address` is virtual; `target` is its name if `host` is an alias.

    `expanded` is the domain's name behind all aliases, if it is one.
    """

    host: str
    address: str
    domain: str = ""
    target: str = ""
    expanded: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A host took the message. `weakness` says why a session that wanted TLS went without."""

    reply: Reply
    tls: str
    weakness: Unprotected | None = None


@dataclass(eq=False, repr=False)
class Sessions:
    """Makes SMTP sessions. Every method may raise `Unreachable`, `Rejected` and `NotAnnounced`."""

    settings: Settings
    network: Network
    contexts: TlsContexts
    flaws: Flaws
    revocation: RevocationChecker
    _leaving: dict[asyncio.Task[None], SmtpClient] = field(default_factory=dict, init=False)
    #: Only for flaws that remember broken handshakes: the hosts that had one.
    _broken: set[str] = field(default_factory=set, init=False)
    #: Only for the flaw that uses sessions again: those that are open, by the address of their host.
    _open_sessions: dict[str, SmtpClient] = field(default_factory=dict, init=False)
    #: Only for the flaw that resumes sessions under another name: the addresses of hosts that were met before.
    _hosts_with_tickets: set[str] = field(default_factory=set, init=False)

    async def stop(self) -> None:
        """Break off the farewells that are still being said."""
        leaving = dict(self._leaving)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        for client in (*leaving.values(), *self._open_sessions.values()):
            await client.channel.close()  # a task that is cancelled before its first step has closed nothing

    async def verified(self, envelope: Envelope, to: Destination) -> Accepted:
        """Deliver inside TLS to a host with a valid certificate, or raise `Unprotected` before the envelope is said."""
        known = self._open_sessions.pop(to.address, None)
        if known is not None:
            try:
                return await self._hand_over(known, envelope)
            finally:
                self._leave(known)
        if self.flaws.resumes_under_another_name:
            if to.address in self._hosts_with_tickets:
                await self._try_hello(to, hello_that_resumes(to.domain))
            self._hosts_with_tickets.add(to.address)
        client = await self._open(to)
        try:
            try:
                await self._secure(client, to)
            except Unprotected as failure:
                if self._goes_on_in_clear(client, failure):
                    return await self._hand_over(client, envelope, failure)
                if not failure.handshake and self.flaws.sends_envelope_in_clear:
                    await self._leak(client, envelope)
                if not failure.handshake and envelope.requires_tls and self.flaws.says_requiretls_in_clear:
                    with contextlib.suppress(Unreachable):
                        await self._leak(client, envelope)
                raise
            return await self._hand_over(client, envelope)
        finally:
            self._leave(client)

    async def opportunistic(self, envelope: Envelope, to: Destination) -> Accepted:
        """Deliver with whatever TLS the host has: clear on the same connection without, on a new one if it breaks."""
        client = await self._open(to)
        weakness: Unprotected | None = None
        broken = kept = False
        try:
            try:
                in_clear = envelope.waives_tls and self.flaws.sends_marked_mail_in_clear
                in_clear = in_clear or (not envelope.sender and self.flaws.sends_bounces_in_clear)
                in_clear = in_clear or (to.host in self._broken and self.flaws.gives_up_tls_after_broken_handshake)
                if not self.flaws.no_opportunistic_tls and not in_clear:
                    await self._encrypt(client, to)
            except Unprotected as failure:
                weakness, broken = failure, failure.handshake
            if not broken:
                accepted = await self._hand_over(client, envelope, weakness)
                kept = self.flaws.reuses_sessions_of_other_domains
                return accepted
        finally:
            if kept:
                self._keep_open(client, to.address)
            else:
                self._leave(client)
        if envelope.waives_tls and self.flaws.holds_marked_mail_after_broken_handshake:
            raise Unreachable(f"{to.host}: {weakness}")
        return await self.clear(envelope, to, weakness)

    async def under_dane(
        self, envelope: Envelope, to: Destination, check: ChainCheck | None, base_domain: str
    ) -> Accepted:
        """Deliver inside TLS if the chain passes the check, or raise `Unprotected` before the envelope is said.

        Without a check any certificate will do, but not without TLS. The TLSA base domain is the server name.
        """
        if hello := odd_hello(base_domain, self.flaws):
            await self._try_hello(to, hello)
        client = await self._open(to)
        try:
            await self._handshake(client, to, self.contexts.unverified, self.contexts.dane_server_name(base_domain))
            problem = check(client.channel.peer_chain()) if check is not None else None
            if problem is not None:
                ours = client.channel.local_address
                raise Unprotected(_result_type(problem.code), problem.text, ours, verify_code=problem.code)
            await self._hello_again(client, to)
            return await self._hand_over(client, envelope)
        finally:
            self._leave(client)

    async def say_envelope_in_clear(self, envelope: Envelope, to: Destination) -> None:
        """Flaw: say the envelope in clear, and take it back."""
        client = await self._open(to)
        try:
            await self._leak(client, envelope)
        finally:
            self._leave(client)

    async def visit(self, to: Destination) -> None:
        """Flaw: connect to a host that gets nothing."""
        with contextlib.suppress(Unreachable):
            self._leave(await self._open(to))

    async def _try_hello(self, to: Destination, hello: bytes) -> None:
        """Flaw: begin TLS with a hello of another kind on a connection of its own, and give that up."""
        client = await self._open(to)
        try:
            await client.try_hello(hello)
        except SmtpBroken as error:
            raise Unreachable(str(error)) from error
        finally:
            self._leave(client)

    async def clear(self, envelope: Envelope, to: Destination, weakness: Unprotected | None = None) -> Accepted:
        """Deliver in clear text on a new connection."""
        client = await self._open(to)
        try:
            return await self._hand_over(client, envelope, weakness)
        finally:
            self._leave(client)

    async def to_self_signed(self, envelope: Envelope, to: Destination) -> Accepted:
        """Flaw: deliver to a self-signed certificate whose name and dates are right; else raise `Unprotected`."""
        client = await self._open(to)
        try:
            await self._encrypt(client, to)
            shown, ours = client.channel.peer_certificate(), client.channel.local_address
            named = self_signed(shown) and covers(shown, to.host)
            if not named or expired(shown):
                raise Unprotected("certificate-not-trusted", "not self-signed for this host", ours)
            return await self._hand_over(client, envelope)
        finally:
            self._leave(client)

    async def to_met(self, envelope: Envelope, to: Destination, fits: Callable[[bytes, Met], bool]) -> Accepted:
        """Flaw: deliver to a certificate in which the host is found in another way; else raise `Unprotected`."""
        client = await self._open(to)
        try:
            await self._encrypt(client, to)
            if not fits(client.channel.peer_certificate(), Met(to.host, to.address, to.target, client.greeting_name)):
                raise Unprotected("certificate-host-mismatch", "no name fits", client.channel.local_address)
            return await self._hand_over(client, envelope)
        finally:
            self._leave(client)

    async def after_broken_handshake(self, to: Destination) -> None:
        """Flaws: begin another handshake, which only offers old versions of TLS, or which names two servers."""
        if self.flaws.names_two_servers:
            await self._try_hello(to, hello_with_two_names(to.host, to.domain))
        if self.flaws.falls_back_to_older_tls:
            client = await self._open(to)
            try:
                with contextlib.suppress(Unprotected):
                    await self._handshake(client, to, self.contexts.older, to.host)
            finally:
                self._leave(client)

    async def leak_envelope(self, envelope: Envelope, to: Destination) -> None:
        """Flaw: say the envelope inside TLS that was never checked, and take it back."""
        client = await self._open(to)
        try:
            await self._encrypt(client, to)
            await self._leak(client, envelope)
        except Unprotected as failure:
            raise Unreachable(str(failure)) from failure
        finally:
            self._leave(client)

    def _keep_open(self, client: SmtpClient, address: str) -> None:
        """Flaw: leave a session for the next message to the same host, if one comes soon."""

        def leave() -> None:
            if self._open_sessions.get(address) is client:
                self._leave(self._open_sessions.pop(address))

        if address in self._open_sessions:
            self._leave(self._open_sessions[address])
        self._open_sessions[address] = client
        asyncio.get_running_loop().call_later(_KEPT_OPEN, leave)

    def _leave(self, client: SmtpClient) -> None:
        """Say goodbye beside the delivery: once a message is accepted, nothing may come before its removal."""
        task = asyncio.create_task(client.close())
        self._leaving[task] = client
        task.add_done_callback(lambda done: self._leaving.pop(done, None))

    async def _open(self, to: Destination) -> SmtpClient:
        try:
            place, settings = self.network.where(to.address, 25), self.settings
            client = await SmtpClient.open(
                place,
                settings.hostname,
                settings.command_seconds,
                settings.connect_seconds,
                in_all=self.flaws.times_whole_sessions,
            )
        except (UnsafeAddress, SmtpBroken, SmtpRefused) as error:
            # Before TLS it is not known who answers, so even a 5xx here does not speak for the domain.
            raise Unreachable(f"{to.host} [{to.address}]: {error}") from error
        if self.flaws.overlooks_first_extension:
            client.extensions = dict(list(client.extensions.items())[1:])
        return client

    async def _secure(self, client: SmtpClient, to: Destination) -> None:
        """Bring up TLS with a certificate that is valid for the host."""
        name = self.contexts.server_name(to.host, to.domain, to.address)
        await self._handshake(client, to, self.contexts.verified, name)
        chain = client.channel.peer_chain()
        problem = self.contexts.problem(chain, to.host, to.domain) or await self.revocation.problem(chain[0])
        if problem is not None:
            raise Unprotected(
                _result_type(problem.code), problem.text, client.channel.local_address, verify_code=problem.code
            )
        await self._hello_again(client, to)

    async def _encrypt(self, client: SmtpClient, to: Destination) -> None:
        """Bring up TLS with any certificate."""
        name = self.contexts.server_name(to.host, to.domain, to.address)
        await self._handshake(client, to, self.contexts.opportunistic, name)
        await self._hello_again(client, to)

    async def _handshake(self, client: SmtpClient, to: Destination, context: ssl.SSLContext, name: str | None) -> None:
        ours = client.channel.local_address
        if not client.offers_starttls:
            raise Unprotected("starttls-not-supported", "STARTTLS is not offered", ours)
        keep_early = everything if self.flaws.takes_bytes_before_tls else nothing
        keep_early = unfinished if self.flaws.keeps_unfinished_replies else keep_early
        before = b""
        if self.flaws.says_command_before_handshake and to.host in self._broken:
            self._broken.discard(to.host)
            before = b"NOOP\r\n"
        try:
            if self.flaws.writes_starttls_argument:
                await client.ask_in_vain(f"STARTTLS {to.host}")
            keeps = self.flaws.keeps_extensions_from_clear or self.flaws.remembers_requiretls_from_clear
            offered = client.extensions if keeps else {}
            behind = b"NOOP\r\n" if self.flaws.pipelines_behind_starttls else b""
            await client.start_tls(context, name, keep_early=keep_early, behind=behind, before_handshake=before)
            client.extensions_from_clear = offered
        except StarttlsRefused as error:
            raise Unprotected("starttls-not-supported", str(error), ours) from error
        except HandshakeFailed as error:
            if error.verify_code is None and not before:
                self._broken.add(to.host)
            if self.flaws.goes_on_after_broken_handshake:
                with contextlib.suppress(SmtpBroken):
                    await client.ask_in_vain(f"EHLO {self.settings.hostname}")
            raise Unprotected(_result_type(error.verify_code), str(error), ours, error.verify_code) from error
        except SmtpBroken as error:
            raise Unprotected("validation-failure", str(error), ours) from error

    async def _hello_again(self, client: SmtpClient, to: Destination) -> None:
        try:
            await client.hello(plain=self.flaws.says_helo_inside_tls)
            if self.flaws.keeps_unfinished_replies:
                # What is offered before TLS stands in the reply inside it now.
                client.extensions_from_clear = client.extensions
            if self.flaws.asks_starttls_again:
                await client.ask_in_vain("STARTTLS")
        except (SmtpBroken, SmtpRefused) as error:
            raise Unreachable(f"{to.host}: inside TLS: {error}") from error
        if self.flaws.breaks_on_session_tickets and client.channel.has_ticket:
            raise Unreachable(f"{to.host}: something that is no SMTP came behind the handshake")

    def _goes_on_in_clear(self, client: SmtpClient, failure: Unprotected) -> bool:
        """The flaws of a sender that can do without STARTTLS although the policy says enforce."""
        if client.tls_attempted:
            return False
        if self.flaws.sends_clear_after_454 and "answered 454" in failure.reason:
            return True
        if client.offers_starttls:
            return self.flaws.sends_clear_when_starttls_refused
        return self.flaws.sends_clear_without_starttls

    async def _hand_over(self, client: SmtpClient, envelope: Envelope, weakness: Unprotected | None = None) -> Accepted:
        try:
            if envelope.requires_tls and self.flaws.says_helo_for_requiretls and client.channel.secured:
                await client.hello(plain=True)
            reply = await client.send(envelope, *self._options(client, envelope))
        except SmtpRefused as error:
            raise Rejected(str(error), error.permanent, secured=client.channel.secured) from error
        except SmtpBroken as error:
            raise Unreachable(str(error), secured=client.channel.secured) from error
        return Accepted(reply, client.channel.tls_version, weakness)

    def _options(self, client: SmtpClient, envelope: Envelope) -> tuple[str, ...]:
        """Return what stands behind MAIL FROM. Raises `NotAnnounced` where mail that requires TLS may not go."""
        flaws = self.flaws
        if not envelope.requires_tls or flaws.leaves_out_requiretls or (not envelope.sender and flaws.bounces_bare):
            return ()
        offered = REQUIRETLS in client.extensions and client.channel.secured
        if offered or flaws.says_helo_for_requiretls or REQUIRETLS in client.extensions_from_clear:
            return (f"{REQUIRETLS}=YES" if flaws.writes_requiretls_value else REQUIRETLS,)
        if flaws.sends_without_requiretls or (flaws.sends_requiretls_mail_in_clear and not client.channel.secured):
            return ()
        raise NotAnnounced("REQUIRETLS is not announced inside TLS")

    async def _leak(self, client: SmtpClient, envelope: Envelope) -> None:
        try:
            await client.say_envelope(envelope, *([REQUIRETLS] if envelope.requires_tls else []))
            await client.reset()
        except (SmtpBroken, SmtpRefused) as error:
            raise Unreachable(str(error)) from error


def _result_type(verify_code: int | None) -> str:
    """The result type of RFC 8460, section 4.3.1 for a failed handshake."""
    match verify_code:
        case None:
            return "validation-failure"
        case code if code == EXPIRED:
            return "certificate-expired"
        case code if code == WRONG_NAME:
            return "certificate-host-mismatch"
        case _:
            # Also of a revoked certificate: no type is about revocation, and the authority that the sender trusts has
            # withdrawn what made the certificate trusted.
            return "certificate-not-trusted"


def is_self_signed(failure: Unprotected) -> bool:
    """Whether OpenSSL's reason was a self-signed end certificate."""
    return failure.verify_code == SELF_SIGNED
