"""A TLS-RPT report as JSON (RFC 8460, section 4.4), its file name (5.1), and what flaws make of its text. Pure."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import msgspec

from mta_sts_lab.reference.flaws import NO_FLAWS, Flaws
from mta_sts_lab.reference.report_counts import AppliedPolicy, CountedDay, FailureKey, PolicyCounts

#: How much too high the flaw of that name counts. Above the attempts that any honest story makes a sender make.
_TOO_HIGH = 1000


#: Characters: above the longest reply line of SMTP, which is the longest thing that a reporter may quote.
_WHOLE_LOG = 600


def spoil(report: dict[str, Any], flaws: Flaws) -> None:
    """Change a report in place, as the flaws say."""
    _spoil_members(report, flaws)
    if flaws.writes_null_contact:
        report["contact-info"] = None
    if flaws.ends_day_at_24:
        end = report["date-range"]["end-datetime"]
        report["date-range"]["end-datetime"] = end[: end.index("T")] + "T24:00:00Z"
    if flaws.writes_times_without_zone:
        report["date-range"] = {name: moment.rstrip("Z") for name, moment in report["date-range"].items()}
    if flaws.mixes_policies_of_a_day:
        _mix([block["policy"] for block in report["policies"] if block["policy"]["policy-type"] == "sts"])
    for block in report["policies"]:
        _spoil_list(block, flaws)
        _spoil_counts(block, flaws)
        _spoil_policy(block["policy"], block.get("failure-details", []), flaws)
        for details in block.get("failure-details", []):
            _spoil_failure(details, flaws)
    if flaws.adds_block_for_the_mx:
        report["policies"] += [_under_the_mx(block) for block in report["policies"] if block["policy"].get("mx-host")]
    if flaws.writes_policies_as_object and len(report["policies"]) == 1:
        [report["policies"]] = report["policies"]


def _spoil_members(report: dict[str, Any], flaws: Flaws) -> None:
    if flaws.leaves_out_organization:
        del report["organization-name"]
    if flaws.writes_lone_surrogate:
        report["organization-name"] += " \ud83d"
    if flaws.writes_number_beyond_double:
        report["report-number"] = 2**70 + 1
    if flaws.writes_dates_without_time:
        report["date-range"] = {name: moment.partition("T")[0] for name, moment in report["date-range"].items()}


def _spoil_text(text: str, flaws: Flaws) -> str:
    if flaws.writes_trailing_comma:
        return text[:-1] + ",}"
    if flaws.writes_member_twice:
        return text[:-1] + ', "organization-name": "another"}'
    return text


def in_u_labels(name: str) -> str:
    """Return a name as people read it."""
    return name.encode("ascii").decode("idna")


def _under_the_mx(block: dict[str, Any]) -> dict[str, Any]:
    return block | {"policy": block["policy"] | {"policy-domain": block["policy"]["mx-host"][0]}}


def _mix(policies: list[dict[str, Any]]) -> None:
    lines = list(dict.fromkeys(line for policy in policies for line in policy["policy-string"]))
    for policy in policies:
        policy["policy-string"] = lines


def _spoil_list(block: dict[str, Any], flaws: Flaws) -> None:
    entries = block.get("failure-details", [])
    if flaws.tells_first_trouble_only and entries:
        entries[0]["failed-session-count"] = sum(entry["failed-session-count"] for entry in entries)
        block["failure-details"] = entries[:1]
    if flaws.leaves_out_broken_handshakes:
        block["failure-details"] = [entry for entry in entries if entry["result-type"] != "validation-failure"]
    if flaws.lists_every_session and entries:
        block["failure-details"] = [
            entry | {"failed-session-count": 1} for entry in entries for _ in range(entry["failed-session-count"])
        ]


def _spoil_counts(block: dict[str, Any], flaws: Flaws) -> None:
    summary, entries = block["summary"], block.get("failure-details", [])
    if flaws.counts_every_session_as_successful:
        summary["total-successful-session-count"] += summary["total-failure-session-count"]
    if flaws.quotes_success_count:
        summary["total-successful-session-count"] = str(summary["total-successful-session-count"])
    for entry in entries:
        if flaws.counts_all_failures_in_each_entry:
            entry["failed-session-count"] = summary["total-failure-session-count"]
        if flaws.lays_all_failures_to_last_host and "receiving-mx-hostname" in entry:
            entry["receiving-mx-hostname"] = block["policy"].get("mx-host", [entry["receiving-mx-hostname"]])[-1]
    if flaws.quotes_failure_count:
        summary["total-failure-session-count"] = str(summary["total-failure-session-count"])


def _spoil_policy(policy: dict[str, Any], failures: list[dict[str, Any]], flaws: Flaws) -> None:
    if policy["policy-type"] == "tlsa" and flaws.writes_tlsa_records_in_parentheses:
        fields = [line.rsplit(" ", 1) for line in policy["policy-string"]]
        policy["policy-string"] = [f"{parameters} ( {data} )" for parameters, data in fields]
    if policy["policy-type"] != "sts":
        return
    failed_refresh = any(one["result-type"].startswith("sts-") for one in failures)
    if flaws.denies_policy_after_failed_refresh and failed_refresh:
        domain = policy["policy-domain"]
        policy.clear()
        policy |= {"policy-type": "no-policy-found", "policy-domain": domain}
        return
    if flaws.writes_policy_domain_in_u_labels:
        policy["policy-domain"] = in_u_labels(policy["policy-domain"])
    if flaws.writes_mx_host_in_u_labels:
        policy["mx-host"] = [in_u_labels(pattern) for pattern in policy["mx-host"]]
    if flaws.names_mx_as_policy_domain:
        hosts = [one["receiving-mx-hostname"] for one in failures if "receiving-mx-hostname" in one]
        policy["policy-domain"] = (hosts or policy["mx-host"] or [policy["policy-domain"]])[0]
    if flaws.collects_mx_lines:
        others = [line for line in policy["policy-string"] if not line.startswith("mx:")]
        policy["policy-string"] = [*others, "mx: " + ", ".join(policy["mx-host"])]
    if flaws.repeats_policy_lines:
        policy["policy-string"] *= 2
    if flaws.cuts_policy_string:
        policy["policy-string"] = [line for line in policy["policy-string"] if not line.startswith("mx:")]
    if flaws.writes_policy_string_as_string:
        policy["policy-string"] = "\n".join(policy["policy-string"])
    if flaws.leaves_out_policy_string:
        del policy["policy-string"]
    if flaws.writes_mx_host_as_string:
        policy["mx-host"] = ",".join(policy["mx-host"])


#: Flaws of result types: the switch, the right type, and the type that is reported instead.
_WRONG_TYPES = (
    ("names_wrong_result_type", "starttls-not-supported", "validation-failure"),
    ("writes_unregistered_result_type", "starttls-not-supported", "starttls-missing"),
    ("reports_mismatch_as_expired", "certificate-host-mismatch", "certificate-expired"),
    ("reports_expired_as_mismatch", "certificate-expired", "certificate-host-mismatch"),
    ("reports_untrusted_as_mismatch", "certificate-not-trusted", "certificate-host-mismatch"),
    ("reports_broken_handshake_as_no_starttls", "validation-failure", "starttls-not-supported"),
    ("reports_unusable_tlsa_as_mismatch", "tlsa-invalid", "certificate-host-mismatch"),
    ("reports_unusable_tlsa_as_dane_required", "tlsa-invalid", "dane-required"),
    ("reports_failed_tlsa_lookup_as_invalid", "dnssec-invalid", "tlsa-invalid"),
    ("reports_failed_fetch_as_invalid_policy", "sts-policy-fetch-error", "sts-policy-invalid"),
    ("reports_invalid_policy_as_fetch_error", "sts-policy-invalid", "sts-policy-fetch-error"),
    ("reports_untrusted_policy_host_as_fetch_error", "sts-webpki-invalid", "sts-policy-fetch-error"),
)

#: Flaws that leave out the reason of one result type.
_WITHOUT_REASON = (
    ("leaves_out_reason", "certificate-not-trusted"),
    ("leaves_out_reason_of_handshake", "validation-failure"),
)


def _spoil_failure(details: dict[str, Any], flaws: Flaws) -> None:
    for switch, result_type in _WITHOUT_REASON:
        if getattr(flaws, switch) and details["result-type"] == result_type:
            details.pop("failure-reason-code", None)
    for switch, right, wrong in _WRONG_TYPES:
        if getattr(flaws, switch) and details["result-type"] == right:
            details["result-type"] = wrong
            break
    if flaws.counts_too_high:
        details["failed-session-count"] *= _TOO_HIGH
    if flaws.counts_zero:
        details["failed-session-count"] = 0
    if flaws.writes_long_reason:
        details["failure-reason-code"] = details.get("failure-reason-code", "") + " and so on" * _WHOLE_LOG
    if flaws.writes_reason_as_number:
        details["failure-reason-code"] = 20
    _spoil_addresses(details, flaws)


def _spoil_addresses(details: dict[str, Any], flaws: Flaws) -> None:
    if flaws.leaves_out_sending_address:
        details.pop("sending-mta-ip", None)
    if flaws.leaves_out_receiving_address:
        details.pop("receiving-ip", None)
    in_full = {"sending-mta-ip": flaws.writes_sending_ipv6_in_full, "receiving-ip": flaws.writes_receiving_ipv6_in_full}
    for name, flawed in in_full.items():
        if not (address := details.get(name)):
            continue
        if ":" in address:
            details[name] = ipaddress.IPv6Address(address).exploded if flawed else address
        elif flaws.pads_addresses_with_zeros:
            details[name] = ".".join(f"{int(part):03}" for part in address.split("."))


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report on its way: one policy domain, one day. Everything in it stays the same however often it is sent.

    `id` has the form of a msg-id without its angle brackets, so that the Subject can carry it (RFC 8460, section 5.3).
    Times are seconds since 1970.
    """

    id: str
    domain: str
    begins: int
    ends: int
    submitter: str
    text: bytes

    @property
    def packed(self) -> bytes:
        """The JSON text as one gzip member (RFC 8460, section 5.2)."""
        return gzip.compress(self.text, mtime=0)

    @property
    def file_name(self) -> str:
        """The recommended name of the packed report (RFC 8460, section 5.1)."""
        unique = self.id.partition("@")[0]
        return f"{self.submitter}!{self.domain}!{self.begins}!{self.ends}!{unique}.json.gz"


