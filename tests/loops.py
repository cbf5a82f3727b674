"""Coroutines run to their end in a thread of their own: the browser's tests leave a loop running in the main one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def completed(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine, and give its result."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
