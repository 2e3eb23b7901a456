"""Temporary tables are their script's, or their session's."""

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

TIMEOUT = 60.0
SCRIPT = "CREATE TEMP TABLE mine AS SELECT {} AS id; SELECT id FROM mine"


def run(
    client: bigquery.Client, query: str, config: bigquery.QueryJobConfig | None = None
) -> list[int]:
    return [row["id"] for row in client.query(query, config).result(timeout=TIMEOUT)]


def test_a_temporary_table_ends_with_its_script(client: bigquery.Client) -> None:
    assert run(client, SCRIPT.format(1)) == [1]
    assert run(client, SCRIPT.format(2)) == [2]
    with pytest.raises(GoogleAPICallError):
        run(client, "SELECT id FROM mine")


def test_a_temporary_table_ends_with_a_script_that_fails(client: bigquery.Client) -> None:
    with pytest.raises(GoogleAPICallError, match="no_such_column"):
        run(client, "CREATE TEMP TABLE mine AS SELECT 1 AS id; SELECT no_such_column FROM mine")
    assert run(client, SCRIPT.format(2)) == [2]


def test_a_temporary_table_of_a_session_stays(client: bigquery.Client) -> None:
    first = bigquery.QueryJobConfig(create_session=True)
    job = client.query("CREATE TEMP TABLE kept AS SELECT 1 AS id; SELECT id FROM kept", first)
    assert [row["id"] for row in job.result(timeout=TIMEOUT)] == [1]
    assert job.session_info is not None
    session = bigquery.ConnectionProperty("session_id", job.session_info.session_id)
    config = bigquery.QueryJobConfig(connection_properties=[session])
    assert run(client, "SELECT id + 1 AS id FROM kept", config) == [2]
    assert run(client, "DROP TABLE kept; SELECT 3 AS id", config) == [3]
