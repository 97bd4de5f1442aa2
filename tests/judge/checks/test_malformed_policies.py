"""Who holds mail under a policy whose lines are no patterns has not always taken them for patterns."""

from __future__ import annotations

from pathlib import Path

from mta_sts_lab.runs import load_shipped_catalogue

from tests.playing import play

CATALOGUE = load_shipped_catalogue()


def test_a_sender_that_holds_without_any_policy_has_taken_no_line_for_a_pattern(tmp_path: Path) -> None:
    cases = CATALOGUE.find(["policy/mx-malformed[*,wildcard-in-a-label]"])
    played = play(CATALOGUE, cases, tmp_path, ["demands_tls_of_everybody"])
    found = {judgement.obligation for verdict in played.verdicts for judgement in verdict.judgements}
    assert "STLS-6-02" in found
    assert "STS-3.2-11" not in {
        judgement.obligation
        for verdict in played.verdicts
        for judgement in verdict.judgements
        if judgement.reason == "malformed-pattern-honoured"
    }
