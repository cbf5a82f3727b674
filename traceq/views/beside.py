"""What `bottlenecks` shows beside its ranking: findings, and what shorter calls would save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from traceq.report import Block, Line, Part

if TYPE_CHECKING:
    from traceq.analysis.findings import Findings
    from traceq.analysis.what_if import WhatIf

MOST_SPANS = 50_000
"""In so many spans findings are looked for unasked: they need attributes, and reading these takes as long again."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Beside:
    """What was found beside the ranking."""

    findings: Findings | None = None
    """None where they were not looked for."""
    saving: WhatIf | None = None

    def blocks(self) -> list[Block]:
        """Draw it: the costliest findings, then the saving."""
        blocks: list[Block] = []
        if self.findings is not None and self.findings.findings:
            # Late, as below: most of what stands beside a ranking is seldom wanted, and costs its import.
            from traceq.views.findings import finding_lines

            blocks += [Line(), Line((Part("Findings", "strong"),))]
            shown = self.findings.findings[:_SHOWN]
            blocks += finding_lines(shown, self.findings.sums.request_count, is_brief=True)[1:]
        if self.saving is not None:
            from traceq.views.what_if import what_if_blocks

            blocks += [Line(), *what_if_blocks(self.saving)]
        return blocks

    def to_dict(self) -> dict[str, object]:
        """Give it as it stands in JSON; null for what was not looked for."""
        return {
            "findings": None if self.findings is None else self.findings.to_dict()["findings"],
            "what_if": None if self.saving is None else self.saving.to_dict(),
        }
