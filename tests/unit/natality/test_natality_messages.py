"""Messages there and back, and the rows that they end as."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.natality.instance import Instance
from tf_dataflow_serving.natality.messages import (
    InvalidMessage,
    Message,
    decode,
    encode,
    format_timestamp,
    prediction_row,
)
from tf_dataflow_serving.natality.schema import PREDICTION_SCHEMA

MOMENT = datetime(2017, 10, 1, 12, 0, 0, 123456, tzinfo=UTC)
ATTRIBUTES = {"source_id": "7", "source_timestamp": "2017-10-01T12:00:00.123456Z"}

moments = st.datetimes(
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 1, 1),
    timezones=st.timezones() | st.just(UTC),
)


@given(st.integers(-(2**63), 2**63 - 1), moments)
def test_round_trip(source_id: int, moment: datetime) -> None:
    instance = Instance(
        is_male="True",
        mother_age=26.5,
        mother_race="Samaon",
        plurality=1.0,
        gestation_weeks=39,
        mother_married="False",
        cigarette_use="None",
        alcohol_use="False",
    )
    data, attributes = encode(instance, source_id, moment)
    message = decode(data, attributes)
    # In UTC, as an hour that a clock skips equals itself in no other zone.
    assert message == Message(source_id, moment.astimezone(UTC), instance)
    assert message.source_timestamp.tzinfo is UTC
    assert decode(data, {}) == message


@given(st.binary() | st.text().map(str.encode), st.dictionaries(st.text(), st.text()))
def test_any_bytes_are_a_message_or_are_refused(data: bytes, attributes: dict[str, str]) -> None:
    try:
        decode(data, attributes)
    except InvalidMessage as invalid:
        assert str(invalid)


json_values = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()


@given(json_values, json_values)
def test_any_id_and_timestamp_are_usable_or_are_refused(
    source_id: object, timestamp: object
) -> None:
    body = {"source_id": source_id, "source_timestamp": timestamp}
    try:
        message = decode(json.dumps(body, allow_nan=True).encode(), {})
    except InvalidMessage as invalid:
        assert str(invalid)
    else:
        assert -(2**63) <= message.source_id < 2**63
        assert message.source_timestamp.utcoffset() == timedelta(0)


def test_message_carries_id_and_timestamp_in_data_and_attributes(sample: Instance) -> None:
    data, attributes = encode(sample, 7, MOMENT)
    assert json.loads(data) == {
        **sample,
        "source_id": 7,
        "source_timestamp": ATTRIBUTES["source_timestamp"],
    }
    assert attributes == ATTRIBUTES


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2017-10-01 12:00:00", datetime(2017, 10, 1, 12, tzinfo=UTC)),
        ("2017-10-01T12:00:00Z", datetime(2017, 10, 1, 12, tzinfo=UTC)),
        ("2017-10-01T14:00:00.5+02:00", datetime(2017, 10, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2017-10-01T12:00:00.123456789Z", MOMENT),
    ],
)
def test_timestamps_of_other_publishers(text: str, moment: datetime) -> None:
    body = {"source_id": 1, "source_timestamp": text}
    assert decode(json.dumps(body).encode(), {}).source_timestamp == moment


def test_attributes_stand_in_for_what_the_data_lack(sample: Instance) -> None:
    assert decode(json.dumps(sample).encode(), ATTRIBUTES) == Message(7, MOMENT, sample)


def test_data_count_more_than_attributes(sample: Instance) -> None:
    data, _ = encode(sample, 8, MOMENT)
    assert decode(data, ATTRIBUTES).source_id == 8
    with pytest.raises(InvalidMessage, match=r"^source_id is not an integer$"):
        decode(b'{"source_id": "x"}', ATTRIBUTES)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"a": NaN}'])
def test_data_that_are_not_json(data: bytes) -> None:
    with pytest.raises(InvalidMessage, match=r"^not JSON$"):
        decode(data, ATTRIBUTES)


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"text"'])
def test_data_that_are_not_an_object(data: bytes) -> None:
    with pytest.raises(InvalidMessage, match=r"^not a JSON object$"):
        decode(data, ATTRIBUTES)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, "source_id is missing"),
        ({"source_id": "1"}, "source_timestamp is missing"),
        ({**ATTRIBUTES, "source_id": "1.5"}, "source_id is not an integer"),
        ({**ATTRIBUTES, "source_id": str(2**63)}, "source_id is not an integer"),
        ({**ATTRIBUTES, "source_timestamp": "soon"}, "source_timestamp is not a timestamp"),
        (
            {**ATTRIBUTES, "source_timestamp": "0001-01-01T00:00:00+14:00"},
            "source_timestamp is not a timestamp",
        ),
    ],
)
def test_missing_or_malformed_id_and_timestamp(attributes: Mapping[str, str], reason: str) -> None:
    with pytest.raises(InvalidMessage, match=rf"^{reason}$"):
        decode(b"{}", attributes)


@pytest.mark.parametrize("value", [True, 1.0, [], {}, 2**63])
def test_ids_of_other_types(value: object) -> None:
    body = {"source_id": value, "source_timestamp": ATTRIBUTES["source_timestamp"]}
    with pytest.raises(InvalidMessage, match=r"^source_id is not an integer$"):
        decode(json.dumps(body).encode(), {})


def test_timestamps_need_a_time_zone(sample: Instance) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        encode(sample, 1, datetime(2017, 10, 1))


def test_timestamps_have_six_digits_in_utc() -> None:
    moment = datetime(2017, 10, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert format_timestamp(moment) == "2017-10-01T12:00:00.000000Z"


def test_prediction_row_has_the_tables_columns_and_types(sample: Instance) -> None:
    raw = {**sample, "mother_age": 26, "gestation_weeks": 39.0, "cigarette_use": "None"}
    later = MOMENT + timedelta(microseconds=1)
    row = prediction_row(Message(7, MOMENT, raw), 7.25, later)
    assert row == {
        "source_id": 7,
        "source_timestamp": "2017-10-01T12:00:00.123456Z",
        "predict_timestamp": "2017-10-01T12:00:00.123457Z",
        "estimated_weight": 7.25,
        "is_male": "True",
        "mother_age": 26.0,
        "mother_race": "Asian Indian",
        "plurality": 1.0,
        "gestation_weeks": 39,
        "mother_married": True,
        "cigarette_use": None,
        "alcohol_use": False,
    }
    assert list(row) == [field["name"] for field in PREDICTION_SCHEMA]
    assert isinstance(row["mother_age"], float)
    assert isinstance(row["gestation_weeks"], int)
    json.dumps(row)
