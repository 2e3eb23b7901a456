import threading

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.testing.util import assert_that

from tf_dataflow_serving.inference import local
from tf_dataflow_serving.inference.local import LocalModelHandler, estimate_local
from tf_dataflow_serving.inference.results import NOT_FINITE, Rejected
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.model.contract import load_signature
from tf_dataflow_serving.model.errors import ModelNotFound


def test_estimates_are_the_models_own(model_dir, signature, instances):
    assert estimate_local(instances, model_dir) == signature.predict(instances)


def test_the_shipped_model_is_the_default(instances):
    assert estimate_local(instances) == load_signature(str(SHIPPED)).predict(instances)


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelNotFound, match=str(tmp_path)):
        estimate_local([], tmp_path)


def test_the_model_is_loaded_once_however_many_ask(model_dir, monkeypatch, signature):
    loaded = []
    together = threading.Barrier(8)

    def load(location):
        loaded.append(location)
        return signature

    def ask():
        together.wait(30)
        LocalModelHandler(model_dir / ".").load_model()

    monkeypatch.setattr(local, "load_signature", load)
    local._load.cache_clear()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    local._load.cache_clear()
    assert loaded == [str(model_dir)]


def test_an_instance_that_fails_is_rejected_alone(model_dir, instances, signature):
    handler = LocalModelHandler(model_dir)
    bad = {
        3: instances[3] | {"mother_age": "old"},
        20: instances[20] | {"gestation_weeks": -1.0},
        30: instances[30] | {"gestation_weeks": 30.0},
        31: {"is_male": "True"},
    }
    batch = [bad.get(index, instance) for index, instance in enumerate(instances)]
    results = [result.inference for result in handler.run_inference(batch, handler.load_model())]
    for index, expected in enumerate(signature.predict(instances)):
        if index not in bad:
            assert results[index] == pytest.approx(expected)
    assert all(isinstance(results[index], Rejected) for index in bad)
    assert results[30] == NOT_FINITE
    assert "mother_age" in results[31].reason


def test_runs_in_a_pipeline_with_keys_of_any_kind(model_dir, instances, signature):
    keyed = [({"row": index}, instance) for index, instance in enumerate(instances)]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        results = (
            pipeline
            | beam.Create(keyed)
            | RunInference(KeyedModelHandler(LocalModelHandler(model_dir, batch_size=7)))
            | beam.MapTuple(lambda key, result: (key["row"], result.inference))
        )
        assert_that(results, estimates_are(signature.predict(instances)))


def estimates_are(expected):
    """Check (index, estimate) pairs; the model's last digit depends on the size of the batch."""

    def check(actual):
        assert [estimate for _, estimate in sorted(actual)] == pytest.approx(expected)

    return check


def test_batches_have_the_size_asked_for(model_dir, instances):
    sizes = batch_sizes(LocalModelHandler(model_dir, batch_size=10), instances)
    assert (sizes.min, sizes.max, sizes.sum) == (10, 10, len(instances))


def batch_sizes(handler, instances):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = (
        pipeline
        | beam.Create([instances])
        | beam.FlatMap(lambda batch: batch)
        | RunInference(handler, metrics_namespace="test")
    )
    result = pipeline.run()
    result.wait_until_finish()
    (found,) = [
        metric.committed
        for metric in result.metrics().query()["distributions"]
        if metric.key.metric.name == "inference_request_batch_size"
    ]
    return found
