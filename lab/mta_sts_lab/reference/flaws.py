"""Flaws: switches of the reference sender that each break exactly one obligation.

A correct sender has none of them and passes every case. For each flaw some case must fail under its obligation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields


class UnknownFlaw(ValueError):
    """A flaw was asked for that does not exist. The message names it and what comes near."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One flaw: its name, the id of the obligation that it breaks, and what the sender then does wrong."""

    name: str
    obligation: str
    text: str


def _flaw(obligation: str, text: str) -> bool:
    """Declare a flaw. It is off by default; `bool` is what the field holds once a `Flaws` exists."""
    switch: bool = field(default=False, metadata={"obligation": obligation, "text": text})
    return switch


@dataclass(frozen=True, kw_only=True)
class Flaws:
    """The flaws that a sender has: each attribute is the switch of that name."""

    # What is done with a policy
    ignores_policy: bool = _flaw("STS-4-02", "a policy is found and then not applied to the connection")
    skips_mx_match: bool = _flaw("STS-4-01", "the MX name is not compared with the policy's mx patterns")
    matches_wildcards_at_any_depth: bool = _flaw(
        "STS-4.1-02", "a wildcard matches any number of labels, none at all too"
    )
    matches_no_wildcards: bool = _flaw("STS-4.1-02", "a pattern with a wildcard matches no host")
    matches_suffix_without_dot: bool = _flaw("STS-4.1-03", "a wildcard matches any name that ends like it, dot or not")
    matches_names_below_listed_hosts: bool = _flaw(
        "STS-4.1-03", "a name below one that the policy lists is listed, too"
    )
    matches_endings_of_listed_hosts: bool = _flaw(
        "STS-4.1-03", "a name that ends like one that the policy lists is listed"
    )
    compares_hosts_by_case: bool = _flaw("STS-4.1-03", "an mx pattern in capitals does not fit a name in small letters")
    reads_first_mx_line_alone: bool = _flaw("STS-4.1-01", "of several mx lines the first one counts alone")
    takes_last_host_as_it_is: bool = _flaw(
        "STS-5-02", "if none of several hosts is in order the last one gets the mail whatever its certificate"
    )
    excuses_domains_without_mx: bool = _flaw(
        "STS-5-01", "a domain without MX records gets its mail at its own name, listed by its policy or not"
    )
    trusts_unlisted_host: bool = _flaw("STS-5-01", "a host that the policy does not list gets mail for its certificate")
    holds_mail_wherever_there_is_a_policy: bool = _flaw("STS-4-02", "no host is good enough for a domain with a policy")
    testing_as_enforce: bool = _flaw("STS-5-05", "mode testing holds mail as mode enforce does")
    testing_as_none: bool = _flaw("STS-5-04", "mode testing is neither validated nor reported")
    none_as_enforce: bool = _flaw("STS-5-06", "mode none holds mail as mode enforce does")

    # Sessions under mode enforce
    sends_clear_when_starttls_refused: bool = _flaw("STS-5-03", "if STARTTLS is refused, mail goes on in clear text")
    lets_notices_out: bool = _flaw("STS-5-03", "mail without a return path is sent whatever the policy says")
    overlooks_first_extension: bool = _flaw(
        "STS-4-02", "the first extension in the answer to EHLO is taken for a part of the greeting"
    )
    sends_clear_without_starttls: bool = _flaw("STS-5-03", "if STARTTLS is not offered, mail goes on in clear text")
    clears_after_alert: bool = _flaw("STS-5-03", "a host that refuses a handshake by an alert is spoken to in clear")
    retries_in_clear: bool = _flaw("STS-5-03", "after a failed handshake mail goes out in clear on a new connection")
    sends_envelope_in_clear: bool = _flaw(
        "STS-5-03", "the envelope is said in clear before the missing STARTTLS counts"
    )
    sends_envelope_before_check: bool = _flaw("STLS-4.1-02", "the envelope is said to a host whose certificate is bad")
    takes_bytes_before_tls: bool = _flaw(
        "STLS-6-06", "octets behind the 220, before TLS, are read as replies inside it"
    )
    keeps_unfinished_replies: bool = _flaw(
        "STLS-6-06", "the beginning of a reply behind the 220, before TLS, is completed by the first one inside it"
    )
    sends_clear_after_454: bool = _flaw("STLS-4-02", "if STARTTLS is answered with 454, mail goes on in clear text")
    clears_after_broken_handshake: bool = _flaw(
        "STS-5-03", "a host whose handshake broke is spoken to in clear at the next attempt"
    )
    says_command_before_handshake: bool = _flaw(
        "STLS-4-03", "to a host whose handshake broke, NOOP is said between the 220 and the next handshake"
    )
    gives_up_tls_after_broken_handshake: bool = _flaw(
        "STLS-6-05", "a host whose handshake broke once is never asked for STARTTLS again"
    )
    falls_back_to_older_tls: bool = _flaw(
        "BCP-3.1.3-01", "after a broken handshake the next one offers nothing newer than TLS 1.1"
    )
    goes_on_after_broken_handshake: bool = _flaw("STLS-4-04", "after a broken handshake EHLO is said on in clear")
    keeps_extensions_from_clear: bool = _flaw("STLS-4.2-01", "extensions offered before TLS are used inside it")
    breaks_on_session_tickets: bool = _flaw("STLS-6-02", "a session in which the host sends tickets is given up")
    lacks_tls_1_2: bool = _flaw("BCP-3.1.1-02", "under a policy nothing older than TLS 1.3 is spoken")
    lacks_tls_1_3: bool = _flaw("STS-7.2-02", "under a policy nothing newer than TLS 1.2 is spoken")
    lacks_modern_tls: bool = _flaw("STS-7.2-01", "under a policy nothing newer than TLS 1.1 is spoken")
    accepts_null_ciphers: bool = _flaw("BCP-4.1-01", "a cipher suite that encrypts nothing counts as TLS")
    accepts_sha1_signatures: bool = _flaw("BCP-4.5-01", "an MX certificate that is signed with SHA-1 counts")
    accepts_legacy_tls: bool = _flaw("BCP-3.1.1-01", "TLS 1.0 and 1.1 count as TLS")
    accepts_tls_1_1: bool = _flaw("BCP-3.1.1-01", "TLS 1.1 counts as TLS, and 1.0 does not")
    names_domain_as_server: bool = _flaw(
        "STS-7.1-03", "the TLS client hello names the recipient's domain, not the host"
    )
    sends_no_server_name: bool = _flaw("STS-7.1-01", "the TLS client hello to an MX host names no server (no SNI)")
    names_address_as_server: bool = _flaw("SNI-3-03", "the server name in the TLS client hello is the host's address")
    names_two_servers: bool = _flaw(
        "SNI-3-01", "after a broken handshake the next client hello names the domain beside the host"
    )
    resumes_under_another_name: bool = _flaw(
        "SNI-3-04", "a client hello that offers to resume a session names the domain, not the host"
    )
    ends_server_name_in_dot: bool = _flaw("SNI-3-02", "the server name in the TLS client hello ends in a dot")
    pipelines_behind_starttls: bool = _flaw("STLS-4-05", "a command is sent behind STARTTLS at once, before its reply")
    writes_starttls_argument: bool = _flaw("STLS-4-01", "STARTTLS is first said with the host's name as its argument")
    says_helo_inside_tls: bool = _flaw("STLS-4.2-02", "the dialogue inside TLS is opened with HELO")
    asks_starttls_again: bool = _flaw("STLS-4.2-03", "STARTTLS is said once more inside TLS")

    # Certificates of MX hosts
    accepts_untrusted: bool = _flaw("STS-4.2-02", "an MX certificate of any issuer counts, if name and dates are right")
    ignores_serial_numbers_of_revoked_certificates: bool = _flaw(
        "PKIX-6.3.3-01", "a certificate counts as revoked if the list that it names has any entry"
    )
    trusts_any_revocation_list: bool = _flaw(
        "PKIX-6.3.3-02", "a list of revoked certificates counts whoever has signed it"
    )
    accepts_self_signed: bool = _flaw("STS-4.2-02", "a self-signed MX certificate counts, if name and dates are right")
    takes_policy_of_last_recipient: bool = _flaw(
        "STS-5-02", "a message with several recipients goes by the policy of the last one's domain"
    )
    reuses_sessions_of_other_domains: bool = _flaw(
        "STS-5-02", "an open session is used for mail to any domain that has the same MX host"
    )
    accepts_refused_on_retry: bool = _flaw("STS-4.2-02", "the attempt after a refused MX certificate accepts any")
    accepts_expired: bool = _flaw("STS-4.2-01", "an expired MX certificate is accepted")
    accepts_not_yet_valid: bool = _flaw("PKIX-6.1.3-01", "an MX certificate is accepted before its first day")
    refuses_wildcard_certificates: bool = _flaw("ID-6.3-03", "a wildcard certificate that covers the MX is refused")
    accepts_wrong_name: bool = _flaw("STS-4.2-03", "an MX certificate for any name is accepted")
    compares_first_label_alone: bool = _flaw(
        "ID-6.3-01", "of the name in an MX certificate the first label counts alone"
    )
    compares_certificate_with_policy: bool = _flaw(
        "STS-4.2-03", "an MX certificate counts if it is for any host that the policy lists"
    )
    takes_wildcards_of_domain_alone: bool = _flaw("STS-4.2-04", "a wildcard certificate counts below the domain alone")
    retries_without_verification: bool = _flaw(
        "STS-5-02", "an MX host with a bad certificate is tried again without care"
    )
    compares_certificates_by_case: bool = _flaw("ID-6.3-01", "an MX certificate for the name in capitals is refused")
    reads_first_certificate_name_alone: bool = _flaw("STS-4.2-03", "of an MX certificate's names the first one counts")
    trusts_roots_alone: bool = _flaw("STS-4.2-02", "an MX certificate counts only if a root itself has signed it")
    accepts_common_name: bool = _flaw("STS-4.2-03", "the subject's common name counts where there is no SAN")
    accepts_certificates_of_clients: bool = _flaw("PKIX-4.2.1.12-01", "an MX certificate may be for TLS clients alone")
    accepts_anybody_as_issuer: bool = _flaw("PKIX-6.1.4-01", "whoever has a certificate may sign that of an MX host")
    ignores_name_constraints: bool = _flaw("PKIX-6.1.3-02", "name constraints of an authority are not looked at")
    refuses_name_constraints: bool = _flaw(
        "PKIX-4.2.1.10-01", "a chain with name constraints is refused, whatever they allow"
    )
    counts_host_in_path_length: bool = _flaw(
        "PKIX-6.1.4-01", "the host's own certificate counts in the path length that an authority allows"
    )
    ignores_critical_extensions: bool = _flaw("PKIX-4.2-01", "a critical extension that nobody knows is skipped")
    matches_partial_wildcards: bool = _flaw("ID-6.3-04", "a wildcard counts that is only a part of a label")
    matches_inner_wildcards: bool = _flaw("ID-6.3-04", "a wildcard counts at any label of a certificate's name")
    matches_wildcards_over_two_labels: bool = _flaw("ID-6.3-05", "a certificate's wildcard stands for two labels")
    matches_wildcards_without_label: bool = _flaw("ID-6.3-05", "a certificate's wildcard stands for no label as well")
    takes_addresses_for_names: bool = _flaw("ID-6.2-02", "a certificate for the host's address counts as one for it")
    takes_uris_for_names: bool = _flaw("ID-6.1.1-03", "a URI with the host's name in a certificate counts")
    reads_common_name_beside_names: bool = _flaw("IDO-6.4.4-01", "the common name counts beside DNS names")
    reads_common_name_beside_addresses: bool = _flaw("ID-A-01", "the common name counts beside an address")
    accepts_names_of_alias_targets: bool = _flaw("ID-6.1.1-02", "a certificate for what an MX is an alias of counts")
    accepts_names_from_greetings: bool = _flaw("ID-6.1.1-01", "a certificate for the name in the greeting counts")

    # DANE: what is looked up
    ignores_dane: bool = _flaw("DANE-2.1.2-03", "no TLSA records are looked up")
    asks_for_tlsa_without_port: bool = _flaw("DANE-2.2.3-01", "TLSA records are looked up at the host's own name")
    asks_for_tlsa_before_addresses: bool = _flaw("DANE-2.2.2-01", "TLSA records are looked up before addresses")
    asks_for_tlsa_of_insecure_hosts: bool = _flaw(
        "DANE-2.2.2-02", "TLSA records are looked up of a host whose addresses are insecure"
    )
    stops_at_aliases_of_tlsa_records: bool = _flaw("DANE-2.2.3-03", "an alias at the name of TLSA records hides them")
    takes_failed_tlsa_lookup_for_none: bool = _flaw(
        "DANE-2.1.2-04", "a TLSA look-up that fails counts as one without records"
    )
    takes_unanswered_tlsa_lookup_for_none: bool = _flaw(
        "DANE-2.1.2-04", "a TLSA look-up that is never answered counts as one without records"
    )
    encrypts_after_failed_tlsa_lookup: bool = _flaw(
        "DANE-2.1.2-05", "after a TLSA look-up that fails mail goes out inside TLS, under any certificate"
    )
    takes_indeterminate_for_insecure: bool = _flaw(
        "DANE-2.1.1-03", "a TLSA answer that the resolver calls indeterminate counts as an insecure one"
    )
    takes_no_tlsa_for_failure: bool = _flaw("DANE-2.1.1-06", "that a host has no TLSA records counts as a failure")
    visits_hosts_without_tlsa_answer: bool = _flaw(
        "DANE-10-01", "a host whose TLSA look-up failed is connected to all the same"
    )
    overlooks_tlsa: bool = _flaw("TLSA-4.1-01", "TLSA records are looked up, and then do not count")
    sends_clear_after_failed_tlsa_lookup: bool = _flaw(
        "TLSA-4.1-02", "after a TLSA look-up that fails mail goes out in clear"
    )
    trusts_every_answer: bool = _flaw("DANE-2.1.1-01", "an answer counts as secure whatever the resolver says of it")
    asks_for_unchecked_addresses: bool = _flaw(
        "DANE-2.2.2-05", "addresses are asked for without a check of their signatures (CD)"
    )
    stops_at_failed_address_lookup: bool = _flaw(
        "DANE-2.1.2-06", "if the addresses of a host cannot be looked up, no other host is tried"
    )
    stops_at_failed_tlsa_lookup: bool = _flaw(
        "DANE-2.2.1-09", "if the TLSA records of a host cannot be looked up, no other host is tried"
    )
    returns_mail_after_failed_lookup: bool = _flaw("DANE-2.2-07", "mail is returned if a TLSA look-up fails")
    passes_over_hosts_without_tlsa: bool = _flaw(
        "DANE-2.2.1-10", "if a host has TLSA records, better ones without are not tried"
    )
    checks_names_beside_anchors: bool = _flaw(
        "DANE-3.2.1-01", "DANE-EE wants a name in the certificate if there is a DANE-TA record, too"
    )
    compares_digests_of_all_records: bool = _flaw(
        "DANE-5-01", "a SHA-256 record does not count if one of another selector has SHA-512"
    )
    counts_weak_digests_of_anchors: bool = _flaw("DANE-5-02", "DANE-TA takes SHA-256 although SHA-512 is there")
    knows_no_bare_keys: bool = _flaw(
        "OPS-5.2.3-01", "an anchor whose key alone is in DNS, and that is not sent, is none"
    )
    takes_signed_denials_for_insecure: bool = _flaw(
        "DANE-2.1.2-03", "a signed answer that there is no MX record counts as one that nobody has signed"
    )
    takes_any_bare_key: bool = _flaw(
        "DANE-3.2-02", "an anchor whose key alone is in DNS counts whoever has signed the certificate"
    )
    uses_insecure_tlsa: bool = _flaw("TLSA-4.1-03", "TLSA records that nobody has signed count")
    goes_to_the_domain_without_mx_answer: bool = _flaw(
        "DANE-2.1.2-01", "if the MX look-up fails, mail goes to the domain's own address"
    )
    prefers_hosts_with_tlsa: bool = _flaw("DANE-2.2.1-02", "a host with TLSA records is tried before better ones")

    looks_below_own_name_alone: bool = _flaw(
        "DANE-2.2.2-03", "TLSA records are not looked up below the name that a host's name is an alias of"
    )
    looks_behind_aliases_alone: bool = _flaw(
        "DANE-2.2.3-06", "TLSA records are not looked up below the name of a host that is an alias"
    )
    gives_up_at_insecure_ends_of_aliases: bool = _flaw(
        "DANE-2.2.2-04", "a host whose name is an alias into an unsigned zone is not asked for TLSA records"
    )
    trusts_insecure_aliases: bool = _flaw(
        "DANE-2.1.3-02", "TLSA records below a name count although that name is an alias that nobody has signed"
    )

    joins_tlsa_of_both_ends: bool = _flaw(
        "DANE-2.2.3-04", "TLSA records below an alias count beside those below the name that it leads to"
    )
    looks_between_ends_of_aliases: bool = _flaw(
        "DANE-2.2.3-07", "TLSA records are looked up below a name on the way from an alias to where it leads, too"
    )
    takes_broken_aliases_for_none: bool = _flaw(
        "DANE-2.1.3-01", "an alias at the name of TLSA records that leads to a failed look-up counts as none"
    )

    asks_for_tlsa_of_first_host_alone: bool = _flaw(
        "DANE-2.2.1-08", "TLSA records are only looked up of the first MX host"
    )
    takes_worse_hosts_first: bool = _flaw("DANE-2.2.1-01", "of a signed domain the worst MX host is tried first")

    # DANE: how the resolver is asked, and what the client hello says
    asks_for_tlsa_unaware_of_dnssec: bool = _flaw(
        "DANE-2.1.1-04", "TLSA records are asked for as a stub resolver does that knows nothing of DNSSEC"
    )
    asks_for_tlsa_of_addresses: bool = _flaw(
        "DANE-2.2-09", "TLSA records are looked up of an address that an MX record holds in place of a name"
    )
    says_hello_of_ssl2: bool = _flaw("DANE-8.1-02", "under DANE the first hello to a host has the form of SSL 2.0")
    offers_anonymous_suites_alone: bool = _flaw(
        "DANE-8.2-01", "under DANE the first hello to a host offers no cipher suite with a certificate"
    )
    offers_raw_public_keys: bool = _flaw(
        "OPS-5.1-01", "under DANE the first hello to a host offers to take a bare key, whatever the TLSA records are"
    )

    # DNSSEC, for a sender that validates by itself
    checks_no_signature: bool = _flaw("TLSA-4.1-02", "that an answer has a signature is enough, whatever that is")
    takes_signed_answers_for_bogus: bool = _flaw("DANE-2.1.1-01", "an answer with a good signature counts as forged")
    takes_unsigned_answers_for_insecure: bool = _flaw(
        "DANE-2.1.1-01", "an answer without signatures counts as one of an unsigned zone"
    )
    accepts_expired_signatures: bool = _flaw("DANE-2.1.2-04", "nobody looks at how long a signature counts")
    takes_unproven_denials: bool = _flaw("DANE-2.2.2-05", "that a name has no records is believed without a proof")
    takes_unproven_delegations_for_insecure: bool = _flaw(
        "DANE-2.1.1-03", "that a domain is not signed is believed without a proof"
    )
    holds_mail_of_domains_no_longer_signed: bool = _flaw(
        "DANE-2.1.1-06", "the proof that a domain is no longer signed counts as a failure"
    )
    trusts_keys_without_chain: bool = _flaw(
        "DANE-2.1.1-02", "signatures count although no zone above vouches for their key"
    )
    trusts_ad_bit_of_anybody: bool = _flaw(
        "DANE-2.1.1-07", "the AD bit counts though it came over a path that is open to anybody"
    )

    # DANE: which records count
    counts_unknown_parameters: bool = _flaw("TLSA-4.1-04", "a TLSA record of an unknown matching type counts")
    counts_cut_digests: bool = _flaw("TLSA-4.1-05", "a TLSA record with half a digest counts")
    gives_up_dane_for_one_unusable_record: bool = _flaw(
        "DANE-2.2-02", "one TLSA record that cannot be used takes all others with it"
    )
    counts_weak_digests: bool = _flaw("OPS-9-01", "a SHA-256 record counts beside one with SHA-512")

    # DANE: sessions
    demands_tls_of_insecure_hosts: bool = _flaw(
        "DANE-2.2-05", "a host of a signed domain gets no mail without TLS, though its TLSA records are not signed"
    )
    takes_any_of_several_records_for_match: bool = _flaw("TLSA-4.1-06", "of several TLSA records none has to match")
    names_alias_as_server_under_dane: bool = _flaw(
        "OPS-10.2-01", "the client hello under DANE names the alias, not the name below which the TLSA records are"
    )
    knows_next_hop_alone: bool = _flaw("DANE-3.2.2-02", "DANE-TA refuses a certificate for the host")
    sends_clear_under_dane: bool = _flaw("DANE-2.2-01", "without STARTTLS mail goes out in clear in spite of DANE")
    sends_clear_if_no_record_is_usable: bool = _flaw(
        "OPS-10.3-01", "if no TLSA record can be used, mail goes out in clear where there is no TLS"
    )
    retries_in_clear_if_no_record_is_usable: bool = _flaw(
        "DANE-2.2-04", "if no TLSA record can be used, mail goes out in clear after a broken handshake"
    )
    demands_valid_certificate_if_no_record_is_usable: bool = _flaw(
        "OPS-10.3-02", "if no TLSA record can be used, the certificate has to be a valid one"
    )
    holds_if_no_record_is_usable: bool = _flaw(
        "OPS-10.3-02", "if no TLSA record can be used, mail is held, though TLS is to be had"
    )
    retries_in_clear_under_dane: bool = _flaw(
        "DANE-2.2.3-05", "after a broken handshake mail goes out in clear on a new connection in spite of DANE"
    )
    says_envelope_in_clear_under_dane: bool = _flaw(
        "DANE-2.2.3-05", "the envelope is said in clear before the missing STARTTLS counts under DANE"
    )
    takes_valid_certificate_for_match: bool = _flaw(
        "DANE-3.2-01", "a certificate that is valid without DANE counts, though it matches no TLSA record"
    )
    delivers_in_spite_of_mismatch: bool = _flaw("DANE-3.2-02", "mail is delivered though no TLSA record matches")
    accepts_mismatch_on_retry: bool = _flaw(
        "DANE-9.1-01", "the attempt after a mismatch of DANE accepts any certificate"
    )
    returns_mail_on_mismatch: bool = _flaw("DANE-2.2-03", "mail is returned at once if no TLSA record matches")
    tries_no_other_host_under_dane: bool = _flaw("SMTP-5.1-06", "when an MX host fails DANE, the next one is not tried")
    checks_names_under_dane_ee: bool = _flaw("DANE-3.1.1-01", "DANE-EE wants the host's name in the certificate")
    checks_dates_under_dane_ee: bool = _flaw("DANE-3.1.1-02", "DANE-EE wants a certificate that has not expired")
    skips_names_under_dane_ta: bool = _flaw("DANE-3.2.2-01", "DANE-TA accepts a certificate for any name")
    skips_dates_under_dane_ta: bool = _flaw("PKIX-6.1.3-01", "DANE-TA accepts a certificate that has expired")
    takes_future_certificates_under_dane_ta: bool = _flaw(
        "PKIX-6.1.3-01", "under DANE-TA a certificate counts before its first day"
    )
    accepts_any_host_of_the_domain: bool = _flaw(
        "DANE-1.1-01", "DANE-TA accepts a certificate for any host of the recipient's domain"
    )
    accepts_nameless_certificates: bool = _flaw("DANE-3.1.2-01", "DANE-TA accepts a certificate without any host name")
    ignores_name_constraints_of_anchors: bool = _flaw(
        "DANE-3.1.2-02", "DANE-TA does not look at the name constraints of the anchor"
    )
    ignores_excluded_names_of_anchors: bool = _flaw(
        "DANE-3.1.2-02",
        "of the name constraints of a DANE-TA anchor the names that it must not sign for are not looked at",
    )
    ignores_path_length_of_anchors: bool = _flaw(
        "OPS-5.2.1-01", "DANE-TA does not look at how long a chain the anchor allows"
    )
    checks_no_signatures_of_chains: bool = _flaw(
        "DANE-3.2-02", "under DANE-TA a chain leads to the anchor by the names in it, whoever has signed"
    )
    refuses_anchors_with_limits: bool = _flaw(
        "DANE-2.2-02", "DANE-TA refuses an anchor that says for which names, or how long a chain, it may sign"
    )
    forgets_expanded_next_hop: bool = _flaw(
        "DANE-3.2.2-04", "DANE-TA refuses a certificate for the name that the recipient's domain is an alias of"
    )
    forgets_destination_without_mx: bool = _flaw(
        "DANE-3.2.2-06", "DANE-TA refuses a certificate for the recipient's domain where that has no MX record"
    )
    takes_every_name_over_insecure_mx: bool = _flaw(
        "DANE-3.2.2-05", "DANE is done though nobody has signed the MX records, and the recipient's domain counts"
    )
    forgets_given_name_of_aliases: bool = _flaw(
        "DANE-3.2.2-07", "DANE-TA refuses a certificate for the recipient's domain where that is an alias"
    )
    knows_base_domain_alone: bool = _flaw("DANE-3.2.2-03", "DANE-TA refuses a certificate for the recipient's domain")
    refuses_common_name_under_dane: bool = _flaw(
        "DANE-3.2.3-01", "DANE-TA refuses a certificate that has its name in the subject alone"
    )
    reads_common_name_beside_others_under_dane: bool = _flaw(
        "DANE-3.2.3-01", "DANE-TA finds the name in the subject of a certificate that has alternative names"
    )
    refuses_wildcards_under_dane: bool = _flaw("DANE-3.2.3-02", "DANE-TA refuses wildcard certificates")
    matches_wildcards_without_label_under_dane: bool = _flaw(
        "DANE-3.2.3-02", "under DANE-TA a certificate's wildcard stands for no label as well"
    )
    wants_anchor_in_handshake: bool = _flaw(
        "OPS-5.2.2-01", "DANE-TA refuses a host that does not send the anchor, although DNS holds it whole"
    )
    sends_no_server_name_under_dane: bool = _flaw("DANE-8.1-01", "the client hello under DANE names no server (no SNI)")
    lets_policy_override_dane: bool = _flaw("STS-2-01", "an MTA-STS policy that is met makes up for a failure of DANE")

    # DANE in reports
    reports_unusable_tlsa_as_mismatch: bool = _flaw(
        "RPT-4.3.2.1-01", "TLSA records that cannot be used are reported as certificate-host-mismatch"
    )
    reports_unusable_tlsa_as_dane_required: bool = _flaw(
        "RPT-4.3.2.1-03", "TLSA records that cannot be used are reported as dane-required, which no setting asks for"
    )
    reports_failed_tlsa_lookup_as_invalid: bool = _flaw(
        "RPT-4.3.2.1-02", "a TLSA look-up that failed is reported as tlsa-invalid"
    )
    writes_tlsa_records_in_parentheses: bool = _flaw(
        "RPT-4.5-01", "TLSA records stand in a report as in a zone file, in parentheses"
    )

    # Which hosts, and in which order
    matches_alias_targets: bool = _flaw("STS-4.1-01", "a host counts as listed if what its name is an alias of is")
    compares_hosts_in_u_labels: bool = _flaw("STS-3.2-13", "an MX name is turned into U-labels before it is compared")
    compares_certificates_in_u_labels: bool = _flaw("ID-6.3-02", "a certificate's A-labels are not taken for the host")
    demands_mx_records: bool = _flaw("SMTP-5.1-03", "mail to a domain without MX records is returned")
    falls_back_to_the_domain: bool = _flaw("SMTP-5.1-04", "if no MX host answers, the domain's own address is tried")
    tries_worst_host_first: bool = _flaw("SMTP-5.1-05", "the host with the highest preference number is tried first")
    tries_worse_hosts_backwards: bool = _flaw("SMTP-5.1-05", "behind the best host the worst one is tried next")
    returns_mail_when_mx_lookup_fails: bool = _flaw("SMTP-5.1-01", "mail is returned when the MX look-up fails")
    returns_marked_mail_when_mx_lookup_fails: bool = _flaw(
        "SMTP-5.1-01", "mail with TLS-Required: No is returned when the MX look-up fails"
    )
    keeps_mail_for_no_domain: bool = _flaw("SMTP-5.1-02", "mail to a domain that does not exist is kept and retried")

    # Several hosts, retries, the queue
    no_fail_over: bool = _flaw("STS-5.1-03", "when an MX host fails the policy, the next one is not tried")
    tries_first_host_only: bool = _flaw("SMTP-5.1-06", "if an MX host cannot be reached, the next one is not tried")
    gives_up_without_address: bool = _flaw("SMTP-5.1-06", "one MX host without an address stops all mail to a domain")
    tries_first_address_only: bool = _flaw(
        "SMTP-5.1-06", "if the first address of an MX host cannot be used, its next one is not tried"
    )
    needs_addresses_of_every_family: bool = _flaw(
        "SMTP-5.1-06", "if the look-up of AAAA or of A fails, a host counts as one without addresses"
    )
    verifies_first_address_alone: bool = _flaw(
        "STS-5-02", "at the second address of an MX host mail goes out whatever its TLS is worth"
    )
    holds_when_a_host_is_unlisted: bool = _flaw(
        "STS-5.1-03", "one MX host outside the policy stops all mail to a domain"
    )
    retries_without_pause: bool = _flaw(
        "SMTP-4.5.4.1-02", "the first dozen attempts at a message follow each other without a pause"
    )
    gives_up_after_a_day: bool = _flaw("SMTP-4.5.4.1-04", "mail is returned when it has waited for a day")
    keeps_blocked_mail_for_ever: bool = _flaw("STS-5.1-05", "mail that waits is kept for ever and never returned")
    gives_up_silently: bool = _flaw("SMTP-6.1-01", "mail that has waited for too long is thrown away without a notice")
    notifies_about_null_sender_mail: bool = _flaw(
        "SMTP-6.1-03", "mail without a return path is returned to the author that its header names"
    )
    answers_error_messages: bool = _flaw(
        "SMTP-4.5.4-01", "a notice that nobody takes is answered by a notice to the same address"
    )
    times_whole_sessions: bool = _flaw(
        "SMTP-4.5.3.2-01", "a session as a whole gets the time that each of its commands should have"
    )
    gives_notices_a_sender: bool = _flaw("SMTP-6.1-02", "the notice that mail was given up has a return path")
    writes_notices_without_status: bool = _flaw("DSN-6-01", "the notice that mail was given up has no status code")
    writes_bare_ipv6_addresses_in_notices: bool = _flaw(
        "DSN-6-01", "the notice that mail was given up names its author by an IPv6 address without the tag"
    )
    bounces_after_looking: bool = _flaw("STS-5-08", "mail that the policy blocks is returned after a look into DNS")
    bounces_instead_of_deferring: bool = _flaw("STS-5-07", "mail that the policy blocks is returned at once")
    gives_up_without_a_look: bool = _flaw(
        "STS-5-07", "mail that the policy blocks is given up after days without a look for a newer policy"
    )
    forgets_queue_at_restart: bool = _flaw("SMTP-6.1-04", "mail that waits does not survive a restart")
    loses_message: bool = _flaw("SMTP-4.5.4.1-01", "mail that should be kept for a retry is thrown away")
    delivers_twice: bool = _flaw("SMTP-4.5.4.1-01", "a delivered message stays in the queue and is delivered once more")

    # Discovery: the TXT record and the fetch
    asks_for_policy_record_at_the_domain: bool = _flaw(
        "STS-3.1-01", "a policy record that stands at the domain's own name counts where _mta-sts has none"
    )
    takes_policy_of_alias_target: bool = _flaw(
        "STS-3.1-01", "the policy of a domain that is an alias is looked up at the name that it leads to"
    )
    falls_back_to_parent_policy: bool = _flaw(
        "STS-3.4-03", "where a domain has no policy, that of the domain above holds for it"
    )
    applies_policy_of_recipient_behind_smart_host: bool = _flaw(
        "STS-3.4-01", "mail that is relayed through a smart host goes by the policy of its recipient's domain"
    )
    lets_policy_of_recipient_win_behind_smart_host: bool = _flaw(
        "STS-3.4-01", "if the recipient's domain has a policy, it counts more than that of the smart host"
    )
    looks_up_policies_of_literals: bool = _flaw("STS-3.4-02", "a policy is looked up for an address like [198.18.0.1]")
    fetches_over_http: bool = _flaw("STS-3.3-19", "a policy that cannot be had by HTTPS is fetched by plain HTTP")
    fetches_over_http_after_bad_certificate: bool = _flaw(
        "STS-3.3-19", "a policy whose host shows a bad certificate is fetched by plain HTTP"
    )
    accepts_name_of_policy_hoster: bool = _flaw(
        "STS-8.2-02", "the policy host may show a certificate for what its name is an alias of"
    )
    takes_wildcards_anywhere: bool = _flaw("STS-3.2-11", "an asterisk counts anywhere in an mx pattern of a policy")
    splits_mx_lines: bool = _flaw("STS-3.2-12", "an mx line of a policy may list several patterns")
    counts_other_records: bool = _flaw("STS-3.1-10", "a TXT record of another kind counts as a second policy record")
    refuses_unknown_record_fields: bool = _flaw("STS-3.2-14", "a policy record with an unknown field does not count")
    accepts_other_record_version: bool = _flaw("STS-3.1-03", "a policy record of any version counts")
    accepts_two_records: bool = _flaw("STS-3.1-11", "of several valid TXT records the first counts, instead of none")
    reads_records_beyond_ascii: bool = _flaw("STS-3.1-02", "a policy record with letters outside of ASCII counts")
    refuses_short_ids: bool = _flaw("STS-3.1-04", "a record whose id has fewer than eight characters counts as none")
    takes_long_ids: bool = _flaw("STS-3.1-04", "an id of more than 32 characters counts")
    skips_empty_fields: bool = _flaw("STS-3.1-06", "a policy record with an empty field counts")
    takes_records_without_fields: bool = _flaw("STS-3.1-07", "a policy record of a version alone counts")
    takes_extensions_of_any_form: bool = _flaw("STS-3.1-08", "an unknown field of a policy record may be malformed")
    looks_for_version_anywhere: bool = _flaw("STS-3.1-09", "the version of a policy record may stand behind its id")
    joins_policy_strings_with_spaces: bool = _flaw("STS-3.1-14", "a policy record's strings are joined with spaces")
    stops_at_aliases_of_policy_records: bool = _flaw("STS-3.1-15", "a policy record behind an alias counts as none")
    takes_ids_of_any_form: bool = _flaw("STS-3.1-12", "a policy record counts whatever its id is made of")
    names_domain_to_policy_host: bool = _flaw(
        "STS-7.1-02", "from the second fetch on the client hello names the domain to the policy host"
    )
    fetches_policies_in_u_labels: bool = _flaw(
        "STS-3.2-01", "the policy host of a domain with letters outside of ASCII is looked up in U-labels"
    )
    asks_with_head_first: bool = _flaw("STS-3.2-01", "a HEAD request goes before the GET for the policy")
    heeds_cache_control: bool = _flaw(
        "STS-3.3-16", "a policy is kept no longer than the Cache-Control field of its answer says"
    )
    asks_conditionally: bool = _flaw("STS-3.3-10", "the policy is asked for with If-None-Match")
    follows_redirects: bool = _flaw("STS-3.3-09", "a 3xx answer of the policy host is followed")
    ignores_http_status: bool = _flaw("STS-3.3-08", "a policy counts whatever the HTTP status is")
    ignores_media_type: bool = _flaw("STS-3.2-02", "a policy counts whatever the media type is")
    demands_crlf: bool = _flaw("STS-3.2-04", "a policy with lines that end in LF alone is not valid")
    reads_modes_in_any_case: bool = _flaw("STS-3.2-07", "the mode of a policy counts in capitals, too")
    refuses_media_type_parameters: bool = _flaw("STS-3.2-03", "text/plain with a charset is not text/plain")
    takes_max_age_of_any_form: bool = _flaw("STS-3.2-08", "a policy counts whatever its max_age is")
    demands_ascii_policy: bool = _flaw("STS-3.2-17", "a policy with letters outside of ASCII is not valid")
    keeps_blanks_of_mx_names: bool = _flaw(
        "STS-3.2-05", "a blank or tab behind an mx of a policy stays, so that the host is not listed"
    )
    keeps_blanks_of_values: bool = _flaw("STS-3.2-05", "a policy needs one blank behind a colon and none at the end")
    loses_unended_line: bool = _flaw("STS-3.2-05", "the last line of a policy is lost if it has no line end")
    discards_invalid_records_before_counting: bool = _flaw(
        "STS-3.1-11", "of two policy records the one that is valid counts, instead of none"
    )
    accepts_any_policy_version: bool = _flaw("STS-3.2-06", "a policy counts whatever its version is, also without one")
    takes_policies_without_a_mode_for_none: bool = _flaw(
        "STS-3.3-16", "a policy without a mode, or with an unknown one, replaces a cached one by mode none"
    )
    accepts_policy_without_mx: bool = _flaw("STS-3.2-10", "a policy of mode enforce is valid without any mx")
    refuses_none_without_mx: bool = _flaw("STS-3.2-10", "a policy of mode none is not valid without any mx")
    demands_order_of_fields: bool = _flaw("STS-3.2-18", "a policy counts only if it begins with its version")
    refuses_unknown_policy_fields: bool = _flaw("STS-3.2-15", "a policy with a field of another name is not valid")
    last_duplicate_wins: bool = _flaw("STS-3.2-16", "of repeated fields the last counts, not the first")
    accepts_bad_policy_host: bool = _flaw("STS-3.3-02", "the policy host may show any certificate")
    accepts_policy_host_expired: bool = _flaw("STS-3.3-03", "the policy host may show an expired certificate")
    accepts_policy_host_wrong_name: bool = _flaw("STS-3.3-01", "the policy host's certificate may be for another name")
    accepts_policy_host_parent_domain: bool = _flaw(
        "STS-3.3-01", "the policy host's certificate may be for the domain above the host's name"
    )
    accepts_policy_host_self_signed: bool = _flaw("STS-3.3-02", "the policy host may show a self-signed certificate")
    accepts_policy_host_not_yet_valid: bool = _flaw(
        "PKIX-6.1.3-01", "the policy host's certificate is accepted before its first day"
    )
    accepts_policy_host_common_name: bool = _flaw("STS-3.3-04", "the policy host's common name counts without a SAN")
    returns_mail_when_lookup_fails: bool = _flaw(
        "STS-3.3-15", "mail is returned when the first look-up of the record fails"
    )
    takes_policies_that_were_cut: bool = _flaw(
        "HTTP-8-01", "what came of a policy counts when the connection has ended in the middle of it"
    )
    takes_first_piece_of_policies: bool = _flaw(
        "STS-3.3-08", "a policy that comes in pieces is taken for whole when the first one is there"
    )
    demands_length_of_policies: bool = _flaw("STS-3.3-08", "a policy whose answer does not tell its length is none")
    holds_while_policy_host_stalls: bool = _flaw("STS-3.3-15", "mail waits for a policy host that says nothing")
    holds_without_policy: bool = _flaw("STS-3.3-15", "mail is held when the first fetch of a policy fails")

    # The policy cache
    drops_cache_without_record: bool = _flaw("STS-3.1-13", "a cached policy is dropped when the TXT record is unusable")
    holds_mail_without_record: bool = _flaw(
        "STS-3.3-16", "mail is held while the record of a policy that is known cannot be seen"
    )
    drops_cache_on_lookup_failure: bool = _flaw("STS-3.3-16", "a cached policy is dropped when the TXT lookup fails")
    drops_cache_when_refresh_fails: bool = _flaw("STS-3.3-16", "a cached policy is dropped when a fetch fails")
    takes_capitals_for_another_domain: bool = _flaw(
        "STS-3.3-16", "the policy of a domain does not count for mail that writes its name in capital letters"
    )
    drops_cache_when_refresh_stalls: bool = _flaw(
        "STS-3.3-16", "a cached policy is dropped when the policy host does not answer in time"
    )
    drops_policies_after_two_days: bool = _flaw(
        "STS-3.3-16", "a cached policy is forgotten after two days, whatever its max_age"
    )
    drops_policies_after_an_hour: bool = _flaw("STS-3.3-16", "a cached policy is forgotten after an hour")
    falls_back_to_older_policy: bool = _flaw("STS-8.3-01", "without a record the policy before mode none comes back")
    refetches_for_later_ids_alone: bool = _flaw("STS-3.1-05", "an id that sorts before the known one is no new one")
    compares_ids_in_any_case: bool = _flaw("STS-3.1-05", "ids that differ in the case of letters alone are equal")
    counts_age_from_first_fetch: bool = _flaw("STS-3.3-16", "a policy's age counts from when it was fetched first")
    never_refetches: bool = _flaw("STS-3.1-05", "a cached policy is not replaced before it expires, whatever the id")
    refetches_on_every_message: bool = _flaw("STS-3-01", "every message fetches the policy under an unchanged id")
    ignores_max_age: bool = _flaw("STS-3.2-09", "a cached policy never expires")
    renews_policy_by_unchanged_id: bool = _flaw(
        "STS-3.2-09", "an expired policy is good for another max_age, without a fetch, if the id in DNS is unchanged"
    )
    never_repeats_failed_fetch: bool = _flaw(
        "STS-5.1-01", "after a failed fetch the policy is not asked for again until the id changes"
    )
    pauses_a_minute_after_failed_fetch: bool = _flaw(
        "STS-3.3-12", "after a failed fetch the policy host is left alone for a minute, not for five"
    )
    repeats_failed_fetches: bool = _flaw("STS-3.3-12", "after a failed fetch the next message asks again at once")
    renews_no_policies: bool = _flaw("STS-3.3-17", "a policy is not fetched again until it ends, if its id stays")
    looks_for_updates_after_the_end: bool = _flaw("STS-10.2-01", "no newer policy is looked for until the old one ends")
    forgets_cache_at_restart: bool = _flaw("STS-3.3-16", "cached policies do not survive a restart")
    ignores_none: bool = _flaw("STS-8.3-01", "a new policy with mode none does not replace a cached one")

    # Without a policy
    no_opportunistic_tls: bool = _flaw("STLS-6-02", "without a policy mail goes in clear although STARTTLS is offered")
    demands_tls_of_everybody: bool = _flaw("STLS-6-02", "mail is held without valid TLS, whatever the policy says")

    # TLS reports: what is counted
    counts_failures_as_successes: bool = _flaw("RPT-4.2.2-01", "sessions without the TLS they need count as successes")
    counts_unfinished_handshakes_as_successes: bool = _flaw(
        "RPT-4.2.2-01", "a handshake that was begun and never finished is reported as a successful session"
    )
    counts_messages: bool = _flaw("RPT-4.2.2-01", "a message counts once, by its last session alone")
    counts_days_in_local_time: bool = _flaw("RPT-4.4-03", "a report covers a day of local time, not of UTC")
    reports_on_reports: bool = _flaw("RPT-3-09", "sessions that carry report mail are in the next report")
    forgets_ended_days_at_restart: bool = _flaw(
        "RPT-5-01", "a restart costs the report of a day that has ended and was not reported yet"
    )
    forgets_counts_at_restart: bool = _flaw("RPT-5-01", "a restart costs the report of the day")
    reports_nothing_under_none: bool = _flaw("RPT-5-01", "a domain whose policy has mode none gets no report")
    reports_failures_under_none: bool = _flaw("STS-6-03", "failures are reported under a policy of mode none")
    leaves_out_failed_fetches: bool = _flaw("STS-6-01", "a first policy that could not be fetched is not reported")
    leaves_out_failed_refreshes: bool = _flaw("STS-6-02", "a failed fetch of a newer policy is not reported")
    reports_unreachable_as_no_starttls: bool = _flaw("RPT-4.3.1-01", "a host that does not answer has no STARTTLS")

    # TLS reports: whether they are sent, and where to
    sends_no_reports: bool = _flaw("RPT-5-01", "no TLS report is ever sent")
    reports_one_day_alone: bool = _flaw("RPT-5-01", "a domain gets a report about its first day, and no other")
    reports_twice: bool = _flaw("RPT-4.1-01", "a domain gets two reports about one day, under two ids")
    reports_without_record: bool = _flaw("RPT-3-15", "a report still goes to where a withdrawn record used to say")
    reports_to_two_records: bool = _flaw("RPT-3-15", "of two TLS-RPT records the first counts, instead of none")
    accepts_other_report_version: bool = _flaw("RPT-3-02", "a TLS-RPT record of any version counts")
    counts_records_of_other_kinds: bool = _flaw("RPT-3-14", "any other TXT record suppresses the report")
    joins_record_strings_with_spaces: bool = _flaw("RPT-3-16", "the strings of a record are joined with spaces")
    refuses_unknown_report_fields: bool = _flaw("RPT-3-20", "a TLS-RPT record with an unknown field does not count")
    refuses_blanks_in_report_record: bool = _flaw("RPT-3-21", "blanks beside a semicolon spoil a TLS-RPT record")
    stops_at_aliases_of_report_records: bool = _flaw("RPT-3-01", "a record reached through a CNAME counts as none")
    guesses_report_address: bool = _flaw("RPT-3-03", "without a usable address a mailbox at the domain is made up")
    takes_http_for_https: bool = _flaw("RPT-3-03", "an http address for reports is used as if it said https")
    decodes_report_record: bool = _flaw("RPT-3-04", "percent-encoding is undone before the addresses are told apart")
    asks_for_reports_at_the_mx: bool = _flaw("RPT-3-01", "the TLS-RPT record is asked for at the MX host's name")
    keeps_percent_encoding: bool = _flaw("RPT-3-04", "the mailbox of a mailto URI is used with its percent-encoding")
    holds_reports_under_attack: bool = _flaw("RPT-3-08", "report mail is held by the policy of its recipient")
    holds_reports_for_unlisted_hosts: bool = _flaw("RPT-5.3.1-01", "report mail goes to no host outside the policy")
    posts_to_another_path: bool = _flaw("RPT-3-05", "reports are posted to the report host, but not to the whole URI")
    mails_to_postmaster: bool = _flaw("RPT-3-07", "reports are mailed to the postmaster of the mailbox's domain")
    sends_again_what_was_taken: bool = _flaw("RPT-5.5-01", "a report is sent all day long, also when it was taken")
    takes_broken_posts_as_delivered: bool = _flaw(
        "RPT-5.5-01", "a report is delivered when the connection to its host broke before any answer"
    )
    takes_sent_as_delivered: bool = _flaw("RPT-3-19", "a report is done with once the first address was tried")
    never_retries_reports: bool = _flaw("RPT-5.5-01", "a report that no address took is thrown away")
    retries_reports_at_even_pauses: bool = _flaw("RPT-5.5-02", "a refused report is tried again after equal pauses")
    never_gives_up_reports: bool = _flaw("RPT-5.5-01", "a report that nobody takes is tried for longer than a day")
    renews_report_id: bool = _flaw("RPT-5.3-10", "a report that is sent again has another id each time")

    # TLS reports: the text
    leaves_out_organization: bool = _flaw("RPT-4.4-01", "a report does not say whose it is: no organization-name")
    writes_trailing_comma: bool = _flaw("RPT-4-01", "the JSON of a report has a comma before its last bracket")
    writes_lone_surrogate: bool = _flaw("IJ-2.1-01", "a string of a report has half of a surrogate pair")
    writes_number_beyond_double: bool = _flaw("IJ-2.2-01", "a report has a number that a double cannot hold")
    writes_member_twice: bool = _flaw("IJ-2.3-01", "a report has its organization-name twice")
    writes_policies_as_object: bool = _flaw("RPT-4-02", "a single policy is an object, not an array of one")
    writes_policy_string_as_string: bool = _flaw("RPT-4.4-07", "policy-string is one string instead of an array")
    writes_mx_host_as_string: bool = _flaw("RPT-4.4-10", "mx-host is one string instead of an array")
    leaves_out_policy_string: bool = _flaw("RPT-4.4-07", "reports under a policy do not quote it: no policy-string")
    cuts_policy_string: bool = _flaw("RPT-4.5-02", "the policy is quoted without its mx lines")
    collects_mx_lines: bool = _flaw("RPT-4.5-03", "all mx lines of a quoted policy stand in one string")
    repeats_policy_lines: bool = _flaw("RPT-4.5-02", "the quoted policy grows by one copy with every session")
    names_mx_as_policy_domain: bool = _flaw("RPT-4.4-08", "policy-domain is the MX host's name, not the domain's")
    adds_block_for_the_mx: bool = _flaw("RPT-4.4-08", "the domain's block is repeated under the name of its first MX")
    names_wrong_result_type: bool = _flaw("RPT-4.3.1-01", "a missing STARTTLS is reported as validation-failure")
    reports_mismatch_as_expired: bool = _flaw("RPT-4.3.1-02", "a certificate for another host is reported as expired")
    reports_expired_as_mismatch: bool = _flaw("RPT-4.3.1-03", "an expired certificate is reported as one for another")
    reports_untrusted_as_mismatch: bool = _flaw(
        "RPT-4.3.1-04", "an untrusted certificate is reported as another host's"
    )
    reports_broken_handshake_as_no_starttls: bool = _flaw("RPT-4.3.1-06", "a broken handshake is a missing STARTTLS")
    leaves_out_broken_handshakes: bool = _flaw("RPT-4.3.3-01", "a handshake that broke is counted and has no entry")
    reports_failed_fetch_as_invalid_policy: bool = _flaw("RPT-4.3.2.2-01", "a failed fetch is an invalid policy")
    writes_unregistered_result_type: bool = _flaw("RPT-4.4-14", "a missing STARTTLS has a result type of its own")
    reports_invalid_policy_as_fetch_error: bool = _flaw("RPT-4.3.2.2-02", "an invalid policy is a fetch error")
    reports_untrusted_policy_host_as_fetch_error: bool = _flaw(
        "RPT-4.3.2.2-03", "a bad certificate of the policy host is reported as a policy that could not be fetched"
    )
    denies_policy_after_failed_refresh: bool = _flaw("RPT-4.4-06", "after a failed refresh the type is none found")
    tells_first_trouble_only: bool = _flaw("RPT-4-05", "only the first kind of failure has an entry, with all counts")
    lists_every_session: bool = _flaw("RPT-4-06", "equal failures are not added up: each session has an entry")
    mixes_policies_of_a_day: bool = _flaw("RPT-4.5-02", "a policy is quoted with the lines of all policies of the day")
    leaves_out_reason: bool = _flaw("RPT-4.3.1-05", "certificate-not-trusted comes without a failure-reason-code")
    leaves_out_reason_of_handshake: bool = _flaw("RPT-4.3.1-07", "validation-failure has no failure-reason-code")
    writes_long_reason: bool = _flaw("RPT-4.3.3-03", "failure-reason-code holds a whole log")
    writes_reason_as_number: bool = _flaw("RPT-4.4-21", "failure-reason-code is a number")
    leaves_out_sending_address: bool = _flaw("RPT-4.4-15", "failures have no sending-mta-ip")
    leaves_out_receiving_address: bool = _flaw("RPT-4.4-18", "failures have no receiving-ip")
    writes_sending_ipv6_in_full: bool = _flaw("RPT-4.4-15", "an IPv6 address in sending-mta-ip has all of its zeros")
    writes_receiving_ipv6_in_full: bool = _flaw("RPT-4.4-18", "an IPv6 address in receiving-ip has all of its zeros")
    pads_addresses_with_zeros: bool = _flaw("RPT-4.4-22", "IP addresses are padded with zeros")
    quotes_success_count: bool = _flaw("RPT-4.4-12", "total-successful-session-count is a string")
    quotes_failure_count: bool = _flaw("RPT-4.4-13", "total-failure-session-count is a string")
    counts_too_high: bool = _flaw("RPT-4.4-19", "failed-session-count is a thousand times too high")
    counts_zero: bool = _flaw("RPT-4.4-19", "failed-session-count is 0 for failures that happened")
    lays_all_failures_to_last_host: bool = _flaw("RPT-4.4-16", "every failure names the last host of the policy")
    counts_all_failures_in_each_entry: bool = _flaw("RPT-4.4-19", "each entry counts all failures of its policy")
    counts_every_session_as_successful: bool = _flaw("RPT-4.2.1-01", "failed sessions count as successes, too")
    reuses_report_id: bool = _flaw("RPT-4.4-05", "the reports on a domain have the same id every day")
    empties_further_copies: bool = _flaw("RPT-4.4-05", "the copies for further addresses count nothing")
    dates_report_by_sending: bool = _flaw("RPT-4.4-03", "a report names the day of its sending, not of the sessions")
    writes_policy_domain_in_u_labels: bool = _flaw("RPT-4.4-09", "policy-domain is in U-labels, not in A-labels")
    writes_mx_host_in_u_labels: bool = _flaw("RPT-4.4-11", "mx-host is in U-labels, not in A-labels")
    writes_null_contact: bool = _flaw("RPT-4.4-04", "contact-info is null instead of an address")
    writes_dates_without_time: bool = _flaw("RPT-4.4-02", "the date range of a report has days without a time")
    ends_day_at_24: bool = _flaw("DT-5.6-01", "the day of a report ends at 24:00:00")
    writes_times_without_zone: bool = _flaw("DT-5.6-01", "the date range of a report has no time zone")

    # REQUIRETLS and TLS-Required (RFC 8689)
    writes_requiretls_value: bool = _flaw("RTLS-2-01", "REQUIRETLS has a value on MAIL FROM")
    says_requiretls_in_clear: bool = _flaw("RTLS-2-02", "REQUIRETLS is said in clear where STARTTLS is missing")
    says_requiretls_to_unproven_hosts: bool = _flaw(
        "RTLS-2-03", "REQUIRETLS is said to a host whose name neither DNSSEC nor a policy vouches for"
    )
    says_requiretls_before_check: bool = _flaw("RTLS-2-04", "REQUIRETLS is said to a host whose certificate is bad")
    remembers_requiretls_from_clear: bool = _flaw("RTLS-2-05", "REQUIRETLS that was announced in clear is used in TLS")
    forgets_requiretls_in_the_queue: bool = _flaw("RTLS-4.1-01", "mail that waits in the queue no longer requires TLS")
    tries_requiretls_hosts_backwards: bool = _flaw("RTLS-4.2.1-01", "mail that requires TLS goes to the backup first")
    takes_unlisted_hosts_for_proven: bool = _flaw(
        "RTLS-4.2.1-02", "any policy vouches for the names of all MX hosts of mail that requires TLS"
    )
    says_helo_for_requiretls: bool = _flaw("RTLS-4.2.1-03", "HELO is said again before mail that requires TLS")
    sends_requiretls_mail_under_any_certificate: bool = _flaw(
        "RTLS-4.2.1-04", "mail that requires TLS goes out under any certificate"
    )
    verifies_requiretls_hosts_under_policies_alone: bool = _flaw(
        "RTLS-4.2.1-04", "mail that requires TLS goes out under any certificate where DNSSEC alone vouches for the host"
    )
    sends_without_requiretls: bool = _flaw(
        "RTLS-4.2.1-05", "mail that requires TLS goes to hosts that do not announce REQUIRETLS"
    )
    sends_requiretls_mail_inside_old_tls: bool = _flaw("RTLS-4.2.1-06", "TLS 1.0 will do for mail that requires TLS")
    tries_no_other_host_for_requiretls: bool = _flaw(
        "RTLS-4.2.1-07", "if the first host fails, mail that requires TLS goes to no other"
    )
    sends_requiretls_mail_in_clear: bool = _flaw(
        "RTLS-4.2.1-09", "mail that requires TLS goes in clear without STARTTLS"
    )
    holds_requiretls_mail: bool = _flaw("RTLS-4.2.1-10", "mail that requires TLS is held and not returned")
    gives_requiretls_mail_another_status: bool = _flaw("RTLS-4.2.1-11", "such a bounce has the status 5.7.1")
    leaves_out_requiretls: bool = _flaw("RTLS-4.2.1-12", "mail that requires TLS goes on without REQUIRETLS")
    applies_policies_to_marked_mail: bool = _flaw(
        "RTLS-3-01", "mail with TLS-Required: No is held for a certificate or an MX name"
    )
    sends_marked_mail_in_clear: bool = _flaw("RTLS-3-02", "mail with TLS-Required: No is sent without STARTTLS")
    repeats_tls_required: bool = _flaw("RTLS-3-03", "mail with a TLS-Required field gets a second one")
    takes_any_value_for_no: bool = _flaw("RTLS-3-04", "TLS-Required means No whatever its value is")
    ignores_tls_required: bool = _flaw("RTLS-4.1-02", "the field TLS-Required is not looked at")
    header_beats_requiretls: bool = _flaw("RTLS-4.1-03", "TLS-Required: No overrides REQUIRETLS")
    holds_marked_mail_after_broken_handshake: bool = _flaw(
        "RTLS-4.2.2-01", "mail with TLS-Required: No is held after a broken handshake"
    )
    keeps_refused_marked_mail: bool = _flaw(
        "RTLS-4.2.2-02", "mail with TLS-Required: No is not returned by a host that insists on TLS"
    )
    holds_marked_mail_without_tlsa_answer: bool = _flaw(
        "RTLS-8.4-01", "mail with TLS-Required: No is held if the look-up of TLSA records fails"
    )
    sends_bounces_in_clear: bool = _flaw("RTLS-5-01", "the bounce of mail that requires TLS goes in clear")
    returns_requiretls_mail_under_any_certificate: bool = _flaw(
        "RTLS-5-01", "the bounce of mail that requires TLS goes out as it is under any certificate"
    )
    returns_requiretls_mail_under_any_name: bool = _flaw(
        "RTLS-2-03", "REQUIRETLS is said for a bounce to a host whose name neither DNSSEC nor a policy vouches for"
    )
    bounces_bare: bool = _flaw("RTLS-5-02", "the bounce of mail that requires TLS goes without REQUIRETLS")
    returns_body_of_requiretls_mail: bool = _flaw("RTLS-5-03", "the bounce of mail that requires TLS has its body")
    heeds_ret_full: bool = _flaw("RTLS-5-04", "RET=FULL counts for mail that requires TLS")
    names_itself_in_bounces: bool = _flaw("RTLS-5-05", "the bounce of mail that requires TLS has a reverse-path")
    discards_bounces_without_requiretls: bool = _flaw(
        "RTLS-5-06", "a bounce is thrown away where REQUIRETLS is not announced"
    )

    # TLS reports: the way they travel
    posts_wrong_media_type: bool = _flaw("RPT-5.4-02", "reports are posted as application/gzip")
    sends_reports_unpacked: bool = _flaw("RPT-5.2-01", "reports are sent as plain JSON")
    posts_plain_as_gzip: bool = _flaw("RPT-5.4-02", "plain JSON is posted under the type of a packed report")
    mails_as_mixed: bool = _flaw("RPT-5.3-02", "report mail is multipart/mixed, not multipart/report")
    mails_other_report_type: bool = _flaw("MPR-3-02", "the report-type of report mail is tls-report")
    leaves_mail_unclosed: bool = _flaw("MPR-3-01", "report mail ends without its closing boundary")
    mails_report_first: bool = _flaw("RPT-5.3-03", "in report mail the data come first, then the text for people")
    mails_wrong_media_type: bool = _flaw("RPT-5.3-04", "the report in the mail is of type application/gzip")
    names_file_badly: bool = _flaw("RPT-5.1-01", "the file name of a mailed report has neither domains nor day")
    names_file_after_host: bool = _flaw("RPT-5.1-02", "the file name of a report begins with the name of the host")
    names_file_in_milliseconds: bool = _flaw("RPT-5.1-04", "the times in the file name are in milliseconds")
    names_packed_file_json: bool = _flaw("RPT-5.1-05", "the file name of a packed report ends in .json")
    names_file_in_u_labels: bool = _flaw("RPT-5.1-03", "the file name of a mailed report is in U-labels")
    names_other_submitter: bool = _flaw("RPT-5.3-06", "TLS-Report-Submitter is the host, not contact-info's domain")
    names_mx_in_report_field: bool = _flaw("RPT-5.3-07", "TLS-Report-Domain is the MX host, not the policy domain")
    names_other_domain_in_subject: bool = _flaw("RPT-5.6-01", "the Subject names another domain than the report")
    leaves_out_report_fields: bool = _flaw("RPT-5.3-05", "report mail has no TLS-Report-* fields")
    writes_free_subject: bool = _flaw("RPT-5.3-09", "the Subject of report mail names neither submitter nor report-id")
    sends_unsigned_reports: bool = _flaw("RPT-3-11", "report mail has no DKIM signature")
    publishes_key_for_mail_alone: bool = _flaw("RPT-3-13", "the DKIM key for reports is published for email alone")
    publishes_key_for_another_service: bool = _flaw(
        "DKIM-3.6.1-01", "the DKIM key for reports is published for a service that is neither email nor reports"
    )
    signs_with_length: bool = _flaw("RPT-3-12", "the DKIM signature says how long the body is that it covers (l=)")
    signs_beginning_of_body: bool = _flaw("DKIM-3.5-01", "the DKIM signature leaves out the part with the report (l=)")
    signs_without_from: bool = _flaw("DKIM-5.4-01", "the DKIM signature leaves out the From field")
    signs_without_report_fields: bool = _flaw("RPT-5.3-08", "the DKIM signature leaves out the TLS-Report-* fields")


FLAWS: Mapping[str, Flaw] = {
    one.name: Flaw(one.name, one.metadata["obligation"], one.metadata["text"]) for one in fields(Flaws)
}

#: The sender as it should be.
NO_FLAWS = Flaws()


def parse_flaws(names: Iterable[str]) -> Flaws:
    """Return the flaws of these names. Raises `UnknownFlaw`, with near misses, for a name that is none."""
    wanted = {name.strip() for name in names} - {""}
    for name in sorted(wanted - FLAWS.keys()):
        near = difflib.get_close_matches(name, FLAWS, n=3)
        examples = (
            f"there are {len(FLAWS)}, such as {', '.join(sorted(FLAWS)[:3])}; `kills` in each scenario names some"
        )
        hint = f"did you mean {' or '.join(near)}?" if near else examples
        raise UnknownFlaw(f"there is no flaw {name!r}; {hint}")
    return Flaws(**dict.fromkeys(wanted, True))
