"""A harvest against a server that keeps to its limit in ways of its own, and into files."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import EPOCH_NS, SpanLike, span, traces
from tests.laws import examples
from traceq.catalog import Operation, ServiceCall, Window, summarize
from traceq.errors import InputError, NotFoundError, ServerError, SourceError
from traceq.query import TraceQuery, matching
from traceq.remarks import Remarks
from traceq.sources import open_source
from traceq.sources.bodies import Packing, lines_of
from traceq.sources.harvest import TimeSlice, plan_window
from traceq.sources.harvester import INDEX_NAME, STATE_NAME, Archive, Asked, Harvester, State, read_state
from traceq.sources.interface import Found, FoundSummaries
from traceq.traces import Traces

WINDOW = Window(EPOCH_NS, EPOCH_NS + 1_000_999)


@dataclass(slots=True)
class FakeServer:
    """Holds traces, answers with at most the requested number, and fails when a test wants it to."""

    table: Traces
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - not a secret
    fails_after: int = 10**9
    searches_all: bool = False
    location: str = "http://fake"
    locations: tuple[str, ...] = ("http://fake",)
    trace_url: str = ""
    is_live: bool = True
    asked: int = 0
    hidden: frozenset[str] = frozenset()

    def remarks(self) -> Remarks:
        return Remarks()

    def services(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.table.services)))

    def find(self, query: TraceQuery, *, with_attributes: bool = True, is_sample: bool = False) -> Found:
        self.asked += 1
        if self.asked > self.fails_after:
            raise SourceError("the server is gone", hint="start it")
        if query.service in self.hidden:
            raise NotFoundError(f"no service named '{query.service}'")
        found = matching(self.table, query)
        assert query.limit is not None
        is_cut_off = len(found) >= query.limit
        if is_cut_off:
            found = self.chance.sample(found, query.limit)
        return Found(self.table.select(found), is_cut_off)

    def read(self, query: TraceQuery) -> Iterator[Traces]:
        yield self.find(query).traces

    def summaries(self, query: TraceQuery) -> FoundSummaries:
        found = self.table.select(matching(self.table, query)[: query.limit])
        return FoundSummaries(tuple(summarize(found)), service_count=0 if self.searches_all else len(self.services()))

    def trace(self, trace_id: str) -> Traces:
        return self.table.select(self.table.find(trace_id))

    def operations(self, service: str) -> tuple[Operation, ...]:
        return ()

    def dependencies(self, window: Window) -> tuple[ServiceCall, ...]:
        return ()


def begin(folder: Path, *, rotate_bytes: int = 10**9, packing: Packing = "none") -> Archive:
    known = read_state(folder)
    state = known or State(Asked("http://fake", {}, {}, packing), plan_window(WINDOW))
    return Archive(folder, state, rotate_bytes, clock=lambda: 0.0)


def harvest(server: FakeServer, folder: Path, *, limit: int = 3, query: TraceQuery | None = None) -> Harvester:
    """Harvest on, as the command would, writing after every answer."""
    archive = begin(folder)
    archive.clock = iter(range(0, 10**9, 100)).__next__  # every look is 100 s later
    harvester = Harvester(server, replace(query or TraceQuery(), limit=limit), archive)
    harvester.run()
    return harvester


def ids_in(folder: Path) -> list[str]:
    """List the trace ids of all lines, by reading the directory as every command does."""
    lines = [line for path in sorted(folder.glob("traces-*")) for line in path.read_bytes().splitlines()]
    return [line.split(b'"')[3].decode() for line in lines]


spans_of_traces = st.dictionaries(
    st.integers(1, 10**6).map(lambda number: f"{number:x}"),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1000)), min_size=1, max_size=3),
    max_size=25,
)


def table(shape: dict[str, list[tuple[str, int]]]) -> Traces:
    """Give traces of spans of these services, which start at these microseconds."""
    by_id: dict[str, list[SpanLike]] = {
        trace_id: [
            span(f"{number:x}", None, start_us * 1000, start_us * 1000 + 5, service=service)
            for number, (service, start_us) in enumerate(spans, 1)
        ]
        for trace_id, spans in shape.items()
    }
    return traces(by_id)


@examples(0.2)  # every example writes to the disk and waits for it
@given(
    shape=spans_of_traces,
    limit=st.integers(1, 6),
    searches_all=st.booleans(),
    failures=st.lists(st.integers(1, 12), max_size=4),
)
def test_every_trace_is_harvested_once_however_often_the_server_fails(
    *, shape: dict[str, list[tuple[str, int]]], limit: int, searches_all: bool, failures: list[int]
) -> None:
    held = table(shape)
    server = FakeServer(held, searches_all=searches_all)

    with TemporaryDirectory() as name:
        folder = Path(name)
        for asked in failures:
            server.asked, server.fails_after = 0, asked
            try:
                harvest(server, folder, limit=limit)
            except SourceError:
                assert len(set(ids_in(folder))) == len(ids_in(folder))
        server.fails_after = 10**9
        done = harvest(server, folder, limit=limit)

        missed = set(held.trace_ids) - set(ids_in(folder))
        assert len(ids_in(folder)) == len(set(ids_in(folder)))
        assert not missed or done.archive.state.plan.overfull
        assert done.archive.state.trace_count == len(ids_in(folder))


def test_a_harvest_reads_back_as_the_same_traces(tmp_path: Path) -> None:
    held = table({"a1": [("a", 1), ("b", 2)], "a2": [("a", 500)]})

    harvest(FakeServer(held), tmp_path)

    read = open_source((str(tmp_path),)).find(TraceQuery()).traces
    assert sorted(read.trace_ids) == ["a1", "a2"]
    assert read.span_count == 3
    assert not (tmp_path / INDEX_NAME).exists()


def test_a_failure_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    server = FakeServer(table({"a1": [("a", 1)]}), fails_after=0)

    with pytest.raises(SourceError) as raised:
        harvest(server, tmp_path)

    assert raised.value.message == "the server is gone"
    assert raised.value.hint == "start it; the same command again goes on from here"


def test_finished_slices_are_not_asked_again(tmp_path: Path) -> None:
    shape = {f"{number:x}": [("a", number)] for number in range(1, 40)}
    server = FakeServer(table(shape), fails_after=20)
    with pytest.raises(SourceError):
        harvest(server, tmp_path)
    before = read_state(tmp_path)
    assert before is not None

    server.fails_after, server.asked = 10**9, 0
    harvest(server, tmp_path)

    straight = FakeServer(table(shape))
    with TemporaryDirectory() as other:
        harvest(straight, Path(other))
    assert before.plan.lanes[0].next_us > before.plan.start_us
    assert server.asked < straight.asked


def test_what_was_written_after_the_last_state_is_cut_off(tmp_path: Path) -> None:
    archive = begin(tmp_path)
    archive.go_on()
    archive.add("a1", 1, b'{"traceID":"a1"}')
    archive.commit(archive.state.plan)
    with archive.part_path(1).open("ab") as part:
        part.write(b'{"traceID":"b2"}\n{"trac')
    archive.part_path(2).write_bytes(b"begun")

    again = begin(tmp_path)
    again.go_on()

    assert again.part_path(1).read_bytes() == b'{"traceID":"a1"}\n'
    assert not again.part_path(2).exists()
    assert again.met.span_counts == {"a1": 1}


def test_a_file_that_lost_something_is_refused(tmp_path: Path) -> None:
    archive = begin(tmp_path)
    archive.go_on()
    archive.add("a1", 1, b'{"traceID":"a1"}')
    archive.commit(archive.state.plan)
    archive.part_path(1).write_bytes(b"")

    with pytest.raises(InputError, match="shorter than the harvest left it"):
        begin(tmp_path).go_on()


def test_files_are_rotated_by_size_and_compressed_by_themselves(tmp_path: Path) -> None:
    archive = begin(tmp_path, rotate_bytes=60, packing="gz")
    archive.go_on()
    for name in ("a1", "a2", "a3"):
        archive.add(name, 1, b'{"traceID":"%b"}' % name.encode())
        archive.commit(archive.state.plan)

    parts = sorted(tmp_path.glob("traces-*"))
    assert [path.name for path in parts] == [f"traces-0000{number}.ndjson.gz" for number in (1, 2, 3)]
    assert [gzip.decompress(path.read_bytes()) for path in parts] == [
        b'{"traceID":"a1"}\n',
        b'{"traceID":"a2"}\n',
        b'{"traceID":"a3"}\n',
    ]


@pytest.mark.parametrize("packing", ["none", "gz", "zst"])
def test_of_a_trace_that_came_again_with_more_spans_only_the_last_line_stays(tmp_path: Path, packing: Packing) -> None:
    archive = begin(tmp_path, rotate_bytes=1, packing=packing)
    archive.go_on()
    for name, count in (("a1", 1), ("b1", 1), ("a1", 2)):
        assert archive.met.is_news(name, count)
        archive.add(name, count, b'{"traceID":"%b","spans":[%d]}' % (name.encode(), count))
        archive.commit(archive.state.plan)

    archive.finish()
    archive.finish()

    lines = [line for path in sorted(tmp_path.glob("traces-*")) for line in lines_of(path, packing)]
    assert lines == [b'{"traceID":"b1","spans":[1]}\n', b'{"traceID":"a1","spans":[2]}\n']
    state = read_state(tmp_path)
    assert state is not None
    assert (state.is_finished, state.trace_count, state.span_count) == (True, 2, 3)


def test_a_service_that_the_server_forgot_is_told_and_leaves_no_hole_unseen(tmp_path: Path) -> None:
    server = FakeServer(table({"a1": [("a", 1)], "b1": [("b", 1)]}), hidden=frozenset(["a"]))

    done = harvest(server, tmp_path)

    assert ids_in(tmp_path) == ["b1"]
    assert list(done.notes) == ["forgotten by the server since the harvest began: no service named 'a'"]


def test_a_service_that_was_asked_for_has_to_exist(tmp_path: Path) -> None:
    server = FakeServer(table({"a1": [("a", 1)]}), hidden=frozenset(["a"]))

    with pytest.raises(NotFoundError):
        harvest(server, tmp_path, query=TraceQuery(service="a"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema":"traceq.harvest/9"}', '{"schema":"traceq.harvest/1"}'])
def test_a_state_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE_NAME).write_text(text)

    with pytest.raises(InputError, match="cannot read"):
        read_state(tmp_path)


def test_services_that_traces_lead_to_are_harvested_too() -> None:
    class Forgetful(FakeServer):
        def services(self) -> tuple[str, ...]:
            return ("a",)

    server = Forgetful(table({"1": [("a", 1), ("hidden", 2)], "2": [("hidden", 500)]}))

    with TemporaryDirectory() as folder:
        harvest(server, Path(folder))

        assert sorted(ids_in(Path(folder))) == ["1", "2"]


def test_what_the_server_fails_over_is_a_hole_and_everything_else_is_harvested() -> None:
    class Failing(FakeServer):
        def find(self, query: TraceQuery, *, with_attributes: bool = True, is_sample: bool = False) -> Found:
            if query.service == "bad" and EPOCH_NS + 300_000 in query.window:
                raise ServerError("answered 500", status=500, told="NaN")
            return super().find(query)

    server = Failing(table({"1": [("a", 1)], "2": [("bad", 300)], "3": [("bad", 301)], "4": [("bad", 900)]}))

    with TemporaryDirectory() as folder:
        harvester = harvest(server, Path(folder))

        assert sorted(ids_in(Path(folder))) == ["1", "3", "4"]
        first_us = EPOCH_NS // 1000 + 300
        # Both ends of a question reach into the microseconds beside it.
        assert harvester.archive.state.plan.holes == (TimeSlice("bad", first_us, first_us),)
