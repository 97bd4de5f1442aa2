"""Each flaw of connections and certificates flips exactly its own behaviour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.reference.standin import Internet, sender, settle, until

NAME = "mx1.there.example"


def spoil(internet: Internet, how: str) -> None:
    match how:
        case "untrusted":
            internet.show(internet.mx1, internet.server_context(NAME, issuer=internet.other_ca))
        case "untrusted-wrong-name":
            internet.show(internet.mx1, internet.server_context("x.example", issuer=internet.other_ca))
        case "self-signed":
            internet.show(internet.mx1, self_signed(NAME))
        case "wrong-name":
            internet.show(internet.mx1, internet.server_context("mx9.there.example"))
        case "expired":
            internet.show(internet.mx1, internet.server_context(NAME, not_after=datetime.now(UTC) - timedelta(hours=1)))
        case "not-yet-valid":
            soon = datetime.now(UTC) + timedelta(days=1)
            internet.show(
                internet.mx1, internet.server_context(NAME, not_before=soon, not_after=soon + timedelta(days=9))
            )
        case "cn-only":
            # An e-mail SAN beside it would keep OpenSSL from looking at the common name.
            internet.show(internet.mx1, self_signed(NAME, issuer=internet, common_name_only=True))
        case "stripped":
            internet.show(internet.mx1, None)
        case "refused":
            internet.mx1.refuses_starttls = "454 not now"


def self_signed(name: str, issuer: Internet | None = None, common_name_only: bool = False):  # type: ignore[no-untyped-def]
    """A certificate made by hand: trustme issues neither self-signed leaves nor ones without a SAN."""
    import ssl
    import tempfile

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing, signer = key, subject
    if issuer is not None:
        signing = serialization.load_pem_private_key(issuer.ca.private_key_pem.bytes(), None)  # type: ignore[assignment]
        signer = x509.load_pem_x509_certificate(issuer.ca.cert_pem.bytes()).subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=9))
    )
    if not common_name_only:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(signing, hashes.SHA256())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
        pem.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        pem.write(certificate.public_bytes(serialization.Encoding.PEM))
        pem.flush()
        context.load_cert_chain(pem.name)
    return context


#: What each flaw lets through under enforce, of everything below.
LETS_THROUGH = {
    "": set(),
    "accepts_untrusted": {"untrusted", "self-signed"},
    "accepts_self_signed": {"self-signed"},
    "accepts_expired": {"expired"},
    "accepts_wrong_name": {"wrong-name", "cn-only"},
    "accepts_common_name": {"cn-only"},
    "sends_clear_when_starttls_refused": {"refused"},
    "sends_clear_without_starttls": {"stripped"},
    "sends_no_server_name": set(),
    "sends_envelope_before_check": set(),
    "sends_envelope_in_clear": set(),
}
DEFECTS = (
    "untrusted",
    "untrusted-wrong-name",
    "self-signed",
    "wrong-name",
    "expired",
    "not-yet-valid",
    "cn-only",
    "stripped",
    "refused",
)


@pytest.mark.parametrize("flaw", LETS_THROUGH)
@pytest.mark.parametrize("how", DEFECTS)
async def test_enforce(internet: Internet, tmp_path: Path, flaw: str, how: str) -> None:
    internet.publish("enforce")
    spoil(internet, how)
    async with sender(internet, tmp_path, **{flaw: True} if flaw else {}) as target:
        result = await settle(target)
    assert (result == "gone") is (how in LETS_THROUGH[flaw])  # type: ignore[operator]
    said = {command.split()[0]: secured for command, secured in internet.mx1.envelopes}
    if result != "gone":
        certificate = how not in ("stripped", "refused")
        leaks = (flaw == "sends_envelope_before_check" and certificate) or (
            flaw == "sends_envelope_in_clear" and not certificate
        )
        assert said == ({"MAIL": certificate, "RCPT": certificate} if leaks else {})


@pytest.mark.parametrize("flaw", [name for name in LETS_THROUGH if name])
async def test_a_flawed_sender_still_delivers_to_an_honest_host(internet: Internet, tmp_path: Path, flaw: str) -> None:
    internet.publish("enforce")
    async with sender(internet, tmp_path, **{flaw: True}) as target:
        assert await settle(target) == "gone"
    [mail] = internet.mx1.taken
    assert mail.secured
    assert mail.sni == ("" if flaw == "sends_no_server_name" else NAME)


@pytest.mark.parametrize("flawed", [False, True])
async def test_retries_in_clear(internet: Internet, tmp_path: Path, flawed: bool) -> None:
    internet.publish("enforce")
    spoil(internet, "untrusted")
    async with sender(internet, tmp_path, retries_in_clear=flawed) as target:
        assert (await settle(target) == "gone") is flawed
    assert [mail.secured for mail in internet.mx1.taken] == [False] * flawed


@pytest.mark.parametrize("flawed", [False, True])
async def test_accepts_legacy_tls(internet: Internet, tmp_path: Path, flawed: bool) -> None:
    import ssl
    import warnings

    internet.publish("enforce")
    context = internet.server_context(NAME)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    internet.show(internet.mx1, context)
    async with sender(internet, tmp_path, accepts_legacy_tls=flawed) as target:
        assert (await settle(target) == "gone") is flawed


@pytest.mark.parametrize("flawed", [False, True])
async def test_takes_bytes_before_tls(internet: Internet, tmp_path: Path, flawed: bool) -> None:
    internet.publish("enforce")
    internet.mx1.injects = b"550 go away\r\n550 go away\r\n"
    async with sender(internet, tmp_path, takes_bytes_before_tls=flawed) as target:
        result = await settle(target)
    assert ("550 go away" in result) is flawed
    assert len(internet.mx1.taken) == (not flawed)


@pytest.mark.parametrize("flaw", ["", "skips_mx_match", "ignores_policy"])
async def test_mx_match(internet: Internet, tmp_path: Path, flaw: str) -> None:
    internet.publish("enforce", mx=("other.example",))
    async with sender(internet, tmp_path, **{flaw: True} if flaw else {}) as target:
        assert (await settle(target) == "gone") is bool(flaw)


@pytest.mark.parametrize("pattern", ["*.example", "*.mx1.there.example"])
@pytest.mark.parametrize("flawed", [False, True])
async def test_wildcard_depth(internet: Internet, tmp_path: Path, pattern: str, flawed: bool) -> None:
    internet.publish("enforce", mx=(pattern,))
    async with sender(internet, tmp_path, matches_wildcards_at_any_depth=flawed) as target:
        assert (await settle(target) == "gone") is flawed


@pytest.mark.parametrize("flawed", [False, True])
@pytest.mark.parametrize("pattern", ["*.there.example", "mx1.there.example"])
async def test_no_fail_over(internet: Internet, tmp_path: Path, flawed: bool, pattern: str) -> None:
    internet.dns.zone["there.example", "MX"] = ["5 mx2.there.example.", "10 mx1.there.example."]
    internet.show(internet.mx2, None)
    internet.publish("enforce", mx=(pattern,))
    async with sender(internet, tmp_path, no_fail_over=flawed) as target:
        assert (await settle(target) == "gone") is not flawed


@pytest.mark.parametrize("flawed", [False, True])
async def test_no_opportunistic_tls(internet: Internet, tmp_path: Path, flawed: bool) -> None:
    async with sender(internet, tmp_path, no_opportunistic_tls=flawed) as target:
        assert await settle(target) == "gone"
    assert [mail.secured for mail in internet.mx1.taken] == [not flawed]


async def test_bounces_instead_of_deferring(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, bounces_instead_of_deferring=True) as target:
        internet.publish("enforce")
        assert await settle(target) == "gone"
        asked = internet.dns.queries["_mta-sts.there.example", "TXT"]
        spoil(internet, "stripped")
        await target.inject("alice@sender.example", "carol@there.example", b"a: b\r\n\r\n")
        await until(lambda: internet.home.taken)
        assert internet.dns.queries["_mta-sts.there.example", "TXT"] == asked
    assert b"carol@there.example" in internet.home.taken[0].content


async def test_loses_message(internet: Internet, tmp_path: Path) -> None:
    internet.publish("enforce")
    spoil(internet, "stripped")
    async with sender(internet, tmp_path, loses_message=True) as target:
        assert await settle(target) == "gone"
    assert internet.mx1.taken == []
    assert internet.home.taken == []


async def test_delivers_twice(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path, delivers_twice=True) as target:
        assert await settle(target) == "gone"
    assert len(internet.mx1.taken) == 2


@pytest.mark.parametrize(("flaw", "gone"), [("", True), ("testing_as_enforce", False), ("testing_as_none", True)])
async def test_testing(internet: Internet, tmp_path: Path, flaw: str, gone: bool) -> None:
    internet.publish("testing")
    spoil(internet, "untrusted")
    async with sender(internet, tmp_path, **{flaw: True} if flaw else {}) as target:
        assert (await settle(target) == "gone") is gone
    # A correct sender tries with verification first.
    assert internet.mx1.connections == (2 if flaw == "" else 1)
