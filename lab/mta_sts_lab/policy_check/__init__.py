"""What is wrong with an MTA-STS policy, its TXT records, MX names and certificates, and what senders will do. Pure.

Nothing is looked up: everything comes from the caller. What a policy or a record is stands in `mta_sts_lab.rfc`.
"""

from mta_sts_lab.policy_check.checking import Checked, check_given
from mta_sts_lab.policy_check.given import Given, GivenCertificate, GivenPolicy, GivenRecord

__all__ = ["Checked", "Given", "GivenCertificate", "GivenPolicy", "GivenRecord", "check_given"]
