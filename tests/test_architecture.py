"""The table of ARCHITECTURE.md, held."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "traceq"

LEAVES = {"errors", "untrusted", "units", "semantics", "catalog", "report"}
GROUND = LEAVES | {"traces", "records", "repair", "assembly", "summary", "query"}
MAY_IMPORT: dict[str, set[str]] = {
    **{name: set() for name in LEAVES},
    "traces": {"semantics"},
    "records": {"semantics", "traces"},
    "repair": {"records", "semantics", "traces"},
    "assembly": {"records", "repair", "semantics", "traces"},
    "summary": {"semantics", "traces"},
    "query": {"catalog", "semantics", "traces"},
    "codec": GROUND,
    "sources": GROUND | {"codec"},
    "analysis": GROUND,
    "render": {"report", "untrusted", "units"},
    "executors": {"errors"},
    "engine": GROUND | {"codec", "sources", "analysis", "executors"},
    "cluster": {"errors", "untrusted"},
    "library": GROUND | {"sources", "analysis", "engine"},
    "cli": GROUND | {"codec", "sources", "analysis", "render", "engine", "executors", "cluster"},
    "__main__": {"cli"},
    "__init__": GROUND | {"sources", "analysis", "library"},
}
"""Layer of traceq -> layers it may import besides itself."""

OWNERS = {
    "numpy": {"analysis", "cli/waterfall.py"},
    "pandas": {"analysis", "traces.py"},
    "httpx": {"sources/http.py"},
    "httpx_retries": {"sources/http.py"},
    "rich": {"render/terminal", "cli/output.py", "cli/progress.py"},
    "msgspec": {"codec"},
    "pyarrow": {"codec/parquet"},
    "dask": {"cluster.py"},
    "distributed": {"cluster.py"},
    "typer": {"cli"},
}
"""Package -> the only modules that may import it."""

MODULES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> set[str]:
    """List the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(module: str) -> str:
    return module.removeprefix("traceq.").partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_import_only_what_their_layer_may(path: Path) -> None:
    layer = name_of(path).removesuffix(".py").partition("/")[0]
    imported = {layer_of(module) for module in imports(path) if module.startswith("traceq.")}

    assert imported - {layer} <= MAY_IMPORT[layer]


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_packages_are_imported_only_by_their_owners(package: str) -> None:
    importers = {
        name_of(path) for path in MODULES if any(module.partition(".")[0] == package for module in imports(path))
    }

    assert {name for name in importers if not name.startswith(tuple(OWNERS[package]))} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_is_over_fifty_lines_and_no_module_over_five_hundred(path: Path) -> None:
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 50
    ]

    assert long == []
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_every_module_is_described() -> None:
    architecture = (ROOT.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    top = {path.relative_to(ROOT).parts[0] for path in MODULES} - {"__init__.py", "__main__.py"}

    assert [name for name in sorted(top) if f"  {name}" not in architecture] == []
