"""The container's entry point and its HTTP contract."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
import trustme
from mta_sts_lab.reference.server import (
    ContainerError,
    ContainerPlaces,
    build_application,
    container_sender,
    serve_container,
)

from tests.reference.standin import Internet, sender
from tests.targets.test_remote import serving

GOOD = {"LAB_DNS": "198.18.0.2", "LAB_PREFIX": "198.18.64.0/18"}


@pytest.fixture
def places(tmp_path: Path) -> ContainerPlaces:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(trustme.CA().cert_pem.bytes())
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    return ContainerPlaces(ca, tmp_path / "state", "127.0.0.1", *ports)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LAB_DNS": ""}, "must be set"),
        ({"LAB_PREFIX": ""}, "must be set"),
        ({"LAB_DNS": "8.8.8.8"}, "198.18.0.0/15"),
        ({"LAB_PREFIX": "10.0.0.0/8"}, "198.18.0.0/15"),
        ({"LAB_PREFIX": "nonsense"}, "LAB_PREFIX"),
        ({"LAB_FLAWS": "ignore_policy"}, "did you mean ignores_policy"),
    ],
)
async def test_a_wrong_environment_is_one_clear_line(
    places: ContainerPlaces, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ContainerError, match=message) as caught:
        container_sender(GOOD | changes, places)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"no certificate", b"\xff"])
async def test_a_missing_or_broken_ca_is_named(places: ContainerPlaces, content: bytes | None) -> None:
    places.ca.unlink() if content is None else places.ca.write_bytes(content)
    with pytest.raises(ContainerError, match=r"ca\.pem"):
        container_sender(GOOD, places)


async def test_names_and_flaws_come_from_the_environment(places: ContainerPlaces) -> None:
    named = {"LAB_HOSTNAME": "m.example", "LAB_SENDER_DOMAIN": "s.example", "LAB_FLAWS": "ignores_policy,"}
    made = container_sender(GOOD | named, places)
    assert (made.settings.hostname, made.settings.sender_domain) == ("m.example", "s.example")
    assert made.flaws.ignores_policy
    assert container_sender(GOOD, places).settings.hostname == "mta.sender.example"


async def test_it_serves_until_cancelled(places: ContainerPlaces) -> None:
    serving_task = asyncio.create_task(serve_container(GOOD, places))
    url = f"http://127.0.0.1:{places.contract_port}/about"
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(5):
            while True:
                try:
                    async with session.get(url) as response:
                        about = await response.json()
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.01)
    assert about["contract"] == 1
    assert about["policy_cache"] == "persistent"
    reader, writer = await asyncio.open_connection("127.0.0.1", places.smtp_port)
    assert (await reader.readline()).startswith(b"220 mta.sender.example")
    writer.close()
    serving_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving_task


async def test_a_taken_port_is_a_container_error(places: ContainerPlaces) -> None:
    with socket.create_server(("127.0.0.1", places.smtp_port)), pytest.raises(ContainerError, match="cannot start"):
        await serve_container(GOOD, places)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/restart", b""),
        ("/restart", b'{"signal": "HUP"}'),
        ("/restart", b'{"signal": "KILL", "more": 1}'),
        ("/clock", b'{"advance": -1}'),
        ("/clock", b'{"advance": 1e99}'),
        ("/clock", b'{"advance": "1"}'),
        ("/clock", b"{"),
    ],
)
async def test_a_wrong_request_is_refused(internet: Internet, tmp_path: Path, path: str, body: bytes) -> None:
    async with sender(internet, tmp_path) as local, serving(build_application(local.sender)) as port:
        url = f"http://127.0.0.1:{port}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]
        assert local.sender.clock.offset == 0


async def test_a_stopped_sender_says_so(internet: Internet, tmp_path: Path) -> None:
    async with sender(internet, tmp_path) as local, serving(build_application(local.sender)) as port:
        await local.sender.stop()
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/queue") as response:
            assert response.status == 503
            assert "not running" in (await response.json())["error"]
