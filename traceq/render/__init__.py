"""Reports written out, one format a module. Nothing heavy is imported here: rich lives in `terminal` alone."""

from __future__ import annotations

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["text", "json", "ndjson", "csv"]
"""How an answer is written: for people, as one document, or as records."""
