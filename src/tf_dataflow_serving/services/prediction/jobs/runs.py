"""How a job comes from its request to its results, from wherever it was when the service ended."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from tf_dataflow_serving.services.prediction.errors import (
    JobStopped,
    StorageFailed,
    StorageUnavailable,
)
from tf_dataflow_serving.services.prediction.jobs.archive import JobArchive
from tf_dataflow_serving.services.prediction.jobs.documents import Plan
from tf_dataflow_serving.services.prediction.jobs.fair_threads import FairThreads
from tf_dataflow_serving.services.prediction.jobs.job import (
    Job,
    JobState,
    ModelReference,
    Progress,
    Worker,
)
from tf_dataflow_serving.services.prediction.jobs.pieces import PIECE_BYTES, Piece
from tf_dataflow_serving.services.prediction.jobs.prediction import (
    BatchPrediction,
    results_name,
    write_error_counts,
)
from tf_dataflow_serving.services.prediction.jobs.tallies import Tally
from tf_dataflow_serving.services.prediction.objects import ObjectStore, StoredObject
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

T = TypeVar("T")
Clock = Callable[[], datetime]
Timer = Callable[[], float]
ModelLoader = Callable[[ModelReference], SavedModel]
# An attempt takes up to 3 s itself when the storage service is away: some five minutes in all.
_PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0, 4.0, *[8.0] * 25)


@dataclass(frozen=True)
class JobRuns:
    """Does the work of jobs; a job's state changes on the event loop only.

    `timer` counts seconds from any moment on, evenly, unlike `clock`, which may be set.
    Where a method raises JobStopped, what is done stays done, for another run to go on from.
    """

    store: ObjectStore
    load_model: ModelLoader
    archive: JobArchive
    threads: FairThreads
    clock: Clock
    timer: Timer
    piece_bytes: int = PIECE_BYTES

    async def run(self, job: Job) -> None:
        """Go on with a job until its results are published.

        Raises JobStopped, or what makes the job fail: StorageFailed, ModelUnusable,
        PredictionFailed, ResourceError for a model that is gone.
        """
        _raise_if_stopped(job)
        if job.started is None:
            self._enter(job, JobState.PREPARING)
        prediction = await self._in_turn(job, self._prediction)
        await self._prepare(job)
        self._enter(job, JobState.RUNNING)
        await self._predict(job, prediction)
        _raise_if_stopped(job)
        job.publishing = True
        self.archive.save(job)
        await self._in_turn(job, self._publish)
        _raise_if_stopped(job)

    async def withdraw(self, job: Job, stop: threading.Event) -> None:
        """Delete what a job has published; raises JobStopped, StorageFailed."""
        if job.publishing:
            await self.threads.run(job.name, self._unpublish, job, stop)

    def _enter(self, job: Job, state: JobState) -> None:
        _raise_if_stopped(job)
        job.state = state
        if state is JobState.RUNNING:
            job.started = job.started or self.clock()
        self.archive.save(job)

    def _prediction(self, job: Job) -> BatchPrediction:
        definition = job.definition
        model = patiently(lambda: self.load_model(definition.model), job.stop)
        signature = model.signature(definition.signature_name)
        return BatchPrediction(signature, definition.lines, definition.batch_size, job.stop)

    async def _prepare(self, job: Job) -> None:
        if job.workers:
            await self._in_turn(job, self._forget_lost_files)
        else:
            plan = await self._in_turn(job, self._plan)
            self.archive.save_plan(job, plan)
            job.workers = plan.workers()

    def _plan(self, job: Job) -> Plan:
        found = (
            source
            for pattern in job.definition.inputs
            for source in patiently(partial(self._matching, pattern), job.stop)
        )
        sources = sorted(set(found), key=lambda source: source.uri)
        return Plan(sources, job.definition.max_workers, self.piece_bytes)

    def _matching(self, pattern: str) -> Sequence[StoredObject]:
        found = self.store.matching(pattern)
        if not found:
            raise StorageFailed(f"{pattern} doesn't contain any input files.")
        return found

    def _forget_lost_files(self, job: Job) -> None:
        """Have workers begin again whose files a power cut has taken."""
        for index, worker in enumerate(job.workers):
            path = self._results_file(job, index)
            if not path.exists() or path.stat().st_size < worker.progress.written:
                worker.progress = Progress()
                self.archive.save_progress(job, index, worker.progress)

    async def _predict(self, job: Job, prediction: BatchPrediction) -> None:
        """Let every worker come to its end; one that fails makes the others stop."""
        results = await asyncio.gather(
            *(self._work(job, index, prediction) for index in range(len(job.workers))),
            return_exceptions=True,
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in sorted(failures, key=lambda error: isinstance(error, JobStopped)):
            raise failure

    async def _work(self, job: Job, index: int, prediction: BatchPrediction) -> None:
        worker = job.workers[index]
        try:
            while piece := worker.next_piece:
                _raise_if_stopped(job)
                worker.go_on_from(
                    await self._in_turn(job, self._predict_piece, index, piece, prediction)
                )
        except BaseException:
            job.stop.set()
            self.threads.withdraw(job.name)
            raise

    def _predict_piece(
        self, job: Job, index: int, piece: Piece, prediction: BatchPrediction
    ) -> Progress:
        path = self._results_file(job, index)
        attempt = partial(self._attempt_piece, job.workers[index], piece, path, prediction)
        progress = patiently(attempt, job.stop)
        self.archive.save_progress(job, index, progress)
        return progress

    def _attempt_piece(
        self, worker: Worker, piece: Piece, path: Path, prediction: BatchPrediction
    ) -> Progress:
        """Write the piece's results behind those of the one before."""
        worker.under_way = tally = Tally()
        with path.open("ab") as results, self._measured(tally):
            results.truncate(worker.progress.written)
            prediction.predict(piece.lines(self.store.open), results, tally)
        return worker.progress_with_piece(path.stat().st_size)

    @contextmanager
    def _measured(self, tally: Tally) -> Iterator[None]:
        started = self.timer()
        try:
            yield
        finally:
            tally.worked(self.timer() - started)

    def _publish(self, job: Job) -> None:
        """Write all objects, each in place of one that is there from an earlier attempt."""
        for path in self._finished_files(job):
            _raise_if_stopped(job)
            uri = _object(job, path)
            patiently(partial(self.store.upload, path, uri, job.workspace), job.stop)

    def _finished_files(self, job: Job) -> list[Path]:
        results = [self._results_file(job, index) for index in range(len(job.workers))]
        for path in results:
            path.touch()
        return [*results, write_error_counts(job.tally.errors, self.archive.directory(job))]

    def _unpublish(self, job: Job, stop: threading.Event) -> None:
        for path in self._finished_files(job):
            patiently(partial(self.store.delete, _object(job, path), job.workspace), stop)

    def _results_file(self, job: Job, index: int) -> Path:
        return self.archive.directory(job) / results_name(index, len(job.workers))

    async def _in_turn(self, job: Job, function: Callable[..., T], *arguments: object) -> T:
        return await self.threads.run(job.name, function, job, *arguments)


def patiently(action: Callable[[], T], stop: threading.Event) -> T:
    """Return an action's result, tried again for minutes while the storage service is away.

    Raises JobStopped as soon as `stop` is set in between.
    """
    for pause in _PAUSES_SECONDS:
        try:
            return action()
        except StorageUnavailable:
            if stop.wait(pause):
                raise JobStopped from None
    return action()


def _object(job: Job, path: Path) -> str:
    return f"{job.definition.output_directory.rstrip('/')}/{path.name}"


def _raise_if_stopped(job: Job) -> None:
    if job.stop.is_set():
        raise JobStopped
