from __future__ import annotations

from pathlib import Path

from tests.analysis.findings.requests import entry
from tests.builders import trace
from traceq.analysis.culprits import examine
from traceq.analysis.findings.kinds import KINDS, detect
from traceq.analysis.findings.sightings import Scene
from traceq.analysis.requests import RequestOptions
from traceq.analysis.thresholds import Thresholds

DOCUMENT = Path(__file__).parents[3] / "docs" / "analyses" / "findings.md"


def test_every_kind_has_a_detector_and_every_detector_a_kind() -> None:
    scene = Scene(examine(trace(entry(1)), RequestOptions()), Thresholds())

    assert sorted(seen.kind for seen in detect(scene)) == sorted(KINDS)


def test_every_kind_is_described_in_the_order_of_the_answer() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    described = [line.split("`")[1] for line in lines if line.startswith("| `")]

    assert described == list(KINDS)
