"""What the lab relies on in mitmproxy, which has no stable interface for it: run this against each version to support.

Verified with 11.0.2 (Python 3.11) and 12.2.3 (Python 3.13). There is no upper bound on the dependency; this is the guard.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from mta_sts_lab.events import AttackFired, LabFailed, MessageAccepted, PolicyRequested, TlsEstablished, TokenRead

from tests.attacks.loopback_hosts import client_context, deliver_in_thread, loopback_hosts
from tests.attacks.toolkit.test_interpose_https import fetch


async def test_one_strip() -> None:
    async with loopback_hosts() as here:
        here.attack("strip_starttls")
        assert await deliver_in_thread(here, client_context(verifies=True)) is False
        assert [fact.secured for fact in here.facts(TokenRead)] == [False]
        assert len(here.facts(MessageAccepted)) == 1
        assert len(here.facts(AttackFired)) == 1
        assert not here.facts(LabFailed)


async def test_one_swap() -> None:
    async with loopback_hosts() as here:
        here.attack("swap_certificate", certificate="untrusted")
        with pytest.raises(ssl.SSLCertVerificationError):
            await deliver_in_thread(here, client_context(verifies=True))
        assert not here.facts(TokenRead)
        assert await deliver_in_thread(here, client_context(verifies=False)) is True
        assert [fact.secured for fact in here.facts(TokenRead)] == [True]
        assert not here.facts(LabFailed)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_one_downgrade() -> None:
    async with loopback_hosts() as here:
        here.attack("downgrade_tls", version="1.0")
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            await deliver_in_thread(here, client_context(verifies=True))
        assert await deliver_in_thread(here, client_context(verifies=True, oldest=ssl.TLSVersion.TLSv1)) is True
        assert "TLSv1" in [fact.version for fact in here.facts(TlsEstablished)]
        assert not here.facts(LabFailed)


async def test_one_policy_fetch() -> None:
    async with loopback_hosts() as here:
        here.attack_policy_host("untrusted")
        assert await fetch(here, verifies=False) == [(200, b"version: STSv1\r\n")]
        assert len(here.facts(PolicyRequested)) == 1
        assert not here.facts(LabFailed)


async def test_nothing_is_written_to_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with loopback_hosts() as here:
        here.attack("swap_certificate", certificate="untrusted")
        await deliver_in_thread(here, client_context(verifies=False))
    assert list(tmp_path.iterdir()) == []
