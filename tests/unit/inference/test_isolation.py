import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.failures import TooSlow
from tf_dataflow_serving.inference.isolation import isolate
from tf_dataflow_serving.inference.results import Rejected


class Service:
    """Doubles numbers; a None fails all that are asked for with it."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, items):
        self.calls += 1
        if None in items:
            raise PredictionRejected("None is no number")
        return [2.0 * item for item in items]


@given(st.lists(st.none() | st.integers(-1000, 1000), max_size=200))
def test_rejects_exactly_the_bad_ones(items):
    estimates = isolate(items, Service().predict)
    assert estimates == [
        Rejected("None is no number") if item is None else 2.0 * item for item in items
    ]


@given(st.integers(1, 500), st.integers(0, 10**6))
def test_one_bad_instance_costs_a_logarithm_of_calls(count, where):
    items: list[int | None] = [1] * count
    items[where % count] = None
    service = Service()
    isolate(items, service.predict)
    assert service.calls <= 2 * math.ceil(math.log2(count)) + 1


def test_a_good_batch_is_asked_for_once():
    service = Service()
    assert isolate([1, 2, 3], service.predict) == [2.0, 4.0, 6.0]
    assert service.calls == 1


def test_nothing_is_asked_for_nothing():
    service = Service()
    assert isolate([], service.predict) == []
    assert service.calls == 0


def test_an_endpoint_that_refuses_everything_is_asked_once():
    calls = []

    def refuse(items):
        calls.append(items)
        raise EndpointRefused("no such model")

    assert isolate([1, 2, 3], refuse) == [Rejected("no such model")] * 3
    assert len(calls) == 1


@given(st.lists(st.integers(), max_size=200), st.integers(1, 200))
def test_what_is_too_slow_is_asked_for_in_halves(items, most):
    sizes = []

    def predict(part):
        sizes.append(len(part))
        if len(part) > most:
            raise TooSlow("too many")
        return [float(item) for item in part]

    assert isolate(items, predict) == [float(item) for item in items]
    assert sum(size for size in sizes if size <= most) == len(items)


def test_one_item_that_is_too_slow_is_not_divided():
    def be_slow(_items):
        raise TooSlow("asleep")

    with pytest.raises(TooSlow):
        isolate([1, 2], be_slow)
