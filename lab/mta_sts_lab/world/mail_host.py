"""MX hosts: the honest one of a case, the attacker's own, and the one of the sender's domain, where bounces arrive.

aiosmtpd speaks SMTP; `mta_sts_lab.world.smtp_session` puts every word of it on record, and mends what a target could
notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mta_sts_lab.events import BounceReceived, MessageAccepted, TokenRead
from mta_sts_lab.model import MxHost
from mta_sts_lab.rfc.domain_names import canonical, is_within
from mta_sts_lab.rfc.published import MAILBOX
from mta_sts_lab.world.host import AcceptingHost, Ground
from mta_sts_lab.world.message import body_digest, bounces_in, token_of_address, tokens_in, tokens_of_message
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.pki import Credentials
from mta_sts_lab.world.smtp_session import Delivery, SmtpSession

PORT = 25


class MxServer(AcceptingHost):
    """An MX host. `role` is mx, attacker-mx, sender-mx or report-mx.

    It takes mail for `domain` and what lies below, and for everybody if that is empty, as an attacker would.
    """

    def __init__(self, ground: Ground, case: str, role: str, name: str, address: str, domain: str = "") -> None:
        super().__init__(ground, case, role, name, address, PORT)
        self.domain = domain
        self.settings = MxHost(name=name, reachable=False)
        #: Finds the case of a bounce by the recipient that it is about and by its token.
        self.case_of_bounce: Callable[[str, str], str] = lambda recipient, token: ""
        #: Is given what arrives for the mailbox for reports at the host's domain.
        self.on_report: Callable[[Delivery, Accepted], None] | None = None

    def arrange(self, settings: MxHost) -> None:
        """Behave as these settings say from the next connection on; `settings.name` is not looked at."""
        self.settings = settings
        self.reachable = settings.reachable

    async def _speak(self, accepted: Accepted, via: str) -> None:
        session = SmtpSession(self, self._ground, accepted, via)
        loop = asyncio.get_running_loop()
        try:
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
        return self._ground.certificates.authority.credentials(variant, self.name)

    def takes_mail_for(self, recipient: str) -> bool:
        """Whether the recipient is at the host's own domain: an MX host is no open relay."""
        return not self.domain or is_within(canonical(recipient.rpartition("@")[2]), self.domain)

    def hear_data(self, line: bytes, accepted: Accepted, via: str, secured: bool) -> None:
        """Look for a token in one line of a message on its way in: whoever is on the path has seen it by now.

        The path behind an attacker is the attacker's own, and his session tells what he could read.
        """
        if via or self.role == "sender-mx" or (secured and self.role != "attacker-mx"):
            return
        reader = "attacker" if self.role == "attacker-mx" else "path"
        for token in tokens_in(line):
            self._ground.recorder.write(
                TokenRead(session=accepted.session, token=token, secured=secured, reader=reader), self.case
            )

    def accept(self, delivery: Delivery, accepted: Accepted, via: str) -> str:
        """Take responsibility for a message (RFC 5321, section 4.2.5), and return the reply that says so."""
        self._ground.recorder.write(
            MessageAccepted(
                session=accepted.session,
                role=self.role,
                host=self.name,
                address=self.address,
                secured=delivery.secured,
                certificate=delivery.certificate,
                mail_from=delivery.mail_from,
                recipients=delivery.recipients,
                tokens=tokens_of_message(delivery.content, delivery.recipients),
                octets=len(delivery.content),
                body_digest=body_digest(delivery.content),
                via=via,
            ),
            self.case,
        )
        if self.role == "sender-mx" and not delivery.mail_from:
            self._take_bounce(delivery)
        mailbox = f"{MAILBOX}@{self.domain}"
        if self.on_report is not None and any(one.lower() == mailbox for one in delivery.recipients):
            self.on_report(delivery, accepted)
        return "250 2.0.0 OK: the lab has it"

    def _take_bounce(self, delivery: Delivery) -> None:
        tokens = [token for token in map(token_of_address, delivery.recipients) if token]
        for bounce in bounces_in(delivery.content):
            for token in tokens or tokens_in(delivery.content)[:1] or ("",):
                fact = BounceReceived(
                    token=token, action=bounce.action, status=bounce.status, diagnostic=bounce.diagnostic
                )
                self._ground.recorder.write(fact, self.case_of_bounce(bounce.recipient, token))
