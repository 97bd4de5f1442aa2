"""What flawed senders let pass in a certificate that OpenSSL has refused. Each flaw overlooks one thing."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.policy import Policy
from mta_sts_lab.reference.tls import expired, names_of

# OpenSSL's X509_V_ERR_*: what a verification says went wrong.
_INVALID_AUTHORITY = (24, 25, 32, 79)
_WRONG_USE = (26,)
_UNKNOWN_EXTENSION = (34,)
_OUTSIDE_CONSTRAINTS = (47,)

_CODES: Mapping[str, tuple[int, ...]] = {
    "accepts_certificates_of_clients": _WRONG_USE,
    "accepts_anybody_as_issuer": _INVALID_AUTHORITY,
    "ignores_name_constraints": _OUTSIDE_CONSTRAINTS,
    "ignores_critical_extensions": _UNKNOWN_EXTENSION,
}


@dataclass(frozen=True, slots=True)
class Met:
    """A host as a sender has met it: its name, its address, what its name is an alias of, what it calls itself."""

    host: str
    address: str
    target: str
    greeting: str


def forgives(flaws: Flaws, verify_code: int | None) -> bool:
    """Whether a flaw overlooks what OpenSSL found wrong with a certificate."""
    if flaws.retries_without_verification and verify_code is not None:
        return True
    return any(verify_code in codes for name, codes in _CODES.items() if getattr(flaws, name))


def takes(flaws: Flaws, policy: Policy) -> Callable[[bytes, Met], bool] | None:
    """Return how a flaw finds the host in a certificate that is not for it; None without such a flaw."""
    if flaws.compares_certificate_with_policy:
        return lambda der, met: any(map(policy.allows, names_of(der)))
    return next((fits for name, fits in _NAMES.items() if getattr(flaws, name)), None)


def refused_policy_host(flaws: Flaws, host: str, der: bytes) -> str:
    """Say what is wrong with a policy host's certificate for a flaw that OpenSSL checks less for; empty: nothing."""
    if flaws.accepts_policy_host_not_yet_valid and expired(der):
        return "certificate has expired"
    if flaws.accepts_policy_host_parent_domain:
        above = host.partition(".")[2]
        if not any(name in (host, above, f"*.{above}") for name in names_of(der)):
            return f"the certificate is neither for {host} nor for {above}"
    return ""


def _first_label(der: bytes, met: Met) -> bool:
    return any(name.split(".")[0] == met.host.split(".")[0] for name in names_of(der))


def _partial_wildcard(der: bytes, met: Met) -> bool:
    first, _, parent = met.host.partition(".")
    given = (name.partition(".") for name in names_of(der))
    return any(rest == parent and fnmatch.fnmatchcase(first, label) for label, _, rest in given)


def _inner_wildcard(der: bytes, met: Met) -> bool:
    labels = met.host.split(".")
    given = (name.split(".") for name in names_of(der))
    return any(
        len(name) == len(labels) and all(one in ("*", other) for one, other in zip(name, labels, strict=True))
        for name in given
    )


def _wildcard_over_two_labels(der: bytes, met: Met) -> bool:
    return any(name.startswith("*.") and met.host.endswith(name[1:]) for name in names_of(der))


def _wildcard_for_no_label(der: bytes, met: Met) -> bool:
    return f"*.{met.host}" in names_of(der)


def _address(der: bytes, met: Met) -> bool:
    return met.address in map(str, _alternatives(der, x509.IPAddress))


def _uri(der: bytes, met: Met) -> bool:
    return f"smtp://{met.host}" in _alternatives(der, x509.UniformResourceIdentifier)


def _common_name_beside_names(der: bytes, met: Met) -> bool:
    return bool(names_of(der)) and _common_name(der) == met.host


def _common_name_beside_addresses(der: bytes, met: Met) -> bool:
    return bool(_alternatives(der, x509.IPAddress)) and _common_name(der) == met.host


def _alias_target(der: bytes, met: Met) -> bool:
    return met.target in names_of(der)


def _greeting(der: bytes, met: Met) -> bool:
    return met.greeting in names_of(der)


def _alternatives(der: bytes, kind: type[x509.IPAddress] | type[x509.UniformResourceIdentifier]) -> list[object]:
    try:
        extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(extension.value.get_values_for_type(kind))


def _common_name(der: bytes) -> object:
    found = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return found[0].value if found else ""


_NAMES: Mapping[str, Callable[[bytes, Met], bool]] = {
    "compares_first_label_alone": _first_label,
    "matches_partial_wildcards": _partial_wildcard,
    "matches_inner_wildcards": _inner_wildcard,
    "matches_wildcards_over_two_labels": _wildcard_over_two_labels,
    "matches_wildcards_without_label": _wildcard_for_no_label,
    "takes_addresses_for_names": _address,
    "takes_uris_for_names": _uri,
    "reads_common_name_beside_names": _common_name_beside_names,
    "reads_common_name_beside_addresses": _common_name_beside_addresses,
    "accepts_names_of_alias_targets": _alias_target,
    "accepts_names_from_greetings": _greeting,
}
