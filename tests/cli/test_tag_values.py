"""A tag is found by the text of its value, whatever its type, in every format that holds it."""

from __future__ import annotations

import json

import pytest

from tests import builders
from tests.cli.conftest import Run
from traceq.cli import main
from traceq.codec.json_writers import encode_trace
from traceq.query import TraceQuery
from traceq.semantics import AttributeValue
from traceq.sources import open_source
from traceq.sources.interface import ConnectionOptions, Source
from traceq.where import Comparison, Number, Text

VALUES: tuple[tuple[AttributeValue, str], ...] = (
    ("plain", "plain"),
    ("", ""),
    (" lead and trail ", " lead and trail "),
    ("a=b", "a=b"),
    ("comma,here", "comma,here"),
    ('"quoted"', '"quoted"'),
    ("it's", "it's"),
    ("back\\slash", "back\\slash"),
    ("grüße 😀", "grüße 😀"),
    ("new\nline\ttab", "new\nline\ttab"),
    ("true", "true"),
    ("TRUE", "TRUE"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-1, "-1"),
    (42, "42"),
    ("42", "42"),
    ("4.50", "4.50"),
    (4.5, "4.5"),
    (500.0, "500"),
    (-0.25, "-0.25"),
    (2**53 + 1, "9007199254740993"),
    (2**53, "9007199254740992"),
    (2**63 - 1, "9223372036854775807"),
    (-(2**63), "-9223372036854775808"),
    (["a", "b"], '["a","b"]'),
    ([1, 2], "[1,2]"),
    ([], "[]"),
)
TEXTS = tuple(dict.fromkeys(text for _, text in VALUES))
TABLE = builders.traces(
    {
        f"{number + 1:032x}": [builders.span(f"{number + 1:016x}", None, number, number + 9, attributes={"val": value})]
        for number, (value, _) in enumerate(VALUES)
    }
)


def numbers_of(text: str) -> set[int]:
    return {number + 1 for number, (_, told) in enumerate(VALUES) if told == text}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("values")
    jaeger = folder / "jaeger.json"
    jaeger.write_bytes(b'{"data":[%s]}' % b",".join(encode_trace(TABLE, position) for position in range(len(TABLE))))
    others = {"Parquet": (), "OTLP": ("--to", "otlp"), "OTAP": ("--to", "otap")}
    names = {"Parquet": "own.parquet", "OTLP": "otlp.jsonl", "OTAP": "otap.parquet"}
    for name, options in others.items():
        assert main(("convert", str(jaeger), "-o", str(folder / names[name]), *options, "--quiet")) == 0
    return {"Jaeger JSON": str(jaeger), **{name: str(folder / file) for name, file in names.items()}}


@pytest.fixture(scope="module")
def sources(places: dict[str, str]) -> dict[str, Source]:
    return {name: open_source((place,), ConnectionOptions()) for name, place in places.items()}


def _found(source: Source, query: TraceQuery) -> set[int]:
    return {int(trace_id, 16) for trace_id in source.find(query).traces.trace_ids}


@pytest.mark.parametrize("text", TEXTS)
def test_a_value_is_found_by_its_text(text: str, sources: dict[str, Source]) -> None:
    queries = (TraceQuery(attributes=(("val", text),)), TraceQuery(where=Comparison("val", "=", Text(text))))

    for query in queries:
        assert {name: _found(source, query) for name, source in sources.items()} == dict.fromkeys(
            sources, numbers_of(text)
        )


@pytest.mark.parametrize(
    ("operator", "number", "values"),
    [
        ("=", "42", {42, "42"}),
        ("=", "42.0", {42}),
        ("=", "4.50", {4.5, "4.50"}),
        ("=", "9007199254740993", {2**53 + 1}),
        (">", "9007199254740992", {2**53 + 1, 2**63 - 1}),
        (">=", "9223372036854775807", {2**63 - 1}),
        ("<", "-1", {-(2**63)}),
        ("<=", "-0.25", {-0.25, -1, -(2**63)}),
    ],
)
def test_numbers_are_exact_beyond_floats(
    operator: str, number: str, values: set[AttributeValue], sources: dict[str, Source]
) -> None:
    where = Comparison("val", operator, Number(number))  # type: ignore[arg-type]  # from the table
    expected = {
        at + 1 for at, (value, _) in enumerate(VALUES) if not isinstance(value, (list, bool)) and value in values
    }

    found = {name: _found(source, TraceQuery(where=where)) for name, source in sources.items()}

    assert found == dict.fromkeys(sources, expected)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("val=a=b", "a=b"),
        ("val=comma,here", "comma,here"),
        ('val="\\"quoted\\""', '"quoted"'),
        ("val=it's", "it's"),
        ('val=" lead and trail "', " lead and trail "),
        ("val=grüße 😀", "grüße 😀"),
        ("val=", ""),
        ("val=-1", "-1"),
        ('val="back\\\\slash"', "back\\slash"),
        ('val=["a","b"]', '["a","b"]'),
    ],
)
def test_values_are_found_as_they_are_typed(typed: str, text: str, run: Run, places: dict[str, str]) -> None:
    document = json.loads(run("search", "--tag", typed, "-s", places["Jaeger JSON"], "-f", "json").out)

    assert {int(each["trace_id"], 16) for each in document["traces"]} == numbers_of(text)
