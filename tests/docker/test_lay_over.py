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
        sayings = load_program("common/laid_over.py").Sayings()
        assert load_program("chasquid/lay_over.py").settled(text, rules("chasquid"), sayings) == "max_data_size_mb: 100"
        assert sayings.lines == [
            "overridden  hostname: \"mx1.example.com\" -> the lab's  (a name that the lab's DNS knows)",
            "kept        max_data_size_mb: 100",
            'overridden  smtp_address: "systemd" -> the lab\'s  (the lab injects the mail)',
        ]


class TestOpenSmtpd:
    """`smtpd.conf`: the first match counts, and lines go on behind a backslash."""

    TEXT = (
        'pki mx1 cert "/etc/ssl/mx1.pem"\nlisten on eth0 tls pki mx1\n'
        'action "local" maildir\naction "out" \\\n    relay tls src 192.0.2.1\nmatch from local for any action "out"\n'
    )

    def test_the_labs_mail_takes_the_operators_way_out(self) -> None:
        sayings = load_program("common/laid_over.py").Sayings()
        text = load_program("opensmtpd/lay_over.py").fitted(self.TEXT, rules("opensmtpd"), sayings)
        assert text.splitlines() == [
            'action "local" maildir',
            'action "out" relay tls',
            'listen on 0.0.0.0 port 25 hostname "@HOSTNAME@"',
            'match from src @PREFIX@ for any action "out"',
            "mta limit conn-delay-route 0 conn-delay-relay 0 reconn-delay-route 0 session-keepalive 0",
            'match from local for any action "out"',
        ]
        assert "overridden  listen on eth0 tls pki mx1  (the lab injects the mail)" in sayings.lines
        assert (
            'unused      pki mx1 cert "/etc/ssl/mx1.pem"  (mail comes in through the lab\'s own listener)'
            in sayings.lines
        )
        assert 'overridden  action "out" relay tls src 192.0.2.1 -> action "out" relay tls  ' in "\n".join(
            sayings.lines
        )

    def test_an_authority_that_an_action_names_stays(self) -> None:
        opensmtpd, text = (
            load_program("opensmtpd/lay_over.py"),
            'ca mine cert "/etc/ca.pem"\naction out relay tls ca mine\n',
        )
        sayings = load_program("common/laid_over.py").Sayings()
        assert 'ca mine cert "/etc/ca.pem"' in opensmtpd.fitted(text, rules("opensmtpd"), sayings).splitlines()

    def test_one_that_relays_nothing_is_refused(self) -> None:
        opensmtpd, sayings = load_program("opensmtpd/lay_over.py"), load_program("common/laid_over.py").Sayings()
        with pytest.raises(SystemExit) as ended:
            opensmtpd.fitted('action "local" maildir\n', rules("opensmtpd"), sayings)
        assert ended.value.code == 78


class TestExim:
    """Exim itself prints the configuration that it reads, a line an option, without comments."""

    PACKAGED = "spool_directory = /var/spool/exim4\n\nbegin transports\n\n  remote_smtp:\n    driver = smtp\n"
    THEIRS = (
        "# 1 one\nMACRO = x\nspool_directory = /srv/spool\nacl_smtp_rcpt = acl_check_rcpt\ntimeout_frozen_after = 1d\n\n"
        "begin acl\n\n  acl_check_rcpt:\n    deny\n\nbegin transports\n\n  remote_smtp:\n    driver = smtp\n"
        "    interface = 192.0.2.1\n    hosts_require_tls = *\n\nbegin retry\n  * * F,2h,15m\n"
    )

    def test_only_what_decides_about_delivery_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LAB_HOSTNAME", "mta.sender.example")
        monkeypatch.setenv("LAB_SENDER_DOMAIN", "sender.example")
        sayings = load_program("common/laid_over.py").Sayings()
        text = load_program("exim/lay_over.py").fitted(self.THEIRS, self.PACKAGED, rules("exim"), sayings)
        kept = [line.split(maxsplit=1)[1] for line in sayings.lines if line.startswith("kept")]
        assert kept == ["timeout_frozen_after = 1d", "hosts_require_tls = *"]
        for line in (
            "primary_hostname = mta.sender.example",
            "acl_smtp_rcpt = accept hosts = *",
            "    hosts_require_tls = *",
        ):
            assert line in text.splitlines()
        for gone in ("MACRO", "/srv/spool", "acl_check_rcpt", "192.0.2.1", "F,2h,15m"):
            assert gone not in text
        assert (
            "overridden  interface = 192.0.2.1 -> (nothing)  (the lab's network has other addresses)" in sayings.lines
        )


