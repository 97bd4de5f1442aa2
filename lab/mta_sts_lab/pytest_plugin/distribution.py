"""How cases are spread over the workers of pytest-xdist: each worker gets one shard, and plays it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

from mta_sts_lab.catalogue import Catalogue
from mta_sts_lab.pytest_plugin.settings import CASES, settings_of
from mta_sts_lab.pytest_plugin.shards import shard_of_each
from mta_sts_lab.runs.scenarios import whole_catalogue

_PREFIX = f"{CASES}::"

#: By the value of --dist. The others hand out single tests, in an order that nobody knows before.
_BY_SCOPE = {"loadscope": LoadScopeScheduling, "loadfile": LoadFileScheduling, "loadgroup": LoadGroupScheduling}


def make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler of --dist with a shard of cases for each worker; None where every worker plays all."""
    dist = config.getvalue("dist")
    if dist in ("each", "no"):
        return None
    known = _BY_SCOPE.get(dist)
    base: Any = known or LoadScopeScheduling

    class Sharded(base):  # type: ignore[misc]  # the base is chosen by --dist
        @cached_property
        def _shards(self) -> Mapping[str, int]:
            catalogue = whole_catalogue(settings_of(config).scenarios)
            return shards_of_nodes(catalogue, self.collection, self.numnodes)

        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(_PREFIX):
                return f"{CASES}, shard {self._shards[nodeid]}"
            return str(super()._split_scope(nodeid)) if known else nodeid

    return Sharded(config, log)


def shards_of_nodes(catalogue: Catalogue, nodeids: Sequence[str], workers: int) -> Mapping[str, int]:
    """Return the shard of each node id that is a case."""
    cases = [catalogue.cases[name.removeprefix(_PREFIX)] for name in nodeids if name.startswith(_PREFIX)]
    return {f"{_PREFIX}{case}": shard for case, shard in shard_of_each(cases, workers).items()}
