"""Batch prediction jobs: what users ask for, and how far it has come; free of any protocol."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tf_dataflow_serving.services.prediction.jobs.line_forms import LineForm
from tf_dataflow_serving.services.prediction.jobs.pieces import Piece
from tf_dataflow_serving.services.prediction.jobs.tallies import Tally


class JobState(StrEnum):
    """The life of a job; protocols have their own names for it."""

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class ModelOrigin(StrEnum):
    """Where a job's model is found again, after a restart of the service too."""

    STORAGE = "storage"
    """path: (gs:// URI,)"""
    CLOUD_ML_ENGINE = "cloud_ml_engine"
    """path: (project, model, version)"""
    VERTEX_AI = "vertex_ai"
    """path: (project, location, model, version)"""


@dataclass(frozen=True)
class ModelReference:
    """Names one model for as long as the job lives: a version, never "the default one"."""

    origin: ModelOrigin
    path: tuple[str, ...]


@dataclass(frozen=True)
class JobDefinition:
    """What the user asks for.

    `name` is the full resource name, such as projects/P/jobs/J. `given` is what the resource shows
    again of the request. `inputs` are gs:// URIs with wildcards; the results are objects below
    `output_directory`, a gs:// URI too.
    """

    name: str
    given: Mapping[str, object]
    inputs: Sequence[str]
    output_directory: str
    model: ModelReference
    signature_name: str | None
    max_workers: int
    batch_size: int
    lines: LineForm

    @property
    def collection(self) -> str:
        """The name without the job's own id: projects/P/jobs."""
        return self.name.rpartition("/")[0]

    @property
    def job_id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Progress:
    """Pieces that a worker has finished, the bytes that it wrote for them, and its tally."""

    pieces: int = 0
    written: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass
class Worker:
    """A part of a job: some pieces, one behind the other, into a file of results."""

    pieces: Sequence[Piece]
    progress: Progress = field(default_factory=Progress)
    under_way: Tally = field(default_factory=Tally)

    @property
    def next_piece(self) -> Piece | None:
        """The piece to predict, None when all are."""
        done = self.progress.pieces
        return self.pieces[done] if done < len(self.pieces) else None

    @property
    def tally(self) -> Tally:
        """What it has done, that for the piece under way with it."""
        return Tally.sum([self.progress.tally, self.under_way])

    def progress_with_piece(self, written: int) -> Progress:
        """Return what it has done once the file of results has so many bytes with the piece."""
        return Progress(self.progress.pieces + 1, written, self.tally)

    def go_on_from(self, progress: Progress) -> None:
        """Leave the piece under way behind."""
        self.progress = progress
        self.under_way = Tally()


@dataclass
class Job:
    """A job and how far it has come.

    `workspace` names the directory for its files, and the writer of its objects. `publishing` tells
    that objects of its results may be there. `settled` is the tally of a job that has ended.
    """

    definition: JobDefinition
    created: datetime
    workspace: str
    state: JobState = JobState.QUEUED
    started: datetime | None = None
    ended: datetime | None = None
    error_message: str = ""
    publishing: bool = False
    workers: Sequence[Worker] = ()
    settled: Tally = field(default_factory=Tally)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """The full resource name."""
        return self.definition.name

    @property
    def finished(self) -> bool:
        """Whether the state is one that a job stays in."""
        return self.state in _FINAL

    @property
    def tally(self) -> Tally:
        """Predictions, bad lines and node hours so far."""
        return Tally.sum([self.settled, *(worker.tally for worker in self.workers)])

    def end(self, state: JobState, moment: datetime, reason: str = "") -> None:
        """Enter a state that the job stays in; what it has done is final."""
        self.settled = self.tally
        self.workers = ()
        self.state = state
        self.error_message = reason
        self.ended = moment
