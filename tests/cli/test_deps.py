from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.render.graphs import meshed
from tests.sources.replay import FIXTURES
from tests.sources.servers import NO_TRACE, Reply, Seen, serving
from traceq.analysis.dependencies import Dependencies, from_jaeger
from traceq.catalog import ServiceCall
from traceq.cli.deps import watch
from traceq.errors import ExitCode, SourceError
from traceq.render import GRAPH_FORMATS
from traceq.units import NS_PER_S
from traceq.views.graphs import changes

CHAT = ("--source", "fixtures/chat.json")


def test_the_chat_product_is_a_picture_at_80_columns(run: Run) -> None:
    drawn = run("deps", *CHAT, "--service", "chat-service", "--quiet").out

    assert drawn.splitlines()[3:] == [
        "                    ╔════════════════╗       ┌──────────────┐",
        " ┌──────┐ ┌ 72 !10 ▶║ kafka          ║┄┄ 62 ▶│ notification │",
        " │ chat │┄┘         ║ message.events ║       │              │",
        " │      │           ╚════════════════╝       │              │",
        " │      │                              ┌────▶│              │",
        " │      │──── 5 ───────────────────────┘     └──────────────┘",
        " │      │",
        " │      │           ┌────────────────┐       ┌──────────────┐      ╭───────╮",
        " │      │──── 5 ───▶│ friend         │── 15 ▶│ user         │── 4 ▶│ mysql │",
        " │      │           └────────────────┘       │              │      │       │",
        " │      │                                    │              │      │       │",
        " │      │──── 85 ───────────────────────────▶│              │ ┌───▶│       │",
        " │      │                                    └──────────────┘ │    ╰───────╯",
        " │      │           ╭────────────────╮                        │",
        " │      │──── 73 ──▶│ mongodb        │                        │",
        " │      │           ╰────────────────╯                        │",
        " │      │                                                     │",
        " │      │──── 67 ─────────────────────────────────────────────┘",
        " │      │",
        " │      │           ╭────────────────╮",
        " │      │──── 62 ──▶│ redis          │",
        " └──────┘           ╰────────────────╯",
        " ┌─┐ service   ╭─╮ database   ╔═╗ messaging   ┄┄▶ asynchronous",
        " names without -service",
        "",
        "counted in 106 traces (fixtures/chat.json)",
    ]


def table(path: Path, edges: list[tuple[str, str, int]]) -> str:
    """Write a dependency table as Jaeger answers it."""
    data = [{"parent": parent, "child": child, "callCount": count} for parent, child, count in edges]
    path.write_text(json.dumps({"data": data}), encoding="utf-8")
    return str(path)


def large(path: Path) -> str:
    """Write a table of 1,200 services and over 4,000 edges."""
    graph = meshed(1200)
    more = [(f"svc-{number:04}", f"svc-{(number * 7 + 13) % 1200:04}", number) for number in range(1200)]
    far = [(f"svc-{number:04}", f"svc-{(number * 11 + 5) % 1200:04}", number) for number in range(1200)]
    edges = [(f"svc-{int(edge.source):04}", f"svc-{int(edge.target):04}", 7) for edge in graph.edges]
    return table(path, [*edges, *more, *far])


def test_a_large_graph_shows_its_busiest_edges_and_says_how_to_see_the_rest(run: Run, tmp_path: Path) -> None:
    source = large(tmp_path / "table.json")

    drawn = run("deps", "--source", source, width=400).out

    assert "┌" in drawn
    assert "the busiest" in drawn
    assert f"next: traceq deps --view table --source {source}\n" in drawn
    assert "of 1,200 nodes: --service NAME shows what is around one" in drawn


