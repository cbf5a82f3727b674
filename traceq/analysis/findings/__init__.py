"""What is worth changing in requests, with evidence, cost and advice.

Detectors are plain functions from a `Scene` (examined requests and thresholds) to `Sightings`; `FindingQuestion` runs
them all and sums up the sightings by call. Sums can be added, and only `rank` turns them into an answer.
"""

from traceq.analysis.findings.answer import Finding, Findings
from traceq.analysis.findings.kinds import KINDS, FindingKind, no_kind
from traceq.analysis.findings.question import FindingQuestion, sum_up
from traceq.analysis.findings.sightings import Scene, Sightings
from traceq.analysis.findings.signatures import Acknowledgement, Review, reviewed_by
from traceq.analysis.findings.sums import FindingExample, FindingKey, FindingSums, FindingTotals
from traceq.analysis.thresholds import Thresholds

__all__ = [
    "KINDS",
    "Acknowledgement",
    "Finding",
    "FindingExample",
    "FindingKey",
    "FindingKind",
    "FindingQuestion",
    "FindingSums",
    "FindingTotals",
    "Findings",
    "Review",
    "Scene",
    "Sightings",
    "Thresholds",
    "no_kind",
    "reviewed_by",
    "sum_up",
]
