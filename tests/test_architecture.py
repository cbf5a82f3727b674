"""The table of ARCHITECTURE.md, held."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "traceq"

LEAVES = {
    "errors",
    "untrusted",
    "units",
    "semantics",
    "report",
    "writing",
    "learned",
    "schemas",
}
GROUND = LEAVES | {
    "traces",
    "records",
    "assembly",
    "catalog",
    "conditions",
    "query",
    "remarks",
    "answer",
    "where",
}
MAY_IMPORT: dict[str, set[str]] = {
    **{name: set() for name in LEAVES},
    "errors": {"untrusted"},
    "traces": {"answer", "learned", "report", "semantics"},
    "records": {"semantics", "traces"},
    "assembly": {"records", "semantics", "traces", "units"},
    "catalog": {"answer", "report", "semantics", "traces"},
    "conditions": {"semantics", "traces", "units", "where"},
    "where": {"errors", "units", "untrusted"},
    "query": {"catalog", "conditions", "errors", "remarks", "semantics", "traces", "units", "where"},
    "remarks": {"traces", "units"},
    "answer": {"report", "units", "untrusted"},
    "codec": GROUND,
    "sources": GROUND | {"codec"},
    "analysis": GROUND,
    "render": {"report", "untrusted", "units"},
    "executors": {"errors", "untrusted"},
    "engine": GROUND | {"codec", "sources", "analysis", "executors"},
    "views": GROUND | {"analysis"},
    "library": GROUND | {"sources", "analysis", "engine", "views", "render"},
    "cli": GROUND | {"codec", "sources", "analysis", "views", "render", "engine", "executors"},
    "__main__": {"cli"},
    "__init__": GROUND | {"sources", "analysis", "library"},
}
"""Layer of traceq -> layers it may import besides itself."""

OWNERS = {
    "numpy": {"analysis", "views/waterfall.py"},
    "pandas": {"analysis", "traces.py", "answer.py"},
    "httpx": {"sources/http.py", "sources/patience.py"},
    "httpx_retries": {"sources/patience.py"},
    "rich": {"render/terminal", "cli/messages.py", "cli/terminal.py"},
    "pyarrow": {"codec/parquet"},
    "google": {"codec/otlp_requests.py", "codec/otlp_messages.py"},
    "dask": {"executors.py"},
    "distributed": {"executors.py"},
    "typer": {"cli"},
    "mcp": {"cli/mcp"},
    "grpc": {"sources/receiver.py"},
    "opentelemetry": {"codec/otlp_requests.py"},
    "pydantic": {"cli/mcp"},
}
"""Package -> the only modules that may import it."""

MODULES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is looked at of a module; its syntax tree is too large to be kept."""

    imports: frozenset[str]
    """The modules and names that it imports, anywhere in it."""
    long_functions: tuple[str, ...]
    """Functions of more than fifty lines."""
    looks_at_kinds: bool
    """Whether it looks at kinds of spans."""
    line_count: int


@cache
def facts(path: Path) -> Facts:
    """Read a module once."""
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 50
    ]
    looks = any(
        isinstance(node, ast.Attribute)
        and node.attr in {"kinds", "kind"}
        and (node.attr, ast.unparse(node.value).rpartition(".")[2]) in {("kinds", "traces"), ("kind", "span")}
        for node in nodes
    )
    return Facts(frozenset(imported(nodes)), tuple(long), looks, len(text.splitlines()))


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(path: Path) -> str:
    """Give the name by which a file is imported."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def needs() -> dict[str, set[str]]:
    """Give the modules of traceq that each one imports: at its top, within a function, or for its types alone."""
    modules = {dotted(path) for path in MODULES}
    needed = {
        dotted(path): {name if name in modules else name.rpartition(".")[0] for name in facts(path).imports}
        for path in MODULES
    }
    return {module: (found & modules) - {module} for module, found in needed.items()}


def ways_from(start: str, edges: dict[str, set[str]]) -> dict[str, str]:
    """Give what can be reached from a module, each with the module that the shortest way there comes from."""
    came_from: dict[str, str] = {}
    reached = [start]
    for module in reached:
        for other in sorted(edges[module] - came_from.keys()):
            came_from[other] = module
            reached.append(other)
    return came_from


def circles(edges: dict[str, set[str]]) -> dict[frozenset[str], str]:
    """Find the sets of modules that all need each other, each with one way round."""
    ways = {module: ways_from(module, edges) for module in edges}
    found = {}
    for module, came_from in sorted(ways.items()):
        together = frozenset(other for other in came_from if module in ways[other])
        if module in came_from and together not in found:
            round_trip = [module, came_from[module]]
            while round_trip[-1] != module:
                round_trip.append(came_from[round_trip[-1]])
            found[together] = " -> ".join(reversed(round_trip))
    return found


def layer_of(module: str) -> str:
    return module.removeprefix("traceq.").partition(".")[0]


def test_the_table_has_every_layer_once() -> None:
    _, _, table = (ROOT.parent / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("| layer | may import |")
    layers = [layer for row in re.findall(r"^\| ([a-z_, ]+) \|", table, re.MULTILINE) for layer in row.split(", ")]

    assert sorted(layers) == sorted(layer for layer in MAY_IMPORT if not layer.startswith("__"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_import_only_what_their_layer_may(path: Path) -> None:
    layer = name_of(path).removesuffix(".py").partition("/")[0]
    needed = {layer_of(module) for module in facts(path).imports if module.startswith("traceq.")}

    assert needed - {layer} <= MAY_IMPORT[layer]


def test_no_modules_need_each_other() -> None:
    """Late imports and those for types alone count: they hide a circle, and do not untie it."""
    assert list(circles(needs()).values()) == []


def test_circles_are_found_with_a_way_round() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}

    assert circles(edges) == {
        frozenset({"a", "b", "c"}): "a -> b -> c -> a",
        frozenset({"d", "e"}): "d -> e -> d",
    }


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_packages_are_imported_only_by_their_owners(package: str) -> None:
    importers = {
        name_of(path) for path in MODULES if any(module.partition(".")[0] == package for module in facts(path).imports)
    }

    assert {name for name in importers if not name.startswith(tuple(OWNERS[package]))} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_is_over_fifty_lines_and_no_module_over_five_hundred(path: Path) -> None:
    assert facts(path).long_functions == ()
    assert facts(path).line_count <= 500


def test_analyses_look_at_roles_and_only_the_decision_at_kinds() -> None:
    """A kind is what a span tells of itself; hand-made spans tell none, and receivers tell it in many ways."""
    lookers = {name_of(path) for path in (ROOT / "analysis").rglob("*.py") if facts(path).looks_at_kinds}

    assert lookers == {"analysis/columns.py"}


def test_every_module_is_described() -> None:
    architecture = (ROOT.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    top = {path.relative_to(ROOT).parts[0] for path in MODULES} - {"__init__.py", "__main__.py"}

    assert [name for name in sorted(top) if f"  {name}" not in architecture] == []
