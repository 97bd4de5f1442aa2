"""Which policy holds for a delivery: record, cache and fetch put together (RFC 8461, sections 3.3 and 5.1).

The cache is kept on disk. A policy that is found and unexpired counts whatever happens to DNS or HTTPS afterwards: only
its expiry, or a newer policy that was fetched and validated, takes it away.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.https_client import TIMED_OUT, PolicyFetcher, PolicyProblem
from mta_sts_lab.reference.policy import (
    NoPolicyRecord,
    Policy,
    PolicyInvalid,
    PolicyRecord,
    parse_policy,
    select_record,
)
from mta_sts_lab.reference.resolver import Found, LookupFailure, Resolver
from mta_sts_lab.reference.retry_scheduler import VirtualClock
from mta_sts_lab.reference.settings import DAY
from mta_sts_lab.reference.store import JsonFolder


class CachedPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy, the id under which it was announced, and when it was fetched (virtual seconds since 1970)."""

    domain: str
    id: str
    fetched_at: float
    policy: Policy

    @property
    def expires_at(self) -> float:
        """When it ends: max_age counts from the latest fetch (RFC 8461, section 3.2)."""
        return self.fetched_at + self.policy.max_age


class PolicyCache:
    """Cached policies by domain. `log` takes a line for the administrator."""

    def __init__(self, directory: Path, log: Callable[[str], None]) -> None:
        self._kept = JsonFolder(directory, CachedPolicy, "policy cache", log)
        self._log = log
        self._entries: dict[str, CachedPolicy] = {}

    def load(self) -> None:
        """Read what an earlier life of the sender left."""
        for entry in self._kept.load():
            try:
                parse_policy("\n".join(entry.policy.lines).encode())
            except PolicyInvalid as error:
                self._log(f"policy cache: the policy of {entry.domain} is left out: {error}")
            else:
                self._entries[entry.domain] = entry

    def get(self, domain: str) -> CachedPolicy | None:
        """Return the entry of a domain, expired or not."""
        return self._entries.get(domain)

    def put(self, entry: CachedPolicy) -> None:
        """Keep a policy."""
        self._entries[entry.domain] = entry
        self._kept.keep(_file_name(entry.domain), entry)

    def drop(self, domain: str) -> None:
        """Forget a domain."""
        self._entries.pop(domain, None)
        self._kept.remove(_file_name(domain))


def _file_name(domain: str) -> str:
    return hashlib.sha256(domain.encode()).hexdigest()[:32]


#: Virtual seconds. After a failed fetch the same id is left alone so long (RFC 8461, section 3.3).
PAUSE_AFTER_FAILURE = 300.0


@dataclass(frozen=True, slots=True)
class Discovered:
    """What holds for a delivery now. Without a policy the domain counts as one without MTA-STS."""

    policy: Policy | None
    #: Why a live policy could not be had, where one was announced or is cached: for the reports.
    problem: PolicyProblem | None = None
    #: A flaw asks to keep the mail although there is no policy.
    hold: bool = False
    #: A flaw asks to return it.
    gives_up: bool = False


@dataclass(frozen=True, slots=True)
class _Pause:
    id: str
    until: float
    problem: PolicyProblem


