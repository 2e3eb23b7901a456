import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.errors import (
    InvalidArgument,
    StorageFailed,
    StorageUnavailable,
)
from tf_dataflow_serving.services.prediction.objects import ObjectStore, _expression, split


def matches(pattern: str, name: str) -> bool:
    return re.fullmatch(_expression(pattern), name, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("in/*", "in/a.json", True),
        ("in/*", "in/deep/a.json", False),
        ("in/**", "in/deep/a.json", True),
        ("in/part-?", "in/part-1", True),
        ("in/part-?", "in/part-12", False),
        ("in/*.json", "in/a.json", True),
        ("in/*.json", "in/axjson", False),
        ("a+b[1]", "a+b[1]", True),
    ],
)
def test_wildcards(pattern, name, expected):
    assert matches(pattern, name) is expected


@given(st.text(st.characters(exclude_characters="*?"), max_size=20))
def test_a_pattern_without_wildcards_matches_itself_alone(name):
    assert matches(name, name)
    assert not matches(name, f"{name}x")


@pytest.mark.parametrize("uri", ["", "gs://", "gs://b", "gs://b/", "/local/path", "s3://b/x"])
def test_refuses_what_is_not_an_object_uri(uri):
    with pytest.raises(InvalidArgument):
        split(uri)


def test_a_service_that_is_away_fails_in_one_place(monkeypatch):
    store = ObjectStore("http://127.0.0.1:9")
    monkeypatch.setattr("tf_dataflow_serving.services.prediction.objects._LIMITS", {"retry": None})
    with pytest.raises(StorageUnavailable, match="gs://b/in/"):
        store.matching("gs://b/in/*")


class Listing(ObjectStore):
    """A store that holds objects of any name, as Cloud Storage does."""

    def __init__(self, *blobs: SimpleNamespace) -> None:
        self.blobs = blobs

    def _list(self, *_: str) -> list[SimpleNamespace]:
        return list(self.blobs)


@pytest.mark.parametrize("name", ["m/../../escaped", "m//etc/passwd", "m/a/../../x"])
def test_an_object_cannot_lead_out_of_the_models_directory(name, tmp_path):
    with pytest.raises(StorageFailed, match="leads out"):
        Listing(SimpleNamespace(name=name, size=1)).download_model("gs://b/m", tmp_path / "model")


@pytest.mark.parametrize(
    "blobs",
    [
        [SimpleNamespace(name=f"m/{index}", size=0) for index in range(1001)],
        [SimpleNamespace(name="m/saved_model.pb", size=500 * 1024 * 1024 + 1)],
    ],
)
def test_a_model_has_a_limit(blobs, tmp_path):
    with pytest.raises(StorageFailed, match="exceed the allowed maximum"):
        Listing(*blobs).download_model("gs://b/m", tmp_path)
