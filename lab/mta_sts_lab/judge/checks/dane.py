"""How a sender that does DANE looks for TLSA records, and what it says in the handshake (RFC 7672)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mta_sts_lab.events import ClientHelloSeen, DnsAnswered, Event
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Mode, Step
from mta_sts_lab.model.target import DNSSEC
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.rfc.dane_demands import DaneDemand, dane_demands
from mta_sts_lab.rfc.domain_names import absolute, canonical, is_address, is_within
from mta_sts_lab.rfc.require_tls import goes_without_tls
from mta_sts_lab.rfc.tlsa import tlsa_name

LOOKED_UP = "DANE-2.1.2-03"
RIGHT_NAME = "DANE-2.2.3-01"
ADDRESSES_FIRST = "DANE-2.2.2-01"
NOT_OF_INSECURE_HOSTS = "DANE-2.2.2-02"
SERVER_NAME = "DANE-8.1-01"
RIGHT_SERVER_NAME = "OPS-10.2-01"
AWARE = "DANE-2.1.1-04"
NOT_OF_ADDRESSES = "DANE-2.2-09"
NOT_BETWEEN = "DANE-2.2.3-07"
LEFT_ALONE = "DANE-10-01"
BY_PREFERENCE = "DANE-2.2.1-01"
TLSA_NO_PREFERENCE = "DANE-2.2.1-02"

#: The capabilities of a sender that does DANE.
_OF_DANE = {"dane", DNSSEC}


@check(scope=Scope.STEP, obligations=(LOOKED_UP, RIGHT_NAME))
def tlsa_records_looked_up(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Whoever connects to a host that DNSSEC vouches for has looked up its TLSA records, at their own name."""
    if not is_judged_by_dane(view, step):
        return
    asked = _tlsa_names_known(view, step)
    for demand in dane_demands(step.world, view.facts.domain):
        met = [event for event, _ in view.connections(step, {demand.host})]
        if demand.lookup_failed or not met or tlsa_name(demand.base) in asked:
            continue
        elsewhere = sorted(one for one in asked if is_within(one, demand.host) and not demand.target)
        row = RIGHT_NAME if elsewhere else LOOKED_UP
        reason = "tlsa-asked-at-another-name" if elsewhere else "tlsa-not-looked-up"
        observed = f"TLSA queries for {', '.join(elsewhere)}" if elsewhere else "no TLSA query"
        expected = f"a TLSA query for {tlsa_name(demand.base)}"
        yield view.broken(row, reason, step.name, expected, observed, met)


