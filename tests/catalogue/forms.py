"""What the catalogue has to know of attacks and flaws. They themselves stand above it and are not imported here."""

from __future__ import annotations

from mta_sts_lab.model import CERTIFICATE_VARIANTS, AttackForm

# The default first: what an attacker comes by most easily.
BAD_CERTIFICATES = (
    "untrusted",
    *(variant for variant in CERTIFICATE_VARIANTS if variant not in ("valid", "untrusted")),
)


def _form(channel: str, name: str, **parameters: tuple[str | int, ...]) -> AttackForm:
    return AttackForm(name, channel, f"{name} on {channel}", parameters)


FORMS = {
    form.name: form
    for form in (
        _form("smtp", "strip_starttls"),
        _form("smtp", "mask_starttls"),
        _form("smtp", "refuse_ehlo"),
        _form("smtp", "refuse_greeting", how=("421", "silent")),
        _form("smtp", "alert_after_220"),
        _form("smtp", "refuse_starttls", code=(454, 502, 200)),
        _form("smtp", "drop_after_starttls"),
        _form("smtp", "garbage_after_220"),
        _form("smtp", "inject_response"),
        _form("smtp", "swap_certificate", certificate=BAD_CERTIFICATES),
        _form("smtp", "downgrade_tls", version=("1.0", "1.1")),
        _form("dns", "forge_mx"),
        _form("dns", "hide_policy_record", how=("NXDOMAIN", "SERVFAIL", "TIMEOUT")),
        _form("dns", "forge_policy_id"),
        _form("https", "block_policy_host", how=("refuse", "reset", "stall")),
        _form("https", "swap_policy_certificate", certificate=BAD_CERTIFICATES),
    )
}

FLAW_NAMES = ("ignores_policy", "sends_clear_without_starttls", "retries_in_clear")
