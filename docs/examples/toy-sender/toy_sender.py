#!/usr/bin/env python3
"""A toy mail server: relays mail to MX hosts, inside TLS where that is offered, and has never heard of MTA-STS.

    python3 toy_sender.py [PORT]

It needs aiosmtpd and dnspython, which `mta-sts-lab` brings along.
"""

import smtplib
import ssl
import sys
import threading
import time

import dns.exception
import dns.resolver
from aiosmtpd.controller import UnthreadedController

RETRY_SECONDS = 2.0


def mx_hosts(domain):
    """Return the names of a domain's MX hosts, the preferred one first."""
    records = sorted(dns.resolver.resolve(domain, "MX"), key=lambda record: record.preference)
    return [str(record.exchange).rstrip(".") for record in records]


def deliver(sender, recipient, content):
    """Try every MX host once; return whether one took the message."""
    for host in mx_hosts(recipient.rpartition("@")[2]):
        try:
            with smtplib.SMTP(host, timeout=30) as client:
                client.ehlo()
                if client.has_extn("starttls"):
                    client.starttls(context=ssl._create_unverified_context())  # opportunistic: any certificate will do
                client.sendmail(sender, recipient, content)
                return True
        except (OSError, smtplib.SMTPException) as error:
            print(f"{recipient}: {host}: {error}", flush=True)
    return False


def keep_trying(sender, recipient, content):
    """Try until the message is delivered."""
    while True:
        try:
            if deliver(sender, recipient, content):
                print(f"{recipient}: sent", flush=True)
                return
        except dns.exception.DNSException as error:
            print(f"{recipient}: {error}", flush=True)
        time.sleep(RETRY_SECONDS)


class Relay:
    """Takes whatever it is given, for any domain."""

    async def handle_DATA(self, server, session, envelope):
        for recipient in envelope.rcpt_tos:
            message = (envelope.mail_from, recipient, envelope.content)
            threading.Thread(target=keep_trying, args=message, daemon=True).start()
        return "250 queued"


if __name__ == "__main__":
    import asyncio

    loop = asyncio.new_event_loop()
    controller = UnthreadedController(Relay(), "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 2525, loop=loop)
    controller.begin()
    loop.run_forever()