@check(scope=Scope.STEP, obligations=(ADDRESSES_FIRST, NOT_OF_INSECURE_HOSTS), of_the_run=True)
def tlsa_asked_behind_addresses(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Addresses are looked up first, and TLSA records only where those are secure (section 2.2.2)."""
    if not is_judged_by_dane(view, step):
        return
    asked, since = view.facts.tlsa_asked(step.name), view.attempts_began(step)
    for mx in step.world.mx:
        host = absolute(mx.name, view.facts.domain)
        own = [event for event, fact in asked if canonical(fact.name) == tlsa_name(host) and event.at >= since]
        if not own or mx.alias_of:
            continue
        first = _first_address_answer(view, step, host)
        if _state(mx, step) == "insecure" and (step.world.dns.mx_security or step.world.dns.security) == "secure":
            expected, observed = f"no TLSA query: the addresses of {host} are insecure", "a TLSA query"
            yield view.broken(NOT_OF_INSECURE_HOSTS, "tlsa-of-insecure-host", step.name, expected, observed, own)
        elif first and first.number > own[0].number and not _attempt_under_way(view, step, host, own[0].at):
            expected, observed = f"the addresses of {host} first", "its TLSA records were asked for before"
            yield view.broken(ADDRESSES_FIRST, "tlsa-before-addresses", step.name, expected, observed, own)


def _attempt_under_way(view: CaseView, step: Step, host: str, at: float) -> bool:
    """Whether a TLSA query may be of an attempt from before the step, which had asked for the addresses then.

    A sender may try two messages at one time.
    """
    times = view.step_times(step.name)
    looked = view.facts.queries("MX", -1.0, times[0]) if times else []
    asked = [event.at for event, fact in view.facts.tlsa_asked() if canonical(fact.name) == tlsa_name(host)]
    return bool(looked) and not any(looked[-1] < one < at for one in asked)


@check(scope=Scope.STEP, obligations=(AWARE,), of_the_run=True)
def tlsa_asked_with_dnssec(view: CaseView, step: Step) -> Iterator[Judgement]:
    """TLSA records are asked for by a resolver that wants to know what DNSSEC says of them (section 2.1.1)."""
    if not is_judged_by_dane(view, step):
        return
    unaware = [event for event, fact in view.facts.tlsa_asked(step.name) if not fact.security_aware]
    if unaware:
        expected, observed = "the AD, the DO or the CD bit in a query for TLSA records", "none of them"
        yield view.broken(AWARE, "tlsa-asked-without-dnssec", step.name, expected, observed, unaware)


@check(scope=Scope.STEP, obligations=(NOT_OF_ADDRESSES,))
def tlsa_asked_of_names(view: CaseView, step: Step) -> Iterator[Judgement]:
    """No TLSA records are looked up of an address that an MX record holds in place of a name (section 2.2)."""
    if not is_judged_by_dane(view, step):
        return
    asked = view.facts.tlsa_asked(step.name)
    wrong = [event for event, fact in asked if is_address(canonical(fact.name).removeprefix(tlsa_name("")))]
    if wrong:
        expected, observed = "no TLSA query: the MX record holds an address", "a TLSA query for that address"
        yield view.broken(NOT_OF_ADDRESSES, "tlsa-of-an-address", step.name, expected, observed, wrong)


@check(scope=Scope.STEP, obligations=(NOT_BETWEEN,))
def tlsa_asked_at_ends_of_aliases(view: CaseView, step: Step) -> Iterator[Judgement]:
    """TLSA records are looked up at the two ends of a chain of aliases, and nowhere between them (section 2.2.3)."""
    if not is_judged_by_dane(view, step):
        return
    asked = view.facts.tlsa_asked(step.name)
    for mx in step.world.mx:
        between = tlsa_name(absolute(mx.alias_through, view.facts.domain))
        wrong = [event for event, fact in asked if mx.alias_through and canonical(fact.name) == between]
        if wrong:
            expected, observed = f"no TLSA query for {between}, in the middle of a chain of aliases", "such a query"
            yield view.broken(NOT_BETWEEN, "tlsa-between-aliases", step.name, expected, observed, wrong)


@check(scope=Scope.STEP, obligations=(SERVER_NAME, RIGHT_SERVER_NAME))
def base_domain_is_server_name(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The client hello to a host with usable TLSA records names the TLSA base domain (section 8.1).

    Whoever has not looked for them knows nothing of a base domain; `tlsa_records_looked_up` finds that.
    """
    if not is_judged_by_dane(view, step):
        return
    asked = {canonical(fact.name) for _, fact in view.facts.tlsa_asked(step.name)}
    for demand in dane_demands(step.world, view.facts.domain):
        if demand.lookup_failed or demand.certificates is None or tlsa_name(demand.base) not in asked:
            continue
        hellos = hellos_to(view, step, demand.host)
        other = [(event, fact) for event, fact in hellos if canonical(fact.sni) != demand.base]
        if other:
            observed = f"the server name {other[0][1].sni!r}" if other[0][1].sni else "no server name"
            events = [event for event, _ in other]
            expected = f"the server name {demand.base}"
            row = RIGHT_SERVER_NAME if other[0][1].sni else SERVER_NAME
            yield view.broken(row, "not-the-base-domain", step.name, expected, observed, events)


@check(scope=Scope.STEP, obligations=(LEFT_ALONE,))
def unreachable_host_left_alone(view: CaseView, step: Step) -> Iterator[Judgement]:
    """No connection is made to a host about which a look-up failed (section 10)."""
    if not is_judged_by_dane(view, step):
        return
    for demand in _failed(step, view.facts.domain):
        met = [event for event, _ in view.connections(step, {demand.host})]
        if met:
            expected, observed = "no connection: a look-up about this host failed", f"a connection to {demand.host}"
            yield view.broken(LEFT_ALONE, "connected-to-unreachable-host", step.name, expected, observed, met)


@check(scope=Scope.STEP, obligations=(BY_PREFERENCE, TLSA_NO_PREFERENCE))
def hosts_tried_by_preference(view: CaseView, step: Step) -> Iterator[Judgement]:
    """Whether a host has TLSA records makes no difference to when it is tried (section 2.2.1)."""
    demands = {demand.host: demand for demand in dane_demands(step.world, view.facts.domain)}
    usable = [mx for mx in step.world.mx if mx.reachable and mx.address and not mx.by_address]
    if not is_judged_by_dane(view, step) or len({mx.preference for mx in usable}) < 2:
        return
    names = {absolute(mx.name, view.facts.domain): mx.preference for mx in usable}
    unknown = {host for host, demand in demands.items() if demand.lookup_failed}
    best = min((preference for host, preference in names.items() if host not in unknown), default=0)
    met = view.connections(step, names)
    if met and names[met[0][1].host] > best:
        event, host = met[0][0], met[0][1].host
        better = [one for one in names if names[one] < names[host]]
        row = TLSA_NO_PREFERENCE if host in demands and not set(better) & demands.keys() else BY_PREFERENCE
        first = min((one for one in better if one not in unknown), key=lambda one: names[one])
        expected, observed = (f"{one} first, of preference {names[one]}" for one in (first, host))
        yield view.broken(row, "not-by-preference", step.name, expected, observed, [event])


def _tlsa_names_known(view: CaseView, step: Step) -> set[str]:
    """Return the names of which the target looked up TLSA records in a step, or so shortly before that it knows them.

    Postfix goes on with an answer for a second or two, and a message that follows at once may need no look-up. Who did
    not ask for the domain's hosts either goes by what it was answered before, and it shows in what becomes of the mail
    whether that was the wrong thing.
    """
    times = view.step_times(step.name)
    began = times[0] if times else 0.0
    since = -math.inf if view.remembers_the_hosts(step) else began - view.about.dns_memory_seconds
    return {
        canonical(fact.name)
        for event, fact in view.facts.tlsa_asked()
        if event.step == step.name or since <= event.at <= began
    }


def is_judged_by_dane(view: CaseView, step: Step) -> bool:
    """Whether the step's message has to be sent as DANE wants it: not if it goes without TLS (RFC 8689, 4.2.2)."""
    if goes_without_tls(step.message):
        return False
    return view.case.has_dane and view.case.mode is not Mode.ABSENT and bool(_OF_DANE & set(view.about.capabilities))


def _failed(step: Step, domain: str) -> list[DaneDemand]:
    return [demand for demand in dane_demands(step.world, domain) if demand.lookup_failed]


def _state(mx: MxHost, step: Step) -> str:
    return mx.address_security or step.world.dns.security


def _first_address_answer(view: CaseView, step: Step, host: str) -> Event | None:
    """Return when an attempt of a step first asked for a host's addresses; None: whoever knows them need not ask."""
    since = view.attempts_began(step)
    asked = (
        event
        for event, fact in view.facts.of_kind(DnsAnswered, step.name)
        if fact.type in ("A", "AAAA") and canonical(fact.name) == host and event.at >= since
    )
    return next(asked, None)


def hellos_to(view: CaseView, step: Step, host: str) -> list[tuple[Event, ClientHelloSeen]]:
    """Return the client hellos of those connections."""
    sessions = {fact.session for _, fact in view.connections(step, {host})}
    return [(event, fact) for event, fact in view.facts.of_kind(ClientHelloSeen) if fact.session in sessions]
