"""Print what a pyproject.toml needs: its build backend and its dependencies, one requirement a line."""

import sys
import tomllib
from pathlib import Path

project_file = tomllib.loads(Path(sys.argv[1]).read_text())
print(*project_file["build-system"]["requires"], *project_file["project"]["dependencies"], sep="\n")
