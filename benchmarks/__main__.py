"""`python -m benchmarks`: make data, measure traceq beside `json.loads` and a bare scan, print ratios."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import SERVICE, Shape, write
from benchmarks.measure import Cost, run

_LOADS = "import json, sys; json.loads(open(sys.argv[1], 'rb').read())"
_LOADS_LINES = "import json, sys; [None for line in open(sys.argv[1], 'rb') if json.loads(line) is None]"
_SCAN = "import msgspec, sys; msgspec.json.Decoder(msgspec.Raw).decode(open(sys.argv[1], 'rb').read())"
_SCAN_LINES = """
import msgspec, sys
decoder = msgspec.json.Decoder(msgspec.Raw)
for line in open(sys.argv[1], 'rb'):
    decoder.decode(line)
"""
_MB = 1e6


@dataclass(frozen=True, slots=True)
class _Data:
    name: str
    shape: Shape

    def file(self, folder: Path) -> Path:
        """Give the file, made when it is not there yet."""
        shape = self.shape
        path = folder / f"{shape.trace_count}x{shape.spans_each}.{'json' if shape.form == 'document' else 'ndjson'}"
        if not path.exists():
            write(path, shape)
        return path


def main(arguments: Sequence[str]) -> None:
    """Measure, and print a table for each shape of data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000, help="of each file; 1 KB each (default: 1000000)")
    parser.add_argument("--out", type=Path, help="directory for the data, which stays there (default: a temporary one)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="traceq-benchmarks-") as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for data in _shapes(options.spans):
            for line in _table(data, folder):
                print(line, flush=True)  # noqa: T201  the table is the answer


def _shapes(span_count: int) -> tuple[_Data, ...]:
    small, large = max(1, span_count // 10), max(1, span_count // 10)
    return (
        # So many spans has a trace on average in the set on which CRISP was measured.
        _Data("traces as services make them, one document", Shape(max(1, span_count // 67), 67)),
        _Data("small traces, one document", Shape(small, 10)),
        _Data("small traces, one a line", Shape(small, 10, "lines")),
        _Data("large traces, one document", Shape(10, large)),
    )


def _table(data: _Data, folder: Path) -> Iterator[str]:
    file = data.file(folder)
    size, spans = file.stat().st_size, data.shape.span_count
    yield f"\n{data.name}: {data.shape.trace_count:,} x {data.shape.spans_each:,} spans, {size / _MB:,.0f} MB"
    yield f"{'':24}{'wall':>9}{'CPU':>9}{'of json: wall':>15}{'CPU':>7}{'spans/s':>11}{'anonymous':>11}{'largest':>9}"
    reference: Cost | None = None
    for name, command in _commands(file, is_lines=data.shape.form == "lines"):
        cost = run(command)
        reference = reference or cost
        yield (
            f"{name:24}{cost.wall_s:7.1f} s{cost.cpu_s:7.1f} s{cost.wall_s / reference.wall_s:15.2f}"
            f"{cost.cpu_s / reference.cpu_s:7.2f}{spans / cost.wall_s:11,.0f}"
            f"{cost.anonymous_bytes / _MB:8,.0f} MB{cost.largest_bytes / _MB:6,.0f} MB"
        )


def _commands(file: Path, *, is_lines: bool) -> Iterator[tuple[str, list[str]]]:
    """Give what is measured: first what the others are compared with."""
    python = [sys.executable, "-c"]
    yield "json.loads", [*python, _LOADS_LINES if is_lines else _LOADS, str(file)]
    yield "msgspec scan", [*python, _SCAN_LINES if is_lines else _SCAN, str(file)]
    ask = [sys.executable, "-m", "traceq", "bottlenecks", SERVICE, "--source", str(file), "--format", "json"]
    for jobs in (1, 2):
        yield f"traceq --jobs {jobs}", [*ask, "--jobs", str(jobs)]


if __name__ == "__main__":
    main(sys.argv[1:])
