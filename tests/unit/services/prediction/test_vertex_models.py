"""Models whose versions are numbered, and what their aliases stand for."""

import itertools
from datetime import UTC, datetime

import pytest

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    ModelUnusable,
    NotFound,
)
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.registered_documents import (
    RegisteredModelDocuments,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModel,
    RegisteredModels,
    RegisteredVersion,
    Upload,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

NOW = datetime(2020, 1, 2, tzinfo=UTC)
HERE = "projects/p/locations/us-central1"
THERE = "projects/p/locations/europe-west1"


def unusable(artifact: str = "") -> SavedModel:
    raise ModelUnusable(f"no copy {artifact}")


MODEL = LazyModel(unusable)


def make_models(*shared: RegisteredModel) -> RegisteredModels:
    keeper = RegisteredModelDocuments(Documents.in_memory(), unusable, shared)
    numbers = map(str, itertools.count(100))
    return RegisteredModels(lambda: NOW, lambda: next(numbers), keeper, shared)


def upload(models: RegisteredModels, given: Upload) -> str:
    """Add what is uploaded; return the number of its version."""
    models.check(HERE, given)
    return models.add(HERE, models.model_id(given), given, MODEL, "copy").number


def shared_model() -> RegisteredModel:
    model = RegisteredModel("ours", "Ours", NOW, NOW)
    model.add(RegisteredVersion(model.next_number(), MODEL, NOW, NOW), ["v1"])
    return model


@pytest.fixture
def models() -> RegisteredModels:
    """A registry with version 1 of the model m."""
    made = make_models()
    upload(made, Upload("M", "gs://b/m", model_id="m"))
    return made


def another(models: RegisteredModels, *aliases: str) -> str:
    return upload(models, Upload("N", "gs://b/m", parent_id="m", aliases=aliases))


def test_a_model_without_an_id_gets_a_number():
    models = make_models()
    for _ in range(2):
        upload(models, Upload("M", "gs://b/m"))
    assert [model.id for model in models.models(HERE)] == ["100", "101"]


def test_the_first_version_is_the_default_one(models):
    assert models.version(HERE, "m", "").number == "1"
    assert models.version(HERE, "m", "default").number == "1"


def test_versions_are_numbered_and_a_number_is_not_used_again(models):
    assert another(models) == "2"
    models.delete_version(HERE, "m", "2")
    assert another(models) == "3"
    assert list(models.model(HERE, "m").versions) == ["1", "3"]


def test_an_alias_moves_to_the_version_that_takes_it(models):
    another(models, "golden", "default")
    assert models.version(HERE, "m", "").number == "2"
    models.merge_aliases(HERE, "m", "1", ["golden", "old"])
    model = models.model(HERE, "m")
    assert (model.aliases_of("1"), model.aliases_of("2")) == (["golden", "old"], ["default"])
    models.merge_aliases(HERE, "m", "old", ["-golden"])
    assert model.aliases_of("1") == ["old"]


def test_taking_away_what_another_version_has_changes_nothing(models):
    another(models, "golden")
    models.merge_aliases(HERE, "m", "1", ["-golden", "-default2"])
    assert models.model(HERE, "m").aliases_of("2") == ["golden"]


def test_the_default_alias_can_only_be_given_away(models):
    with pytest.raises(FailedPrecondition, match="cannot be taken away"):
        models.merge_aliases(HERE, "m", "1", ["-default"])
    another(models, "default")
    models.merge_aliases(HERE, "m", "1", ["-default"])
    assert models.version(HERE, "m", "").number == "2"


def test_the_default_version_stays(models):
    with pytest.raises(FailedPrecondition, match="default version 1"):
        models.delete_version(HERE, "m", "default")
    another(models, "default", "new")
    models.delete_version(HERE, "m", "1")
    assert models.model(HERE, "m").aliases == {"default": "2", "new": "2"}


@pytest.mark.parametrize("alias", ["1", "1a", "a", "A1", "a_b", "a-", "é1", "a" * 129, ""])
def test_an_alias_cannot_be_taken_for_a_number(models, alias):
    with pytest.raises(InvalidArgument, match="version_aliases"):
        another(models, alias)
    with pytest.raises(InvalidArgument, match="version_aliases"):
        models.merge_aliases(HERE, "m", "1", [alias])


@pytest.mark.parametrize("model_id", ["1m", "-m", "M", "m.n", "é", "m" * 64, "m\n"])
def test_an_id_is_of_the_form_that_names_have(model_id):
    with pytest.raises(InvalidArgument, match="model_id"):
        upload(make_models(), Upload("M", "gs://b/m", model_id=model_id))


def test_an_id_is_used_once(models):
    with pytest.raises(AlreadyExists):
        upload(models, Upload("M", "gs://b/m", model_id="m"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda models: models.model(HERE, "none"),
        lambda models: models.model(THERE, "m"),
        lambda models: models.version(HERE, "m", "2"),
        lambda models: models.version(HERE, "m", "none"),
        lambda models: models.update(HERE, "none", {}),
        lambda models: models.update_version(HERE, "m", "2", {}),
        lambda models: models.merge_aliases(HERE, "m", "2", ["new"]),
        lambda models: models.delete(HERE, "none"),
        lambda models: models.delete_version(HERE, "m", "2"),
        lambda models: upload(models, Upload("M", "gs://b/m", parent_id="none")),
    ],
)
def test_what_is_not_there_is_not_found(models, ask):
    with pytest.raises(NotFound):
        ask(models)


def test_models_and_versions_are_described_anew(models):
    models.update(HERE, "m", {"display_name": "Other", "labels": {"a": "b"}})
    models.update_version(HERE, "m", "default", {"description": "the first"})
    model = models.model(HERE, "m")
    assert (model.display_name, model.labels) == ("Other", {"a": "b"})
    assert model.version().description == "the first"


def test_the_labels_of_a_first_upload_are_the_models():
    models = make_models()
    upload(models, Upload("M", "gs://b/m", model_id="m", labels={"a": "b"}))
    upload(models, Upload("M", "gs://b/m", parent_id="m", labels={"c": "d"}))
    model = models.model(HERE, "m")
    assert model.labels == {"a": "b"}
    assert [version.labels for version in model.versions.values()] == [{}, {"c": "d"}]


def test_a_number_is_that_of_a_version_whatever_an_alias_says():
    model = shared_model()
    model.add(RegisteredVersion(model.next_number(), MODEL, NOW, NOW), ["1"])
    assert make_models(model).version(HERE, "ours", "1").number == "1"


def test_shared_models_are_everywhere_and_each_location_changes_its_own():
    models = make_models(shared_model())
    models.update(HERE, "ours", {"display_name": "Changed"})
    models.merge_aliases(HERE, "ours", "v1", ["first"])
    models.update_version(HERE, "ours", "1", {"description": "changed"})
    there = models.model(THERE, "ours")
    assert (there.display_name, there.aliases) == ("Ours", {"v1": "1", "default": "1"})
    assert there.version().description == ""
    models.delete(HERE, "ours")
    assert [model.id for model in models.models(THERE)] == ["ours"]
    assert models.models(HERE) == []


def test_a_model_is_loaded_once(zoo):
    loads = []
    model = LazyModel(lambda: loads.append(1) or zoo)
    assert model.get() is model.get() is zoo
    assert loads == [1]


def test_a_model_that_could_not_be_loaded_is_tried_again(zoo):
    outcomes = iter([ModelUnusable("not yet"), zoo])

    def load() -> SavedModel:
        outcome = next(outcomes)
        if isinstance(outcome, ModelUnusable):
            raise outcome
        return outcome

    model = LazyModel(load)
    with pytest.raises(ModelUnusable):
        model.get()
    assert model.get() is zoo
