"""Unmodified scripts on the streaming runner, and what they write to BigQuery."""

import base64
import bz2
import json
import os
import signal
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.gcp.bigquery import WriteToBigQuery
from apache_beam.io.gcp.pubsub import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineRunner, PipelineState
from google.cloud import bigquery

from tf_dataflow_serving.services import redirect
from tf_dataflow_serving.services.process import end
from tf_dataflow_serving.services.stack import Stack

from .steps import RefuseFirst, Sink, Write, poll

SCRIPT = Path(__file__).with_name("plain_pipeline.py")
TIMEOUT = 60.0


@pytest.fixture
def table(on_stack: Stack) -> Iterator[str]:
    with bigquery.Client(project=on_stack.endpoints.project) as client:
        dataset = client.create_dataset(f"d{uuid.uuid4().hex}")
        name = f"{dataset.project}.{dataset.dataset_id}.rows"
        client.create_table(bigquery.Table(name, [bigquery.SchemaField("data", "STRING")]))
        yield name
        client.delete_dataset(dataset, delete_contents=True)


def rows(table: str) -> list[str]:
    with bigquery.Client(project=table.split(".", maxsplit=1)[0]) as client:
        found = client.query_and_wait(f"SELECT data FROM `{table}` ORDER BY data")  # noqa: S608
        return [row[0] for row in found]


def beams_name(table: str) -> str:
    return table.replace(".", ":", 1)


@pytest.fixture
def sigint_heard() -> Iterator[None]:
    """A shell makes its background jobs ignore it, and with them what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_an_unmodified_script_is_drained_by_a_signal(
    stack: Stack, source: Any, table: str, number: signal.Signals, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        **stack.endpoints.environment(os.environ),
        "PYTHONPATH": str(redirect.SITE_DIRECTORY),
    }
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [
                sys.executable, str(SCRIPT), "--subscription", source.subscription,
                "--table", beams_name(table), "--project", stack.endpoints.project,
            ],
            env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", log.read_text()
        source.publish(b"a", b"b", b"c")
        for _ in range(3):
            assert process.stdout.readline() == "taken\n", log.read_text()
        process.send_signal(number)
        assert process.communicate(timeout=TIMEOUT)[0] == "StreamingResult DONE\n", log.read_text()
        assert process.returncode == 0
    finally:
        end(process)
    assert rows(table) == ["a", "b", "c"]
    assert source.state().unacknowledged == 0


@pytest.mark.usefixtures("streaming")
def test_what_fails_after_it_is_written_is_not_written_twice(
    source: Any, table: str, sink: Sink, refused: Sink
) -> None:
    source.publish(b"a", b"b", b"c")
    pipeline = beam.Pipeline(
        runner=BundleBasedDirectRunner(),
        options=PipelineOptions([], streaming=True, project="local-project"),
    )
    messages = pipeline | ReadFromPubSub(subscription=source.subscription)
    written = (
        messages
        | beam.Map(lambda data: {"data": data.decode()})
        | WriteToBigQuery(
            beams_name(table),
            schema="data:STRING",
            method=WriteToBigQuery.Method.STREAMING_INSERTS,
            create_disposition="CREATE_NEVER",
            triggering_frequency=None,
        )
    )
    assert written is not None
    _ = messages | "After" >> beam.ParDo(AfterRows(table, refused)) | beam.ParDo(Write(sink))
    result = pipeline.run()
    assert set(sink.take(3)) == {b"a", b"b", b"c"}
    assert refused.rest() != []
    assert poll(lambda: source.state().unacknowledged == 0)
    result.drain()
    assert result.wait_until_finish(TIMEOUT * 1_000) == PipelineState.DONE
    assert rows(table) == ["a", "b", "c"]


class AfterRows(RefuseFirst):
    """Raises at first; the step stands after the sink in the order of the pipeline."""

    def __init__(self, table: str, refused: Sink) -> None:
        super().__init__(1, refused)
        self.table = table

    def process(self, element: Any) -> Any:
        assert rows(self.table)
        yield from super().process(element)


def pickled(proto: beam_runner_api_pb2.Pipeline) -> Iterator[bytes]:
    """Yield what is pickled of each DoFn, unpacked (apache_beam.internal.cloudpickle_pickler)."""
    for transform in proto.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            yield unpacked(payload.do_fn.payload)


def unpacked(payload: bytes) -> bytes:
    packed = base64.b64decode(payload)
    return bz2.decompress(packed) if packed.startswith(b"BZh") else zlib.decompress(packed)


@pytest.mark.usefixtures("streaming")
def test_a_job_for_dataflow_has_nothing_of_this_runner() -> None:
    options = PipelineOptions(
        ["--project=project", "--region=region", "--temp_location=gs://bucket/temporary"],
        streaming=True,
    )
    pipeline = beam.Pipeline(runner=PipelineRunner(), options=options)
    _ = (
        pipeline
        | ReadFromPubSub(subscription="projects/project/subscriptions/subscription")
        | beam.Map(bytes.decode)
        | beam.Map(json.loads)
        | WriteToBigQuery("project:dataset.table", schema="a:STRING", method="STREAMING_INSERTS")
    )
    proto = pipeline.to_runner_api()
    found = list(pickled(proto))
    assert any(b"_StreamToBigQuery" in one for one in found)
    for one in (proto.SerializeToString(), *found):
        assert b"tf_dataflow_serving" not in one
    assert options.view_as(SetupOptions).beam_plugins is None