def contact(sender_domain: str) -> str:
    """Return the address that reports come from, and that answers questions about them."""
    return f"tls-reports@{sender_domain}"


def build_report(day: CountedDay, sender_domain: str, flaws: Flaws = NO_FLAWS) -> Report:
    """Return the report on a domain's day."""
    local_part = hashlib.sha256(day.domain.encode()).hexdigest()[:24] if flaws.reuses_report_id else day.id
    report_id = f"{local_part}@{sender_domain}"
    report: dict[str, object] = {
        "organization-name": "mta-sts-lab reference sender",
        "date-range": {"start-datetime": _moment(day.begins), "end-datetime": _moment(day.ends)},
        "contact-info": contact(sender_domain),
        "report-id": report_id,
        "policies": [_policy(day.domain, policy, one) for policy, one in day.policies.items()],
    }
    spoil(report, flaws)
    text = _spoil_text(json.dumps(report), flaws).encode("ascii")
    return Report(report_id, day.domain, day.begins, day.ends, sender_domain, text)


def renewed(report: Report) -> Report:
    """Flaw: return the same report under another id."""
    fresh = f"{secrets.token_hex(12)}@{report.submitter}"
    text = report.text.replace(report.id.encode("ascii"), fresh.encode("ascii"))
    return msgspec.structs.replace(report, id=fresh, text=text)


