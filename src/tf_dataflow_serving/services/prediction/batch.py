"""The work of a batch prediction job: lines of instances in, lines of predictions out."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from tf_dataflow_serving.services.prediction.errors import JobCancelled, PredictionFailed
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.saved_model import ServingSignature

RESULTS = "prediction.results"
ERRORS = "prediction.errors_stats"


class Tally:
    """What a job has done so far; threads may add to it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._predictions = 0
        self._node_seconds = 0.0

    @property
    def predictions(self) -> int:
        """Number of predictions made."""
        return self._predictions

    @property
    def errors(self) -> Counter[str]:
        """How often each error message came up; their sum is the number of bad lines."""
        with self._lock:
            return self._errors.copy()

    @property
    def node_hours(self) -> float:
        """Time that workers were busy, in hours, added up over the workers."""
        return self._node_seconds / 3600

    def add(self, predictions: int, errors: Iterable[str]) -> None:
        """Count predictions and bad lines."""
        with self._lock:
            self._predictions += predictions
            self._errors.update(errors)

    def worked(self, seconds: float) -> None:
        """Count the time of a worker."""
        with self._lock:
            self._node_seconds += seconds


@dataclass(frozen=True)
class Shard:
    """The part of the input that one worker reads, and the file that it writes."""

    inputs: Sequence[str]
    output: Path


@dataclass(frozen=True)
class BatchPrediction:
    """Predicts every line of some objects and counts what cannot be predicted.

    A line is one instance as JSON. A bad line, or an instance that the model fails on, is
    counted under its message and has no line in the results; the others of its batch do.
    """

    store: ObjectStore
    signature: ServingSignature
    batch_size: int
    stop: threading.Event
    tally: Tally = field(default_factory=Tally)

    def predict(self, shard: Shard) -> None:
        """Write the predictions for a shard's inputs, in the order of their lines.

        Raises StorageFailed, which makes the other shards stop too, or JobCancelled.
        """
        started = time.monotonic()
        try:
            with shard.output.open("wb") as results:
                for uri in shard.inputs:
                    self._predict_object(
                        uri, shard.output.with_name(f"{shard.output.name}.input"), results
                    )
        except BaseException:
            self.stop.set()
            raise
        finally:
            self.tally.worked(time.monotonic() - started)

    def _predict_object(self, uri: str, copy: Path, results: IO[bytes]) -> None:
        self.store.download(uri, copy)
        with copy.open("rb") as lines:
            for batch in _batches(lines, self.batch_size):
                self._raise_if_stopped()
                predictions = self._predict_lines(batch)
                results.writelines(_line(prediction) for prediction in predictions)
        copy.unlink()

    def _raise_if_stopped(self) -> None:
        if self.stop.is_set():
            raise JobCancelled

    def _predict_lines(self, lines: Sequence[bytes]) -> list[dict[str, Any]]:
        errors: list[str] = []
        instances = list(_parsed(lines, errors))
        predictions = predict_isolating(self.signature, instances, errors)
        self.tally.add(len(predictions), errors)
        return predictions


def predict_isolating(
    signature: ServingSignature, instances: Sequence[object], errors: list[str]
) -> list[dict[str, Any]]:
    """Return the predictions of all instances that have one; append the others' messages."""
    try:
        return signature.predict(instances)
    except PredictionFailed as error:
        if len(instances) == 1:
            errors.append(str(error))
            return []
    middle = len(instances) // 2
    return [
        *predict_isolating(signature, instances[:middle], errors),
        *predict_isolating(signature, instances[middle:], errors),
    ]


def shards(inputs: Sequence[str], workers: int, directory: Path) -> list[Shard]:
    """Deal the inputs out to as many workers as there is work for."""
    count = min(workers, len(inputs))
    return [
        Shard(inputs[index::count], directory / f"{RESULTS}-{index:05d}-of-{count:05d}")
        for index in range(count)
    ]


def write_error_counts(errors: Counter[str], directory: Path) -> Path:
    """Write the messages with their counts as the real service did: `('message', count)`."""
    path = directory / f"{ERRORS}-00000-of-00001"
    path.write_text("".join(f"{entry!r}\n" for entry in sorted(errors.items())))
    return path


def _batches(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    remaining = (line for line in lines if not line.isspace())
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _parsed(lines: Iterable[bytes], errors: list[str]) -> Iterator[object]:
    for line in lines:
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError as error:
            errors.append(f"Error processing input: the line is not JSON: {error.msg}")


def _line(prediction: dict[str, Any]) -> bytes:
    return orjson.dumps(prediction, option=orjson.OPT_APPEND_NEWLINE)
