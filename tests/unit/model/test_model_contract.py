"""Which signatures meet the contract, and what is said of those that do not."""

from typing import Any

import pytest
import tensorflow as tf

from tf_dataflow_serving.model.contract import (
    INPUTS,
    OUTPUT,
    ContractMismatch,
    ModelNotFound,
    Signature,
    check,
    load_signature,
)
from tf_dataflow_serving.natality.instance import Instance

SPECIFICATION = {name: tf.TensorSpec([None], dtype, name) for name, dtype in INPUTS.items()}


def signature(specification: dict[str, Any], outputs: Any) -> Any:
    """The signature, as it is in a SavedModel, of a function of named tensors."""
    module = tf.Module()
    module.call = tf.function(outputs, input_signature=[specification])
    return module.call.get_concrete_function()


def pounds(features: dict[str, Any]) -> dict[str, Any]:
    return {OUTPUT: features["mother_age"][:, tf.newaxis]}


class Exported:
    """A SavedModel's signature takes named tensors; a concrete function takes a dict of them."""

    def __init__(self, specification: dict[str, Any], outputs: Any) -> None:
        function = signature(specification, outputs)
        ((inputs,), _) = function.structured_input_signature
        self.structured_input_signature = ((), inputs)
        self.structured_outputs = function.structured_outputs


def faults(specification: dict[str, Any], outputs: Any = pounds) -> str:
    with pytest.raises(ContractMismatch) as mismatch:
        check(Exported(specification, outputs))
    return str(mismatch.value)


def test_contract_is_the_originals() -> None:
    assert {name: dtype.name for name, dtype in INPUTS.items()} == {
        "mother_age": "float32",
        "plurality": "float32",
        "gestation_weeks": "float32",
        "is_male": "string",
        "mother_race": "string",
        "mother_married": "string",
        "cigarette_use": "string",
        "alcohol_use": "string",
    }
    check(Exported(SPECIFICATION, pounds))


def test_missing_input() -> None:
    specification = {name: spec for name, spec in SPECIFICATION.items() if name != "plurality"}
    assert "input plurality is missing" in faults(specification)


def test_unexpected_input() -> None:
    specification = {**SPECIFICATION, "examples": tf.TensorSpec([None], tf.string, "examples")}
    assert "input examples is not expected" in faults(specification)


def test_input_of_another_type() -> None:
    specification = {**SPECIFICATION, "plurality": tf.TensorSpec([None], tf.int64, "plurality")}
    assert "input plurality is int64 (None,) instead of float32 (None,)" in faults(specification)


def test_input_of_another_shape() -> None:
    specification = {**SPECIFICATION, "is_male": tf.TensorSpec([None, 1], tf.string, "is_male")}
    assert "input is_male is string (None, 1) instead of string (None,)" in faults(specification)


def test_output_of_another_name() -> None:
    said = faults(SPECIFICATION, lambda features: {"output_0": features["mother_age"]})
    assert "output predictions is missing" in said


def test_output_of_another_shape() -> None:
    said = faults(SPECIFICATION, lambda features: {OUTPUT: features["mother_age"]})
    assert "output predictions is float32 (None,) instead of float32 (None, 1)" in said


def test_all_that_differs_is_said() -> None:
    specification = {
        **{name: spec for name, spec in SPECIFICATION.items() if name != "plurality"},
        "is_male": tf.TensorSpec([None], tf.bool, "is_male"),
    }
    said = faults(specification, lambda features: {"weight": features["mother_age"]})
    assert all(word in said for word in ("plurality", "is_male", "predictions"))


def test_instances_become_columns_in_their_order() -> None:
    calls: list[dict[str, Any]] = []

    def function(**columns: Any) -> dict[str, Any]:
        calls.append(columns)
        return pounds(columns)

    instances = [
        Instance(
            is_male="True",
            mother_age=float(age),
            mother_race="White",
            plurality=1.0,
            gestation_weeks=39,
            mother_married="True",
            cigarette_use="None",
            alcohol_use="None",
        )
        for age in (20, 30, 40)
    ]
    assert Signature(function, model=None).predict(instances) == [20.0, 30.0, 40.0]
    (columns,) = calls
    assert {name: column.dtype for name, column in columns.items()} == INPUTS
    assert {tuple(column.shape) for column in columns.values()} == {(3,)}
    assert columns["gestation_weeks"].numpy().tolist() == [39.0, 39.0, 39.0]


def test_no_instances_are_no_call() -> None:
    def function(**_: Any) -> dict[str, Any]:
        raise AssertionError

    assert Signature(function, model=None).predict([]) == []


def test_directory_that_does_not_exist(tmp_path: Any) -> None:
    with pytest.raises(ModelNotFound, match=r"no such model directory: .*nowhere"):
        load_signature(str(tmp_path / "nowhere"))


def test_directory_without_a_model(tmp_path: Any) -> None:
    with pytest.raises(ModelNotFound, match=r"it has no saved_model\.pb"):
        load_signature(str(tmp_path))


def test_file_in_place_of_a_directory(tmp_path: Any) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelNotFound, match="no such model directory"):
        load_signature(str(tmp_path / "file"))


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_damaged_model(tmp_path: Any, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises((ModelNotFound, ContractMismatch), match=str(tmp_path)):
        load_signature(str(tmp_path))
