from __future__ import annotations

from mta_sts_lab.attacks.toolkit.tls_wire import alert_words, answers_with_certificate, plain_alert


def test_alerts_have_the_words_of_openssl() -> None:
    assert plain_alert(b"\x15\x03\x01\x00\x02\x02\x46") == "protocol version"
    assert plain_alert(b"QUIT\r\n") == ""
    assert alert_words(48) == "unknown ca"
    assert alert_words(255) == "alert 255"


def test_a_retry_request_shows_no_certificate_yet() -> None:
    retry = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
    record = b"\x16\x03\x03\x00\x58\x02\x00\x00\x54\x03\x03"
    assert answers_with_certificate(record + bytes(32))
    assert not answers_with_certificate(record + retry)
    assert not answers_with_certificate(b"\x15\x03\x01\x00\x02\x02\x46")
