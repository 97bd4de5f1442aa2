"""What DNS says of a domain's MX hosts: their addresses, and the aliases that lead there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from mta_sts_lab.model.world import MxHost
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.world.mail_host import MxServer
from mta_sts_lab.world.network import family_of
from mta_sts_lab.world.zone import Record, address_records


def host_records(
    settings: Sequence[MxHost], serving: Sequence[MxServer], known: Iterable[MxServer], domain: str
) -> Iterator[Record]:
    """Yield the records of every host that a domain has had; `serving` are those of the settings, in their order.

    Those of earlier steps are among them, where nobody answers any more: a target that has just asked for the MX record
    and now finds no address, would return the message, and be blamed for it (seen with Postfix).
    """
    of_host = {host.name: mx for mx, host in zip(settings, serving, strict=True)}
    for host in known:
        mx = of_host.get(host.name)
        if mx is None or mx.address:
            place = absolute(mx.alias_of, domain) if mx is not None and mx.alias_of else host.name
            yield from address_records(place, published_addresses(host))
        if mx is not None and mx.alias_of:
            yield from _alias_records(mx, domain)


def published_addresses(host: MxServer) -> Sequence[str]:
    """Return the addresses that a host's name has in DNS."""
    only = [address for address in host.addresses if family_of(address) == host.settings.only_over]
    return only or host.addresses


def _alias_records(mx: MxHost, domain: str) -> Iterator[Record]:
    """Yield the aliases that lead from the name of a host to the one that has its addresses."""
    through = [mx.alias_through] if mx.alias_through else []
    for alias, name in pairwise((mx.name, *through, mx.alias_of)):
        yield Record(absolute(alias, domain), "CNAME", absolute(name, domain))
