"""Checks a delivery without an attack: is the target up, does it accept mail, does the mail arrive? If not, why?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status, at
from mta_sts_lab.adapter_check.probes import HONEST, POLICY
from mta_sts_lab.events import (
    BounceReceived,
    ConnectionAccepted,
    DeadlinePassed,
    DnsAnswered,
    InjectionRefused,
    LabFailed,
    LogRead,
    QueueSeen,
    SmtpSaid,
    TargetFailed,
    TlsFailed,
)
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.targets.contract import MTA_STS
from mta_sts_lab.targets.contract_http import name_unknown

CONTRACT, MAIL_PORT, RELAY = "contract", "mail port", "relay"
RESOLVER, ADDRESSES, TLS, DELIVERY = "resolver", "special addresses", "TLS to MX hosts", "honest delivery"

_AFTER_RELAY = (RESOLVER, ADDRESSES, TLS, DELIVERY)


def honest_delivery(view: AdapterView) -> Iterator[Finding]:
    """Return the findings on one message without an attack, from the target's start to the message's arrival."""
    contract = _contract(view)
    yield contract
    if contract.status is not Status.OK:
        yield from _skipped((MAIL_PORT, RELAY, *_AFTER_RELAY), CONTRACT)
        return
    if view.about.unknown:
        yield Finding(
            "GET /about",
            Status.FAULT,
            f"says what the contract does not know: {name_unknown(view.about.unknown)}",
            "about-unknown-member",
            "What is not known counts as left out. `sts-lab docs adding-an-mta` lists members and capabilities.",
        )
    port = _mail_port(view)
    yield port
    if port.status is not Status.OK:
        yield from _skipped((RELAY, *_AFTER_RELAY), MAIL_PORT)
        return
    yield from _way_of_the_message(view, HONEST)


def why_not_ready(view: AdapterView, with_policy: bool = False) -> Finding | None:
    """Return why a run against this target would prove nothing, from the probes before it; None if it is ready.

    `with_policy`: also why mail does not arrive under a policy, with everything in order. If the lab itself failed the
    result is None: the cases will have the same failure, and report it.
    """
    if any(isinstance(event.fact, LabFailed) for event in view.events):
        return None
    honest = (
        found for found in _way_of_the_message(view, HONEST) if found.status in (Status.FAULT, Status.INCONCLUSIVE)
    )
    # The cases find a sender that sends in clear although TLS is offered.
    found = next((one for one in honest if one.part != TLS), None)
    if found is not None and found.part != RELAY and (broken := _broken_contract(view)):
        return broken
    if found is not None or not (view.claims(MTA_STS) and view.played(POLICY)):
        return found
    unfetched = policy_fetch(view, POLICY)
    if unfetched.status is Status.FAULT:
        return unfetched
    late = _way_of_the_message(view, POLICY) if with_policy else ()
    return next((one for one in late if one.status is Status.FAULT), None)


def _broken_contract(view: AdapterView) -> Finding | None:
    """Return what the target broke of the contract, if it did: then nothing is known of how the mail fared."""
    broke = view.of_run.of_kind(TargetFailed)
    if not broke:
        return None
    return Finding(
        CONTRACT,
        Status.FAULT,
        broke[0][1].what,
        "contract-broken",
        "A hook that is there has to work; one that is not there at all is no fault, and the lab does without it.",
        at([event for event, _ in broke]),
    )


def _skipped(parts: tuple[str, ...], because: str) -> Iterator[Finding]:
    for part in parts:
        yield Finding(part, Status.SKIPPED, f"not tried: first the {because}")


def _contract(view: AdapterView) -> Finding:
    tries = view.tries("about")
    if not tries:
        return Finding(CONTRACT, Status.INCONCLUSIVE, "GET /about was never asked")
    event, last = tries[-1]
    if not last.reached:
        return Finding(
            CONTRACT,
            Status.FAULT,
            last.error,
            "contract-unreachable",
            "Nobody answers HTTP there. A container starts a contract server (contract_server.py, see "
            "`sts-lab docs adding-an-mta`), on 0.0.0.0 and the port that [contract] in target.toml names. A program "
            "without a container has one where it has hooks, for as long as it runs.",
            at([event]),
        )
    if not last.offered or last.error:
        return Finding(
            CONTRACT,
            Status.FAULT,
            last.error or "GET /about answers 404",
            "about-broken",
            'The hook `about` must be an executable (chmod +x) that prints one JSON object with "contract": 1 and a '
            '"name". A script begins with #! and a program that is there, and its lines end in LF, not CR LF.',
            at([event]),
        )
    return Finding(CONTRACT, Status.OK, f"GET /about answers: {view.about.name}", evidence=at([event]))


def _mail_port(view: AdapterView) -> Finding:
    tries = view.tries("smtp")
    if not tries or tries[-1][1].error:
        return Finding(
            MAIL_PORT,
            Status.FAULT,
            tries[-1][1].error if tries else "never tried",
            "mail-port-closed",
            "The mail server must greet on 0.0.0.0 and the port that [inject] in target.toml names (25 if it names "
            "none) within `ready_seconds`. Its log is beside the record.",
            at([event for event, _ in tries[-1:]]),
        )
    return Finding(MAIL_PORT, Status.OK, f"greets, {tries[-1][1].seconds:.1f} s after the lab began to look")


def _way_of_the_message(view: AdapterView, case: Case) -> Iterator[Finding]:
    facts = view.facts(case)
    refused = facts.of_kind(InjectionRefused)
    if refused:
        event, refusal = refused[0]
        yield Finding(
            RELAY,
            Status.FAULT,
            f"mail for {refusal.recipient} was refused: {refusal.reply}",
            "relay-refused",
            "The mail server must relay whatever comes from the network in LAB_PREFIX to any domain (Postfix: "
            "mynetworks), without asking DNS or a filter about it.",
            at([event]),
        )
        yield from _skipped(_AFTER_RELAY, RELAY)
        return
    message = view.message(case, case.steps[0].name)
    if message is None:
        broke = [*facts.of_kind(TargetFailed), *view.of_run.of_kind(TargetFailed)]
        why = f": {broke[0][1].what}" if broke else ""
        yield Finding(RELAY, Status.INCONCLUSIVE, f"no message was injected{why}", evidence=at([e for e, _ in broke]))
        yield from _skipped(_AFTER_RELAY, RELAY)
        return
    yield Finding(RELAY, Status.OK, "takes mail from the lab for any domain")
    yield from _to_the_host(view, facts, message.outcome())


def _to_the_host(view: AdapterView, facts: CaseFacts, outcome: Outcome) -> Iterator[Finding]:
    asked = facts.of_kind(DnsAnswered)
    if not asked:
        yield Finding(
            RESOLVER,
            Status.FAULT,
            f"nobody asked the lab's name server about {facts.domain}; {_held_because(view, facts, outcome)}",
            "resolver-not-used",
            "Either the mail server delivers nothing, and its log may say why, or it asks another name server: write "
            "`nameserver $LAB_DNS` into /etc/resolv.conf before it starts (the lab has done so for a program in "
            "namespaces), and give a mail server with a resolver or a chroot of its own the same address.",
        )
        yield from _skipped(_AFTER_RELAY[1:], RESOLVER)
        return
    yield Finding(
        RESOLVER, Status.OK, f"{len(asked)} queries came to the lab's name server", evidence=at([asked[0][0]])
    )
    connected = [event for event, fact in facts.of_kind(ConnectionAccepted) if fact.role == "mx"]
    if not connected:
        answers = [f"{fact.type} {fact.name}: {' '.join(fact.answers) or fact.rcode}" for _, fact in asked][-3:]
        because = _held_because(view, facts, outcome)
        code, remedy = _no_connection(because)
        yield Finding(
            ADDRESSES,
            Status.FAULT,
            f"the name server was asked ({'; '.join(answers)}), and no connection came; {because}",
            code,
            remedy,
            at([event for event, _ in asked]),
        )
        yield from _skipped(_AFTER_RELAY[2:], ADDRESSES)
        return
    yield Finding(ADDRESSES, Status.OK, "connects to 198.18.0.0/15", evidence=at(connected))
    yield _tls(facts, outcome)
    yield _arrival(view, facts, outcome)


#: Words of mail servers that leave addresses out.
_ADDRESSES_REFUSED = re.compile(r"ignored|reserved|bogon|benchmark|not routable|198\.18\.0\.0/15", re.IGNORECASE)


def _no_connection(because: str) -> tuple[str, str]:
    """Return code and remedy for a host that was looked up and never connected to, by the mail server's words."""
    if _ADDRESSES_REFUSED.search(because):
        return (
            "special-addresses-refused",
            "The world of the lab lies in 198.18.0.0/15, reserved for benchmarks. Take it off the mail server's list "
            "of addresses that it does not send to (Exim: ignore_target_hosts), and let it use IPv4.",
        )
    return (
        "no-connection",
        "The mail server knew the host and never connected to it. The words of its queue and its log, beside the "
        "record, say why: a policy plug-in that does not answer, a table that is missing, an address to send from.",
    )


