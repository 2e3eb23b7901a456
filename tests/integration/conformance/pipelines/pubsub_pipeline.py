"""Streams messages of a subscription into BigQuery until a number of rows has arrived."""

import argparse
import json
import time

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud import bigquery

PAUSE_SECONDS = 0.2


def rows_in(client, table):
    (row,) = client.query_and_wait(f"SELECT COUNT(DISTINCT id) FROM `{table}`")  # noqa: S608
    return row[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--limit_seconds", type=float, default=90)
    arguments, others = parser.parse_known_args()
    pipeline = beam.Pipeline(options=PipelineOptions(others, streaming=True))
    _ = (
        pipeline
        | beam.io.ReadFromPubSub(subscription=arguments.subscription)
        | beam.Map(json.loads)
        | beam.io.WriteToBigQuery(
            arguments.output,
            method=beam.io.WriteToBigQuery.Method.STREAMING_INSERTS,
            create_disposition=beam.io.BigQueryDisposition.CREATE_NEVER,
        )
    )
    result = pipeline.run()
    client = bigquery.Client()
    end = time.monotonic() + arguments.limit_seconds
    while rows_in(client, arguments.output.replace(":", ".")) < arguments.count:
        if time.monotonic() > end:
            raise SystemExit("the rows did not arrive")
        time.sleep(PAUSE_SECONDS)
    result.cancel()


if __name__ == "__main__":
    main()
