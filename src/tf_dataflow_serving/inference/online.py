"""Online prediction: any number of instances, in requests that the service takes."""

from collections.abc import Iterator, Sequence

from tf_dataflow_serving.inference.codecs import CmleCodec, Codec, encode_instance
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import PredictionRejected
from tf_dataflow_serving.inference.isolation import isolate
from tf_dataflow_serving.inference.results import Estimate, Rejected
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.transport import Transport
from tf_dataflow_serving.natality.instance import Instance

# The service's limit is 1.5 MB; the names around the instances take a little of it.
MAX_REQUEST_BYTES = 1_500_000


class OnlinePredictor:
    """Asks one endpoint, over pooled connections; threads may use it at the same time."""

    def __init__(
        self,
        endpoint: PredictionEndpoint,
        policy: RetryPolicy,
        codec: Codec | None = None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self._endpoint = endpoint
        self._codec = codec or CmleCodec()
        self._path = self._codec.path(endpoint)
        self._max_request_bytes = max_request_bytes
        self._transport = Transport(endpoint.url, endpoint.timeout, policy)

    def estimate(self, instances: Sequence[Instance]) -> list[Estimate]:
        """Return an estimate, or why it was rejected, for each instance, in order.

        More bytes than a request may have go in several. A request that is refused is tried
        again in parts until the instances at fault stand alone. Raises PredictionUnavailable.
        """
        encoded = [self._encode(instance) for instance in instances]
        sendable = [item for item in encoded if isinstance(item, bytes)]
        estimates = (
            estimate
            for part in split_by_bytes(sendable, self._max_request_bytes)
            for estimate in isolate(part, self._predict)
        )
        return [next(estimates) if isinstance(item, bytes) else item for item in encoded]

    def _encode(self, instance: Instance) -> bytes | Rejected:
        try:
            encoded = encode_instance(instance)
        except PredictionRejected as error:
            return Rejected(error.reason)
        if len(encoded) > self._max_request_bytes:
            return Rejected(f"an instance of {len(encoded)} bytes is too long for a request")
        return encoded

    def _predict(self, instances: Sequence[bytes]) -> list[Estimate]:
        body = self._codec.encode(instances, self._endpoint)
        return self._codec.decode(self._transport.post(self._path, body), len(instances))


def split_by_bytes(items: Sequence[bytes], limit: int) -> Iterator[Sequence[bytes]]:
    """Yield the items in order, in parts of at most `limit` bytes with a separator to each.

    An item that is longer by itself is a part by itself.
    """
    start, size = 0, 0
    for index, item in enumerate(items):
        if index > start and size + len(item) + 1 > limit:
            yield items[start:index]
            start, size = index, 0
        size += len(item) + 1
    if items:
        yield items[start:]
