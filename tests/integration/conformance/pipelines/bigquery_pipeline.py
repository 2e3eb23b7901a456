"""Reads rows of one BigQuery table and writes what becomes of them to another."""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

SCHEMA = "id:INTEGER,name:STRING,twice:INTEGER"


def with_double(row):
    return {**row, "twice": row["id"] * 2}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--query", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--read_method", default="EXPORT")
    parser.add_argument("--write_method", default="FILE_LOADS")
    arguments, others = parser.parse_known_args()
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromBigQuery(
                query=arguments.query, use_standard_sql=True, method=arguments.read_method
            )
            | beam.Map(with_double)
            | beam.io.WriteToBigQuery(
                arguments.output, schema=SCHEMA, method=arguments.write_method
            )
        )


if __name__ == "__main__":
    main()
