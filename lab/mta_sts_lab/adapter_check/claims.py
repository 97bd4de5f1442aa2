"""Checks the claims: does the target have each capability that GET /about names?"""

from __future__ import annotations

from collections.abc import Iterator

from mta_sts_lab.adapter_check.delivery import policy_fetch
from mta_sts_lab.adapter_check.finding import AdapterView, Finding, Status, at, name_of
from mta_sts_lab.adapter_check.probes import (
    CACHE,
    HONEST,
    KNOWN_POLICY,
    PERSISTENT,
    POLICY_UNCLAIMED,
    REPORTED,
    STRANGER,
    UNTRUSTED,
)
from mta_sts_lab.events import NotSupported, ReportReceived, ReportsLeft
from mta_sts_lab.judge.arrivals import Arrival, arrival_of
from mta_sts_lab.model.case import Case
from mta_sts_lab.model.grading import Outcome
from mta_sts_lab.model.target import CAPABILITIES
from mta_sts_lab.targets.contract import MTA_STS, TLS_RPT

#: The capabilities that the lab has cases for.
PROBED = (MTA_STS, TLS_RPT)

#: What a mail server does with mail that it does not send: the adapter lets it know the policy either way.
_NOT_SENT = (Outcome.DEFERRED, Outcome.BOUNCED)

_BROUGHT = {"https": "posted to", "mail": "mailed to"}


def the_claims(view: AdapterView) -> Iterator[Finding]:
    """Return a finding for each claimed capability, and for those that the target has without claiming them."""
    if not view.played(HONEST) or not view.played(KNOWN_POLICY if view.claims(MTA_STS) else POLICY_UNCLAIMED):
        yield Finding("claims", Status.SKIPPED, "not tried: mail has to arrive first")
        return
    yield from _mta_sts(view) if view.claims(MTA_STS) else _unclaimed(view)
    if view.claims(TLS_RPT):
        yield _tls_rpt(view)
    elif any(fact.offered and not fact.error for _, fact in view.tries("reports")):
        yield Finding(
            "does not claim tls-rpt",
            Status.FAULT,
            f"{name_of('reports')} answers, and yet tls-rpt is not claimed: nobody would ever ask it",
            "there-and-not-claimed",
            'Add "tls-rpt" to "capabilities" of GET /about, or leave the hook `reports` out.',
            at([event for event, _ in view.tries("reports")]),
        )
    for capability in sorted(set(view.about.capabilities) & set(CAPABILITIES) - set(PROBED)):
        yield Finding(
            f"claims {capability}",
            Status.NOT_PROVABLE,
            "this check does not look; `sts-lab run` does where there are cases",
        )


def _unclaimed(view: AdapterView) -> Iterator[Finding]:
    fetched = view.facts(POLICY_UNCLAIMED).policy_fetched(float("inf"))
    if fetched:
        yield Finding(
            "does not claim mta-sts",
            Status.FAULT,
            "the policy of an honest domain was fetched, and yet mta-sts is not claimed",
            "there-and-not-claimed",
            'Add "mta-sts" to "capabilities" of GET /about.',
            at(fetched),
        )
    else:
        yield Finding(
            "trusts the lab's CA for MX hosts",
            Status.NOT_PROVABLE,
            "mail without a policy is delivered inside TLS whether the certificate is trusted or not; the log of "
            "the mail server may tell",
        )


def _mta_sts(view: AdapterView) -> Iterator[Finding]:
    fetch = policy_fetch(view, KNOWN_POLICY)
    yield fetch
    if fetch.status is not Status.OK:
        yield Finding("claims mta-sts: enforces policies", Status.SKIPPED, "not tried: no policy was fetched")
        return
    again = view.outcome(KNOWN_POLICY, "again") or view.outcome(KNOWN_POLICY, "learn")
    if again is None or not again.delivered:
        yield Finding(
            "claims mta-sts: trusts the lab's CA for MX hosts",
            Status.FAULT,
            f"under an enforced policy, with everything in order, mail was {_text(again)}",
            "ca-not-trusted",
            "The CA in /lab/ca.pem must be trusted for MX hosts where a policy demands a valid certificate (Postfix: "
            "smtp_tls_CAfile); the queue's reason and the log say what the mail server minds.",
        )
    else:
        yield _trust(view)
    yield _enforces(view)
    yield _cache(view)


def _trust(view: AdapterView) -> Finding:
    part = "claims mta-sts: trusts the lab's CA for MX hosts"
    if view.outcome(UNTRUSTED, "held") in _NOT_SENT:
        return Finding(
            part, Status.OK, "delivers to a certificate of the lab's CA under an enforced policy, and to no other"
        )
    became = view.outcome(UNTRUSTED, "held")
    return Finding(
        part,
        Status.NOT_PROVABLE,
        f"delivers under an enforced policy; but mail for a host with an untrusted certificate was {_text(became)}, "
        "so nothing shows whose certificates it looks at",
    )


