"""What a speaker can say about an event. Only what is true wherever such an event occurs."""

from __future__ import annotations

from mta_sts_lab import events as facts
from mta_sts_lab.events import AnyFact


def note_of(fact: AnyFact) -> str:
    """Return a note about an event; empty where there is nothing to add."""
    match fact:
        case facts.DnsAnswered():
            return _of_dns(fact)
        case facts.PolicyRequested():
            return _of_policy(fact)
        case facts.RevocationListRequested(status=200):
            return "The mail server looks whether the authority has revoked the certificate. RFC 8461 permits that."
        case facts.SmtpSaid():
            return _of_smtp(fact)
        case facts.TlsEstablished(shown_by=shown_by):
            return _TLS_ENDS_AT_THE_ATTACKER if shown_by in _ATTACKERS else _TLS_IS_UP if not shown_by else ""
        case facts.TlsFailed(alert=alert) if alert:
            return "The mail server looked at the certificate, and left before it said who writes to whom."
        case facts.QueueSeen(state="deferred"):
            return "The mail server keeps the message and tries again. Nobody loses anything but time."
        case facts.MessageRead():
            return "Both ends see a normal delivery in their logs. Neither knows that somebody read along."
        case facts.ClockAdvanced():
            return "A policy lasts for max_age seconds from its fetch, and then has to be fetched anew."
        case facts.TargetRestarted():
            return "Policies have to be kept where a restart does not lose them."
        case facts.ReportReceived():
            return (
                "The mail server that met trouble is somebody else's. From reports the domain's owner learns what it"
                " met, and without them nothing."
            )
        case _:
            return ""


_ATTACKERS = ("swap_certificate", "downgrade_tls", "swap_policy_certificate")

_TLS_IS_UP = "From here on a closed pipe: who is on the path sees that two hosts talk, and no word of it."

_TLS_ENDS_AT_THE_ATTACKER = (
    "A closed pipe, and it ends at the attacker. Encryption is worth nothing if nobody checks who is at the other end."
)


def _of_dns(fact: facts.DnsAnswered) -> str:
    name = fact.name.lower()
    if fact.tampered_by:
        return "The attacker answers in the place of DNS. Nothing in this answer shows it."
    if fact.type == "TXT" and name.startswith("_mta-sts.") and not fact.answers:
        return "No policy record: as far as this answer says, the domain has no policy."
    if fact.type == "TXT" and name.startswith("_mta-sts."):
        return (
            "The record says that there is a policy, and its id. It is not the policy: a new id only means that there"
            " is a new one to fetch."
        )
    if fact.type == "TXT" and name.startswith("_smtp._tls.") and fact.answers:
        return "Where the domain wants reports on TLS. The record needs no policy: it can be there long before one."
    if fact.type == "MX" and fact.answers:
        return "Where does mail for the domain go? Whoever can forge this answer sends the mail where he likes."
    return ""


def _of_policy(fact: facts.PolicyRequested) -> str:
    if fact.status != 200:
        return "No policy comes of this answer. One that was fetched before lasts on."
    return (
        "The policy comes by HTTPS, from a host whose certificate is checked. Who can only change DNS answers cannot"
        " forge it. The mail server keeps it for max_age seconds."
    )


def _of_smtp(fact: facts.SmtpSaid) -> str:
    line = fact.line.upper()
    if fact.instead_of:
        return "Only here does the attacker change anything. Which of the two ends could notice it?"
    if fact.speaker != "sender":
        offered = line[4:].strip() == "STARTTLS"
        return "STARTTLS is an offer, made in clear text. It proves nothing, and its absence proves nothing." * offered
    if line.startswith("MAIL") and not fact.secured:
        return "From here on it is said in clear text who writes to whom."
    if line.startswith("EHLO") and not fact.secured:
        return "EHLO asks what the host can do. All of this is still in clear text."
    return ""
