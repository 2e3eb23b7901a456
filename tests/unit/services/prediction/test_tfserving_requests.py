"""TensorFlow Serving's JSON to instances and back, and its names for our models."""

from datetime import UTC, datetime

import orjson
import pytest

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import MalformedRequest
from tf_dataflow_serving.services.prediction.registry.model_documents import ModelDocuments
from tf_dataflow_serving.services.prediction.registry.models import (
    Model,
    ModelDefinition,
    ModelRegistry,
    Version,
    VersionDefinition,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel
from tf_dataflow_serving.services.prediction.tfserving.requests import predict_request
from tf_dataflow_serving.services.prediction.tfserving.servables import (
    ServableNotFound,
    Servables,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PREDICTIONS = [{"y": 1.0, "key": "a"}, {"y": 2.0, "key": "b"}]


def read(document: object):
    return predict_request(orjson.dumps(document))


def test_rows_are_answered_with_rows():
    request = read({"signature_name": "s", "instances": [{"x": 1}, {"x": 2}]})
    assert (request.signature_name, request.instances) == ("s", [{"x": 1}, {"x": 2}])
    assert request.answer(PREDICTIONS) == {"predictions": PREDICTIONS}


def test_rows_of_one_output_are_its_values():
    request = read({"instances": [1, 2]})
    assert request.signature_name is None
    assert request.answer([{"y": 1.0}, {"y": 2.0}]) == {"predictions": [1.0, 2.0]}


def test_columns_are_answered_with_columns():
    request = read({"inputs": {"x": [1, 2], "key": ["a", "b"]}})
    assert request.instances == [{"x": 1, "key": "a"}, {"x": 2, "key": "b"}]
    assert request.answer(PREDICTIONS) == {"outputs": {"y": [1.0, 2.0], "key": ["a", "b"]}}


def test_one_column_stands_alone():
    request = read({"inputs": [1, 2]})
    assert request.instances == [1, 2]
    assert request.answer([{"y": 1.0}, {"y": 2.0}]) == {"outputs": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: "),
        (b"{", "JSON Parse error: "),
        (b"[1]", r"JSON Value: \[1\] Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": [1], "inputs": [1]}', "of which one is expected"),
        (b'{"instances": 1}', "Excepting 'instances' to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [1], "signature_name": 1}', "'signature_name' must be a string value"),
        (b'{"inputs": []}', "No values in 'inputs'"),
        (b'{"inputs": {}}', "No values in 'inputs'"),
        (b'{"inputs": {"x": []}}', "No values in 'inputs'"),
        (b'{"inputs": 1}', "is no list, nor an object of lists, in 'inputs'"),
        (b'{"inputs": {"x": 1}}', "is no list, nor an object of lists, in 'inputs'"),
        (b'{"inputs": {"x": [1], "y": []}}', "has lists of different lengths in 'inputs'"),
    ],
)
def test_a_body_that_is_no_request_is_refused(body, message):
    with pytest.raises(MalformedRequest, match=message):
        predict_request(body)


def test_a_value_that_is_nested_deep_is_refused_in_few_words():
    deep = b'{"instances": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"
    with pytest.raises(MalformedRequest) as refused:
        predict_request(deep)
    assert len(str(refused.value)) < 500


def servables(zoo: SavedModel, *versions: str) -> Servables:
    model = Model(ModelDefinition("zoo"))
    for name in versions:
        version = Version(VersionDefinition(name, "gs://b/zoo"), NOW)
        version.ready(zoo)
        model.add(version)
    keeper = ModelDocuments(Documents.in_memory(), lambda _: zoo, [model])
    return Servables(ModelRegistry(lambda: NOW, keeper, [model]))


def test_a_version_is_known_by_its_name_and_by_its_number(zoo):
    known = servables(zoo, "v1", "2", "canary")
    for version in ("v1", "1", "2", "canary"):
        assert known.specific("zoo", version) is zoo
    assert known.version("zoo", "v1") == "1"
    assert known.version("zoo", "canary") == "canary"


def test_the_largest_number_is_the_latest(zoo):
    known = servables(zoo, "v9", "v10", "canary", "v2")
    assert known.versions("zoo") == ["10", "9", "2", "canary"]
    assert known.latest("zoo") is zoo


def test_what_does_not_exist_is_said_in_its_words(zoo):
    known = servables(zoo, "v1")
    for call, message in (
        (lambda: known.latest("none"), r"Servable not found for request: Latest\(none\)"),
        (lambda: known.specific("none", "1"), r"Servable not found for request: Specific\(none, 1"),
        (lambda: known.specific("zoo", "7"), r"Servable not found for request: Specific\(zoo, 7\)"),
        (lambda: known.versions("none"), "Could not find any versions of model none"),
        (lambda: known.version("zoo", "7"), "Could not find version 7 of model zoo"),
    ):
        with pytest.raises(ServableNotFound, match=message):
            call()
