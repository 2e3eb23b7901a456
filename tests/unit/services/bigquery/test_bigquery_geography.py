"""GEOGRAPHY values are read as BigQuery reads them, and written as it does."""

import struct

import pytest

from tf_dataflow_serving.services.bigquery.types.geography import canonical_text, text_of

POINT = struct.pack("<BIdd", 1, 1, 30.0, 10.0)
# From Beam's bigquery_geography_it_test, which was recorded on BigQuery.
RECORDED = [
    ("POINT(-122.419416 37.774929)", "POINT(-122.419416 37.774929)"),
    (
        "MULTIPOINT((10 40), (40 30), (20 20), (30 10))",
        "MULTIPOINT(20 20, 10 40, 40 30, 30 10)",
    ),
    ("GEOMETRYCOLLECTION(POINT(4 6), LINESTRING(4 6, 7 10))", "LINESTRING(4 6, 7 10)"),
    (
        "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 1, 0 0)), ((2 2, 3 2, 3 3, 2 3, 2 2)))",
        "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 1, 0 0)), ((2 2, 3 2, 3 3, 2 3, 2 2)))",
    ),
]


@pytest.mark.parametrize(("sent", "told"), RECORDED)
def test_values_are_told_as_bigquery_tells_them(sent: str, told: str) -> None:
    assert canonical_text(sent) == told


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("point (30 10)", "POINT(30 10)"),
        (POINT.hex(), "POINT(30 10)"),
        ('{"type": "Point", "coordinates": [30, 10.5]}', "POINT(30 10.5)"),
        (
            '{"type": "GeometryCollection", "geometries": [{"type": "LineString",'
            ' "coordinates": [[0, 0], [1, 1]]}, {"type": "Point", "coordinates": [5, 5]}]}',
            "GEOMETRYCOLLECTION(POINT(5 5), LINESTRING(0 0, 1 1))",
        ),
        ("MULTIPOINT(1 2, 1 2)", "POINT(1 2)"),
        ("POINT EMPTY", "GEOMETRYCOLLECTION EMPTY"),
        ("POLYGON((0 0,0 9,9 9,0 0),(1 2,1 3,2 3,1 2))",) * 2,
    ],
)
def test_text_geojson_and_hexadecimal_wkb_are_read(sent: str, told: str) -> None:
    assert canonical_text(sent) == told.replace(",", ", ").replace(",  ", ", ")


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "POINT(1)", "POINT(1 2", "POINT(1 2) x", "POINT(1 91)", "POINT(1 2 3)"),
        *("CIRCLE(1 2)", "LINESTRING(1 2)", "LINESTRING((1 2), (3 4))", "POLYGON(1 2)"),
        *("POLYGON((0 0, 1 1, 0 0))", "POLYGON((0 0, 1 1, 1 0, 0 1))", "{}", '{"type": 3}'),
        *(POINT.hex()[:-2], POINT.hex() + "00", "09" * 21, "POINT(nan 1)"),
    ],
)
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_text(text)


def test_wkb_of_either_order_is_read() -> None:
    big = struct.pack(">BIdd", 0, 1, 30.0, 10.0)
    assert {text_of(POINT), text_of(big)} == {"POINT(30 10)"}


def test_wkb_of_several_shapes_is_read() -> None:
    line = struct.pack("<BII4d", 1, 2, 2, 0.0, 0.0, 1.0, 1.0)
    polygon = struct.pack("<BIII8d", 1, 3, 1, 4, 5.0, 5.0, 6.0, 5.0, 6.0, 6.0, 5.0, 5.0)
    collection = struct.pack("<BII", 1, 7, 3) + POINT + line + polygon
    assert text_of(collection) == (
        "GEOMETRYCOLLECTION(POINT(30 10), LINESTRING(0 0, 1 1), POLYGON((5 5, 6 5, 6 6, 5 5)))"
    )


def test_an_empty_point_has_no_numbers_in_wkb() -> None:
    nan = float("nan")
    assert text_of(struct.pack("<BIdd", 1, 1, nan, nan)) == "GEOMETRYCOLLECTION EMPTY"
