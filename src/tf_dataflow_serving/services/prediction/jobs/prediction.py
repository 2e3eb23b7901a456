"""The work of a batch prediction job: lines in, lines of predictions out."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from tf_dataflow_serving.services.prediction.errors import JobStopped, PredictionFailed
from tf_dataflow_serving.services.prediction.jobs.line_forms import LineForm
from tf_dataflow_serving.services.prediction.jobs.tallies import Tally
from tf_dataflow_serving.services.prediction.serving.saved_model import ServingSignature

_RESULTS = "prediction.results"
_ERRORS = "prediction.errors_stats"


@dataclass(frozen=True)
class Example:
    """A line as JSON, and the instance in it."""

    line: object
    instance: object


Predicted = tuple[Example, dict[str, Any]]


@dataclass(frozen=True)
class BatchPrediction:
    """Predicts lines and counts what cannot be predicted.

    A bad line, or an instance that the model fails on, is counted under its message and has no
    line in the results; the others of its batch do.
    """

    signature: ServingSignature
    form: LineForm
    batch_size: int
    stop: threading.Event

    def predict(self, lines: Iterable[bytes], results: IO[bytes], tally: Tally) -> None:
        """Write the results in the order of the lines; raises JobStopped, or as the lines do."""
        for batch in _batches(lines, self.batch_size):
            if self.stop.is_set():
                raise JobStopped
            errors: list[str] = []
            examples = list(self._examples(batch, errors))
            predicted = predict_isolating(self.signature, examples, errors)
            written = list(self._results(predicted, errors))
            results.writelines(written)
            tally.add(len(written), errors)

    def _examples(self, lines: Iterable[bytes], errors: list[str]) -> Iterator[Example]:
        for text in lines:
            try:
                line = orjson.loads(text)
                yield Example(line, self.form.instance(line))
            except orjson.JSONDecodeError as error:
                errors.append(f"Error processing input: the line is not JSON: {error.msg}")
            except PredictionFailed as error:
                errors.append(f"Error processing input: {error}")

    def _results(self, predicted: Iterable[Predicted], errors: list[str]) -> Iterator[bytes]:
        for example, prediction in predicted:
            result = self.form.result(example.line, prediction)
            try:
                yield orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE)
            except orjson.JSONEncodeError as error:
                # What can be read can be nested more deeply than what can be written.
                errors.append(f"Error writing the result: {error}")


def predict_isolating(
    signature: ServingSignature, examples: Sequence[Example], errors: list[str]
) -> list[Predicted]:
    """Return all examples that have a prediction with it; append the others' messages."""
    try:
        predictions = signature.predict([example.instance for example in examples])
    except PredictionFailed as error:
        if len(examples) == 1:
            errors.append(str(error))
            return []
    else:
        return list(zip(examples, predictions, strict=True))
    middle = len(examples) // 2
    return [
        *predict_isolating(signature, examples[:middle], errors),
        *predict_isolating(signature, examples[middle:], errors),
    ]


def results_name(index: int, count: int) -> str:
    """Return the name of one of so many files of results."""
    return f"{_RESULTS}-{index:05d}-of-{count:05d}"


def write_error_counts(errors: Counter[str], directory: Path) -> Path:
    """Write the messages with their counts as the real service did: `('message', count)`."""
    path = directory / f"{_ERRORS}-00000-of-00001"
    path.write_text("".join(f"{entry!r}\n" for entry in sorted(errors.items())))
    return path


def _batches(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    remaining = (line for line in lines if not line.isspace())
    while batch := list(itertools.islice(remaining, size)):
        yield batch
