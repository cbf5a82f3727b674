"""The tools as the protocol's library takes them."""

from __future__ import annotations

import inspect
import threading
import types
from typing import Any

import typer
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool as ServedTool
from mcp.types import CallToolResult, TextContent, ToolAnnotations

from traceq.cli.mcp.arguments import ArgumentError, parameters
from traceq.cli.mcp.failures import failure
from traceq.cli.mcp.tools import TOOLS, Tool
from traceq.cli.options import SourceOptions
from traceq.documents import compact
from traceq.errors import TraceqError

_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def make_server(source: SourceOptions, instructions: str) -> MCPServer:
    """Make a server of the tools.

    Args:
        source: The one source that they ask.
        instructions: What agents are told before their first call.
    """
    # One question at a time: each may need the memory and the processes of the whole machine.
    turn = threading.Lock()
    tools = [_strict(_callable(name, tool, source, turn), name, tool.about) for name, tool in TOOLS.items()]
    server = MCPServer("traceq", instructions=instructions, log_level="WARNING", tools=tools)
    server.prompt("investigate", description="Find the cause of slow or failing requests in few calls.")(_investigate)
    return server


def _strict(function: Any, name: str, about: str) -> ServedTool:
    """Make a tool that refuses arguments which it does not have.

    The library drops them: an agent that says `trace` for `trace_id` would take an answer about all traces for one
    about its own.
    """
    served = ServedTool.from_function(function, name, description=about, annotations=_READ_ONLY)
    model: Any = types.new_class(name, (served.fn_metadata.arg_model,), {"extra": "forbid"})
    metadata = served.fn_metadata.model_copy(update={"arg_model": model})
    return served.model_copy(update={"fn_metadata": metadata, "parameters": model.model_json_schema(by_alias=True)})


def _callable(name: str, tool: Tool, source: SourceOptions, turn: threading.Lock) -> Any:
    taken = parameters(tool.arguments)
    defaults = {each.name: each.default for each in taken}

    def call(**values: Any) -> str | CallToolResult:
        def failed(error: TraceqError) -> CallToolResult:
            # Not an exception: the library would put words before the document.
            told = compact(failure(error, name, given))
            return CallToolResult(content=[TextContent(type="text", text=told)], is_error=True)

        given = {key: value for key, value in values.items() if value != defaults[key]}
        try:
            with turn:
                return compact(tool.answer(source, values))
        except TraceqError as error:
            return failed(error)
        except typer.BadParameter as error:
            return failed(ArgumentError(error.message))
        except ValueError as error:
            return failed(ArgumentError(str(error)))

    call.__name__ = name
    call.__signature__ = inspect.Signature(taken, return_annotation=str)  # type: ignore[attr-defined]  # what inspect.signature looks for first
    return call


def _investigate(problem: str) -> str:
    """Ask for the cause of a problem, in the order of questions that finds it soonest."""
    return (
        f"Find the cause of this problem with the tools of traceq: {problem}\n"
        "If it was fine before, begin with `compare`; if requests fail, with `errors`; if they are slow, with "
        "`bottlenecks`. Follow the first of the `next` calls unless the answer gives you a reason not to. Name the "
        "service and operation that cause it, the evidence with its numbers, and the id of a trace that shows it. If "
        "an answer is partial or nothing is sure, say so."
    )
