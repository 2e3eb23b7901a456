"""A model of TensorFlow 1, such as the original's, behind the same contract."""

from pathlib import Path

import pytest
import tensorflow as tf

from tf_dataflow_serving.model.contract import (
    INPUTS,
    OUTPUT,
    ContractMismatch,
    load_signature,
)
from tf_dataflow_serving.natality.instance import Instance

v1 = tf.compat.v1


def export(directory: Path, signature_name: str) -> None:
    """Pounds are 7, and 1 more for a boy by a vocabulary table; written as an Estimator would."""
    with v1.Graph().as_default(), v1.Session() as session:
        inputs = {name: v1.placeholder(dtype, [None], name) for name, dtype in INPUTS.items()}
        entries = tf.lookup.KeyValueTensorInitializer(["True", "False"], [1.0, 0.0])
        table = tf.lookup.StaticHashTable(entries, default_value=-1.0)
        base = v1.get_variable("base", initializer=7.0)
        weights = tf.expand_dims(base + table.lookup(inputs["is_male"]), 1)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            [v1.saved_model.SERVING],
            signature_def_map={
                signature_name: predict_signature(inputs, weights),
                "parse": parse_signature(),
            },
            main_op=v1.tables_initializer(),
        )
        builder.save()


def predict_signature(inputs: dict[str, tf.Tensor], weights: tf.Tensor) -> object:
    return v1.saved_model.build_signature_def(
        {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in inputs.items()},
        {OUTPUT: v1.saved_model.build_tensor_info(weights)},
        v1.saved_model.PREDICT_METHOD_NAME,
    )


def parse_signature() -> object:
    """The one that Estimators export beside it, for serialised examples."""
    examples = v1.placeholder(tf.string, [None], "examples")
    return v1.saved_model.build_signature_def(
        {"inputs": v1.saved_model.build_tensor_info(examples)},
        {"outputs": v1.saved_model.build_tensor_info(tf.strings.length(examples))},
        v1.saved_model.REGRESS_METHOD_NAME,
    )


def birth(is_male: str) -> Instance:
    return {
        "is_male": is_male,
        "mother_age": 26.0,
        "mother_race": "Asian Indian",
        "plurality": 1.0,
        "gestation_weeks": 39,
        "mother_married": "True",
        "cigarette_use": "False",
        "alcohol_use": "False",
    }


@pytest.mark.parametrize("signature_name", ["predict", "serving_default"])
def test_it_serves(tmp_path: Path, signature_name: str) -> None:
    export(tmp_path / "model", signature_name)
    signature = load_signature(str(tmp_path / "model"))
    signature.warm_up()
    assert signature.predict([birth("True"), birth("False")]) == [8.0, 7.0]


def test_signature_of_another_name_is_named(tmp_path: Path) -> None:
    export(tmp_path / "model", "regression")
    with pytest.raises(ContractMismatch, match=r"only parse, regression"):
        load_signature(str(tmp_path / "model"))
