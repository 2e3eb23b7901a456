"""Schemas that change, partitions, and what columns demand of their values."""

from decimal import Decimal
from typing import Any

import pytest

from tf_dataflow_serving.services.bigquery.errors import InvalidData, InvalidRequest, Unsupported
from tf_dataflow_serving.services.bigquery.jobs.load_options import refuse_unknown_options
from tf_dataflow_serving.services.bigquery.partitioning import parse_partition
from tf_dataflow_serving.services.bigquery.schema_updates import (
    ALL_UPDATES,
    NO_UPDATES,
    SchemaUpdate,
    fitted,
    merged,
    schema_updates,
)
from tf_dataflow_serving.services.bigquery.tables import TableRef
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode, Schema
from tf_dataflow_serving.services.bigquery.types.values import UnknownFields, field_converter
from tf_dataflow_serving.services.bigquery.types.wide_rows import rows_to_arrow
from tf_dataflow_serving.services.bigquery.warehouse import (
    Target,
    Write,
    count_rows,
    read_rows,
    store,
)

ADD, RELAX = frozenset({SchemaUpdate.ADD}), frozenset({SchemaUpdate.RELAX})
REQUIRED = Field("a", "INTEGER", Mode.REQUIRED)
RECORD = Field("r", "RECORD", fields=(Field("x", "INTEGER"),))
KNOWN = (REQUIRED, RECORD)
WIDER = Field("r", "RECORD", fields=(Field("x", "INTEGER"), Field("y", "STRING")))


class TestMerged:
    def test_fields_are_added_on_demand_in_records_too(self) -> None:
        added = (REQUIRED, WIDER, Field("n", "JSON"))
        assert merged("t", KNOWN, added, ADD) == added

    def test_fields_are_relaxed_on_demand(self) -> None:
        relaxed = Field("a", "INTEGER")
        assert merged("t", KNOWN, (relaxed, RECORD), RELAX) == (relaxed, RECORD)
        assert merged("t", KNOWN, (relaxed, RECORD), ADD) == KNOWN

    @pytest.mark.parametrize(
        ("added", "message"),
        [
            ((REQUIRED, Field("n", "STRING")), r"Cannot add fields \(field: n\)"),
            ((REQUIRED, WIDER), r"Cannot add fields \(field: r.y\)"),
            ((Field("a", "STRING"),), "a has changed type from INTEGER to STRING"),
            ((Field("a", "INTEGER", Mode.REPEATED),), "changed mode from REQUIRED to REPEATED"),
        ],
    )
    def test_other_changes_are_refused(self, added: Schema, message: str) -> None:
        with pytest.raises(InvalidRequest, match=f"does not match Table t. .*{message}"):
            merged("t", KNOWN, added, NO_UPDATES)

    def test_new_fields_are_never_required(self) -> None:
        with pytest.raises(InvalidRequest, match="Cannot add required fields"):
            merged("t", KNOWN, (Field("n", "STRING", Mode.REQUIRED),), ALL_UPDATES)

    def test_options_are_named_as_bigquery_does(self) -> None:
        assert schema_updates({"schemaUpdateOptions": ["ALLOW_FIELD_ADDITION"]}) == ADD
        with pytest.raises(InvalidRequest):
            schema_updates({"schemaUpdateOptions": ["ALLOW_ALL"]})


def test_rows_are_fitted_to_a_wider_schema() -> None:
    rows = rows_to_arrow([{"a": 1, "r": {"x": 2}}], KNOWN)
    wider = (REQUIRED, WIDER, Field("l", "INTEGER", Mode.REPEATED))
    assert fitted(rows, wider).to_pylist() == [{"a": 1, "r": {"x": 2, "y": None}, "l": []}]


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        ((REQUIRED,), {"a": None}),
        ((Field("r", "RECORD", fields=(REQUIRED,)),), {"r": {"a": None}}),
        ((Field("r", "RECORD", Mode.REPEATED, (REQUIRED,)),), {"r": [{"a": None}]}),
    ],
)
def test_nulls_in_required_fields_are_refused(schema: Schema, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="Missing required field"):
        fitted(rows_to_arrow([row], schema), schema)
    fitted(rows_to_arrow([], schema), schema)


DAYS = (Field("d", "DATE"), Field("x", "INTEGER"))
BY_DAY = {"timePartitioning": {"type": "DAY", "field": "d"}, "clustering": {"fields": ["x"]}}
TABLE = TableRef("project", "dataset", "t")
JANUARY = TableRef("project", "dataset", "t$20240131")


def days(*days: str | None) -> Any:
    convert = field_converter(DAYS[0], UnknownFields.REJECT)
    return rows_to_arrow([{"d": convert(day), "x": i} for i, day in enumerate(days)], DAYS)


@pytest.fixture
def partitioned(warehouse: Any) -> Any:
    store(warehouse, Target(TABLE, Write.APPEND, layout=BY_DAY), DAYS, days("2024-01-31", None))
    return warehouse


