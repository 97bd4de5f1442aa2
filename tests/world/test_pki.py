"""Every certificate variant does to a strict client what its name says."""

from __future__ import annotations

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from mta_sts_lab.model.world import CERTIFICATE_VARIANTS
from mta_sts_lab.rfc.domain_names import matches
from mta_sts_lab.world.odd_certificates import ODD_CERTIFICATES
from mta_sts_lab.world.pki import Authority, Credentials, server_context

from tests.world.clients import trusting

HOST = "mx1.c0ffee.example"

#: Those whose leaf is as it should be but for one thing; test_odd_certificates.py has the others.
SOUND = tuple(one for one in CERTIFICATE_VARIANTS if one not in ODD_CERTIFICATES)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> ssl.SSLObject:
    """Handshake in memory; returns the client's end, raises what the client raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for end in (here, there):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
    assert len(done) == 2
    return here


@pytest.mark.parametrize("variant", ["valid", "wildcard"])
def test_a_strict_client_accepts_it(authority: Authority, variant: str) -> None:
    server = server_context(authority.credentials(variant, HOST))
    assert shake_hands(server, trusting(authority, strict=True), HOST).version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [
        ("expired", "certificate has expired"),
        ("not-yet-valid", "certificate is not yet valid"),
        ("wrong-name", "Hostname mismatch"),
        ("self-signed", "self-signed certificate"),
        ("untrusted", "unable to get local issuer certificate"),
        ("missing-intermediate", "unable to get local issuer certificate"),
        ("cn-only", "Hostname mismatch"),
    ],
)
def test_a_client_refuses_it_for_the_reason_in_its_name(authority: Authority, variant: str, complaint: str) -> None:
    server = server_context(authority.credentials(variant, HOST))
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        shake_hands(server, trusting(authority), HOST)
    assert complaint in refused.value.verify_message


def test_there_is_no_other_variant(authority: Authority) -> None:
    for variant in SOUND:
        assert authority.credentials(variant, HOST).variant == variant
    with pytest.raises(ValueError, match="no certificate variant 'stolen'"):
        authority.credentials("stolen", HOST)


def leaf_of(credentials: Credentials) -> x509.Certificate:
    return x509.load_pem_x509_certificates(credentials.chain_pem)[0]


def test_each_variant_has_only_its_one_defect(authority: Authority) -> None:
    """A wrong name is trusted and a CN-only certificate is unexpired, or a case would pass for the wrong reason."""
    now = datetime.datetime.now(datetime.UTC)
    for variant in set(SOUND) - {"expired", "not-yet-valid"}:
        leaf = leaf_of(authority.credentials(variant, HOST))
        assert leaf.not_valid_before_utc < now - datetime.timedelta(days=400), variant
        assert leaf.not_valid_after_utc > now + datetime.timedelta(days=400), variant
    expired = leaf_of(authority.credentials("expired", HOST))
    assert datetime.timedelta(hours=23) < now - expired.not_valid_after_utc < datetime.timedelta(days=2)
    early = leaf_of(authority.credentials("not-yet-valid", HOST))
    assert early.not_valid_before_utc > now + datetime.timedelta(days=400)
    wrong = server_context(authority.credentials("wrong-name", HOST, wrong_name="mx.attacker.example"))
    assert shake_hands(wrong, trusting(authority, strict=True), "mx.attacker.example")
    old = trusting(authority, strict=True)
    old.hostname_checks_common_name = True
    assert shake_hands(server_context(authority.credentials("cn-only", HOST)), old, HOST)


def test_cn_only_has_the_right_name_where_it_must_not_count(authority: Authority) -> None:
    leaf = leaf_of(authority.credentials("cn-only", HOST))
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [HOST]
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize("variant", SOUND)
def test_every_leaf_is_what_rfc_5280_wants_of_a_server(authority: Authority, variant: str) -> None:
    leaf = leaf_of(authority.credentials(variant, HOST))
    extension = leaf.extensions.get_extension_for_class
    assert extension(x509.BasicConstraints).value.ca is False
    assert ExtendedKeyUsageOID.SERVER_AUTH in extension(x509.ExtendedKeyUsage).value
    assert extension(x509.SubjectKeyIdentifier).value.digest
    assert extension(x509.AuthorityKeyIdentifier).value.key_identifier


def test_only_the_leaf_is_sent_and_an_intermediate_if_there_is_one(authority: Authority) -> None:
    for variant in SOUND:
        certificates = authority.credentials(variant, HOST).chain_pem.count(b"BEGIN CERTIFICATE")
        assert certificates == {"below-intermediate": 2, "within-name-constraints": 2, "path-at-its-limit": 3}.get(
            variant, 1
        )


def test_the_unusual_ones_are_what_they_are_called(authority: Authority) -> None:
    def leaf(variant: str) -> x509.Certificate:
        return x509.load_pem_x509_certificates(authority.credentials(variant, HOST).chain_pem)[0]

    def names(variant: str) -> list[str]:
        found = leaf(variant).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return found.value.get_values_for_type(x509.DNSName)

    assert names("capitals") == [HOST.upper()]
    assert (len(names("hundred-names")), names("hundred-names")[-1]) == (100, HOST)
    assert isinstance(leaf("rsa").public_key(), rsa.RSAPublicKey)


def test_the_same_names_get_the_same_certificate(authority: Authority) -> None:
    assert authority.credentials("valid", HOST) is authority.credentials("valid", HOST)
    assert authority.credentials("valid", HOST) != authority.credentials("valid", "mx2.c0ffee.example")


def test_a_loaded_authority_issues_what_its_first_self_is_trusted_for(authority: Authority) -> None:
    loaded = Authority.load(authority.certificate_pem, authority.private_key_pem)
    assert loaded.certificate_pem == authority.certificate_pem
    for variant in ("valid", "wildcard"):
        assert shake_hands(server_context(loaded.credentials(variant, HOST)), trusting(authority, strict=True), HOST)
    with pytest.raises(ValueError, match=r"(?i)pem"):
        Authority.load(b"nonsense", b"nonsense")


def test_alpn_and_the_server_name_callback_are_passed_on(authority: Authority) -> None:
    asked: list[str | None] = []

    def callback(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        asked.append(name)

    server = server_context(authority.credentials("valid", HOST), alpn=("http/1.1",), sni_callback=callback)
    client = trusting(authority)
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shake_hands(server, client, HOST).selected_alpn_protocol() == "http/1.1"
    assert asked == [HOST]


def test_sessions_are_not_resumed(authority: Authority) -> None:
    """A resumed session would show no certificate, and an MTA would take it for the one that it verified before."""
    server = server_context(authority.credentials("valid", HOST))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = trusting(authority)
        client.maximum_version = version
        first = shake_hands(server, client, HOST)
        session = first.session
        assert session is None or not session.has_ticket


@pytest.mark.parametrize("variant", SOUND)
def test_which_variants_name_the_host(authority: Authority, variant: str) -> None:
    """RFC 9525, section 6.3, by the lab's own rule for names and not by OpenSSL's."""
    certificate = x509.load_pem_x509_certificate(authority.credentials(variant, "mx1.a.example").chain_pem)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    named = any(matches(name, "mx1.a.example") for name in names)
    assert named is (variant not in ("wrong-name", "cn-only", "for-domain"))
    assert not any(matches(name, "x.mx1.a.example") for name in names)
