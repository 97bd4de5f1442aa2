"""All attacks by name. Importing this costs little: scripts are pure, and nothing here imports mitmproxy."""

from __future__ import annotations

from collections.abc import Mapping

from mta_sts_lab.attacks import (
    alert_after_220,
    block_policy_host,
    downgrade_tls,
    drop_after_starttls,
    forge_mx,
    forge_policy_id,
    garbage_after_220,
    hide_policy_record,
    inject_response,
    mask_starttls,
    refuse_ehlo,
    refuse_greeting,
    refuse_starttls,
    strip_starttls,
    swap_certificate,
    swap_policy_certificate,
)
from mta_sts_lab.attacks.attack import Attack
from mta_sts_lab.model import AttackForm

_ALL: tuple[Attack, ...] = (
    strip_starttls.ATTACK,
    mask_starttls.ATTACK,
    refuse_ehlo.ATTACK,
    refuse_greeting.ATTACK,
    refuse_starttls.ATTACK,
    drop_after_starttls.ATTACK,
    garbage_after_220.ATTACK,
    alert_after_220.ATTACK,
    inject_response.ATTACK,
    swap_certificate.ATTACK,
    downgrade_tls.ATTACK,
    forge_mx.ATTACK,
    hide_policy_record.ATTACK,
    forge_policy_id.ATTACK,
    block_policy_host.ATTACK,
    swap_policy_certificate.ATTACK,
)

#: What each attack does, by its name.
ATTACKS: Mapping[str, Attack] = {attack.form.name: attack for attack in _ALL}

#: What can be said of each attack without running it: scenario files are validated against this.
ATTACK_FORMS: Mapping[str, AttackForm] = {name: attack.form for name, attack in ATTACKS.items()}