@dataclass(eq=False, repr=False)
class Discovery:
    """Finds the policy of a domain. One discovery a domain at a time, so that a burst of mail makes one fetch."""

    resolver: Resolver
    fetcher: PolicyFetcher
    cache: PolicyCache
    clock: VirtualClock
    flaws: Flaws
    log: Callable[[str], None]
    _pauses: dict[str, _Pause] = field(default_factory=dict, init=False)
    #: Only for the flaw that falls back: the policies before those of mode none.
    _older: dict[str, Policy] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def discover(self, domain: str) -> Discovered:
        """Return what holds for mail to this domain."""
        async with self._locks[domain]:
            cached = self._unexpired(domain)
            if self.flaws.bounces_instead_of_deferring and cached is not None:
                return Discovered(cached.policy)
            unasked = self.flaws.looks_for_updates_after_the_end or self.flaws.gives_up_without_a_look
            if unasked and cached is not None:
                return Discovered(cached.policy)
            record = await self._record(domain)
            parent = domain.partition(".")[2]
            if isinstance(record, NoPolicyRecord) and self.flaws.falls_back_to_parent_policy and "." in parent:
                return await self.discover(parent)
            if isinstance(record, PolicyRecord):
                return await self._announced(domain, record, cached)
            return self._unannounced(domain, record, cached)

    async def _record(self, domain: str) -> PolicyRecord | NoPolicyRecord | LookupFailure:
        joint = b" " if self.flaws.joins_policy_strings_with_spaces else b""
        follow = not self.flaws.stops_at_aliases_of_policy_records
        answer = await self.resolver.txt(f"_mta-sts.{domain}", joint=joint, follow=follow)
        if not isinstance(answer, Found | LookupFailure) and self.flaws.asks_for_policy_record_at_the_domain:
            answer = await self.resolver.txt(domain)
        if isinstance(answer, Found):
            return select_record(answer.values, self.flaws)
        return answer if isinstance(answer, LookupFailure) else NoPolicyRecord("there is no TXT record")

    def _unexpired(self, domain: str) -> CachedPolicy | None:
        cached = self.cache.get(domain)
        if cached and self._is_forgotten(cached):
            return None
        if cached is None or self.clock.now() < cached.expires_at or self.flaws.ignores_max_age:
            return cached
        return None

    def _is_forgotten(self, cached: CachedPolicy) -> bool:
        """Flaws: whether a policy is not kept for so long, whatever its max_age says."""
        flaws, age = self.flaws, self.clock.now() - cached.fetched_at
        return (flaws.drops_policies_after_an_hour and age >= 3600) or (
            flaws.drops_policies_after_two_days and age >= 2 * 86400
        )

    def _unannounced(
        self, domain: str, record: NoPolicyRecord | LookupFailure, cached: CachedPolicy | None
    ) -> Discovered:
        """No usable record: a cached policy goes on to hold (RFC 8461, sections 3.1 and 3.3)."""
        failed = isinstance(record, LookupFailure)
        if cached is None:
            return Discovered(None, gives_up=failed and self.flaws.returns_mail_when_lookup_fails)
        if self.flaws.falls_back_to_older_policy and cached.policy.mode == "none":
            return Discovered(self._older.get(domain))
        if self.flaws.drops_cache_on_lookup_failure if failed else self.flaws.drops_cache_without_record:
            self.cache.drop(domain)
            return Discovered(None)
        problem = PolicyProblem("sts-policy-fetch-error", f"TXT record: {record.reason}")
        return Discovered(cached.policy, problem, hold=self.flaws.holds_mail_without_record)

    async def _announced(self, domain: str, record: PolicyRecord, cached: CachedPolicy | None) -> Discovered:
        if cached is not None and not self._wants_fetch(record, cached):
            return Discovered(cached.policy)
        expired = self.cache.get(domain) if cached is None else None
        if expired and self.flaws.renews_policy_by_unchanged_id and expired.id == record.id:
            self.cache.put(CachedPolicy(domain, record.id, self.clock.now(), expired.policy))
            return Discovered(expired.policy)
        fresh = await self._fetch(domain, record.id)
        if isinstance(fresh, Policy):
            if self.flaws.ignores_none and fresh.mode == "none" and cached is not None:
                return Discovered(cached.policy)
            if cached is not None and fresh.mode == "none":
                self._older[domain] = cached.policy
            first = cached.fetched_at if cached and self.flaws.counts_age_from_first_fetch else self.clock.now()
            self.cache.put(CachedPolicy(domain, record.id, first, fresh))
            return Discovered(fresh)
        if cached is None:
            stalled = fresh.reason == TIMED_OUT and self.flaws.holds_while_policy_host_stalls
            return Discovered(None, fresh, hold=stalled or self.flaws.holds_without_policy)
        stalled = self.flaws.drops_cache_when_refresh_stalls and fresh.reason == TIMED_OUT
        if stalled or self.flaws.drops_cache_when_refresh_fails:
            self.cache.drop(domain)
            return Discovered(None, fresh)
        return Discovered(cached.policy, fresh)

    def _wants_fetch(self, record: PolicyRecord, cached: CachedPolicy) -> bool:
        if self.flaws.never_refetches:
            return False
        if self._is_new(record.id, cached.id) or self.flaws.refetches_on_every_message:
            return True
        if self.flaws.renews_no_policies:
            return False
        # Ahead of expiry: after a day, or half of a shorter life (RFC 8461, section 3.3 suggests a day).
        return self.clock.now() - cached.fetched_at >= min(DAY, cached.policy.max_age / 2)

    def _is_new(self, given: str, known: str) -> bool:
        """Whether an id announces another policy: ids have no order (RFC 8461, section 3.1)."""
        if self.flaws.refetches_for_later_ids_alone:
            return given > known
        if self.flaws.compares_ids_in_any_case:
            return given.lower() != known.lower()
        return given != known

    async def _fetch(self, domain: str, record_id: str) -> Policy | PolicyProblem:
        pause = self._pauses.get(domain)
        waits = self.flaws.never_repeats_failed_fetch or (pause is not None and self.clock.now() < pause.until)
        if pause is not None and pause.id == record_id and waits and not self.flaws.repeats_failed_fetches:
            return pause.problem
        fresh = await self.fetcher.fetch(domain)
        if isinstance(fresh, Policy):
            self._pauses.pop(domain, None)
            self.log(f"policy of {domain}: mode {fresh.mode}, id {record_id}")
        else:
            pause_seconds = 60.0 if self.flaws.pauses_a_minute_after_failed_fetch else PAUSE_AFTER_FAILURE
            self._pauses[domain] = _Pause(record_id, self.clock.now() + pause_seconds, fresh)
            self.log(f"policy of {domain}: not fetched: {fresh.result_type}: {fresh.reason}")
        return fresh