@pytest.mark.parametrize(
    "question",
    [
        ("--service", "svc-0100"),
        ("--path", "svc-0001", "svc-1190"),
        ("--impact", "svc-0500"),
        ("--cycles",),
    ],
    ids=lambda question: str(question[0]),
)
def test_a_large_graph_answers_within_a_second(question: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    location = large(tmp_path / "table.json")
    run("deps", *CHAT)  # imports are start-up

    before = time.process_time()
    outcome = run("deps", "--source", location, *question)
    took = time.process_time() - before

    assert outcome.code == ExitCode.ANSWERED
    assert took < 1


@pytest.mark.parametrize("view", ["auto", "graph", "tree", "table"])
def test_all_edges_among_chosen_services_are_kept(view: str, run: Run, tmp_path: Path) -> None:
    ring = [
        ("A", "B", 11),
        ("A", "C", 12),
        ("B", "C", 13),
        ("C", "A", 14),
        ("C", "C", 15),
        ("D", "A", 16),
        ("C", "E", 17),
    ]
    location = table(tmp_path / "ring.json", [*ring, ("E", "F", 18)])

    around = ("--service", "A", "--upstream", "2", "--downstream", "2")
    drawn = run("deps", "--source", location, *around, "--view", view, width=400).out.replace(location, "")

    assert all(str(count) in drawn for _, _, count in ring)
    assert "18" not in drawn


def test_ascii_is_ascii(run: Run) -> None:
    assert run("deps", *CHAT, "--ascii", "--collapse", "legacy*").out.isascii()


@pytest.mark.parametrize("command", ["search", "services", "fetch", "bottlenecks"])
@pytest.mark.parametrize("chosen", sorted(GRAPH_FORMATS))
def test_other_commands_are_no_graphs(command: str, chosen: str, run: Run, tmp_path: Path) -> None:
    target = tmp_path / f"answer.{chosen}"

    outcome = run(command, *CHAT, "--format", chosen, "-o", str(target))

    assert (outcome.code, outcome.out, target.exists()) == (ExitCode.USAGE, "", False)
    assert outcome.err.startswith(f"traceq: error: Invalid value for '--format' / '-f': '{chosen}' is not one of")


@pytest.mark.parametrize("chosen", sorted(GRAPH_FORMATS))
def test_every_format_of_graphs_is_written(chosen: str, run: Run) -> None:
    outcome = run("deps", *CHAT, "--format", chosen)

    assert outcome.code == ExitCode.ANSWERED
    assert "chat-service" in outcome.out


@pytest.mark.parametrize(
    ("suffix", "start"), [(".mmd", "flowchart"), (".dot", "digraph"), (".svg", "<svg"), (".html", "<!doctype html>")]
)
def test_the_format_goes_by_the_suffix(suffix: str, start: str, run: Run, tmp_path: Path) -> None:
    target = tmp_path / f"graph{suffix}"

    assert run("deps", *CHAT, "-o", str(target)).code == ExitCode.ANSWERED
    assert target.read_text(encoding="utf-8").startswith(start)


def test_a_page_says_what_it_is_about_and_has_all_of_the_graph(run: Run, tmp_path: Path) -> None:
    source = table(tmp_path / "table.json", [(f"a{number}", f"b{number}", number) for number in range(1, 41)])

    page = run("deps", "--source", source, "--format", "html").out
    around = run("deps", "--source", source, "--service", "a7", "--format", "html").out

    assert "<h1>Who calls whom</h1>" in page
    assert "<h1>Who calls whom around a7</h1>" in around
    assert all(re.search(rf'"label": ?"a{number}"', page) for number in range(1, 41))
    assert "busiest" not in page


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--cycles", "--critical"), "Invalid value for --critical: one question at a time: --cycles or --critical"),
        (("--upstream", "2"), "Invalid value for --service: upstream and downstream of what? name a service"),
        (("--watch", "10s"), "Invalid value for --watch: files do not change while they are watched"),
        (("--watch", "10ms"), "Invalid value for --watch: the interval is at least 1s"),
        (("--cycles", "-f", "dot"), "Invalid value for --format: dot is for graphs: `traceq deps` draws one"),
    ],
)
def test_what_makes_no_sense_together_is_refused(arguments: tuple[str, ...], error: str, run: Run) -> None:
    outcome = run("deps", *CHAT, *arguments)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.splitlines()[0] == f"traceq: error: {error}"


@pytest.mark.parametrize("arguments", [("--path", "chat-service", "nobody"), ("--impact", "nobody")])
def test_who_is_not_there_cannot_be_asked_about(arguments: tuple[str, ...], run: Run) -> None:
    outcome = run("deps", *CHAT, *arguments)

    assert outcome.code == ExitCode.NOT_FOUND
    assert outcome.err.splitlines()[0].startswith("traceq: error: no service named 'nobody' among the dependencies")


def test_where_there_is_no_way_the_way_back_is_told(run: Run) -> None:
    outcome = run("deps", *CHAT, "--path", "mysql", "chat-service", width=120)

    assert outcome.out.startswith(
        "mysql bigtech_chat does not reach chat-service; chat-service reaches mysql bigtech_chat"
    )


@pytest.mark.parametrize(
    "question", [("--cycles",), ("--path", "chat-service", "mysql"), ("--impact", "mysql"), ("--critical",)]
)
def test_answers_to_questions_are_documents_too(question: tuple[str, ...], run: Run) -> None:
    document = json.loads(run("deps", *CHAT, *question, "-f", "json").out)

    assert (document["schema"], document["question"]) == ("traceq.deps/1", question[0].removeprefix("--"))


def server(edges: bytes, status: int = 200) -> Callable[[str, Seen], Reply]:
    """Answer as a server of version 1 with the recorded traces and this table."""
    traces = (FIXTURES / "chat.json").read_bytes()

    def answer(path: str, seen: Seen) -> Reply:
        route = path.partition("?")[0]
        if route == "/api/dependencies":
            return Reply(edges, status)
        if route == "/api/services":
            return Reply(b'{"data":["chat-service"]}')
        if route.startswith("/api/traces/"):
            return NO_TRACE
        return Reply(traces) if route == "/api/traces" else Reply(b"404 page not found", 404)

    return answer


