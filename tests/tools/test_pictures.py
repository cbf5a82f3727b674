from __future__ import annotations

from tools.pictures import drawn, pictures
from tools.readme import ROOT

TEXT = """![traceq deps --service a: who calls whom](docs/deps.svg) and ![traceq stats](docs/stats.svg)
![a photograph](docs/photograph.png) ![traceq deps](docs/deps.png)
"""


def test_pictures_are_found_with_what_draws_them() -> None:
    assert pictures(TEXT) == {"docs/deps.svg": "traceq deps --service a", "docs/stats.svg": "traceq stats"}


def test_each_is_drawn_as_a_picture() -> None:
    assert list(drawn(TEXT, lambda command: [command, "end"])) == [
        (ROOT / "docs/deps.svg", "traceq deps --service a --format svg\nend\n"),
        (ROOT / "docs/stats.svg", "traceq stats --format svg\nend\n"),
    ]
