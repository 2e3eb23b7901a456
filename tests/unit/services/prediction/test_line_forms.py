import pytest

from tf_dataflow_serving.services.prediction.errors import PredictionFailed
from tf_dataflow_serving.services.prediction.jobs.line_forms import (
    InstanceLines,
    InstanceType,
    RecordLines,
)

RECORD = {"id": 7, "x": 1.0, "y": 2.0}
ARRAY = InstanceType.ARRAY


def test_a_line_is_the_instance_and_the_outputs_are_the_result():
    form = InstanceLines()
    assert form.instance(RECORD) is RECORD
    assert form.result(RECORD, {"p": 1.0}) == {"p": 1.0}


@pytest.mark.parametrize(
    ("form", "instance"),
    [
        (RecordLines(), RECORD),
        (RecordLines(key_field="id"), {"x": 1.0, "y": 2.0}),
        (RecordLines(included_fields=("y", "x")), {"y": 2.0, "x": 1.0}),
        (RecordLines(included_fields=("y", "id"), key_field="id"), {"y": 2.0}),
        (RecordLines(excluded_fields=("y", "none")), {"id": 7, "x": 1.0}),
        (RecordLines(ARRAY, included_fields=("y", "x")), [2.0, 1.0]),
        (RecordLines(ARRAY, key_field="id"), [1.0, 2.0]),
    ],
)
def test_some_fields_of_a_record_are_the_instance(form, instance):
    assert form.instance(RECORD) == instance


@pytest.mark.parametrize("line", [1.5, [1, 2], "a", None])
def test_a_line_may_be_no_record_where_no_field_is_named(line):
    assert RecordLines().instance(line) == line
    assert RecordLines(ARRAY).instance(line) == line


@pytest.mark.parametrize(
    ("form", "line", "message"),
    [
        (RecordLines(key_field="id"), [1], "record is expected"),
        (RecordLines(InstanceType.OBJECT), 1.5, "record is expected"),
        (RecordLines(key_field="id"), {"x": 1}, '"id" is missing'),
        (RecordLines(included_fields=("x", "y")), {"x": 1}, "are missing: y"),
    ],
)
def test_a_record_without_what_is_named_is_bad(form, line, message):
    with pytest.raises(PredictionFailed, match=message):
        form.instance(line)


def test_a_result_has_the_key_or_the_whole_record():
    prediction = {"p": [1.0]}
    keyed = RecordLines(key_field="id").result(RECORD, prediction)
    assert keyed == {"key": 7, "prediction": [1.0]}
    whole = RecordLines(excluded_fields=("x",)).result(RECORD, prediction)
    assert whole == {"instance": RECORD, "prediction": [1.0]}


def test_a_prediction_of_several_outputs_has_their_names():
    form = RecordLines(key_field="id")
    assert form.result(RECORD, {"p": 1, "q": 2})["prediction"] == {"p": 1, "q": 2}
