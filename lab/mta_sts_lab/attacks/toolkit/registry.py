"""All attacks by name: one for each module in the folder of attacks. It does not import mitmproxy."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

import mta_sts_lab.attacks
from mta_sts_lab.attacks.toolkit.attack import Attack, DnsAttack, HttpsAttack, SmtpAttack
from mta_sts_lab.model.case import AttackForm


def find_attacks(package: ModuleType) -> dict[str, Attack]:
    """Return the attacks of a package: one in each module, with the module's name. Subpackages are ignored.

    Raises `ValueError` for a module without one.
    """
    found: dict[str, Attack] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            name = f"{package.__name__}.{module.name}"
            attack = getattr(importlib.import_module(name), module.name, None)
            if not isinstance(attack, SmtpAttack | DnsAttack | HttpsAttack) or attack.form.name != module.name:
                raise ValueError(f"{name} defines no attack that is called {module.name}")
            found[module.name] = attack
    return found


#: The attacks by name.
ATTACKS: dict[str, Attack] = find_attacks(mta_sts_lab.attacks)

#: The channel and parameters of each attack, by which scenario files are validated.
ATTACK_FORMS: Mapping[str, AttackForm] = {name: attack.form for name, attack in ATTACKS.items()}
