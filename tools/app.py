"""The whole command line as one typer app, for typer's own tools: `python -m typer tools.app utils docs`."""

from traceq.cli import COMMANDS, app_with

app = app_with(COMMANDS)
