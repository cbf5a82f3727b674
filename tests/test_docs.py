"""What the documents promise."""

from __future__ import annotations

import inspect
import re
import shlex
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import traceq.analysis
from tools.cli_docs import cli_docs
from tools.json_docs import JSON_DOCS, MARKED
from tools.json_docs import rewritten as rewritten_keys
from tools.pictures import drawn, pictures
from tools.readme import RECORDED_NS, answer_now, examples, rewritten
from traceq.answer import Answer
from traceq.cli import COMMANDS, imported, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_of_the_command_line_is_the_one_that_the_commands_print() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli_docs()


def test_the_readme_starts_with_a_sentence_and_the_two_commands() -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    assert [block.count("\n") for block in blocks] == [1, 1]
    assert "traceq bottlenecks chat-service --source fixtures/" in blocks[0]
    assert "pytest" in blocks[1]
    assert len(README.splitlines()) <= 200


def test_nobody_is_told_to_install_the_other_project_that_is_called_traceq() -> None:
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("traceq/**/*.py")]
    found = [re.findall(r"pip install[^`\n]*[ '\"]traceq\b.*", path.read_text(encoding="utf-8")) for path in texts]

    assert [line for lines in found for line in lines] == []


def test_the_readme_names_every_command() -> None:
    table = README.partition("## Commands")[2].partition("Every command")[0]

    assert set(re.findall(r"`([a-z-]+)`", table)) == set(COMMANDS)


def test_the_readme_examples_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACEQ_SOURCE", str(ROOT / "fixtures" / "chat.json"))
    # Examples ask for the last hours, and the traces were recorded on one day.
    monkeypatch.setattr("time.time_ns", lambda: RECORDED_NS)

    commands = examples(README)

    assert len(commands) >= 8
    assert [(line, main(shlex.split(line)[1:])) for line in commands] == [(line, 0) for line in commands]


def test_the_readme_shows_what_its_commands_answer() -> None:
    """`make readme` (`python -m tools.readme`) puts right what this finds."""
    assert rewritten(README, answer_now).splitlines() == README.splitlines()


def test_the_pictures_of_the_readme_are_what_its_commands_draw() -> None:
    """`make readme` (`python -m tools.readme`) puts right what this finds."""
    assert len(pictures(README)) == README.count(".svg)") == 3
    for path, picture in drawn(README):
        assert path.read_text(encoding="utf-8") == picture, path


def test_the_library_example_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(ROOT)

    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - the example is ours

    assert "mongodb.insert" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_in_its_help_that_name_it(command: str) -> None:
    section = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").partition(f"## `traceq {command}`")[2]

    assert f"\n  traceq {command}" in section.partition("**Usage**")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_their_help_begins_with(command: str) -> None:
    function = imported(command)

    assert " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split()) == COMMANDS[command].summary


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"capture", "demo", "fetch", "convert", "mcp", "open"}))
def test_every_document_is_described(command: str) -> None:
    assert f"## traceq.{command}/1" in (ROOT / "docs" / "json.md").read_text(encoding="utf-8")


def test_the_keys_of_documents_are_those_of_the_answers() -> None:
    """`make docs` puts right what this finds."""
    document = JSON_DOCS.read_text(encoding="utf-8")

    assert rewritten_keys(document) == document


def test_the_keys_of_every_answer_are_listed() -> None:
    for module in walk_packages(traceq.analysis.__path__, "traceq.analysis."):
        import_module(module.name)
    listed = {found["answer"].rpartition(".")[2] for found in MARKED.finditer(JSON_DOCS.read_text(encoding="utf-8"))}

    answers = list(Answer.__subclasses__())
    for answer in answers:
        answers += answer.__subclasses__()

    assert {answer.__name__ for answer in answers} - listed == set()


@pytest.mark.parametrize(
    "document", sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("*.md")), ids=lambda p: p.name
)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []
