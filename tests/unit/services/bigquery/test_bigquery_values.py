import base64
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidData, Unsupported
from tf_dataflow_serving.services.bigquery.types.schema import Field, Mode
from tf_dataflow_serving.services.bigquery.types.values import (
    UnknownFields,
    field_converter,
    record_converter,
)

REJECT, IGNORE = UnknownFields.REJECT, UnknownFields.IGNORE


def convert(kind: str, value: Any) -> Any:
    return field_converter(Field("x", kind), REJECT)(value)


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        ("INTEGER", "12", 12),
        ("INTEGER", 12.0, 12),
        ("INTEGER", -(2**63), -(2**63)),
        ("FLOAT", "1.5", 1.5),
        ("FLOAT", 3, 3.0),
        ("FLOAT", "-Infinity", -math.inf),
        ("BOOLEAN", "True", True),
        ("BOOLEAN", False, False),
        ("BOOLEAN", "f", False),
        ("STRING", 5, "5"),
        ("STRING", True, "true"),
        ("BYTES", "AP8Q", b"\x00\xff\x10"),
        ("BYTES", "-_8=", b"\xfb\xff"),
        ("NUMERIC", "1.0000000005", Decimal("1.000000001")),
        ("NUMERIC", 0.1, Decimal("0.100000000")),
        ("NUMERIC", "99999999999999999999999999999.999999999", Decimal("9" * 29 + ".999999999")),
        ("BIGNUMERIC", "1e-38", Decimal("1e-38")),
        ("DATE", "2024-02-29", date(2024, 2, 29)),
        ("TIME", "01:02:03.5", time(1, 2, 3, 500_000)),
        ("DATETIME", "2024-01-02 03:04:05", datetime(2024, 1, 2, 3, 4, 5)),
        ("DATETIME", "2024-01-02T03:04:05.000006", datetime(2024, 1, 2, 3, 4, 5, 6)),
        ("TIMESTAMP", "2024-01-02 03:04:05.000006 UTC", datetime(2024, 1, 2, 3, 4, 5, 6, UTC)),
        ("TIMESTAMP", "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, 0, UTC)),
        ("TIMESTAMP", "2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 1, 4, 5, 0, UTC)),
        ("TIMESTAMP", "2024-01-02", datetime(2024, 1, 2, 0, 0, 0, 0, UTC)),
        ("TIMESTAMP", 1.5, datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)),
        ("TIMESTAMP", "1704164645.000006", datetime(2024, 1, 2, 3, 4, 5, 6, UTC)),
        ("JSON", '{"a": 1}', '{"a": 1}'),
        ("JSON", {"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_values_take_their_type(kind: str, sent: Any, kept: Any) -> None:
    converted = convert(kind, sent)
    assert converted == kept
    assert type(converted) is type(kept)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("INTEGER", "1.5"),
        ("INTEGER", 1.5),
        ("INTEGER", True),
        ("INTEGER", 2**63),
        ("INTEGER", math.nan),
        ("FLOAT", "x"),
        ("FLOAT", True),
        ("BOOLEAN", "maybe"),
        ("BOOLEAN", 2),
        ("STRING", {"a": 1}),
        ("STRING", ["a"]),
        ("BYTES", "not base64!"),
        ("BYTES", 5),
        ("NUMERIC", "1e29"),
        ("NUMERIC", "NaN"),
        ("NUMERIC", "x"),
        ("DATE", "2024-02-30"),
        ("DATE", 5),
        ("TIME", "25:00:00"),
        ("DATETIME", "2024-01-02T03:04:05Z"),
        ("TIMESTAMP", "yesterday"),
        ("TIMESTAMP", True),
        ("TIMESTAMP", 1e20),
        ("JSON", "{"),
    ],
)
def test_values_that_do_not_fit_name_their_field(kind: str, sent: Any) -> None:
    with pytest.raises(InvalidData) as caught:
        convert(kind, sent)
    assert caught.value.location == "x"


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_integer_survives_as_text(number: int) -> None:
    assert convert("INTEGER", str(number)) == number


@given(st.binary())
def test_bytes_survive_base64(content: bytes) -> None:
    assert convert("BYTES", base64.b64encode(content).decode()) == content
    assert convert("BYTES", base64.urlsafe_b64encode(content).decode()) == content


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28
    )
)
def test_numerics_survive_as_text(number: Decimal) -> None:
    assert convert("NUMERIC", str(number)) == number


ZONES = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES))
def test_timestamps_keep_their_microseconds(moment: datetime) -> None:
    assert convert("TIMESTAMP", moment.isoformat()) == moment
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    assert convert("TIMESTAMP", f"{utc.isoformat(sep=' ')} UTC") == moment


def test_unknown_types_are_not_supported() -> None:
    with pytest.raises(Unsupported):
        field_converter(Field("x", "INTERVAL"), REJECT)


RECORD = (
    Field("id", "INTEGER", Mode.REQUIRED),
    Field("tags", "STRING", Mode.REPEATED),
    Field("inner", "RECORD", fields=(Field("n", "INTEGER", Mode.REQUIRED), Field("s", "STRING"))),
)


def test_absent_fields_are_null_or_empty() -> None:
    assert record_converter(RECORD, REJECT)({"id": 1}) == {"id": 1, "tags": [], "inner": None}


def test_names_are_matched_without_case() -> None:
    assert record_converter(RECORD, REJECT)({"ID": 1, "Tags": ["a"]})["tags"] == ["a"]


@pytest.mark.parametrize(
    ("record", "location"),
    [
        ({}, "id"),
        ({"id": None}, "id"),
        ({"id": 1, "other": 2}, "other"),
        ({"id": 1, "tags": "a"}, "tags"),
        ({"id": 1, "tags": ["a", None]}, "tags"),
        ({"id": 1, "inner": [1]}, "inner"),
        ({"id": 1, "inner": {"s": "x"}}, "inner.n"),
        ({"id": 1, "inner": {"n": 1, "t": 2}}, "inner.t"),
        ({"id": 1, "inner": {"n": "x"}}, "inner.n"),
    ],
)
def test_records_that_do_not_fit_name_the_path(record: dict[str, Any], location: str) -> None:
    with pytest.raises(InvalidData) as caught:
        record_converter(RECORD, REJECT)(record)
    assert caught.value.location == location


def test_unknown_fields_are_ignored_on_demand() -> None:
    record = {"id": 1, "other": 2, "inner": {"n": 1, "t": 2}}
    assert record_converter(RECORD, IGNORE)(record)["inner"] == {"n": 1, "s": None}
