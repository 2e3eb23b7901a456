"""Tables, and partitions of them, which bqemulator knows nothing of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tf_dataflow_serving.services.bigquery.embedded.database import Database
from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, NotFound
from tf_dataflow_serving.services.bigquery.paging import page_of
from tf_dataflow_serving.services.bigquery.protocol.forwarding import Emulator
from tf_dataflow_serving.services.bigquery.protocol.rest import (
    body_of,
    integer,
    json_response,
    relayed,
    table_of,
)
from tf_dataflow_serving.services.bigquery.schema_updates import ALL_UPDATES, merged
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import Schema, schema_from_rest
from tf_dataflow_serving.services.bigquery.upstream.cells import TimestampForm, rest_rows
from tf_dataflow_serving.services.bigquery.warehouse import count_rows, read_rows

_ROWS_A_PAGE = 10_000


@dataclass(frozen=True)
class TableRoutes:
    """The handlers of the routes of one table."""

    emulator: Emulator
    database: Database

    async def get(self, request: Request) -> Response:
        """Count the rows: bqemulator's number is that of the last load."""
        table = table_of(request)
        response = await self.emulator.send(_of_base(request))
        if response.is_error or self.database.schema(table.base) is None:
            return relayed(response)
        resource = response.json()
        if resource.get("type") == "TABLE":
            resource["numRows"] = str(count_rows(self.database, table))
            # Clients list the rows of the table that is named here.
            resource["tableReference"] = table.to_rest()
            resource["id"] = str(table)
        return json_response(resource)

    async def list_rows(self, request: Request) -> Response:
        """List the rows of a partition ourselves."""
        table = table_of(request)
        if not table.partition:
            return relayed(await self.emulator.send(request))
        schema = self._schema(table)
        selected = request.query_params.get("selectedFields")
        if selected:
            wanted = selected.split(",")
            schema = tuple(field for field in schema if field.name in wanted)
        return json_response(_listing(request, table, schema, self.database))

    async def change(self, request: Request) -> Response:
        """Change the schema of the table too: bqemulator changes what it tells of it only."""
        body = await body_of(request)
        fields = (body.get("schema") or {}).get("fields")
        table = table_of(request)
        if fields and self.database.schema(table):
            self._change_schema(table, schema_from_rest(fields))
        return relayed(await self.emulator.send(request, body))

    def _change_schema(self, table: TableRef, wanted: Schema) -> None:
        known = self._schema(table)
        updated = merged(table, known, wanted, ALL_UPDATES)
        missing = {field.name for field in known} - {field.name for field in wanted}
        if missing:
            message = f"Provided Schema does not match Table {table}."
            raise InvalidRequest(f"{message} Field {missing.pop()} is missing in new schema")
        self.database.update_schema(table, updated)

    def _schema(self, table: TableRef) -> Schema:
        schema = self.database.schema(table.base)
        if schema is None:
            raise NotFound(f"Not found: Table {table}")
        return schema


def _listing(
    request: Request, table: TableRef, schema: Schema, database: Database
) -> Mapping[str, Any]:
    query = request.query_params
    rows = read_rows(database, table).select([field.name for field in schema])
    size = integer(query.get("maxResults"))
    start = query.get("pageToken") or query.get("startIndex")
    numbers = page_of(range(rows.num_rows), _ROWS_A_PAGE if size is None else size, start)
    first = numbers.items[0] if numbers.items else 0
    page = rows.slice(first, len(numbers.items))
    listing = {
        "kind": "bigquery#tableDataList",
        "totalRows": str(rows.num_rows),
        "rows": rest_rows(page, schema, TimestampForm.MICROSECONDS),
    }
    return listing | ({"pageToken": numbers.next_token} if numbers.next_token else {})


def _of_base(request: Request) -> Request:
    """The same request for the whole table."""
    table = table_of(request)
    if not table.partition:
        return request
    path = request.url.path.rpartition("/")[0] + "/" + table.base.table
    return Request({**request.scope, "path": path, "raw_path": path.encode()}, request.receive)