def test_an_empty_table_is_explained_and_traces_are_counted_unasked(run: Run) -> None:
    with serving(server(b'{"data":[]}')) as seen:
        outcome = run("deps", "--source", seen.url, "--from", "jaeger", "--start", "2020-01-01", "--view", "tree")

    assert "├─ mongodb bigtech_chat (database)" in outcome.out
    assert "counted in 106 traces" in outcome.out
    assert "Jaeger's own table is empty: on Elasticsearch" in outcome.out


UNREADABLE = "calls were counted in traces, Jaeger's own table cannot be read: Jaeger at {} answered"


@pytest.mark.parametrize(
    ("table", "status", "origin", "notes"),
    [
        pytest.param(b'{"data":[]}', 200, "both", [], id="empty"),
        pytest.param(
            b'{"data":[]}',
            200,
            "jaeger",
            ["Jaeger's own table of calls is empty in this window: calls were counted in traces"],
            id="empty-asked-for",
        ),
        pytest.param(
            b'{"message":"Route not found"}',
            404,
            "both",
            [UNREADABLE + " 404 Not Found: Route not found"],
            id="Quickwit",
        ),
        pytest.param(
            b"unsupported path requested",
            400,
            "both",
            [UNREADABLE + " 400 Bad Request: unsupported path requested"],
            id="VictoriaTraces",
        ),
        pytest.param(
            b'{"errors":[{"msg":"no such index"}]}',
            500,
            "jaeger",
            [UNREADABLE + " 500 Internal Server Error: no such index"],
            id="failing",
        ),
        pytest.param(b'{"errors":[{"msg":"no such index"}]}', 500, "traces", [], id="not-asked-for"),
    ],
)
def test_a_table_that_is_empty_or_refused_is_noted_and_traces_are_counted(
    table: bytes, status: int, origin: str, notes: list[str], run: Run
) -> None:
    question = ("deps", "--from", origin, "--start", "2020-01-01", "--limit", "1000", "--format", "json")
    with serving(server(table, status)) as seen:
        document = json.loads(run(*question, "--source", seen.url).out)

    assert document["notes"] == [note.format(seen.url) for note in notes]
    assert document["trace_count"] == 106


def test_what_only_one_of_both_knows_is_told(run: Run) -> None:
    pairs = (("chat-service", "user-service", 9), ("a", "b", 3))
    edges = [{"parent": parent, "child": child, "callCount": count} for parent, child, count in pairs]

    with serving(server(json.dumps({"data": edges}).encode())) as seen:
        outcome = run("deps", "--source", seen.url, "--start", "2020-01-01", "--view", "table", width=200)

    told = outcome.out.splitlines()
    assert "only in Jaeger's table: a → b 3" in told
    assert any(line.startswith("only in the traces: chat-service → notification-service 62") for line in told)


def test_the_table_alone_has_no_doubts(run: Run, tmp_path: Path) -> None:
    drawn = run("deps", "--source", table(tmp_path / "t.json", [("a", "b", 3)])).out

    assert "only" not in drawn
    assert "─ 3 ─▶" in drawn


def graph(**counts: int) -> Dependencies:
    return from_jaeger([ServiceCall(ends[0], ends[1], count) for ends, count in counts.items()])


def test_changes_are_told_by_edge() -> None:
    assert changes(graph(ab=5, bc=1, cd=2, de=1), graph(ab=7, bc=1, cd=1, ef=4)) == {
        ("a", "b", False): "+2",
        ("c", "d", False): "-1",
        ("d", "e", False): "gone",
        ("e", "f", False): "new",
    }


def test_a_watch_shows_each_graph_with_the_one_before_until_it_is_interrupted(
    capsys: pytest.CaptureFixture[str], utc: None
) -> None:
    first, second = graph(ab=1), graph(ab=2)
    questions: Iterator[Dependencies | Exception] = iter([first, SourceError("no answer"), second])
    slept: list[float] = []
    shown: list[tuple[Dependencies, Dependencies | None]] = []

    def ask() -> Dependencies:
        answer = next(questions, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch(ask, lambda answer, last: shown.append((answer, last)), 10 * NS_PER_S, slept.append, lambda: 0)

    assert shown == [(first, None), (second, first)]
    assert slept == [10.0, 10.0, 10.0]
    told = capsys.readouterr()
    assert told.out == "1970-01-01 00:00:00.000\n" * 2
    assert told.err == "traceq: warning: no answer; asking again in 10 s\n"


def test_a_watch_draws_the_change(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([b"5", b"8"])

    def answer(path: str, seen: Seen) -> Reply:
        count = next(counts, None)
        if count is None:
            raise AssertionError("asked once more than it was shown")
        return Reply(b'{"data":[{"parent":"a","child":"b","callCount":%s}]}' % count)

    naps = iter([None])

    def nap(seconds: float) -> None:
        if next(naps, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr("traceq.cli.deps.watch.__defaults__", (nap, lambda: 0))
    with serving(answer) as seen:
        outcome = run("deps", "--source", seen.url, "--from", "jaeger", "--watch", "5s")

    assert outcome.code == ExitCode.ANSWERED
    assert "─ 5 ─▶" in outcome.out
    assert "─ 8 +3 ─▶" in outcome.out
