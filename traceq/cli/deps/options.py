"""The options of `deps`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, get_args

import typer
from msgspec import Struct, field, structs

from traceq.catalog import Window
from traceq.cli.options import DURATION, FilterOptions, ServiceOptions, SourceOptions, WorkersOptions, service_argument
from traceq.cli.outputs import FieldsOutputOptions, format_option
from traceq.render import GRAPH_FORMATS, AnswerFormat, Format, GraphFormat
from traceq.units import NS_PER_DAY, NS_PER_S, Lookback
from traceq.views.graphs import Shade, View

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies
    from traceq.query import Asked

Which: TypeAlias = Literal["both", "jaeger", "traces"]
Grouping: TypeAlias = Literal["name", "system", "host", "none"]

_TABLE_LOOKBACK_NS = 7 * NS_PER_DAY
"""As in Jaeger UI. A job writes the table at the end of a day and stamps it with that day's midnight: an hour of it is
empty, and nearly always a day of it too."""


class GraphOutputOptions(FieldsOutputOptions, frozen=True):
    """The same for graphs."""

    drawings: ClassVar[frozenset[Format]] = GRAPH_FORMATS

    format: Annotated[Literal[AnswerFormat, GraphFormat] | None, format_option(Literal[AnswerFormat, GraphFormat])] = (
        None
    )


_part_option = partial(typer.Option, rich_help_panel="Which part")
_question_option = partial(typer.Option, rich_help_panel="Questions to the graph")
_look_option = partial(typer.Option, rich_help_panel="How it is drawn")


class CenterOptions(ServiceOptions, frozen=True):
    """What the graph is drawn around."""

    service: Annotated[
        str | None,
        service_argument(help="Service, database or broker: only what is around it; by default the whole graph."),
    ] = None


class PartOptions(Struct, frozen=True):
    """Which part of the graph is drawn."""

    center: CenterOptions = field(default_factory=CenterOptions)
    depth: Annotated[
        int, _part_option(min=0, metavar="N", help="Around a service: how many calls to follow each way.")
    ] = 1
    upstream: Annotated[int | None, _part_option(min=0, metavar="N", help="How many calls to follow upstream.")] = None
    downstream: Annotated[int | None, _part_option(min=0, metavar="N", help="How many calls to follow downstream.")] = (
        None
    )
    min_calls: Annotated[int, _part_option(min=1, metavar="N", help="Only edges with at least N calls.")] = 1
    errors: Annotated[bool, _part_option("--errors", help="Only edges with failures.")] = False
    collapse: Annotated[
        list[str] | None,
        _part_option(metavar="PATTERN", help="Draw all services that match ('ts-*') as one node; repeatable."),
    ] = None
    group_peers: Annotated[
        Grouping,
        _part_option(
            help="Which databases, brokers and hosts become one node: those with the same system and name, the same "
            "system, the same host, or none.",
        ),
    ] = "name"

    @property
    def service(self) -> str | None:
        """What the graph is drawn around; None for all of it."""
        return self.center.name

    @property
    def reach(self) -> tuple[int, int]:
        """How many calls up- and downstream; a direction that was left out has none when the other was given."""
        if self.upstream is None and self.downstream is None:
            return self.depth, self.depth
        return self.upstream or 0, self.downstream or 0

    def of(self, graph: Dependencies, asked: Asked) -> Dependencies:
        """Keep this part of a graph.

        Raises:
            NotFoundError: If the service is not among the nodes.
        """
        # Late: it needs numpy, and options are imported for --help.
        from traceq.analysis.graph_questions import around, busy, collapse, known_name

        graph = collapse(graph, self.collapse or ())
        if self.service is not None:
            graph = around(graph, known_name(self.service, graph, asked), *self.reach)
        return busy(graph, self.min_calls, failing_only=self.errors)


class QuestionOptions(Struct, frozen=True):
    """What to ask the graph instead of drawing it; one at a time."""

    cycles: Annotated[bool, _question_option("--cycles", help="Services that reach themselves.")] = False
    path: Annotated[
        tuple[str, str] | None, _question_option(metavar="FROM TO", help="How one service reaches the other.")
    ] = None
    impact: Annotated[
        str | None, _question_option(metavar="NAME", help="Services that are affected when this one fails.")
    ] = None
    critical: Annotated[bool, _question_option("--critical", help="Calls ranked by critical time.")] = False

    def check(self) -> None:
        """Refuse several at once, and half a path.

        Raises:
            typer.BadParameter: If more than one was asked, or the second name of a path is an option.
        """
        asked = {
            "--cycles": self.cycles,
            "--path": self.path is not None,
            "--impact": self.impact is not None,
            "--critical": self.critical,
        }
        given = [name for name, is_given in asked.items() if is_given]
        if len(given) > 1:
            raise typer.BadParameter(f"one question at a time: {' or '.join(given)}", param_hint=given[-1])
        if self.path is not None and self.path[1].startswith("-"):
            # The parser takes whatever comes second, and what is after an option then is the service.
            raise typer.BadParameter("give two names: from where, and to where", param_hint="--path")


class DepsOptions(Struct, frozen=True):
    """What `deps` takes."""

    part: PartOptions = field(default_factory=PartOptions)
    question: QuestionOptions = field(default_factory=QuestionOptions)
    view: Annotated[
        View,
        _look_option(
            metavar="VIEW",
            help=f"What to draw: {', '.join(get_args(View))}; auto: boxes and arrows where they fit, else a tree.",
        ),
    ] = "auto"
    color_by: Annotated[
        Shade,
        _look_option(
            help="errors: yellow from the first, red from 5 %. latency: p95, yellow from 200 ms, red from 1 s."
        ),
    ] = "errors"
    ascii: Annotated[bool, _look_option("--ascii", help="Draw with ASCII only.")] = False
    watch: Annotated[
        int | None, _look_option(help="Draw again at this interval, with the changes since the last time.", **DURATION)
    ] = None
    origin: Annotated[Which, typer.Option("--from", help="What to count: traces, Jaeger's own table, or both.")] = (
        "both"
    )
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: GraphOutputOptions = field(default_factory=GraphOutputOptions)

    def table_window(self, *, is_live: bool) -> Window:
        """Give the window for Jaeger's own table."""
        when = self.filters.when
        if is_live and when.lookback is None and when.start is None:
            when = structs.replace(when, lookback=Lookback(_TABLE_LOOKBACK_NS))
        return when.window(is_live=is_live)

    def query(self, *, is_live: bool) -> dict[str, object]:
        """Give what was asked for as it stands in JSON."""
        part = self.part
        query = {
            "service": part.service,
            "min_calls": part.min_calls if part.min_calls > 1 else None,
            "errors": part.errors or None,
            "collapse": part.collapse or None,
        }
        known = {key: value for key, value in query.items() if value is not None}
        traces = self.filters.query(None, is_live=is_live).to_dict()
        return known | {key: value for key, value in traces.items() if key != "limit" or self.filters.limit}

    @property
    def has_conditions(self) -> bool:
        """Whether only some traces count, of which Jaeger's own table knows nothing."""
        plain = FilterOptions(when=self.filters.when, limit=self.filters.limit)
        return self.filters != plain

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            typer.BadParameter: If several questions were asked, or --watch has nothing to redraw or no time between.
        """
        self.question.check()
        if self.origin == "jaeger" and self.has_conditions:
            raise typer.BadParameter(
                "Jaeger's own table knows no traces: conditions need --from traces", param_hint="--from"
            )
        if self.part.service is None and not (self.part.upstream is None and self.part.downstream is None):
            raise typer.BadParameter("upstream and downstream of what? name a service", param_hint="--service")
        if self.watch is not None and self.watch < NS_PER_S:
            raise typer.BadParameter("the interval is at least 1s", param_hint="--watch")
