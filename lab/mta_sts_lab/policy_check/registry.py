"""Where the checks register. A new check is one function in a file of `mta_sts_lab.policy_check.checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

from mta_sts_lab.check_registry import CheckRegistry
from mta_sts_lab.policy_check.given import Finding, Given


class Scope(StrEnum):
    """What a check is about; it says nothing where that was not given."""

    POLICY = "the policy"
    RECORDS = "the TXT records"
    HOSTS = "the MX hosts"
    CERTIFICATES = "the certificates"


check: CheckRegistry[Callable[[Given], Iterator[Finding]], Scope] = CheckRegistry()
