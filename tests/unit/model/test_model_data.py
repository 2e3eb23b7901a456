"""What the model is trained and held to."""

import numpy as np

from tf_dataflow_serving.model.data import Examples, examples
from tf_dataflow_serving.natality.generator import generate, rows
from tf_dataflow_serving.natality.instance import from_row
from tf_dataflow_serving.natality.validation import validate


def test_examples_are_valid_and_weighed() -> None:
    found = examples(5_000, seed=1)
    assert 4_800 < len(found.instances) < 5_000
    assert found.weights.shape == (len(found.instances),)
    assert found.weights.dtype == np.float32
    assert np.isfinite(found.weights).all()
    assert [validate(dict(instance)) for instance in found.instances] == found.instances


def test_weights_stay_with_their_instances() -> None:
    found = examples(1, seed=1)
    (row,) = rows(generate(1, seed=1))
    assert found.instances == [validate(from_row(row))]
    assert found.weights[0] == np.float32(row["weight_pounds"])


def test_a_fifth_is_held_out_and_none_is_in_both() -> None:
    found = examples(1_000, seed=1)
    training, held_out = found.split()
    assert len(held_out.instances) == round(len(found.instances) / 5)
    assert [*training.instances, *held_out.instances] == found.instances
    assert np.array_equal(np.append(training.weights, held_out.weights), found.weights)


def test_a_single_example_is_for_training() -> None:
    training, held_out = Examples([], np.zeros(0, np.float32)).split()
    assert not training.instances
    assert not held_out.instances
