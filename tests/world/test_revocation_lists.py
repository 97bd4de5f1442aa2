"""The lists of revoked certificates: what stands in them, and what OpenSSL makes of them."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from mta_sts_lab.model.world import (
    MAY_BE_REFUSED,
    NOT_REVOKED,
    REVOKED,
    REVOKED_BY_A_STRANGER,
    WITH_REVOCATION_LIST,
    WITHOUT_LIST,
)
from mta_sts_lab.world.pki import Authority, server_context

from tests.world.clients import trusting
from tests.world.test_pki import HOST, leaf_of, shake_hands

OTHER_HOST = "mx2.c0ffee.example"


@pytest.fixture
def authority() -> Authority:
    """An authority of one's own: a list has every certificate of its variant."""
    return Authority.create()


def list_of(authority: Authority, variant: str) -> x509.CertificateRevocationList:
    """The list of a variant, once two hosts have certificates of that variant."""
    for host in (HOST, OTHER_HOST):
        authority.credentials(variant, host)
    found = authority.revocation_list(variant)
    assert found is not None
    return x509.load_der_x509_crl(found)


def names(found: x509.CertificateRevocationList, authority: Authority, variant: str, host: str) -> bool:
    serial_number = leaf_of(authority.credentials(variant, host)).serial_number
    return found.get_revoked_certificate_by_serial_number(serial_number) is not None


@pytest.mark.parametrize(
    ("variant", "listed", "signed"),
    [(REVOKED, True, True), (NOT_REVOKED, False, True), (REVOKED_BY_A_STRANGER, True, False)],
)
def test_what_each_list_says(authority: Authority, variant: str, listed: bool, signed: bool) -> None:
    found = list_of(authority, variant)
    assert [names(found, authority, variant, host) for host in (HOST, OTHER_HOST)] == [listed] * 2
    assert len(found) == (3 if listed else 1), "there is an entry of another certificate in each"
    root = x509.load_pem_x509_certificate(authority.certificate_pem)
    key = root.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert found.is_signature_valid(key) is signed
    assert found.issuer == root.subject, "the stranger calls itself what the authority is called"


def test_a_list_is_the_latest_one_for_as_long_as_clocks_are_moved(authority: Authority) -> None:
    found, now = list_of(authority, REVOKED), datetime.datetime.now(datetime.UTC)
    assert found.next_update_utc is not None
    assert found.last_update_utc < now < found.next_update_utc - datetime.timedelta(days=400)


def test_a_list_has_what_rfc_5280_wants_in_it(authority: Authority) -> None:
    """Section 5.2: conforming authorities put a number and the identifier of their key into each list."""
    found = list_of(authority, REVOKED)
    root = x509.load_pem_x509_certificate(authority.certificate_pem)
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1
    identifier = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier == root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert root.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign, "section 4.2.1.3"


@pytest.mark.parametrize("variant", WITH_REVOCATION_LIST)
def test_a_certificate_names_the_place_of_its_list(authority: Authority, variant: str) -> None:
    leaf = leaf_of(authority.credentials(variant, HOST))
    extension = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert not extension.critical, "RFC 5280, section 4.2.1.13"
    places = [name.value for point in extension.value for name in point.full_name or ()]
    further = [f"http://crl.{HOST}/{NOT_REVOKED}.crl"] if variant == REVOKED_BY_A_STRANGER else []
    assert places == [f"http://crl.{HOST}/{variant}.crl", *further]


def test_there_are_no_other_lists(authority: Authority) -> None:
    authority.credentials(WITHOUT_LIST, HOST)
    assert authority.revocation_list(WITHOUT_LIST) is None
    assert set(MAY_BE_REFUSED) == {REVOKED, WITHOUT_LIST}
    with pytest.raises(ValueError, match="no list for 'valid'; there are lists for revoked, "):
        authority.revocation_list("valid")


@pytest.mark.parametrize("variant", WITH_REVOCATION_LIST)
def test_whoever_asks_for_no_list_accepts_it(authority: Authority, variant: str) -> None:
    server = server_context(authority.credentials(variant, HOST))
    assert shake_hands(server, trusting(authority, strict=True), HOST)


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [(REVOKED, "certificate revoked"), (NOT_REVOKED, ""), (REVOKED_BY_A_STRANGER, "CRL signature failure")],
)
def test_openssl_reads_the_lists_in_the_same_way(
    authority: Authority, tmp_path: Path, variant: str, complaint: str
) -> None:
    (tmp_path / "list.pem").write_bytes(list_of(authority, variant).public_bytes(Encoding.PEM))
    client = trusting(authority, strict=True)
    client.load_verify_locations(tmp_path / "list.pem")
    client.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    server = server_context(authority.credentials(variant, HOST))
    if not complaint:
        assert shake_hands(server, client, HOST)
        return
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        shake_hands(server, client, HOST)
    assert complaint in refused.value.verify_message
