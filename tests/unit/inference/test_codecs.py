import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.codecs import CmleCodec, encode_instance
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint
from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.results import NOT_FINITE

ENDPOINT = PredictionEndpoint("http://127.0.0.1:1", "p", "m", "v1")
CODEC = CmleCodec()
values = (
    st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.integers(-(2**63), 2**63 - 1)
)
instances = st.lists(st.dictionaries(st.text(), values, max_size=8), max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
)


def predictions(*weights: float | None) -> bytes:
    return orjson.dumps({"predictions": [{"predictions": [weight]} for weight in weights]})


@given(instances)
def test_a_request_holds_the_instances_as_they_are(batch):
    body = CODEC.encode([encode_instance(instance) for instance in batch], ENDPOINT)
    assert json.loads(body) == {"instances": batch}


def test_a_request_names_the_signature_if_it_is_not_the_default():
    endpoint = PredictionEndpoint("http://127.0.0.1:1", "p", signature_name='a"b')
    assert json.loads(CODEC.encode([b"{}"], endpoint)) == {
        "instances": [{}],
        "signature_name": 'a"b',
    }


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("v1", "/v1/projects/p/models/m/versions/v1:predict"),
        (None, "/v1/projects/p/models/m:predict"),
    ],
)
def test_the_path_is_that_of_the_version_or_of_the_model(version, path):
    assert CODEC.path(PredictionEndpoint("http://h", "p", "m", version)) == path


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_estimates_come_back_exact(weights):
    assert CODEC.decode(predictions(*weights), len(weights)) == weights


@pytest.mark.parametrize("prediction", [7.5, [7.5], {"predictions": [7.5]}, {"scores": 7.5}])
def test_an_estimate_may_be_wrapped(prediction):
    assert CODEC.decode(orjson.dumps({"predictions": [prediction]}), 1) == [7.5]


def test_what_is_not_finite_is_rejected_alone():
    assert CODEC.decode(predictions(7.5, math.nan), 2) == [7.5, NOT_FINITE]


def test_an_error_in_place_of_predictions_rejects_the_request():
    with pytest.raises(PredictionRejected, match="Prediction failed: x"):
        CODEC.decode(b'{"error": "Prediction failed: x"}', 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"predictions": 1}',
        predictions(1.0),
        b'{"predictions": ["a", 1.0]}',
        b'{"predictions": [[1, 2], 1.0]}',
        b'{"predictions": [true, 1.0]}',
    ],
)
def test_what_is_not_of_the_protocol_refuses_the_endpoint(body):
    with pytest.raises(EndpointRefused):
        CODEC.decode(body, 2)


@given(st.binary() | json_values.map(json.dumps).map(str.encode))
def test_any_response_is_decoded_or_refused(body):
    try:
        assert len(CODEC.decode(body, 1)) == 1
    except PredictionRejected as error:
        assert error.reason


@pytest.mark.parametrize("instance", [{"x": object()}, {"x": 2**70}, {1: 2}, {"x": "\ud800"}])
def test_an_instance_that_json_cannot_hold_is_rejected(instance):
    with pytest.raises(PredictionRejected, match="not an instance"):
        encode_instance(instance)
