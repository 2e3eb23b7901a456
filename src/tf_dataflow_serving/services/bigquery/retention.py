"""Which of the results that are kept in memory must go, so that their total stays bounded."""

from collections.abc import Iterable
from typing import TypeVar

import pyarrow as pa

Key = TypeVar("Key")


def expendable(sizes: Iterable[tuple[Key, int]], budget: int) -> list[Key]:
    """The oldest keys, as many as must go until the rest fits; the newest always stays.

    `sizes` holds keys and their bytes, oldest first.
    """
    entries = list(sizes)
    excess = sum(size for _, size in entries) - budget
    gone: list[Key] = []
    for key, size in entries[:-1]:
        if excess <= 0:
            break
        gone.append(key)
        excess -= size
    return gone


def compacted(table: pa.Table) -> pa.Table:
    """The same table in no more memory than its size: DuckDB's take several times that."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()
