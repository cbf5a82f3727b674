"""JSON Schema of the documents that commands write, one file a command; `python -m tools.json_schemas` writes them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def schema(command: str) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of the document that a command writes.

    Args:
        command: Its name: `bottlenecks`, `deps`, ...

    Raises:
        ValueError: If there is no such command, or it writes no document of its own.
    """
    found = {each.name.removesuffix(".json"): each for each in files(__name__).iterdir() if each.name.endswith(".json")}
    if command not in found:
        raise ValueError(f"no document has the name '{command}', there are {', '.join(sorted(found))}")
    made: dict[str, Any] = json.loads(found[command].read_text(encoding="utf-8"))
    return made