class TestPartitions:
    def test_a_decorator_names_the_rows_of_its_partition(self, partitioned: Any) -> None:
        assert read_rows(partitioned, JANUARY).num_rows == 1
        assert count_rows(partitioned, JANUARY) == 1
        assert count_rows(partitioned, TableRef("project", "dataset", "t$__NULL__")) == 1
        assert count_rows(partitioned, TableRef("project", "dataset", "t$20240201")) == 0

    def test_only_the_partition_is_replaced(self, partitioned: Any) -> None:
        store(partitioned, Target(JANUARY, Write.TRUNCATE), DAYS, days("2024-01-31", "2024-01-31"))
        assert [str(row["d"]) for row in partitioned.read(TABLE).to_pylist()] == [
            "None",
            "2024-01-31",
            "2024-01-31",
        ]

    def test_rows_of_other_partitions_are_refused(self, partitioned: Any) -> None:
        with pytest.raises(InvalidRequest, match="destination partition 20240131"):
            store(partitioned, Target(JANUARY, Write.TRUNCATE), DAYS, days("2024-01-30"))
        assert partitioned.count(TABLE) == 2

    def test_the_layout_outlives_another_schema(self, partitioned: Any) -> None:
        schema = (*DAYS, Field("n", "STRING"))
        rows = rows_to_arrow([{"d": None, "x": 1, "n": "a"}], schema)
        store(partitioned, Target(TABLE, Write.TRUNCATE), schema, rows)
        assert partitioned.layout(TABLE) == BY_DAY

    def test_another_partitioning_is_refused(self, partitioned: Any) -> None:
        monthly = {"timePartitioning": {"type": "MONTH", "field": "d"}}
        with pytest.raises(InvalidRequest, match="Incompatible table partitioning"):
            store(partitioned, Target(TABLE, Write.APPEND, layout=monthly), DAYS, days())

    @pytest.mark.parametrize(
        ("kind", "decorator", "start", "end"),
        [
            ("HOUR", "2024013123", "2024-01-31 23:00", "2024-02-01 00:00"),
            ("DAY", "20240229", "2024-02-29 00:00", "2024-03-01 00:00"),
            ("MONTH", "202412", "2024-12-01 00:00", "2025-01-01 00:00"),
            ("YEAR", "2024", "2024-01-01 00:00", "2025-01-01 00:00"),
            ("YEAR", "9999", "9999-01-01 00:00", "None"),
        ],
    )
    def test_of_time(self, kind: str, decorator: str, start: str, end: str) -> None:
        layout = {"timePartitioning": {"type": kind, "field": "ts"}}
        found = parse_partition(TableRef("p", "d", f"t${decorator}"), layout)
        assert found is not None
        assert str(found.start).removesuffix(":00+00:00") == start
        assert str(found.end).removesuffix(":00+00:00") == end

    def test_of_numbers(self) -> None:
        bounds = {"start": "0", "end": "25", "interval": "10"}
        layout = {"rangePartitioning": {"field": "i", "range": bounds}}
        found = parse_partition(TableRef("p", "d", "t$20"), layout)
        assert found is not None
        assert (found.start, found.end) == (20, 25)
        with pytest.raises(InvalidRequest):
            parse_partition(TableRef("p", "d", "t$5"), layout)

    @pytest.mark.parametrize("decorator", ["202401", "x", "20240230"])
    def test_that_cannot_be_are_refused(self, decorator: str) -> None:
        with pytest.raises(InvalidRequest, match="partition id"):
            parse_partition(TableRef("p", "d", f"t${decorator}"), BY_DAY)

    @pytest.mark.parametrize("layout", [{}, {"timePartitioning": {"type": "DAY"}}])
    def test_by_ingestion_time_are_refused(self, layout: dict[str, Any]) -> None:
        with pytest.raises(Unsupported, match="ingestion time"):
            parse_partition(JANUARY, layout)


class TestParameters:
    def convert(self, field: Field, value: Any) -> Any:
        return field_converter(field, UnknownFields.REJECT)(value)

    def test_a_fraction_is_rounded_and_a_longer_number_refused(self) -> None:
        field = Field("n", "NUMERIC", precision=5, scale=2)
        assert self.convert(field, "-1.005") == Decimal("-1.01")
        with pytest.raises(InvalidData):
            self.convert(field, "1000")

    @pytest.mark.parametrize(("kind", "value"), [("STRING", "äöü!"), ("BYTES", "AAAAAA==")])
    def test_longer_values_are_refused(self, kind: str, value: str) -> None:
        with pytest.raises(InvalidData):
            self.convert(Field("s", kind, max_length=3), value)
        assert self.convert(Field("s", kind, max_length=4), value)

    def test_they_are_kept_in_the_schema(self) -> None:
        resource = {"name": "n", "type": "NUMERIC", "mode": "NULLABLE", "precision": "5"}
        assert Field.from_rest(resource).to_rest() == resource


@pytest.mark.parametrize(
    "load",
    [
        {"hivePartitioningOptions": {"mode": "AUTO"}},
        {"jsonExtension": "GEOJSON"},
        {"decimalTargetTypes": ["STRING"]},
        {"timestampFormat": "YYYY"},
        {"sourceColumnMatch": "NAME"},
    ],
)
def test_options_that_are_not_honoured_are_refused(load: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=next(iter(load))):
        refuse_unknown_options(load)
