"""Beam's own tests of its streaming local runner, run on the one that takes its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_SECONDS = 110
# It counts the attempts of each step, one after the other; a turn is tried again as a whole.
OTHER_BY_DESIGN = "not test_retry_fork_graph"
MODULES = {
    "apache_beam.testing.test_stream_test": OTHER_BY_DESIGN,
    "apache_beam.runners.direct.direct_runner_test": OTHER_BY_DESIGN,
    "apache_beam.transforms.userstate_test": OTHER_BY_DESIGN,
    "apache_beam.runners.direct.sdf_direct_runner_test": OTHER_BY_DESIGN,
    # Of these, the tests that run streaming pipelines.
    "apache_beam.transforms.trigger_test": "TriggerPipelineTest or TestStreamTranscriptTest",
    "apache_beam.transforms.util_test": "GroupIntoBatchesTest or ReshuffleTest",
}


@pytest.mark.parametrize("module", MODULES)
def test_beams_own_tests_pass(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "--pyargs", module, "-k", MODULES[module],
            "-p", "installed_plugin", "-p", "no:cacheprovider", "-p", "no:flaky",
            "-p", "no:xdist", "-c", os.devnull, "--rootdir", str(tmp_path),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
