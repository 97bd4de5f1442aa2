"""How a sender that does DANE begins its handshakes, beside the server name (RFC 7672, section 8, and RFC 7671)."""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.events import ClientHelloSeen, Event
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.checks.dane import hellos_to, is_judged_by_dane
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import MxHost
from mta_sts_lab.rfc.client_hello import authenticates_server
from mta_sts_lab.rfc.dane_demands import dane_demands, is_usable
from mta_sts_lab.rfc.domain_names import absolute
from mta_sts_lab.rfc.tlsa import DANE_EE, PUBLIC_KEY

NOT_SSL2 = "DANE-8.1-02"
USUAL_SUITES = "DANE-8.2-01"
NO_BARE_KEYS = "OPS-5.1-01"


@check(scope=Scope.STEP, obligations=(NOT_SSL2, USUAL_SUITES, NO_BARE_KEYS), of_the_run=True)
def handshake_begins_as_dane_wants_it(view: CaseView, step: Step) -> Iterator[Judgement]:
    """The hello to a host with TLSA records has room for its name, and offers what such a host can answer to."""
    if not is_judged_by_dane(view, step):
        return
    hosts = {absolute(mx.name, view.facts.domain): mx for mx in step.world.mx}
    for demand in dane_demands(step.world, view.facts.domain):
        if demand.lookup_failed or demand.certificates is None:
            continue
        hellos = hellos_to(view, step, demand.host)
        yield from _ssl2(view, step, [event for event, fact in hellos if fact.ssl2_form])
        yield from _suites(view, step, hellos)
        if not _has_bare_key(hosts[demand.host]):
            yield from _bare_keys(view, step, [event for event, fact in hellos if fact.raw_public_keys])


def _ssl2(view: CaseView, step: Step, hellos: list[Event]) -> Iterator[Judgement]:
    if hellos:
        expected, observed = "a hello of TLS, which has room for the server name", "one in the form of SSL 2.0"
        yield view.broken(NOT_SSL2, "hello-of-ssl2", step.name, expected, observed, hellos)


def _suites(view: CaseView, step: Step, hellos: list[tuple[Event, ClientHelloSeen]]) -> Iterator[Judgement]:
    anonymous = [
        event for event, fact in hellos if fact.cipher_suites and not any(map(authenticates_server, fact.cipher_suites))
    ]
    if anonymous:
        expected, observed = "cipher suites with a certificate of the server", "none but anonymous suites"
        yield view.broken(USUAL_SUITES, "anonymous-suites-alone", step.name, expected, observed, anonymous)


def _bare_keys(view: CaseView, step: Step, hellos: list[Event]) -> Iterator[Judgement]:
    if hellos:
        expected = "no offer of bare keys (RFC 7250): no TLSA record is one of usage 3 and selector 1"
        yield view.broken(NO_BARE_KEYS, "bare-keys-offered", step.name, expected, "such an offer", hellos)


def _has_bare_key(mx: MxHost) -> bool:
    """Whether a TLSA record of a host can vouch for a bare key."""
    records = (*mx.tlsa, *mx.tlsa_of_alias)
    return any(one.usage == DANE_EE and one.selector == PUBLIC_KEY and is_usable(one) for one in records)
