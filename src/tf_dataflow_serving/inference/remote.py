"""Estimates from a prediction service: in a Beam pipeline, and by plain call."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.ml.inference.base import PredictionResult, RemoteModelHandler

from tf_dataflow_serving.inference.endpoint import Endpoint, PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.errors import PredictionRejected
from tf_dataflow_serving.inference.online import MAX_INSTANCES, OnlinePredictor
from tf_dataflow_serving.inference.results import Rejected
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.throttling import Gate, WholeSeconds
from tf_dataflow_serving.inference.transport import CONNECTIONS
from tf_dataflow_serving.natality.instance import Instance

NAMESPACE = "remote-inference"
"""Where Beam counts what the handler reports."""
THROTTLED_COUNTER = "cumulativeThrottlingSeconds"
"""The counter by which runners know that waiting is no work (Beam's ThrottlingSignaler)."""
_DEFAULT_POLICY = RetryPolicy()
# As far as Beam's throttler remembers, in ms: not from one request to the next. It would wait
# for 5 s at a time after failures that the retries have dealt with.
_NO_MEMORY_MS = 1

_throttled = WholeSeconds()


def estimate_cmle(
    instances: Sequence[Instance],
    endpoint: PredictionEndpoint | None = None,
    policy: RetryPolicy = _DEFAULT_POLICY,
) -> list[float]:
    """Return the estimated weights, in pounds, by Cloud ML Engine's online prediction.

    Without an endpoint it is the default model on the services that the environment names.
    Raises PredictionRejected if any instance is refused, PredictionUnavailable.
    """
    return estimate_online(instances, endpoint or PredictionEndpoint.from_environment(), policy)


def estimate_vertex(
    instances: Sequence[Instance],
    endpoint: VertexEndpoint | None = None,
    policy: RetryPolicy = _DEFAULT_POLICY,
) -> list[float]:
    """Return the estimated weights, in pounds, by an endpoint of Vertex AI.

    Without an endpoint it is the default model's on the services that the environment names.
    Raises PredictionRejected if any instance is refused, PredictionUnavailable.
    """
    return estimate_online(instances, endpoint or VertexEndpoint.from_environment(), policy)


def estimate_online(
    instances: Sequence[Instance], endpoint: Endpoint, policy: RetryPolicy = _DEFAULT_POLICY
) -> list[float]:
    """Return the estimated weights, in pounds, by an endpoint of either kind.

    Raises PredictionRejected if any instance is refused, PredictionUnavailable.
    """
    estimates = _predictor(endpoint, policy, MAX_INSTANCES).estimate(instances)
    for estimate in estimates:
        if isinstance(estimate, Rejected):
            raise PredictionRejected(estimate.reason)
    return [estimate for estimate in estimates if not isinstance(estimate, Rejected)]


class OnlineModelHandler(RemoteModelHandler):  # type: ignore[misc] # Beam's types are not read
    """Runs inference by an online service; the results are those of LocalModelHandler.

    Each `PredictionResult.inference` is pounds, or `Rejected` for an instance that the service
    refuses. `batch_size` instances are asked for at once, fewer where a bundle ends, where they
    have too many bytes for one request, or where the service is too slow for them. The time that
    the service makes it wait is counted as throttling.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        batch_size: int = 1_000,
        policy: RetryPolicy = _DEFAULT_POLICY,
    ) -> None:
        super().__init__(
            NAMESPACE, retry_filter=_never, window_ms=_NO_MEMORY_MS, bucket_ms=_NO_MEMORY_MS
        )
        self._endpoint = endpoint
        self._policy = policy
        self._batch_size = batch_size

    def create_client(self) -> OnlinePredictor:
        """Return this process's client of the endpoint."""
        return _predictor(self._endpoint, self._policy, self._batch_size)

    def request(
        self,
        batch: Sequence[Instance],
        model: OnlinePredictor,
        inference_args: Mapping[str, Any] | None = None,  # noqa: ARG002 - Beam passes it
    ) -> list[PredictionResult]:
        """Return a result for each instance; raises PredictionUnavailable."""
        estimates = model.estimate(batch, self._count_throttled)
        return [
            PredictionResult(instance, estimate, self._endpoint.resource)
            for instance, estimate in zip(batch, estimates, strict=True)
        ]

    def batch_elements_kwargs(self) -> Mapping[str, int]:
        """Return the batch size; the remote handler of Beam does not take one itself."""
        return {"min_batch_size": self._batch_size, "max_batch_size": self._batch_size}

    def _count_throttled(self, seconds: float) -> None:
        if whole := _throttled.add(seconds):
            self.throttler.throttling_signaler.signal_throttled(whole)


def _never(_error: Exception) -> bool:
    """Beam's own retries begin at 5 s: whether to go on is the retry policy's to say."""
    return False


@functools.lru_cache(maxsize=16)
def _predictor(endpoint: Endpoint, policy: RetryPolicy, batch_size: int) -> OnlinePredictor:
    """Return the one client of this process, whose connections all threads share."""
    return OnlinePredictor(endpoint, policy, batch_size, _gate(endpoint))


@functools.lru_cache(maxsize=16)
def _gate(endpoint: Endpoint) -> Gate:  # noqa: ARG001 - what the cache goes by
    """Return the one gate of this process, whoever asks the endpoint and how."""
    return Gate(CONNECTIONS)
