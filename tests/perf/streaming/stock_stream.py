"""The experiment `stream` on Beam's own streaming runner; run by `stock_beam.py`."""

import signal
import sys
import threading

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

from tf_dataflow_serving.inference.local import LocalModelHandler
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines import stream


def run(flags: list[str]) -> None:
    """Run until SIGTERM comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    options = PipelineOptions(flags, streaming=True)
    serving = options.view_as(ServingOptions)
    handler = LocalModelHandler(batch_size=serving.batch_size)
    # As `dataflow-serving run` does: the first messages do not wait for the model.
    handler.load_model()
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=options)
    stream.build(pipeline, serving, handler)
    result = pipeline.run()
    _tell("running")
    stop.wait()
    result.cancel()
    _tell("finished")


def _tell(event: str) -> None:
    sys.stdout.write(f'{{"event": "{event}"}}\n')
    sys.stdout.flush()


if __name__ == "__main__":
    run(sys.argv[1:])
