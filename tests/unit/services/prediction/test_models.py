from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    ModelUnusable,
    NotFound,
)
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

NOW = datetime(2020, 1, 2, tzinfo=UTC)


def definition(name: str) -> VersionDefinition:
    return VersionDefinition(name, "gs://models/m")


def no_artifact(name: str) -> SavedModel:
    raise ModelUnusable(f"no copy {name}")


def make_registry(*shared: Model) -> ModelRegistry:
    keeper = ModelDocuments(Documents.in_memory(), no_artifact, shared)
    return ModelRegistry(lambda: NOW, keeper, shared)


@pytest.fixture
def registry() -> ModelRegistry:
    return make_registry()


@pytest.fixture
def with_model(registry):
    registry.create_model("p", ModelDefinition("m"))
    return registry


def test_the_first_version_is_the_default_until_another_is_chosen(with_model, zoo):
    for name in ("v1", "v2"):
        with_model.create_version("p", "m", definition(name)).ready(zoo)
    assert with_model.model("p", "m").default.name == "v1"
    with_model.set_default("p", "m", "v2")
    assert with_model.model("p", "m").default.name == "v2"


def test_serves_the_version_that_is_named_or_the_default(with_model):
    first, second = object(), object()
    with_model.create_version("p", "m", definition("v1")).ready(first)
    with_model.create_version("p", "m", definition("v2")).ready(second)
    assert with_model.serving("p", "m", None) is first
    assert with_model.serving("p", "m", "v2") is second


def test_a_version_does_not_serve_before_it_is_loaded(with_model):
    version = with_model.create_version("p", "m", definition("v1"))
    assert (version.state, version.created) == (VersionState.CREATING, NOW)
    with pytest.raises(FailedPrecondition, match="not ready: CREATING"):
        with_model.serving("p", "m", "v1")


def test_a_version_that_failed_says_so(with_model):
    version = with_model.create_version("p", "m", definition("v1"))
    version.failed("no such bucket")
    assert (version.state, version.error_message) == (VersionState.FAILED, "no such bucket")
    with pytest.raises(FailedPrecondition, match="FAILED"):
        with_model.serving("p", "m", None)


def test_a_model_without_versions_does_not_serve(with_model):
    with pytest.raises(FailedPrecondition, match="no default version"):
        with_model.serving("p", "m", None)


def test_names_are_unique(with_model):
    with pytest.raises(AlreadyExists):
        with_model.create_model("p", ModelDefinition("m"))
    with_model.create_version("p", "m", definition("v"))
    with pytest.raises(AlreadyExists):
        with_model.create_version("p", "m", definition("v"))


def test_what_does_not_exist_is_not_found(with_model):
    for call in (
        lambda: with_model.model("p", "other"),
        lambda: with_model.model("q", "m"),
        lambda: with_model.serving("p", "m", "v"),
        lambda: with_model.set_default("p", "m", "v"),
        lambda: with_model.delete_version("p", "m", "v"),
        lambda: with_model.delete_model("p", "other"),
        lambda: with_model.create_version("p", "other", definition("v")),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_model_is_deleted_after_its_versions(with_model):
    with_model.create_version("p", "m", definition("v1"))
    with_model.create_version("p", "m", definition("v2"))
    with pytest.raises(FailedPrecondition, match="delete its versions first"):
        with_model.delete_model("p", "m")
    with pytest.raises(FailedPrecondition, match="default version"):
        with_model.delete_version("p", "m", "v1")
    with_model.delete_version("p", "m", "v2")
    with_model.delete_version("p", "m", "v1")
    assert with_model.model("p", "m").default is None
    with_model.delete_model("p", "m")
    assert with_model.models("p") == []


def test_shared_models_are_every_projects_own():
    version = Version(definition("v1"), NOW)
    model = Model(ModelDefinition("shared"))
    model.add(version)
    registry = make_registry(model)
    registry.delete_version("p", "shared", "v1")
    registry.delete_model("p", "shared")
    assert registry.models("p") == []
    assert registry.model("q", "shared").versions == {"v1": version}


@given(st.text(max_size=6) | st.from_regex(r"[a-z]\w{0,130}", fullmatch=True))
def test_names_are_words(name):
    registry = make_registry()
    try:
        registry.create_model("p", ModelDefinition(name))
    except InvalidArgument:
        assert not (name.isascii() and name.isidentifier() and name[0] != "_" and len(name) <= 128)
    else:
        assert name.isascii() and name.isidentifier() and len(name) <= 128
