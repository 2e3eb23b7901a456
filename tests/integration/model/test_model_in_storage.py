"""Models that are objects of Cloud Storage."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from google.cloud import storage

from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.model.contract import ModelNotFound, load_signature
from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.services.stack import Stack

BIRTHS = list(instances(20, seed=1))


@pytest.fixture
def bucket(on_stack: Stack) -> Iterator[storage.Bucket]:
    client = storage.Client(project=on_stack.endpoints.project)
    bucket = client.create_bucket(f"models-{uuid4().hex}", timeout=30)
    yield bucket
    bucket.delete(force=True, timeout=30)


def upload(bucket: storage.Bucket, prefix: str) -> None:
    for path in SHIPPED.rglob("*"):
        if path.is_file():
            name = prefix + path.relative_to(SHIPPED).as_posix()
            bucket.blob(name).upload_from_filename(str(path), timeout=30)


@pytest.mark.parametrize("path", ["/models/v1", "/models/v1/", "/models/v1//"])
def test_model_in_a_folder(bucket: storage.Bucket, path: str) -> None:
    upload(bucket, "models/v1/")
    bucket.blob("models/v1/").upload_from_string(b"", timeout=30)
    bucket.blob("models/v10/saved_model.pb").upload_from_string(b"another", timeout=30)
    expected = load_signature(str(SHIPPED)).predict(BIRTHS)
    assert load_signature(f"gs://{bucket.name}{path}").predict(BIRTHS) == expected


@pytest.mark.parametrize("path", ["", "/"])
def test_model_at_the_root_of_a_bucket(bucket: storage.Bucket, path: str) -> None:
    upload(bucket, "")
    expected = load_signature(str(SHIPPED)).predict(BIRTHS)
    assert load_signature(f"gs://{bucket.name}{path}").predict(BIRTHS) == expected


def test_the_copy_does_not_stay(
    bucket: storage.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(bucket, "v1/")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    load_signature(f"gs://{bucket.name}/v1").predict(BIRTHS)
    assert list(tmp_path.iterdir()) == []


def test_no_objects(bucket: storage.Bucket) -> None:
    with pytest.raises(ModelNotFound, match="no such model directory: gs://"):
        load_signature(f"gs://{bucket.name}/models/v1")


@pytest.mark.usefixtures("on_stack")
def test_no_bucket() -> None:
    with pytest.raises(ModelNotFound, match="no such bucket: gs://nowhere"):
        load_signature("gs://nowhere-at-all/models/v1")


def test_objects_that_would_leave_the_copy(bucket: storage.Bucket) -> None:
    bucket.blob("v1/../../escaped").upload_from_string(b"", timeout=30)
    with pytest.raises(ModelNotFound, match="leaves the model's directory"):
        load_signature(f"gs://{bucket.name}/v1")
