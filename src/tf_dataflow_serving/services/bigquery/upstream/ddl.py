"""The statements that make and drop tables.

The emulator's own way to make a table (tables.insert) leaves names in records unquoted, and
knows neither the newer type names nor BIGNUMERIC.
"""

from collections.abc import Mapping

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

# BigQuery has tables without columns, SQL has not.
PLACEHOLDER = Field("_no_columns", "INTEGER")

_SQL_TYPES: Mapping[str, str] = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "STRING": "STRING",
    "BYTES": "BYTES",
    "NUMERIC": "NUMERIC",
    "BIGNUMERIC": "BIGNUMERIC",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "DATETIME",
    "TIMESTAMP": "TIMESTAMP",
    "JSON": "JSON",
    "GEOGRAPHY": "GEOGRAPHY",
}


def quoted(name: str) -> str:
    """A name in backquotes; without them, the variables of earlier scripts take its place.

    Raises InvalidRequest for a name that would end them.
    """
    if "`" in name or "\\" in name:
        raise InvalidRequest(f"Invalid name: {name!r}", name)
    return f"`{name}`"


def table_path(table: TableRef) -> str:
    """The full name of a table, quoted."""
    return ".".join(quoted(part) for part in (table.project, table.dataset, table.table))


def create_statement(table: TableRef, schema: Schema) -> str:
    """CREATE TABLE; the emulator keeps no partitioning or clustering. Raises Unsupported."""
    columns = ", ".join(_column(field) for field in schema or (PLACEHOLDER,))
    return f"CREATE TABLE {table_path(table)} ({columns})"


def single_type(field: Field) -> str:
    """The SQL type of one value of a field, even if it is repeated; raises Unsupported."""
    if field.type == "RECORD":
        children = (f"{quoted(child.name)} {_type(child)}" for child in field.fields)
        return f"STRUCT<{', '.join(children)}>"
    try:
        return _SQL_TYPES[field.type]
    except KeyError:
        message = f"Columns of type {field.type} are not supported"
        raise Unsupported(message, field.name) from None


def _type(field: Field) -> str:
    single = single_type(field)
    return f"ARRAY<{single}>" if field.mode is Mode.REPEATED else single


def _column(field: Field) -> str:
    constraint = " NOT NULL" if field.mode is Mode.REQUIRED else ""
    return f"{quoted(field.name)} {_type(field)}{constraint}"
