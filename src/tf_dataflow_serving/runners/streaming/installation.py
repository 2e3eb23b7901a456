"""Puts this package in the place of Beam's streaming local runner, and takes it out again."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from apache_beam.io.gcp import bigquery
from apache_beam.runners.direct import direct_runner, executor

from tf_dataflow_serving.runners.streaming.executor import StreamingExecutor
from tf_dataflow_serving.runners.streaming.pipeline_result import StreamingResult


class _Replacement(NamedTuple):
    owner: Any
    name: str
    value: Any


def row_size(row_and_insert_id: Any) -> int:
    """Return about how many bytes a row has in a request.

    Beam measures what it takes in memory (objsize), which takes longer than all else that its
    BigQuery sink does. It only uses the figure to end a batch before 9 MB.
    """
    return len(json.dumps(row_and_insert_id, default=str))


_REPLACEMENTS: Sequence[_Replacement] = (
    _Replacement(executor, "Executor", StreamingExecutor),
    _Replacement(direct_runner, "DirectPipelineResult", StreamingResult),
    _Replacement(bigquery, "get_deep_size", row_size),
    # DirectRunner would try Prism first, which it downloads from the internet.
    _Replacement(direct_runner.SwitchingDirectRunner, "_is_interactive", True),
)


def install() -> Callable[[], None]:
    """Run streaming pipelines on this machine from now on; returns what undoes it.

    Raises AttributeError if Beam no longer has what is replaced.
    """
    before = [one._replace(value=getattr(one.owner, one.name)) for one in _REPLACEMENTS]
    _put(_REPLACEMENTS)
    return lambda: _put(before)


@contextmanager
def installed() -> Iterator[None]:
    """Install for as long as the context lasts."""
    uninstall = install()
    try:
        yield
    finally:
        uninstall()


def _put(replacements: Sequence[_Replacement]) -> None:
    for one in replacements:
        setattr(one.owner, one.name, one.value)
