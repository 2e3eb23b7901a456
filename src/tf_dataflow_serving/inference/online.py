"""Online prediction: any number of instances, in requests that the service takes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tf_dataflow_serving.inference.codecs import codec_of, encode_instance
from tf_dataflow_serving.inference.endpoint import Endpoint
from tf_dataflow_serving.inference.errors import PredictionRejected
from tf_dataflow_serving.inference.failures import TooSlow
from tf_dataflow_serving.inference.isolation import isolate
from tf_dataflow_serving.inference.results import Estimate, Rejected
from tf_dataflow_serving.inference.retry import Patience, RetryPolicy
from tf_dataflow_serving.inference.throttling import Gate, RequestSize
from tf_dataflow_serving.inference.transport import RequestTooLarge, Transport
from tf_dataflow_serving.natality.instance import Instance

# The service's limit is 1.5 MB; the names around the instances take a little of it.
MAX_REQUEST_BYTES = 1_500_000
# More have more bytes than that.
MAX_INSTANCES = 100_000


class OnlinePredictor:
    """Asks one endpoint, over pooled connections; threads may use it at the same time.

    A request has at most `batch_size` instances, fewer after one that was too large or too slow.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        policy: RetryPolicy,
        batch_size: int = MAX_INSTANCES,
        gate: Gate | None = None,
    ) -> None:
        self._codec = codec_of(endpoint)
        self._size = RequestSize(batch_size)
        self._transport = Transport(endpoint.url, endpoint.timeout, policy, gate)

    def estimate(
        self,
        instances: Sequence[Instance],
        on_throttled: Callable[[float], None] = lambda _: None,
    ) -> list[Estimate]:
        """Return an estimate, or why it was rejected, for each instance, in order.

        More bytes than a request may have go in several. A request that is refused is tried
        again in parts until the instances at fault stand alone. `on_throttled` gets the seconds
        of waiting that the service asked for. Raises PredictionUnavailable.
        """
        encoded = [_encode(instance) for instance in instances]
        patience = self._transport.patience()
        try:
            sendable = [item for item in encoded if isinstance(item, bytes)]
            estimates = self._estimate(sendable, patience)
            return [next(estimates) if isinstance(item, bytes) else item for item in encoded]
        finally:
            on_throttled(patience.throttled)

    def _estimate(self, items: Sequence[bytes], patience: Patience) -> Iterator[Estimate]:
        for part in split(items, MAX_REQUEST_BYTES, lambda: self._size.limit):
            yield from isolate(part, partial(self._predict, patience))

    def _predict(self, patience: Patience, items: Sequence[bytes]) -> list[Estimate]:
        """Ask once; again after failures that pass, except that too many are not asked again."""
        divisible = (TooSlow,) if len(items) > 1 else ()
        body = self._codec.encode(items)
        try:
            answer = self._transport.post(self._codec.path, body, patience, divisible)
        except (TooSlow, RequestTooLarge):
            self._size.too_much(len(items))
            raise
        self._size.answered(len(items))
        return self._codec.decode(answer, len(items))


def split(
    items: Sequence[bytes], max_bytes: int, max_items: Callable[[], int]
) -> Iterator[Sequence[bytes]]:
    """Yield the items in order, in parts of at most so many bytes, with a separator to each.

    `max_items` is asked at each part's begin. An item that is longer by itself is a part by
    itself.
    """
    start, size, most = 0, 0, max_items()
    for index, item in enumerate(items):
        if index > start and (size + len(item) + 1 > max_bytes or index - start >= most):
            yield items[start:index]
            start, size, most = index, 0, max_items()
        size += len(item) + 1
    if items:
        yield items[start:]


def _encode(instance: Instance) -> bytes | Rejected:
    try:
        encoded = encode_instance(instance)
    except PredictionRejected as error:
        return Rejected(error.reason)
    if len(encoded) > MAX_REQUEST_BYTES:
        return Rejected(f"an instance of {len(encoded)} bytes is too long for a request")
    return encoded
