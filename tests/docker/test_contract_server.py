"""The contract server with real sockets on loopback and real hooks: what it answers, and what it survives."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

#: How long anything here may take that should happen at once.
AT_ONCE_SECONDS = 10.0
#: A bound for hooks that no hook of a test comes near.
GENEROUS_SECONDS = 60.0
#: A bound for the hooks that are meant to outlive it.
SHORT_SECONDS = 0.3


def load_server() -> ModuleType:
    """Load the program by its path: it belongs to the images and not to a package."""
    path = Path(__file__).parents[2] / "docker" / "common" / "contract_server.py"
    spec = importlib.util.spec_from_file_location("contract_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


contract_server = load_server()


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Contract:
    """A running contract server and its hooks folder."""

    def __init__(self, hooks: Path, port: int) -> None:
        self.hooks = hooks
        self.port = port

    def hook(self, name: str, script: str) -> None:
        """Install a hook: a shell script that runs in the hooks folder."""
        path = self.hooks / name
        path.write_text(f"#!/bin/sh\nset -eu\ncd '{self.hooks}'\n{script}\n")
        path.chmod(0o755)

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request and return the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=AT_ONCE_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers["Content-Type"], response.read())
        finally:
            connection.close()

    def exchange(self, request: bytes) -> bytes:
        """Send octets as they are and return everything that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=AT_ONCE_SECONDS) as connection:
            connection.sendall(request)
            answer = b""
            while received := connection.recv(65536):
                answer += received
            return answer


