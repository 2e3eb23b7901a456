"""GEOGRAPHY values: points, lines and polygons, read from text and written as BigQuery does.

Sources: "Loading geospatial data", supported formats (WKT, GeoJSON and hexadecimal WKB), and
"Geography functions", ST_ASTEXT (https://cloud.google.com/bigquery/docs/geospatial-data). What is
not done: edges that cross are no error, and the direction of a ring stays as it is.
"""

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tf_dataflow_serving.services.bigquery.types.geography_order import cell_of

Position = tuple[float, float]
"""Degrees: longitude, latitude."""

_POINT, _LINE, _POLYGON = "POINT", "LINESTRING", "POLYGON"
_COLLECTION = "GEOMETRYCOLLECTION"
# By their codes in WKB.
_NAMES = ("", _POINT, _LINE, _POLYGON, "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", _COLLECTION)
_HALF_TURN = 90
_TOKEN = re.compile(r"\s*(?:[A-Za-z]+|[-+]?[\d.]+(?:[eE][-+]?\d+)?|[(),])")
_HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True)
class _Shape:
    """One point, line or polygon; a point has one ring of one position, a line one ring."""

    kind: str
    rings: tuple[tuple[Position, ...], ...]


Shapes = tuple[_Shape, ...]


def canonical_text(text: str) -> str:
    """The WKT that BigQuery answers with for a value as it was sent; raises ValueError."""
    try:
        return _written(_read(text.strip()))
    except (TypeError, IndexError, RecursionError) as error:
        raise ValueError(f"not nested as its shape demands: {error}") from error


def text_of(wkb: bytes) -> str:
    """The WKT that BigQuery answers with for a value in WKB; raises ValueError."""
    return _written(_read_wkb(wkb))


def _read(text: str) -> Shapes:
    if text.startswith("{"):
        return tuple(_from_geojson(json.loads(text)))
    if _HEXADECIMAL.fullmatch(text):
        return _read_wkb(bytes.fromhex(text))
    return tuple(_Wkt(text).shapes())


