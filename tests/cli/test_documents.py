"""Pages, Markdown and pictures of every command: `-o FILE.html`, `-o FILE.md`, `-o FILE.svg`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import ROOT, Run
from tests.render.page.test_page import Page
from tests.render.test_markdown import tokens_of

CHAT = ("--source", "fixtures/chat.json")
COMMANDS = {
    "search": ("search", "--limit", "3"),
    "show": ("show", "6404b886"),
    "span": ("show", "6404b886", "--span", "b62297b2dacaeef9"),
    "bottlenecks": ("bottlenecks", "chat-service"),
    "report": ("report", "chat-service"),
    "findings": ("findings",),
    "errors": ("errors",),
    "stats": ("stats", "chat-service"),
    "compare": ("compare", "--slow", "5%"),
    "check": ("check", "p95(chat-service) < 1h"),
    "deps": ("deps",),
    "matrix": ("deps", "--view", "matrix"),
    "cycles": ("deps", "--cycles"),
    "services": ("services",),
    "operations": ("operations", "chat-service"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_answer_is_written_as_a_page_as_markdown_and_as_a_picture(name: str, run: Run, tmp_path: Path) -> None:
    words = COMMANDS[name]
    page, text, picture = (tmp_path / f"answer.{suffix}" for suffix in ("html", "md", "svg"))

    for target in (page, text, picture):
        assert run(*words, *CHAT, "-o", str(target)).code == 0

    assert page.read_text(encoding="utf-8").startswith('<!doctype html>\n<html lang="en">')
    assert text.read_text(encoding="utf-8").startswith("# ")
    assert ET.fromstring(picture.read_text(encoding="utf-8")).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - ours


def test_a_picture_is_as_wide_as_columns_tell(run: Run, tmp_path: Path) -> None:
    wide, narrow = tmp_path / "wide.svg", tmp_path / "narrow.svg"

    # A command to be copied stays on one line, so an answer without one is drawn.
    assert run("deps", "--critical", *CHAT, "-o", str(wide), width=160).code == 0
    assert run("deps", "--critical", *CHAT, "-o", str(narrow), width=60).code == 0

    widths = [
        float(ET.fromstring(each.read_text(encoding="utf-8")).get("width", ""))  # noqa: S314 - ours
        for each in (narrow, wide)
    ]
    assert widths[0] <= 60 * 8.4 + 28 < widths[1] <= 160 * 8.4 + 28


MARKUP = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'
LINK = "[x](javascript:alert(3)) <iframe src=http://example.invalid> `` | **b** @someone"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Give the chat's traces with names that mean something to browsers and to Markdown."""
    target = tmp_path_factory.mktemp("hostile") / "traces.json"
    text = (ROOT / "fixtures" / "chat.json").read_text(encoding="utf-8")
    for name, other in (("chat-service", MARKUP), ("mongodb.insert", LINK), ("mysql", MARKUP), ("no acknowl", LINK)):
        text = text.replace(name, json.dumps(other)[1:-1])
    target.write_text(text, encoding="utf-8")
    return ("--source", str(target))


@pytest.mark.parametrize("name", COMMANDS)
def test_hostile_names_are_only_shown(name: str, run: Run, hostile: tuple[str, ...]) -> None:
    words = [MARKUP if word == "chat-service" else word for word in COMMANDS[name]]
    if name == "check":
        words = ["check", "p95(user-service) < 1h"]
    page, text = (run(*words, *hostile, "--format", form) for form in ("html", "markdown"))

    assert (page.code, text.code) == (0, 0), page.err
    assert page.out.startswith("<!doctype html>")
    read = Page(page.out)
    assert {tag for tag, _ in read.tags} & {"img", "iframe"} == set()
    assert not any("alert(" in script for script in read.scripts)
    assert not any(attribute.startswith("on") for _, given in read.tags for attribute in given)
    kinds = {token.type for token in tokens_of(text.out)}
    assert kinds & {"html_inline", "html_block", "image", "link_open"} == set()


def test_what_is_said_on_standard_error_is_on_the_page_too(run: Run) -> None:
    outcome = run("bottlenecks", "chat-service", *CHAT, "--format", "html")

    (warning,) = outcome.err.splitlines()
    assert warning.removeprefix("traceq: warning: ") in outcome.out


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".html", "<!doctype html>"), (".htm", "<!doctype html>"), (".md", "# Services"), (".markdown", "# Services")],
)
def test_the_format_goes_by_the_suffix(suffix: str, start: str, run: Run, tmp_path: Path) -> None:
    target = tmp_path / f"answer{suffix}"

    assert run("services", *CHAT, "-o", str(target)).code == 0
    assert target.read_text(encoding="utf-8").startswith(start)


def embedded(page: str) -> list[dict[str, Any]]:
    """Give what a page's scripts draw."""
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def test_the_page_of_a_trace_has_every_span_with_the_numbers_of_the_document(run: Run) -> None:
    document = json.loads(run("show", "6404b886", *CHAT, "--format", "json", "--attributes").out)
    (drawn,) = embedded(run("show", "6404b886", *CHAT, "--format", "html").out)

    first_ns = min(span["start_ns"] for span in document["spans"])
    spans = {span["span_id"]: span for span in document["spans"]}
    assert sorted(drawn["id"]) == sorted(spans)
    for at, span_id in enumerate(drawn["id"]):
        span = spans[span_id]
        own_ns = sum(drawn["path"][at][1::2]) - sum(drawn["path"][at][::2]) if drawn["path"][at] else 0
        told = {drawn["strings"][text] for group in drawn["details"][at] for text in drawn["groups"][group]}
        assert (drawn["start"][at], drawn["length"][at]) == (span["start_ns"] - first_ns, span["duration_ns"])
        assert own_ns == span["own_critical_ns"]
        assert {*span["attributes"]} <= told
