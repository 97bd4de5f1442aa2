#!/usr/bin/env python3
"""Serve the target contract: a small HTTP server in front of executables in one folder.

The lab knows nothing of the mail server it tests. It asks a *target contract* over plain HTTP, and in our
images the answers come from hooks: one executable a question, in one folder, written in whatever language
suits the mail server. This program is the server in front of them:

    GET  /about     what this target is: name, versions, capabilities
    GET  /queue     what it holds: one row for each recipient
    GET  /logs      the mail server's log, as plain text
    POST /flush     try everything in the queue now
    POST /restart   end the mail server with a signal and start it again: {"signal": "KILL"}
    POST /clock     move the target's idea of time: {"advance": seconds}
    POST /reports   send the TLS reports now

A hook is called without arguments, gets the JSON body of the request on its standard input and prints the
answer. A hook that is not there answers 404, a hook that fails answers 500 with the end of what it said on
standard error, a hook that outlives its time answers 504 and is killed together with all it started.
Every error is a JSON object with the key "error". Python's standard library is enough.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

DEFAULT_PORT = 8025
DEFAULT_HOOK_SECONDS = 60.0
REQUEST_BODY_LIMIT = 64 * 1024
# An answer is read into memory: a queue of ten thousand recipients is about 3 MiB; logs end at 60 (show_logs.py).
HOOK_OUTPUT_LIMIT = 64 * 1024 * 1024
STDERR_TAIL_LIMIT = 2000
# What Linux reads of a script's first line (BINPRM_BUF_SIZE).
FIRST_LINE_LIMIT = 256
# How long a client may take over sending its request, or over taking the answer.
CLIENT_SECONDS = 10.0
# A body that is refused for its size is read and thrown away up to this much, see _discard_body.
DISCARD_LIMIT = 1024 * 1024

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Endpoint:
    """One question of the contract: the hook of the same name answers it."""

    hook: str
    method: str
    content_type: str = JSON_TYPE

    @property
    def mutating(self) -> bool:
        """Whether the hook changes the target: two of the same kind never run side by side."""
        return self.method == "POST"


ENDPOINTS = {
    "/about": Endpoint("about", "GET"),
    "/queue": Endpoint("queue", "GET"),
    "/logs": Endpoint("logs", "GET", TEXT_TYPE),
    "/flush": Endpoint("flush", "POST"),
    "/restart": Endpoint("restart", "POST"),
    "/clock": Endpoint("clock", "POST"),
    "/reports": Endpoint("reports", "POST"),
}


class ContractError(Exception):
    """A request that gets an error for an answer: the status and a sentence, with a hook's own last words if any."""

    def __init__(self, status: HTTPStatus, error: str, last_words: str = "") -> None:
        super().__init__(f"{error}: {last_words}" if last_words else error)
        self.status = status

    def body(self) -> bytes:
        """Return the JSON object that the client gets."""
        return json.dumps({"error": str(self)}).encode()


class Hooks:
    """The hooks folder: finds hooks, runs them within their bounds, keeps mutating ones apart."""

    def __init__(self, folder: Path, seconds: float = DEFAULT_HOOK_SECONDS) -> None:
        self._folder = folder
        self._seconds = seconds
        self._turns = {endpoint.hook: threading.Lock() for endpoint in ENDPOINTS.values()}

    def answer(self, endpoint: Endpoint, request_body: bytes) -> bytes:
        """Run the endpoint's hook and return what it printed, checked against the endpoint's content type."""
        executable = self._folder / endpoint.hook
        if not executable.is_file():
            raise ContractError(HTTPStatus.NOT_FOUND, f"this target has no hook {endpoint.hook!r}")
        if endpoint.mutating:
            with self._turn(endpoint.hook):
                output = run_hook(executable, request_body, self._seconds)
        else:
            output = run_hook(executable, request_body, self._seconds)
        return checked_output(endpoint, output)

    @contextmanager
    def _turn(self, hook: str) -> Iterator[None]:
        """Hold the hook's turn; whoever waits longer than a hook may run is sent away."""
        if not self._turns[hook].acquire(timeout=self._seconds):
            raise ContractError(HTTPStatus.SERVICE_UNAVAILABLE, f"an earlier call of hook {hook!r} is still running")
        try:
            yield
        finally:
            self._turns[hook].release()