class _Wkt:
    """What is left of a text: `POLYGON((0 0, 1 1, 0 1, 0 0))`."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))

    def shapes(self) -> Iterator[_Shape]:
        """All that the text holds; raises ValueError unless that is one value."""
        yield from self._value()
        if self._tokens:
            raise ValueError(f"unexpected {self._tokens[0]!r}")

    def _value(self) -> Iterator[_Shape]:
        kind = self._next().upper()
        if kind not in _NAMES[1:]:
            raise ValueError(f"unknown shape {kind!r}")
        if self._peek().upper() == "EMPTY":
            self._next()
        elif kind == _COLLECTION:
            for part in self._list(lambda: list(self._value())):
                yield from part
        else:
            yield from _shapes(kind, self._nested())

    def _nested(self) -> Any:
        """A position, or a list of what is nested."""
        if self._peek() == "(":
            return self._list(self._nested)
        return self._position()

    def _list(self, item: Any) -> list[Any]:
        self._expect("(")
        items = [item()]
        while self._peek() == ",":
            self._next()
            items.append(item())
        self._expect(")")
        return items

    def _position(self) -> Position:
        return float(self._next()), float(self._next())

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _next(self) -> str:
        if not self._tokens:
            raise ValueError("unexpected end")
        return self._tokens.pop(0)

    def _expect(self, sign: str) -> None:
        found = self._next()
        if found != sign:
            raise ValueError(f"expected {sign!r}, found {found!r}")


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected {text[position:][:10]!r}")
        yield match[0].strip()
        position = match.end()


def _from_geojson(value: Any) -> Iterator[_Shape]:
    if not isinstance(value, Mapping):
        raise ValueError("no GeoJSON object")
    kind = str(value.get("type")).upper()
    if kind == _COLLECTION:
        for part in value.get("geometries") or ():
            yield from _from_geojson(part)
    elif kind in _NAMES[1:]:
        coordinates = value.get("coordinates")
        yield from _shapes(kind, [coordinates] if kind == _POINT else coordinates)
    else:
        raise ValueError(f"unknown shape {kind!r}")


def _shapes(kind: str, nested: Any) -> Iterator[_Shape]:
    """The parts of a value that is no collection, by its nested lists of positions."""
    if kind == _POINT:
        yield _shape(_POINT, [nested])
    elif kind == "MULTIPOINT":
        for part in nested:
            yield _shape(_POINT, [part if isinstance(part[0], list | tuple) else [part]])
    elif kind == _LINE:
        yield _shape(_LINE, [nested])
    elif kind == "MULTILINESTRING":
        yield from (_shape(_LINE, [line]) for line in nested)
    elif kind == _POLYGON:
        yield _shape(_POLYGON, nested)
    else:
        yield from (_shape(_POLYGON, polygon) for polygon in nested)


def _shape(kind: str, rings: Any) -> _Shape:
    """Raises ValueError for what is no shape of this kind on the globe."""
    checked = tuple(tuple(_checked(position) for position in ring) for ring in rings)
    fewest, most = {_POINT: (1, 1), _LINE: (2, None), _POLYGON: (4, None)}[kind]
    for ring in checked:
        if len(ring) < fewest or (most is not None and len(ring) > most):
            raise ValueError(f"{len(ring)} positions are no {kind}")
        if kind == _POLYGON and ring[0] != ring[-1]:
            raise ValueError("the ring of a polygon is not closed")
    return _Shape(kind, checked)


def _checked(position: Any) -> Position:
    longitude, latitude = (float(degrees) for degrees in position)
    if not math.isfinite(longitude) or not abs(latitude) <= _HALF_TURN:
        raise ValueError(f"latitude must be between -90 and 90 degrees: {latitude}")
    return longitude, latitude


def _read_wkb(wkb: bytes) -> Shapes:
    shapes, end = _wkb_value(wkb, 0)
    if end != len(wkb):
        raise ValueError("WKB is longer than its value")
    return tuple(shapes)


def _wkb_value(wkb: bytes, start: int) -> tuple[list[_Shape], int]:
    try:
        order = "<" if wkb[start] else ">"
        (code,) = struct.unpack_from(f"{order}I", wkb, start + 1)
        kind = _NAMES[code] if 0 < code < len(_NAMES) else ""
        if not kind:
            raise ValueError(f"unknown shape in WKB: {code}")
        if kind.startswith("MULTI") or kind == _COLLECTION:
            return _wkb_parts(wkb, start + 5, order)
        return _wkb_shape(kind, wkb, start + 5, order)
    except (struct.error, IndexError) as error:
        raise ValueError("WKB ends early") from error


def _wkb_parts(wkb: bytes, start: int, order: str) -> tuple[list[_Shape], int]:
    (count,) = struct.unpack_from(f"{order}I", wkb, start)
    parts: list[_Shape] = []
    end = start + 4
    for _ in range(count):
        shapes, end = _wkb_value(wkb, end)
        parts += shapes
    return parts, end


def _wkb_shape(kind: str, wkb: bytes, start: int, order: str) -> tuple[list[_Shape], int]:
    if kind == _POINT:
        position = struct.unpack_from(f"{order}dd", wkb, start)
        # An empty point has no other form in WKB.
        empty = math.isnan(position[0])
        return ([] if empty else [_shape(_POINT, [[position]])]), start + 16
    rings, end = [], start
    count = 1
    if kind == _POLYGON:
        (count,) = struct.unpack_from(f"{order}I", wkb, start)
        end = start + 4
    for _ in range(count):
        (length,) = struct.unpack_from(f"{order}I", wkb, end)
        flat = struct.unpack_from(f"{order}{2 * length}d", wkb, end + 4)
        rings.append(list(zip(flat[::2], flat[1::2], strict=True)))
        end += 4 + 16 * length
    return ([_shape(kind, rings)] if any(rings) else []), end


def _written(shapes: Shapes) -> str:
    simple = _simplified(shapes)
    kinds = {shape.kind for shape in simple}
    if not simple:
        return f"{_COLLECTION} EMPTY"
    if len(simple) == 1:
        return f"{simple[0].kind}{_body(simple[0])}"
    if len(kinds) > 1:
        return f"{_COLLECTION}({', '.join(f'{shape.kind}{_body(shape)}' for shape in simple)})"
    if kinds == {_POINT}:
        return f"MULTIPOINT({', '.join(_degrees(shape.rings[0][0]) for shape in simple)})"
    return f"MULTI{simple[0].kind}({', '.join(map(_body, simple))})"


def _simplified(shapes: Shapes) -> Shapes:
    """Every point once, in the order of their cells, but for those that others go through."""
    others = tuple(shape for shape in shapes if shape.kind != _POINT)
    covered = {position for shape in others for ring in shape.rings for position in ring}
    points = {shape.rings[0][0]: shape for shape in shapes if shape.kind == _POINT}
    left = [shape for position, shape in points.items() if position not in covered]
    return (*sorted(left, key=lambda shape: cell_of(*shape.rings[0][0])), *others)


def _body(shape: _Shape) -> str:
    rings = ", ".join(f"({', '.join(map(_degrees, ring))})" for ring in shape.rings)
    return f"({rings})" if shape.kind == _POLYGON else rings


def _degrees(position: Position) -> str:
    return " ".join(f"{degrees + 0:.15g}" for degrees in position)
