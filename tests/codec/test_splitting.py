import json
import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import as_json, otlp_documents, v1_traces
from traceq.catalog import ServiceCall
from traceq.codec import splitting
from traceq.codec.documents import read_document
from traceq.codec.runs import Form, key_of
from traceq.codec.splitting import Split, SplitOptions, split
from traceq.errors import DecodeError


def trace(number: int, **fields: object) -> dict[str, object]:
    span = {"traceID": f"{number:x}", "spanID": "1", "references": [{"traceID": f"{number:x}", "spanID": "2"}]}
    return {"traceID": f"{number:x}", "spans": [span], "processes": {}, **fields}


TRACES = [trace(number) for number in range(1, 9)]
WINDOWS = [1, 50, 200, 10_000]
WAYS = [SplitOptions(is_proven=proven, window=window) for proven in (False, True) for window in WINDOWS]


def ranges(body: bytes, options: SplitOptions) -> list[bytes]:
    return [
        body[start:stop]
        for run in split(body, "x.json", options).runs
        for start, stop in zip(run.starts, run.stops, strict=True)
    ]


def keys(found: Split) -> list[int]:
    return [key for run in found.runs for key in run.keys]


@pytest.mark.parametrize("options", WAYS, ids=lambda way: f"{'proven' if way.is_proven else 'guessed'}-{way.window}")
@pytest.mark.parametrize(
    ("before", "separator", "after"),
    [
        pytest.param(b'{"data":[', b",", b'],"total":0,"errors":null}', id="jaeger"),
        pytest.param(b' {\n "data" : [\n ', b" ,\n ", b"\n]\n}\n", id="spaced"),
        pytest.param(b"[", b",", b"]", id="list"),
        pytest.param(b"[", b", ", b"]\n \n", id="list-and-blanks"),
        pytest.param(b"", b"\n", b"", id="lines"),
        pytest.param(b"\n\n", b"\r\n\r\n", b"\n", id="lines-and-blanks"),
    ],
)
def test_traces_are_found_where_they_stand(
    before: bytes, separator: bytes, after: bytes, options: SplitOptions
) -> None:
    items = [as_json(each) for each in TRACES]
    body = before + separator.join(items) + after

    found = ranges(body, options)

    # What fits a window is not worth the trouble.
    assert [each.strip() for each in found] == (items if options.window < len(body) else [body.strip()])


@st.composite
def traces_of_jaeger(draw: st.DrawFn) -> list[dict[str, object]]:
    """Traces whose spans begin as Jaeger writes them, of any length, and refer to any of the others."""
    count = draw(st.integers(1, 6))
    ids = st.integers(1, count).map("{:x}".format)
    orders = st.permutations(("traceID", "spanID", "refType"))

    def reference(of: str, keys: list[str]) -> dict[str, str]:
        values = {"traceID": of, "spanID": "1", "refType": "FOLLOWS_FROM"}
        return {key: values[key] for key in keys}

    references = st.lists(st.builds(reference, ids, orders), max_size=4)
    found = []
    for number in range(1, count + 1):
        spans = [
            {"traceID": f"{number:x}", "spanID": f"{at:x}", "operationName": "x" * length, "references": others}
            for at, (length, others) in enumerate(draw(st.lists(st.tuples(st.integers(0, 300), references))), 1)
        ]
        found.append(trace(number, spans=spans))
    return found


@given(documents=traces_of_jaeger(), leap=st.integers(1, 2000))
def test_leaps_miss_no_trace(documents: list[dict[str, object]], leap: int) -> None:
    items = [as_json(each) for each in documents]
    body = b'{"data":[' + b",".join(items) + b"]}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "_SHORTEST_LEAP", leap)
        found = ranges(body, SplitOptions(window=1))

    assert found == items


def test_a_leap_over_a_trace_is_a_wrong_guess_that_shows() -> None:
    long, repeated = (
        trace(number, spans=[{"traceID": str(number), "spanID": f"{at:x}", "operationName": "x"} for at in range(800)])
        for number in (2, 1)
    )
    items = [as_json(each) for each in (long, repeated, trace(3), repeated, trace(4))]
    body = b"[" + b",".join(items) + b"]"

    assert ranges(body, SplitOptions(window=1)) == [items[0], b",".join(items[1:4]), items[4]]
    assert ranges(body, SplitOptions(is_proven=True, window=1)) == items
    assert split(body, "x.json", SplitOptions(window=1)).is_guessed


@given(
    documents=st.lists(v1_traces(), min_size=1, max_size=6),
    options=st.builds(SplitOptions, st.booleans(), st.integers(1, 3000)),
    is_lines=st.booleans(),
)
def test_splitting_finds_what_reading_finds(
    *, documents: list[dict[str, object]], options: SplitOptions, is_lines: bool
) -> None:
    items = [as_json(each) for each in documents]
    body = b"\n".join(items) if is_lines else b'{"data":[' + b",".join(items) + b"]}"

    found = split(body, "x.json", options)

    parts = read_document(body, "x.json").parts
    assert sorted(set(keys(found))) == sorted({key_of(part.trace_id) for part in parts})
    if not any(run.form is not Form.TRACE for run in found.runs):
        assert ranges(body, options) == items


