"""What failures suggest to try."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.errors import (
    DecodeError,
    Hint,
    Meant,
    MixedTracesError,
    Near,
    NextCommand,
    NotFoundError,
    ServerError,
    TraceqError,
    near,
)


@pytest.mark.parametrize(
    ("locations", "command"),
    [
        ((), "traceq show a1"),
        (("one.json", "two b.json"), "traceq show a1 --source one.json --source 'two b.json'"),
        (("-",), "... | traceq show a1 --source -"),
        (("/dev/fd/63", "a.json"), "... | traceq show a1 --source - --source a.json"),
    ],
)
def test_a_suggested_command_names_its_source_and_does_not_wait_for_what_was_piped(
    locations: tuple[str, ...], command: str
) -> None:
    assert str(NextCommand(("show", "a1"), locations)) == command


def test_a_hint_is_text_with_commands_and_names_as_values() -> None:
    hint = Hint((Meant("service", ("chat", "\x1b[2Jcart")), " ", NextCommand(("services",), ("a b.json",)), " lists 2"))

    error = NotFoundError("no service named 'cat' in a b.json", hint=hint)

    assert error.hint == "did you mean 'chat' or '\\x1b[2Jcart'? `traceq services --source 'a b.json'` lists 2"
    assert error.advice == hint


def test_a_hint_reaches_whoever_waits_for_another_process() -> None:
    hint = Hint((NextCommand(("search",), ("x.json",)), " lists them"))

    # Copies are made as processes send them.
    error = copy.deepcopy(NotFoundError("which one?", hint=hint))

    assert (error.message, error.advice) == ("which one?", hint)


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no", hint=Hint(("try ", NextCommand(("search",), ("a b.json",))))),
        ServerError("no", hint="try", status=500, told="why"),
        DecodeError("no"),
        MixedTracesError("a1", "x.json"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failures_of_workers_arrive_whole(error: TraceqError) -> None:
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301  what was written here

    assert (type(arrived), arrived.args, vars(arrived)) == (type(error), error.args, vars(error))


NAMES = st.lists(st.text("abAB", min_size=1, max_size=6), max_size=8)


@given(st.text("abAB", min_size=1, max_size=6), NAMES, NAMES)
def test_the_nearest_of_parts_are_those_of_the_whole(sought: str, some: list[str], others: list[str]) -> None:
    whole = near(sought, [*some, *others])

    assert near(sought, some) + near(sought, others) == near(sought, others) + near(sought, some) == whole
    assert sought not in {name for _, name in whole.found}


def test_what_is_meant_is_asked_in_any_letter_case() -> None:
    assert near("HTP.method", ["http.method", "http.url", "db.system"]).question == "did you mean 'http.method'?"
    assert near("zzz", ["http.method"]) == Near()
    assert Near().question == ""
