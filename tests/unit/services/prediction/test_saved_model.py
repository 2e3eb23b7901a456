import base64
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.errors import ModelUnusable, PredictionFailed
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMED = {"x": 1.5, "word": "abc"}


def predict(zoo, signature, *instances):
    return zoo.signature(signature).predict(list(instances))


def failure(zoo, signature, *instances):
    with pytest.raises(PredictionFailed) as failed:
        predict(zoo, signature, *instances)
    return str(failed.value)


def test_predicts_each_instance_in_order(zoo):
    instances = [{"x": float(i), "word": "a" * i} for i in range(5)]
    assert predict(zoo, None, *instances) == [{"predictions": [3.0 * i]} for i in range(5)]


def test_no_instances_give_no_predictions(zoo):
    assert predict(zoo, None) == []


def test_integers_are_numbers_to_a_float_input(zoo):
    assert predict(zoo, None, {"x": 1, "word": ""}) == [{"predictions": [2.0]}]


def test_an_input_that_is_also_an_output_passes_through(zoo):
    prediction = predict(zoo, "predict_keyed", NAMED | {"key": "k-é"})
    assert prediction == [{"predictions": [6.0], "key": "k-é"}]


@pytest.mark.parametrize("instance", [[1.0, 2.0], {"pair": [1.0, 2.0]}])
def test_a_single_input_needs_no_name(zoo, instance):
    assert predict(zoo, "pairs", instance) == [{"total": 3.0}]


def test_keeps_integers_and_booleans_exact(zoo):
    instance = {"small": -(2**31), "large": 2**63 - 1, "flag": True}
    assert predict(zoo, "numbers", instance) == [instance]


@pytest.mark.parametrize("named", [True, False])
def test_base64_is_bytes_and_comes_back_so(zoo, named):
    value = {"b64": base64.b64encode(b"\xff\x00").decode()}
    assert predict(zoo, "binary", {"content": value} if named else value) == [
        {"content_bytes": value}
    ]


def test_nan_and_infinity_stay_what_they_are(zoo):
    predictions = predict(zoo, "logarithm", -1.0, 0.0)
    assert math.isnan(predictions[0]["y"])
    assert predictions[1]["y"] == -math.inf


@pytest.mark.parametrize(
    ("signature", "instance", "reason"),
    [
        (None, {"x": 1.5}, "Expected tensor name: word, x, got tensor name: ['x']."),
        (None, NAMED | {"z": 1}, "got tensor name: ['word', 'x', 'z']."),
        (None, 3.0, "got a value without a name"),
        (None, {"x": None, "word": "a"}, "Expected float32, got None of type 'NoneType'"),
        (None, {"x": "1.5", "word": "a"}, "Expected float32, got '1.5' of type 'str' instead"),
        (None, {"x": 1.5, "word": 1}, "Expected string, got 1 of type 'int' instead"),
        (None, {"x": [1.5], "word": "a"}, "Expected shape (None,), got (1, 1), input: x"),
        ("pairs", {"other": [1, 2]}, "Expected tensor name: pair, got tensor name: ['other']."),
        ("pairs", [1.0], "Expected shape (None, 2), got (1, 1)"),
        ("pairs", [[1.0], 2.0], "Expected float32, got [[1.0], 2.0] of type 'list'"),
        ("numbers", {"small": 2**31, "large": 0, "flag": True}, "Expected int32, got 2147483648"),
        ("numbers", {"small": 0, "large": 2**64, "flag": True}, "Expected int64"),
        ("numbers", {"small": 0, "large": 1.5, "flag": True}, "Expected int64, got 1.5"),
        ("numbers", {"small": 0, "large": 0, "flag": "True"}, "Expected bool, got 'True'"),
        ("binary", {"b64": "!"}, "Expected string, got {'b64': '!'}"),
        ("binary", {"b64": 1}, "Expected string"),
        ("text", {"b64": "/w=="}, "Output content is not text"),
        ("summary", [1.0, 2.0], "Expected shape"),
        ("picky", -1.0, "Error during model execution: "),
        ("missing", {}, 'Serving signature name: "missing" not found in signature def'),
    ],
)
def test_says_what_is_wrong_with_an_instance(zoo, signature, instance, reason):
    assert reason in failure(zoo, signature, instance)


def test_says_which_instance_is_wrong(zoo):
    good, bad = NAMED, NAMED | {"x": "many"}
    assert failure(zoo, None, good, good, bad).endswith("input: x (instance 2).")
    assert failure(zoo, None, good, {"x": 1}).endswith("(instance 1)")


def test_refuses_instances_of_different_shapes(zoo):
    assert "differ in shape" in failure(zoo, "pairs", [1.0, 2.0], [1.0])
    assert "differ in shape" in failure(zoo, "pairs", [], [1.0])


def test_refuses_an_output_without_an_entry_for_each_instance(zoo):
    assert "outer dimension" in failure(zoo, "summary", 1.0, 2.0)


@pytest.mark.parametrize("depth", [40, 254, 255, 900])
@pytest.mark.parametrize("signature", ["pairs", "binary", "logarithm"])
def test_survives_deep_nesting(zoo, signature, depth):
    nested: object = 1.0
    for _ in range(depth):
        nested = [nested]
    assert failure(zoo, signature, nested)


@settings(max_examples=200, deadline=None)
@given(st.lists(json_values, min_size=1, max_size=3))
def test_any_json_is_predicted_or_refused(zoo, instances):
    for signature in (None, "pairs", "numbers", "binary", "text"):
        try:
            predictions = predict(zoo, signature, *instances)
        except PredictionFailed as error:
            assert str(error)
        else:
            assert len(predictions) == len(instances)


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1), st.booleans()
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(deadline=None)
def test_numbers_come_back_unchanged(zoo, rows):
    instances = [dict(zip(("small", "large", "flag"), row, strict=True)) for row in rows]
    assert predict(zoo, "numbers", *instances) == instances


def test_refuses_a_directory_without_a_model(tmp_path: Path):
    with pytest.raises(ModelUnusable, match=r"no saved_model\.pb"):
        SavedModel.load(tmp_path)


def test_refuses_a_broken_model(tmp_path: Path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(ModelUnusable, match="cannot be loaded"):
        SavedModel.load(tmp_path)
