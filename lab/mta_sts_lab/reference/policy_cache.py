"""What is known of domains' policies, kept on disk: one file a domain, replaced as a whole.

A policy that is found and unexpired counts whatever happens to DNS or HTTPS afterwards (RFC 8461, section 3.3): only
its expiry, or a newer policy that was fetched and validated, takes it away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from mta_sts_lab.reference.atomic import write_atomically
from mta_sts_lab.reference.policy import Policy, PolicyInvalid, parse_policy


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
        self._directory = directory
        self._log = log
        self._entries: dict[str, CachedPolicy] = {}
        directory.mkdir(parents=True, exist_ok=True)

    def load(self) -> None:
        """Read what an earlier life of the sender left."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                entry = msgspec.json.decode(path.read_bytes(), type=CachedPolicy)
                parse_policy("\n".join(entry.policy.lines).encode())
            except (OSError, msgspec.MsgspecError, PolicyInvalid) as error:
                self._log(f"policy cache: {path.name} cannot be read and is left out: {error}")
            else:
                self._entries[entry.domain] = entry

    def forget_all(self) -> None:
        """Delete everything (a flaw)."""
        for path in self._directory.glob("*.json"):
            path.unlink(missing_ok=True)
        self._entries.clear()

    def get(self, domain: str) -> CachedPolicy | None:
        """Return the entry of a domain, expired or not."""
        return self._entries.get(domain)

    def put(self, entry: CachedPolicy) -> None:
        """Keep a policy. When the disk refuses, it still counts for as long as this process lives."""
        self._entries[entry.domain] = entry
        try:
            write_atomically(self._path(entry.domain), msgspec.json.encode(entry))
        except OSError as error:
            self._log(f"policy cache: the policy of {entry.domain} could not be written: {error}")

    def drop(self, domain: str) -> None:
        """Forget a domain."""
        self._entries.pop(domain, None)
        self._path(domain).unlink(missing_ok=True)

    def _path(self, domain: str) -> Path:
        return self._directory / f"{hashlib.sha256(domain.encode()).hexdigest()[:32]}.json"