@given(st.lists(otlp_documents(), min_size=2, max_size=3))
def test_lines_of_otlp_are_documents_that_tell_their_traces(documents: list[dict[str, object]]) -> None:
    body = b"\n".join(as_json(each) for each in documents)

    found = split(body, "x.json", SplitOptions(window=1))

    parts = read_document(body, "x.json").parts
    assert set(keys(found)) == {key_of(part.trace_id) for part in parts}
    assert all(run.form is not Form.TRACE for run in found.runs)


NESTED = [trace(1), trace(2, note=[1, trace(3), trace(4)]), trace(5)]


@pytest.mark.parametrize("window", WINDOWS[:-1])
def test_a_trace_within_a_trace_deceives_guesses_but_not_proofs(window: int) -> None:
    body = as_json({"data": NESTED})

    proven = split(body, "x.json", SplitOptions(is_proven=True, window=window))
    guessed = split(body, "x.json", SplitOptions(window=window))

    assert keys(proven) == [key_of("1"), key_of("2"), key_of("5")]
    assert (proven.is_guessed, guessed.is_guessed) == (False, True)
    with pytest.raises(json.JSONDecodeError):
        [json.loads(each) for each in ranges(body, SplitOptions(window=window))]


def test_text_that_looks_like_a_trace_is_none() -> None:
    body = as_json({"data": [trace(1, note='[{"traceID":"2","spans":[]},{"traceID":"3","spans":')]})

    assert ranges(body, SplitOptions(window=10)) == [body[9:-2]]


@pytest.mark.parametrize("is_proven", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(as_json({"data": [*TRACES[:2], {"spans": TRACES[2]["spans"]}]}), id="trace-without-id"),
        pytest.param(as_json({"data": TRACES, "resourceSpans": []}), id="two-kinds"),
        pytest.param(as_json({"data": TRACES})[:-1] + b',"data":[]}', id="twice"),
        pytest.param(as_json({"total": 1, "data": TRACES}), id="other-key-first"),
        pytest.param(as_json(TRACES[0]), id="one-trace"),
    ],
)
def test_what_cannot_be_taken_apart_is_one_document(body: bytes, *, is_proven: bool) -> None:
    found = split(body, "x.json", SplitOptions(is_proven, 10))

    parts = read_document(body, "x.json").parts
    (run,) = found.runs
    assert (run.form is Form.TRACE, list(run.starts), list(run.stops)) == (False, [0], [len(body)])
    assert set(run.keys) == {key_of(part.trace_id) for part in parts}


def test_what_stands_beside_traces_is_told() -> None:
    errors = as_json({"data": TRACES, "errors": [{"msg": "trace not found"}]})
    calls = b'[{"parent":"a","child":"b","callCount":2}]\n' + as_json(TRACES[0])

    assert split(errors, "x.json", SplitOptions(window=10)).notes == ("trace not found",)
    assert split(calls, "x.json", SplitOptions(window=10)).calls == (ServiceCall("a", "b", 2),)


@pytest.mark.parametrize("is_proven", [True, False])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (as_json({"data": TRACES})[:80], "broken JSON: it ends in the middle"),
        (as_json({"data": TRACES}) + b"}", "after byte 922: it begins with '}'"),
        (b"nonsense" * 10, "it begins with"),
    ],
)
def test_broken_documents_are_refused(body: bytes, message: str, *, is_proven: bool) -> None:
    with pytest.raises(DecodeError, match=message):
        split(body, "x.json", SplitOptions(is_proven, 10))


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_line_of_text_costs_one_line(*, is_proven: bool) -> None:
    body = b"\n".join((as_json(TRACES[0]), b"nonsense", as_json(TRACES[1])))

    found = split(body, "x.json", SplitOptions(is_proven, 10))

    told = "left out because no traces can be read from them: 1 line (first: line 2: it begins with 'nonsense'"
    assert [note[: len(told)] for note in found.notes] == [told]
    assert sum(len(run.starts) for run in found.runs) == 2


def test_a_mapped_file_is_split_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(as_json({"data": TRACES}))
    forgotten: list[tuple[int, int]] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        options = SplitOptions(True, 200, lambda start, stop: forgotten.append((start, stop)))  # noqa: FBT003
        found = split(body, "x.json", options)

    assert keys(found) == [key_of(f"{number}") for number in range(1, 9)]
    assert forgotten[0][0] == len(b'{"data":[')
    assert [stop for _, stop in forgotten[:-1]] == [start for start, _ in forgotten[1:]]
