"""Configurations of an operator's over the other mail servers: Debian's are judged, of wrong ones it is said what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mta_sts_lab.backends.docker.images import lab_image, target_image
from mta_sts_lab.backends.folder import find_target
from mta_sts_lab.world.pki import Authority

import docker
from tests.backends.docker.throw_away import FinishedRun, play
from tests.cli.program import Answer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

#: The answers to the questions of Debian's package, for an Internet site.
EXIM = """dc_eximconfig_configtype='internet'
dc_other_hostnames='mx1.example.com:example.com'
dc_local_interfaces='127.0.0.1 ; ::1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
#: Exim without Debian's parts, under a list of authorities of its own.
EXIM_IN_ONE_FILE = """primary_hostname = mx1.example.com
domainlist local_domains = @
acl_smtp_rcpt = acl_check_rcpt
begin acl
acl_check_rcpt:
  accept
begin routers
dnslookup:
  driver = dnslookup
  domains = ! +local_domains
  transport = remote_smtp
  no_more
begin transports
remote_smtp:
  driver = smtp
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_certificates = /etc/exim4/ca.pem
begin retry
* * F,2h,15m
"""
#: Debian's sendmail.mc, with TLS and policies.
SENDMAIL = """define(`_USE_ETC_MAIL_')dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
DOMAIN(`debian-mta')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Family=inet,  Name=MTA-v4, Port=smtp, Addr=127.0.0.1')dnl
FEATURE(`use_cw_file')dnl
FEATURE(`access_db', , `skip')dnl
include(`/etc/mail/tls/starttls.m4')dnl
FEATURE(`sts', `socket -d5 -T<TMPF> inet:8461@127.0.0.1')dnl
MAILER_DEFINITIONS
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
#: What Debian's courierd sets.
COURIER = """prefix="/usr"
exec_prefix="/usr"
. /etc/environment
PATH=/usr/bin:/bin:/usr/bin:/usr/local/bin
SHELL=/bin/sh
DSNTOAUTHADDR=0
DYNAMICDELIVERIES=1
DEFAULTDELIVERY=./Maildir
MAILDROPDEFAULT=./Maildir
ESMTP_CORK=1
ESMTP_BLOCKBACKSCATTER=smtp/dsn
UUXFLAGS="-j -g C"
ESMTP_USE_STARTTLS=1
COURIERTLS=/usr/bin/couriertls
ESMTP_TLS_VERIFY_DOMAIN=0
ESMTP_PREFER_IPV6_MX=1
TLS_TRUSTCERTS=/etc/ssl/certs/ca-certificates.crt
TLS_VERIFYPEER=NONE
"""
#: Debian's smtpd.conf.
OPENSMTPD = """table aliases file:/etc/aliases
listen on localhost
action "local" maildir alias <aliases>
action "relay" relay
match for local action "local"
match from local for any action "relay"
"""
HARAKA = {"smtp.ini": "listen=[::0]:587\n", "plugins": "tls\nrcpt_to.in_host_list\nrelay\nqueue/smtp_forward\n"}
CHASQUID = {"chasquid.conf": 'hostname: "mx1.example.com"\nmax_data_size_mb: 100\n'}
#: One that signed nothing in the lab.
AUTHORITY = Authority.create().certificate_pem.decode()


@dataclass(frozen=True)
class Configuration:
    """Files of an operator's for a mail server; what `--config` says beside the folder, and what is wrong with it."""

    target: str
    files: dict[str, str]
    code: str = ""
    more: dict[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    #: Whether the case is proved: honest mail is delivered and only attacked mail held, or mail is lost.
    proved: bool = False

    def run(self, place: Path, *cases: str) -> Answer:
        """Play some cases against it."""
        folder = place / "theirs"
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        configs = [str(folder)]
        for at, text in self.more.items():
            source = place / Path(at).name
            source.write_text(text)
            source.chmod(0o755)
            configs.append(f"{source}={at}")
        given = [word for one in configs for word in ("--config", one)]
        return play(place, "run", *cases, "--json", "--target", self.target, *given, longest=300.0)


GOOD = {
    "exim": Configuration(
        "exim",
        {"update-exim4.conf.conf": EXIM},
        said=(
            "overridden  local_interfaces = <; 127.0.0.1 ; ::1 -> 0.0.0.0  (the lab injects the mail)",
            "kept        domainlist local_domains = @:localhost:mx1.example.com:example.com",
        ),
    ),
    "sendmail": Configuration(
        "sendmail",
        {"sendmail.mc": SENDMAIL, "access": "Connect:192.0.2\tREJECT\n"},
        said=("kept        Ksts socket -d5 -T<TMPF> inet:8461@127.0.0.1", "kept        O CACertPath=/etc/ssl/certs"),
    ),
    "courier": Configuration(
        "courier",
        {"courierd": COURIER, "retryalpha": "10m\n", "esmtpd": "TCPDOPTS=-noidentlookup\n"},
        said=(
            "overridden  retryalpha: 10m -> the lab's  (a hold is proved by another attempt)",
            "unused      esmtpd: TCPDOPTS=-noidentlookup  (mail comes in through the lab's own listener)",
        ),
    ),
    "opensmtpd": Configuration(
        "opensmtpd",
        {"smtpd.conf": OPENSMTPD},
        said=("overridden  listen on localhost  (the lab injects the mail)", 'kept        action "relay" relay'),
    ),
    "haraka": Configuration(
        "haraka",
        HARAKA | {"outbound.ini": "always_split=true\ntemp_fail_intervals=1m\n"},
        said=(
            "overridden  outbound.ini: temp_fail_intervals=1m -> the lab's  (a hold is proved by another attempt)",
            "kept        outbound.ini: always_split=true",
            "unused      plugins: queue/smtp_forward  (about mail that comes in, or not in the image)",
        ),
    ),
    "chasquid": Configuration("chasquid", CHASQUID, said=("kept        max_data_size_mb: 100",)),
}

WRONG = {
    "exim for local delivery only": Configuration(
        "exim", {"update-exim4.conf.conf": EXIM.replace("'internet'", "'local'")}, "sends-no-mail-out"
    ),
    "exim with a smarthost": Configuration(
        "exim",
        {
            "update-exim4.conf.conf": EXIM.replace("'internet'", "'smarthost'").replace(
                "dc_smarthost=''", "dc_smarthost='203.0.113.9::587'"
            )
        },
        "next-hop-unreachable",
    ),
    "exim that demands TLS": Configuration(
        "exim",
        {"update-exim4.conf.conf": EXIM, "exim4.conf.localmacros": "REMOTE_SMTP_HOSTS_REQUIRE_TLS = *\n"},
        "tls-demanded-of-all",
        proved=True,
    ),
    "exim without the lab's addresses": Configuration(
        "exim",
        {
            "update-exim4.conf.conf": EXIM,
            "exim4.conf.localmacros": "ROUTER_DNSLOOKUP_IGNORE_TARGET_HOSTS = 198.18.0.0/15\n",
        },
        "special-addresses-refused",
    ),
    "exim with another authority": Configuration(
        "exim",
        {"exim4.conf": EXIM_IN_ONE_FILE, "ca.pem": AUTHORITY},
        "ca-not-trusted",
    ),
    "sendmail with a smarthost": Configuration(
        "sendmail",
        {"sendmail.mc": SENDMAIL.replace("OSTYPE", "define(`SMART_HOST', `[203.0.113.9]')dnl\nOSTYPE")},
        "next-hop-unreachable",
    ),
    "sendmail with a dead policy socket": Configuration(
        "sendmail", {"sendmail.mc": SENDMAIL.replace("inet:8461@", "inet:8462@")}, "policy-plug-in-unreachable"
    ),
    "sendmail without authorities": Configuration(
        "sendmail",
        {
            "sendmail.mc": SENDMAIL.replace(
                "FEATURE(`sts'", "define(`confCACERT_PATH', `/etc/mail/none')dnl\nFEATURE(`sts'"
            )
        },
        "ca-not-trusted",
    ),
    "sendmail that demands TLS": Configuration(
        "sendmail",
        {"sendmail.mc": SENDMAIL, "access": "TLS_Srv:\tENCR:112\n"},
        "tls-demanded-of-all",
        proved=True,
    ),
    "courier with a smarthost": Configuration(
        "courier", {"courierd": COURIER, "esmtproutes": ":[203.0.113.9],587\n"}, "next-hop-unreachable"
    ),
    "courier with a closed port": Configuration(
        "courier", {"courierd": COURIER, "esmtproutes": ":[127.0.0.1],10025\n"}, "next-hop-unreachable"
    ),
    "courier with a file of authorities that is missing": Configuration(
        "courier",
        {
            "courierd": COURIER.replace("/etc/ssl/certs/ca-certificates.crt", "/etc/courier/ca.pem")
            .replace("DOMAIN=0", "DOMAIN=1")
            .replace("=NONE", "=PEER")
        },
        "ca-not-trusted",
    ),
    "courier that demands a security level": Configuration(
        "courier",
        {"courierd": COURIER, "esmtproutes": ": /SECURITY=STARTTLS\n"},
        "tls-demanded-of-all",
        # The first message leaves the queue, and neither a copy nor a notice arrives.
        proved=True,
    ),
    "opensmtpd with a relay of its own": Configuration(
        "opensmtpd",
        {"smtpd.conf": OPENSMTPD.replace('"relay" relay\n', '"relay" relay host smtp://203.0.113.9\n')},
        "next-hop-unreachable",
    ),
    "opensmtpd with another authority": Configuration(
        "opensmtpd",
        {
            "smtpd.conf": 'ca mine cert "/etc/mail/ca.pem"\n'
            + OPENSMTPD.replace('"relay" relay\n', '"relay" relay tls ca mine\n'),
            "ca.pem": AUTHORITY,
        },
        "ca-not-trusted",
    ),
    "opensmtpd that demands TLS": Configuration(
        "opensmtpd",
        {"smtpd.conf": OPENSMTPD.replace('"relay" relay\n', '"relay" relay tls\n')},
        "tls-demanded-of-all",
        proved=True,
    ),
    "haraka with a next hop": Configuration(
        "haraka",
        HARAKA
        | {
            "relay.ini": "[relay]\nforce_routing=true\n",
            "relay_dest_domains.ini": '[domains]\nany={"action":"continue","nexthop":"203.0.113.9:25"}\n',
        },
        "next-hop-unreachable",
    ),
    "haraka that demands TLS": Configuration(
        "haraka",
        # It takes /0 for /32.
        HARAKA | {"tls.ini": "[outbound]\nforce_tls_hosts[]=0.0.0.0/1\nforce_tls_hosts[]=128.0.0.0/1\n"},
        "tls-demanded-of-all",
        proved=True,
    ),
    "haraka with a plug-in that answers nothing": Configuration(
        "haraka",
        HARAKA | {"plugins": "policy\n"},
        "plug-in-silent",
        {"/var/lib/haraka/plugins/policy.js": "exports.hook_get_mx = function (next, hmail, domain) {}\n"},
    ),
    "haraka with a plug-in whose server is dead": Configuration(
        "haraka",
        HARAKA | {"plugins": "policy\n"},
        "plug-in-unreachable",
        {
            "/var/lib/haraka/plugins/policy.js": "exports.hook_get_mx = function (next, hmail, domain) {\n"
            "  require('node:net').connect(8461, '127.0.0.1').on('error', () => next(DENYSOFT))\n}\n"
        },
    ),
    "chasquid without a resolver": Configuration(
        "chasquid", CHASQUID, "dns-lookup-fails", {"/etc/nsswitch.conf": "hosts: files\n"}
    ),
    "chasquid with another authority": Configuration(
        "chasquid",
        CHASQUID,
        "ca-not-trusted",
        {"/etc/default/chasquid": "SSL_CERT_FILE=/etc/ssl/none.pem\nSSL_CERT_DIR=/etc/ssl/none\n"},
    ),
    "chasquid with a dead filter": Configuration(
        "chasquid", CHASQUID, "relay-refused", {"/etc/chasquid/hooks/post-data": "#!/bin/sh\nexit 75\n"}
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _lab(engine: docker.DockerClient) -> None:
    lab_image(engine, print)


@pytest.mark.parametrize("target", [pytest.param(name, marks=pytest.mark.thorough) for name in GOOD])
def test_a_good_one_is_judged_and_says_what_was_changed(
    engine: docker.DockerClient, tmp_path: Path, target: str
) -> None:
    target_image(engine, find_target(target), print)
    answer = GOOD[target].run(tmp_path, "starttls/strip", "certificate/swapped-*", "certificate/own-expired")
    done = FinishedRun(answer, tmp_path)
    assert done.document["diagnoses"] == [], answer
    verdicts = {case["id"]: case["verdict"] for case in done.document["cases"]}
    assert set(verdicts.values()) <= {"pass", "info", "fail", "weak"}, answer
    # chasquid holds, and may do so because of its memory of security levels.
    holds = "mta-sts" in done.document["target"]["capabilities"]
    assert (verdicts["starttls/strip[enforce]"] in ("pass", "info")) is holds
    said = (done.folder / "target" / "kept-and-overridden.txt").read_text().splitlines()
    assert set(GOOD[target].said) <= set(said)


#: Played in continuous integration, because it takes seconds; `make targets` plays all.
CHEAP = "chasquid with a dead filter"


@pytest.mark.parametrize(
    "wrong", [pytest.param(name, marks=[] if name == CHEAP else pytest.mark.thorough) for name in WRONG]
)
def test_each_mistake_of_a_configuration_is_named(engine: docker.DockerClient, tmp_path: Path, wrong: str) -> None:
    configuration = WRONG[wrong]
    target_image(engine, find_target(configuration.target), print)
    answer = configuration.run(tmp_path, "starttls/strip")
    said = " ".join(answer.err.split())
    assert answer.status in (1, 4), answer
    assert "198.18.0.0/15, reserved for benchmarks" not in said or configuration.code == "special-addresses-refused"
    if configuration.code == "relay-refused":
        assert "is not ready to be judged (relay-refused)" in said
        return
    done = FinishedRun(answer, tmp_path)
    (first, *_) = done.document["diagnoses"]
    assert first["code"] == configuration.code, answer.err
    assert re.search(rf"diagnosis: .+? \({configuration.code}\)", said), answer.err
    assert first["quoted"] or configuration.code == "plug-in-silent"
    unproved = done.case("starttls/strip[enforce]")["verdict"] == "inconclusive"
    assert unproved is not configuration.proved, answer.err
