"""Beam's streaming local runner, at least once and fast: what installs itself in its place.

Everything private of Beam that the local runner touches is touched in this package. It was written
for apache-beam 2.77; tests/unit/runners/streaming fails when those parts change.
"""
