"""Jobs, their plans and their progress as documents, and back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tf_dataflow_serving.services.prediction.jobs.job import (
    Job,
    JobDefinition,
    JobState,
    ModelOrigin,
    ModelReference,
    Progress,
    Worker,
)
from tf_dataflow_serving.services.prediction.jobs.line_forms import (
    InstanceLines,
    InstanceType,
    LineForm,
    RecordLines,
)
from tf_dataflow_serving.services.prediction.jobs.pieces import deal
from tf_dataflow_serving.services.prediction.jobs.tallies import Tally
from tf_dataflow_serving.services.prediction.objects import StoredObject

Document = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How the work of a job is cut up, so that the same pieces come out of it again."""

    sources: Sequence[StoredObject]
    max_workers: int
    piece_bytes: int

    def workers(self) -> list[Worker]:
        """Return workers that have done nothing yet."""
        return [Worker(part) for part in deal(self.sources, self.max_workers, self.piece_bytes)]


def plan_document(plan: Plan) -> Document:
    """Return the document of a plan."""
    return asdict(plan)


def plan_of(document: Document) -> Plan:
    """Return the plan in a document."""
    sources = [StoredObject(**source) for source in document["sources"]]
    return Plan(sources, document["max_workers"], document["piece_bytes"])


def progress_document(progress: Progress) -> Document:
    """Return the document of a worker's progress."""
    return {
        "pieces": progress.pieces,
        "written": progress.written,
        "tally": progress.tally.document(),
    }


def progress_of(document: Document) -> Progress:
    """Return the progress in a document."""
    tally = Tally.from_document(document["tally"])
    return Progress(document["pieces"], document["written"], tally)


def job_document(job: Job) -> Document:
    """Return the document of a job without its workers."""
    return {
        "definition": _definition_document(job.definition),
        "created": job.created.isoformat(),
        "workspace": job.workspace,
        "state": job.state,
        "started": job.started and job.started.isoformat(),
        "ended": job.ended and job.ended.isoformat(),
        "error_message": job.error_message,
        "publishing": job.publishing,
        "settled": job.settled.document(),
    }


def job_of(document: Document) -> Job:
    """Return the job in a document; it has no workers."""
    return Job(
        definition=_definition(document["definition"]),
        created=datetime.fromisoformat(document["created"]),
        workspace=document["workspace"],
        state=JobState(document["state"]),
        started=_moment(document["started"]),
        ended=_moment(document["ended"]),
        error_message=document["error_message"],
        publishing=document["publishing"],
        settled=Tally.from_document(document["settled"]),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _definition_document(definition: JobDefinition) -> Document:
    return {
        "name": definition.name,
        "given": definition.given,
        "inputs": definition.inputs,
        "output_directory": definition.output_directory,
        "model": asdict(definition.model),
        "signature_name": definition.signature_name,
        "max_workers": definition.max_workers,
        "batch_size": definition.batch_size,
        "lines": _lines_document(definition.lines),
    }


def _definition(document: Document) -> JobDefinition:
    model = document["model"]
    return JobDefinition(
        **document
        | {
            "model": ModelReference(ModelOrigin(model["origin"]), tuple(model["path"])),
            "lines": _lines(document["lines"]),
        }
    )


def _lines_document(lines: LineForm) -> Document | None:
    return asdict(lines) if isinstance(lines, RecordLines) else None


def _lines(document: Document | None) -> LineForm:
    if document is None:
        return InstanceLines()
    return RecordLines(
        InstanceType(document["instance_type"]),
        document["key_field"],
        tuple(document["included_fields"]),
        tuple(document["excluded_fields"]),
    )
