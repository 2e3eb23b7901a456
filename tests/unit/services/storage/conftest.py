"""A storage on a directory of its own, whose clock stands still until a test moves it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tf_dataflow_serving.services.storage.objects import Source
from tf_dataflow_serving.services.storage.resources import StoredObject
from tf_dataflow_serving.services.storage.storage import Storage, open_storage
from tf_dataflow_serving.services.storage.uploads import Intent

BUCKET = "bucket"


@dataclass
class Bench:
    """A storage with one bucket."""

    directory: Path
    storage: Storage
    now: datetime

    def put(self, name: str, content: bytes, **intent: object) -> StoredObject:
        writer = self.storage.objects.new_content()
        writer.write(content)
        return self.storage.objects.commit(Intent(BUCKET, name, **intent), writer.close())

    def read(self, name: str) -> bytes:
        _, file = self.storage.objects.open(Source(BUCKET, name))
        with file:
            return file.read()

    def blobs(self) -> list[bytes]:
        """Every stored content, whether or not anything refers to it."""
        return sorted(path.read_bytes() for path in self.directory.glob("blobs/*/*"))

    def advance(self, time: timedelta) -> None:
        self.now += time


NewBench = Callable[[], AbstractContextManager[Bench]]


@contextmanager
def opened(directory: Path) -> Iterator[Bench]:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    with open_storage(directory, lambda: bench.now) as storage:
        bench = Bench(directory, storage, moment)
        if not storage.buckets.list_page("project", "", "", 1):
            storage.buckets.create(BUCKET, "project", {})
        yield bench


@contextmanager
def _fresh() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory)) as bench:
        yield bench


@pytest.fixture(scope="session")
def new_bench() -> NewBench:
    """For properties, which need a fresh storage for every example."""
    return _fresh


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(tmp_path / "data") as bench:
        yield bench


@pytest.fixture(scope="session")
def reopen() -> Callable[[Path], AbstractContextManager[Bench]]:
    return opened
