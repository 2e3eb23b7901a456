"""Beam's own integration tests against the embedded services."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "conformance" / "beam_integration_tests.py"
TIMEOUT = 540


@pytest.mark.timeout(TIMEOUT + 30)
def test_beams_integration_tests_end_as_the_table_says():
    run = subprocess.run(
        [sys.executable, COMMAND, "--check"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
