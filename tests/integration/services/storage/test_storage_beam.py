"""Apache Beam's own file systems on gs://."""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io import fileio
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import gcsio
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.api_core.exceptions import NotFound
from google.cloud import storage

from tf_dataflow_serving.services.credentials import local_credentials

LINES = [f"line {number} ü" for number in range(1_000)]


@pytest.fixture
def root(bucket: storage.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with local_credentials(tmp_path, "local-project") as credentials:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
        yield f"gs://{bucket.name}"


def pipeline() -> beam.Pipeline:
    # DirectRunner would look for a runner to download.
    return beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))


def write(root: str, shards: int = 3) -> None:
    with pipeline() as p:
        _ = (
            p
            | beam.Create(LINES)
            | beam.io.WriteToText(f"{root}/out/part", ".txt", num_shards=shards)
        )


def test_text_goes_there_and_back(root: str, bucket: storage.Bucket) -> None:
    write(root)
    names = [blob.name for blob in bucket.list_blobs()]
    assert names == [f"out/part-0000{number}-of-00003.txt" for number in range(3)]
    with pipeline() as p:
        assert_that(p | beam.io.ReadFromText(f"{root}/out/part-*.txt"), equal_to(LINES))


def test_a_second_run_replaces_the_first(root: str, bucket: storage.Bucket) -> None:
    write(root)
    write(root)
    assert len(list(bucket.list_blobs())) == 3


def test_compressed_text(root: str) -> None:
    with pipeline() as p:
        _ = p | beam.Create(LINES) | beam.io.WriteToText(f"{root}/zipped", ".txt.gz")
    with pipeline() as p:
        assert_that(p | beam.io.ReadFromText(f"{root}/zipped*"), equal_to(LINES))


def test_match_and_read(root: str) -> None:
    write(root, shards=2)
    with pipeline() as p:
        files = p | fileio.MatchFiles(f"{root}/out/*.txt") | fileio.ReadMatches()
        lines = files | beam.FlatMap(lambda file: file.read_utf8().splitlines())
        assert_that(lines, equal_to(LINES))


def test_write_files(root: str, bucket: storage.Bucket) -> None:
    with pipeline() as p:
        _ = (
            p
            | beam.Create(LINES)
            | fileio.WriteToFiles(f"{root}/dynamic/", shards=1, sink=lambda _: fileio.TextSink())
        )
    (written,) = bucket.list_blobs(prefix="dynamic/")
    assert sorted(written.download_as_text().splitlines()) == sorted(LINES)


def test_files_as_such(root: str) -> None:
    for name in ("a", "a/b", "ü"):
        with FileSystems.create(f"{root}/files/{name}") as file:
            file.write(name.encode())
    found = FileSystems.match([f"{root}/files/**"])[0].metadata_list
    sizes = {file.path.rpartition("/files/")[2]: file.size_in_bytes for file in found}
    assert sizes == {"a": 1, "a/b": 3, "ü": 2}
    FileSystems.rename([f"{root}/files/a"], [f"{root}/files/c"])
    FileSystems.copy([f"{root}/files/c"], [f"{root}/files/d"])
    assert FileSystems.exists(f"{root}/files/c")
    assert not FileSystems.exists(f"{root}/files/a")
    with FileSystems.open(f"{root}/files/d") as file:
        assert file.read() == b"a"
    FileSystems.delete([f"{root}/files/c", f"{root}/files/d"])
    assert not FileSystems.exists(f"{root}/files/c")


def test_large_and_empty_files(root: str) -> None:
    content = bytes(range(256)) * 80_000
    for name, written in (("large", content), ("empty", b"")):
        with FileSystems.create(f"{root}/{name}", "application/octet-stream") as file:
            file.write(written)
        with FileSystems.open(f"{root}/{name}", "application/octet-stream") as file:
            assert file.read() == written


def test_what_is_missing(root: str) -> None:
    assert not FileSystems.match([f"{root}/none*"])[0].metadata_list
    with pytest.raises(NotFound):
        gcsio.GcsIO().open(f"{root}/none").read()
    with pytest.raises(BeamIOError):
        FileSystems.rename([f"{root}/none"], [f"{root}/other"])