def run_hook(executable: Path, request_body: bytes, seconds: float) -> bytes:
    """Run one hook to its end and return its standard output; raise ContractError for everything else.

    Input and output are files, not pipes: a daemon that the hook leaves behind may keep them open without
    making us wait, and a hook that does not read its input cannot block.
    """
    with (
        tempfile.TemporaryFile() as standard_input,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        standard_input.write(request_body)
        standard_input.seek(0)
        try:
            process = subprocess.Popen(
                [str(executable)],
                stdin=standard_input,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # a process group of its own, so that all of it can be killed
            )
        except OSError as problem:
            reason = why_not_started(executable, problem)
            raise ContractError(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"hook {executable.name!r} cannot be started: {reason}"
            ) from problem
        if not ended_within(process, seconds):
            raise ContractError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"hook {executable.name!r} did not end within {seconds:g} seconds and was killed",
                tail(errors),
            )
        if process.returncode != 0:
            raise ContractError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"hook {executable.name!r} failed with exit status {process.returncode}",
                tail(errors),
            )
        return bounded_output(executable.name, output)


def why_not_started(executable: Path, problem: OSError) -> str:
    """Say what is wrong with a hook that is there and cannot be run, and what to do."""
    if isinstance(problem, PermissionError):
        return f"it is not executable (chmod +x {executable}), or the program that its first line names is not"
    if isinstance(problem, FileNotFoundError):
        with executable.open("rb") as script:
            first = script.readline(FIRST_LINE_LIMIT)
        line = first.rstrip(b"\n").decode(errors="replace")
        if first.endswith(b"\r\n"):
            return f"its lines end in CR LF ({line!r}): write them with LF alone"
        return f"the program that its first line names is not there: {line!r}"
    return f"{problem} (a script begins with a line like #!/bin/sh)"


def ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process; kill its whole group, and return False, if it takes longer than that.

    `Popen.wait(timeout=...)` would poll, which makes every short hook slower than it is.
    """
    expired = threading.Event()

    def kill_group() -> None:
        if process.poll() is None:
            expired.set()
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill_group)
    timer.daemon = True
    timer.start()
    try:
        process.wait()
    finally:
        timer.cancel()
    return not expired.is_set()


def tail(errors: IO[bytes]) -> str:
    """Return the end of what a hook said on standard error."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - STDERR_TAIL_LIMIT))
    return errors.read().decode(errors="replace").strip()


def bounded_output(hook: str, output: IO[bytes]) -> bytes:
    """Return what a hook printed, unless it printed more than anybody wants to read."""
    output.seek(0)
    content = output.read(HOOK_OUTPUT_LIMIT + 1)
    if len(content) > HOOK_OUTPUT_LIMIT:
        raise ContractError(
            HTTPStatus.INTERNAL_SERVER_ERROR, f"hook {hook!r} printed more than {HOOK_OUTPUT_LIMIT} bytes"
        )
    return content


def checked_output(endpoint: Endpoint, output: bytes) -> bytes:
    """Return the answer as it goes to the client: a JSON object, or clean UTF-8 text."""
    if endpoint.content_type == TEXT_TYPE:
        return output.decode(errors="replace").encode()
    if not is_json_object(output):
        beginning = output[:200].decode(errors="replace")
        raise ContractError(
            HTTPStatus.INTERNAL_SERVER_ERROR, f"hook {endpoint.hook!r} did not print a JSON object: {beginning!r}"
        )
    return output


def is_json_object(content: bytes) -> bool:
    """Tell whether these bytes are one JSON object (deep nesting is no object either: nobody means it)."""
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False


