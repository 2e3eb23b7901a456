"""What a storage finds when its directory is opened again."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage.errors import DataDirectoryInUse, UploadNotFound
from tf_dataflow_serving.services.storage.objects import Source
from tf_dataflow_serving.services.storage.resources import NO_CHECKSUMS
from tf_dataflow_serving.services.storage.resumable import CHUNK_MULTIPLE, Chunk
from tf_dataflow_serving.services.storage.storage import open_storage
from tf_dataflow_serving.services.storage.uploads import Intent, Part

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1)


@settings(deadline=None, max_examples=30)
@given(
    contents=st.dictionaries(
        names.filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 1024),
        st.binary(max_size=20),
    )
)
def test_everything_is_there_again(
    tmp_path_factory: pytest.TempPathFactory, reopen: Any, contents: dict[str, bytes]
) -> None:
    directory = tmp_path_factory.mktemp("data")
    with reopen(directory) as bench:
        for name, content in contents.items():
            bench.put(name, content, attributes={"metadata": {"name": name}})
        before = {name: bench.storage.objects.get(Source("bucket", name)) for name in contents}
    with reopen(directory) as bench:
        assert {name: bench.read(name) for name in contents} == contents
        assert {n: bench.storage.objects.get(Source("bucket", n)) for n in contents} == before


def test_what_nothing_refers_to_is_swept_away(tmp_path: Path, reopen: Any) -> None:
    with reopen(tmp_path) as bench:
        bench.put("object", b"kept")
        abandoned = bench.storage.objects.new_content()
        abandoned.write(b"half of a")
        abandoned.close()
        assert len(bench.blobs()) == 2
    with reopen(tmp_path) as bench:
        assert bench.blobs() == [b"kept"]


def test_files_of_other_names_are_nobodys_to_sweep(tmp_path: Path, reopen: Any) -> None:
    with reopen(tmp_path):
        pass
    (tmp_path / "blobs" / "no").mkdir()
    (tmp_path / "blobs" / "no" / "notes.txt").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    with reopen(tmp_path):
        assert (tmp_path / "blobs" / "no" / "notes.txt").read_text() == "mine"
        assert (tmp_path / "notes.txt").read_text() == "mine too"


def test_unfinished_uploads_go_on(tmp_path: Path, reopen: Any) -> None:
    first, rest = bytes(CHUNK_MULTIPLE), b"rest"
    with reopen(tmp_path) as bench:
        upload_id = bench.storage.resumable.start(Intent("bucket", "object"), None)
        writer = bench.storage.resumable.open_chunk(upload_id, Chunk(0, len(first), None))
        writer.write(first)
        writer.close()
        parts_id = bench.storage.multipart.start(Intent("bucket", "parts"))
        part = bench.storage.multipart.new_part(parts_id, 1)
        part.write(b"part")
        kept = Part(1, part.close())
        bench.storage.multipart.add_part(parts_id, kept, NO_CHECKSUMS)
    with reopen(tmp_path) as bench:
        assert bench.storage.resumable.progress(upload_id).persisted == len(first)
        total = len(first) + len(rest)
        writer = bench.storage.resumable.open_chunk(upload_id, Chunk(len(first), len(rest), total))
        writer.write(rest)
        writer.close()
        bench.storage.resumable.conclude(upload_id, total, NO_CHECKSUMS)
        bench.storage.multipart.complete(parts_id, [(1, kept.etag)])
        assert bench.read("object") == first + rest
        assert bench.read("parts") == b"part"


def test_an_upload_whose_bytes_are_lost_is_forgotten(tmp_path: Path, reopen: Any) -> None:
    with reopen(tmp_path) as bench:
        upload_id = bench.storage.resumable.start(Intent("bucket", "object"), None)
        for path in tmp_path.glob("blobs/*/*"):
            path.unlink()
    with reopen(tmp_path) as bench, pytest.raises(UploadNotFound):
        bench.storage.resumable.progress(upload_id)


def test_generations_rise_although_the_clock_starts_over(tmp_path: Path, reopen: Any) -> None:
    with reopen(tmp_path) as bench:
        before = bench.put("object", b"1").generation
    with reopen(tmp_path) as bench:
        assert bench.put("object", b"2").generation > before


def test_a_directory_is_opened_once_at_a_time(tmp_path: Path, reopen: Any) -> None:
    with reopen(tmp_path) as bench:
        bench.put("object", b"kept")
        with pytest.raises(DataDirectoryInUse, match=str(tmp_path)), open_storage(tmp_path):
            pass
        assert bench.read("object") == b"kept"


def test_another_file_in_the_catalogs_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"), open_storage(tmp_path):
        pass
    assert (tmp_path / "catalog.sqlite3").read_bytes() == b"this is no database" * 100
