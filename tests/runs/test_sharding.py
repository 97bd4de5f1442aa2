"""Cases are divided into shares that are equal, the same each time, and keep together what belongs together."""

from __future__ import annotations

import pytest
from mta_sts_lab.catalogue import NothingSelected
from mta_sts_lab.model.case import Case
from mta_sts_lab.runs import RunRequest, load_shipped_catalogue, plan
from mta_sts_lab.runs.errors import UsageError
from mta_sts_lab.runs.sharding import divide, parse_shard, take_shard

CATALOGUE = load_shipped_catalogue()
ALL = tuple(CATALOGUE.cases.values())


def messages(cases: tuple[Case, ...]) -> int:
    return sum(step.send for case in cases for step in case.steps)


class TestDivide:
    @pytest.mark.parametrize("parts", [2, 3, 5])
    def test_each_case_is_in_one_share_in_the_order_of_the_catalogue(self, parts: int) -> None:
        shares = divide(ALL, parts)
        assert len(shares) == parts
        assert sorted(case.id for share in shares for case in share) == sorted(case.id for case in ALL)
        order = [case.id for case in ALL]
        assert all(
            [order.index(case.id) for case in share] == sorted(order.index(case.id) for case in share)
            for share in shares
        )

    def test_a_case_and_its_control_case_are_in_one_share(self) -> None:
        for share in divide(ALL, 7):
            there = {case.id for case in share}
            assert all(case.control in there for case in share if case.control)

    def test_cases_with_the_same_control_are_together_where_that_was_not_selected(self) -> None:
        protected = tuple(case for case in ALL if case.control)
        share_of = {case.id: number for number, share in enumerate(divide(protected, 7)) for case in share}
        by_control: dict[str, set[int]] = {}
        for case in protected:
            by_control.setdefault(case.control, set()).add(share_of[case.id])
        assert all(len(shares) == 1 for shares in by_control.values())

    def test_cases_that_share_a_change_of_the_target_are_together(self) -> None:
        changes: dict[tuple[str, str], set[int]] = {}
        for number, share in enumerate(divide(ALL, 4)):
            for case in share:
                if case.changes_target:
                    changes.setdefault((case.scenario, case.vector), set()).add(number)
        assert all(len(shares) == 1 for shares in changes.values())
        assert {number for shares in changes.values() for number in shares} == {0, 1, 2, 3}, "and these are spread"

    def test_the_shares_are_equal(self) -> None:
        sizes = [messages(share) for share in divide(ALL, 4)]
        assert max(sizes) < 1.2 * min(sizes)

    def test_the_shares_are_equal_by_measured_times(self) -> None:
        seconds = {case.id: 30.0 if case.id.startswith("mx/") else 1.0 for case in ALL}
        shares = divide(ALL, 3, seconds)
        loads = [sum(seconds[case.id] for case in share) for share in shares]
        assert max(loads) < 1.2 * min(loads)

    def test_a_case_without_a_measured_time_counts_by_its_messages(self) -> None:
        seconds = {case.id: 7.0 for case in ALL[::2]}
        sizes = [messages(share) for share in divide(ALL, 3, seconds)]
        assert max(sizes) < 1.5 * min(sizes)

    def test_they_are_the_same_in_every_order(self) -> None:
        forward = [{case.id for case in share} for share in divide(ALL, 5)]
        backward = [{case.id for case in share} for share in divide(ALL[::-1], 5)]
        assert forward == backward


class TestTakeShard:
    def test_it_says_what_it_is_a_shard_of(self) -> None:
        shards = [take_shard(ALL, number, 3) for number in (1, 2, 3)]
        assert {shard.digest for _, shard in shards} == {shards[0][1].digest}
        assert [(shard.number, shard.total, shard.filled, shard.cases) for _, shard in shards] == [
            (number, 3, 3, len(ALL)) for number in (1, 2, 3)
        ]
        assert take_shard(ALL[1:], 1, 3)[1].digest != shards[0][1].digest

    def test_one_that_has_no_case(self) -> None:
        strip = CATALOGUE.find(["starttls/strip"])
        with pytest.raises(NothingSelected, match=r"shard 2/2 has no case: 4 cases, .* come to 1 shard"):
            take_shard(strip, 2, 2)
        assert take_shard(strip, 1, 2)[1].filled == 1

    def test_the_plan_of_a_request_has_only_the_shard(self) -> None:
        plans = [plan(RunRequest(("starttls/*",), shard=(number, 2)), CATALOGUE) for number in (1, 2)]
        together = [case.id for planned in plans for case in planned.cases]
        assert sorted(together) == sorted(case.id for case in CATALOGUE.find(["starttls/*"]))
        assert plans[1].shard is not None
        assert plans[1].shard.number == 2


class TestParseShard:
    @pytest.mark.parametrize(
        ("text", "environment", "expected"),
        [
            ("2/5", {}, (2, 5)),
            ("1/1", {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "5"}, (1, 1)),
            ("env", {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "5"}, (2, 5)),
            ("env", {"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "4"}, (1, 4)),
            ("env", {"BUILDKITE_PARALLEL_JOB": "3", "BUILDKITE_PARALLEL_JOB_COUNT": "4"}, (4, 4)),
            ("env", {"SEMAPHORE_JOB_INDEX": "3", "SEMAPHORE_JOB_COUNT": "3"}, (3, 3)),
            ("env", {"SYSTEM_JOBPOSITIONINPHASE": "1", "SYSTEM_TOTALJOBSINPHASE": "2"}, (1, 2)),
            ("env/5", {"JOB_COMPLETION_INDEX": "0"}, (1, 5)),
        ],
    )
    def test_what_is_legal(self, text: str, environment: dict[str, str], expected: tuple[int, int]) -> None:
        assert parse_shard(text, environment) == expected

    @pytest.mark.parametrize(
        ("text", "environment", "message"),
        [
            ("6/5", {}, "there is no shard 6 of 5; the shards are 1 to 5"),
            ("0/5", {}, "there is no shard 0 of 5"),
            ("two", {}, "a shard is written 2/5"),
            ("1/0", {}, "a shard is written 2/5"),
            ("-1/5", {}, "a shard is written 2/5"),
            ("env", {}, "the environment names no parallel job"),
            ("env", {"JOB_COMPLETION_INDEX": "1"}, "Kubernetes does not say of how many; write env/5 for five"),
            ("env/2", {"JOB_COMPLETION_INDEX": "2"}, "there is no shard 3 of 2"),
            ("env", {"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "5"}, "CI_NODE_INDEX=x is not a number"),
        ],
    )
    def test_what_is_not(self, text: str, environment: dict[str, str], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            parse_shard(text, environment)
