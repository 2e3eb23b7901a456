"""Reads lines from Cloud Storage, counts their words, and writes the counts there."""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    arguments, others = parser.parse_known_args()
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromText(arguments.input)
            | beam.FlatMap(str.split)
            | beam.combiners.Count.PerElement()
            | beam.MapTuple(lambda word, count: f"{word} {count}")
            | beam.io.WriteToText(arguments.output, ".txt", num_shards=2)
        )


if __name__ == "__main__":
    main()
