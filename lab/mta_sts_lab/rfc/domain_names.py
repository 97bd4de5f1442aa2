"""Domain names: how they are compared, matched and written, and the names that a policy domain has besides its own."""

from __future__ import annotations

import ipaddress
import re

import idna

#: Octets of a domain name in text form (RFC 1035, section 2.3.4).
LONGEST_DOMAIN = 253

#: Where a policy host serves the policy (RFC 8461, section 3.2).
POLICY_PATH = "/.well-known/mta-sts.txt"

#: Owner names in DNS may have underscores, host names may not (RFC 1123, section 2.1).
_DNS_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*\.?", re.ASCII)
_HOST = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*", re.ASCII)

_BRACKETED = re.compile(r"\[([^\[\]]*)\]")


def canonical(name: str) -> str:
    """Return a name as DNS compares it: in lower case, without the final dot (RFC 4343)."""
    return name.removesuffix(".").lower()


def a_labels(name: str) -> str:
    """Return a name in canonical form with its U-labels as A-labels (RFC 5891, mapped as UTS 46 says).

    A label without such a form stays as it is.
    """
    text = canonical(name)
    if text.isascii() or len(text) > LONGEST_DOMAIN:
        return text
    return ".".join(map(_a_label, text.split(".")))


def absolute(name: str, domain: str) -> str:
    """Return the full name of what a scenario names relative to a domain; the empty name is the domain itself."""
    return f"{name}.{domain}" if name else domain


def is_within(name: str, domain: str) -> bool:
    """Return whether a name is a domain or lies below it. Both canonical."""
    return name == domain or name.endswith("." + domain)


def is_domain(text: str) -> bool:
    """Return whether it is a domain name of letters, digits, hyphens and underscores; a final dot may end it."""
    return len(text.removesuffix(".")) <= LONGEST_DOMAIN and _DOMAIN.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether what stands in the place of a name is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def without_brackets(literal: str) -> str:
    """Return the address in `[198.18.0.1]` or `[IPv6:2001:db8::1]` (RFC 5321, section 4.1.3), in lower case.

    What is no literal is returned in lower case as it is.
    """
    return literal.strip("[]").lower().removeprefix("ipv6:")


def ipv6_without_tag(text: str) -> str:
    """Return the IPv6 address that stands in brackets, or alone, without the tag of RFC 5321, section 4.1.3.

    Of `[2001:db8::1]` and `mx.example [2001:db8::1]` that is `2001:db8::1`; it is empty for `[IPv6:2001:db8::1]`.
    """
    for found in (text, *_BRACKETED.findall(text)):
        try:
            return str(ipaddress.IPv6Address(found))
        except ValueError:
            continue
    return ""


def is_mx_pattern(text: str) -> bool:
    """Return whether it is a host name in A-labels, or one behind `*.` (RFC 8461, section 3.2)."""
    host = text.removeprefix("*.")
    return len(host) <= LONGEST_DOMAIN and _HOST.fullmatch(host) is not None


def matches(pattern: str, host: str) -> bool:
    """Return whether a host name matches an mx pattern (RFC 8461, section 4.1) or a DNS-ID (RFC 9525, section 6.3).

    Both compare label by label in any case. A wildcard is the whole left-most label and stands for exactly one label.
    A host may end in a dot, a pattern may not.
    """
    pattern, host = pattern.lower(), canonical(host)
    if not host or not pattern.startswith("*."):
        return bool(host) and pattern == host
    first, dot, rest = host.partition(".")
    return bool(first and dot) and rest == pattern[2:]


def policy_host_name(domain: str) -> str:
    """Return the name of the host that serves a domain's policy (RFC 8461, section 3.3)."""
    return f"mta-sts.{domain}"


def policy_record_name(domain: str) -> str:
    """Return where a domain announces its policy (RFC 8461, section 3.1)."""
    return f"_mta-sts.{domain}"


def report_record_name(domain: str) -> str:
    """Return where a domain says who wants its reports (RFC 8460, section 3)."""
    return f"_smtp._tls.{domain}"


def _a_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True).decode("ascii")
    except idna.IDNAError:
        return label
