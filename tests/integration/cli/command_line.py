"""The command line in a process of its own, as a user runs it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TIMEOUT = 110


def command(
    *words: str, environment: Mapping[str, str], directory: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `dataflow-serving` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tf_dataflow_serving", *words],
        env=dict(environment),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
