"""Endpoints: what can be deployed, and which deployed model answers."""

import itertools
import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceError,
)
from tf_dataflow_serving.services.prediction.registry.endpoint_documents import EndpointDocuments
from tf_dataflow_serving.services.prediction.registry.endpoints import (
    NEW_MODEL,
    DeployedModel,
    Endpoint,
    EndpointDefinition,
    Endpoints,
)
from tf_dataflow_serving.services.prediction.registry.registered_documents import (
    RegisteredModelDocuments,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import RegisteredModels

NOW = datetime(2020, 1, 2, tzinfo=UTC)
HERE = "projects/p/locations/us-central1"
THERE = "projects/p/locations/europe-west1"


def make_endpoints(*shared: Endpoint, seed: int = 0) -> Endpoints:
    documents = Documents.in_memory()
    numbers = map(str, itertools.count(100))
    keeper = RegisteredModelDocuments(documents, lambda _: pytest.fail("nothing to load"), [])
    models = RegisteredModels(lambda: NOW, lambda: next(numbers), keeper, [])
    return Endpoints(
        lambda: NOW,
        random.Random(seed),
        lambda: next(numbers),
        EndpointDocuments(documents, models),
        shared,
    )


@pytest.fixture
def endpoints() -> Endpoints:
    """Endpoints with one that is called e."""
    made = make_endpoints()
    made.create(HERE, "e", EndpointDefinition("E"))
    return made


@pytest.fixture
def model(zoo):
    """Make a deployed model of some id."""
    return lambda name: DeployedModel(name, "m", "1", "M", NOW, zoo)


def answers(endpoints: Endpoints, requests: int) -> Counter[str]:
    return Counter(endpoints.answering(HERE, "e").id for _ in range(requests))


def test_the_only_model_answers(endpoints, model):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    assert endpoints.endpoint(HERE, "e").traffic == {"1": 100}
    assert answers(endpoints, 10) == {"1": 10}


def test_traffic_is_split_by_percentages(endpoints, model):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    endpoints.deploy(HERE, "e", model("2"), {"1": 80, NEW_MODEL: 20})
    counts = answers(endpoints, 10_000)
    assert counts.keys() == {"1", "2"}
    # Five standard deviations of the binomial distribution; the seed is always the same.
    assert abs(counts["2"] - 2_000) < 5 * (10_000 * 0.2 * 0.8) ** 0.5


def test_the_same_seed_chooses_the_same_models(model):
    chosen = []
    for _ in range(2):
        endpoints = make_endpoints(seed=7)
        endpoints.create(HERE, "e", EndpointDefinition("E"))
        endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
        endpoints.deploy(HERE, "e", model("2"), {"1": 50, NEW_MODEL: 50})
        chosen.append([endpoints.answering(HERE, "e").id for _ in range(50)])
    assert chosen[0] == chosen[1]


def test_a_model_without_traffic_does_not_answer(endpoints, model):
    with pytest.raises(FailedPrecondition, match="doesn't have traffic_split"):
        endpoints.answering(HERE, "e")
    endpoints.deploy(HERE, "e", model("1"), {})
    with pytest.raises(FailedPrecondition, match="doesn't have traffic_split"):
        endpoints.answering(HERE, "e")
    endpoints.deploy(HERE, "e", model("2"), {"1": 100, NEW_MODEL: 0})
    assert answers(endpoints, 10) == {"1": 10}


@pytest.mark.parametrize(
    "traffic", [{NEW_MODEL: 99}, {NEW_MODEL: 50, "1": 51}, {NEW_MODEL: 50, "9": 50}, {"2": 100}]
)
def test_a_split_that_makes_no_sense_leaves_everything_as_it_was(endpoints, model, traffic):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    with pytest.raises(InvalidArgument, match="traffic_split"):
        endpoints.deploy(HERE, "e", model("2"), traffic)
    endpoint = endpoints.endpoint(HERE, "e")
    assert (list(endpoint.deployed), endpoint.traffic) == (["1"], {"1": 100})


def test_a_deployed_id_is_used_once(endpoints, model):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    with pytest.raises(AlreadyExists, match="deployed_model"):
        endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})


@pytest.mark.parametrize("deployed_id", ["0", "12345678901", "a", "-1", "1\n", "\u0661"])
def test_a_deployed_id_has_digits_and_is_not_that_of_a_new_model(endpoints, deployed_id):
    with pytest.raises(InvalidArgument, match="deployed_model"):
        endpoints.deployed_id(deployed_id)