class ContractHandler(BaseHTTPRequestHandler):
    """One request: find the endpoint, read the body within its bounds, let the hook answer."""

    server: ContractServer
    server_version = "target-contract/1"
    sys_version = ""
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer a question that changes nothing."""
        self._serve()

    def do_POST(self) -> None:
        """Carry out an order."""
        self._serve()

    def _serve(self) -> None:
        try:
            endpoint = self._endpoint()
            request_body = self._request_body() if endpoint.mutating else b""
            answer = self.server.hooks.answer(endpoint, request_body)
        except ContractError as problem:
            self._send_problem(problem)
        else:
            self._send(HTTPStatus.OK, endpoint.content_type, answer)

    def _endpoint(self) -> Endpoint:
        path = urlsplit(self.path).path
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            raise ContractError(HTTPStatus.NOT_FOUND, f"the contract has no path {path[:200]!r}")
        if endpoint.method != self.command:
            raise ContractError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} is asked with {endpoint.method}")
        return endpoint

    def _request_body(self) -> bytes:
        """Read the body; no body at all means the empty object."""
        if "Transfer-Encoding" in self.headers:
            raise ContractError(HTTPStatus.LENGTH_REQUIRED, "a body needs a Content-Length")
        declared = self.headers.get("Content-Length", "0")
        if not (declared.isascii() and declared.isdigit() and len(declared) < 20):
            raise ContractError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
        length = int(declared)
        if length > REQUEST_BODY_LIMIT:
            self._discard_body(length)
            raise ContractError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {REQUEST_BODY_LIMIT} bytes, not {length}"
            )
        content = self._read(length) or b"{}"
        if not is_json_object(content):
            raise ContractError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
        return content

    def _read(self, length: int) -> bytes:
        """Read exactly this much of the body."""
        try:
            content = self.rfile.read(length)
        except TimeoutError as problem:
            raise ContractError(
                HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {CLIENT_SECONDS:g} seconds"
            ) from problem
        if len(content) < length:
            raise ContractError(HTTPStatus.BAD_REQUEST, "the body is shorter than its Content-Length")
        return content

    def _discard_body(self, length: int) -> None:
        """Take in a body that is refused, within reason.

        Closing a connection with unread data resets it, and the reset may overtake the answer: the client
        would see a broken connection instead of the reason.
        """
        if length <= DISCARD_LIMIT:
            self._read(length)

    def _send_problem(self, problem: ContractError) -> None:
        print(f"{self.command} {self.path[:200]!r}: {problem}", file=sys.stderr, flush=True)
        self._send(problem.status, JSON_TYPE, problem.body())

    def _send(self, status: int, content_type: str, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client has gone: nobody is left to tell

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the standard library refuses by itself (an unknown method, say) in JSON as well."""
        status = HTTPStatus(code)
        self._send(status, JSON_TYPE, ContractError(status, message or status.phrase).body())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Stay silent: the lab asks for the queue many times a second."""


class ContractServer(ThreadingHTTPServer):
    """The HTTP server: a thread for every request, so that a slow hook holds nobody else up."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], hooks: Hooks) -> None:
        super().__init__(address, ContractHandler)
        self.hooks = hooks

    def server_bind(self) -> None:
        """Bind without the standard library's look-up of the host's own name.

        The resolver of a target is the lab: the look-up would appear among the observed DNS queries, and
        would hold up the start for as long as the lab's resolver is not there.
        """
        socketserver.TCPServer.server_bind(self)
        self.server_name = str(self.server_address[0])
        self.server_port = int(self.server_address[1])


def parsed_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Serve the target contract by running the hooks of a folder.")
    parser.add_argument("--hooks", type=Path, default=Path("/hooks"), help="folder of executables")
    parser.add_argument("--address", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument(
        "--hook-seconds", type=float, default=DEFAULT_HOOK_SECONDS, help="a hook that runs longer is killed"
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Serve until a signal ends the process."""
    options = parsed_arguments(sys.argv[1:])
    hooks = Hooks(options.hooks, options.hook_seconds)
    with ContractServer((options.address, options.port), hooks) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
