import math
import pickle

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.testing.util import assert_that

from tf_dataflow_serving.inference.endpoint import Endpoint, PredictionEndpoint, VertexEndpoint
from tf_dataflow_serving.inference.errors import PredictionRejected, PredictionUnavailable
from tf_dataflow_serving.inference.online import OnlinePredictor
from tf_dataflow_serving.inference.remote import (
    OnlineModelHandler,
    estimate_cmle,
    estimate_online,
    estimate_vertex,
)
from tf_dataflow_serving.inference.results import NOT_FINITE, Rejected
from tf_dataflow_serving.inference.retry import RetryPolicy

IMPATIENT = RetryPolicy(initial=0.001, maximum=0.01, deadline=0.1)


@pytest.fixture(params=["cmle", "vertex"])
def endpoint(request, service_url) -> Endpoint:
    if request.param == "vertex":
        return VertexEndpoint(service_url, "p", "europe-west4", "weights")
    return PredictionEndpoint(service_url, "p", "weights", "v1")


def test_estimates_are_the_models_own(endpoint, signature, instances):
    assert estimate_online(instances, endpoint) == signature.predict(instances)


def test_the_environment_names_the_service(service_url, monkeypatch, instances):
    monkeypatch.setenv("PREDICTION_EMULATOR_HOST", service_url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    with pytest.raises(PredictionRejected, match='"babyweight_estimator" was not found'):
        estimate_cmle(instances)
    with pytest.raises(PredictionRejected, match="babyweight-estimator"):
        estimate_vertex(instances)


def test_an_instance_that_fails_is_rejected_alone(endpoint, instances, signature):
    bad = {
        0: instances[0] | {"mother_age": "old"},
        20: instances[20] | {"gestation_weeks": -1.0},
        30: instances[30] | {"gestation_weeks": 30.0},
        31: {"is_male": "True"},
        49: instances[49] | {"mother_age": math.nan},
    }
    batch = [bad.get(index, instance) for index, instance in enumerate(instances)]
    results = OnlinePredictor(endpoint, RetryPolicy()).estimate(batch)
    for index, expected in enumerate(signature.predict(instances)):
        if index not in bad:
            assert results[index] == pytest.approx(expected)
    assert all(isinstance(results[index], Rejected) for index in bad)
    assert "Expected float32, got 'old'" in results[0].reason
    assert results[30] == NOT_FINITE


def test_a_plain_call_says_why_an_instance_is_rejected(endpoint, instances):
    with pytest.raises(PredictionRejected, match="Expected float32, got 'old'"):
        estimate_online([*instances, instances[0] | {"mother_age": "old"}], endpoint)


def test_more_bytes_than_a_request_may_have_go_in_several(endpoint, instances, signature):
    batch = instances * 200
    expected = signature.predict(instances) * 200
    assert estimate_online(batch, endpoint) == pytest.approx(expected)


def test_an_instance_longer_than_a_request_is_rejected_unsent(endpoint, instances):
    long = instances[0] | {"mother_race": "x" * 2_000_000}
    results = OnlinePredictor(endpoint, RetryPolicy()).estimate([instances[1], long])
    assert isinstance(results[0], float)
    assert "too long for a request" in results[1].reason


def test_a_version_that_does_not_exist_rejects_all(service_url, instances):
    endpoint = PredictionEndpoint(service_url, "p", "weights", "v9")
    results = OnlinePredictor(endpoint, RetryPolicy()).estimate(instances)
    assert set(results) == {
        Rejected('HTTP 404: Field: name Error: The version resource: "v9" was not found.')
    }


def test_an_endpoint_that_does_not_exist_rejects_all(service_url, instances):
    endpoint = VertexEndpoint(service_url, "p", endpoint="nothing")
    results = OnlinePredictor(endpoint, RetryPolicy()).estimate(instances)
    assert len(set(results)) == 1
    assert results[0].reason.startswith("HTTP 404: ")
    assert "endpoints/nothing" in results[0].reason


def test_a_service_that_is_away_is_unavailable(instances):
    with pytest.raises(PredictionUnavailable, match="ConnectError"):
        estimate_cmle(instances, PredictionEndpoint("http://127.0.0.1:9", "p"), IMPATIENT)


def test_runs_in_a_pipeline_with_keys_of_any_kind(endpoint, instances, signature):
    keyed = [({"row": index}, instance) for index, instance in enumerate(instances)]
    handler = OnlineModelHandler(endpoint, batch_size=7)
    expected = signature.predict(instances)

    def check(actual):
        assert [estimate for _, estimate in sorted(actual)] == pytest.approx(expected)

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(keyed)
            | RunInference(KeyedModelHandler(handler))
            | beam.MapTuple(lambda key, result: (key["row"], result.inference))
        )
        assert_that(results, check)


def test_runs_in_a_pipeline_on_batches_that_are_made_already(endpoint, instances, signature):
    batches = [list(enumerate(instances))[start : start + 20] for start in (0, 20, 40)]
    expected = signature.predict(instances)

    def check(actual):
        assert [estimate for _, estimate in sorted(actual)] == pytest.approx(expected)

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(batches)
            | RunInference(KeyedModelHandler(OnlineModelHandler(endpoint)).with_no_batching())
            | beam.MapTuple(lambda key, result: (key, result.inference))
        )
        assert_that(results, check)


def test_a_pipeline_keeps_the_good_ones_of_a_bad_batch(endpoint, instances):
    batch = [*enumerate(instances), (99, instances[0] | {"mother_age": "old"})]

    def check(actual):
        rejected = [key for key, inference in actual if isinstance(inference, Rejected)]
        assert rejected == [99]
        assert len(actual) == len(batch)

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(batch)
            | RunInference(KeyedModelHandler(OnlineModelHandler(endpoint)))
            | beam.MapTuple(lambda key, result: (key, result.inference))
        )
        assert_that(results, check)


def test_a_handler_gives_the_same_results_after_pickling(endpoint, instances):
    handler = OnlineModelHandler(endpoint, batch_size=3)
    copy = pickle.loads(pickle.dumps(handler))  # noqa: S301 - its own
    assert copy.batch_elements_kwargs() == {"min_batch_size": 3, "max_batch_size": 3}
    first = handler.run_inference(instances, handler.load_model())
    assert copy.run_inference(instances, copy.load_model()) == first
    assert first[0].model_id == endpoint.resource
