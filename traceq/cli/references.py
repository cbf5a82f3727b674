"""What was typed where a trace is expected: an id in any form, a link, or a file that holds one trace."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import typer
from msgspec import Struct, structs

from traceq.cli.messages import tell
from traceq.cli.options import SourceOptions
from traceq.cli.outputs import OutputOptions
from traceq.cli.typed import is_path
from traceq.ids import Reference, parse_reference


class Located(Struct, frozen=True):
    """A trace that was typed, and where to look for it."""

    source: SourceOptions
    reference: Reference

    @property
    def trace_id(self) -> str:
        """The id; empty for the only trace of a file."""
        return self.reference.trace_id


def located(text: str, source: SourceOptions, output: OutputOptions, param: str = "--trace") -> Located:
    """Read what was typed where a trace is expected.

    A link leads to its server unless another one was typed; a file is the source, and its only trace the one that is
    meant.

    Args:
        text: What was typed.
        source: Which source was typed.
        output: Whether hints are wanted.
        param: The argument or option, for errors.

    Raises:
        typer.BadParameter: If it is a link that names no trace or several, or a file beside a source.
    """
    reference = read_reference(text, param)
    if not reference.is_known and is_path(text):
        if source.source:
            what = "is a file" if Path(text).exists() else "is no id of a trace, and no such file"
            raise typer.BadParameter(f"'{text}' {what}: with --source, write the id of a trace", param_hint=param)
        return Located(structs.replace(source, source=[text]), structs.replace(reference, trace_id=""))
    if not reference.location:
        return Located(source, reference)
    if source.source and source.source[0].rstrip("/") != reference.location and not output.quiet:
        tell("hint", f"the link leads to {without_user(reference.location)}: without --source, it is asked")
    return Located(following(reference.location, source, output), reference)


def following(location: str, source: SourceOptions, output: OutputOptions) -> SourceOptions:
    """Give the source with the server of a link in it, unless another one was typed.

    Whoever wrote the link chose that server: what the environment has for its own one is not sent to another.

    Args:
        location: The server that the link leads to; empty where it was none.
        source: Which source was typed.
        output: Whether notes are wanted.
    """
    if source.source or not location:
        return source
    variables = source.secrets_of_environment
    linked = structs.replace(source, source=[location])
    if not variables or leads_to(location, source):
        return linked
    if not output.quiet:
        names, server = " and ".join(variables), without_user(location)
        tell(
            "note",
            f"{names} {'are' if len(variables) > 1 else 'is'} not sent to {server}, where the link leads: add "
            f"--source {server} if that is meant",
        )
    return linked.without_environment()


def leads_to(location: str, source: SourceOptions) -> bool:
    """Tell whether the server of a link is the source: the same scheme, host and port."""
    return _origin(location) == _origin(source.locations[0])


def _origin(location: str) -> tuple[str, str | None, int | None] | None:
    """Give what the same servers have in common; None for what is no URL."""
    try:
        parts = urlsplit(location.strip())
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None  # the source says what is wrong with it


def without_user(location: str) -> str:
    """Write a server without what may stand before its host."""
    return location.replace(f"{urlsplit(location).netloc.rpartition('@')[0]}@", "")


def read_reference(text: str, param: str = "--trace") -> Reference:
    """Read an id or a link.

    Raises:
        typer.BadParameter: If it is a link that names no trace, or several.
    """
    try:
        return parse_reference(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=param) from error


def span_id_in(text: str, param: str) -> str:
    """Take the id of a span from what was typed: digits in any form, a link to the span, or a header that names it.

    Raises:
        typer.BadParameter: If it is a link that names no trace, or several.
    """
    reference = read_reference(text, param)
    return reference.span_id or reference.caller_id or reference.trace_id
