from pathlib import Path

import pytest

from tf_dataflow_serving.services.prediction.errors import InvalidArgument, ModelUnusable
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.registry.artifacts import Artifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Two copies, of a storage service that nobody answers for."""
    for name in ("one", "two"):
        (tmp_path / "models" / name).mkdir(parents=True)
    return Artifacts(ObjectStore("http://127.0.0.1:9"), tmp_path / "models")


def names(artifacts: Artifacts) -> set[str]:
    return {path.name for path in artifacts.root.iterdir()}


def test_a_copy_is_discarded_and_no_other_one(artifacts):
    artifacts.discard("one")
    artifacts.discard("never there")
    assert names(artifacts) == {"two"}


def test_what_has_no_copy_discards_nothing(artifacts):
    artifacts.discard("")
    assert names(artifacts) == {"one", "two"}


def test_what_a_crash_has_left_is_discarded(artifacts):
    artifacts.discard_others({"two", ""})
    assert names(artifacts) == {"two"}


def test_a_copy_that_is_no_model_is_unusable(artifacts):
    with pytest.raises(ModelUnusable):
        artifacts.load("one")


def test_a_copy_that_could_not_be_made_leaves_nothing(artifacts):
    with pytest.raises(InvalidArgument):
        artifacts.fetch("not gs")
    assert names(artifacts) == {"one", "two"}
