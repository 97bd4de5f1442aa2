"""The strict grader: every rule that can be judged from a report alone, each a named check under its obligations.

What cannot be judged from a report alone is listed with the reason, so that silence never looks like a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mta_sts_lab.model import Grade, Requirement
from mta_sts_lab.tlsrpt import agreement_checks as agreement
from mta_sts_lab.tlsrpt import content_checks as content
from mta_sts_lab.tlsrpt import failure_checks as failures
from mta_sts_lab.tlsrpt import mail_checks as mail
from mta_sts_lab.tlsrpt import signature
from mta_sts_lab.tlsrpt.coverage import IN_SCOPE, JUDGED_IN_PART, NEEDS_MORE, NOTED_WHILE_READING
from mta_sts_lab.tlsrpt.departures import Departure, Finding, finding
from mta_sts_lab.tlsrpt.report import Kind, ParsedReport
from mta_sts_lab.tlsrpt.signature import KeyLookup
from mta_sts_lab.tlsrpt.verification import Validity


class Scope(StrEnum):
    """What has to be there for a check to have something to look at."""

    CONTENT = "there is no report to look at"
    MAIL = "this is not a mail message"
    SENT = "this is a file: how it was sent is not known"
    POSTED = "the media type of the request is not known"
    NAMED = "the file name that the reporter chose is not known"


@dataclass(frozen=True, slots=True)
class Check:
    """A sentence that has to hold, what it has to have before it, and the obligations that it is about."""

    holds: Callable[[ParsedReport], Iterator[Departure]]
    needs: tuple[Scope, ...]
    obligations: tuple[str, ...]

    @property
    def name(self) -> str:
        """The sentence, as findings name it."""
        return self.holds.__name__.replace("_", "-")


_CONTENT, _MAIL, _SENT = (Scope.CONTENT,), (Scope.MAIL,), (Scope.SENT,)
_POSTED, _NAMED = (Scope.POSTED,), (Scope.NAMED,)
_MAIL_CONTENT, _NAMED_CONTENT = (Scope.MAIL, Scope.CONTENT), (Scope.NAMED, Scope.CONTENT)

CHECKS = (
    Check(content.the_contact_is_a_bare_address, _CONTENT, ("RPT-4.4-04",)),
    Check(content.the_dates_are_written_as_rfc_3339_says, _CONTENT, ("RPT-4.4-02", "DT-5.6-01")),
    Check(content.the_range_is_one_day_long, _CONTENT, ("RPT-4.1-01",)),
    Check(content.the_range_begins_at_midnight_utc, _CONTENT, ("RPT-4.4-03",)),
    Check(content.the_policy_types_are_the_three_defined, _CONTENT, ("RPT-4.4-06",)),
    Check(content.the_applied_policy_is_quoted, _CONTENT, ("RPT-4.4-07",)),
    Check(content.the_policy_lines_are_single_lines, _CONTENT, ("RPT-4.5-02", "RPT-4.5-03")),
    Check(content.the_policy_lines_make_a_policy, _CONTENT, ("RPT-4.5-02",)),
    Check(content.the_mx_patterns_are_those_of_the_policy, _CONTENT, ("RPT-4.4-10", "RPT-4.5-02")),
    Check(content.the_tlsa_records_are_written_as_four_fields, _CONTENT, ("RPT-4.5-01",)),
    Check(content.the_policy_domain_is_a_domain, _CONTENT, ("RPT-4.4-08", "RPT-4.4-09")),
    Check(content.the_sts_policies_are_of_one_domain, _CONTENT, ("RPT-4.4-08",)),
    Check(content.the_mx_patterns_are_in_a_labels, _CONTENT, ("RPT-4.4-11",)),
    Check(content.every_policy_has_one_block, _CONTENT, ("RPT-4-06",)),
    Check(content.there_is_something_to_tell, _CONTENT, ("RPT-4-02",)),
    Check(failures.the_result_types_are_registered, _CONTENT, ("RPT-4.4-14",)),
    Check(failures.no_failure_is_laid_to_a_policy_of_mode_none, _CONTENT, failures.UNDER_NONE),
    Check(failures.the_result_types_fit_the_policy, _CONTENT, ("RPT-4.4-14",)),
    Check(failures.every_failure_says_where_it_happened, _CONTENT, ("RPT-4.4-15", "RPT-4.4-16", "RPT-4.4-18")),
    Check(
        failures.the_addresses_are_written_as_they_have_to_be,
        _CONTENT,
        ("RPT-4.4-15", "RPT-4.4-18", "RPT-4.4-22"),
    ),
    Check(failures.the_receiving_host_is_a_name, _CONTENT, ("RPT-4.4-16",)),
    Check(failures.the_further_information_is_a_uri, _CONTENT, ("RPT-4.4-20",)),
    Check(failures.a_bad_trust_path_is_explained, _CONTENT, ("RPT-4.3.1-05",)),
    Check(failures.a_general_failure_is_explained, _CONTENT, ("RPT-4.3.1-07", "RPT-4.3.3-02")),
    Check(failures.the_reason_is_short, _CONTENT, ("RPT-4.3.3-03",)),
    Check(failures.every_entry_stands_for_a_session, _CONTENT, ("RPT-4.4-19",)),
    Check(failures.the_failures_are_aggregated, _CONTENT, ("RPT-4-06",)),
    Check(failures.there_are_details_where_there_are_failures, _CONTENT, ("RPT-4-05", "RPT-4.2.2-01")),
    Check(failures.the_entries_fit_into_the_total, _CONTENT, ("RPT-4.2.2-01",)),
    Check(mail.the_message_is_a_tlsrpt_report, _MAIL, ("RPT-5.3-02", "MPR-3-01", "MPR-3-02")),
    Check(mail.the_header_is_that_of_a_mime_message, _MAIL, ("MPR-3-01",)),
    Check(mail.the_multipart_is_well_formed, _MAIL, ("MPR-3-01", "RPT-5.3-03")),
    Check(mail.text_for_people_comes_first, _MAIL, ("RPT-5.3-03", "MPR-3-01")),
    Check(mail.the_data_part_names_its_media_type, _MAIL, ("RPT-5.3-04",)),
    Check(mail.the_request_names_its_media_type, _POSTED, ("RPT-5.4-02",)),
    Check(mail.the_report_is_compressed, _SENT, ("RPT-5.2-01",)),
    Check(mail.the_report_fields_are_there, _MAIL, ("RPT-5.3-05",)),
    Check(mail.the_subject_follows_the_grammar, _MAIL, ("RPT-5.3-09",)),
    Check(mail.the_file_name_follows_the_grammar, _NAMED, ("RPT-5.1-01",)),
    Check(mail.the_extension_tells_the_compression, _NAMED, ("RPT-5.1-05",)),
    Check(mail.the_file_name_is_in_a_labels, _NAMED, ("RPT-5.1-03",)),
    Check(agreement.the_submitter_is_the_contacts_domain, _MAIL_CONTENT, ("RPT-5.3-06",)),
    Check(agreement.the_report_domain_is_the_policy_domain, _MAIL_CONTENT, ("RPT-5.3-07",)),
    Check(agreement.the_subject_agrees_with_the_report, _MAIL_CONTENT, ("RPT-5.6-01",)),
    Check(agreement.the_file_name_agrees_with_the_report, _NAMED_CONTENT, ("RPT-5.6-01",)),
    Check(agreement.the_file_name_begins_with_the_contacts_domain, _NAMED_CONTENT, ("RPT-5.1-02",)),
    Check(agreement.the_file_name_has_the_times_of_the_report, _NAMED_CONTENT, ("RPT-5.1-04",)),
    Check(signature.the_report_is_signed_by_its_submitter, _MAIL, ("RPT-3-11",)),
    Check(signature.the_signature_is_made_with_an_algorithm_of_today, _MAIL, ("RPT-3-11",)),
    Check(signature.the_signature_covers_the_whole_body, _MAIL, ("RPT-3-12", "DKIM-3.5-01")),
    Check(signature.the_signature_covers_from, _MAIL, ("DKIM-5.4-01",)),
    Check(signature.the_signature_covers_the_report_fields, _MAIL, ("RPT-5.3-08",)),
)

#: Checks that need the DNS records with the keys as well.
KEY_CHECKS: tuple[
    tuple[Callable[[ParsedReport, KeyLookup, float | None], Iterator[Departure]], tuple[str, ...]], ...
] = (
    (signature.the_signature_is_valid, ("RPT-3-11",)),
    (signature.the_key_is_for_reports, ("RPT-3-13", "DKIM-3.6.1-01")),
)

#: The order in which findings are returned: the gravest first, and in a grade in the order of the checks.
_GRAVITY = (Grade.FAIL, Grade.INCONCLUSIVE, Grade.WEAK, Grade.INFO)


@dataclass(frozen=True, slots=True)
class NotJudged:
    """An obligation that nothing was said about, or not everything (`in_part`), and why."""

    obligation: str
    reason: str
    in_part: bool = False


def grade(
    parsed: ParsedReport,
    requirements: Mapping[str, Requirement],
    find_key: KeyLookup | None = None,
    arrived: float | None = None,
) -> tuple[Finding, ...]:
    """Judge a report by everything that it shows itself, the gravest findings first.

    `find_key` gives the DKIM keys; without it no signature is verified, which `not_judged` says. `arrived` is when the
    report did, in seconds since 1970, if that is known. A report that the lab did not read to its end because of its
    own bounds has an `inconclusive` finding; no findings mean a clean report.
    """
    found = [finding(one, NOTED_WHILE_READING[one.obligation], requirements) for one in parsed.departures]
    found += [finding(one, "the-report-can-be-read", requirements) for one in _unread(parsed)]
    for check in CHECKS:
        if not _lacking(parsed, check.needs):
            found += [finding(one, check.name, requirements) for one in check.holds(parsed)]
    if find_key is not None and parsed.message is not None:
        for holds, _ in KEY_CHECKS:
            name = holds.__name__.replace("_", "-")
            found += [finding(one, name, requirements) for one in holds(parsed, find_key, arrived)]
    return tuple(sorted(found, key=lambda one: _GRAVITY.index(one.grade)))


def not_judged(
    parsed: ParsedReport, requirements: Mapping[str, Requirement], find_key: KeyLookup | None = None
) -> tuple[NotJudged, ...]:
    """Return the obligations of a report that `grade` said nothing about, in the order of the catalogue, and why."""
    return tuple(
        found
        for identifier in requirements
        if identifier.startswith(IN_SCOPE) and (found := _not_judged(parsed, identifier, find_key))
    )


def _not_judged(parsed: ParsedReport, identifier: str, find_key: KeyLookup | None) -> NotJudged | None:
    if identifier in NEEDS_MORE:
        return NotJudged(identifier, NEEDS_MORE[identifier])
    if identifier in ("RPT-3-13", "DKIM-3.6.1-01", "RPT-3-11"):
        return _signature_not_judged(parsed, identifier, find_key)
    needs = [check.needs for check in CHECKS if identifier in check.obligations] or [_CONTENT]
    lacking = [scopes for one in needs if (scopes := _lacking(parsed, one))]
    if lacking:
        return NotJudged(identifier, str(lacking[0][0]), in_part=len(lacking) < len(needs))
    if not parsed.complete and any(Scope.CONTENT in one for one in needs):
        return NotJudged(identifier, "the report is broken: its rest is not known", in_part=True)
    if identifier in failures.UNDER_NONE and failures.failures_under_an_unknown_mode(parsed):
        return NotJudged(
            identifier, "the mode of a policy is not quoted: failures may be laid to one of mode none", True
        )
    if identifier in JUDGED_IN_PART:
        return NotJudged(identifier, JUDGED_IN_PART[identifier], in_part=True)
    return None


def _signature_not_judged(parsed: ParsedReport, identifier: str, find_key: KeyLookup | None) -> NotJudged | None:
    if parsed.message is None:
        return NotJudged(identifier, str(Scope.MAIL))
    if not signature.signatures(parsed.message):
        return None if identifier == "RPT-3-11" else NotJudged(identifier, "there is no signature")
    in_part = identifier == "RPT-3-11"
    if find_key is None:
        return NotJudged(identifier, "the signature was not verified: its key was not given", in_part)
    if not in_part:
        unknown = [why for validity, why in signature.verified(parsed, find_key) if validity is Validity.UNKNOWN]
        return NotJudged(identifier, f"the signature was not verified: {unknown[0]}") if unknown else None
    why = signature.unverified(parsed, find_key)
    if why:
        return NotJudged(identifier, f"the signature was not verified: {why}", in_part)
    if signature.perhaps_expired(parsed, find_key):
        return NotJudged(identifier, "whether the signature had expired (x=) when the report arrived", in_part)
    return None


def _lacking(parsed: ParsedReport, needs: tuple[Scope, ...]) -> list[Scope]:
    return [scope for scope in needs if not _has(parsed, scope)]


def _has(parsed: ParsedReport, scope: Scope) -> bool:
    match scope:
        case Scope.CONTENT:
            return parsed.content is not None
        case Scope.MAIL:
            return parsed.message is not None
        case Scope.SENT:
            return parsed.message is not None or bool(parsed.media_type)
        case Scope.POSTED:
            return bool(parsed.media_type)
        case Scope.NAMED:
            return bool(parsed.file_name) or (parsed.message is not None and parsed.message.machine is not None)


def _unread(parsed: ParsedReport) -> Iterator[Departure]:
    """Say that there is nothing to judge where nothing else says it: no findings have to mean a clean report."""
    if parsed.beyond_limit:
        note = "a bound of this lab, not of the RFC: nothing is proved either way"
        expected = "a report within the bounds of this lab"
        yield Departure("RPT-4-01", "beyond-limit", "input", expected, parsed.trouble, Grade.INCONCLUSIVE, note)
    elif parsed.content is None and not any(one.obligation == "RPT-4-01" for one in parsed.departures):
        observed = parsed.trouble or str(Kind.UNKNOWN)
        yield Departure("RPT-4-01", "no-report", "input", "a report", observed)
