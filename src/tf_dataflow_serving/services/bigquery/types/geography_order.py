"""The order of points on the globe: along the Hilbert curve of S2's cells.

BigQuery gives the points of a MULTIPOINT in this order. Source: "S2 Cells", S2CellId numbering,
with the quadratic projection (http://s2geometry.io/devguide/s2cell_hierarchy).
"""

import math

_LEVELS = 30
# Where the curve goes within a cell, by its orientation: the quarter (ij) at each position.
_QUARTERS = ((0, 1, 3, 2), (0, 2, 3, 1), (3, 2, 0, 1), (3, 1, 0, 2))
_POSITIONS = tuple(tuple(quarters.index(ij) for ij in range(4)) for quarters in _QUARTERS)
_SWAP, _INVERT = 1, 2
_TURNS = (_SWAP, 0, 0, _SWAP | _INVERT)


def cell_of(longitude: float, latitude: float) -> int:
    """The number of the smallest cell at a point, given in degrees."""
    face, u, v = _projected(math.radians(longitude), math.radians(latitude))
    i, j = _coordinate(u), _coordinate(v)
    orientation, number = face & _SWAP, face
    for level in reversed(range(_LEVELS)):
        quarter = (i >> level & 1) << 1 | (j >> level & 1)
        position = _POSITIONS[orientation][quarter]
        number = number << 2 | position
        orientation ^= _TURNS[position]
    return number


def _projected(longitude: float, latitude: float) -> tuple[int, float, float]:
    """The face of the cube around the globe, and where on it, from -1 to 1."""
    x = math.cos(latitude) * math.cos(longitude)
    y = math.cos(latitude) * math.sin(longitude)
    z = math.sin(latitude)
    axis = max(range(3), key=lambda index: abs((x, y, z)[index]))
    depth = (x, y, z)[axis]
    if depth >= 0:
        u, v = ((y, z), (-x, z), (-x, -y))[axis]
        return axis, u / depth, v / depth
    u, v = ((z, y), (z, -x), (-y, -x))[axis]
    return axis + 3, u / depth, v / depth


def _coordinate(u: float) -> int:
    half = 0.5 * math.sqrt(1 + 3 * abs(u))
    share = half if u >= 0 else 1 - half
    return min(int(share * (1 << _LEVELS)), (1 << _LEVELS) - 1)
