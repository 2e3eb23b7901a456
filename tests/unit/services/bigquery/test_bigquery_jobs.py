"""Load, extract, copy and query jobs on a warehouse of Arrow tables."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from tf_dataflow_serving.services.bigquery.errors import (
    AlreadyExists,
    BigQueryError,
    InvalidData,
    InvalidRequest,
    NotFound,
)
from tf_dataflow_serving.services.bigquery.files.objects import ObjectStore
from tf_dataflow_serving.services.bigquery.files.reading import SourceFile
from tf_dataflow_serving.services.bigquery.jobs.copying import is_plain_copy, run_copy
from tf_dataflow_serving.services.bigquery.jobs.destination import has_destination, run_into_table
from tf_dataflow_serving.services.bigquery.jobs.extraction import run_extract
from tf_dataflow_serving.services.bigquery.jobs.loading import run_load
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

TABLE = TableRef("project", "dataset", "table")
SCHEMA = (Field("id", "INTEGER", Mode.REQUIRED), Field("name", "STRING"))
REST_SCHEMA = {"fields": [field.to_rest() for field in SCHEMA]}
DESTINATION = {"destinationTable": TABLE.to_rest()}


class GivenFiles:
    def __init__(self, *contents: bytes) -> None:
        self.contents = contents

    async def files(self, load: Mapping[str, Any]) -> Sequence[SourceFile]:  # noqa: ARG002
        return [SourceFile(f"f{i}", content) for i, content in enumerate(self.contents)]


def load(warehouse: Any, *contents: bytes, **options: Any) -> int:
    job = {**DESTINATION, "sourceFormat": "NEWLINE_DELIMITED_JSON", **options}
    result = asyncio.run(run_load(job, "project", GivenFiles(*contents), warehouse))
    return result.output_rows


def names(warehouse: Any) -> list[Any]:
    return warehouse.rows[TABLE]["name"].to_pylist()  # type: ignore[no-any-return]


@pytest.fixture
def filled(warehouse: Any) -> Any:
    warehouse.create(TABLE, SCHEMA, {"clustering": {"fields": ["id"]}})
    warehouse.append(TABLE, rows_to_arrow([{"id": 0, "name": "old"}], SCHEMA))
    return warehouse


class TestLoad:
    ROW = b'{"id": 1, "name": "new"}\n'

    def test_it_makes_the_table(self, warehouse: Any) -> None:
        layout = {"timePartitioning": {"type": "DAY"}}
        assert load(warehouse, self.ROW, self.ROW, schema=REST_SCHEMA, **layout) == 2
        assert warehouse.schemas[TABLE] == SCHEMA
        assert warehouse.layouts[TABLE] == layout
        assert names(warehouse) == ["new", "new"]

    @pytest.mark.parametrize(
        ("disposition", "kept"),
        [(None, ["old", "new"]), ("WRITE_APPEND", ["old", "new"]), ("WRITE_TRUNCATE", ["new"])],
    )
    def test_it_appends_or_replaces(self, filled: Any, disposition: str, kept: list[str]) -> None:
        load(filled, self.ROW, writeDisposition=disposition)
        assert names(filled) == kept

    def test_it_replaces_the_schema_too(self, filled: Any) -> None:
        schema = {"fields": [{"name": "other", "type": "INT64"}]}
        load(filled, b'{"other": 1}', schema=schema, writeDisposition="WRITE_TRUNCATE")
        assert filled.schemas[TABLE] == (Field("other", "INTEGER"),)
        assert filled.rows[TABLE].to_pylist() == [{"other": 1}]

    def test_it_replaces_the_schema_if_only_modes_differ(self, filled: Any) -> None:
        relaxed = (Field("id", "INTEGER"), Field("name", "JSON"))
        schema = {"fields": [field.to_rest() for field in relaxed]}
        load(filled, b'{"id": null}', schema=schema, writeDisposition="WRITE_TRUNCATE")
        assert filled.schemas[TABLE] == relaxed

    def test_a_table_without_a_schema_takes_the_first(self, warehouse: Any) -> None:
        warehouse.create(TABLE, (), {})
        load(warehouse, self.ROW, schema=REST_SCHEMA)
        assert names(warehouse) == ["new"]

    def test_it_keeps_the_types_of_the_table(self, filled: Any) -> None:
        schema = {"fields": [{"name": "id", "type": "STRING", "mode": "REQUIRED"}]}
        with pytest.raises(InvalidRequest, match="changed type from INTEGER to STRING"):
            load(filled, b'{"id": "5"}', schema=schema)
        assert names(filled) == ["old"]

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"writeDisposition": "WRITE_EMPTY"}, AlreadyExists),
            ({"writeDisposition": "WRITE_SOMEHOW"}, InvalidRequest),
            ({"schema": {"fields": [{"name": "no", "type": "STRING"}]}}, InvalidRequest),
            ({"schema": {"fields": [{"name": "no"}]}}, InvalidRequest),
            ({"destinationTable": {}}, InvalidRequest),
            ({"destinationTable": {"datasetId": "no", "tableId": "t"}}, NotFound),
            (
                {
                    "destinationTable": {"datasetId": "dataset", "tableId": "no"},
                    "createDisposition": "CREATE_NEVER",
                },
                NotFound,
            ),
        ],
    )
    def test_it_fails_and_leaves_the_table(
        self, filled: Any, options: dict[str, Any], error: type[BigQueryError]
    ) -> None:
        with pytest.raises(error):
            load(filled, self.ROW, **options)
        assert names(filled) == ["old"]

    def test_new_fields_are_refused(self, filled: Any) -> None:
        added = {"fields": [*REST_SCHEMA["fields"], {"name": "more", "type": "STRING"}]}
        with pytest.raises(InvalidRequest, match="more"):
            load(filled, b'{"id": 1, "more": "x"}', schema=added)
        assert names(filled) == ["old"]

    def test_one_bad_file_spoils_all(self, filled: Any) -> None:
        with pytest.raises(InvalidData):
            load(filled, self.ROW, b'{"id": null}', writeDisposition="WRITE_TRUNCATE")
        assert names(filled) == ["old"]

    def test_it_needs_a_schema(self, warehouse: Any) -> None:
        with pytest.raises(InvalidRequest, match="No schema"):
            load(warehouse, self.ROW)
        load(warehouse, self.ROW, autodetect=True)
        assert names(warehouse) == ["new"]

    def test_it_needs_a_file(self, filled: Any) -> None:
        with pytest.raises(InvalidRequest, match="source URI"):
            load(filled)


class TestCopy:
    def copy(self, warehouse: Any, *sources: TableRef, **options: Any) -> int:
        target = {"destinationTable": {"datasetId": "dataset", "tableId": "copy"}}
        references = [source.to_rest() for source in sources]
        return run_copy({"sourceTables": references, **target, **options}, "project", warehouse)

    def test_it_joins_its_sources_and_keeps_the_layout(self, filled: Any) -> None:
        assert self.copy(filled, TABLE, TABLE) == 2
        copy = TableRef("project", "dataset", "copy")
        assert filled.rows[copy]["name"].to_pylist() == ["old", "old"]
        assert filled.layouts[copy] == {"clustering": {"fields": ["id"]}}

    def test_its_target_must_be_empty_unless_told_otherwise(self, filled: Any) -> None:
        self.copy(filled, TABLE)
        with pytest.raises(AlreadyExists):
            self.copy(filled, TABLE)
        self.copy(filled, TABLE, writeDisposition="WRITE_APPEND")
        assert filled.count(TableRef("project", "dataset", "copy")) == 2

    def test_its_sources_must_exist_and_agree(self, filled: Any) -> None:
        other = TableRef("project", "dataset", "other")
        with pytest.raises(NotFound):
            self.copy(filled, TABLE, other)
        filled.create(other, SCHEMA[:1], {})
        with pytest.raises(InvalidRequest):
            self.copy(filled, TABLE, other)

    def test_its_sources_are_compared_by_type_not_by_mode(self, filled: Any) -> None:
        other = TableRef("project", "dataset", "other")
        filled.create(other, (Field("id", "INTEGER"), Field("name", "STRING")), {})
        filled.append(other, rows_to_arrow([{"name": "new"}], filled.schemas[other]))
        assert self.copy(filled, TABLE, other) == 2
        copied = filled.schemas[TableRef("project", "dataset", "copy")]
        assert [field.mode for field in copied] == [Mode.NULLABLE, Mode.NULLABLE]
        filled.schemas[other] = (Field("id", "INTEGER"), Field("name", "JSON"))
        with pytest.raises(InvalidRequest, match="different schemas"):
            self.copy(filled, TABLE, other)

    def test_snapshots_are_no_copies(self) -> None:
        assert is_plain_copy({}) and is_plain_copy({"operationType": "COPY"})
        assert not is_plain_copy({"operationType": "SNAPSHOT"})


class TestExtract:
    def extract(self, warehouse: Any, *uris: str, **options: Any) -> dict[str, bytes]:
        written: dict[str, bytes] = {}

        def answer(request: httpx.Request) -> httpx.Response:
            written[request.url.params["name"]] = request.content
            return httpx.Response(200, json={})

        transport = httpx.MockTransport(answer)
        objects = ObjectStore(httpx.AsyncClient(base_url="http://s", transport=transport))
        job = {"sourceTable": TABLE.to_rest(), "destinationUris": uris, **options}
        counts = asyncio.run(run_extract(job, "project", objects, warehouse))
        assert counts == [1] * len(uris)
        return written

    def test_it_writes_a_file(self, filled: Any) -> None:
        assert self.extract(filled, "gs://b/*.csv") == {"000000000000.csv": b"id,name\n0,old\n"}

    def test_it_shares_the_rows_among_its_uris(self, filled: Any) -> None:
        filled.append(TABLE, rows_to_arrow([{"id": 1, "name": "x"}], SCHEMA))
        written = self.extract(filled, "gs://b/1", "gs://b/2", printHeader=False)
        assert written == {"1": b"0,old\n", "2": b"1,x\n"}

    def test_an_empty_table_is_an_empty_file(self, warehouse: Any) -> None:
        warehouse.create(TABLE, SCHEMA, {})
        json_lines = {"destinationFormat": "NEWLINE_DELIMITED_JSON"}
        assert self.extract(warehouse, "gs://b/x", **json_lines) == {"x": b""}

    def test_it_needs_a_table_and_a_place(self, warehouse: Any) -> None:
        with pytest.raises(NotFound):
            self.extract(warehouse, "gs://b/x")
        with pytest.raises(InvalidRequest):
            self.extract(warehouse)
        with pytest.raises(InvalidRequest):
            self.extract(warehouse, "/tmp/x")  # noqa: S108 - refused


class TestQueryDestination:
    def run(self, warehouse: Any, finished: dict[str, Any], **query: Any) -> dict[str, Any]:
        """Run a query job whose rows are one {"id": 1, "name": "new"}."""
        warehouse.query_result = lambda _: (
            SCHEMA,
            rows_to_arrow([{"id": 1, "name": "new"}], SCHEMA),
        )
        self.amended: dict[str, Any] = {}
        warehouse.amend_job = lambda _project, _job, changes: self.amended.update(changes)
        warehouse.unsettled_jobs = nullcontext
        warehouse.recording_amended = lambda *_: warehouse
        self.sent: dict[str, Any] = {}

        async def run(job: dict[str, Any]) -> dict[str, Any]:
            self.sent = job
            return {"jobReference": {"jobId": "j"}, **finished}

        job = {"configuration": {"query": {"query": "SELECT", **DESTINATION, **query}}}
        return asyncio.run(run_into_table(job, "project", run, warehouse))

    def test_the_rows_go_to_the_table(self, warehouse: Any) -> None:
        done = self.run(warehouse, {"status": {"state": "DONE"}}, writeDisposition="WRITE_TRUNCATE")
        assert names(warehouse) == ["new"]
        # bqemulator is to know nothing of it, or it would write the rows once more.
        assert self.sent["configuration"]["query"] == {"query": "SELECT"}
        assert done["configuration"]["query"]["destinationTable"] == TABLE.to_rest()
        assert self.amended["configuration"] == done["configuration"]

    def test_a_query_that_failed_writes_nothing(self, warehouse: Any) -> None:
        error = {"reason": "invalidQuery", "message": "no"}
        done = self.run(warehouse, {"status": {"state": "DONE", "errorResult": error}})
        assert done["status"]["errorResult"] == error
        assert warehouse.rows == {}

    def test_a_table_that_is_not_empty_fails_the_job(self, filled: Any) -> None:
        done = self.run(filled, {"status": {"state": "DONE"}})
        assert done["status"]["errorResult"]["reason"] == "duplicate"
        assert self.amended["error_result"]["reason"] == "duplicate"
        assert names(filled) == ["old"]

    def test_a_job_that_ends_by_a_fault_is_not_found_done(self, filled: Any) -> None:
        filled.schema = lambda _table: 1 / 0
        with pytest.raises(ZeroDivisionError):
            self.run(filled, {"status": {"state": "DONE"}})
        assert self.amended["error_result"]["reason"] == "internalError"

    @pytest.mark.parametrize(
        ("configuration", "has"),
        [
            ({"query": {"query": "x", **DESTINATION}}, True),
            ({"query": {"query": "x"}}, False),
            ({"query": {"query": "x", **DESTINATION}, "dryRun": True}, False),
            ({"load": DESTINATION}, False),
        ],
    )
    def test_only_queries_that_run_have_a_destination(
        self, configuration: dict[str, Any], has: bool
    ) -> None:
        assert has_destination({"configuration": configuration}) is has