def emptied(report: Report) -> Report:
    """Flaw: return the same report, with nothing counted in it."""
    content = json.loads(report.text)
    for block in content["policies"]:
        block["summary"] = dict.fromkeys(block["summary"], 0)
        block.pop("failure-details", None)
    return msgspec.structs.replace(report, text=json.dumps(content).encode("ascii"))


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _policy(domain: str, policy: AppliedPolicy, counts: PolicyCounts) -> dict[str, object]:
    described: dict[str, object] = {"policy-type": policy.type, "policy-domain": policy.domain or domain}
    if policy.type == "sts":
        described |= {"policy-string": list(policy.lines), "mx-host": list(policy.mx)}
    if policy.type == "tlsa":
        described |= {"policy-string": list(policy.lines)}
    block: dict[str, object] = {
        "policy": described,
        "summary": {
            "total-successful-session-count": counts.successful,
            "total-failure-session-count": counts.failed,
        },
    }
    if counts.failures:
        block["failure-details"] = [_failure(key, number) for key, number in counts.failures.items()]
    return block


def _failure(key: FailureKey, number: int) -> dict[str, object]:
    details: dict[str, object] = {"result-type": key.result_type}
    if key.sending_ip:
        details["sending-mta-ip"] = key.sending_ip
    if key.mx_host:
        details["receiving-mx-hostname"] = key.mx_host
    if key.receiving_ip:
        details["receiving-ip"] = key.receiving_ip
    details["failed-session-count"] = number
    if key.reason:
        details["failure-reason-code"] = key.reason
    return details
