import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.inference.codecs import (
    CmleCodec,
    VertexCodec,
    codec_of,
    encode_instance,
    estimate_of,
)
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.errors import EndpointRefused, PredictionRejected
from tf_dataflow_serving.inference.results import NOT_FINITE

CMLE = CmleCodec(PredictionEndpoint("http://127.0.0.1:1", "p", "m", "v1"))
VERTEX = VertexCodec(VertexEndpoint("http://127.0.0.1:1", "p", "europe-west4", "e"))
both = pytest.mark.parametrize("codec", [CMLE, VERTEX])
values = (
    st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.integers(-(2**63), 2**63 - 1)
)
instances = st.lists(st.dictionaries(st.text(), values, max_size=8), max_size=10)
json_values = st.recursive(
    st.none() | st.booleans() | values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
)


@both
@given(instances)
def test_a_request_holds_the_instances_as_they_are(codec, batch):
    body = codec.encode([encode_instance(instance) for instance in batch])
    assert json.loads(body) == {"instances": batch}


def test_a_request_names_the_signature_if_it_is_not_the_default():
    endpoint = PredictionEndpoint("http://127.0.0.1:1", "p", signature_name='a"b')
    assert json.loads(CmleCodec(endpoint).encode([b"{}"])) == {
        "instances": [{}],
        "signature_name": 'a"b',
    }


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (CMLE.endpoint, "/v1/projects/p/models/m/versions/v1:predict"),
        (PredictionEndpoint("http://h", "p", "m", None), "/v1/projects/p/models/m:predict"),
        (VERTEX.endpoint, "/v1/projects/p/locations/europe-west4/endpoints/e:predict"),
    ],
)
def test_the_path_is_that_of_the_endpoints_resource(endpoint, path):
    assert codec_of(endpoint).path == path


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_estimates_come_back_exact(weights):
    by_name = {"predictions": [{"predictions": [weight]} for weight in weights]}
    assert CMLE.decode(by_name, len(weights)) == weights
    alone = {"predictions": [[weight] for weight in weights], "deployedModelId": "1"}
    assert VERTEX.decode(alone, len(weights)) == weights


@pytest.mark.parametrize("prediction", [7.5, [7.5], {"predictions": [7.5]}, {"scores": 7.5}])
def test_an_estimate_may_be_wrapped(prediction):
    assert estimate_of(prediction) == 7.5


@both
def test_what_is_not_finite_is_rejected_alone(codec):
    assert codec.decode({"predictions": [[7.5], [None]]}, 2) == [7.5, NOT_FINITE]


def test_an_error_in_place_of_predictions_rejects_the_request():
    with pytest.raises(PredictionRejected, match="Prediction failed: x"):
        CMLE.decode({"error": "Prediction failed: x"}, 1)


@both
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"predictions": 1},
        {"predictions": [[1.0]]},
        {"predictions": ["a", 1.0]},
        {"predictions": [[1, 2], 1.0]},
        {"predictions": [True, 1.0]},
    ],
)
def test_what_is_not_of_the_protocol_refuses_the_endpoint(codec, answer):
    with pytest.raises(EndpointRefused):
        codec.decode(answer, 2)


@both
@given(
    st.dictionaries(st.text(), json_values, max_size=3)
    | st.fixed_dictionaries({"predictions": json_values})
)
def test_any_answer_is_decoded_or_refused(codec, answer):
    try:
        assert len(codec.decode(answer, 1)) == 1
    except PredictionRejected as error:
        assert error.reason


@pytest.mark.parametrize("instance", [{"x": object()}, {"x": 2**70}, {1: 2}, {"x": "\ud800"}])
def test_an_instance_that_json_cannot_hold_is_rejected(instance):
    with pytest.raises(PredictionRejected, match="not an instance"):
        encode_instance(instance)