@contextmanager
def serving(hooks: Path, hook_seconds: float) -> Iterator[Contract]:
    """Run a contract server on a free port of the loopback interface."""
    server = contract_server.ContractServer(("127.0.0.1", 0), contract_server.Hooks(hooks, hook_seconds))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Contract(hooks, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def contract(tmp_path: Path) -> Iterator[Contract]:
    with serving(tmp_path, GENEROUS_SECONDS) as contract:
        yield contract


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Contract]:
    with serving(tmp_path, SHORT_SECONDS) as contract:
        yield contract


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll for something that should happen at once."""
    deadline = time.monotonic() + AT_ONCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {AT_ONCE_SECONDS:g} seconds"
        time.sleep(0.005)


# What a hook says


def test_a_question_is_answered_by_the_hook_of_its_name(contract: Contract) -> None:
    contract.hook("about", """echo '{"contract": 1, "name": "some-mta"}'""")
    answer = contract.call("GET", "/about")
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.json == {"contract": 1, "name": "some-mta"}


def test_a_query_string_does_not_change_the_question(contract: Contract) -> None:
    contract.hook("queue", """echo '{"messages": []}'""")
    assert contract.call("GET", "/queue?fresh=1").json == {"messages": []}


def test_the_body_reaches_the_hook_on_standard_input(contract: Contract) -> None:
    contract.hook("restart", """printf '{"received": %s}' "$(cat)" """)
    answer = contract.call("POST", "/restart", b'{"signal": "KILL"}')
    assert answer.json == {"received": {"signal": "KILL"}}


def test_no_body_is_the_empty_object(contract: Contract) -> None:
    contract.hook("flush", """printf '{"received": %s}' "$(cat)" """)
    assert contract.call("POST", "/flush").json == {"received": {}}


def test_a_hook_need_not_read_its_input(contract: Contract) -> None:
    contract.hook("clock", """echo '{"offset": 1}'""")
    body = json.dumps({"padding": "x" * 60_000}).encode()
    assert contract.call("POST", "/clock", body).json == {"offset": 1}


def test_logs_are_text_whatever_is_in_them(contract: Contract) -> None:
    contract.hook("logs", r"printf 'a line\nnot UTF-8: \377\n'")
    answer = contract.call("GET", "/logs")
    assert answer.status == 200
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.content.decode() == "a line\nnot UTF-8: \ufffd\n"


def test_a_daemon_that_a_hook_leaves_behind_does_not_hold_the_answer_up(contract: Contract) -> None:
    contract.hook("restart", """sleep 600 & echo "{\\"daemon\\": $!}" """)
    answer = contract.call("POST", "/restart", b"{}")
    os.kill(answer.json["daemon"], signal.SIGKILL)  # it has survived its hook, as a daemon should
    assert answer.status == 200


# What goes wrong with hooks


def test_a_missing_hook_is_not_found(contract: Contract) -> None:
    answer = contract.call("POST", "/reports", b"{}")
    assert answer.status == 404
    assert answer.json == {"error": "this target has no hook 'reports'"}


def test_a_failing_hook_shows_the_end_of_its_standard_error(contract: Contract) -> None:
    contract.hook("flush", """head -c 10000 /dev/zero | tr '\\0' x >&2; echo ' the queue is locked' >&2; exit 3""")
    answer = contract.call("POST", "/flush")
    assert answer.status == 500
    error = answer.json["error"]
    assert error.startswith("hook 'flush' failed with exit status 3: xxx")
    assert error.endswith("x the queue is locked")
    assert len(error) < 3000


@pytest.mark.parametrize(
    ("script", "mode", "told"),
    [
        ("#!/bin/sh\necho '{}'\n", 0o644, "chmod +x"),
        ("#!/bin/sh\r\necho '{}'\r\n", 0o755, "its lines end in CR LF"),
        ("#!/opt/no/such/python\n", 0o755, "names is not there: '#!/opt/no/such/python'"),
        ("echo '{}'\n", 0o755, "begins with a line like #!/bin/sh"),
    ],
)
def test_a_hook_that_cannot_be_started_is_told_why(contract: Contract, script: str, mode: int, told: str) -> None:
    hook = contract.hooks / "about"
    hook.write_bytes(script.encode())
    hook.chmod(mode)
    answer = contract.call("GET", "/about")
    assert answer.status == 500
    assert "'about' cannot be started" in answer.json["error"]
    assert told in answer.json["error"]


@pytest.mark.parametrize("output", ["", "restarted", "[]", "{", "7"])
def test_what_is_no_json_object_is_not_passed_on(contract: Contract, output: str) -> None:
    contract.hook("about", f"printf '%s' '{output}'")
    answer = contract.call("GET", "/about")
    assert answer.status == 500
    assert "did not print a JSON object" in answer.json["error"]


def test_a_hook_that_prints_without_end_is_a_failure(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_server, "HOOK_OUTPUT_LIMIT", 1000)
    contract.hook("logs", "head -c 1001 /dev/zero")
    answer = contract.call("GET", "/logs")
    assert answer.status == 500
    assert "more than 1000 bytes" in answer.json["error"]


def test_a_hook_that_outlives_its_time_is_killed_with_all_it_started(impatient: Contract) -> None:
    # Every process that the hook starts holds the writing end of this pipe: its end of file is their death.
    pipe = impatient.hooks / "alive"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    impatient.hook("restart", f"exec 3>'{pipe}'; sleep 600 & echo waiting >&2; sleep 600")
    try:
        answer = impatient.call("POST", "/restart", b"{}")
        readable, _, _ = select.select([reader], [], [], AT_ONCE_SECONDS)
        assert readable
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
    assert answer.status == 504
    assert answer.json == {"error": "hook 'restart' did not end within 0.3 seconds and was killed: waiting"}


# Several requests at once


def test_the_queue_is_answered_while_a_restart_runs(contract: Contract) -> None:
    running, release = contract.hooks / "running", contract.hooks / "release"
    contract.hook("restart", """: >running; until [ -e release ]; do sleep 0.01; done; echo '{"restarted": true}'""")
    contract.hook("queue", """echo '{"messages": []}'""")
    with ThreadPoolExecutor(1) as pool:
        restart = pool.submit(contract.call, "POST", "/restart", b'{"signal": "KILL"}')
        try:
            wait_until(running.exists, "the restart hook runs")
            assert contract.call("GET", "/queue").json == {"messages": []}
            assert not restart.done()
        finally:
            release.touch()
        assert restart.result().json == {"restarted": True}


def test_a_mutating_hook_never_runs_twice_at_once(contract: Contract) -> None:
    # mkdir fails for whoever comes while another instance is inside.
    contract.hook("flush", """mkdir inside; sleep 0.02; rmdir inside; echo '{"flushed": true}'""")
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: contract.call("POST", "/flush"), range(5)))
    assert [answer.json for answer in answers] == [{"flushed": True}] * 5


def test_who_waits_too_long_for_a_turn_is_sent_away(impatient: Contract) -> None:
    hooks = contract_server.Hooks(impatient.hooks, SHORT_SECONDS)
    patient = contract_server.Hooks(impatient.hooks, GENEROUS_SECONDS)
    hooks._turns = patient._turns  # the same turns, held by somebody who may take longer
    impatient.hook("flush", ": >running; until [ -e release ]; do sleep 0.01; done; echo '{}'")
    flush = contract_server.ENDPOINTS["/flush"]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(patient.answer, flush, b"{}")
        try:
            wait_until((impatient.hooks / "running").exists, "the first flush runs")
            with pytest.raises(contract_server.ContractError, match="still running") as refusal:
                hooks.answer(flush, b"{}")
        finally:
            (impatient.hooks / "release").touch()
        assert first.result().strip() == b"{}"
    assert refusal.value.status == 503


# Requests that are not what they should be


def test_an_unknown_path_is_not_found(contract: Contract) -> None:
    answer = contract.call("GET", "/../etc/passwd")
    assert answer.status == 404
    assert answer.json == {"error": "the contract has no path '/../etc/passwd'"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/flush"), ("POST", "/about")])
def test_a_path_has_one_method(contract: Contract, method: str, path: str) -> None:
    contract.hook(path.removeprefix("/"), "echo '{}'")
    assert contract.call(method, path).status == 405


def test_an_unknown_method_is_refused_in_json(contract: Contract) -> None:
    answer = contract.call("DELETE", "/about")
    assert answer.status == 501
    assert "DELETE" in answer.json["error"]


@pytest.mark.parametrize("body", [b"KILL", b'"KILL"', b"{", b"\xff", b"[" * 50_000])
def test_a_body_is_a_json_object(contract: Contract, body: bytes) -> None:
    contract.hook("restart", "echo '{}'; : >ran")
    answer = contract.call("POST", "/restart", body)
    assert answer.status == 400
    assert answer.json == {"error": "the body is not a JSON object"}
    assert not (contract.hooks / "ran").exists()


@pytest.mark.parametrize("size", [contract_server.REQUEST_BODY_LIMIT + 1, contract_server.DISCARD_LIMIT])
def test_an_oversized_body_is_refused_and_the_reason_arrives(contract: Contract, size: int) -> None:
    contract.hook("clock", "echo '{}'")
    answer = contract.call("POST", "/clock", b" " * size)
    assert answer.status == 413
    assert str(size) in answer.json["error"]


def test_a_huge_body_is_refused_before_it_is_sent(contract: Contract) -> None:
    contract.hook("clock", "echo '{}'")
    answer = contract.exchange(b"POST /clock HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 413 ")


@pytest.mark.parametrize("length", [b"-1", b"ten", b"1e3", b"9" * 5000, "\u0661".encode()])
def test_a_length_is_a_number(contract: Contract, length: bytes) -> None:
    contract.hook("clock", "echo '{}'")
    answer = contract.exchange(b"POST /clock HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")


def test_a_chunked_body_is_refused(contract: Contract) -> None:
    contract.hook("clock", "echo '{}'")
    answer = contract.exchange(b"POST /clock HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 411 ")


def test_a_body_that_does_not_arrive_is_not_waited_for(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_server.ContractHandler, "timeout", SHORT_SECONDS)
    contract.hook("clock", "echo '{}'")
    answer = contract.exchange(b"POST /clock HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.0 408 ")


def test_a_client_that_hangs_up_harms_nobody(contract: Contract, capfd: pytest.CaptureFixture[str]) -> None:
    contract.hook("queue", """echo '{"messages": []}'""")
    for request in (b"", b"GET", b"POST /clock HTTP/1.1\r\nContent-Length: 5\r\n\r\n{", b"\x16\x03\x01\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", contract.port), timeout=AT_ONCE_SECONDS) as connection:
            connection.sendall(request)
    assert contract.call("GET", "/queue").status == 200
    assert "Traceback" not in capfd.readouterr().err
