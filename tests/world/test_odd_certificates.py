from __future__ import annotations

import ssl

import pytest
from cryptography import x509
from mta_sts_lab.model.world import CERTIFICATE_VARIANTS
from mta_sts_lab.rfc.domain_names import matches
from mta_sts_lab.world.odd_certificates import ODD_CERTIFICATES, Host, Issuer, issue_odd
from mta_sts_lab.world.pki import Authority, server_context

from tests.world.test_pki import HOST, shake_hands, trusting

#: What OpenSSL says of those whose names are right.
COMPLAINTS = {
    "client-usage": "purpose",
    "unknown-critical-extension": "unhandled critical extension",
    "leaf-as-issuer": "invalid CA certificate",
    "path-too-long": "path length constraint exceeded",
    "outside-name-constraints": "permitted subtree violation",
    "excluded-by-name-constraints": "excluded subtree violation",
    "expired-intermediate": "certificate has expired",
    "sha1-signed": "CA signature digest algorithm too weak",
    "bad-signature": "certificate signature failure",
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


def test_they_are_variants_like_all_others() -> None:
    assert set(ODD_CERTIFICATES) < set(CERTIFICATE_VARIANTS)


@pytest.mark.parametrize("variant", ODD_CERTIFICATES)
def test_a_client_refuses_it_for_its_one_defect(authority: Authority, variant: str) -> None:
    server = server_context(authority.credentials(variant, HOST))
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        shake_hands(server, trusting(authority), HOST)
    assert COMPLAINTS.get(variant, "mismatch") in refused.value.verify_message


@pytest.mark.parametrize("variant", sorted(set(ODD_CERTIFICATES) - COMPLAINTS.keys()))
def test_none_of_its_names_is_the_host(authority: Authority, variant: str) -> None:
    leaf = x509.load_pem_x509_certificates(authority.credentials(variant, HOST).chain_pem)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names), "an empty extension is another defect"
    assert not any(matches(name, HOST) for name in names.get_values_for_type(x509.DNSName))


def test_another_variant_is_refused(authority: Authority) -> None:
    root = Issuer.load(authority.certificate_pem, authority.private_key_pem)
    with pytest.raises(ValueError, match="no odd certificate 'valid'"):
        issue_odd("valid", Host(HOST, ["198.18.0.1"]), root)
