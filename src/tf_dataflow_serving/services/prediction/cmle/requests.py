"""What users ask Cloud ML Engine v1 for: from JSON to the definitions of the domain."""

import re
from collections.abc import Callable
from typing import Any

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.fields import Fields
from tf_dataflow_serving.services.prediction.jobs import JobDefinition, ModelSource
from tf_dataflow_serving.services.prediction.models import ModelDefinition, VersionDefinition
from tf_dataflow_serving.services.prediction.service import PredictionService

_MODEL = re.compile(r"projects/([^/]+)/models/([^/]+)(?:/versions/([^/]+))?")
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
        _storage_path(fields, "deploymentUri"),
        {name: fields.optional_text(name) for name in _VERSION_ATTRIBUTES if fields.has(name)},
    )


def job_definition(body: dict[str, Any], service: PredictionService) -> JobDefinition:
    """Return the definition in a GoogleCloudMlV1__Job.

    Raises InvalidArgument, or NotFound or FailedPrecondition for a model that cannot serve.
    """
    job = Fields(body, "job")
    job_id = job.text("jobId")
    fields = job.section("predictionInput")
    _check_formats(fields)
    fields.text("region")
    return JobDefinition(
        job_id=job_id,
        given=body["predictionInput"],
        input_paths=_input_paths(fields),
        output_path=_storage_path(fields, "outputPath"),
        model=_model_source(fields, service),
        signature_name=fields.optional_text("signatureName") or None,
        max_workers=fields.count("maxWorkerCount", _DEFAULT_WORKERS),
        batch_size=fields.count("batchSize", _DEFAULT_BATCH_SIZE),
    )


def _check_formats(fields: Fields) -> None:
    if fields.text("dataFormat") not in _LINE_FORMATS:
        raise fields.refuse("dataFormat", "Only JSON, an instance on each line, is supported.")
    if fields.optional_text("outputDataFormat") not in ("", "JSON"):
        raise fields.refuse("outputDataFormat", "Only JSON is supported.")


def _input_paths(fields: Fields) -> list[str]:
    paths = fields.texts("inputPaths")
    if not paths:
        raise fields.refuse("inputPaths", "This field is required.")
    for path in paths:
        _check_storage_path(path, lambda reason: fields.refuse("inputPaths", reason))
    return paths


def _storage_path(fields: Fields, name: str) -> str:
    path = fields.text(name)
    _check_storage_path(path, lambda reason: fields.refuse(name, reason))
    return path


def _check_storage_path(path: str, refuse: Callable[[str], InvalidArgument]) -> None:
    if not re.match(r"gs://[^/*?]+/", f"{path}/"):
        raise refuse(f"{path!r} is not a Cloud Storage path, gs://bucket/path.")


def _model_source(fields: Fields, service: PredictionService) -> ModelSource:
    given = [name for name in ("modelName", "versionName", "uri") if fields.has(name)]
    if len(given) != 1:
        raise fields.refuse("modelVersion", "Give one of model_name, version_name and uri.")
    if given == ["uri"]:
        uri = _storage_path(fields, "uri")
        return lambda: service.load(uri)
    project, model, version = _model_name(fields, given[0])
    saved_model = service.models.serving(project, model, version)
    return lambda: saved_model


def _model_name(fields: Fields, name: str) -> tuple[str, str, str | None]:
    match = _MODEL.fullmatch(fields.text(name))
    if match is None or (match[3] is not None) != (name == "versionName"):
        versions = "/versions/VERSION" if name == "versionName" else ""
        raise fields.refuse(name, f"The form is projects/PROJECT/models/MODEL{versions}.")
    return match[1], match[2], match[3]
