"""Findings of before, and those that somebody decided to leave as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import CHAT
from tests.render.test_builds import parsed
from traceq.errors import ExitCode

SLOW = "slow-query:chat-service:mongodb.insert:a07ced4842"
ACKNOWLEDGED = f"""
[[acknowledged]]
signature = "{SLOW}"
reason = "The index comes with the next release."
by = "ann"
expires = 2999-12-31

[[acknowledged]]
signature = "n+1:friend-service:SELECT users:8507462de8"
reason = "Until the autumn"
expires = "2020-09-01"

[[acknowledged]]
signature = "gap:gone:GET /:0000000000"
reason = "known"
"""


@pytest.fixture
def acknowledged(tmp_path: Path) -> str:
    (tmp_path / "accepted.toml").write_text(ACKNOWLEDGED, encoding="utf-8")
    return str(tmp_path / "accepted.toml")


def test_acknowledged_findings_stand_apart(acknowledged: str, run: Run) -> None:
    outcome = run("findings", "--acknowledged", acknowledged, *CHAT, width=200)

    lines = outcome.out.splitlines()
    assert "mongodb.insert" not in lines[0]
    told = f"acknowledged: {SLOW}: The index comes with the next release. (ann, until 2999-12-31)"
    assert [line for line in lines if line.startswith("acknowledged: ")] == [told]
    assert "expired on 2020-09-01" in outcome.err
    assert "'gap:gone:GET /:0000000000' is acknowledged, but was not found: is it done?" in outcome.err


def test_the_document_says_what_was_decided(acknowledged: str, run: Run) -> None:
    document = json.loads(run("findings", "--acknowledged", acknowledged, *CHAT, "--format", "json").out)

    decided = {each["signature"]: each["acknowledged"] for each in document["findings"]}
    assert decided[SLOW] == {
        "reason": "The index comes with the next release.",
        "by": "ann",
        "expires": "2999-12-31",
    }
    assert [signature for signature, decision in decided.items() if decision] == [SLOW]
    assert document["verdict"]["finding_count"] == len(decided) - 1
    assert document["known_count"] is None
    assert any("expired on 2020-09-01" in note for note in document["notes"])


def test_code_hosts_are_told_too(acknowledged: str, run: Run) -> None:
    written = run("findings", "--acknowledged", acknowledged, *CHAT, "--format", "sarif").out
    commands = run("findings", "--acknowledged", acknowledged, *CHAT, "--format", "github").out

    suppressed = [result for result in json.loads(written)["runs"][0]["results"] if result["suppressions"]]
    assert [result["partialFingerprints"] for result in suppressed] == [{"traceqSignature/v1": SLOW}]
    assert suppressed[0]["suppressions"] == [
        {"kind": "external", "justification": "The index comes with the next release. (ann)"}
    ]
    titles = [parsed(line).properties["title"] for line in commands.splitlines()]
    assert (titles[0], titles[-1]) == ("retries: kafka.publish.message.events", "traceq findings")


def test_only_new_findings_are_told(run: Run, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    run("findings", *CHAT, "-o", str(before))
    earlier = json.loads(before.read_text(encoding="utf-8"))
    known = {"slow-query", "gap"}
    earlier["findings"] = [each for each in earlier["findings"] if each["kind"] in known]
    before.write_text(json.dumps(earlier), encoding="utf-8")

    document = json.loads(run("findings", "--new-since", str(before), *CHAT, "--format", "json").out)

    assert document["known_count"] == 3
    assert known.isdisjoint(each["kind"] for each in document["findings"])
    run("findings", *CHAT, "-o", str(before))
    assert run("findings", "--new-since", str(before), *CHAT).out.splitlines()[0].startswith("No new findings in ")


def test_that_the_answer_of_before_was_partial_is_said(run: Run, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    run("findings", *CHAT, "-o", str(before))
    earlier = json.loads(before.read_text(encoding="utf-8"))
    before.write_text(json.dumps({**earlier, "is_partial": True}), encoding="utf-8")
    told = f"'{before}' is not of all that was there then: what it does not have need not be new"

    outcome = run("findings", "--new-since", str(before), *CHAT, "--format", "json")
    checked = run("check", "no(new-finding)", "--new-since", str(before), *CHAT)

    assert json.loads(outcome.out)["notes"] == [told]
    assert f"traceq: note: {told}\n" in outcome.err
    assert (checked.code, f"traceq: note: {told}\n" in checked.err) == (ExitCode.ANSWERED, True)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (("--kind", "gap"), (), "kinds gap, here all"),
        (("--kind", "gap"), ("--kind", "gap", "--kind", "n+1"), "kinds gap, here gap, n+1"),
        (("--slow-query", "2s"), (), "slow_query_ns 2000000000, here 200000000"),
        (("--service", "user-service"), ("--service", "chat-service"), "service user-service, here chat-service"),
        (("--service", "user-service"), (), "service user-service, here all"),
        (("--error",), (), "error True, here none"),
        (("--operation", "GET /friends"), ("--operation", "GET /rooms"), "operation GET /friends, here GET /rooms"),
        (("--whole-trace",), (), "whole_trace True, here False"),
        (("--trace", "6404b8865ebe8552139ebbcf92d84205"), (), "trace_id 6404b8865ebe8552139ebbcf92d84205, here none"),
    ],
    ids=["a kind", "more kinds", "a threshold", "a service", "one service", "errors", "operation", "roots", "a trace"],
)
def test_findings_of_another_question_are_not_compared(
    before: tuple[str, ...], now: tuple[str, ...], told: str, run: Run, tmp_path: Path
) -> None:
    """What the file was not asked about would pass for new."""
    path = tmp_path / "before.json"
    assert run("findings", *CHAT, *before, "-o", str(path)).code == ExitCode.ANSWERED

    outcome = run("findings", "--new-since", str(path), *CHAT, *now)

    assert (outcome.code, outcome.out) == (ExitCode.INPUT_UNREADABLE, "")
    assert outcome.err.splitlines()[0] == (
        f"traceq: error: '{path}' was asked something else ({told}): what it does not have need not be new"
    )
    if not now:
        assert run("check", "no(new-finding)", "--new-since", str(path), *CHAT).code == ExitCode.INPUT_UNREADABLE


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ((), ("--kind", "gap")),
        (("--kind", "gap", "--kind", "n+1"), ("--kind", "gap")),
        ((), ("--service", "chat-service")),
        ((), ("--error",)),
        (("--limit", "500"), ()),
        (("--start", "2020-01-01"), ("--start", "2021-01-01")),
    ],
    ids=["kinds", "fewer kinds", "a service", "errors", "limit", "another time"],
)
def test_findings_of_a_wider_question_hold_for_a_part_of_it(
    before: tuple[str, ...], now: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "before.json"
    run("findings", *CHAT, *before, "-o", str(path))

    assert run("findings", "--new-since", str(path), *CHAT, *now).code == ExitCode.ANSWERED


def test_a_build_fails_on_new_findings_alone(run: Run, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    run("findings", *CHAT, "-o", str(before))
    check = ("check", "no(new-finding)", "--new-since", str(before), *CHAT)

    assert run(*check).code == ExitCode.ANSWERED
    document = json.loads(before.read_text(encoding="utf-8"))
    document["findings"] = [each for each in document["findings"] if each["signature"] != SLOW]
    before.write_text(json.dumps(document), encoding="utf-8")
    outcome = run(*check, width=120)

    assert outcome.code == ExitCode.CHECK_FAILED
    assert "slow-query of chat-service mongodb.insert" in outcome.out


def test_a_build_passes_over_what_is_acknowledged(acknowledged: str, run: Run) -> None:
    assert run("check", "no(slow-query)", *CHAT).code == ExitCode.CHECK_FAILED
    outcome = run("check", "no(slow-query)", "--acknowledged", acknowledged, *CHAT)

    assert outcome.code == ExitCode.ANSWERED
    assert "expired on 2020-09-01" in outcome.err


def test_new_findings_need_those_of_before(run: Run) -> None:
    outcome = run("check", "no(new-finding)", *CHAT)

    assert outcome.code == ExitCode.USAGE
    told = "the check 'no(new-finding)' needs findings of before: give --new-since"
    assert outcome.err.splitlines()[0] == f"traceq: error: Invalid value: {told}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[acknowledged]]\nreason = 'x'\n", ", entry 1: 'signature' is missing"),
        ("[[acknowledged]]\nsignature = 'x'\nreason = ''\n", ", entry 1: 'reason' is missing"),
        ("[[acknowledged]]\nsignature = 1\n", ", entry 1: 'signature' has to be a text"),
        ("[[acknowledged]]\nuntil = 1\n", ", entry 1: unknown key 'until', there are signature, reason, by, expires"),
        (
            "[[acknowledged]]\nsignature = 'x'\nreason = 'y'\nexpires = 'soon'\n",
            ", entry 1: 'expires' has to be a day such as 2027-01-31, not 'soon'",
        ),
        ("ack = 1\n", ": write [[acknowledged]]"),
        ("[", " is no TOML: "),
    ],
)
def test_errors_name_the_file_and_the_entry(text: str, error: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(text, encoding="utf-8")

    outcome = run("findings", "--acknowledged", str(path), *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.startswith(f"traceq: error: Invalid value for --acknowledged: '{path}'{error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "'{path}' is no JSON: "),
        ("[]", "'{path}' is no answer of `traceq findings`"),
        (
            json.dumps({"schema": "traceq.findings/1", "findings": [{}], "asked": {"whole_trace": False}}),
            "the findings in '{path}' have no signatures",
        ),
        ('{"schema": "traceq.findings/1", "truncated": true, "findings": []}', "'{path}' does not have all findings"),
        ('{"schema": "traceq.findings/1", "known_count": 0, "findings": []}', "'{path}' does not have all findings"),
        ('{"schema": "traceq.findings/1", "findings": []}', "'{path}' was asked something else (it does not say what)"),
    ],
)
def test_what_is_no_answer_of_before_is_refused(text: str, error: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    path.write_text(text, encoding="utf-8")

    outcome = run("findings", "--new-since", str(path), *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.INPUT_UNREADABLE, "")
    assert outcome.err.startswith(f"traceq: error: {error.format(path=path)}")
