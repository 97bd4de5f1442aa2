"""The sender's resolver, and where mail for a domain goes (RFC 5321, section 5.1).

It asks one name server, by UDP first and by TCP when an answer is truncated. Results tell *found*, *no such name*, *no
data* and *failure* apart, because MTA-STS treats a domain that says nothing and a domain that could not be asked
differently (RFC 8461, section 3.3).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TLSA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.tlsabase

from mta_sts_lab.model.world import ADDRESS_TYPES, Family
from mta_sts_lab.reference.dnssec import Bogus, Validator
from mta_sts_lab.world.network import Network, UnsafeAddress

T = TypeVar("T")

# dnspython refuses the whole answer for one TLSA record whose digest is too short. RFC 6698, section 4.1 sets aside
# that record alone, and it has to be read for that.
dns.rdtypes.tlsabase.TLSABase._cert_length_by_mtype = {}

#: Aliases of aliases. Deeper chains were never seen to be meant.
LONGEST_ALIAS_CHAIN = 8

TRIES = 2


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """There are records. `secure` says that the resolver has validated them (the AD bit).

    `owner` is the name that they are at, behind all aliases.
    """

    values: tuple[T, ...]
    secure: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """The name does not exist (NXDOMAIN)."""

    secure: bool = False


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists and has no record of this type."""

    secure: bool = False


@dataclass(frozen=True, slots=True)
class LookupFailure:
    """It is not known whether there are records: no answer, an error, or an answer that makes no sense.

    `indeterminate` says that the resolver could not find out whether the answer ought to be signed (RFC 8914, 4.6),
    `unanswered` that no answer came in time.
    """

    reason: str
    indeterminate: bool = False
    unanswered: bool = False


