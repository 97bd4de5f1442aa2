"""Authoritative data as plain values: what the lab's domains publish, whose they are, and how a question is answered.

Pure: the wire is `mta_sts_lab.world.dns`. Names are stored in lower case without a final dot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mta_sts_lab.model.world import ADDRESS_TYPES, Dns, Reports
from mta_sts_lab.rfc.domain_names import absolute, canonical, is_within, policy_record_name, report_record_name
from mta_sts_lab.rfc.published import REPORT_MX, ReportPlaces, places_for
from mta_sts_lab.world.network import family_of

#: Seconds. Every record can change between two steps, and no resolver may still know the old one then. With a second, a
#: policy daemon that holds answers for their TTL was seen to miss a new policy id.
TTL = 0

#: An alias chain longer than this is a loop; no resolver follows even that far.
_LONGEST_ALIAS_CHAIN = 8

_START_OF_AUTHORITY = "ns.lab.example hostmaster.lab.example 1 60 60 3600 0"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record. `data` is its text: an address, a name, `"10 mx1.x.example"`, or the whole text of a TXT."""

    name: str
    type: str
    data: str
    ttl: int = TTL
    #: Octets of each character-string of a TXT record; 0: as many as one can hold.
    string_length: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked. `name` is in lower case and without a final dot, whatever the spelling on the wire."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered. `rcode` is NOERROR, NXDOMAIN, SERVFAIL, REFUSED, or TIMEOUT: then no answer is ever sent.

    NOERROR without records says that the name exists and has nothing of that type.
    """

    rcode: str
    records: tuple[Record, ...] = ()
    #: The attack that forged it.
    tampered_by: str = ""
    #: What a validating resolver says of it, the aliases on the way included.
    security: str = "insecure"
    #: What stands in the authority section, where that is more than the SOA record of a negative answer.
    authority: tuple[Record, ...] = ()
    #: Whether it has the AD bit, whatever a validating resolver says.
    claims_ad: bool = False

    @property
    def content(self) -> object:
        """What a client is told: two answers with the same content are the same to it."""
        return self.rcode, self.records, self.authority, self.claims_ad

    @property
    def refused_by_validation(self) -> bool:
        """Whether a validating resolver gives no such answer to a client that leaves the checking to it."""
        return self.security in ("bogus", "indeterminate")


@dataclass(frozen=True, slots=True)
class Security:
    """What a validating resolver says of the answers about a domain: `answers` are exceptions, by name and type."""

    domain: str = "insecure"
    answers: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of(self, name: str, kind: str) -> str:
        """Return the state of one answer, be it that there is no such record."""
        return self.answers.get((name, kind), self.domain)


#: What an answer is that rests on several (RFC 7672, section 2.1.3): the first of these that one of them is.
_WORST_FIRST = ("bogus", "indeterminate", "insecure", "secure")


#: An attack on the answers about one domain: it is given the honest answer and returns what is sent instead.
Tamper = Callable[[Question, Answer], Answer]


@dataclass(slots=True)
class _Domain:
    """One domain: what it publishes, by name and type, and which case it belongs to (none: it is the lab's own)."""

    case: str
    records: dict[str, dict[str, list[Record]]] = field(default_factory=dict)
    security: Security = field(default_factory=Security)
    tamper: Tamper | None = None


class Zone:
    """Everything that the lab's resolver knows."""

    def __init__(self) -> None:
        self._domains: dict[str, _Domain] = {}

    def publish(self, domain: str, records: Iterable[Record], case: str = "", security: Security | None = None) -> None:
        """Let a domain publish these records, and nothing else any more. Attacks on the domain stay in force.

        Raises `ValueError` for a record whose name lies outside the domain.
        """
        domain = canonical(domain)
        by_name: dict[str, dict[str, list[Record]]] = {}
        for record in records:
            name = canonical(record.name)
            if not is_within(name, domain):
                raise ValueError(f"{name} is not within {domain}")
            by_name.setdefault(name, {}).setdefault(record.type, []).append(replace(record, name=name))
        by_name.setdefault(domain, {})["SOA"] = [start_of_authority(domain)]
        found = self._domains.setdefault(domain, _Domain(case))
        found.case, found.records, found.security = case, by_name, security or Security()

    def withdraw(self, domain: str) -> None:
        """Forget a domain. Nothing happens if it is unknown."""
        self._domains.pop(canonical(domain), None)

    def tamper(self, domain: str, tamper: Tamper | None) -> None:
        """Put an attack on all answers about a domain, or take it away. Raises `KeyError` for an unknown domain."""
        self._domains[canonical(domain)].tamper = tamper

    def owner_of(self, name: str) -> str:
        """Return the domain that a name belongs to; the empty string if it is none of the lab's."""
        labels = canonical(name).split(".")
        suffixes = (".".join(labels[first:]) for first in range(len(labels)))
        return next((suffix for suffix in suffixes if suffix in self._domains), "")

    def case_of(self, name: str) -> str:
        """Return the case that a name belongs to; the empty string if it is nobody's or the lab's own."""
        owner = self.owner_of(name)
        return self._domains[owner].case if owner else ""

    def answer(self, question: Question) -> Answer:
        """Answer a question as the domain's attacker, if it has one, wants it. Raises what the attack raises.

        A forged answer has no signature: about a signed name it is bogus.
        """
        honest = self.honest(question)
        domain = self._domains.get(self.owner_of(question.name))
        if domain is None or domain.tamper is None:
            return honest
        answer = domain.tamper(question, honest)
        forged = answer.content != honest.content and honest.security == "secure"
        return replace(answer, security="bogus" if forged else honest.security)

    def honest(self, question: Question, days_ago: int = 0) -> Answer:
        """Answer as the domain itself does, or did some days ago."""
        return self.lookup(question)

    def state_of(self, name: str, kind: str) -> str:
        """Return what a validating resolver says of the records of one name and type, or that there are none."""
        owner = self.owner_of(name)
        return self._domains[owner].security.of(canonical(name), kind) if owner else "insecure"

    def types_at(self, name: str) -> tuple[str, ...]:
        """Return the types of the records that a name has."""
        owner = self.owner_of(name)
        return tuple(self._domains[owner].records.get(canonical(name), ())) if owner else ()

    def lookup(self, question: Question) -> Answer:
        """Answer a question honestly, following aliases as far as the lab's domains go (RFC 1034, section 3.6.2)."""
        found: list[Record] = []
        states: list[str] = []
        name = canonical(question.name)
        for _ in range(_LONGEST_ALIAS_CHAIN):
            owner = self.owner_of(name)
            if not owner:
                # An alias may lead out of the lab. A question may not, except for a name above one of ours.
                exists = bool(found) or self._stands_above(name)
                return Answer("NOERROR" if exists else "REFUSED", tuple(found))
            here = self._domains[owner].records.get(name)
            is_alias = here is not None and "CNAME" in here and question.type != "CNAME"
            states.append(self._domains[owner].security.of(name, "CNAME" if is_alias else question.type))
            security = next(state for state in _WORST_FIRST if state in states)
            if here is None:
                rcode = "NOERROR" if self._stands_above(name) else "NXDOMAIN"
                return Answer(rcode, tuple(found), security=security)
            if not is_alias:
                return Answer("NOERROR", (*found, *here.get(question.type, ())), security=security)
            found += here["CNAME"]
            name = canonical(here["CNAME"][0].data)
        return Answer("SERVFAIL")

    def _stands_above(self, name: str) -> bool:
        """Whether the name is an empty non-terminal: it has nothing itself, but there are names below it (RFC 8020)."""
        below = "." + name
        return any(
            domain.endswith(below) or any(stored.endswith(below) for stored in self._domains[domain].records)
            for domain in self._domains
            if domain.endswith(below) or is_within(name, domain)
        )


def start_of_authority(domain: str) -> Record:
    """Return the SOA record that goes with a negative answer: forgotten at once (RFC 2308, section 5)."""
    return Record(canonical(domain), "SOA", _START_OF_AUTHORITY)


def policy_records(domain: str, dns: Dns, identity: str) -> Iterator[Record]:
    """Return what announces a domain's policy (RFC 8461, section 3.1), and the aliases that lead there."""
    name = policy_record_name(domain) if dns.sts_name == Dns().sts_name else absolute(dns.sts_name, domain)
    for number in range(1, dns.sts_aliases + 1):
        alias, name = name, f"sts-record-{number}.{domain}"
        yield Record(alias, "CNAME", name)
    for text in dns.sts_records:
        yield Record(name, "TXT", text.replace("{id}", identity), string_length=dns.sts_string_length)


def report_records(domain: str, reports: Reports, mx_hosts: Sequence[str] = ()) -> Iterator[Record]:
    """Return what the domain itself publishes about reports, at its own name and at those of its MX hosts."""
    places, name = places_for(domain, reports), report_record_name(domain)
    if reports.alias:
        alias, name = name, f"tls-reporting.{domain}"
        yield Record(alias, "CNAME", name)
    for text in reports.records:
        yield Record(name, "TXT", places.fill_in(text), string_length=reports.string_length)
    for host in mx_hosts:
        for text in reports.at_mx:
            yield Record(report_record_name(host), "TXT", places.fill_in(text))


def address_records(name: str, addresses: Iterable[str]) -> tuple[Record, ...]:
    """Return the A and AAAA records of a name."""
    return tuple(Record(name, ADDRESS_TYPES[family_of(one)], one) for one in addresses)


def place_records(places: ReportPlaces, addresses: Iterable[str]) -> tuple[Record, ...]:
    """Return what the mail domain of the places publishes.

    It wants reports itself: whoever counts the sessions in which it mailed reports (RFC 8460, section 3) is found out.
    """
    name = places.mail_domain
    return (
        *address_records(name, addresses),
        Record(name, "MX", f"10 {REPORT_MX}"),
        Record(report_record_name(name), "TXT", places.fill_in("v=TLSRPTv1; rua={https},{mailto}")),
    )
