"""Unmodified Beam on gs://: text, files as such, Parquet, Avro, TFRecord."""

from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.io import fileio
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import gcsio
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from google.api_core.exceptions import NotFound
from google.cloud import storage

LINES = [f"line {number} ü" for number in range(1_000)]
RECORDS = [{"id": number, "name": f"row {number} ü", "ratio": number / 7} for number in range(200)]


@pytest.fixture
def root(bucket: storage.Bucket) -> str:
    return f"gs://{bucket.name}"


def write(options: PipelineOptions, elements: list[Any], sink: beam.PTransform) -> None:
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(elements) | sink


def assert_reads(options: PipelineOptions, source: beam.PTransform, elements: list[Any]) -> None:
    with beam.Pipeline(options=options) as pipeline:
        assert_that(pipeline | source, equal_to(elements))


class TestText:
    def test_shards(self, options: PipelineOptions, bucket: storage.Bucket, root: str) -> None:
        sink = beam.io.WriteToText(f"{root}/out/part", ".txt", num_shards=3)
        bucket.blob("out/part-00000-of-00003.txt").upload_from_string("of a run before")
        write(options, LINES, sink)
        names = [blob.name for blob in bucket.list_blobs()]
        assert names == [f"out/part-0000{number}-of-00003.txt" for number in range(3)]
        assert_reads(options, beam.io.ReadFromText(f"{root}/out/part-*.txt"), LINES)

    def test_compressed(self, options: PipelineOptions, root: str) -> None:
        write(options, LINES, beam.io.WriteToText(f"{root}/zipped", ".txt.gz"))
        assert_reads(options, beam.io.ReadFromText(f"{root}/zipped*"), LINES)

    def test_a_header(self, options: PipelineOptions, bucket: storage.Bucket, root: str) -> None:
        write(options, LINES, beam.io.WriteToText(f"{root}/out", header="head", num_shards=1))
        (written,) = bucket.list_blobs(prefix="out")
        assert written.download_as_text().startswith("head\n")
        assert_reads(options, beam.io.ReadFromText(f"{root}/out*", skip_header_lines=1), LINES)

    def test_patterns_as_elements(self, options: PipelineOptions, root: str) -> None:
        write(options, LINES, beam.io.WriteToText(f"{root}/out/part", ".txt", num_shards=2))
        with beam.Pipeline(options=options) as pipeline:
            patterns = pipeline | beam.Create([f"{root}/out/*.txt"])
            assert_that(patterns | beam.io.ReadAllFromText(), equal_to(LINES))


class TestFileio:
    def test_match_and_read(self, options: PipelineOptions, root: str) -> None:
        write(options, LINES, beam.io.WriteToText(f"{root}/out/part", ".txt", num_shards=2))
        with beam.Pipeline(options=options) as pipeline:
            files = pipeline | fileio.MatchFiles(f"{root}/out/*.txt") | fileio.ReadMatches()
            lines = files | beam.FlatMap(lambda file: file.read_utf8().splitlines())
            assert_that(lines, equal_to(LINES))

    def test_write_to_files_by_destination(
        self, options: PipelineOptions, bucket: storage.Bucket, root: str
    ) -> None:
        sink = fileio.WriteToFiles(
            f"{root}/dynamic/",
            destination=lambda line: "even" if int(line.split()[1]) % 2 == 0 else "odd",
            sink=lambda _: fileio.TextSink(),
            file_naming=fileio.destination_prefix_naming(),
            shards=1,
        )
        write(options, LINES, sink)
        for start, prefix in enumerate(("even", "odd")):
            (written,) = bucket.list_blobs(prefix=f"dynamic/{prefix}")
            assert sorted(written.download_as_text().splitlines()) == sorted(LINES[start::2])


class TestFormats:
    def test_parquet(self, options: PipelineOptions, root: str) -> None:
        fields = [("id", pa.int64()), ("name", pa.string()), ("ratio", pa.float64())]
        schema = pa.schema(fields)
        write(options, RECORDS, beam.io.WriteToParquet(f"{root}/rows", schema, num_shards=2))
        assert_reads(options, beam.io.ReadFromParquet(f"{root}/rows*"), RECORDS)

    def test_avro(self, options: PipelineOptions, root: str) -> None:
        types = {"id": "long", "name": "string", "ratio": "double"}
        fields = [{"name": name, "type": kind} for name, kind in types.items()]
        schema = {"type": "record", "name": "Row", "fields": fields}
        write(options, RECORDS, beam.io.WriteToAvro(f"{root}/rows", schema, num_shards=2))
        assert_reads(options, beam.io.ReadFromAvro(f"{root}/rows*"), RECORDS)

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_tfrecord(self, options: PipelineOptions, root: str, suffix: str) -> None:
        records = [line.encode() for line in LINES]
        sink = beam.io.WriteToTFRecord(f"{root}/rows", file_name_suffix=suffix, num_shards=2)
        write(options, records, sink)
        assert_reads(options, beam.io.ReadFromTFRecord(f"{root}/rows*"), records)


class TestFileSystems:
    """Beam's file system on gs://, without a pipeline."""

    @pytest.fixture(autouse=True)
    def services(self, root: str) -> None:
        """The tests of this class take their services from the bucket's fixture."""

    def test_files_and_what_is_below_them(self, root: str) -> None:
        for name in ("a", "a/b", "ü"):
            with FileSystems.create(f"{root}/files/{name}") as file:
                file.write(name.encode())
        found = FileSystems.match([f"{root}/files/**"])[0].metadata_list
        sizes = {file.path.rpartition("/files/")[2]: file.size_in_bytes for file in found}
        assert sizes == {"a": 1, "a/b": 3, "ü": 2}

    def test_rename_copy_delete(self, root: str) -> None:
        with FileSystems.create(f"{root}/a") as file:
            file.write(b"content")
        FileSystems.rename([f"{root}/a"], [f"{root}/c"])
        FileSystems.copy([f"{root}/c"], [f"{root}/d"])
        assert FileSystems.exists(f"{root}/c")
        assert not FileSystems.exists(f"{root}/a")
        with FileSystems.open(f"{root}/d") as file:
            assert file.read() == b"content"
        FileSystems.delete([f"{root}/c", f"{root}/d"])
        assert not FileSystems.exists(f"{root}/c")

    def test_large_and_empty_files(self, root: str) -> None:
        content = bytes(range(256)) * 80_000
        for name, written in (("large", content), ("empty", b"")):
            with FileSystems.create(f"{root}/{name}", "application/octet-stream") as file:
                file.write(written)
            with FileSystems.open(f"{root}/{name}", "application/octet-stream") as file:
                assert file.read() == written

    def test_what_is_missing(self, root: str) -> None:
        assert not FileSystems.match([f"{root}/none*"])[0].metadata_list
        with pytest.raises(NotFound):
            gcsio.GcsIO().open(f"{root}/none").read()
        with pytest.raises(BeamIOError):
            FileSystems.rename([f"{root}/none"], [f"{root}/other"])
