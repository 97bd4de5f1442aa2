"""What `sts-lab init` writes for a process passes its check as it stands."""

from __future__ import annotations

import pytest

from tests.cli.program import Shell


@pytest.mark.namespaces
@pytest.mark.timeout(200)
def test_it_passes_its_check(shell: Shell, namespaces: None) -> None:
    assert "next: sts-lab target-check ./my-mta" in shell("init", "my-mta").out
    checked = shell("target-check", "./my-mta")
    assert checked.status == 0, checked.out + checked.err
