"""MX hosts: the honest one of a case, the attacker's own, and the one of the sender's domain, where bounces arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from mta_sts_lab.events import MOST_READ, BounceReceived, MessageAccepted, MessageRead, TokenRead
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.rfc.domain_names import canonical, is_within, without_brackets
from mta_sts_lab.rfc.published import MAILBOX
from mta_sts_lab.rfc.require_tls import header_fields, tls_required_values
from mta_sts_lab.world.host import AcceptingHost, HostServices
from mta_sts_lab.world.message import (
    body_digest,
    bounces_in,
    quotes_body,
    quotes_header,
    stamped,
    token_of_address,
    tokens_in,
    tokens_of_message,
)
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.receiving_session import Delivery, ReceivingSession

PORT = 25


class MxServer(AcceptingHost):
    """An MX host. `role` is mx, attacker-mx, sender-mx or report-mx.

    It takes mail for `domain` and what lies below, and for everybody if that is empty, as an attacker would.
    """

    def __init__(
        self, services: HostServices, case: str, role: str, name: str, addresses: Sequence[str], domain: str = ""
    ) -> None:
        super().__init__(services, case, role, name, addresses, PORT)
        self.domain = domain
        self.settings = MxHost(name=name, reachable=False)
        #: The recipients that were named to it as long as it greylists.
        self._named: set[str] = set()
        #: Finds the case of a bounce by the recipient that it is about and by its token.
        self.case_of_bounce: Callable[[str, str], str] = lambda recipient, token: ""
        #: Is given what arrives for the mailbox for reports at the host's domain.
        self.on_report: Callable[[Delivery, Accepted], None] | None = None

    def arrange(self, settings: MxHost) -> None:
        """Behave as these settings say from the next connection on; `settings.name` is not looked at."""
        self.settings = settings
        self.dead = settings.dead_over
        self.reachable = settings.reachable

    async def _speak(self, accepted: Accepted, via: str) -> None:
        session = ReceivingSession(self, self._services, accepted, via)
        loop = asyncio.get_running_loop()
        try:
            if accepted.session:
                await asyncio.sleep(self.settings.greets_after)
            transport, _ = await loop.connect_accepted_socket(lambda: session, accepted.sock)
        except BaseException:
            accepted.sock.close()
            raise
        try:
            await session.ended.wait()
        finally:
            await session.cut(transport)

    def choose_credentials(self, settings: MxHost, sni: str) -> Credentials:
        """Return what is shown for a server name. A client is never refused over it (RFC 8461, section 7.1)."""
        unnamed = settings.sni_required and canonical(sni) != self.name
        variant = "wrong-name" if unnamed else settings.certificate
        authority = self._services.certificates.authority
        credentials = authority.credentials(variant, self.name, addresses=self.addresses)
        return authority.with_issuer(credentials) if settings.sends_authority else credentials

    def takes_mail_for(self, recipient: str) -> bool:
        """Whether the recipient is at the host's own domain, or address: an MX host is no open relay."""
        if without_brackets(recipient.rpartition("@")[2]) in self.addresses:
            return True
        return not self.domain or is_within(canonical(recipient.rpartition("@")[2]), self.domain)

    def is_new(self, recipient: str) -> bool:
        """Whether a recipient is named for the first time."""
        is_new = recipient not in self._named
        self._named.add(recipient)
        return is_new

    def hear_data(self, line: bytes, accepted: Accepted, via: str, secured: bool) -> None:
        """Look for a token in one line of a message on its way in: whoever is on the path has seen it by now.

        The path behind an attacker is the attacker's own, and his session tells what he could read.
        """
        reader = self._read_by(via, secured)
        for token in tokens_in(line) if reader else ():
            accepted.recorder.write(
                TokenRead(session=accepted.session, token=token, secured=secured, reader=reader), self.case
            )

    def _read_by(self, via: str, secured: bool) -> str:
        """Return which outsider reads what the host is sent: `attacker`, `path`, or nobody."""
        if via or self.role == "sender-mx" or (secured and self.role != "attacker-mx"):
            return ""
        return "attacker" if self.role == "attacker-mx" else "path"

    def accept(self, delivery: Delivery, accepted: Accepted, via: str) -> str:
        """Take responsibility for a message (RFC 5321, section 4.2.5), and return the reply that says so."""
        if reader := self._read_by(via, delivery.secured):
            text, octets = delivery.content[:MOST_READ].decode("latin-1"), len(delivery.content)
            read = MessageRead(
                session=accepted.session, text=text, octets=octets, secured=delivery.secured, reader=reader
            )
            accepted.recorder.write(read, self.case)
        accepted.recorder.write(
            MessageAccepted(
                session=accepted.session,
                role=self.role,
                host=self.name,
                address=accepted.address,
                secured=delivery.secured,
                certificate=delivery.certificate,
                mail_from=delivery.mail_from,
                recipients=delivery.recipients,
                tokens=tokens_of_message(delivery.content, delivery.recipients),
                octets=len(delivery.content),
                body_digest=body_digest(delivery.content),
                via=via,
                mail_options=delivery.options,
                tls_required=tls_required_values(header_fields(delivery.content)),
                stamped=stamped(delivery.content),
            ),
            self.case,
        )
        if self.role == "sender-mx" and not delivery.mail_from:
            self._take_bounce(delivery, accepted)
        mailbox = f"{MAILBOX}@{self.domain}"
        if self.on_report is not None and any(one.lower() == mailbox for one in delivery.recipients):
            self.on_report(delivery, accepted)
        return "250 2.0.0 OK: the lab has it"

    def refuse(self, delivery: Delivery, accepted: Accepted) -> str:
        """Refuse a message that was read, and return the reply that says so. What a notice said goes on record."""
        if self.role == "sender-mx" and not delivery.mail_from:
            self._take_bounce(delivery, accepted, refused=True)
        return "554 5.7.1 The message is not wanted here"

    def _take_bounce(self, delivery: Delivery, accepted: Accepted, *, refused: bool = False) -> None:
        if all(one.lower().startswith("postmaster@") for one in delivery.recipients):
            return  # what a server tells its own postmaster is nobody else's business (RFC 5321, section 6.1)
        tokens = [token for token in map(token_of_address, delivery.recipients) if token]
        for bounce in bounces_in(delivery.content):
            for token in tokens or tokens_in(delivery.content)[:1] or ("",):
                fact = BounceReceived(
                    token=token,
                    action=bounce.action,
                    status=bounce.status,
                    diagnostic=bounce.diagnostic,
                    quotes_body=quotes_body(delivery.content),
                    quotes_header=quotes_header(delivery.content),
                    about=bounce.recipient,
                    refused=refused,
                    hosts=bounce.hosts,
                )
                accepted.recorder.write(fact, self.case_of_bounce(bounce.recipient, token))