Answer = Found[T] | NoSuchName | NoData | LookupFailure


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One MX record; `host` is lower case and without the root dot, "" for a null MX (RFC 7505)."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """One TLSA record (RFC 6698, section 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        """Return the presentation form."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


def _address(data: dns.rdata.Rdata) -> str | None:
    if isinstance(data, dns.rdtypes.IN.A.A | dns.rdtypes.IN.AAAA.AAAA):
        return str(data.address)
    return None


def ascii_domain(domain: str) -> str:
    """Return a domain in lower-case A-labels without the root dot. Raises `ValueError` for what is no domain name."""
    try:
        return dns.name.from_text(domain).to_text(omit_final_dot=True).lower()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"{domain!r} is no domain name: {error}") from error


@dataclass(eq=False, repr=False)
class Resolver:
    """Asks one recursive name server, at a virtual address.

    `families` are those in which the sender connects to hosts, in the order in which it does.
    """

    network: Network
    server: str
    seconds: float
    families: tuple[Family, ...] = (Family.IPV4,)
    #: A flaw: whether a host has no addresses if the look-up of one family fails.
    needs_every_family: bool = False
    #: A flaw: whether every answer counts as secure.
    trusts_every_answer: bool = False
    #: Checks the answers below its trust anchor; elsewhere the name server's word counts.
    validator: Validator | None = None
    #: A flaw: whether TLSA records are asked for without a word about DNSSEC, and count whatever the answer says.
    asks_for_tlsa_unaware: bool = False
    #: A flaw: whether addresses are asked for without a check of their signatures.
    asks_for_unchecked_addresses: bool = False

    async def txt(self, name: str, *, joint: bytes = b"", follow: bool = True) -> Answer[bytes]:
        """Look up TXT records; the strings of one are joined with nothing between them (RFC 8461, section 3.1).

        Any other `joint` is a flaw, and so is not to `follow` an alias.
        """

        def read(data: dns.rdata.Rdata) -> bytes | None:
            return joint.join(data.strings) if isinstance(data, dns.rdtypes.ANY.TXT.TXT) else None

        return await self._ask(name, "TXT", read, follow=follow)

    async def mx(self, name: str) -> Answer[MxRecord]:
        """Look up MX records."""

        def read(data: dns.rdata.Rdata) -> MxRecord | None:
            if not isinstance(data, dns.rdtypes.ANY.MX.MX):
                return None
            host = data.exchange.to_text(omit_final_dot=True).lower()
            return MxRecord(data.preference, "" if host in (".", "@") else host)

        return await self._ask(name, "MX", read)

    async def addresses(self, name: str) -> Answer[str]:
        """Look up the addresses of each family, those of the first family first.

        A host can be used whose addresses of one family are known, whatever became of the look-up of the other.
        """
        answers = await asyncio.gather(*(self._ask(name, ADDRESS_TYPES[family], _address) for family in self.families))
        failed = [answer for answer in answers if isinstance(answer, LookupFailure)]
        found = [answer for answer in answers if isinstance(answer, Found)]
        if failed and (self.needs_every_family or not found):
            return failed[0]
        if not found:
            return answers[0]
        values = tuple(value for answer in found for value in answer.values)
        return Found(values, all(answer.secure for answer in found), found[0].owner)

    async def alias(self, name: str) -> Answer[str]:
        """Look up what a name is an alias of."""

        def read(data: dns.rdata.Rdata) -> str | None:
            if not isinstance(data, dns.rdtypes.ANY.CNAME.CNAME):
                return None
            return data.target.to_text(omit_final_dot=True).lower()

        return await self._ask(name, "CNAME", read)

    async def tlsa(self, name: str, *, follow: bool = True) -> Answer[TlsaRecord]:
        """Look up TLSA records."""

        def read(data: dns.rdata.Rdata) -> TlsaRecord | None:
            if not isinstance(data, dns.rdtypes.ANY.TLSA.TLSA):
                return None
            return TlsaRecord(data.usage, data.selector, data.mtype, data.cert)

        return await self._ask(name, "TLSA", read, follow=follow)

    async def _ask(
        self, name: str, type_name: str, read: Callable[[dns.rdata.Rdata], T | None], *, follow: bool = True
    ) -> Answer[T]:
        try:
            asked = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):
            return NoSuchName()
        secure, start = True, asked
        for _ in range(LONGEST_ALIAS_CHAIN):
            response = await self._exchange(asked, type_name)
            if isinstance(response, LookupFailure):
                return response
            try:
                secure = await self._is_secure(response, asked, type_name) and secure
            except Bogus as bogus:
                return LookupFailure(f"{type_name} {asked.to_text(omit_final_dot=True)}: {bogus}")
            owner, records = _follow(response, asked, dns.rdatatype.from_text(type_name))
            values = tuple(value for record in records if (value := read(record)) is not None)
            if owner != asked and not follow:
                return NoData(secure)
            if values:
                return Found(values, secure, owner.to_text(omit_final_dot=True).lower() if owner != start else "")
            if response.rcode() == dns.rcode.NXDOMAIN:
                return NoSuchName(secure)
            if owner == asked:
                return NoData(secure)
            asked = owner
        return LookupFailure(f"{name}: the chain of aliases has no end")

    async def _is_secure(self, response: dns.message.Message, asked: dns.name.Name, type_name: str) -> bool:
        """Whether an answer is validated: here, or by the name server. Raises `Bogus`."""
        if self.trusts_every_answer or self._asks_unaware(type_name):
            return True
        if self._validates(asked):
            assert self.validator is not None
            return await self.validator.is_secure(response, asked, type_name)
        return bool(response.flags & dns.flags.AD)

    def _validates(self, name: dns.name.Name) -> bool:
        return self.validator is not None and self.validator.covers(name)

    async def for_validation(self, name: dns.name.Name, type_name: str) -> dns.message.Message:
        """Ask for what a validator needs beside the answer itself. Raises `Bogus` if nothing comes."""
        response = await self._exchange(name, type_name)
        if isinstance(response, LookupFailure):
            raise Bogus(response.reason)
        return response

    async def _exchange(self, name: dns.name.Name, type_name: str) -> dns.message.Message | LookupFailure:
        query = dns.message.make_query(name, type_name, use_edns=0, payload=1232)
        if self._validates(name):
            query.want_dnssec()
            query.flags |= dns.flags.CD
        if self.asks_for_unchecked_addresses and type_name in ADDRESS_TYPES.values():
            query.flags |= dns.flags.CD
        if not self._asks_unaware(type_name):
            query.flags |= dns.flags.AD  # "tell me whether you have validated it" (RFC 6840, section 5.7)
        what = f"{type_name} {name.to_text(omit_final_dot=True)}"
        failure = LookupFailure(f"{what}: no answer")
        for _ in range(TRIES):
            try:
                response = await self._over_wire(query)
            except dns.exception.Timeout:
                failure = LookupFailure(f"{what}: timed out", unanswered=True)
            except (dns.exception.DNSException, OSError, EOFError, UnsafeAddress) as error:
                failure = LookupFailure(f"{what}: {error}")
            else:
                if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    return response
                return LookupFailure(f"{what}: {dns.rcode.to_text(response.rcode())}", _indeterminate(response))
        return failure

    def _asks_unaware(self, type_name: str) -> bool:
        return self.asks_for_tlsa_unaware and type_name == "TLSA"

    async def _over_wire(self, query: dns.message.Message) -> dns.message.Message:
        host, port = self.network.where(self.server, 53, "udp")
        # Without a source dnspython binds every address of the machine.
        own = host if ipaddress.ip_address(host).is_loopback else None
        response = await dns.asyncquery.udp(
            query, host, timeout=self.seconds, port=port, source=own, ignore_unexpected=True, ignore_errors=True
        )
        if not response.flags & dns.flags.TC:
            return response
        host, port = self.network.where(self.server, 53, "tcp")
        return await dns.asyncquery.tcp(query, host, timeout=self.seconds, port=port)


def _indeterminate(response: dns.message.Message) -> bool:
    codes = [one.code for one in response.options if isinstance(one, dns.edns.EDEOption)]
    return dns.edns.EDECode.DNSSEC_INDETERMINATE in codes


def _follow(
    response: dns.message.Message, asked: dns.name.Name, wanted: dns.rdatatype.RdataType
) -> tuple[dns.name.Name, list[dns.rdata.Rdata]]:
    """Follow aliases inside one answer: return the last name and the wanted records at it."""
    owner = asked
    for _ in range(LONGEST_ALIAS_CHAIN):
        records = response.get_rrset(response.answer, owner, dns.rdataclass.IN, wanted)
        if records is not None:
            return owner, list(records)
        aliases = response.get_rrset(response.answer, owner, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if not aliases:
            return owner, []
        alias = aliases[0]
        assert isinstance(alias, dns.rdtypes.ANY.CNAME.CNAME)
        owner = alias.target
    return owner, []
