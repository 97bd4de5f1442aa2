"""What the lab says of a sender that looks whether certificates were revoked, and of one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mta_sts_lab.backends.in_process import InProcess
from mta_sts_lab.backends.registry import register
from mta_sts_lab.events import RevocationListRequested
from mta_sts_lab.model.grading import Grade
from mta_sts_lab.model.verdict import Harm, Judgement
from mta_sts_lab.model.world import NOT_REVOKED, REVOKED_BY_A_STRANGER
from mta_sts_lab.reference.revocation import RevocationChecker
from mta_sts_lab.reference.settings import IN_PROCESS, Revocation
from mta_sts_lab.runs import RunRequest, RunResult, load_shipped_catalogue, run

from tests.reports.closing_words import conclusions, untrue_words

CATALOGUE = load_shipped_catalogue()
MX = "certificate/revoked[enforce,revoked]"
POLICY_HOST = "policy/host-certificate-revoked[enforce,revoked]"
WITHOUT_LIST = "certificate/revoked[enforce,without-list]"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    register(InProcess())


def play(out: Path, mode: Revocation, *patterns: str, family: str = "") -> RunResult:
    register(InProcess(settings=replace(IN_PROCESS, revocation=mode)))
    return run(RunRequest(patterns, out=out, seed=8461, family=family), catalogue=CATALOGUE)


def noted(played: RunResult, case: str) -> list[Judgement]:
    """What was found in a case, but for what is as demanded."""
    (verdict,) = (one for one in played.verdicts if one.case == case)
    return [one for one in verdict.judgements if one.grade is not Grade.PASS]


def asked(played: RunResult, case: str) -> set[tuple[str, int]]:
    facts = (event.fact for event in played.record.events if event.case == case)
    return {(fact.path, fact.status) for fact in facts if isinstance(fact, RevocationListRequested)}


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "both"])
def test_who_looks_holds_the_mail_and_that_is_a_pass(tmp_path: Path, family: str) -> None:
    played = play(tmp_path, "checked", MX, POLICY_HOST, family=family)
    for case in (MX, POLICY_HOST):
        (verdict,) = (one for one in played.verdicts if one.case == case)
        outcomes = {step.step: step.outcome and step.outcome.value for step in verdict.steps}
        assert (verdict.grade, outcomes["attack"]) == (Grade.PASS, "deferred"), noted(played, case)
        assert asked(played, case) == {("/revoked.crl", 200)}
    assert untrue_words(played.record, played.verdicts) == []
    text = conclusions(played.record, played.verdicts)[MX].text
    assert "the message waited, as RFC 8461 permits (the certificate had been revoked, and the sender gave up" in text


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "both"])
def test_who_does_not_look_is_recorded_and_no_more(tmp_path: Path, family: str) -> None:
    played = play(tmp_path, "unchecked", MX, POLICY_HOST, family=family)
    expected = "a sender may look whether a certificate was revoked, and need not: sts-lab docs ambiguities#revocation"
    for case, reason, row, done in (
        (MX, "delivered-under-a-revoked-certificate", "STS-4.2-05", "delivered to mx1."),
        (POLICY_HOST, "used-a-policy-of-a-revoked-host", "STS-3.3-07", "used a policy of mta-sts."),
    ):
        (found,) = noted(played, case)
        assert (found.grade, found.reason, found.obligation) == (Grade.INFO, reason, row)
        assert (found.blame, found.harm, found.expected) == ("nobody", Harm.NONE, expected)
        said = "whose certificate its authority has revoked, and it did not ask for the list that says so"
        assert found.observed.startswith(done)
        assert found.observed.endswith(f".example, {said}")
        assert found.evidence
        assert asked(played, case) == set()
    assert untrue_words(played.record, played.verdicts) == []


def test_who_asks_and_delivers_all_the_same_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RevocationChecker, "_said_by", lambda *_: None)
    (found,) = noted(play(tmp_path, "checked", MX), MX)
    assert (found.grade, found.reason) == (Grade.INFO, "delivered-under-a-revoked-certificate")
    assert found.observed.endswith("has revoked, although it asked for the list that says so")


def test_what_the_list_of_the_authority_does_not_name_is_accepted(tmp_path: Path) -> None:
    not_revoked, by_a_stranger = (f"certificate/revoked[enforce,{one}]" for one in (NOT_REVOKED, REVOKED_BY_A_STRANGER))
    played = play(tmp_path, "checked", not_revoked, by_a_stranger, WITHOUT_LIST)
    assert all(noted(played, verdict.case) == [] for verdict in played.verdicts)
    assert asked(played, not_revoked) == {("/not-revoked.crl", 200)}
    assert asked(played, by_a_stranger) == {("/revoked-by-a-stranger.crl", 200), ("/not-revoked.crl", 200)}
    assert asked(played, WITHOUT_LIST) == {("/without-list.crl", 404)}


def test_who_wants_a_list_in_any_case_breaks_nothing_either(tmp_path: Path) -> None:
    """Under testing its report names the failure that it met."""
    played = play(tmp_path, "demanded", "certificate/revoked", "policy/host-certificate-revoked")
    (found,) = noted(played, WITHOUT_LIST)
    assert (found.grade, found.reason, found.obligation) == (Grade.INFO, "deferred", "STS-4.2-05")
    assert all(noted(played, one.case) == [] for one in played.verdicts if one.case != WITHOUT_LIST)
