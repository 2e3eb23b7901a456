"""Features as the network sees them."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tf_dataflow_serving.model.contract import INPUTS
from tf_dataflow_serving.model.encoding import (
    CATEGORY_COUNT,
    CATEGORY_SIZE,
    WIDE_COLUMNS,
    WIDE_SIZE,
    Encoder,
)
from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.natality.instance import Instance

BIRTHS = list(instances(2_000, seed=1))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


def encode(encoder: Encoder, births: list[Instance]) -> tuple[Any, Any]:
    encoded = encoder(
        {
            name: tf.constant([birth[name] for birth in births], dtype)  # type: ignore[literal-required]
            for name, dtype in INPUTS.items()
        }
    )
    return encoded.wide.numpy(), encoded.numbers.numpy()


def test_shapes_and_types(encoder: Encoder) -> None:
    wide, numbers = encode(encoder, BIRTHS)
    assert (wide.shape, wide.dtype) == ((2_000, WIDE_COLUMNS), np.int32)
    assert (numbers.shape, numbers.dtype) == ((2_000, 3), np.float32)


def test_columns_share_no_number(encoder: Encoder) -> None:
    wide, _ = encode(encoder, BIRTHS)
    used = [set(column.tolist()) for column in wide.T]
    assert sum(map(len, used)) == len(set().union(*used))
    assert wide.min() >= 0
    assert wide.max() < WIDE_SIZE
    assert wide[:, :CATEGORY_COUNT].max() < CATEGORY_SIZE


def test_numbers_are_around_zero(encoder: Encoder) -> None:
    _, numbers = encode(encoder, BIRTHS)
    assert np.abs(numbers.mean(axis=0)).max() < 0.2
    assert np.abs(numbers).max() < 10


@pytest.mark.parametrize(
    ("name", "columns"),
    [("mother_race", {2 - 1, 8}), ("mother_age", {5, 8}), ("plurality", {6, 9})],
)
def test_a_feature_changes_its_own_columns_and_its_cross(
    encoder: Encoder, name: str, columns: set[int]
) -> None:
    other = {"mother_race": "Samaon", "mother_age": 45.0, "plurality": 3.0}[name]
    birth = {**BIRTHS[0], "mother_race": "White", "mother_age": 20.0, "plurality": 1.0}
    wide, _ = encode(encoder, [birth, {**birth, name: other}])  # type: ignore[list-item]
    assert set(np.flatnonzero(wide[0] != wide[1]).tolist()) == columns


def test_unknown_words_are_numbers_within_bounds(encoder: Encoder) -> None:
    wide, _ = encode(encoder, [{**BIRTHS[0], "mother_race": "Martian"}])
    assert wide.min() >= 0
    assert wide.max() < WIDE_SIZE
