"""What senders will do with mail to a domain that publishes what was given, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mta_sts_lab.policy_check.certificates import faults_of
from mta_sts_lab.policy_check.given import Given
from mta_sts_lab.rfc.domain_names import is_address, matches
from mta_sts_lab.rfc.policy import Policy


class Fate(StrEnum):
    """What a sender that fetched the policy does with mail when only this host answers."""

    DELIVERED = "delivered"
    REPORTED = "delivered-and-reported"
    WAITS = "waits"
    UNPROTECTED = "as-without-a-policy"


@dataclass(frozen=True, slots=True)
class HostOutlook:
    """What becomes of mail to one MX host. `pattern` is the mx line that lists it; empty: none does."""

    host: str
    fate: Fate
    pattern: str
    says: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What senders will do: sentences on the whole domain, and one on each MX host."""

    sentences: tuple[str, ...]
    hosts: tuple[HostOutlook, ...]


def outlook_of(given: Given) -> Outlook:
    """Return what senders will do."""
    policy = given.read
    if policy is None:
        return Outlook((), ())
    hosts = tuple(_host(given, policy, host) for host in given.hosts)
    return Outlook(tuple(dict.fromkeys((*_discovery(given), *_policy(policy), *_altogether(hosts)))), hosts)


#: What a policy does that no sender gets, or that none can use.
_NEVER_LEARNED = (
    "A sender that has no older policy of yours delivers as if you had none: an attacker can read the mail.",
    "A sender that has an older one keeps to that until its max_age is over.",
)


def _discovery(given: Given) -> Iterator[str]:
    if given.announced is not None and not given.announced.valid:
        yield "Senders do not ask for the policy, because the TXT record at _mta-sts does not announce one."
        yield from _NEVER_LEARNED
        yield "What follows is so once the record announces the policy."


def _policy(policy: Policy) -> Iterator[str]:
    if not policy.valid:
        yield from _NEVER_LEARNED
        yield "Senders that send TLS reports report sts-policy-invalid."
        return
    if policy.mode == "none":
        yield "Senders treat mail as if there were no policy, and forget an older one. That is how to back out."
        return
    if policy.mode == "testing":
        yield "Senders check each delivery against the policy, report failures, and deliver all the same."
        yield "An attacker can still read the mail."
        return
    yield (
        "Senders deliver only to MX hosts that an mx line matches, inside TLS, under a certificate that is valid for "
        "the host's name. Otherwise the mail waits, and is returned after some days."
    )
    yield f"A sender keeps the policy for {_duration(policy.max_age)} after it fetched it last."


def _altogether(hosts: tuple[HostOutlook, ...]) -> Iterator[str]:
    waiting = [host for host in hosts if host.fate is Fate.WAITS]
    if waiting and len(waiting) == len(hosts):
        yield "All mail waits from the moment a sender fetches this policy: no MX host may take it."


def _host(given: Given, policy: Policy, host: str) -> HostOutlook:
    pattern = next((one for one in policy.mx if matches(one, host)), "")
    refused = [
        fault
        for name, shown in given.shown()
        if name == host
        for fault in faults_of(host, shown, given.now, given.roots)
    ]
    if is_address(host.strip("[]")):
        refused.insert(0, "it is an address, and no certificate can be valid for it")
    if not policy.valid or policy.mode == "none":
        return HostOutlook(host, Fate.UNPROTECTED, pattern, f"Mail to {host} is delivered as without a policy.")
    if pattern and not refused:
        return HostOutlook(
            host, Fate.DELIVERED, pattern, f"Mail to {host} is delivered inside TLS; `mx: {pattern}` lists it."
        )
    why = f"no mx line matches {host}" if not pattern else refused[0]
    if policy.mode == "testing":
        return HostOutlook(host, Fate.REPORTED, pattern, f"Mail to {host} is delivered, and reported: {why}.")
    return HostOutlook(host, Fate.WAITS, pattern, f"Mail to {host} waits: {why}.")


def _duration(seconds: int) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
