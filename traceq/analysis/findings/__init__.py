"""What is worth a change in requests, with evidence, cost and advice.

Detectors are plain functions from a `Scene` (examined requests and thresholds) to `Sightings`; `collect` runs them all
and sums up what they saw by call; sums add, and only `rank` turns them into an answer.
"""

from traceq.analysis.findings.collect import collect, detect, sum_up
from traceq.analysis.findings.model import (
    KINDS,
    Finding,
    FindingExample,
    FindingKey,
    Findings,
    FindingSums,
    FindingTotals,
    rank,
)
from traceq.analysis.findings.sightings import FindingKind, Scene, Sightings
from traceq.analysis.findings.thresholds import Thresholds

__all__ = [
    "KINDS",
    "Finding",
    "FindingExample",
    "FindingKey",
    "FindingKind",
    "FindingSums",
    "FindingTotals",
    "Findings",
    "Scene",
    "Sightings",
    "Thresholds",
    "collect",
    "detect",
    "rank",
    "sum_up",
]
