"""What may follow from the policy record: nothing, if it has to be skipped (RFC 8461, section 3.1). And how the policy
host is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.events import (
    ClientHelloSeen,
    ClockAdvanced,
    ConnectionAccepted,
    DnsAnswered,
    Event,
    PolicyRequested,
)
from mta_sts_lab.judge.checks import Scope, check
from mta_sts_lab.judge.policies_in_force import record_answers
from mta_sts_lab.judge.view import CaseView
from mta_sts_lab.model.case import Step
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.rfc.domain_names import canonical, policy_record_name, without_brackets
from mta_sts_lab.rfc.txt_records import STS_VERSION, select, sts_record

NOT_ONE_RECORD = "STS-3.1-11"
MALFORMED_RECORD = "STS-3.1-12"
SERVER_NAME = "STS-7.1-02"
HTTPS_ALONE = "STS-3.3-19"
NOT_OF_THE_PARENT = "STS-3.4-03"
NONE_OF_AN_ADDRESS = "STS-3.4-02"

#: Seconds. A policy request that comes later need not have come of the record: a sender may renew a policy by itself.
FOLLOWS_WITHIN = 10.0


@check(scope=Scope.CASE, obligations=(SERVER_NAME,))
def policy_host_named_in_client_hello(view: CaseView) -> Iterator[Judgement]:
    """The client hello to a policy host names that host (RFC 8461, section 7.1).

    Who follows a redirect to another host names that one, and breaks another rule.
    """
    elsewhere = {fact.session for _, fact in view.facts.of_kind(PolicyRequested) if fact.redirected}
    hosts = {
        fact.session: fact.host
        for _, fact in view.facts.of_kind(ConnectionAccepted)
        if fact.role == "policy-host" and fact.session not in elsewhere
    }
    hellos = [(event, fact) for event, fact in view.facts.of_kind(ClientHelloSeen) if fact.session in hosts]
    wrong = [(event, fact) for event, fact in hellos if canonical(fact.sni) != canonical(hosts[fact.session])]
    if wrong:
        event, fact = wrong[0]
        expected, observed = f"the server name {hosts[fact.session]}", f"the server name {fact.sni!r}"
        yield view.broken(SERVER_NAME, "policy-host-not-named", event.step, expected, observed, [event])


@check(scope=Scope.EVERY_STEP, obligations=(NOT_ONE_RECORD, MALFORMED_RECORD))
def no_policy_request_on_invalid_record(view: CaseView, step: Step) -> Iterator[Judgement]:
    """No policy request follows from a record that must be skipped, whatever the sender has in its cache.

    Where the scenario itself counts the requests, that says the same.
    """
    counted = [one.expect.policy_requests for one in view.case.steps if one.expect and one.expect.policy_requests]
    if any(bounds.most == 0 for bounds in counted):
        return
    answers = [(event.at, records) for event, records in record_answers(view.facts, step.name) if records]
    for event, fact in view.facts.of_kind(PolicyRequested, step.name):
        before = [(at, records) for at, records in answers if at <= event.at]
        if fact.redirected or not before or any(sts_record(records).valid for _, records in before):
            continue
        if _follows_from_an_earlier_record(view, event):
            continue
        at, records = before[-1]
        if event.at - at <= FOLLOWS_WITHIN:
            several = select(records, STS_VERSION) is None
            yield view.broken(
                NOT_ONE_RECORD if several else MALFORMED_RECORD,
                "policy-requested-on-invalid-record",
                step.name,
                "no policy request: the record has to be skipped",
                f"a request for {fact.path} after {b' and '.join(records).decode('ascii', 'backslashreplace')!r}",
                [event],
            )
            return


def _follows_from_an_earlier_record(view: CaseView, request: Event) -> bool:
    """Whether a valid record of any step was got shortly before a policy request, and no policy since.

    On a slow machine a fetch may begin in the next step. A record that has led to a policy leads to no second one, and
    neither does a later answer with the same record while the clock stays as it is.
    """
    since = max((event.at for event in view.facts.policy_fetched(request.at)), default=0.0)
    valid = [(event.at, records) for event, records in record_answers(view.facts) if sts_record(records).valid]
    moved = any(since < event.at <= request.at for event, _ in view.of_run.of_kind(ClockAdvanced))
    had_led = [] if moved else [records for at, records in valid if at <= since]
    return any(
        max(since, request.at - FOLLOWS_WITHIN) < at <= request.at and records not in had_led for at, records in valid
    )


@check(scope=Scope.CASE, obligations=(HTTPS_ALONE,))
def no_policy_over_plain_http(view: CaseView) -> Iterator[Judgement]:
    """Policies come by HTTPS alone (RFC 8461, section 3.3), so that nobody has business at port 80 of a policy host."""
    met = [event for event, fact in view.facts.of_kind(ConnectionAccepted) if fact.role == "plain-policy-host"]
    if met:
        expected, observed = "HTTPS alone", "a connection to port 80 of the policy host"
        yield view.broken(HTTPS_ALONE, "policy-sought-over-http", met[0].step, expected, observed, met)


@check(scope=Scope.CASE, obligations=(NOT_OF_THE_PARENT,))
def no_policy_of_the_parent(view: CaseView) -> Iterator[Judgement]:
    """The policy of the domain above is none of this domain's (RFC 8461, section 3.4), and is not asked for."""
    if not view.case.steps[0].world.parent_policy:
        return
    name = policy_record_name(view.facts.domain.partition(".")[2])
    asked = [
        event for event, fact in view.facts.of_kind(DnsAnswered) if fact.type == "TXT" and canonical(fact.name) == name
    ]
    met = [event for event, fact in view.facts.of_kind(ConnectionAccepted) if fact.role == "parent-policy-host"]
    if asked or met:
        expected, observed = "no look at the policy of the domain above", f"a query for {name}"
        events = asked or met
        yield view.broken(NOT_OF_THE_PARENT, "policy-of-the-parent-sought", events[0].step, expected, observed, events)


@check(scope=Scope.CASE, obligations=(NONE_OF_AN_ADDRESS,))
def no_policy_of_an_address(view: CaseView) -> Iterator[Judgement]:
    """An address in the place of a domain has no policy (RFC 8461, section 3.4): there is nothing to look up."""
    if all(step.message.to != "address" for step in view.case.steps):
        return
    addresses = {fact.address for _, fact in view.facts.of_kind(ConnectionAccepted)}
    asked = [
        (event, fact)
        for event, fact in (*view.facts.of_kind(DnsAnswered), *view.of_run.of_kind(DnsAnswered))
        if fact.type == "TXT" and _literal_in(fact.name) in addresses
    ]
    if asked:
        event, fact = asked[0]
        step = next(one.name for one in view.case.steps if one.message.to == "address")
        expected, observed = "no look-up of a policy for an address", f"a query for {fact.name}"
        yield view.broken(NONE_OF_AN_ADDRESS, "policy-of-an-address-sought", step, expected, observed, [event])


def _literal_in(name: str) -> str:
    """Return the address at which a policy record is asked for; empty if the name is of another kind."""
    label, _, rest = canonical(name).partition(".")
    return without_brackets(rest) if label == "_mta-sts" else ""