def _enforces(view: AdapterView) -> Finding:
    part = "claims mta-sts: enforces policies"
    became = view.outcome(STRANGER, "held")
    if became is Outcome.DEFERRED:
        return Finding(part, Status.OK, "mail for a host that the policy does not name is held")
    if became is Outcome.BOUNCED:
        return Finding(
            part,
            Status.FINDING,
            "mail for a host that the policy does not name is not sent, but returned at once instead of held",
            "returned-under-a-policy",
            "The adapter is in order. Mail waits under RFC 8461, section 5: `sts-lab run` judges the mail server.",
        )
    if became is None or became is Outcome.UNSETTLED:
        return Finding(part, Status.INCONCLUSIVE, f"mail for a host that the policy does not name was {_text(became)}")
    return Finding(
        part,
        Status.FAULT,
        f"mail for a host that the enforced policy does not name was {_text(became)}, although the policy was fetched",
        "claimed-and-not-there",
        "Does the mail server ask the part that fetches policies before each delivery (Postfix: smtp_tls_policy_maps)? "
        'If so, this is a finding about the mail server: `sts-lab run` tells more. If not, do not claim "mta-sts".',
        at(_copies(view, STRANGER)),
    )


def _copies(view: AdapterView, case: Case) -> list:  # type: ignore[type-arg]
    message = view.message(case, "held")
    return [event for event, _ in message.copies()] if message else []


def _cache(view: AdapterView) -> Finding:
    part = f'says "policy_cache": "{view.about.policy_cache}"'
    if not view.played(CACHE) or view.facts(CACHE).of_kind(NotSupported):
        return Finding(part, Status.NOT_PROVABLE, f"{name_of('restart')} cannot be used")
    if view.outcome(STRANGER, "held") not in _NOT_SENT:
        return Finding(part, Status.NOT_PROVABLE, "a policy that is not enforced shows nothing")
    became = view.outcome(CACHE, "killed")
    if became is None or became is Outcome.UNSETTLED:
        return Finding(part, Status.INCONCLUSIVE, f"after a restart the message was {_text(became)}")
    kept = became in _NOT_SENT
    if kept == (view.about.policy_cache == PERSISTENT):
        return Finding(part, Status.OK, f"a policy is {'kept' if kept else 'forgotten'} over a restart")
    return Finding(
        part,
        Status.FAULT,
        f"a policy is {'kept' if kept else 'forgotten'} over a restart: the message was {_text(became)}",
        "policy-cache-belied",
        f'Say "policy_cache": "{PERSISTENT if kept else "volatile"}" in GET /about, or keep the cache on disk.',
    )


def _tls_rpt(view: AdapterView) -> Finding:
    part = "claims tls-rpt"
    arrived = [
        (case, arrival_of(event, fact))
        for case in (REPORTED, KNOWN_POLICY)
        for event, fact in view.facts(case).of_kind(ReportReceived)
    ]
    right = [arrival.event for case, arrival in arrived if arrival.is_about(view.facts(case).domain)]
    if right:
        return Finding(part, Status.OK, "a report about an honest domain arrived", evidence=at(right))
    if arrived:
        return Finding(
            part,
            Status.FAULT,
            f"what arrived is no report about the domain: {_no_report(arrived[-1][1])}",
            "no-report-in-it",
            "A report is JSON as RFC 8460, section 4.4 has it, posted or mailed, gzipped or not, with the domain in "
            "policy-domain. It is in the run's folder: `sts-lab report-check` says what is wrong with one.",
            at([arrival.event for _, arrival in arrived]),
        )
    left = view.of_run.of_kind(ReportsLeft)
    if not left:
        return Finding(
            part,
            Status.FAULT,
            f"{name_of('reports')} could not be asked",
            "claimed-and-not-there",
            "A target that claims tls-rpt needs the hook `reports`: nobody can wait for the end of a day.",
        )
    return Finding(
        part,
        Status.FAULT,
        f"no report arrived, although {name_of('reports')} says that all have left",
        "claimed-and-not-there",
        "The hook must return when every report that is due has left, also that of a day that has not ended. Reports "
        "go where the domain's _smtp._tls record says, over HTTPS under the CA in /lab/ca.pem.",
        at([left[-1][0]]),
    )


def _no_report(arrival: Arrival) -> str:
    domains = ", ".join(sorted(set(arrival.parsed.policy_domains))[:3]) or "none"
    what = f"a report about {domains}" if arrival.parsed.content else arrival.parsed.problem
    return f"{arrival.fact.size} octets {_BROUGHT[arrival.fact.transport]} {arrival.fact.place}: {what}"


def _text(outcome: Outcome | None) -> str:
    return outcome.value if outcome else "never sent"
