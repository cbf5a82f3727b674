"""All exceptions that traceq raises itself, what they suggest to try, names that may have been meant, and exit codes.

TraceqError
├── NotFoundError        3  no such trace or service
├── SourceError          4  the server could not be reached or did not answer properly
│   └── LoginRequired    4  it wants credentials (401, 403, a login page, a redirect to another host)
├── InputError           5  a file or stream that cannot be read
│   └── DecodeError      5  it was read, and is not traces
│       └── MixedTracesError  spans of several traces are listed as one
├── PatternTooSlow       2  a regular expression that takes too long
└── CheckFailed          6  a check that was asked for does not hold

ReadWarning is no exception but a warning of Python's, which the functions of the library give.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterable
from enum import IntEnum
from typing import Literal

from msgspec import Struct

from traceq.untrusted import quoted


class ExitCode(IntEnum):
    """What a finished command tells the shell."""

    ANSWERED = 0
    """The question was answered; finding nothing is an answer. Also a reader that closed the pipe."""
    BUG = 1
    """Something traceq did not foresee."""
    USAGE = 2
    """The command line does not make sense."""
    NOT_FOUND = 3
    """A trace or service that was asked for by name does not exist."""
    SOURCE_FAILED = 4
    """The server is unreachable, too slow, refuses access or answers with an error."""
    INPUT_UNREADABLE = 5
    """A file, directory or stream does not hold traces that traceq reads."""
    CHECK_FAILED = 6
    """A check that was asked for does not hold."""
    INTERRUPTED = 130
    """Ctrl-C."""
    TERMINATED = 143
    """SIGTERM."""


_OPENED = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


class NextCommand(Struct, frozen=True):
    """A command that is worth running next; as text it is ready to be pasted into a shell."""

    words: tuple[str, ...]
    """The command and its arguments, without the source."""
    locations: tuple[str, ...] = ()
    """The source that it is about; standard input has to be given once more."""

    def __str__(self) -> str:
        """Write it as a shell takes it."""
        # Late: most answers suggest nothing.
        from shlex import join

        # What a shell opened for one command (`<(...)`) has no name that can be given to another.
        named = ("-" if location.startswith(_OPENED) else location for location in self.locations)
        sources = [word for location in named for word in ("--source", location)]
        return ("... | " if "-" in sources else "") + join(("traceq", *self.words, *sources))


class Meant(Struct, frozen=True):
    """The question whether a name that is not known was meant to be one of these."""

    what: Literal["service", "operation", "trace", "tag", "node"]
    """What it is the name of."""
    names: tuple[str, ...]
    """At least one."""

    def __str__(self) -> str:
        """Ask it."""
        names = " or ".join(f"'{quoted(name)}'" for name in self.names)
        return f"did you mean {names}?"


_ALIKE = 0.6
"""How alike names are that may be meant; 1 for the same."""
_MOST_NEAR = 3


class Near(Struct, frozen=True):
    """The known names nearest to a sought one; can be added to others for the same name, in any order."""

    found: tuple[tuple[float, str], ...] = ()
    """How unlike each is, and the name; the nearest first."""

    def __add__(self, other: Near) -> Near:
        return Near(tuple(sorted({*self.found, *other.found})[:_MOST_NEAR]))

    @property
    def question(self) -> str:
        """Ask whether the nearest is meant; empty where no name is near."""
        return f"did you mean '{self.found[0][1]}'?" if self.found else ""


def near(sought: str, known: Iterable[str]) -> Near:
    """Find the names that come nearest to a sought one, in any letter case."""
    # Late: only misspelt names are looked for.
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=sought.casefold(), autojunk=False)
    found = []
    for name in set(known) - {sought}:
        matcher.set_seq1(name.casefold())
        # The first two are upper bounds that cost less.
        if min(matcher.real_quick_ratio(), matcher.quick_ratio()) >= _ALIKE and (ratio := matcher.ratio()) >= _ALIKE:
            found.append((1 - ratio, name))
    return Near(tuple(sorted(found)[:_MOST_NEAR]))


class Hint(Struct, frozen=True):
    """What to try next: text, with the commands and names in it as values, so that agents can call tools instead."""

    parts: tuple[str | NextCommand | Meant, ...] = ()

    def __str__(self) -> str:
        """Write it for people, commands as they can be typed."""
        return "".join(f"`{part}`" if isinstance(part, NextCommand) else str(part) for part in self.parts)


class TraceqError(Exception):
    """A failure that traceq foresaw: one line on what and where, and a hint on what to try.

    Args:
        message: What failed and where, without secrets, one line without a final stop.
        hint: What to try next; empty when there is nothing useful to say.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, hint: str | Hint = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = hint if isinstance(hint, Hint) else Hint((hint,))

    @property
    def hint(self) -> str:
        """What to try next, for people."""
        return str(self.advice)

    def __reduce__(self) -> tuple[object, ...]:
        """Send it from a worker without `__init__`, which wants other arguments in some classes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class PatternTooSlow(TraceqError):  # noqa: N818 - says what is wrong, as the other names do
    """A regular expression that takes too long to be searched for in a value."""

    exit_code = ExitCode.USAGE


class NotFoundError(TraceqError):
    """A trace or service asked for by name that the source does not have."""

    exit_code = ExitCode.NOT_FOUND


class SourceError(TraceqError):
    """A server that is unreachable, too slow, or answers with an error."""

    exit_code = ExitCode.SOURCE_FAILED


_BAD_REQUEST = 400
_FAILED = 500


class ServerError(SourceError):
    """An answer other than 2xx; a class of its own because some of them are met by asking differently.

    Args:
        status: The HTTP status.
        told: The server's message, safe to show; may be empty.
    """

    def __init__(self, message: str, *, hint: str | Hint = "", status: int, told: str) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.told = told


def is_refusal(error: SourceError) -> bool:
    """Return whether the server disliked the question, or failed over it: another question may be answered."""
    refused = error if isinstance(error, ServerError) else error.__cause__
    return isinstance(refused, ServerError) and (refused.status == _BAD_REQUEST or refused.status >= _FAILED)


class LoginRequired(SourceError):  # noqa: N818 - says what to do, as the other names do
    """A server, or a proxy before it, that wants credentials."""


class InputError(TraceqError):
    """A file, directory or stream that cannot be read."""

    exit_code = ExitCode.INPUT_UNREADABLE


class DecodeError(InputError):
    """Bytes that are not traces in a form traceq reads."""


class NothingWholeError(DecodeError):
    """A file that is empty, or ends before anything in it is whole; where others hold traces, it is left out.

    Args:
        place: Where the bytes come from, safe to show.
        why: What they are, as in "it is empty".
        hint: What to try.
    """

    def __init__(self, place: str, why: str, hint: str) -> None:
        super().__init__(f"cannot read traces from {place}: {why}", hint=hint)
        self.note = f"left out, since {why}"


class MixedTracesError(DecodeError):
    """A trace object that lists spans of several traces; a class of its own because files are then read with more care.

    Args:
        trace_id: The id of the trace that lists the spans.
        place: Where it is, safe to show.
    """

    def __init__(self, trace_id: str, place: str) -> None:
        super().__init__(f"trace {trace_id} of {place} lists spans of other traces")


class AskedToWait(Exception):  # noqa: N818 - never leaves `sources`, where the name of the server is put to it
    """A server asked for a longer wait than the timeout allows."""

    def __init__(self, wait_ns: int) -> None:
        super().__init__(wait_ns)
        self.wait_ns = wait_ns


class CheckFailed(TraceqError):  # noqa: N818 - nothing went wrong: it is an answer, and builds go by its exit code
    """A check that was asked for and does not hold."""

    exit_code = ExitCode.CHECK_FAILED


class ReadWarning(UserWarning):
    """Something is missing from what was read, or is strange about it: what the command line writes on standard error.

    `warnings.filterwarnings("ignore", category=traceq.ReadWarning)` hides them, `"error"` in its place raises them.
    """
