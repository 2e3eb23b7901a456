"""Long-running operations and their names."""

import itertools
from datetime import UTC, datetime

from tf_dataflow_serving.services.prediction.operations import Operations

NOW = datetime(2020, 1, 2, tzinfo=UTC)


def test_a_name_ends_with_an_id_that_no_other_start_gives():
    ids = map(str, itertools.count(700))
    names = [
        Operations(lambda: NOW, lambda: next(ids)).completed("operations/", {}, {}).name
        for _ in range(2)
    ]
    assert names == ["operations/700", "operations/701"]
