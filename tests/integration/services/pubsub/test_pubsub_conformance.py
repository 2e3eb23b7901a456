"""The system tests of Google's client against the emulator."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[3] / "conformance" / "pubsub_system_tests.py"
TIMEOUT = 300


@pytest.mark.timeout(TIMEOUT + 30)
def test_googles_system_tests_end_as_the_table_says():
    run = subprocess.run(
        [sys.executable, COMMAND, "--check"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
