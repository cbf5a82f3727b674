"""How many examples a law is held against, and which: the same ones every time, or others every night."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ci", max_examples=60, derandomize=True, database=None, deadline=None)
"""By default: the same examples on every machine, so that a change fails for what it changed."""
settings.register_profile("few", settings.get_profile("ci"), max_examples=10)
"""Where the law is known to hold, and what it stands on is tried: old versions of packages."""
settings.register_profile("laws", max_examples=1000, deadline=None, print_blob=True)
"""`make laws`: other examples every run. What fails is kept in `.hypothesis/` and tried first the next time."""


def examples(times: float) -> settings:
    """Give the settings of a law whose examples are dear (a fraction) or cheap and many-sided (more than 1)."""
    return settings(max_examples=max(1, round(settings().max_examples * times)))
