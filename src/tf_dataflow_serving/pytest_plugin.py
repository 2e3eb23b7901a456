"""Fixtures for the tests of Beam pipelines; what is heavy is imported by the fixtures."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def streaming_runner() -> Iterator[None]:
    """Run the test's streaming pipelines as `dataflow-serving run` and `exec` do.

    DirectRunner then reads Pub/Sub at least once and drains, and tries no download of Prism.
    """
    from tf_dataflow_serving.runners.streaming.installation import installed  # noqa: PLC0415

    with installed():
        yield
