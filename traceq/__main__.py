"""`python -m traceq`."""

from traceq.cli import run

run()
