"""Every imitator gives the same answers as Jaeger would: questions are asked over HTTP, as its own ways need them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.sources.imitators import ALL, Greptime, Imitator, Mocha, Quickwit, TempoBridge, Victoria, stored
from tests.sources.servers import Reply, Seen, serving
from traceq.catalog import Window
from traceq.errors import LoginRequired, NotFoundError, SourceError
from traceq.query import TraceQuery
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource

NOW_US = 1_800_000_000_000_000
NOW_NS = NOW_US * 1000
MS = 1_000_000
HOUR_NS = 3_600_000 * MS
LAST_HOUR = Window(NOW_NS - HOUR_NS, NOW_NS)


def source_at(seen: Seen, base: str = "") -> JaegerSource:
    return JaegerSource(seen.url + base, ConnectionOptions(), clock=lambda: NOW_NS)


def asking(**conditions: Any) -> TraceQuery:
    return replace(TraceQuery(window=LAST_HOUR, limit=200), **conditions)


QUESTIONS = [
    pytest.param({}, [0, 1, 2, 3, 4, 5, 6, 7], id="all services"),
    pytest.param({"service": "orders"}, [0, 1, 2, 3, 4, 5, 6, 7], id="a service that is no root"),
    pytest.param({"service": "orders", "has_error": True}, [0, 3, 6], id="error"),
    pytest.param({"service": "orders", "attributes": (("tier", "gold"),)}, [1, 3, 5, 7], id="attribute of a span"),
    pytest.param({"service": "orders", "attributes": (("host.name", "orders-1"),)}, [1, 3, 5, 7], id="of a resource"),
    pytest.param({"attributes": (("host.name", "orders-0"),)}, [0, 2, 4, 6], id="of a resource of any service"),
    pytest.param(
        {"service": "orders", "attributes": (("host.name", "orders-1"), ("tier", "gold"))}, [1, 3, 5, 7], id="of both"
    ),
    pytest.param({"service": "orders", "tag_patterns": (("tier", "^g.*d$"),)}, [1, 3, 5, 7], id="pattern"),
    pytest.param({"service": "orders", "tag_patterns": (("host.name", "-1$"),)}, [1, 3, 5, 7], id="pattern, resource"),
    pytest.param({"service": "orders", "min_duration_ns": 180 * MS}, [0, 1, 2, 3, 4, 5, 6, 7], id="minimum"),
    pytest.param({"service": "orders", "min_duration_ns": 201 * MS}, [], id="minimum above all"),
    pytest.param({"service": "orders", "min_trace_duration_ns": 399 * MS}, [0, 1, 2, 3, 4, 5, 6, 7], id="whole trace"),
    pytest.param({"service": "orders", "limit": 3}, [0, 1, 2], id="limit"),
    pytest.param(
        {"service": "orders", "window": Window(NOW_NS - 240 * HOUR_NS, NOW_NS)}, [0, 1, 2, 3, 4, 5, 6, 7], id="10 days"
    ),
]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("conditions", "numbers"), QUESTIONS)
def test_questions_find_whole_traces(kind: type[Imitator], conditions: dict[str, Any], numbers: list[int]) -> None:
    imitator = kind(stored(NOW_US))
    with serving(imitator) as seen:
        found = source_at(seen, kind.base).find(asking(**conditions))

    assert [trace_id[-2:] for trace_id in found.traces.trace_ids] == [f"{number:02x}" for number in numbers]
    assert [len(found.traces.rows(at)) for at in range(len(numbers))] == [4] * len(numbers)
    hosts = {found.traces.hosts[code] for code in found.traces.host_codes}
    assert hosts == ({"gateway-0"} | {f"orders-{number % 2}" for number in numbers} if numbers else set())
    assert (found.is_partial, found.is_cut_off) == (False, len(numbers) == 3 and "limit" in conditions)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("written", ["000000000000000000000000c0ffee01", "c0ffee01"])
def test_one_trace_is_found_by_its_id_however_padded(kind: type[Imitator], written: str) -> None:
    with serving(kind(stored(NOW_US))) as seen:
        traces = source_at(seen, kind.base).trace(written)

    assert (traces.trace_ids, len(traces.rows(0))) == (("000000000000000000000000c0ffee01",), 4)


@pytest.mark.parametrize("kind", ALL)
def test_an_id_that_is_not_there_is_not_found(kind: type[Imitator]) -> None:
    with serving(kind(stored(NOW_US))) as seen, pytest.raises(NotFoundError, match=f"no trace {'d' * 32}"):
        source_at(seen, kind.base).trace("d" * 32)


def test_roots_are_completed_before_anything_is_checked() -> None:
    with serving(Quickwit(stored(NOW_US))) as seen:
        found = source_at(seen, Quickwit.base).find(asking(service="orders", has_error=True))

    assert found.notes == ("searches of this server give only a part of each trace: asked for by id",)


def test_roots_that_cannot_be_completed_are_said_to_be_parts() -> None:
    class Failing(Quickwit):
        def by_id(self, trace_id: str) -> Reply:
            return Reply(b'{"message":"too busy"}', 500) if trace_id.endswith("07") else Quickwit.by_id(self, trace_id)

    with serving(Failing(stored(NOW_US))) as seen:
        found = source_at(seen, Quickwit.base).find(asking(service="gateway"))

    assert [len(found.traces.rows(at)) for at in range(8)] == [4] * 7 + [1]
    assert found.is_partial
    failure = f"Jaeger at {seen.url}{Quickwit.base} answered 500 Internal Server Error: too busy"
    assert found.notes[1:] == (f"traces may be parts, asking for them by id failed: {failure}",)


def test_traces_of_single_spans_are_soon_taken_for_whole() -> None:
    single = [replace(trace, spans=trace.spans[:1]) for trace in stored(NOW_US)]
    with serving(Imitator(single)) as seen:
        source = source_at(seen)
        for _ in range(6):
            assert len(source.find(asking(service="gateway")).traces) == 8

    assert sum("/api/traces/" in target for target, _ in seen.requests) == 4 * 3


def test_a_limit_that_is_refused_is_kept_to_in_slices() -> None:
    with serving(Victoria(stored(NOW_US))) as seen:
        source = source_at(seen, Victoria.base)
        assert len(source.find(asking(service="orders")).traces) == 8
        before = len(seen.requests)
        assert len(source.find(asking(service="orders", limit=5)).traces) == 5

    assert len(seen.requests) == before + 1


def test_a_window_that_is_refused_is_asked_for_in_pieces() -> None:
    with serving(TempoBridge(stored(NOW_US - 8 * 24 * 3600 * 1_000_000))) as seen:
        source = source_at(seen)
        found = source.find(asking(service="orders", window=Window(NOW_NS - 240 * HOUR_NS, NOW_NS)))

    assert (len(found.traces), found.is_cut_off) == (8, False)
    assert sum(target.startswith("/api/traces?") for target, _ in seen.requests) == 3


def test_attributes_of_resources_cost_a_second_question_only_where_nothing_was_found() -> None:
    with serving(Imitator(stored(NOW_US))) as seen:
        source_at(seen).find(asking(service="orders", attributes=(("host.name", "orders-1"),)))

    assert [target.partition("?")[0] for target, _ in seen.requests] == ["/api/services", "/api/traces"]


def test_durations_are_sent_in_units_that_all_know() -> None:
    with serving(Mocha(stored(NOW_US))) as seen:
        found = source_at(seen, Mocha.base).find(asking(service="orders", min_duration_ns=160 * MS))

    assert (len(found.traces), found.notes) == (8, ())
    assert "minDuration=160ms" in seen.requests[-1][0]


@pytest.mark.parametrize("kind", [Quickwit, Greptime, Victoria, Mocha])
def test_a_wrong_base_path_is_told_with_the_right_one(kind: type[Imitator]) -> None:
    with serving(kind(stored(NOW_US))) as seen, pytest.raises(SourceError) as raised:
        source_at(seen).services()

    assert raised.value.hint == f"its API seems to be at {kind.base}: set --source {seen.url}{kind.base}"


def test_a_page_at_a_wrong_base_path_is_told_with_the_right_one() -> None:
    bridge = TempoBridge(stored(NOW_US))

    def answer(target: str, seen: Seen) -> Reply:
        if target.startswith("/api/"):
            return bridge(target, seen)
        return Reply(b"<!doctype html><html><title>Jaeger UI</title></html>", 200, {"Content-Type": "text/html"})

    with serving(answer) as seen, pytest.raises(SourceError) as raised:
        source_at(seen, "/jaeger").services()

    assert raised.value.hint == f"its API seems to be at /: set --source {seen.url}"


def _text(status: int, body: str) -> Callable[[str, Seen], Reply]:
    return lambda _target, _seen: Reply(body.encode(), status)


def _zipkin(target: str, _: Seen) -> Reply:
    return Reply(b'["a"]') if target == "/api/v2/services" else Reply(b"404 Not Found", 404)


def _tempo(target: str, _: Seen) -> Reply:
    return Reply(b"echo") if target == "/api/echo" else Reply(b"404 page not found\n", 404)


@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        pytest.param(
            _zipkin,
            SourceError,
            "this is Zipkin's API, which traceq does not speak: is there a Jaeger query server, or a bridge to one?",
            id="Zipkin",
        ),
        pytest.param(
            _tempo,
            SourceError,
            "this is Tempo's own API, which traceq does not speak: is there a Jaeger query server, or a bridge to one?",
            id="Tempo",
        ),
        pytest.param(
            _text(503, '{"kind":"Status","message":"no endpoints available for service \\"jaeger-query\\""}'),
            SourceError,
            "the Kubernetes service has no running pod: kubectl get pods tells why",
            id="Kubernetes without pods",
        ),
        pytest.param(
            _text(403, '{"kind":"Status","message":"services is forbidden: User \\"x\\" cannot get resource"}'),
            LoginRequired,
            "Kubernetes refuses its proxy to this account: give a --token, or use kubectl port-forward",
            id="Kubernetes without permission",
        ),
        pytest.param(
            _text(404, '{"message":"Data source not found","statusCode":404}'),
            SourceError,
            "this Grafana knows no data source of that name: its settings show the uid, which belongs into the URL",
            id="Grafana without the data source",
        ),
    ],
)
def test_what_is_no_jaeger_is_named(
    answer: Callable[[str, Seen], Reply], kind: type[SourceError], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpx_retries.retry.time.sleep", lambda _seconds: None)
    with serving(answer) as seen, pytest.raises(kind) as raised:
        source_at(seen).services()

    assert raised.value.hint == hint


def test_calls_after_the_end_of_the_window_are_found() -> None:
    traces = stored(NOW_US)
    late = replace(traces[2].spans[3], parent=3, after_us=900_000)
    traces[2] = replace(traces[2], spans=(*traces[2].spans[:3], late))
    end_ns = (traces[2].start_us + 500_000) * 1000
    with serving(Greptime(traces)) as seen:
        found = source_at(seen, Greptime.base).find(
            asking(service="orders", limit=2, window=Window(end_ns - HOUR_NS, end_ns))
        )

    assert [len(found.traces.rows(at)) for at in range(2)] == [4, 4]
    assert found.notes == ("the search gave only a part of 1 trace: asked for by id",)
