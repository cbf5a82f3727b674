"""Figures as tables: for a terminal, as JSON, and as docs/truth.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

from benchmarks.truth.asking import Alarms, Recall, Told
from benchmarks.truth.comparing import STRENGTHS as FAULT_STRENGTHS
from benchmarks.truth.comparing import TIMED, Blame, Case, Compared, Strength
from benchmarks.truth.execution import Circumstance
from benchmarks.truth.faults import FAULTS
from benchmarks.truth.measuring import Score
from benchmarks.truth.planted import STRENGTHS
from benchmarks.truth.queues import Queued
from benchmarks.truth.recording import Condition
from benchmarks.truth.saving import Savings
from benchmarks.truth.tagging import Tagged

_CIRCUMSTANCES: tuple[Circumstance, ...] = get_args(Circumstance)


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was measured."""

    seeds: tuple[int, ...]
    request_count: int
    """Of each seed."""
    scores: tuple[tuple[Condition, Score], ...]
    compared: Compared | None = None
    """None where it was not asked for."""
    tagged: Tagged | None = None
    """None where it was not asked for."""
    told: Told | None = None
    """None where it was not asked for."""
    queued: Mapping[str, Queued] = field(default_factory=dict)
    """By how consumers write down what they take; empty where it was not asked for."""
    saved: Mapping[str, Savings] = field(default_factory=dict)
    """By shape of program; empty where it was not asked for."""


def document(figures: Figures) -> dict[str, object]:
    """Give the figures as they stand in JSON; shares 0..1."""
    return {
        "seeds": figures.seeds,
        "requests": figures.request_count,
        "conditions": [_condition(condition, score) for condition, score in figures.scores],
        "faults": None if figures.compared is None else _compared(figures.compared),
        "tags": None if figures.tagged is None else _tagged(figures.tagged),
        "findings": None if figures.told is None else _told(figures.told),
        "messages": [{"style": name, **asdict(queued)} for name, queued in figures.queued.items()],
        "savings": [{"shape": name, **asdict(saved)} for name, saved in figures.saved.items()],
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


def _compared(compared: Compared) -> dict[str, object]:
    blames = [{**case._asdict(), **asdict(blame)} for case, blame in compared.blames.items()]
    return {"by_kind": blames, "nothing": asdict(compared.alarms)}


def _tagged(tagged: Tagged) -> list[dict[str, object]]:
    return [{**planted._asdict(), **asdict(named)} for planted, named in tagged.named.items()]


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
    tables += [""] * 7
    by_condition, by_circumstance, faults, nothing, tags, problems, shapes, messages, savings = tables[:9]
    page = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    return page.format(
        seeds=f"{figures.seeds[0]} to {figures.seeds[-1]}",
        requests=figures.request_count,
        by_condition=by_condition,
        by_circumstance=by_circumstance,
        faults=faults,
        nothing=nothing,
        tags=tags,
        problems=problems,
        shapes=shapes,
        messages=messages,
        savings=savings,
    )


def _markdown_table(table: Sequence[Sequence[str]]) -> str:
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join((head, "|---" + "|---:" * (len(table[0]) - 1) + "|", *rows))


def _tables(figures: Figures) -> Iterator[list[tuple[str, ...]]]:
    if figures.scores:
        yield [_SCORED, *(_scored(condition, score) for condition, score in figures.scores)]
        yield [("condition", *_CIRCUMSTANCES), *(_split(condition, score) for condition, score in figures.scores)]
    if figures.compared is not None:
        yield [_BLAMED, *_blames(figures.compared)]
        yield [("answer", "count", "share"), *_alarms(figures.compared)]
    if figures.tagged is not None:
        yield [_NAMED, *_named(figures.tagged)]
    if figures.told is not None:
        strengths = (f"{strength:g} x" for strength in STRENGTHS)
        yield [
            ("problem", *strengths, "cost / saved"),
            *map(_recalled, *zip(*figures.told.recalls.items(), strict=True)),
        ]
        yield [_ALARMS, *map(_alarmed, *zip(*figures.told.alarms.items(), strict=True))]
    if figures.queued:
        yield [_QUEUED, *(_queued(name, queued) for name, queued in figures.queued.items())]
    if figures.saved:
        yield [_SAVED, *(_saved(name, saved) for name, saved in figures.saved.items())]


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


_BLAMED = (
    "fault",
    "strength",
    "faults",
    "first",
    "among three",
    "headline right",
    "wrong",
    "silent",
    "where sure",
)


def _blames(compared: Compared) -> Iterator[tuple[str, ...]]:
    blames = compared.blames
    for strength in FAULT_STRENGTHS:
        timed = (blames.get(Case(kind, strength), Blame()) for kind in TIMED)
        yield _blamed("latency or network", strength, sum(timed, Blame()))
    for kind in FAULTS:
        for strength in FAULT_STRENGTHS:
            yield _blamed(kind, strength, blames.get(Case(kind, strength), Blame()))


def _blamed(name: str, strength: Strength, blame: Blame) -> tuple[str, ...]:
    silent = blame.fault_count - blame.right_count - blame.wrong_count
    counts = (blame.first_count, blame.among_three_count, blame.right_count, blame.wrong_count, silent)
    shares = (f"{_ratio(count, blame.fault_count):.1%}" for count in counts)
    sure = f"{_ratio(blame.sure_right_count, blame.sure_count):.1%} of {blame.sure_count}" if blame.sure_count else "-"
    return (name, strength, str(blame.fault_count), *shares, sure)


def _alarms(compared: Compared) -> Iterator[tuple[str, str, str]]:
    alarms = compared.alarms
    yield _answer("the time of a service or operation is sure", alarms.sure_count, alarms.count)
    yield _answer("... or calls, errors, or anything of an edge", alarms.sure_of_any_count, alarms.count)
    yield _answer("the headline says that something changed", alarms.alarm_count, alarms.count)
    yield _answer("one side lost 5 % of its spans: time is sure", alarms.losing_sure_count, alarms.count)
    yield _answer("... the headline says that something changed", alarms.losing_alarm_count, alarms.count)


_NAMED = ("tag", "frequent", "on spans of", "asked", "first", "stands out")


def _named(tagged: Tagged) -> Iterator[tuple[str, ...]]:
    for planted, named in tagged.named.items():
        shares = (f"{_ratio(count, named.count):.1%}" for count in (named.first_count, named.among_count))
        yield (*planted, str(named.count), *shares)


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


_QUEUED = ("consumers", "messages", "edges wrong", "queue delays known", "told / true")


def _queued(name: str, queued: Queued) -> tuple[str, ...]:
    return (
        name,
        str(queued.message_count),
        f"{_ratio(queued.edge_difference, queued.call_count):.2%}",
        f"{_ratio(queued.known_count, queued.message_count):.1%}",
        f"{_ratio(queued.told_ns, queued.delay_ns):.1%}",
    )


_SAVED = ("program", "told / saved", "changes", "told to a tenth", "least", "most")


def _saved(name: str, saved: Savings) -> tuple[str, ...]:
    return (
        name,
        f"{_ratio(saved.told_ns, saved.saved_ns):.1%}",
        str(saved.change_count),
        f"{_ratio(saved.near_count, saved.change_count):.1%}",
        f"{min(saved.ratios, default=0):.0%}",
        f"{max(saved.ratios, default=0):.0%}",
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
