"""Checks what an experiment wrote, row by row: nothing missing, doubled or wrong."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO

from google.cloud import bigquery, storage

from tf_dataflow_serving.inference.local import estimate_local
from tf_dataflow_serving.natality import csv_output
from tf_dataflow_serving.natality.generator import generate, rows
from tf_dataflow_serving.natality.instance import Instance, from_row
from tf_dataflow_serving.natality.messages import Message, prediction_row
from tf_dataflow_serving.natality.schema import ESTIMATE, FEATURE_NAMES, LABEL
from tf_dataflow_serving.natality.validation import InvalidInstance, validate
from tf_dataflow_serving.pipelines.dead_letter import TABLE_SUFFIX

# The model's float32 sums differ in their last digits with the size of the batch.
TOLERANCE_POUNDS = 1e-3
_READ_COLUMNS = (LABEL, *FEATURE_NAMES)
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)

Line = tuple[str, ...]
Row = Mapping[str, object]


@dataclass(frozen=True)
class Difference:
    """How an experiment's output differs from what it should be."""

    missing: int
    unexpected: int
    wrong_estimates: int

    @property
    def is_none(self) -> bool:
        """Whether every row is there, once, and right."""
        return not (self.missing or self.unexpected or self.wrong_estimates)

    def __str__(self) -> str:
        return (
            f"{self.missing:,} missing, {self.unexpected:,} doubled or unexpected, "
            f"{self.wrong_estimates:,} wrong"
        )

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            self.missing + other.missing,
            self.unexpected + other.unexpected,
            self.wrong_estimates + other.wrong_estimates,
        )


@dataclass(frozen=True)
class Expected:
    """Valid inputs, as (identity, instance), and the sources of the invalid ones."""

    valid: Sequence[tuple[Line, Instance]]
    invalid: Sequence[str]


def expected_of_samples(row_count: int, seed: int) -> Expected:
    """Return what a batch over all generated rows, read by the original's query, should write."""
    valid: list[tuple[Line, Instance]] = []
    invalid: list[str] = []
    for row in filter(_is_read, rows(generate(row_count, seed))):
        try:
            instance = validate(from_row(row))
        except InvalidInstance:
            invalid.append(_canonical({name: row[name] for name in _READ_COLUMNS}))
        else:
            valid.append((_line({**from_row(row), LABEL: row[LABEL]}), instance))
    return Expected(valid, invalid)


def expected_of_messages(
    ids: Iterable[int], instances: Iterable[Instance], invalid: Sequence[str]
) -> Expected:
    """Return what a stream over these messages should write."""
    valid = [((str(i),), instance) for i, instance in zip(ids, instances, strict=True)]
    return Expected(valid, invalid)


def verify_objects(client: storage.Client, directory: str, expected: Expected) -> Difference:
    """Compare the CSV and JSON objects below gs://... with what they should hold."""
    estimates = (
        (tuple(fields[:-1]), float(fields[-1]))
        for text in _objects(client, directory, "estimates-", ".csv")
        for fields in _records(text)
    )
    dead = (
        _canonical(json.loads(json.loads(line)["source"]))
        for text in _objects(client, directory, "errors-", ".jsonl")
        for line in text.splitlines()
    )
    return compare(expected, estimates, dead)


def verify_table(client: bigquery.Client, table: str, expected: Expected) -> Difference:
    """Compare a stream's table, and that of its dead letters, with what they should hold."""
    instances = {identity[0]: instance for identity, instance in expected.valid}
    written = list(client.list_rows(client.get_table(table)))
    estimates = [((str(row["source_id"]),), row[ESTIMATE]) for row in written]
    altered = sum(not _same_features(row, instances.get(str(row["source_id"]))) for row in written)
    dead = (row["source"] for row in client.list_rows(client.get_table(table + TABLE_SUFFIX)))
    return compare(expected, estimates, dead) + Difference(0, 0, altered)


def compare(
    expected: Expected, estimates: Iterable[tuple[Line, float]], dead: Iterable[str]
) -> Difference:
    """Compare estimates, by identity, and the sources of dead letters with the expected ones."""
    weights = estimate_local([instance for _, instance in expected.valid])
    right = {
        identity: weight for (identity, _), weight in zip(expected.valid, weights, strict=True)
    }
    wanted = Counter(identity for identity, _ in expected.valid)
    found: Counter[Line] = Counter()
    wrong = 0
    for identity, estimate in estimates:
        found[identity] += 1
        if identity in right and not abs(estimate - right[identity]) <= TOLERANCE_POUNDS:
            wrong += 1
    wanted_dead, found_dead = Counter(expected.invalid), Counter(dead)
    return Difference(
        missing=(wanted - found).total() + (wanted_dead - found_dead).total(),
        unexpected=(found - wanted).total() + (found_dead - wanted_dead).total(),
        wrong_estimates=wrong,
    )


def _is_read(row: Row) -> bool:
    """Say what the source query says, of one row."""
    positive = (LABEL, "mother_age", "plurality", "gestation_weeks", "month")
    return _number(row["year"]) > 2000 and all(_number(row[name]) > 0 for name in positive)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _line(row: Row) -> Line:
    return tuple(next(csv.reader([csv_output.to_csv(row, 0.0)]))[:-1])


def _records(text: str) -> Iterator[list[str]]:
    reader = csv.reader(StringIO(text))
    next(reader, None)
    return reader


def _canonical(row: Row) -> str:
    return json.dumps(dict(row), sort_keys=True)


def _objects(client: storage.Client, directory: str, start: str, end: str) -> Iterator[str]:
    bucket, _, prefix = directory.removeprefix("gs://").partition("/")
    for blob in client.list_blobs(bucket, prefix=f"{prefix}/{start}"):
        if blob.name.endswith(end):
            yield blob.download_as_text()


def _same_features(row: Row, instance: Instance | None) -> bool:
    """Whether a row holds the features of its message; a row of no message is counted elsewhere."""
    if instance is None:
        return True
    message = Message(0, _ANY_TIME, instance)
    wanted = prediction_row(message, 0.0, _ANY_TIME)
    return all(row[name] == wanted[name] for name in FEATURE_NAMES)
