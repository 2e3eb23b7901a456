"""What one call of the shipped model costs, from a list of instances to a list of pounds."""

from typing import Any

import pytest

from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.model.contract import Signature, load_signature
from tf_dataflow_serving.natality.generator import instances

BIRTHS = list(instances(10_000, seed=1))


@pytest.fixture(scope="module")
def signature() -> Signature:
    loaded = load_signature(str(SHIPPED))
    loaded.warm_up()
    return loaded


@pytest.mark.parametrize("size", [1, 10, 100, 1_000, 10_000])
def test_predict(benchmark: Any, signature: Signature, size: int) -> None:
    assert len(benchmark(signature.predict, BIRTHS[:size])) == size


def test_load(benchmark: Any) -> None:
    assert benchmark.pedantic(load_signature, (str(SHIPPED),), rounds=3)
