"""The notices of mail that was given up: how they travel and what they say (RFC 5321, section 6.1; RFC 3464)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta_sts_lab.events import BounceReceived, MessageAccepted, MessageInjected
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.rfc.domain_names import ipv6_without_tag

NULL_RETURN_PATH = "SMTP-6.1-02"
WELL_FORMED = "DSN-6-01"
NO_NOTICE_OF_NOTICES = "SMTP-4.5.4-01"

#: An enhanced status code of a failure (RFC 3463, section 2).
_STATUS = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")


@check(scope=Scope.CASE, obligations=(NULL_RETURN_PATH,))
def notice_from_nobody(view: CaseView) -> Iterator[Judgement]:
    """A notice that a message was given up has the null reverse-path, so that nobody answers it.

    What a sender tells its own postmaster is no such notice: Courier writes to him from `#@[]` where a notice could not
    be delivered.
    """
    authors = {fact.sender.lower() for _, fact in view.facts.of_kind(MessageInjected) if fact.sender}
    steps = {
        fact.token: event.step
        for event, fact in view.facts.of_kind(MessageInjected)
        if not any(step.message.requiretls for step in view.case.steps if step.name == event.step)
    }
    for event, fact in view.facts.of_kind(MessageAccepted):
        mine = [steps[token] for token in fact.tokens if token in steps]
        to_author = any(one.lower() in authors for one in fact.recipients)
        if fact.role == "sender-mx" and mine and to_author and fact.mail_from:
            expected, observed = "MAIL FROM:<>", f"MAIL FROM:<{fact.mail_from}>"
            yield view.broken(NULL_RETURN_PATH, "notice-with-sender", mine[0], expected, observed, [event])


@check(scope=Scope.CASE, obligations=(WELL_FORMED,))
def notice_tells_the_status(view: CaseView) -> Iterator[Judgement]:
    """A notice of a failure has the Action `failed` and an enhanced status code."""
    for event, fact in view.facts.of_kind(BounceReceived):
        if fact.action == "failed" and _STATUS.fullmatch(fact.status) is None:
            expected, observed = "a Status of three numbers, such as 5.1.2", f'the Status "{fact.status}"'
            yield view.broken(WELL_FORMED, "notice-without-status", event.step, expected, observed, [event])


@check(scope=Scope.CASE, obligations=(WELL_FORMED,))
def notice_spells_addresses(view: CaseView) -> Iterator[Judgement]:
    """A host that a notice names by an IPv6 address has the tag `IPv6:` before it (RFC 5321, section 4.1.3)."""
    for event, fact in view.facts.of_kind(BounceReceived):
        for host in fact.hosts:
            if address := ipv6_without_tag(host):
                expected, observed = f"[IPv6:{address}]", f'"{host}"'
                yield view.broken(WELL_FORMED, "notice-with-bare-address", event.step, expected, observed, [event])


@check(scope=Scope.CASE, obligations=(NO_NOTICE_OF_NOTICES,))
def no_notice_about_a_notice(view: CaseView) -> Iterator[Judgement]:
    """A notice that could not be delivered is answered by no other one, or two servers would never come to an end."""
    authors = {fact.sender.lower() for _, fact in view.facts.of_kind(MessageInjected) if fact.sender}
    for event, fact in view.facts.of_kind(BounceReceived):
        if fact.about and fact.about.lower() in authors:
            expected, observed = "no notice about a notice", f"a notice that none could be delivered to {fact.about}"
            yield view.broken(NO_NOTICE_OF_NOTICES, "notice-about-a-notice", event.step, expected, observed, [event])
