"""Several questions put to the same traces at once: they are read, and learned from, once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from traceq.analysis.bottlenecks import LookUp
from traceq.learned import Lesson
from traceq.traces import Traces, normal_id


class SumsTogether(Struct, frozen=True):
    """The sums of several questions, in their order; can be added to those of the same questions."""

    parts: tuple[Any, ...]

    def __add__(self, other: SumsTogether) -> SumsTogether:
        return SumsTogether(tuple(one + more for one, more in zip(self.parts, other.parts, strict=True)))


class QuestionsTogether(Struct, frozen=True):
    """Several questions as one; `rank` gives their answers in the same order.

    Raises:
        ValueError: If two of them need different things to be learned.
    """

    questions: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self._lessons) > 1:
            raise ValueError(f"one reading teaches one thing, not {' and '.join(sorted(self._lessons))}")

    @property
    def _lessons(self) -> set[Lesson]:
        return {question.lesson for question in self.questions if getattr(question, "lesson", None) is not None}

    @property
    def needs_details(self) -> bool:
        """Whether any of them needs attributes."""
        return any(question.needs_details for question in self.questions)

    @property
    def learns(self) -> bool:
        """Whether any of them needs knowledge from other traces."""
        return any(getattr(question, "learns", False) for question in self.questions)

    @property
    def lesson(self) -> Lesson | None:
        """What one of them needs to be learned besides."""
        return next(iter(self._lessons), None)

    def nothing(self) -> SumsTogether:
        """Give the sums of no traces."""
        return SumsTogether(tuple(question.nothing() for question in self.questions))

    def collect(self, traces: Traces) -> SumsTogether:
        """Sum up a table for each of them."""
        return SumsTogether(tuple(question.collect(traces) for question in self.questions))

    def complete(self, sums: SumsTogether, look_up: LookUp) -> SumsTogether:
        """Look up what those need that know only now which spans they show."""
        pairs = zip(self.questions, sums.parts, strict=True)
        return SumsTogether(tuple(_completed(question, part, look_up) for question, part in pairs))

    def rank(self, sums: SumsTogether) -> tuple[Any, ...]:
        """Turn the sums into the answers."""
        return tuple(question.rank(part) for question, part in zip(self.questions, sums.parts, strict=True))


def _completed(question: Any, sums: Any, look_up: LookUp) -> Any:
    complete: Callable[[Any, LookUp], Any] | None = getattr(question, "complete", None)
    return sums if complete is None else complete(sums, look_up)


class QuestionsAboutTraces(QuestionsTogether, frozen=True):
    """Several questions about a few traces with known ids; no other is decoded."""

    @property
    def trace_ids(self) -> frozenset[str]:
        """The traces of all of them."""
        return frozenset[str]().union(*(question.trace_ids for question in self.questions))


class TracesQuestion(Struct, frozen=True):
    """A few traces themselves, with everything that is known about them."""

    wanted: tuple[str, ...]
    needs_details: bool = True

    @property
    def trace_ids(self) -> frozenset[str]:
        """Give the ids as they are compared."""
        return frozenset(map(normal_id, self.wanted))

    def nothing(self) -> tuple[Traces, ...]:
        """Give no traces."""
        return ()

    def collect(self, traces: Traces) -> tuple[Traces, ...]:
        """Take those of a table that are wanted, each as a table of its own."""
        wanted = self.trace_ids
        found = [at for at, trace_id in enumerate(traces.trace_ids) if normal_id(trace_id) in wanted]
        return tuple(traces.select([at]) for at in found)

    def rank(self, sums: Sequence[Traces]) -> tuple[Traces, ...]:
        """Give them in the order in which they were wanted."""
        by_id = {normal_id(table.trace_ids[0]): table for table in sums}
        return tuple(by_id[each] for each in map(normal_id, self.wanted) if each in by_id)
