"""Beam in a Python that knows of the services by its environment alone."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery, storage

from tf_dataflow_serving.services.redirect import SITE_DIRECTORY

PROJECT = "local-project"
PIPELINE = """
import sys
import apache_beam as beam
from apache_beam.io.gcp.bigquery import ReadFromBigQuery, WriteToBigQuery

source, target, method, *flags = sys.argv[1:]
assert "tf_dataflow_serving.services.bigquery" not in sys.modules
with beam.Pipeline(argv=flags) as pipeline:
    rows = pipeline | ReadFromBigQuery(
        query=f"SELECT id, moment FROM `{source}`",
        use_standard_sql=True,
        method=ReadFromBigQuery.Method.DIRECT_READ,
    )
    _ = rows | beam.Map(lambda row: {**row, "moment": row["moment"].isoformat()}) | WriteToBigQuery(
        target, schema="id:INTEGER,moment:TIMESTAMP", method=method
    )
"""
ROWS = [
    {"id": number, "moment": f"2024-05-06T07:08:09.{number:06d}+00:00"} for number in range(1, 30)
]


@pytest.fixture
def source(client: bigquery.Client, dataset: str) -> str:
    table = f"{PROJECT}.{dataset}.source"
    schema = [
        bigquery.SchemaField("id", "INTEGER"),
        bigquery.SchemaField("moment", "TIMESTAMP"),
    ]
    config = bigquery.LoadJobConfig(schema=schema)
    client.load_table_from_json(ROWS, table, job_config=config).result()
    return table


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
@pytest.mark.parametrize("method", ["STREAMING_INSERTS", "FILE_LOADS"])
def test_a_pipeline_is_led_to_the_services(
    client: bigquery.Client,
    bucket: storage.Bucket,
    source: str,
    running: Any,
    tmp_path: Path,
    mode: str,
    method: str,
) -> None:
    script = tmp_path / "pipeline.py"
    script.write_text(PIPELINE)
    target = source.replace(".source", ".target")
    flags = [
        "--runner=FnApiRunner",
        f"--direct_running_mode={mode}",
        "--direct_num_workers=2",
        f"--project={PROJECT}",
        f"--temp_location=gs://{bucket.name}/temp",
    ]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ran = subprocess.run(
        [sys.executable, str(script), source, target.replace(".", ":", 1), method, *flags],
        env={**inherited, **running.environment, "PYTHONPATH": str(SITE_DIRECTORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    rows = sorted((row["id"], row["moment"].isoformat()) for row in client.list_rows(target))
    assert rows == [(row["id"], row["moment"]) for row in ROWS]
