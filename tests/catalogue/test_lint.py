from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalogue.files import ATTACK, EXPECT, GOOD, HEAD, complaints, line_with, load


def _enforce(more: str) -> str:
    return GOOD.replace('outcome = "deferred"', more)


REFUSED = [
    # words that nobody else understands
    (HEAD.replace("STS-5-03", "STS-5-3") + ATTACK + EXPECT, "requirements", "unknown requirement `STS-5-3`; did you mean"),
    (GOOD.replace("strip_starttls", "strip_startls"), "smtp =", "unknown smtp attack `strip_startls`; did you mean"),
    (GOOD.replace("smtp =", "https ="), "https =", "unknown https attack `strip_starttls`"),
    (GOOD.replace('"strip_starttls"', '{ name = "refuse_starttls", cod = 454 }'), "smtp =", "unknown parameter"),
    (GOOD.replace('"strip_starttls"', '{ name = "refuse_starttls", code = 999 }'), "smtp =", "unknown value of `code`"),
    (GOOD + '[world.mx]\ncertificate = "expird"\n', "expird", "unknown certificate variant `expird`; did you mean"),
    (GOOD + '[fault.mx]\ncertificate = "expird"\n', "expird", "unknown certificate variant `expird`; did you mean"),
    (GOOD + '[world.policy]\nmode = "strict"\n', "strict", "unknown mode `strict`"),
    (HEAD.replace("clear_without", "clear_witout") + ATTACK + EXPECT, "kills",
     "unknown flaw `sends_clear_witout_starttls`; did you mean `sends_clear_without_starttls`?"),
    (_enforce('outcome = "defered"'), "defered", "unknown outcome `defered`; did you mean `deferred`?"),
    (_enforce('outcome = "deferred"\nobligation = "STS-5-99"'), "STS-5-99", "unknown requirement `STS-5-99`"),
    (_enforce('outcome = "deferred"\nreport = "no-starttls"'), "no-starttls", "unknown result type `no-starttls`"),
    # what cannot fail
    (_enforce('outcome = "any"'), '"any"', "cannot fail: `any` outcome is right"),
    (_enforce('outcome = ["delivered", "deferred", "bounced"]'), "bounced", "cannot fail: every outcome is right"),
    (_enforce('outcome = ["delivered", "deferred"]'), '["delivered", "deferred"]', "only the control case may say so"),
    (_enforce("outcome = []"), "[expect.enforce]", "an expectation without an outcome"),
    (_enforce('outcome = "deferred"\npolicy_requests = {}'), "policy_requests", "these bounds cannot fail"),
    (_enforce('outcome = "deferred"\npolicy_requests = { least = 2, most = 1 }'), "policy_requests", "cannot be met"),
    (_enforce('outcome = "deferred"\nshould = "delivered"'), "should", "`should` must narrow `outcome`"),
    (_enforce('outcome = "deferred"\nshould_grade = "info"'), "should_grade", "goes with `should`"),
    (_enforce('outcome = ["delivered", "deferred"]\nshould = "deferred"\nshould_grade = "fail"'), "should_grade", "is `weak` or `info`"),
    (GOOD.replace('outcome = "delivered"', 'outcome = "as-absent" # here'), "# here", "compared with itself"),
    # what cannot fire
    (GOOD.replace('"strip_starttls"', '{ name = "strip_starttls", host = "mx9" }'), "smtp =", "unknown MX host `mx9`"),
    (HEAD + '[attack]\nhttps = "block_policy_host"\n[expect.absent]\noutcome = "delivered"\n', "https =", "no mode of the scenario publishes a policy"),
    (GOOD + '[[step]]\nname = "attack"\n[[step]]\nname = "idle"\nsend = false\nattack = "keep"\n', "smtp =", "nothing is sent in the step `idle`"),
    (HEAD + '[attack]\nhttps = "block_policy_host"\n' + EXPECT, "[attack]", "without a policy nothing is attacked"),
    (GOOD.replace('"strip_starttls"', '{ name = "strip_starttls", family = "ipv5" }').replace("title", 'needs = "ipv6"\ntitle', 1), "smtp =", "unknown family: `ipv5`"),
    (GOOD.replace('"strip_starttls"', '{ name = "strip_starttls", family = "ipv6" }'), "title", 'say `needs = "ipv6"`'),
    (GOOD + '[world.mx]\ndead_over = "ipv6"\n', "title", 'say `needs = "ipv6"`'),
    (GOOD + '[world.policy_host]\ndead_over = "ipv4"\n', "title", 'say `needs = "ipv6"`'),
    # what is missing, twice, or out of place
    (HEAD.replace('"An effect."', '" "') + ATTACK + EXPECT, "effect", "`effect` is empty"),
    (HEAD.replace('"STS-5-05",', '"STS-5-03",') + ATTACK + EXPECT, "requirements", "STS-5-03 is listed twice"),
    (GOOD.replace('["STS-5-03", "STS-5-05", "STS-5-06"]', "[]"), "requirements", "`requirements` is empty"),
    (HEAD.replace('kills = ["sends_clear_without_starttls"]', "kills = []") + ATTACK + EXPECT, "kills", "`kills` is empty"),
    (HEAD.replace('kills = [', 'kills = ["sends_clear_without_starttls", ') + ATTACK + EXPECT, "kills",
     "the flaw sends_clear_without_starttls is listed twice"),
    (GOOD.replace("[expect.absent]\noutcome", "[expect.none]\nnote").replace('[expect.none]\noutcome = "as-absent"\n', ""),
     "[expect.none]", "an expectation without an outcome"),
    (GOOD.split("[expect.absent]", maxsplit=1)[0], "[expect.enforce]", "an attack without a control case"),
    (HEAD + '[expect.testing]\noutcome = "as-absent"\n', "[expect.testing]", "nothing to compare `as-absent` with"),
    (GOOD + '[[world.mx]]\nname = "a"\n[[world.mx]]\nname = "a"\n', "[[world.mx]]", "the MX host `a` is there twice"),
    (GOOD + "[world]\nmx = []\n", "mx = []", "a domain without MX hosts"),
    (_enforce('outcome = "deferred"\nobligation = "STS-4-02"'), "STS-4-02", "not among `requirements`"),
    (_enforce('outcome = "deferred"\nobligation = "RPT-4.3.1-01"').replace('"STS-5-05",', '"STS-5-05", "RPT-4.3.1-01",'), "obligation =", "RPT-4.3.1-01 does not bind the sender"),
    (GOOD + '[[step]]\nname = "attack"\nsend = false\nrecovers = true\n', "[expect.enforce]", "nothing to expect: no message is sent in the step `attack`, or before it"),
    (GOOD + '[[step]]\nname = "attack"\n[[step]]\nname = "watch"\nsend = false\nexpect.enforce = { outcome = "deferred", report = "any" }\n', "[expect.enforce]", "the step `watch` sends no message: only an outcome can be expected"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_what_proves_nothing_is_refused_with_its_line(tmp_path: Path, text: str, words: str, message: str) -> None:
    lines = [line for line, said in complaints(tmp_path, text) if message in said]
    assert lines
    assert lines[0] == line_with(text, words)


def test_a_mistake_that_vectors_inherit_is_said_once(tmp_path: Path) -> None:
    text = GOOD.replace("strip_starttls", "strip") + '[[vector]]\nname = "a"\n[[vector]]\nname = "b"\n'
    assert len(complaints(tmp_path, text)) == 1


def test_any_outcome_will_do_where_something_else_is_judged(tmp_path: Path) -> None:
    text = _enforce('outcome = "any"\npolicy_requests = { most = 1 }')
    assert "family/name[enforce]" in load(tmp_path, text).cases


def _with(extra: str, enforce: str = "") -> str:
    text = GOOD.replace('["STS-5-03"', '["STS-5-03", "STS-6-03", "RPT-3-15"')
    return text.replace("[expect.enforce]\n", f"[expect.enforce]\n{enforce}\n") + extra


ASKING = '[[step]]\nname = "prime"\nlearns_policy = true\n[[step]]\nname = "attack"\n[[step]]\nname = "r"\nsend = false\nreports = true\n'


@pytest.mark.parametrize(
    "text",
    [
        _with("", 'report = "starttls-not-supported"'),
        _with("", 'report = "none"'),
        _with(ASKING, 'report = ["validation-failure", "starttls-not-supported"]\nreport_optional = true'),
        _with(
            '[world.reports]\nrecords = ["v=TLSRPTv1; rua={https},{mailto},{own},mailto:x@{report_domain}"]\nstatus = 0\n'
        ),
    ],
)
def test_what_may_be_said_of_reports(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_with("", 'report = "starttls-not-suported"'), "did you mean `starttls-not-supported`"),
        (_with("", 'report = ["none", "validation-failure"]'), "`none` stands alone"),
        (_with("", 'report = "none"\nreport_optional = true'), "about a report that would be right"),
        (_with("", 'report = "success"'), "RPT-4.2.1-01 is judged"),
        (_with(ASKING), "nothing is expected of them"),
        (_with(ASKING.replace("send = false\n", "send = false\nadvance = 5\n").replace("reports = true\n", ""), 'report = "none"'), "nobody asks for the report"),
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
def test_what_is_wrong_about_reports_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in said for _, said in complaints(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[world.dns]\nsecurity = "signed"\n', "unknown security state"),
        ('[world.dns]\nmx_security = "secur"\n', "did you mean `secure`"),
        ('[world.mx]\naddress_security = "no"\n', "unknown security state"),
        ('[world.mx]\ntlsa = [{ of = "nobdy" }]\n', "did you mean `nobody`"),
        ("[world.mx]\ntlsa = [{ usage = 256 }]\n", "numbers from 0 to 255"),
        ("[world.mx]\ntlsa = [{ cut = -1 }]\n", "how many octets are missing"),
        ('[world.mx]\ntlsa_below = "target"\n', "say of which name it is one"),
        ('[world.mx]\nalias_through = "between"\n', "say of which name it is one"),
        ('[world.mx]\nalias_of = "host"\ntlsa_below = "between"\n', "no name is between `mx1` and `host`"),
        ('[world.mx]\nalias_of = "host"\ntlsa_of_alias = [{ of = "nobdy" }]\n', "did you mean `nobody`"),
    ],
)
def test_what_is_wrong_about_dane_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in said for _, said in complaints(tmp_path, _with(text)))
