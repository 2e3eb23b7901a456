from pathlib import Path

import pytest

from tf_dataflow_serving.services.prediction.errors import InvalidArgument, ModelUnusable
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.registry.artifacts import Artifacts

ONE, TWO = "1" * 32, "2" * 32


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Two copies, of a storage service that nobody answers for."""
    for name in (ONE, TWO):
        (tmp_path / "models" / name).mkdir(parents=True)
    return Artifacts(ObjectStore("http://127.0.0.1:9"), tmp_path / "models")


def names(artifacts: Artifacts) -> set[str]:
    return {path.name for path in artifacts.root.iterdir()}


def test_a_copy_is_discarded_and_no_other_one(artifacts):
    artifacts.discard(ONE)
    artifacts.discard("never there")
    assert names(artifacts) == {TWO}


def test_what_has_no_copy_discards_nothing(artifacts):
    artifacts.discard("")
    assert names(artifacts) == {ONE, TWO}


def test_what_a_crash_has_left_is_discarded(artifacts):
    artifacts.discard_others({TWO, ""})
    assert names(artifacts) == {TWO}


@pytest.mark.parametrize("name", ["mine", "A" * 32, "1" * 31, "1" * 33])
def test_what_has_no_name_of_a_copy_stays(artifacts, name):
    (artifacts.root / name).mkdir()
    artifacts.discard_others({""})
    assert names(artifacts) == {name}


def test_a_copy_that_is_no_model_is_unusable(artifacts):
    with pytest.raises(ModelUnusable):
        artifacts.load(ONE)


def test_a_copy_that_could_not_be_made_leaves_nothing(artifacts):
    with pytest.raises(InvalidArgument):
        artifacts.fetch("not gs")
    assert names(artifacts) == {ONE, TWO}
