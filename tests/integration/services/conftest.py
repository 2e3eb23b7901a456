"""The commands that run the tests of others."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).parents[2] / "conformance"


@pytest.fixture
def check_table() -> Callable[[str, float], None]:
    """Runs such a command, which compares the outcomes with the table in the documents."""

    def check(command: str, timeout: float) -> None:
        run = subprocess.run(
            [sys.executable, CONFORMANCE / command, "--check"],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr

    return check