def _tls(facts: CaseFacts, outcome: Outcome) -> Finding:
    failed = facts.of_kind(TlsFailed)
    if failed or (not outcome.delivered and _left_after_the_handshake(facts)):
        alert = failed[0][1].alert if failed else "left after the handshake, without a MAIL FROM"
        return Finding(
            TLS,
            Status.FAULT,
            f"a valid certificate of the lab's CA was not accepted: {alert}",
            "ca-not-trusted",
            "The CA in /lab/ca.pem must be trusted for MX hosts: give it to the mail server as its CA file, or install "
            "it (update-ca-certificates) before the mail server starts.",
            at([event for event, _ in failed]),
        )
    if outcome is Outcome.DELIVERED_CLEAR:
        return Finding(
            TLS,
            Status.FAULT,
            "the message went in clear although the host offers STARTTLS",
            "starttls-not-used",
            "Switch on TLS for outgoing mail where it is offered (Postfix: smtp_tls_security_level = may).",
        )
    if outcome is Outcome.DELIVERED_AUTHENTICATED:
        return Finding(TLS, Status.OK, "the message went inside TLS, under a certificate of the lab's CA")
    return Finding(TLS, Status.SKIPPED, "no message arrived")


def _left_after_the_handshake(facts: CaseFacts) -> bool:
    secured = [fact for _, fact in facts.of_kind(SmtpSaid) if fact.secured and fact.speaker == "sender"]
    envelope = any(fact.line.upper().startswith("MAIL") for fact in secured)
    started = any(fact.line.upper().startswith("STARTTLS") for _, fact in facts.of_kind(SmtpSaid))
    return started and not envelope


