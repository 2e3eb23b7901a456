"""What a call costs by the model itself and by the service: the difference is its overhead."""

import pytest

from tf_dataflow_serving.inference.local import estimate_local

pytestmark = pytest.mark.benchmark(warmup=True, warmup_iterations=5, max_time=1.0)


def test_local(benchmark, batch):
    assert len(benchmark(estimate_local, batch)) == len(batch)


def test_online(benchmark, online, batch):
    assert len(benchmark(online.estimate, batch)) == len(batch)
