"""Puts generated natality rows where the experiments read them."""

from io import BytesIO

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tf_dataflow_serving.natality.generator import generate, to_arrow
from tf_dataflow_serving.natality.schema import SAMPLES_DATASET, SAMPLES_TABLE, SOURCE_SCHEMA
from tf_dataflow_serving.services.endpoints import Endpoints

LOAD_TIMEOUT_SECONDS = 120.0


def ensure_samples(endpoints: Endpoints, rows: int, seed: int) -> None:
    """Fill `samples.natality` with generated rows, unless it is there.

    The same seed gives the same rows.
    """
    client = bigquery.Client(
        project=endpoints.project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options=ClientOptions(api_endpoint=endpoints.bigquery),
    )
    try:
        client.get_table(SAMPLES_TABLE)
    except NotFound:
        _load(client, rows, seed)


def _load(client: bigquery.Client, rows: int, seed: int) -> None:
    import pyarrow.parquet  # noqa: PLC0415 - a second of start-up that only loading needs

    content = BytesIO()
    pyarrow.parquet.write_table(to_arrow(generate(rows, seed)), content)
    client.create_dataset(SAMPLES_DATASET, exists_ok=True)
    job = client.load_table_from_file(
        content,
        f"{client.project}.{SAMPLES_TABLE}",
        rewind=True,
        job_config=bigquery.LoadJobConfig(
            schema=[bigquery.SchemaField.from_api_repr(field) for field in SOURCE_SCHEMA],
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_EMPTY,
        ),
    )
    job.result(timeout=LOAD_TIMEOUT_SECONDS)
