"""Jobs over a directory in place of gs://, which is the only thing here that is not real."""

import asyncio
import itertools
import json
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import StorageFailed, StorageUnavailable
from tf_dataflow_serving.services.prediction.jobs.archive import JobArchive
from tf_dataflow_serving.services.prediction.jobs.batch_jobs import BatchJobs
from tf_dataflow_serving.services.prediction.jobs.fair_threads import FairThreads
from tf_dataflow_serving.services.prediction.jobs.job import Job
from tf_dataflow_serving.services.prediction.jobs.runs import JobRuns, ModelLoader
from tf_dataflow_serving.services.prediction.objects import StoredObject

T = TypeVar("T")
NOW = datetime(2020, 1, 2, tzinfo=UTC)
PIECE_BYTES = 200
THREADS = 2
WAIT_SECONDS = 30


class DirectoryStore:
    """gs:// as a directory.

    Objects are read once `gate` is set, and written once `upload_gate` is; the next `away` calls
    find no service.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gate = threading.Event()
        self.gate.set()
        self.opened = threading.Semaphore(0)
        self.openings: list[str] = []
        self.upload_gate = threading.Event()
        self.upload_gate.set()
        self.uploading = threading.Semaphore(0)
        self.uploads: list[str] = []
        self.writers: dict[str, str] = {}
        self.away = 0

    def matching(self, pattern: str) -> list[StoredObject]:
        self._be_away()
        found = sorted(self.root.glob(pattern.removeprefix("gs://")))
        return [
            StoredObject(f"gs://{path.relative_to(self.root)}", path.stat().st_size, 1)
            for path in found
        ]

    @contextmanager
    def open(self, source: StoredObject) -> Iterator[IO[bytes]]:
        self.opened.release()
        assert self.gate.wait(WAIT_SECONDS)
        self._be_away()
        self.openings.append(source.uri)
        if "broken" in source.uri:
            raise StorageFailed(f"{source.uri}: gone")
        with self._path(source.uri).open("rb") as content:
            yield content

    def upload(self, source: Path, uri: str, writer: str) -> None:
        self._be_away()
        self.uploading.release()
        assert self.upload_gate.wait(WAIT_SECONDS)
        target = self._path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        self.uploads.append(uri)
        self.writers[uri] = writer

    def delete(self, uri: str, writer: str) -> None:
        if self.writers.get(uri) == writer:
            self._path(uri).unlink()
            del self.writers[uri]

    def put(self, name: str, *lines: object) -> None:
        path = self.root / "b" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("".join(f"{line}\n" for line in text))

    def results(self) -> dict[str, list[str]]:
        found = (self.root / "b/out").glob("*")
        return {path.name: path.read_text().splitlines() for path in found}

    def _path(self, uri: str) -> Path:
        return self.root / uri.removeprefix("gs://")

    def _be_away(self) -> None:
        if self.away:
            self.away -= 1
            raise StorageUnavailable("away")


@dataclass
class JobBench:
    """What jobs need; every start of them finds what the one before has left."""

    store: DirectoryStore
    load_model: ModelLoader
    files: Path
    documents: Documents = field(default_factory=Documents.in_memory)
    timer: Callable[[], float] = field(default_factory=lambda: itertools.count().__next__)
    workspaces: Iterator[int] = field(default_factory=itertools.count)

    def started(self, scenario: Callable[[BatchJobs], Awaitable[T]], concurrent: int = 2) -> T:
        """Run a scenario with the jobs of one start of the service."""

        async def run() -> T:
            with ThreadPoolExecutor(THREADS) as threads:
                jobs = self._jobs(threads, concurrent)
                jobs.resume()
                try:
                    return await scenario(jobs)
                finally:
                    self.store.gate.set()
                    self.store.upload_gate.set()
                    await jobs.close()

        return asyncio.run(run())

    def _jobs(self, threads: ThreadPoolExecutor, concurrent: int) -> BatchJobs:
        archive = JobArchive(self.documents, self.files)
        lent = FairThreads(threads, THREADS)
        runs = JobRuns(
            self.store, self.load_model, archive, lent, lambda: NOW, self.timer, PIECE_BYTES
        )
        return BatchJobs(runs, concurrent, lambda: f"workspace-{next(self.workspaces)}")


async def ended(job: Job) -> Job:
    async with asyncio.timeout(WAIT_SECONDS):
        while not job.finished:
            await asyncio.sleep(0.002)
    return job
