"""Names that mean something to whoever reads an answer do no harm, in every format of every command."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Run
from tests.cli.test_mcp import asked, said
from traceq.render import AnswerFormat, CaseFormat, FlameFormat, GraphFormat, IssueFormat

TRACE = "5b8aa5a2d2c872e8321cf37308d69df2"
SERVICE = 'a"; click A href "javascript:alert(1)" \\ \x1b[31m\u202e\x07 =HYPERLINK(1) <script>alert(2)</script>'
OPERATIONS = (
    "=cmd|' /C calc'!A0",
    "::error file=x::owned\n::stop-commands::x",
    '"]; B -> C [label="x"];\nsubgraph end "--> <img src=x onerror=alert(3)>',
    "GET /a;b 42",
    "%%{init: {}}%% `tick` | pipe **b** @someone [l](javascript:alert(4))\r\n# heading",
    "]]></testcase><script/> &amp; \x00\x85\u2028\ufeff",
)
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give two traces in which every name, value and message is hostile; one of them fails and repeats a call."""
    target = tmp_path_factory.mktemp("hostile") / "traces.json"
    target.write_text(json.dumps({"data": [_trace(TRACE, 1), _trace(TRACE[::-1], 3)]}), encoding="utf-8")
    return str(target)


def _trace(trace_id: str, times: int) -> dict[str, Any]:
    def tag(key: str, value: Any) -> dict[str, Any]:
        return {"key": key, "type": "bool" if value is True else "string", "value": value}

    def span(number: int, name: str, *tags: dict[str, Any]) -> dict[str, Any]:
        event = {
            "timestamp": 1_700_000_000_000_000,
            "fields": [tag("event", "exception"), tag("exception.message", name)],
        }
        return {
            "traceID": trace_id,
            "spanID": f"{number:016x}",
            "operationName": name,
            "references": [{"refType": "CHILD_OF", "traceID": trace_id, "spanID": f"{1:016x}"}] if number > 1 else [],
            "startTime": 1_700_000_000_000_000 + (number - 1) * 10_000 * times,
            "duration": 9_000 * times if number > 1 else 400_000 * times,
            "processID": "p1",
            "tags": [tag(name, name), *tags],
            "logs": [event],
        }

    kinds = (tag("span.kind", "client"), tag("db.system", OPERATIONS[2]), tag("db.statement", OPERATIONS[0]))
    failed = (tag("error", value=True), tag("otel.status_description", OPERATIONS[1]))
    spans = [span(1, OPERATIONS[0], tag("span.kind", "server"), *failed)]
    spans += [span(2 + at, name, *kinds, *failed) for at, name in enumerate(OPERATIONS)]
    spans += [span(10 + at, OPERATIONS[3], *kinds) for at in range(20)]
    spans[-1]["processID"] = "p2"
    process = {"serviceName": SERVICE, "tags": [tag("host.name", OPERATIONS[4])]}
    return {"traceID": trace_id, "spans": spans, "processes": {"p1": process, "p2": {"serviceName": "shop"}}}


COMMANDS = {
    "search": ("search",),
    "show": ("show", TRACE),
    "span": ("show", TRACE, "--span", f"{3:016x}"),
    "bottlenecks": ("bottlenecks", SERVICE),
    "findings": ("findings",),
    "errors": ("errors",),
    "stats": ("stats", "--by", "operation"),
    "compare": ("compare", TRACE, TRACE[::-1]),
    "check": ("check", "p95(shop) < 1h"),
    "flame": ("flame",),
    "flame of a trace": ("flame", "--trace", TRACE),
    "deps": ("deps",),
    "services": ("services",),
    "operations": ("operations", SERVICE),
    "report": ("report",),
}
FORMATS = {
    **dict.fromkeys(COMMANDS, tuple(set(get_args(AnswerFormat)) - {"html", "markdown"})),
    "deps": (*sorted(set(get_args(AnswerFormat)) - {"html", "markdown"}), *get_args(GraphFormat)),
}
FORMATS["flame"] = FORMATS["flame of a trace"] = (*FORMATS["search"], *get_args(FlameFormat))
FORMATS["check"] = (*FORMATS["search"], *get_args(CaseFormat))
FORMATS["findings"] = (*FORMATS["search"], *get_args(IssueFormat))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_format_hands_on_what_a_terminal_a_sheet_or_a_build_would_obey(name: str, source: str, run: Run) -> None:
    for form in sorted(set(FORMATS[name])):
        outcome = run(*COMMANDS[name], "--source", source, "--format", form)

        assert outcome.code in (0, 1), (form, outcome.err)
        assert outcome.out, form
        assert not _UNSAFE.search(outcome.out + outcome.err), form
        assert_harmless(form, outcome.out)


