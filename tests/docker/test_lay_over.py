"""What the images make of a configuration that was laid over them, as far as no mail server is needed for it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from mta_sts_lab.backends.overlay import read_rules
from mta_sts_lab.shipped_files import shipped_files

from tests.docker.programs import load_program

_DOCKER = shipped_files() / "docker"


def rules(target: str) -> dict[str, Any]:
    return tomllib.loads((_DOCKER / target / "overlay.toml").read_text())


class TestChasquid:
    """`chasquid.conf` has a setting a line."""

    def test_each_setting_is_kept_or_overridden(self) -> None:
        text = '# mine\nhostname: "mx1.example.com"\n\n  max_data_size_mb: 100\nsmtp_address: "systemd"\n'
        kept, said = load_program("chasquid/lay_over.py").settled(text, rules("chasquid"))
        assert kept == "max_data_size_mb: 100"
        assert said == [
            "overridden  hostname: \"mx1.example.com\" -> the lab's  (a name that the lab's DNS knows)",
            "kept        max_data_size_mb: 100",
            'overridden  smtp_address: "systemd" -> the lab\'s  (the lab injects the mail)',
        ]


class TestOpenSmtpd:
    """`smtpd.conf`: the first match counts, and lines go on behind a backslash."""

    TEXT = (
        'pki mx1 cert "/etc/ssl/mx1.pem"\nlisten on eth0 tls pki mx1\n'
        'action "local" maildir\naction "out" \\\n    relay tls\nmatch from local for any action "out"\n'
    )

    def test_the_labs_mail_takes_the_operators_way_out(self) -> None:
        text, said = load_program("opensmtpd/lay_over.py").fitted(self.TEXT, rules("opensmtpd"))
        assert text.splitlines() == [
            'action "local" maildir',
            'action "out" relay tls',
            'listen on 0.0.0.0 port 25 hostname "@HOSTNAME@"',
            'match from src @PREFIX@ for any action "out"',
            "mta limit conn-delay-route 0 conn-delay-relay 0 reconn-delay-route 0 session-keepalive 0",
            'match from local for any action "out"',
        ]
        assert "overridden  listen on eth0 tls pki mx1  (the lab injects the mail)" in said
        assert 'kept        action "out" relay tls' in said

    def test_one_that_relays_nothing_is_refused(self) -> None:
        with pytest.raises(SystemExit) as ended:
            load_program("opensmtpd/lay_over.py").fitted('action "local" maildir\n', rules("opensmtpd"))
        assert ended.value.code == 78


class TestPostfix:
    """Postfix's own `postconf` reads main.cf; what is left is about single values."""

    @pytest.mark.parametrize(
        ("value", "fitting"),
        [
            ("hash:/etc/postfix/a, mysql:/etc/postfix/b.cf", "hash:/etc/postfix/a"),
            ("proxy:ldap:/etc/postfix/b.cf", ""),
            ("pcre:/etc/postfix/c", ""),
            ("$a, socketmap:inet:127.0.0.1:8461:postfix", "$a, socketmap:inet:127.0.0.1:8461:postfix"),
            ("smtp:[relay.example]:587", "smtp:[relay.example]:587"),
        ],
    )
    def test_tables_that_cannot_be_looked_up_are_left_out(self, value: str, fitting: str) -> None:
        postfix = load_program("postfix/lay_over.py")
        remote = set(rules("postfix")["unreachable"]["types"])
        assert postfix.without_unreachable(value, {"hash", "socketmap"}, remote) == fitting

    def test_each_change_has_a_reason(self) -> None:
        for name, change in rules("postfix")["main"].items():
            value, why = change
            assert isinstance(value, str), name
            assert why, name


@pytest.mark.parametrize("target", ["postfix", "chasquid", "opensmtpd"])
def test_every_overlay_says_what_it_takes(target: str) -> None:
    found = read_rules(_DOCKER / target)
    assert found.folder
    assert all(Path(rule.at).is_absolute() for rule in (*found.folder, *found.file))
