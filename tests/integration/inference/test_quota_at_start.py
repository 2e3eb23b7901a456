"""Whether a run begins whose model is asked once before, with a quota that is used up."""

from collections.abc import Iterator

import pytest

from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import PredictionUnavailable
from tf_dataflow_serving.runners.handlers import require_answer

from .faulty_server import FaultyServer, closed_server

LONGER_THAN_IT_IS_ASKED = {"Retry-After": "60"}


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with closed_server() as server:
        server.open()
        yield server


@pytest.fixture
def endpoint(server: FaultyServer) -> PredictionEndpoint:
    return PredictionEndpoint(server.url, "p", model="asked_at_start")


def test_a_quota_that_is_used_up_is_the_pipelines_to_bear(
    server: FaultyServer, endpoint: PredictionEndpoint
) -> None:
    server.otherwise = lambda exchange, _: exchange.refuse(429, LONGER_THAN_IT_IS_ASKED)
    require_answer(endpoint)
    assert len(server.requests) == 1


def test_a_service_that_is_away_is_no_start(
    server: FaultyServer, endpoint: PredictionEndpoint
) -> None:
    server.otherwise = lambda exchange, _: exchange.refuse(503, LONGER_THAN_IT_IS_ASKED)
    with pytest.raises(PredictionUnavailable, match="no answer within 10 s"):
        require_answer(endpoint)
