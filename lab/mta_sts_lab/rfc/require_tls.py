"""How a message asks for TLS, or does without it (RFC 8689, sections 2 and 3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mta_sts_lab.model.case import Message, Mode
from mta_sts_lab.model.world import World
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.rfc.policy import lists

#: The ESMTP keyword, and the parameter of MAIL FROM, that demand TLS.
REQUIRETLS = "REQUIRETLS"

#: The header field that does without it.
FIELD = "TLS-Required"

_FIELD = re.compile(rf"(?i:{FIELD})[ \t]*:(?P<value>(?:[^\r\n]|\r?\n[ \t])*)(?:\r?\n)?", re.ASCII)


def tls_required_values(header: Iterable[str]) -> tuple[str, ...]:
    """Return the values of the TLS-Required fields among some header fields, unfolded and without white space."""
    found = (_FIELD.fullmatch(field) for field in header)
    return tuple("".join(one["value"].split()) for one in found if one is not None)


def waives_tls(header: Iterable[str]) -> bool:
    """Whether header fields mark a message that goes without TLS: one TLS-Required field, which says No.

    The word stands in the grammar as a string, so that its case makes no difference (RFC 5234, section 2.3).
    """
    values = tls_required_values(header)
    return len(values) == 1 and values[0].lower() == "no"


def header_fields(message: bytes) -> tuple[str, ...]:
    """Return the fields of a message's header section, each with the lines that it is folded over."""
    section = re.split(rb"\r?\n\r?\n", message, maxsplit=1)[0].decode("latin-1")
    return tuple(re.split(r"\r?\n(?![ \t])", section))


def goes_without_tls(message: Message) -> bool:
    """Whether a message's header waives TLS: REQUIRETLS on MAIL FROM overrides it (RFC 8689, section 4.1)."""
    return not message.requiretls and waives_tls(message.header)


@dataclass(frozen=True, slots=True)
class RequiretlsDemand:
    """What a message with REQUIRETLS demands of the hosts of a domain (RFC 8689, section 4.2.1).

    `patterns` are the mx patterns of the domain's policy, of mode enforce or testing; None: it has none.
    """

    announcing: tuple[str, ...]
    signed: bool = False
    patterns: tuple[str, ...] | None = None

    def proves(self, host: str) -> bool:
        """Whether the name of a host is validated: by a signed MX record, or by the policy."""
        return self.signed or (self.patterns is not None and lists(self.patterns, host))


def requiretls_demand(world: World, mode: Mode, domain: str, patterns: tuple[str, ...] | None) -> RequiretlsDemand:
    """Return what a message with REQUIRETLS demands in a scenario's world."""
    announcing = tuple(absolute(mx.name, domain) for mx in world.mx if mx.requiretls == "inside-tls")
    signed = mode is not Mode.ABSENT and (world.dns.mx_security or world.dns.security) == "secure"
    return RequiretlsDemand(announcing, signed, patterns)
