from __future__ import annotations

import subprocess
import sys


def test_formats_for_machines_do_not_import_rich() -> None:
    code = (
        "import sys, traceq.render, traceq.render.records, traceq.render.records,"
        "traceq.render.drawings, traceq.render.drawings, traceq.render.svg, traceq.render.page;"
        "print([name for name in sys.modules if name.split('.')[0] in ('rich', 'graphlay', 'numpy')])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n"
