"""Tags on storages that read values as patterns, as OpenSearch 2.19 was seen to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
import respx

from tests.sources.test_jaeger import (
    BASE,
    CHAT,
    INEXACT,
    NOW_NS,
    START_US,
    enveloped,
    numbers,
    span,
    v1_error,
    v1_trace,
)
from traceq.errors import SourceError
from traceq.query import TraceQuery
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource
from traceq.sources.narrowing import LOOKED_FOR

VALUES = [
    "c++",
    "price=$5 (net)",
    "[x]",
    "back\\slash",
    '"quoted"',
    "a|b",
    "x*y",
    "#h",
    "a&b",
    "a?c",
    "/path/to?x=1&y=2",
    '["a","b"]',
    "~",
    "<t>",
    "(unclosed",
    "a{",
    "tail\\",
    "INSERT INTO orders (a,b) VALUES (%s,%s)",
    "a.c",
    "plain",
    "^start$",
    "2-4",
    "grüße",
    "l" * 300,
]


class Elastic:
    """Finds traces as Jaeger on Elasticsearch does: values are patterns for all of a value, long ones not indexed."""

    def __init__(self, *values: str) -> None:
        self.values = values
        self.questions: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        tags = json.loads(request.url.params.get("tags", "{}"))
        self.questions.append(tags)
        pattern = tags.get("key")
        try:
            found = [at for at, value in enumerate(self.values) if not tags or _matches(pattern, value)]
        except re.error:
            return v1_error(500, "all shards failed")
        found = found[-int(request.url.params["limit"]) :]
        return httpx.Response(200, json=enveloped(*(v1_trace(at, span(key=self.values[at])) for at in found)))


def _matches(pattern: str | None, value: str) -> bool:
    """Translate what Lucene adds to regular expressions: strings in quotes, any string, no string, numbers, not."""
    if pattern is None:
        return False
    plain = re.sub(r"\\.", "", pattern)
    if re.search(r"[~<]", plain) or plain.endswith("\\"):
        raise re.error("not closed")
    lucene = re.sub(
        r"(\\.)|([\"#@&^$])", lambda met: met[1] or {"#": "(?!)", "@": ".*", '"': ""}.get(met[2], "(?!)"), pattern
    )
    return len(value) <= 256 and re.fullmatch(lucene, value) is not None


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        router.get("/api/services").respond(json=enveloped("chat-service"))
        router.get(url__regex="/api/v3").respond(404, text="404 page not found")
        router.get(url__regex="/api/traces/0").respond(404, json={"errors": [{"msg": "not found"}]})
        yield router


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> JaegerSource:
    monkeypatch.setattr("httpx_retries.retry.time.sleep", lambda _seconds: None)
    return JaegerSource(BASE, ConnectionOptions(), clock=lambda: NOW_NS)


def asking_for(value: str, limit: int = 20) -> TraceQuery:
    return TraceQuery(service="chat-service", attributes=(("key", value),), window=CHAT.window, limit=limit)


@pytest.mark.parametrize("value", VALUES)
def test_any_value_finds_what_an_exact_comparison_finds(
    server: respx.MockRouter, source: JaegerSource, value: str
) -> None:
    server.get("/api/traces").mock(side_effect=Elastic(*VALUES, "abc", "xxy"))

    assert numbers(source.find(asking_for(value)).traces) == [VALUES.index(value)]


def test_values_without_special_characters_are_asked_for_once(server: respx.MockRouter, source: JaegerSource) -> None:
    elastic = Elastic("other")
    server.get("/api/traces").mock(side_effect=elastic)

    assert not len(source.find(asking_for("a.b-c")).traces)
    assert elastic.questions == [{"key": "a.b-c"}, {"resource_attr:key": "a.b-c"}]


def test_false_candidates_do_not_use_up_the_limit(server: respx.MockRouter, source: JaegerSource) -> None:
    elastic = Elastic(*["a.c"] * 3, *["abc"] * 7)
    server.get("/api/traces").mock(side_effect=elastic)

    found = source.find(asking_for("a.c", limit=5))

    assert (numbers(found.traces), found.is_cut_off) == ([2, 1, 0], False)
    assert elastic.questions == [{"key": "a.c"}, {"key": r"a\.c"}]


def test_what_is_too_long_for_an_index_is_said(server: respx.MockRouter, source: JaegerSource) -> None:
    server.get("/api/traces").mock(side_effect=Elastic("other", "l" * 257))

    found = source.find(asking_for("l" * 257))

    assert numbers(found.traces) == [1]
    assert "not index values and names of more than 256 characters" in " ".join(found.notes)


def test_the_first_refusal_is_told_where_no_way_helps(server: respx.MockRouter, source: JaegerSource) -> None:
    server.get("/api/traces").mock(
        side_effect=lambda request: v1_error(500, "first" if "\\" not in request.url.params["tags"] else "second")
    )

    with pytest.raises(SourceError, match="first"):
        source.find(asking_for("a{"))


def looking_for(pattern: str, limit: int = 20) -> TraceQuery:
    return TraceQuery(service="chat-service", tag_patterns=(("key", pattern),), window=CHAT.window, limit=limit)


def exact(*values: str) -> Elastic:
    """Compares values exactly, as the other storages do."""

    class Exact(Elastic):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            tags = json.loads(request.url.params.get("tags", "{}"))
            self.questions.append(tags)
            found = [at for at, value in enumerate(self.values) if not tags or tags == {"key": value}]
            found = found[-int(request.url.params["limit"]) :]
            return httpx.Response(200, json=enveloped(*(v1_trace(at, span(key=self.values[at])) for at in found)))

    return Exact(*values)


@pytest.mark.parametrize(
    "pattern", [r"c\+\+", "^a.c$", "[a-z]{2}/", r"\d", "(?i)INSERT", "^(x|a).*[yb]$", "zzz", "l{300}"]
)
@pytest.mark.parametrize("storage", [Elastic, exact])
def test_a_pattern_finds_the_same_in_every_storage(
    server: respx.MockRouter, source: JaegerSource, pattern: str, storage: Callable[..., Elastic]
) -> None:
    server.get("/api/traces").mock(side_effect=storage(*VALUES))

    expected = [at for at, value in enumerate(VALUES) if re.search(pattern, value)]
    assert numbers(source.find(looking_for(pattern, limit=50)).traces) == expected[::-1]


def test_a_storage_of_patterns_is_asked_once_and_false_candidates_are_told(
    server: respx.MockRouter, source: JaegerSource
) -> None:
    elastic = Elastic("a1", "ab", "b1")
    server.get("/api/traces").mock(side_effect=elastic)

    found = source.find(looking_for(r"^a\d"))

    assert elastic.questions == [{"key": "(a.).*"}]
    assert numbers(found.traces) == [0]
    assert found.notes == (LOOKED_FOR, INEXACT)


def test_a_storage_without_patterns_is_asked_without_the_condition(
    server: respx.MockRouter, source: JaegerSource
) -> None:
    storage = exact("ab", "b", "abc")
    server.get("/api/traces").mock(side_effect=storage)

    found = source.find(looking_for("ab"))

    assert storage.questions == [{"key": ".*(ab).*"}, {"key": "~(ab)"}, {}]
    assert (numbers(found.traces), found.notes, found.is_cut_off) == ([2, 0], (), False)


def test_where_not_all_could_be_looked_at_a_note_says_so(server: respx.MockRouter, source: JaegerSource) -> None:
    server.get("/api/traces").mock(side_effect=exact("ab", *["b"] * 1000))

    found = source.find(looking_for("ab"))

    assert (len(found.traces), found.is_cut_off) == (0, True)
    assert found.notes == (
        "the server did not look for the pattern: it was checked among the newest traces that meet the rest",
    )


class Memory:
    """Finds spans by what they carry, as the memory storage of Jaeger 2 does: names of events are nothing to it."""

    def __init__(self, *spans: dict[str, str]) -> None:
        self.spans = spans
        self.questions: list[tuple[dict[str, str], int]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        params = request.url.params
        tags, limit = json.loads(params.get("tags", "{}")), int(params["limit"])
        self.questions.append((tags, limit))
        found = [at for at, carried in enumerate(self.spans) if all(str(carried.get(key)) == tags[key] for key in tags)]
        return httpx.Response(200, json=enveloped(*(happening(at, self.spans[at]) for at in found[-limit:])))


def happening(number: int, carried: dict[str, str]) -> dict[str, object]:
    """Make a trace whose span has an event, of which the storage knows nothing."""
    tags = {key: value for key, value in carried.items() if key != "happened"}
    trace = v1_trace(number, span() | {"tags": tags})
    fields = [{"key": "event", "type": "string", "value": carried.get("happened", "none")}]
    trace["spans"][0]["logs"] = [{"timestamp": START_US, "fields": fields}]
    return trace


def test_what_a_storage_does_not_know_is_looked_for_here(server: respx.MockRouter, source: JaegerSource) -> None:
    memory = Memory({"happened": "exception"}, {"a": "1"}, {"a": "1", "happened": "exception"}, {"happened": "other"})
    server.get("/api/traces").mock(side_effect=memory)
    wanted = TraceQuery("chat-service", attributes=(("event", "exception"),), window=CHAT.window, limit=20)

    found = source.find(wanted)

    assert (numbers(found.traces), found.is_cut_off) == ([2, 0], False)
    first, *_, last = memory.questions
    assert (first, last) == (({"event": "exception"}, 20), ({}, 1000))
    assert found.notes == (
        "not every server can look for event=exception: it was checked here in the traces that meet the rest",
    )


def test_that_nothing_failed_is_looked_for_here_at_once(server: respx.MockRouter, source: JaegerSource) -> None:
    memory = Memory({"error": "true"}, {"error": "false"}, {}, {"http.method": "GET"}, {"http.request.method": "GET"})
    server.get("/api/traces").mock(side_effect=memory)
    wanted = TraceQuery("chat-service", attributes=(("error", "false"),), window=CHAT.window, limit=3)

    found = source.find(wanted)

    assert (numbers(found.traces), found.is_cut_off) == ([4, 3, 2], True)
    assert memory.questions == [({}, 1000)]


def test_old_and_new_names_are_asked_for_together(server: respx.MockRouter, source: JaegerSource) -> None:
    memory = Memory({"http.method": "GET"}, {"http.method": "PUT"}, {"http.request.method": "GET"})
    server.get("/api/traces").mock(side_effect=memory)
    wanted = TraceQuery("chat-service", attributes=(("http.request.method", "GET"),), window=CHAT.window, limit=20)

    found = source.find(wanted)

    assert (numbers(found.traces), found.notes) == ([2, 0], ())
    assert memory.questions == [({"http.request.method": "GET"}, 20), ({"http.method": "GET"}, 20)]
