"""What users ask Cloud ML Engine v1 for: from JSON to the definitions of the domain."""

import re
from typing import Any

from tf_dataflow_serving.services.prediction.fields import Fields
from tf_dataflow_serving.services.prediction.jobs.job import (
    JobDefinition,
    ModelOrigin,
    ModelReference,
)
from tf_dataflow_serving.services.prediction.jobs.line_forms import InstanceLines
from tf_dataflow_serving.services.prediction.proto_json import present
from tf_dataflow_serving.services.prediction.registry.models import (
    ModelDefinition,
    ModelRegistry,
    VersionDefinition,
)

_MODEL = re.compile(r"projects/([^/]+)/models/([^/]+)(?:/versions/([^/]+))?")
_JOB_ID = re.compile(r"[a-zA-Z]\w{0,127}", re.ASCII)
_VERSION_ATTRIBUTES = ("description", "runtimeVersion", "framework", "pythonVersion", "machineType")
# Both mean one instance as JSON on each line.
_LINE_FORMATS = frozenset({"JSON", "TEXT"})
# The defaults of GoogleCloudMlV1__PredictionInput.
_DEFAULT_BATCH_SIZE = 64
_DEFAULT_WORKERS = 10


def model_definition(body: dict[str, Any]) -> ModelDefinition:
    """Return the definition in a GoogleCloudMlV1__Model; raises InvalidArgument."""
    fields = Fields(body, "model")
    return ModelDefinition(
        fields.text("name"), fields.optional_text("description"), fields.texts("regions")
    )


def version_definition(body: dict[str, Any]) -> VersionDefinition:
    """Return the definition in a GoogleCloudMlV1__Version; raises InvalidArgument."""
    fields = Fields(body, "version")
    return VersionDefinition(
        fields.text("name"),
        fields.object_path("deploymentUri"),
        {name: fields.optional_text(name) for name in _VERSION_ATTRIBUTES if fields.has(name)},
    )


def job_definition(project: str, body: dict[str, Any], models: ModelRegistry) -> JobDefinition:
    """Return the definition in a GoogleCloudMlV1__Job, which is to be in a project.

    Raises InvalidArgument, or NotFound or FailedPrecondition for a model that cannot serve.
    """
    job = Fields(body, "job")
    job_id = _job_id(job)
    fields = job.section("predictionInput")
    _check_formats(fields)
    fields.text("region")
    return JobDefinition(
        name=f"projects/{project}/jobs/{job_id}",
        given=present(predictionInput=body["predictionInput"], labels=job.texts_by_name("labels")),
        inputs=fields.object_paths("inputPaths"),
        output_directory=fields.bucket_path("outputPath"),
        model=_model_reference(fields, models),
        signature_name=fields.optional_text("signatureName") or None,
        max_workers=fields.count("maxWorkerCount", _DEFAULT_WORKERS),
        batch_size=fields.count("batchSize", _DEFAULT_BATCH_SIZE),
        lines=InstanceLines(),
    )


def _job_id(job: Fields) -> str:
    job_id = job.text("jobId")
    if not _JOB_ID.fullmatch(job_id):
        raise job.refuse(
            "jobId",
            "A job id should start with a letter and contain only letters, numbers and"
            " underscores, at most 128 of them.",
        )
    return job_id


def _check_formats(fields: Fields) -> None:
    if fields.text("dataFormat") not in _LINE_FORMATS:
        raise fields.refuse("dataFormat", "Only JSON, an instance on each line, is supported.")
    if fields.optional_text("outputDataFormat") not in ("", "JSON"):
        raise fields.refuse("outputDataFormat", "Only JSON is supported.")


def _model_reference(fields: Fields, models: ModelRegistry) -> ModelReference:
    given = [name for name in ("modelName", "versionName", "uri") if fields.has(name)]
    if len(given) != 1:
        raise fields.refuse("modelVersion", "Give one of model_name, version_name and uri.")
    if given == ["uri"]:
        return ModelReference(ModelOrigin.STORAGE, (fields.object_path("uri"),))
    project, model, version = _model_name(fields, given[0])
    models.serving(project, model, version)
    chosen = models.chosen(project, model, version)
    return ModelReference(ModelOrigin.CLOUD_ML_ENGINE, (project, model, chosen.name))


def _model_name(fields: Fields, name: str) -> tuple[str, str, str | None]:
    match = _MODEL.fullmatch(fields.text(name))
    if match is None or (match[3] is not None) != (name == "versionName"):
        versions = "/versions/VERSION" if name == "versionName" else ""
        raise fields.refuse(name, f"The form is projects/PROJECT/models/MODEL{versions}.")
    return match[1], match[2], match[3]
