"""A plain Python with our sitecustomize gets this runner at its first pipeline, and not before."""

import os
import subprocess
import sys

import pytest

from tf_dataflow_serving.services import redirect

PIPELINE = """
import sys
import apache_beam as beam
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.options.pipeline_options import PipelineOptions
before = any(name.startswith("tf_dataflow_serving.runners.streaming.loop") for name in sys.modules)
pipeline = beam.Pipeline(
    runner={runner}, options=PipelineOptions([], streaming=True, direct_num_workers=1)
)
from apache_beam.testing.test_stream import TestStream
_ = pipeline | TestStream().add_elements([1]).advance_watermark_to_infinity() | beam.Map(id)
result = pipeline.run()
result.wait_until_finish()
print(before, type(result).__name__, result.state)
"""


def run_python(code: str, emulator: str) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(redirect.SITE_DIRECTORY),
        "PUBSUB_EMULATOR_HOST": emulator,
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("runner", ["'DirectRunner'", "BundleBasedDirectRunner()"])
def test_a_pipeline_on_an_emulator_runs_on_this_runner(runner: str) -> None:
    code = PIPELINE.replace("{runner}", runner)
    assert run_python(code, "127.0.0.1:1") == "False StreamingResult DONE"


def test_a_pipeline_without_an_emulator_runs_on_beams_own() -> None:
    code = PIPELINE.replace("{runner}", "BundleBasedDirectRunner()")
    assert run_python(code, "") == "False DirectPipelineResult DONE"


def test_a_python_that_imports_no_beam_waits_for_nothing() -> None:
    code = (
        "import sys\n"
        "heavy = ('apache_beam', 'grpc', 'google.cloud.pubsub_v1', 'tensorflow')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert run_python(code, "127.0.0.1:1") == "[]"
