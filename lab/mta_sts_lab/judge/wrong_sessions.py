"""What is wrong with a session inside TLS to which no mail may go: host, version, certificate, or a look-up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mta_sts_lab.events import ConnectionAccepted, TlsEstablished
from mta_sts_lab.judge.facts import CaseFacts
from mta_sts_lab.judge.protection import LOOKUP_FAILED
from mta_sts_lab.model.world import CERTIFICATES_THAT_VERIFY


class Wrong(StrEnum):
    """What is wrong, as it stands in a reason code."""

    HOST = "at-an-unlisted-host"
    VERSION = "inside-an-old-tls-version"
    CERTIFICATE = "under-a-bad-certificate"
    LOOK_UP = "after-a-failed-look-up"
    #: The record does not show to whom it led, so that nobody can say whether anything is wrong.
    UNKNOWN = "in-a-session-not-on-record"


@dataclass(frozen=True, slots=True)
class WrongSession:
    """What is wrong with a session, and the same in words: "inside TLSv1, which ended at the attacker"."""

    wrong: Wrong
    words: str


def wrong_session(facts: CaseFacts, session: str) -> WrongSession:
    """Say why a session inside TLS does not lead to an authenticated host.

    A host may show a certificate that is valid for its own name, and the policy does not list that name. An attacker
    who shows one that is valid for the host can only have made the TLS version older (`downgrade_tls`).
    """
    leg, tls = facts.session(session).accepted, facts.session(session).established
    if leg is None or tls is None:
        return WrongSession(Wrong.UNKNOWN, "inside TLS, in a session whose handshake is not on record")
    genuine, breach = tls.shown_by in ("", leg.host), facts.breach_in(session, secured=True)
    if breach is not None and breach.obligation == LOOKUP_FAILED:
        return WrongSession(Wrong.LOOK_UP, f"at {breach.observed}")
    by_pkix = tls.certificate in CERTIFICATES_THAT_VERIFY
    if not (facts.authenticates(session, leg.host, tls.certificate) if genuine else by_pkix):
        return WrongSession(Wrong.CERTIFICATE, _under_a_certificate(leg, tls))
    if genuine:
        listed = breach is None
        which = "is not a host of the domain" if listed else "matches no mx pattern of the policy in force"
        return WrongSession(Wrong.HOST, f"at {leg.host}, which {which}")
    words = f"inside {tls.version}, which ended at the attacker, under a certificate that is valid for {leg.host}"
    return WrongSession(Wrong.VERSION, words)


def _under_a_certificate(leg: ConnectionAccepted, tls: TlsEstablished) -> str:
    shown_by = leg.host if tls.shown_by in ("", leg.host) else "the attacker"
    return f"inside TLS, under the certificate variant '{tls.certificate}' that {shown_by} showed"
