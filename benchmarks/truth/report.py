"""Figures as tables: for a terminal, as JSON, and as docs/truth.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from benchmarks.truth.asking import Alarms, Recall, Told
from benchmarks.truth.comparing import Verdicts
from benchmarks.truth.execution import Circumstance
from benchmarks.truth.measuring import Score
from benchmarks.truth.planted import STRENGTHS
from benchmarks.truth.recording import Condition

_CIRCUMSTANCES: tuple[Circumstance, ...] = get_args(Circumstance)


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was measured."""

    seeds: tuple[int, ...]
    request_count: int
    """Of each seed."""
    scores: tuple[tuple[Condition, Score], ...]
    verdicts: Verdicts | None
    """None where it was not asked for."""
    told: Told | None = None
    """None where it was not asked for."""


def document(figures: Figures) -> dict[str, object]:
    """Give the figures as they stand in JSON; shares 0..1."""
    verdicts = figures.verdicts
    return {
        "seeds": figures.seeds,
        "requests": figures.request_count,
        "conditions": [_condition(condition, score) for condition, score in figures.scores],
        "verdicts": None if verdicts is None else {name: getattr(verdicts, name) for name in _fields(verdicts)},
        "findings": None if figures.told is None else _told(figures.told),
    }


def _told(told: Told) -> dict[str, object]:
    return {
        "problems": [
            {"problem": name, "strengths": [{"strength": at, **asdict(one)} for at, one in _by_strength(recalls)]}
            for name, recalls in told.recalls.items()
        ],
        "shapes": [{"shape": name, **asdict(alarms)} for name, alarms in told.alarms.items()],
    }


def _by_strength(recalls: Sequence[Recall]) -> Iterator[tuple[float, Recall]]:
    return zip(STRENGTHS, recalls, strict=True)


def _fields(record: Verdicts) -> tuple[str, ...]:
    return tuple(record.__dataclass_fields__)


def _condition(condition: Condition, score: Score) -> dict[str, object]:
    return {
        "condition": condition.name,
        "root_count": score.root_count,
        "wrong_ratio": _ratio(score.wrong, score.root_count),
        "unknowable_ratio": _ratio(score.unknowable, score.root_count),
        "wrong_by": {name: _ratio(score.wrong_by[name], 1e6 * score.root_count) for name in _CIRCUMSTANCES},
        "made_count": score.made_count,
        "counted_count": score.counted_count,
        "trace_count": score.trace_count,
        "moved_wrongly_count": score.moved_wrongly_count,
        "timeout_count": score.timeout_count,
        "called_skew_count": score.called_skew_count,
        "call_count": score.call_count,
        "edge_difference": score.edge_difference,
    }


def text(figures: Figures) -> Iterator[str]:
    """Give the lines of the tables, columns aligned."""
    for table in _tables(figures):
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            first, *rest = [(cell, width) for cell, width in zip(row, widths, strict=True)]
            yield first[0].ljust(first[1]) + "".join(cell.rjust(width + 2) for cell, width in rest)
        yield ""


def markdown(figures: Figures) -> str:
    """Give docs/truth.md."""
    tables = [_markdown_table(table) for table in _tables(figures)]
    by_condition, by_circumstance, answers, problems, shapes = (*tables, "", "")[:5]
    page = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    return page.format(
        seeds=f"{figures.seeds[0]} to {figures.seeds[-1]}",
        requests=figures.request_count,
        by_condition=by_condition,
        by_circumstance=by_circumstance,
        answers=answers,
        problems=problems,
        shapes=shapes,
    )


def _markdown_table(table: Sequence[Sequence[str]]) -> str:
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join((head, "|---" + "|---:" * (len(table[0]) - 1) + "|", *rows))


def _tables(figures: Figures) -> Iterator[list[tuple[str, ...]]]:
    if figures.scores:
        yield [_SCORED, *(_scored(condition, score) for condition, score in figures.scores)]
        yield [("condition", *_CIRCUMSTANCES), *(_split(condition, score) for condition, score in figures.scores)]
    if figures.verdicts is not None:
        yield [("answer", "count", "share"), *_answers(figures.verdicts)]
    if figures.told is not None:
        strengths = (f"{strength:g} x" for strength in STRENGTHS)
        yield [
            ("problem", *strengths, "cost / saved"),
            *map(_recalled, *zip(*figures.told.recalls.items(), strict=True)),
        ]
        yield [_ALARMS, *map(_alarmed, *zip(*figures.told.alarms.items(), strict=True))]


_SCORED = ("condition", "roots", "wrong", "unknowable", "requests", "moved wrongly", "called skew", "edges wrong")


def _scored(condition: Condition, score: Score) -> tuple[str, ...]:
    return (
        condition.name,
        str(score.root_count),
        f"{_ratio(score.wrong, score.root_count):.2%}",
        f"{_ratio(score.unknowable, score.root_count):.2%}",
        f"{_ratio(score.counted_count, score.made_count):.1%}",
        f"{_ratio(score.moved_wrongly_count, score.trace_count):.1%}",
        f"{score.called_skew_count} / {score.timeout_count}",
        f"{_ratio(score.edge_difference, score.call_count):.2%}",
    )


def _split(condition: Condition, score: Score) -> tuple[str, ...]:
    shares = (_ratio(score.wrong_by[name], 1e6 * score.root_count) for name in _CIRCUMSTANCES)
    return (condition.name, *(f"{share:.2%}" for share in shares))


def _answers(verdicts: Verdicts) -> Iterator[tuple[str, str, str]]:
    silent = verdicts.headline_count - verdicts.right_count - verdicts.wrong_count
    yield _answer("culprit of a fault first", verdicts.first_count, verdicts.fault_count)
    yield _answer("culprit among the first three", verdicts.among_three_count, verdicts.fault_count)
    yield _answer("headline names the culprit", verdicts.right_count, verdicts.headline_count)
    yield _answer("headline names another", verdicts.wrong_count, verdicts.headline_count)
    yield _answer("headline names nobody", silent, verdicts.headline_count)
    yield _answer("alarm between like and like", verdicts.same_alarm_count, verdicts.same_count)
    yield _answer("... where one side lost 5 % of its spans", verdicts.losing_alarm_count, verdicts.same_count)
    yield _answer("planted problems found", verdicts.told_count, verdicts.problem_count)
    yield (
        "cost that findings give, of what removing them saves",
        "",
        f"{_ratio(verdicts.told_ns, verdicts.saved_ns):.1%}",
    )
    yield _answer("findings about healthy requests", verdicts.false_count, verdicts.healthy_count)


def _recalled(name: str, recalls: Sequence[Recall]) -> tuple[str, ...]:
    ratios = [_ratio(one.told_ns, one.saved_ns) for one in recalls if one.told_ns and one.saved_ns]
    cost = f"{min(ratios):.0%} to {max(ratios):.0%}" if ratios else ""
    return (name, *(f"{_ratio(one.told_count, one.planted_count):.1%}" for one in recalls), cost)


_ALARMS = ("healthy shape", "programs", "with false findings", "requests with them", "kinds")


def _alarmed(name: str, alarms: Alarms) -> tuple[str, ...]:
    return (
        name,
        str(alarms.program_count),
        f"{_ratio(alarms.false_program_count, alarms.program_count):.1%}",
        f"{_ratio(alarms.false_request_count, alarms.request_count):.1%}",
        ", ".join(f"{kind} {count}" for kind, count in sorted(alarms.kinds.items())),
    )


def _answer(name: str, count: int, of: int) -> tuple[str, str, str]:
    return (name, f"{count} of {of}", f"{_ratio(count, of):.1%}")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
