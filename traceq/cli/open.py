"""`traceq open`: the page of a trace in Jaeger UI."""

from __future__ import annotations

import webbrowser
from typing import Annotated
from urllib.parse import quote

import typer
from msgspec import Struct, field

from traceq.cli.messages import tell
from traceq.cli.options import SourceOptions
from traceq.cli.outputs import OutputOptions
from traceq.cli.references import located
from traceq.cli.terminal import is_terminal
from traceq.sources import open_source


class OpenOptions(Struct, frozen=True):
    """The options of `open`."""

    trace: Annotated[str, typer.Argument(metavar="TRACE", help="A trace id in any form, or a link.")]
    only_print: Annotated[
        bool, typer.Option("--print", help="Only print the address; so does a command that is not in a terminal.")
    ] = False
    source: SourceOptions = field(default_factory=SourceOptions)


def open(options: OpenOptions) -> None:  # noqa: A001 - a command's function has its name
    """Open the page of a trace in Jaeger UI, or print its address.

    The server is not asked: for an id that it does not have the page says so.

    Examples:
      traceq open 5b8aa5a2d2c872e8321cf37308d69df2

      traceq open 5b8aa5a2d2c872e8321cf37308d69df2 --print
    """
    place = located(options.trace, options.source, OutputOptions(), "TRACE")
    reference = place.reference
    if not reference.is_known:
        raise typer.BadParameter(f"'{options.trace}' is not the id of a trace", param_hint="TRACE")
    # Nothing is asked: an address needs no answer.
    trace_url = open_source(place.source.locations, place.source.connection).trace_url
    if not trace_url:
        raise typer.BadParameter("files have no pages: name a server", param_hint="--source")
    url = trace_url.replace("{trace_id}", quote(place.trace_id, safe=""))
    sought = reference.span_id or reference.find
    url += f"?uiFind={quote(sought, safe='')}" if sought else ""
    typer.echo(url)
    if options.only_print or not is_terminal():
        return
    if not webbrowser.open(url):
        tell("hint", "no browser was found here: the address is above")
