"""What a scenario may say of reports, and what it may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mta_sts_lab.catalogue import CatalogueError

from tests.catalogue.files import GOOD, load


def _with(extra: str, *, enforce: str = "") -> str:
    text = GOOD.replace("requirements = [", 'requirements = ["STS-5-03", "STS-6-03", "RPT-3-15", ', 1)
    text = text.replace('"STS-5-03", "STS-6-03", "RPT-3-15", "STS-5-03"', '"STS-5-03", "STS-6-03", "RPT-3-15"')
    text = text.replace("[expect.enforce]\n", f"[expect.enforce]\n{enforce}\n", 1)
    return text + extra


ASKING = '[[step]]\nname = "prime"\nlearns_policy = true\n[[step]]\nname = "attack"\n[[step]]\nname = "r"\nsend = false\nreports = true\n'


@pytest.mark.parametrize(
    "text",
    [
        _with("", enforce='report = "starttls-not-supported"'),
        _with("", enforce='report = "none"'),
        _with(ASKING, enforce='report = ["validation-failure", "starttls-not-supported"]\nreport_optional = true'),
        _with(
            '[world.reports]\nrecords = ["v=TLSRPTv1; rua={https},{mailto},{own},mailto:x@{report_domain}"]\nstatus = 0\n'
        ),
    ],
)
def test_what_is_right(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_with("", enforce='report = "starttls-not-suported"'), "did you mean `starttls-not-supported`"),
        (_with("", enforce='report = ["none", "validation-failure"]'), "`none` stands alone"),
        (_with("", enforce='report = "none"\nreport_optional = true'), "about a report that would be right"),
        (_with("", enforce='report = "success"'), "RPT-4.2.1-01 is judged"),
        (_with(ASKING), "nothing is expected of them"),
        (_with(ASKING.replace("send = false\n", "send = false\nadvance = 5\n").replace("reports = true\n", ""), enforce='report = "none"'), "nobody asks for the report"),
        (_with('[world.reports]\nrecords = ["v=TLSRPTv1; rua={htps}"]\n'), "did you mean `https`"),
        (_with("[world.reports]\nstatus = 42\n"), "`status` is an HTTP status"),
        (_with("[world.reports]\nmail_reply = 354\n"), "`mail_reply` is one of 250, 451, 550"),
        (_with("[world.reports]\nstring_length = 256\n"), "at most 255 octets"),
        (_with('[world.reports]\nat_mx = ["v=TLSRPTv1; rua={htps}"]\n'), "did you mean `https`"),
        (_with('[world.reports]\nstatus = 200\nlocation = "/moved"\n'), "needs a `status` that points to it"),
        (_with('[world.reports]\nstatus = 307\nlocation = "moved"\n'), "`location` is a path"),
        (_with('[world.reports]\ncertificate = "old"\n'), "unknown certificate variant"),
        (_with("").replace("title =", 'needs = "tlsrpt"\ntitle =', 1), "did you mean `tls-rpt`"),
        (_with("[world.reports]\nrua = 1\n"), "unknown key `rua`"),
    ],
)  # fmt: skip
def test_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=re.escape(message)):
        load(tmp_path, text)