def _arrival(view: AdapterView, facts: CaseFacts, outcome: Outcome) -> Finding:
    if outcome.delivered:
        return Finding(DELIVERY, Status.OK, "the message arrived")
    said = [fact.line for _, fact in facts.of_kind(SmtpSaid)][-2:]
    dialogue = f"; the last words with the host: {' / '.join(said)}" if said else ""
    return Finding(
        DELIVERY,
        Status.FAULT,
        f"the message did not arrive; {_held_because(view, facts, outcome)}{dialogue}",
        "not-delivered",
        "Everything about this domain is in order: the log of the mail server, beside the record, says what it minds.",
    )


def _held_because(view: AdapterView, facts: CaseFacts, outcome: Outcome) -> str:
    """Return why a message is held, from the target's queue or log if it shows them."""
    bounces = [fact.diagnostic or fact.status for _, fact in facts.of_kind(BounceReceived)]
    if bounces:
        return f"it was returned: {bounces[-1]}"
    held = [fact.reason for _, fact in facts.of_kind(QueueSeen) if fact.reason]
    if held:
        return f"its queue says: {held[-1]}"
    lines = [line for _, fact in view.of_run.of_kind(LogRead) for line in fact.lines if facts.domain in line]
    if lines:
        return f"its log says: {lines[-1]}"
    passed = [fact.waited_for for _, fact in facts.of_kind(DeadlinePassed)]
    return f"waited for in vain: {passed[-1]}" if passed else f"the message is {outcome.value}"


def policy_fetch(view: AdapterView, case: Case) -> Finding:
    """Return whether the policy of a domain without attacks was fetched, and if not, why."""
    part = "claims mta-sts: fetches policies"
    facts = view.facts(case)
    fetched = facts.policy_fetched(before=float("inf"))
    if fetched:
        return Finding(part, Status.OK, "the policy of an honest domain was fetched over HTTPS", evidence=at(fetched))
    reached = facts.policy_host_reached()
    hosts = {fact.session for _, fact in facts.of_kind(ConnectionAccepted) if fact.role == "policy-host"}
    failed = [(event, fact) for event, fact in facts.of_kind(TlsFailed) if fact.session in hosts]
    if failed:
        return Finding(
            part,
            Status.FAULT,
            f"the policy host's certificate, valid and of the lab's CA, was not accepted: {failed[0][1].alert}",
            "ca-not-trusted-by-fetcher",
            "The CA in /lab/ca.pem must be trusted for policy hosts, too; whatever fetches policies may have a list of "
            "its own (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS).",
            at([event for event, _ in failed]),
        )
    txt = facts.policy_asked()
    observed = "the policy host was reached, and no policy fetched" if reached else "the policy host was never reached"
    if not txt:
        observed = f"the name server was never asked for _mta-sts.{facts.domain}"
    return Finding(
        part,
        Status.FAULT,
        observed,
        "claimed-and-not-there",
        'MTA-STS is claimed in "capabilities" of GET /about and was not seen. Is the part that fetches policies '
        "running, does it use the lab's resolver, and does the mail server ask it? If there is none, do not claim it.",
        at(txt + reached),
    )
