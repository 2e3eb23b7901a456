"""A plain streaming pipeline, such as anybody has: it knows nothing of the services."""

import argparse

import apache_beam as beam
from apache_beam.io.gcp.bigquery import WriteToBigQuery
from apache_beam.io.gcp.pubsub import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions


def keyed(data: bytes) -> tuple[int, bytes]:
    print("taken", flush=True)  # noqa: T201 - what no step has taken by then, a drain gives back
    return 0, data


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--table", required=True)
    given, flags = parser.parse_known_args()
    pipeline = beam.Pipeline(options=PipelineOptions(flags, streaming=True))
    _ = (
        pipeline
        | ReadFromPubSub(subscription=given.subscription)
        | beam.Map(keyed)
        | beam.GroupIntoBatches(1_000, max_buffering_duration_secs=3_600)
        | beam.FlatMap(lambda batch: [{"data": data.decode()} for data in batch[1]])
        | WriteToBigQuery(given.table, schema="data:STRING", method="STREAMING_INSERTS")
    )
    result = pipeline.run()
    print("running", flush=True)  # noqa: T201 - it is told when to go on
    print(type(result).__name__, result.wait_until_finish(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
