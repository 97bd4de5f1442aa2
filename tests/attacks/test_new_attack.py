"""A new attack is one file: it is found by its place, scenarios may name it, and it is played."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import mta_sts_lab.attacks
import pytest
from mta_sts_lab.attacks.toolkit import controller
from mta_sts_lab.attacks.toolkit.registry import ATTACKS, find_attacks
from mta_sts_lab.catalogue import load_catalogue
from mta_sts_lab.events import AttackFired
from mta_sts_lab.reference.flaws import FLAWS
from mta_sts_lab.requirements import load_requirements
from mta_sts_lab.shipped_files import shipped_files

from tests.playing import play

SCENARIOS = shipped_files() / "scenarios"

ATTACK = '''"""rename_offer: STARTTLS is offered under another name."""

from mta_sts_lab.attacks.toolkit.attack import smtp_attack
from mta_sts_lab.attacks.toolkit.relays import change_offer, relay_to_the_end_in_clear


@smtp_attack("offers STARTTLS under another name")
def rename_offer(session, parameters):
    """Relay with the offer renamed."""
    yield from relay_to_the_end_in_clear(session, change_offer(lambda line: "250-X-START"), "renamed the offer")
'''


def test_an_attack_in_a_file_of_its_own_is_found_and_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "attacks").mkdir()
    (tmp_path / "attacks" / "rename_offer.py").write_text(ATTACK, encoding="utf-8")
    monkeypatch.setattr(mta_sts_lab.attacks, "__path__", [*mta_sts_lab.attacks.__path__, str(tmp_path / "attacks")])
    attacks = find_attacks(mta_sts_lab.attacks)
    assert attacks.keys() - ATTACKS.keys() == {"rename_offer"}
    monkeypatch.setattr(controller, "ATTACKS", attacks)

    scenario = tmp_path / "scenarios" / "starttls" / "renamed.toml"
    scenario.parent.mkdir(parents=True)
    shutil.copy(SCENARIOS / "starttls" / "family.toml", scenario.parent)
    like = (SCENARIOS / "starttls" / "strip.toml").read_text(encoding="utf-8")
    scenario.write_text(like.replace('"strip_starttls"', '"rename_offer"'), encoding="utf-8")
    forms = {name: attack.form for name, attack in attacks.items()}
    catalogue = load_catalogue(tmp_path / "scenarios", forms, load_requirements(), FLAWS)

    played = play(catalogue, catalogue.find(("starttls/renamed[enforce]",)), tmp_path / "runs")
    assert {verdict.case: verdict.grade.value for verdict in played.verdicts} == {
        "starttls/renamed[enforce]": "pass",
        "starttls/renamed[absent]": "pass",
    }
    fired = {(event.case, event.fact.detail) for event in played.record.events if isinstance(event.fact, AttackFired)}
    assert fired == {
        ("starttls/renamed[enforce]", "renamed the offer"),
        ("starttls/renamed[absent]", "renamed the offer"),
    }


def test_a_module_without_an_attack_of_its_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "misnamed_attacks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "something_else.py").write_text(ATTACK, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ValueError, match=r"misnamed_attacks\.something_else defines no attack that is called something_else"
    ):
        find_attacks(importlib.import_module("misnamed_attacks"))
