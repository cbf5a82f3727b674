"""Write the oldest versions that traceq says it works with, for pip's `--constraint`: `python -m tools.lowest`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_LOWER_BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[.*?\])?>=(?P<version>[\d.]+)[^;]*(?P<condition>;.*)?")


def lowest(project: dict[str, Any]) -> list[str]:
    """Give the lower bound of each dependency, those of extras too, as the one version to take.

    Raises:
        ValueError: If a dependency has none.
    """
    extras = project.get("optional-dependencies", {})
    dependencies = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    others = {each for each in dependencies if not each.startswith(f"{project['name']}[")}
    found = {each: _LOWER_BOUND.fullmatch(each) for each in sorted(others)}
    unbound = [each for each, bound in found.items() if bound is None]
    if unbound:
        raise ValueError(f"without a lower bound: {', '.join(unbound)}")
    return [f"{bound['name']}=={bound['version']}{bound['condition'] or ''}" for bound in found.values() if bound]


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(lowest(project)) + "\n")
