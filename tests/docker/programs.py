"""Programs of the images, loaded by their paths: they belong to the images and not to a package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_DOCKER = Path(__file__).parents[2] / "docker"


def load_program(path: str) -> ModuleType:
    """Load a program by its path under docker/. Those of docker/common may import one another, as in an image."""
    common = str(_DOCKER / "common")
    if common not in sys.path:
        sys.path.append(common)
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, _DOCKER / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module
