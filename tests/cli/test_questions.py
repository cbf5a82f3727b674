"""`findings`, `errors` and `stats`: options, empty answers and what they say when something is wrong."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import first
from traceq.analysis.findings import FindingQuestion, FindingSums, Thresholds
from traceq.errors import ExitCode
from traceq.traces import Traces

CHAT = ("--source", "fixtures/chat.json")
SLOW = first("message-slow")


def test_thresholds_on_the_command_line_are_those_of_the_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Thresholds] = []

    def spy(question: FindingQuestion, traces: Traces) -> FindingSums:
        seen.append(question.thresholds)
        return FindingSums()

    monkeypatch.setattr(FindingQuestion, "collect", spy)
    run("findings", *CHAT)

    assert seen == [Thresholds()]


def test_thresholds_change_what_is_found(run: Run) -> None:
    usual = json.loads(run("findings", *CHAT, "--kind", "slow-query", "-f", "json").out)
    lower = json.loads(run("findings", *CHAT, "--kind", "slow-query", "-f", "json", "--slow-query", "20ms").out)

    assert [found["operation"] for found in usual["findings"]] == ["mongodb.insert"]
    assert usual["findings"][0]["request_count"] == 8
    assert lower["findings"][0]["request_count"] > 8


def test_a_share_is_typed_as_a_percentage_or_a_part(run: Run) -> None:
    by_percentage = run("findings", *CHAT, "--min-share", "90%").out

    assert by_percentage == run("findings", *CHAT, "--min-share", "0.9").out
    assert "slow query" not in by_percentage


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("findings", "--kind", "nix"), "Invalid value for '--kind': 'nix' is no kind of finding, there are n+1,"),
        (("findings", "--min-share", "2"), "Invalid value for '--min-share': '2' is not a share between 0% and 100%"),
        (("findings", "--min-share", "much"), "Invalid value for '--min-share': 'much' is not a share, write"),
        (("findings", "--gap", "5"), "Invalid value for '--gap': '5' has no unit, write 5ms or 5s"),
        (("stats", "--by", "pod"), "Invalid value for --by: cannot count by 'pod', only by service, operation or"),
        (("stats", "--by", "tag:"), "Invalid value for --by: the tag has no name, write for example tag:http.method"),
    ],
)
def test_usage_ends_with_2(arguments: tuple[str, ...], error: str, run: Run) -> None:
    outcome = run(*arguments, *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.startswith(f"traceq: error: {error}")


@pytest.mark.parametrize("command", ["findings", "errors", "stats"])
def test_what_is_not_there_ends_with_3_and_what_cannot_be_read_with_5(command: str, run: Run, tmp_path: Path) -> None:
    assert run(command, "chat-servce", *CHAT).code == ExitCode.NOT_FOUND
    assert run(command, "--trace", "ffffffff", *CHAT).code == ExitCode.NOT_FOUND
    assert run(command, "--source", str(tmp_path / "gone.json")).code == ExitCode.INPUT_UNREADABLE


@pytest.mark.parametrize("command", ["findings", "errors", "stats"])
def test_nothing_that_matches_is_an_answer_with_a_hint(command: str, run: Run) -> None:
    outcome = run(command, *CHAT, "--min-duration", "1h")

    assert outcome.code == ExitCode.ANSWERED
    assert outcome.out.endswith("match: fewer conditions?\n")


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("self", "mongodb.insert"),
        ("count", "POST /rooms/{room_id}/messages http send"),
        ("errors", "kafka.publish.message.events"),
        ("name", "100% of a/b + c&d=e?f#g;h"),
    ],
)
def test_statistics_can_be_sorted(sort: str, first: str, run: Run) -> None:
    outcome = run("stats", "chat-service", *CHAT, "--sort", sort, width=200)

    assert outcome.out.splitlines()[4].strip().startswith(first)


def test_statistics_name_both_levels_in_records(run: Run) -> None:
    text = run("stats", *CHAT, "--by", "tag:db.system", "--by", "operation", "-f", "csv").out

    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0])[:5] == ["tag_db_system", "operation", "service", "peer", "span_count"]
    assert sum(int(row["span_count"]) for row in rows) == 1606
    assert rows[-1]["tag_db_system"] == ""


@pytest.mark.parametrize("command", ["search", "bottlenecks", "findings", "errors", "stats", "deps", "operations"])
def test_a_service_is_named_by_position_or_by_option(command: str, run: Run) -> None:
    by_position = run(command, "user-service", *CHAT, "-f", "json")

    assert by_position.code == ExitCode.ANSWERED
    assert run(command, "--service", "user-service", *CHAT, "-f", "json").out == by_position.out
    assert run(command, "user-service", "--service", "user-service", *CHAT, "-f", "json").out == by_position.out


@pytest.mark.parametrize("arguments", [("search", "a"), ("deps", "a"), ("fetch", "a"), ("compare", "a", "--failed")])
def test_two_different_services_are_refused(arguments: tuple[str, ...], run: Run) -> None:
    outcome = run(*arguments, "--service", "b", *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.startswith(
        "traceq: error: Invalid value for --service: 'a' is given as the argument and 'b' as the option: give one of"
    )


def test_the_parts_of_one_set_are_of_the_service_by_position_too(run: Run) -> None:
    by_position = run("compare", "chat-service", "--slow", "10%", *CHAT, "-f", "json").out

    assert json.loads(by_position)["query"]["service"] == "chat-service"
    assert run("compare", "--service", "chat-service", "--slow", "0.1", *CHAT, "-f", "json").out == by_position


def test_a_side_without_requests_has_no_times(run: Run) -> None:
    command = ("compare", "--before", "2020-01-01..2020-01-02", "--after", "2020-01-01..2040-01-01", *CHAT)

    text, document = run(*command, width=200).out, json.loads(run(*command, "-f", "json").out)

    before, after = text.splitlines()[3:5]
    assert before.split()[-5:] == ["-"] * 5
    assert "0 ns" not in after
    assert (document["before"]["latency"], document["latency"]) == (None, None)
    assert (document["services"], document["operations"], document["edges"]) == ([], [], [])


def test_misspelt_names_are_told_what_comes_nearest(run: Run) -> None:
    assert "did you mean 'mysql bigtech_chat'?" in run("deps", "--impact", "mysqll", *CHAT).err
    what_if = run("bottlenecks", "chat-service", "--no-findings", "--what-if", "mongodb.inser=-50%", *CHAT, width=120)
    assert "no span goes by the name 'mongodb.inser': did you mean 'mongodb.insert'?" in what_if.out


def test_a_tag_that_no_span_has_is_said_to_be_missing(run: Run) -> None:
    assert (
        "no span has the tag 'db.sytem': did you mean 'db.system'?\n" in run("stats", "--by", "tag:db.sytem", *CHAT).out
    )
    assert "hint: did you mean 'db.system'? " in run("compare", "--split-by", "db.sytem", *CHAT).err
    assert "'db.sytem': did you mean 'db.system'?" in run("search", "--tag", "db.sytem=x", *CHAT).err
    # Another name of a known attribute, and what conditions make up, are not misspelt.
    for known in ("db.system.name=x", "otel.status_code=x", "resource.service.version=x"):
        assert "did you mean" not in run("search", "--tag", known, *CHAT).err
    assert "did you mean 'mongodb.insert'?" in run("check", "max(mongodb.inser) < 3s", *CHAT).out
    assert "did you mean 'chat-service'?" in run("check", "p95(chat-servce) < 3s", *CHAT).out
    assert "did you mean 'SELECT users'?" in run("check", "calls(SELEC users) < 3", *CHAT).out
    assert "did you mean 'slow-query'?" in run("check", "no(slow-qery)", *CHAT).err
    assert "did you mean 'slow-query'?" in run("findings", "--kind", "slow-qery", *CHAT).err
    assert "hint: did you mean 'json'? `traceq stats --help`" in run("stats", "--format", "jsn", *CHAT).err
    assert "did you mean 'operation'?" in run("stats", "--by", "operaton", *CHAT).err
    assert "no span has the tag" not in run("stats", "--by", "tag:db.system", *CHAT).out


@pytest.mark.parametrize(
    ("arguments", "following"),
    [
        (("tag:db.sytem",), ("stats", "--by", "tag:db.system")),
        (("tag:db.sytem", "--service", "chat-service"), ("stats", "chat-service", "--by", "tag:db.system")),
        (("tag:qqqqqq",), ("search",)),
        (("tag:qqqqqq", "--trace", SLOW), ("show", SLOW, "--attributes")),
        (("tag:db.system", "--trace", SLOW), ()),
        (("tag:db.system", "--service", "chat-service"), ("search", "chat-service", "--tag", "db.system=mongodb")),
        (("tag:words",), ("search", "--tag", r'''words="[\"a\",\"b\\\"c\"]"''')),
        (("tag:job.schedule",), ("search", "--tag", 'job.schedule="*/5 * * * *"')),
        (("tag:terminal",), ("search", "--tag", "terminal exists")),
        (("tag:key with spaces",), ()),
    ],
)
def test_what_to_type_after_counting_by_a_tag_goes_on(
    arguments: tuple[str, ...], following: tuple[str, ...], run: Run
) -> None:
    lines = run("stats", "--by", *arguments, *CHAT).out.splitlines()

    told = [shlex.split(line) for line in lines if line.startswith("next: ")]
    assert told == ([["next:", "traceq", *following, "--source", "fixtures/chat.json"]] if following else [])
    if following:
        outcome = run(*told[0][2:], "--format", "json")
        assert outcome.code == 0
        assert all(json.loads(outcome.out).get(key, True) for key in ("traces", "rows", "spans"))


@pytest.mark.parametrize("command", ["search", "stats", "bottlenecks", "errors", "findings", "flame"])
def test_a_misspelt_tag_is_told_by_every_command(command: str, run: Run) -> None:
    told = "no span has the tag '{}': did you mean '{}'?"

    assert told.format("db.sytem", "db.system") in run(command, *CHAT, "--tag", "db.sytem=mysql").err
    assert told.format("rety_count", "retry_count") in run(command, *CHAT, "--where", "event.rety_count > 3").err
    assert "did you mean" not in run(command, *CHAT, "--tag", "db.system=oracle").err


def test_a_request_that_is_its_own_work_is_not_held_up_by_a_call_of_hardly_any_time(run: Run) -> None:
    found = json.loads(run("bottlenecks", "notification-service", *CHAT, "-f", "json").out)["slowest_requests"]

    first = {request["trace_id"]: request["bottlenecks"][0] for request in found}
    itself = first["a5800e8955ceeb906ea7eca270681c8b"]
    assert (itself["is_entry"], itself["ratio"] > 0.95) == (True, True)
    assert all(each["ratio"] >= 0.2 for each in first.values())


def test_two_sides_without_requests_are_both_named(run: Run) -> None:
    outcome = run("compare", "fixtures/chat.json", "fixtures/chat.json", "--min-duration", "1h")

    assert outcome.out.startswith("Nothing to compare: no requests on either side\n")


def test_what_holds_nothing_up_takes_no_line_of_a_ranking_and_is_counted(run: Run) -> None:
    shown = run("bottlenecks", "notification-service", *CHAT, width=120).out

    assert "send_sse_notification" not in shown
    assert "(fixtures/chat.json), 1 operation without any of it" in shown


@pytest.mark.parametrize("command", ["search", "stats", "bottlenecks", "errors", "findings", "flame", "deps", "fetch"])
def test_a_window_without_traces_is_told_with_those_that_there_are(command: str, run: Run, utc: None) -> None:
    window = ("--start", "2030-01-01", "--end", "2030-01-02")
    outside = "2030-01-01 00:00:00.000 to 2030-01-02 00:00:00.000; {} outside of it, {} to {}: "

    every = outside.format("106 traces", "2026-11-22 14:37:45.272", "2026-11-22 14:38:14.025")
    options = "--start 2026-11-22T14:37:45.272Z --end 2026-11-22T14:38:14.025Z"
    told = f"nothing is of the time {every}`{options}` in its place finds them\n"
    assert told in run(command, *CHAT, *window).err
    assert run("search", *CHAT, *options.split(), "--limit", "200").out.startswith("106 traces, ")

    failed = outside.format("6 traces", "2026-11-22 14:38:09.923", "2026-11-22 14:38:11.815")
    options = "--start 2026-11-22T14:38:09.923Z --end 2026-11-22T14:38:11.815Z"
    told = f"nothing that matches is of the time {failed}`{options}` in its place finds them\n"
    assert told in run(command, *CHAT, *window, "--error").err
    assert run("search", *CHAT, "--error", *options.split()).out.startswith("6 traces, ")

    assert "outside of it" not in run(command, *CHAT, *window, "--min-duration", "1h").err


def test_a_node_of_no_graph_is_told_with_the_reason(run: Run, utc: None) -> None:
    told = run("deps", "chat-service", *CHAT, "--end", "2020-01-01").err

    assert "no service named 'chat-service' among the dependencies" in told
    assert "hint: nothing is of the time until 2020-01-01 00:00:00.000; 106 traces outside of it" in told


@pytest.mark.parametrize("limit", [(), ("--limit", "5")])
def test_a_window_without_traces_of_a_pipe_is_told_too(
    limit: tuple[str, ...], run: Run, utc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("fixtures/chat.json").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        told = run("bottlenecks", "--source", "-", "--end", "2020-01-01", *limit)

    assert told.out.startswith("No requests, until 2020-01-01 00:00:00.000.")
    assert "; 106 traces outside of it, 2026-11-22 14:37:45.272 to" in told.err


@pytest.mark.parametrize("command", ["search", "stats", "bottlenecks", "errors", "findings", "flame"])
def test_misspelt_names_in_conditions_are_told_what_comes_nearest(command: str, run: Run) -> None:
    told = run(
        command, *CHAT, "--where", "service = chat-servce or service in (x, chat-service) and name = mongodb.inser"
    )

    assert "note: there is no service 'chat-servce': did you mean 'chat-service'?\n" in told.err
    assert "note: there is no service 'x'\n" in told.err
    assert "note: there is no operation 'mongodb.inser': did you mean 'mongodb.insert'?\n" in told.err
    assert "there is no service 'chat-service'" not in told.err
