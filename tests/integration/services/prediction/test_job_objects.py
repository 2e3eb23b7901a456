"""The objects that jobs write on gs://, and delete again when they are cancelled."""

import pytest

from tf_dataflow_serving.services.prediction.objects import ObjectStore


@pytest.fixture
def store(storage_url) -> ObjectStore:
    return ObjectStore(storage_url)


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results"
    path.write_text("of this job")
    return path


def contents(bucket):
    return {blob.name: blob.download_as_text() for blob in bucket.list_blobs()}


def test_a_writer_deletes_its_object(bucket, store, results):
    store.upload(results, f"gs://{bucket.name}/out/a", "this")
    assert contents(bucket) == {"out/a": "of this job"}
    store.delete(f"gs://{bucket.name}/out/a", "this")
    assert contents(bucket) == {}


def test_a_writer_leaves_the_objects_of_others(bucket, store, results):
    store.upload(results, f"gs://{bucket.name}/out/a", "this")
    bucket.blob("out/a").upload_from_string("written over")
    bucket.blob("out/b").upload_from_string("of a user")
    store.upload(results, f"gs://{bucket.name}/out/c", "another")
    kept = contents(bucket)
    for name in kept:
        store.delete(f"gs://{bucket.name}/{name}", "this")
    assert contents(bucket) == kept


def test_an_object_that_is_gone_needs_no_deletion(bucket, store):
    store.delete(f"gs://{bucket.name}/out/a", "this")
    assert contents(bucket) == {}