class TestSendmail:
    """sendmail.cf has an option a line, and rules that stay as they are."""

    def test_options_are_kept_or_overridden(self) -> None:
        theirs = (
            "Djmx1.example.com\nO DaemonPortOptions=Port=2525\nO CACertPath=/srv/ca\nO HoldExpensive=True\nSlocal\n"
        )
        sayings = load_program("common/laid_over.py").Sayings()
        text = load_program("sendmail/lay_over.py").fitted(theirs, "Slocal\n", rules("sendmail"), sayings)
        assert text.startswith(
            "O CACertPath=/srv/ca\nSlocal\nDj\nO DaemonPortOptions=Family=inet, Name=MTA-v4, Port=smtp\n"
        )
        assert "2525" not in text
        assert "kept        O CACertPath=/srv/ca" in sayings.lines
        assert "overridden  O HoldExpensive=True -> False  (the lab waits for the first attempt)" in sayings.lines


class TestHaraka:
    """Settings are lines of ini files; plug-ins are names, and files of the operator's own."""

    def test_a_setting_of_the_lab_stands_in_its_section(self) -> None:
        sayings = load_program("common/laid_over.py").Sayings()
        theirs = "; mine\n[relay]\nall=false\nforce_routing=true\n"
        text = load_program("haraka/lay_over.py").settled("relay.ini", theirs, rules("haraka"), sayings)
        assert text == "[relay]\nall=true\nforce_routing=true\n"
        assert "overridden  relay.ini: all=false -> the lab's  (the lab injects the mail)" in sayings.lines
        assert "kept        relay.ini: force_routing=true" in sayings.lines

    def test_a_section_that_is_not_there_is_added(self) -> None:
        haraka, sayings = load_program("haraka/lay_over.py"), load_program("common/laid_over.py").Sayings()
        assert haraka.settled("relay.ini", "", rules("haraka"), sayings) == "[relay]\nall=true\n"
        assert haraka.settled("outbound.ini", "x=1\n", rules("haraka"), sayings) == "temp_fail_intervals=5s*1000\nx=1\n"


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

    def test_which_families_the_run_has_decides_about_theirs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        postfix = load_program("postfix/lay_over.py")
        monkeypatch.delenv("LAB_FAMILIES", raising=False)
        assert postfix.demanded(rules("postfix"))["inet_protocols"] == ["ipv4", "the run has no IPv6"]
        monkeypatch.setenv("LAB_FAMILIES", "ipv4 ipv6")
        found = postfix.demanded(rules("postfix"))
        assert found["inet_protocols"] == ["all", "the run has IPv6"]
        assert found["myhostname"] == rules("postfix")["main"]["myhostname"]

    def test_each_change_has_a_reason(self) -> None:
        postfix = rules("postfix")
        for name, change in [*postfix["main"].items(), *postfix["main_with_ipv6"].items()]:
            value, why = change
            assert isinstance(value, str), name
            assert why, name


@pytest.mark.parametrize("target", ["postfix", "chasquid", "exim", "courier", "sendmail", "opensmtpd", "haraka"])
def test_every_overlay_says_what_it_takes(target: str) -> None:
    found = read_rules(_DOCKER / target)
    assert found.folder
    assert all(Path(rule.at).is_absolute() for rule in (*found.folder, *found.file))
