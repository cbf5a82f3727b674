"""What each span is in a conversation, decided once and for every analysis."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from traceq.traces import Traces


def find_roles(traces: Traces) -> npt.NDArray[np.int8]:
    """Give each span's role as a `Kind` number: the kind that the span tells."""
    return np.asarray(traces.kinds, dtype=np.int8)
