"""Checks of the MX hosts against the policy (RFC 8461, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.policy_check.given import Finding, Given, Level
from mta_sts_lab.policy_check.registry import Scope, check
from mta_sts_lab.rfc.domain_names import is_address, is_mx_pattern, matches
from mta_sts_lab.rfc.policy import lists

SOURCE = "MX hosts"


@check(scope=Scope.HOSTS)
def host_names(given: Given) -> Iterator[Finding]:
    """Each MX is a host name."""
    for host in given.hosts:
        address = is_address(host.strip("[]"))
        if host and is_mx_pattern(host) and not host.startswith("*.") and not address:
            continue
        what = "an address is no name" if address else "it is no host name"
        if not host:
            what = "the name is empty: an MX of `.` says that the domain takes no mail (RFC 7505)"
        yield Finding(Level.PROBLEM, SOURCE, what, "No certificate can be valid for it.", text=host)


@check(scope=Scope.HOSTS)
def host_not_listed(given: Given) -> Iterator[Finding]:
    """The policy lists every MX host."""
    policy = given.read
    if policy is None or not policy.valid or policy.mode == "none":
        return
    for host in given.hosts:
        if not lists(policy.mx, host):
            effect = (
                "No mail goes to it: mail waits where no other MX host can take it."
                if policy.mode == "enforce"
                else "Senders report it now, and no mail goes to it once the mode is enforce."
            )
            yield Finding(Level.PROBLEM, SOURCE, "no mx line of the policy matches it", effect, text=host)


@check(scope=Scope.HOSTS)
def pattern_without_host(given: Given) -> Iterator[Finding]:
    """Every mx line of the policy matches an MX host."""
    policy = given.read
    if policy is None or not given.hosts or given.policy is None:
        return
    for number, line in enumerate(policy.lines, start=1):
        name, _, value = line.partition(":")
        pattern = value.strip(" \t")
        if name == "mx" and pattern in policy.mx and not any(matches(pattern, host) for host in given.hosts):
            what = f"no MX host that you named matches {pattern}"
            effect = "Whoever gets hold of such a name may take your mail. Remove it unless it will be used soon."
            yield Finding(Level.ADVICE, given.policy.source, what, effect, number, line)