def test_what_has_traffic_stays_deployed(endpoints, model):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    endpoints.deploy(HERE, "e", model("2"), {"1": 50, NEW_MODEL: 50})
    with pytest.raises(FailedPrecondition, match="still has traffic"):
        endpoints.undeploy(HERE, "e", "1", {})
    with pytest.raises(FailedPrecondition, match="still has traffic"):
        endpoints.undeploy(HERE, "e", "1", {"1": 100})
    endpoints.undeploy(HERE, "e", "1", {"2": 100})
    assert endpoints.endpoint(HERE, "e").traffic == {"2": 100}
    endpoints.undeploy(HERE, "e", "2", {})
    endpoint = endpoints.endpoint(HERE, "e")
    assert (endpoint.deployed, endpoint.traffic) == ({}, {})


def test_only_an_empty_endpoint_is_deleted(endpoints, model):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    with pytest.raises(FailedPrecondition, match="undeploy its models first"):
        endpoints.delete(HERE, "e")
    endpoints.undeploy(HERE, "e", "1", {})
    endpoints.delete(HERE, "e")
    assert endpoints.endpoints(HERE) == []


@pytest.mark.parametrize("endpoint_id", ["e", "e-1", "e" * 63, "1", "123456789"])
def test_an_endpoint_has_the_id_that_is_given(endpoint_id):
    endpoints = make_endpoints()
    assert endpoints.create(HERE, endpoint_id, EndpointDefinition("E")).id == endpoint_id
    with pytest.raises(AlreadyExists, match="endpoint_id"):
        endpoints.create(HERE, endpoint_id, EndpointDefinition("E"))


@pytest.mark.parametrize(
    "endpoint_id", ["E", "e-", "-e", "e_1", "e" * 64, "01", "1234567890", "1e", "é", "e\n"]
)
def test_an_endpoint_cannot_have_any_id(endpoint_id):
    with pytest.raises(InvalidArgument, match="endpoint_id"):
        make_endpoints().create(HERE, endpoint_id, EndpointDefinition("E"))


def test_an_endpoint_without_an_id_gets_a_number():
    assert make_endpoints().create(HERE, "", EndpointDefinition("E")).id == "100"


@pytest.mark.parametrize(
    "ask",
    [
        lambda endpoints: endpoints.endpoint(HERE, "none"),
        lambda endpoints: endpoints.endpoint(THERE, "e"),
        lambda endpoints: endpoints.answering(HERE, "none"),
        lambda endpoints: endpoints.update(HERE, "none", {}, None),
        lambda endpoints: endpoints.undeploy(HERE, "e", "1", {}),
        lambda endpoints: endpoints.delete(HERE, "none"),
    ],
)
def test_what_is_not_there_is_not_found(endpoints, ask):
    with pytest.raises(NotFound):
        ask(endpoints)


def test_an_endpoint_is_described_and_directed_anew(endpoints, model):
    endpoints.deploy(HERE, "e", model("1"), {NEW_MODEL: 100})
    endpoints.deploy(HERE, "e", model("2"), {})
    endpoints.update(HERE, "e", {"description": "new"}, {"2": 100})
    endpoint = endpoints.endpoint(HERE, "e")
    assert endpoint.definition == EndpointDefinition("E", "new")
    assert answers(endpoints, 10) == {"2": 10}


def test_shared_endpoints_are_everywhere_and_each_location_changes_its_own(model):
    shared = Endpoint("e", EndpointDefinition("E"), NOW, NOW)
    shared.deploy(model("1"), {NEW_MODEL: 100})
    endpoints = make_endpoints(shared)
    endpoints.undeploy(HERE, "e", "1", {})
    endpoints.delete(HERE, "e")
    assert endpoints.answering(THERE, "e").id == "1"
    assert endpoints.endpoints(HERE) == []


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from("123"),
            st.dictionaries(st.sampled_from(["0", "1", "2", "3"]), st.integers(0, 100)),
            st.sampled_from(["deploy", "undeploy", "update"]),
        ),
        max_size=12,
    )
)
def test_traffic_is_always_that_of_deployed_models_and_adds_up(steps, zoo):
    endpoints = make_endpoints()
    endpoints.create(HERE, "e", EndpointDefinition("E"))
    for name, traffic, step in steps:
        try:
            if step == "deploy":
                made = DeployedModel(name, "m", "1", "M", NOW, zoo)
                endpoints.deploy(HERE, "e", made, traffic)
            elif step == "undeploy":
                endpoints.undeploy(HERE, "e", name, traffic)
            else:
                endpoints.update(HERE, "e", {}, traffic)
        except ResourceError:
            pass
        endpoint = endpoints.endpoint(HERE, "e")
        assert endpoint.traffic.keys() <= endpoint.deployed.keys()
        assert sum(endpoint.traffic.values()) in (0, 100)
