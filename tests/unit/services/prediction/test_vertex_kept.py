"""What is known of hosted models after the service has ended and started again."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.operations import OperationFailed
from tf_dataflow_serving.services.prediction.registry.artifacts import Artifacts
from tf_dataflow_serving.services.prediction.registry.endpoints import EndpointDefinition
from tf_dataflow_serving.services.prediction.registry.hosting import (
    Deployment,
    Hosting,
    open_hosting,
)
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.models import (
    Model,
    ModelDefinition,
    Version,
    VersionDefinition,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import Upload
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

NOW = datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HERE = "projects/p/locations/us-central1"
UPLOAD = Upload(
    "M",
    "gs://b/m",
    model_id="m",
    description="of births",
    version_description="the first",
    aliases=["golden"],
    labels={"a": "b"},
    attributes={"containerSpec": {"imageUri": "i"}},
)


@pytest.fixture
def start(tmp_path: Path, zoo_dir: Path):
    """Return what opens the same directory each time, where `zoo` is the copy of a model."""
    copies = tmp_path / "models"
    copies.mkdir()
    (copies / "zoo").symlink_to(zoo_dir)

    running = ExitStack()

    def started(*deployed: Model) -> Hosting:
        running.close()
        documents = running.enter_context(closing(Documents.in_file(tmp_path / "documents")))
        artifacts = Artifacts(ObjectStore("http://127.0.0.1:9"), copies)
        return open_hosting(documents, artifacts, lambda: NOW, random.Random(0), deployed)

    with running:
        yield started


def add(hosting: Hosting, upload: Upload, artifact: str = "zoo") -> None:
    model = LazyModel(lambda: hosting.artifacts.load(artifact))
    hosting.models.add(HERE, hosting.models.model_id(upload), upload, model, artifact)


def deployed_model(
    zoo: SavedModel, name: str = "Our_s", versions: Sequence[str] = ("v1", "v2")
) -> Model:
    model = Model(ModelDefinition(name))
    for version_name in versions:
        version = Version(VersionDefinition(version_name, "/models/ours"), NOW)
        version.ready(zoo)
        model.add(version)
    return model


def test_models_are_there_again(start):
    before = start()
    add(before, UPLOAD)
    before.models.merge_aliases(HERE, "m", "1", ["silver"])
    before.models.update(HERE, "m", {"labels": {"c": "d"}})
    expected, model = before.models.model(HERE, "m"), start().models.model(HERE, "m")
    for name in ("id", "display_name", "description", "labels", "aliases", "uploads", "created"):
        assert getattr(model, name) == getattr(expected, name), name
    (old,), (new,) = expected.versions.values(), model.versions.values()
    for name in ("number", "description", "labels", "attributes", "artifact", "created", "updated"):
        assert getattr(new, name) == getattr(old, name), name


def test_a_deleted_version_leaves_its_number_unused(start):
    before = start()
    add(before, UPLOAD)
    add(before, Upload("M", "gs://b/m", parent_id="m"))
    before.delete_version(HERE, "m", "2")
    after = start()
    add(after, Upload("M", "gs://b/m", parent_id="m"))
    assert list(after.models.model(HERE, "m").versions) == ["1", "3"]


def test_deployed_models_answer_again(start):
    before = start()
    add(before, UPLOAD)
    before.endpoints.create(HERE, "e", EndpointDefinition("E", "d", {"a": "b"}, {"network": "n"}))
    given = Deployment("m", "golden", "D", "7", {"0": 100}, {"serviceAccount": "s"})
    deployed = asyncio.run(before.deploy(HERE, "e", given))
    after = start().endpoints
    endpoint = after.endpoint(HERE, "e")
    assert endpoint.definition == before.endpoints.endpoint(HERE, "e").definition
    assert endpoint.traffic == {"7": 100}
    answering = after.answering(HERE, "e")
    for name in ("id", "model_id", "version", "display_name", "created", "artifact", "attributes"):
        assert getattr(answering, name) == getattr(deployed, name), name
    assert answering.saved_model.signature("logarithm").predict([1.0]) == [{"y": 0.0}]


def test_a_deployed_model_whose_copy_is_gone_answers_no_more(start):
    before = start()
    add(before, UPLOAD)
    before.endpoints.create(HERE, "e", EndpointDefinition("E"))
    asyncio.run(before.deploy(HERE, "e", Deployment("m", "", traffic={"0": 100})))
    (before.artifacts.root / "zoo").unlink()
    endpoint = start().endpoints.endpoint(HERE, "e")
    assert (endpoint.deployed, endpoint.traffic) == ({}, {})


def test_models_of_the_start_are_on_endpoints_of_their_own(start, zoo):
    hosting = start(deployed_model(zoo))
    model = hosting.models.model(HERE, "our_s")
    assert model.aliases == {"v1": "1", "default": "1", "v2": "2"}
    assert hosting.endpoints.answering(HERE, "our-s").version == "1"


def test_a_number_is_not_an_alias_of_another_version(start, zoo):
    model = start(deployed_model(zoo, versions=["2", "1"])).models.model(HERE, "our_s")
    assert model.aliases == {"default": "1"}
    assert [model.version(number).number for number in "12"] == ["1", "2"]


def test_a_version_of_the_start_has_its_number_for_good(start, zoo):
    start(deployed_model(zoo))
    model = start(deployed_model(zoo, versions=["v3", "v2"])).models.model(HERE, "our_s")
    assert model.aliases == {"v3": "3", "default": "3", "v2": "2"}
    assert model.uploads == 3


def test_a_model_of_the_start_that_is_gone_answers_no_more(start, zoo):
    before = start(deployed_model(zoo))
    before.endpoints.update(HERE, "our-s", {"description": "changed"}, None)
    endpoint = start(deployed_model(zoo, versions=["v2"])).endpoints.endpoint(HERE, "our-s")
    assert (endpoint.deployed, endpoint.traffic) == ({}, {})


def test_an_uploaded_model_does_not_answer_for_one_of_the_start(start, zoo):
    add(start(), replace(UPLOAD, model_id="our_s"))
    before = start(deployed_model(zoo))
    before.endpoints.update(HERE, "our-s", {"description": "changed"}, None)
    endpoint = start().endpoints.endpoint(HERE, "our-s")
    assert (endpoint.deployed, endpoint.traffic) == ({}, {})


def test_a_version_that_is_deleted_while_it_is_loaded_is_not_deployed(start, zoo):
    hosting = start()
    hosting.endpoints.create(HERE, "e", EndpointDefinition("E"))

    def load() -> SavedModel:
        hosting.delete_model(HERE, "m")
        add(hosting, UPLOAD)
        return zoo

    hosting.models.add(HERE, "m", UPLOAD, LazyModel(load), "")
    with pytest.raises(OperationFailed, match="was deleted"):
        asyncio.run(hosting.deploy(HERE, "e", Deployment("m", "", traffic={"0": 100})))
    assert hosting.endpoints.endpoint(HERE, "e").deployed == {}


def test_names_that_differ_in_case_alone_are_versions_of_one_model(start, zoo):
    hosting = start(deployed_model(zoo, "Ours"), deployed_model(zoo, "ours"))
    (model,) = hosting.models.models(HERE)
    assert list(model.versions) == ["1", "2", "3", "4"]
    assert model.version("v1").number == "3"


def test_a_changed_model_of_the_start_stays_changed_as_long_as_it_is_deployed(start, zoo):
    before = start(deployed_model(zoo))
    before.models.update(HERE, "our_s", {"description": "changed"})
    before.models.merge_aliases(HERE, "our_s", "2", ["default"])
    again = start(deployed_model(zoo)).models.model(HERE, "our_s")
    assert (again.description, again.version().number) == ("changed", "2")
    assert again.version().model.get() is zoo
    assert start().models.models(HERE) == []


def test_a_changed_endpoint_of_the_start_goes_on(start, zoo):
    before = start(deployed_model(zoo))
    before.endpoints.update(HERE, "our-s", {"description": "changed"}, None)
    after = start(deployed_model(zoo)).endpoints
    assert after.endpoint(HERE, "our-s").definition.description == "changed"
    assert after.answering(HERE, "our-s").saved_model is zoo
