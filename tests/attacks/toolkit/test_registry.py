from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import mta_sts_lab.attacks.toolkit
import pytest
from mta_sts_lab.attacks.toolkit.attack import UnknownParameter, complete
from mta_sts_lab.attacks.toolkit.registry import ATTACK_FORMS, ATTACKS

TOOLKIT = Path(mta_sts_lab.attacks.toolkit.__file__).parent


@pytest.mark.parametrize("name", ATTACK_FORMS)
def test_each_attack_is_a_module_whose_docstring_begins_with_its_name(name: str) -> None:
    module = importlib.import_module(f"mta_sts_lab.attacks.{name}")
    assert getattr(module, name) is ATTACKS[name]
    assert (module.__doc__ or "").startswith(f"{name}: ")
    for promised in ("On the wire", "What it proves", "A careful sender"):
        assert promised in (module.__doc__ or "")


@pytest.mark.parametrize("name", ATTACK_FORMS)
def test_every_parameter_has_a_default(name: str) -> None:
    form = ATTACK_FORMS[name]
    assert form.name == name
    assert form.channel in ("smtp", "dns", "https")
    assert complete(form, {}) == {parameter: values[0] for parameter, values in form.parameters.items()}


def test_parameters_are_checked() -> None:
    form = ATTACK_FORMS["refuse_starttls"]
    assert complete(form, {"code": 502, "host": "mx2"}) == {"code": 502}
    with pytest.raises(UnknownParameter, match="no parameter 'cod'"):
        complete(form, {"cod": 502})
    with pytest.raises(UnknownParameter, match="none of 454, 421, 501, 502, 554, 200"):
        complete(form, {"code": 999})
    with pytest.raises(UnknownParameter, match="'host'"):
        complete(ATTACK_FORMS["forge_mx"], {"host": "mx1"})


def test_importing_the_registry_and_the_controller_leaves_mitmproxy_alone() -> None:
    program = "import sys, mta_sts_lab.attacks.toolkit.controller; sys.exit(any(name.split('.')[0] == 'mitmproxy' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_only_interpose_imports_mitmproxy() -> None:
    importers = {path.stem for path in TOOLKIT.parent.rglob("*.py") if "mitmproxy" in _imports(path)}
    assert importers == {"interpose", "interpose_tls", "script_layer"}


def _imports(path: Path) -> set[str]:
    import ast

    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found
