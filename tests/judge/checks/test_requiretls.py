"""Where the bounce of a message that requires TLS may go, and what it may say there (RFC 8689, section 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mta_sts_lab.events import (
    AnyFact,
    BounceReceived,
    CaseEnded,
    ConnectionAccepted,
    ConnectionClosed,
    MessageAccepted,
    SmtpSaid,
    StepBegan,
    StepEnded,
    TlsEstablished,
)
from mta_sts_lab.model.case import Mode
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Judgement
from mta_sts_lab.model.world import Dns, MxHost, World

from tests.judge.stories import CASES, DOMAIN, ENFORCE, injected, prime, record, taken_in, token, verdict

AT_HOME = f"mx.back.{DOMAIN[ENFORCE]}"
IN_ORDER = MxHost(requiretls="inside-tls")


def _bounced(
    host: MxHost | None, *, secured: bool = True, option: bool = True, header: bool = True, signed: bool = True
) -> set[tuple[str, str]]:
    """Return the rows and reasons of what is found in a bounce to a host of the author's."""
    certificate = host.certificate if host is not None else "valid"
    name = token(ENFORCE, "attack")
    said = "MAIL FROM:<> REQUIRETLS" if option else "MAIL FROM:<>"
    way_back: list[AnyFact] = [
        ConnectionAccepted(session="back-1", role="sender-mx", host=AT_HOME, address="198.18.64.7", port=25),
        *([TlsEstablished(session="back-1", version="TLSv1.3", certificate=certificate)] if secured else []),
        SmtpSaid(session="back-1", speaker="sender", line="EHLO mta.sender.example", secured=secured),
        SmtpSaid(session="back-1", speaker="sender", line=said, secured=secured),
        MessageAccepted(
            session="back-1",
            role="sender-mx",
            host=AT_HOME,
            address="198.18.64.7",
            secured=secured,
            certificate=certificate if secured else "",
            mail_from="",
            recipients=(f"{name}@back.{DOMAIN[ENFORCE]}",),
            tokens=(name,),
            octets=900,
            body_digest="of the notice",
            mail_options=("REQUIRETLS",) if option else (),
        ),
        BounceReceived(token=name, action="failed", status="5.7.30", quotes_header=header),
        SmtpSaid(session="back-1", speaker="sender", line="QUIT", secured=secured),
        ConnectionClosed(session="back-1"),
    ]
    attack: list[AnyFact] = [StepBegan(), injected(ENFORCE, "attack"), *way_back, StepEnded()]
    after: list[AnyFact] = [StepBegan(), StepEnded(), CaseEnded()]
    story = prime(ENFORCE)
    story += [(ENFORCE, "attack", fact) for fact in attack] + [(ENFORCE, "recover", fact) for fact in after]
    world = World(dns=Dns(security="secure" if signed else "insecure"), return_host=host)
    steps = tuple(
        replace(step, world=world, message=replace(step.message, requiretls=step.name == "attack"))
        for step in CASES[ENFORCE].steps
    )
    case = replace(CASES[ENFORCE], mode=Mode.ENFORCE, steps=steps)
    control = CASES[taken_in()[0][0]]
    made = record(story, taken_in(), capabilities=("mta-sts", "requiretls"), cases=(case, control))
    return {(one.obligation, one.reason) for one in verdict(made).judgements if _is_of_the_bounce(one)}


def _is_of_the_bounce(judgement: Judgement) -> bool:
    return judgement.grade is Grade.FAIL and judgement.reason.startswith(("bounce-", "option-"))


def test_to_a_host_that_is_in_order_a_bounce_goes_with_the_option_or_says_nothing() -> None:
    assert _bounced(IN_ORDER) == set()
    assert _bounced(IN_ORDER, option=False) == {("RTLS-5-02", "bounce-without-option")}
    assert _bounced(IN_ORDER, option=False, header=False) == set()


@pytest.mark.parametrize("certificate", ["self-signed", "expired", "wrong-name", "untrusted"])
def test_to_a_host_whose_certificate_is_bad_goes_neither_the_option_nor_the_header(certificate: str) -> None:
    bad = replace(IN_ORDER, certificate=certificate)
    option, header = ("RTLS-2-04", "option-not-authenticated"), ("RTLS-5-01", "bounce-not-authenticated")
    assert _bounced(bad) == {option, header}
    assert _bounced(bad, option=False) == {header}
    assert _bounced(bad, header=False) == {option}
    assert _bounced(bad, option=False, header=False) == set()


def test_nor_to_one_whose_name_nobody_vouches_for() -> None:
    option, header = ("RTLS-2-03", "option-name-not-proven"), ("RTLS-5-01", "bounce-name-not-proven")
    assert _bounced(IN_ORDER, signed=False) == {option, header}
    assert _bounced(IN_ORDER, signed=False, option=False, header=False) == set()


def test_a_host_without_the_extension_gets_the_bounce_without_the_option() -> None:
    assert _bounced(MxHost(), option=False) == set()
    assert _bounced(MxHost(), option=False, header=False) == set()
    assert _bounced(MxHost()) == {("RTLS-2-05", "option-not-announced")}


def test_a_bounce_in_clear_is_found_where_tls_was_to_be_had() -> None:
    assert _bounced(IN_ORDER, secured=False, option=False) == {("RTLS-5-01", "bounce-in-clear")}
    assert ("RTLS-2-02", "option-in-clear") in _bounced(IN_ORDER, secured=False)
    assert _bounced(MxHost(starttls=False), secured=False, option=False, header=False) == set()


def test_of_the_labs_own_host_only_clear_text_is_judged() -> None:
    assert _bounced(None) == _bounced(None, option=False) == _bounced(None, signed=False) == set()
    assert _bounced(None, secured=False, option=False) == {("RTLS-5-01", "bounce-in-clear")}
