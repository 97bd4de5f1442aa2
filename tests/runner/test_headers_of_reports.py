"""A mailed report whose JSON names the wrong domain, and whose headers the right one, is blamed for the JSON."""

from __future__ import annotations

from pathlib import Path

from tests.runner.arena import Arena, cases_of


async def test_a_header_that_is_right_is_no_finding(tmp_path: Path) -> None:
    (case,) = [one for one in cases_of("rpt-schema/policy[enforce,plain]") if one.id.startswith("rpt-schema")]
    played = await Arena(tmp_path, flaws=("names_mx_as_policy_domain",)).play([case])
    verdict = played.verdicts[case.id]
    assert verdict.grade.value == "fail"
    assert "no-block-for-the-domain" in played.reasons(case.id)
    assert "domain-differs" not in {one.reason for one in (*verdict.judgements, *verdict.of_the_run)}
