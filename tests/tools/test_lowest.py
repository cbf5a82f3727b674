from __future__ import annotations

import pytest

from tools.lowest import lowest


def test_each_dependency_is_taken_in_the_version_of_its_lower_bound() -> None:
    project = {
        "name": "this",
        "dependencies": ["numpy>=2.0,<3", "zstd>=1.0,<2; python_version < '3.14'"],
        "optional-dependencies": {"dask": ["dask[distributed]>=2025.1,<2027"], "dev": ["this[dask]", "numpy>=2.0,<3"]},
    }

    assert lowest(project) == ["dask==2025.1", "numpy==2.0", "zstd==1.0; python_version < '3.14'"]


def test_a_dependency_without_a_lower_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="without a lower bound: rich, typer==1"):
        lowest({"name": "this", "dependencies": ["rich", "numpy>=2", "typer==1"]})
