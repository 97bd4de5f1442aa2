"""Where Postfix's image sends mail: behind.<domain> goes to <domain>, and a table that does not answer holds all mail."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from mta_sts_lab.shipped_files import shipped_files

from tests.docker.programs import load_program

smart_host = load_program("postfix/smart_host.py")

SERVICES = sorted((shipped_files() / "docker").glob("postfix*/services*.toml"))


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"route a@behind.there.example", b"OK smtp:there.example"),
        (b"route @behind.there.example", b"OK smtp:there.example"),
        (b"route a@there.example", b"NOTFOUND "),
        (b"route a@not-behind.there.example", b"NOTFOUND "),
        (b"route behind.there.example", b"NOTFOUND "),
        (b"route *", b"NOTFOUND "),
        (b"", b"NOTFOUND "),
    ],
)
def test_only_mail_behind_a_domain_has_a_route(request_line: bytes, answer: bytes) -> None:
    assert smart_host.answered(request_line) == answer


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_postfix_never_starts_without_it(file: Path) -> None:
    names = [one["name"] for one in tomllib.loads(file.read_text(encoding="utf-8"))["service"]]
    assert names.index("smart-host") < names.index("postfix")
