"""The words that known failures quote from a log, and how they are looked for."""

from __future__ import annotations

import pytest
from mta_sts_lab.judge.known_failures import KnownFailure

from tests.backends.docker.quotes import quotes_not_in_the_log

LOG = """\
id1 => bac7@2db6.example R=dnslookup H=mx.4886.example [198.18.0.9] CV=yes
to=<tls%21reports@fb6e.lab.example?subject=x>, relay=none, delay=0.1, dsn=5.1.3, status=bounced
"""


@pytest.mark.parametrize(
    ("evidence", "lacking"),
    [
        ("Log: '=> ... H=mx.<the attacker's domain> ... CV=yes'; the record has no query.", []),
        ("Log: 'to=<tls%21reports@<report domain>?subject=x>, ..., dsn=5.1.3'.", []),
        ("The record has 'no such words'.", []),
        ("Log: '=> ... CV=no'.", ["=> ... CV=no"]),
        ("Log: 'CV=yes ... status=bounced'.", ["CV=yes ... status=bounced"]),
        ("Nothing. Later log: 'relay=none, dsn=5.1.3'.", ["relay=none, dsn=5.1.3"]),
    ],
)
def test_what_is_quoted_is_in_one_line_of_the_log(evidence: str, lacking: list[str]) -> None:
    known = KnownFailure("a/b[enforce]", "STS-5-03", "fail", ("delivered-clear",), "It has no MTA-STS.", evidence)
    assert list(quotes_not_in_the_log(known, LOG)) == lacking
