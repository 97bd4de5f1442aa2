"""The types of attack, by channel (SMTP, DNS, HTTPS), and the decorators that make a function one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mta_sts_lab.attacks.toolkit.instructions import Script
from mta_sts_lab.attacks.toolkit.session import Session
from mta_sts_lab.model.case import PUBLISHED_POLICY, AttackForm
from mta_sts_lab.model.world import CERTIFICATE_VARIANTS, WITH_REVOCATION_LIST
from mta_sts_lab.world.zone import Answer, Question

__all__ = [
    "FAMILY",
    "HOST",
    "SHOWN_CERTIFICATES",
    "Attack",
    "Block",
    "DnsAttack",
    "DnsContext",
    "HttpsAttack",
    "Parameters",
    "Script",
    "Session",
    "ShowCertificate",
    "SmtpAttack",
    "UnknownParameter",
    "complete",
    "dns_attack",
    "https_attack",
    "smtp_attack",
]

Parameters: TypeAlias = Mapping[str, str | int]

#: The values that each parameter may have; the first is the default.
Choices: TypeAlias = Mapping[str, tuple[str | int, ...]]

#: The parameter that every attack on SMTP takes beside its own: the relative name of the one MX host that is attacked.
#: Without it all MX hosts of the domain are.
HOST = "host"

#: The same for the family of the one address that is attacked. Without it the host is at each of its addresses.
FAMILY = "family"

#: Certificates that an attacker can show. Of these only the default is sure to be refused by everybody who verifies. A
#: wildcard is a valid certificate, shown by the wrong host; nobody can refuse it. A list of revoked certificates is had
#: from the case's own hosts alone.
_NEVER_SHOWN = ("valid", "untrusted", *WITH_REVOCATION_LIST)
SHOWN_CERTIFICATES = ("untrusted", *(kind for kind in CERTIFICATE_VARIANTS if kind not in _NEVER_SHOWN))


class UnknownParameter(ValueError):
    """A parameter, or a value of one, that the attack does not have."""


@dataclass(frozen=True, slots=True)
class SmtpAttack:
    """An attack by a man in the middle of an SMTP session."""

    form: AttackForm
    play: Callable[[Session, Parameters], Script]


@dataclass(frozen=True, slots=True)
class DnsContext:
    """The input of an attack on DNS answers: the domain under attack, the parameters, and the attacker's MX host.

    `overheard` returns what the domain answers to any question, or answered some days ago.
    """

    domain: str
    parameters: Parameters
    attacker_mx: str = ""
    overheard: Callable[[Question, int], Answer] = lambda question, days_ago: Answer("SERVFAIL")

    @property
    def did(self) -> str:
        """What became of a query, by the parameter `how`: "answered SERVFAIL to", or "did not answer" for TIMEOUT."""
        how = self.parameters["how"]
        return "did not answer" if how == "TIMEOUT" else f"answered {how} to"


@dataclass(frozen=True, slots=True)
class DnsAttack:
    """An attack on DNS answers.

    `tamper` returns another answer; one with the same content leaves it alone. `detail` says what was done once it has
    taken effect.
    """

    form: AttackForm
    tamper: Callable[[DnsContext, Question, Answer], Answer]
    detail: Callable[[DnsContext], str]
    needs_attacker_mx: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """The policy host cannot be reached: `how` is refuse, reset or stall."""

    how: str


@dataclass(frozen=True, slots=True)
class ShowCertificate:
    """The connection ends at the attacker, who shows this certificate and passes the requests on."""

    certificate: str


@dataclass(frozen=True, slots=True)
class HttpsAttack:
    """An attack on the way to the policy host. `tampering` says what is done there."""

    form: AttackForm
    tampering: Callable[[Parameters], Block | ShowCertificate]


Attack: TypeAlias = SmtpAttack | DnsAttack | HttpsAttack


def smtp_attack(
    summary: str, parameters: Choices | None = None
) -> Callable[[Callable[[Session, Parameters], Script]], SmtpAttack]:
    """Return a decorator that makes a script an attack, called after its function."""
    return lambda play: SmtpAttack(AttackForm(play.__name__, "smtp", summary, parameters or {}), play)


def dns_attack(
    summary: str,
    detail: Callable[[DnsContext], str],
    parameters: Choices | None = None,
    needs_attacker_mx: bool = False,
    needs: str = "",
) -> Callable[[Callable[[DnsContext, Question, Answer], Answer]], DnsAttack]:
    """Return a decorator that makes a change of answers an attack, called after its function.

    `needs` is PUBLISHED_POLICY for an attack on the discovery of a policy, SIGNED_RECORDS for one on what DNSSEC says.
    """
    return lambda tamper: DnsAttack(
        AttackForm(tamper.__name__, "dns", summary, parameters or {}, needs), tamper, detail, needs_attacker_mx
    )


def https_attack(
    summary: str, parameters: Choices | None = None
) -> Callable[[Callable[[Parameters], Block | ShowCertificate]], HttpsAttack]:
    """Return a decorator that makes a function an attack on the policy host, called after it."""
    return lambda tampering: HttpsAttack(
        AttackForm(tampering.__name__, "https", summary, parameters or {}, PUBLISHED_POLICY), tampering
    )


def complete(form: AttackForm, given: Parameters) -> dict[str, str | int]:
    """Return an attack's own parameters with the defaults filled in. Raises `UnknownParameter`."""
    for name, value in given.items():
        if name in (HOST, FAMILY) and form.channel == "smtp":
            continue
        if name not in form.parameters:
            known = ", ".join(form.parameters) or "none"
            raise UnknownParameter(f"{form.name} has no parameter {name!r}, only: {known}")
        allowed = form.parameters[name]
        if value not in allowed:
            raise UnknownParameter(f"{form.name}: {name} = {value!r} is none of {', '.join(map(repr, allowed))}")
    return {name: given.get(name, allowed[0]) for name, allowed in form.parameters.items()}
