"""The walk of a case counts the lab's own functions, and none that only ran while modules were imported."""

from __future__ import annotations

from mta_sts_lab.bench.walk import walk


def test_a_case_goes_through_the_parts_it_needs_and_no_others() -> None:
    entered = walk("starttls/strip[absent]")
    assert "play" in entered["runner/play.py"]
    assert "InProcess.start" in entered["backends/in_process.py"]
    assert not [name for name in entered if name.startswith(("cli/", "backends/docker/"))]
    assert "Timeouts" not in entered.get("runner/context.py", set()), "the body of a class runs while it is imported"
