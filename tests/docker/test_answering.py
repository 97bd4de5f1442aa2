"""Waiting for services: what counts as an answer."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.docker.programs import load_program

answering = load_program("common/answering.py")


def test_a_bound_datagram_socket_answers_and_its_mere_name_does_not(tmp_path: Path) -> None:
    path = tmp_path / "collector.sock"
    endpoint = answering.Endpoint.parsed(f"datagram:{path}")
    assert not endpoint.answers()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
        collector.bind(str(path))
        assert endpoint.answers()
    assert path.exists()
    assert not endpoint.answers()


def test_a_service_that_never_answers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "collector.sock"
    with pytest.raises(answering.NotAnsweringError, match=rf"datagram:{path} did not answer within 0 seconds"):
        answering.wait_until_answering([answering.Endpoint.parsed(f"datagram:{path}")], seconds=0)


@pytest.mark.parametrize("text", ["smtp:127.0.0.1", "datagram:relative.sock", "http:127.0.0.1:80", "tcp::25"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        answering.Endpoint.parsed(text)


@pytest.mark.parametrize("text", ["smtp:127.0.0.1:25", "tcp:127.0.0.1:8461", "datagram:/run/collector.sock"])
def test_an_endpoint_is_shown_as_it_was_written(text: str) -> None:
    assert str(answering.Endpoint.parsed(text)) == text
