"""What workers pay for importing the domain."""

import subprocess
import sys

import pytest

LIGHT = ["schema", "instance", "validation", "messages", "csv_output", "queries"]
HEAVY = [
    "tensorflow",
    "keras",
    "apache_beam",
    "google.cloud.storage",
    "pyarrow",
    "starlette",
    "grpc",
]


@pytest.mark.parametrize(
    ("modules", "unwanted"), [(LIGHT, [*HEAVY, "numpy"]), (["generator"], HEAVY)]
)
def test_domain_loads_nothing_heavy(modules: list[str], unwanted: list[str]) -> None:
    imports = ", ".join(f"tf_dataflow_serving.natality.{name}" for name in modules)
    code = f"import sys, {imports}; print(*sorted(set({unwanted}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.split() == []
