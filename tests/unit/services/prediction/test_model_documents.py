"""What is known of models after the service has ended and started again."""

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import ModelUnusable
from tf_dataflow_serving.services.prediction.registry.model_documents import ModelDocuments
from tf_dataflow_serving.services.prediction.registry.models import (
    Model,
    ModelDefinition,
    ModelRegistry,
    Version,
    VersionDefinition,
    VersionState,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

NOW = datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def copies() -> set[str]:
    """The copies that can be loaded."""
    return {"zoo"}


@pytest.fixture
def start(tmp_path: Path, zoo: SavedModel, copies: set[str]):
    """Return what starts a registry on the same file each time."""

    def load(artifact: str) -> SavedModel:
        if artifact not in copies:
            raise ModelUnusable(f"no copy {artifact}")
        return zoo

    running = ExitStack()

    def started(*shared: Model) -> ModelRegistry:
        running.close()
        documents = running.enter_context(closing(Documents.in_file(tmp_path / "documents")))
        return ModelRegistry(lambda: NOW, ModelDocuments(documents, load, shared), shared)

    with running:
        yield started


def definition(name: str) -> VersionDefinition:
    return VersionDefinition(name, "gs://models/m", {"framework": "TENSORFLOW"})


def deploy(registry: ModelRegistry, name: str, zoo: SavedModel, artifact: str = "zoo") -> None:
    registry.create_version("p", "m", definition(name)).ready(zoo, artifact)
    registry.save("p")


def shared_model(zoo: SavedModel) -> Model:
    version = Version(definition("v1"), NOW)
    version.ready(zoo)
    model = Model(ModelDefinition("ours"))
    model.add(version)
    return model


def test_models_and_versions_are_there_again(start, zoo):
    before = start()
    before.create_model("p", ModelDefinition("m", "of births", ["europe-west1"]))
    deploy(before, "v1", zoo)
    deploy(before, "v2", zoo)
    before.set_default("p", "m", "v2")
    model = start().model("p", "m")
    assert model.definition == ModelDefinition("m", "of births", ["europe-west1"])
    assert [version.definition for version in model.versions.values()] == [
        definition("v1"),
        definition("v2"),
    ]
    assert {version.created for version in model.versions.values()} == {NOW}
    assert model.default is model.version("v2")


def test_a_version_serves_again_from_its_copy(start, zoo):
    before = start()
    before.create_model("p", ModelDefinition("m"))
    deploy(before, "v1", zoo)
    assert start().serving("p", "m", "v1") is zoo


def test_a_version_whose_copy_is_gone_has_failed(start, zoo):
    before = start()
    before.create_model("p", ModelDefinition("m"))
    deploy(before, "v1", zoo, artifact="gone")
    version = start().model("p", "m").version("v1")
    assert (version.state, version.error_message) == (VersionState.FAILED, "no copy gone")


def test_a_copy_that_could_not_be_loaded_is_kept_for_a_later_start(start, zoo, copies):
    before = start()
    before.create_model("p", ModelDefinition("m"))
    deploy(before, "v1", zoo)
    copies.clear()
    failed = start()
    failed.save("p")
    assert failed.artifacts() == {"zoo"}
    copies.add("zoo")
    version = start().model("p", "m").version("v1")
    assert (version.state, version.error_message) == (VersionState.READY, "")


def test_a_version_that_was_being_created_has_failed(start):
    before = start()
    before.create_model("p", ModelDefinition("m"))
    before.create_version("p", "m", definition("v1"))
    version = start().model("p", "m").version("v1")
    assert version.state is VersionState.FAILED
    assert "ended while" in version.error_message


def test_what_is_deleted_stays_so(start, zoo):
    before = start()
    before.create_model("p", ModelDefinition("m"))
    before.create_model("p", ModelDefinition("other"))
    deploy(before, "v1", zoo)
    before.delete_version("p", "m", "v1")
    before.delete_model("p", "other")
    after = start()
    assert [model.name for model in after.models("p")] == ["m"]
    assert after.model("p", "m").versions == {}


def test_a_shared_version_is_the_one_deployed_at_this_start(start, zoo):
    before = start(shared_model(zoo))
    before.create_version("p", "ours", definition("v2")).ready(zoo, "zoo")
    before.save("p")
    shared = shared_model(zoo)
    after = start(shared)
    assert after.model("p", "ours").version("v1") is shared.version("v1")
    assert after.serving("p", "ours", "v2") is zoo


def test_a_shared_version_that_is_deployed_no_more_is_gone(start, zoo):
    before = start(shared_model(zoo))
    before.create_version("p", "ours", definition("v2")).ready(zoo, "zoo")
    before.save("p")
    assert list(start().model("p", "ours").versions) == ["v2"]