def assert_harmless(form: str, text: str) -> None:
    """Read an answer as the program does that it is for."""
    match form:
        case "json" | "sarif" | "speedscope" | "perfetto" | "chrome":
            json.loads(text)
        case "ndjson":
            assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
        case "csv":
            head, *rows = csv.reader(io.StringIO(text))
            assert all(len(row) == len(head) for row in rows)
            assert not any(cell[:1] in "=+@" for row in rows for cell in row if cell)
        case "svg" | "junit":
            names = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}  # noqa: S314 - ours
            assert names & {"script", "img", "image", "a", "foreignObject"} == set()
        case "github":
            assert all(re.match(r"::(error|warning|notice)( [^:]*)?::", line) for line in text.splitlines())
            assert not any(line.startswith("::stop-commands") for line in text.splitlines())
        case "folded":
            assert all(re.fullmatch(r"[^;]+(;[^;]+)* \d+", line) for line in text.splitlines())
        case "mermaid":
            assert_lines(
                text, r"\s*(flowchart LR|\w+[\[({|>].*[\])}|]|\w+ (-->|-\.->).*\w+|linkStyle .*|end|subgraph .*)"
            )
            assert not re.search(r"^\s*(click|%%\{)", text, re.MULTILINE)
        case "dot":
            assert_quoted(text)


def assert_lines(text: str, pattern: str) -> None:
    strange = [line for line in text.splitlines() if not re.fullmatch(pattern, line)]
    assert strange == []


def assert_quoted(text: str) -> None:
    """Every quoted string of a line ends on it, and what is outside of them is Graphviz's own."""
    for line in text.splitlines():
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert '"' not in outside
        assert re.fullmatch(r"[\w\s\[\]{}=#;,.>-]*", outside), line


def test_fetched_traces_send_nothing_to_a_terminal(source: str, run: Run) -> None:
    for form in ("json", "ndjson"):
        outcome = run("fetch", "--source", source, "--format", form)

        assert outcome.code == 0
        assert not _UNSAFE.search(outcome.out)
        documents = [outcome.out] if form == "json" else outcome.out.splitlines()
        assert set(OPERATIONS) <= set(_strings([json.loads(document) for document in documents]))


@pytest.mark.parametrize("form", ["jaeger", "otlp"])
def test_converted_traces_keep_names_and_send_nothing_to_a_terminal(
    form: str, source: str, run: Run, tmp_path: Path
) -> None:
    target = tmp_path / "traces.json"

    assert run("convert", source, "--to", form, "-o", str(target)).code == 0
    text = target.read_text(encoding="utf-8")
    assert not _UNSAFE.search(text)
    assert set(OPERATIONS) <= set(
        _strings([json.loads(part) for part in ([text] if form == "jaeger" else text.splitlines())])
    )


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _strings(part)


def test_tools_for_agents_send_names_as_json(source: str) -> None:
    async def ask(client: Any) -> list[tuple[bool, str]]:
        calls = [("search", {}), ("trace_overview", {"trace_id": TRACE}), ("errors", {}), ("findings", {})]
        return [await said(client, tool, **words) for tool, words in calls]

    for is_error, text in asked(source, ask):
        assert not is_error, text
        assert not _UNSAFE.search(text)
        assert isinstance(json.loads(text), dict)
