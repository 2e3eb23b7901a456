"""Batch prediction jobs that users ask Vertex AI v1 for (aiplatform v1, BatchPredictionJob)."""

import itertools
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from tf_dataflow_serving.services.prediction.fields import Fields
from tf_dataflow_serving.services.prediction.jobs.job import (
    JobDefinition,
    ModelOrigin,
    ModelReference,
)
from tf_dataflow_serving.services.prediction.jobs.line_forms import InstanceType, RecordLines
from tf_dataflow_serving.services.prediction.proto_json import timestamp
from tf_dataflow_serving.services.prediction.registry.registered_models import RegisteredModels
from tf_dataflow_serving.services.prediction.vertex.requests import (
    display_name,
    model_reference,
)

_FORMAT = "jsonl"
# BatchDedicatedResources.max_replica_count, ManualBatchTuningParameters.batch_size.
_DEFAULT_REPLICAS = 10
_DEFAULT_BATCH_SIZE = 64
# What a BatchPredictionJob has that is not "Output only".
_INPUT_FIELDS = (
    "displayName",
    "model",
    "inputConfig",
    "instanceConfig",
    "modelParameters",
    "outputConfig",
    "dedicatedResources",
    "serviceAccount",
    "manualBatchTuningParameters",
    "labels",
    "encryptionSpec",
    "disableContainerLogging",
)
# What would change the results, and is not done here.
_UNSUPPORTED = ("generateExplanation", "unmanagedContainerModel", "explanationSpec")


def job_definition(
    name: str,
    body: Mapping[str, Any],
    models: RegisteredModels,
    now: datetime,
    taken: Collection[str],
) -> JobDefinition:
    """Return the definition in a BatchPredictionJob that is to have this full name.

    `taken` are the output directories of other jobs. Raises InvalidArgument, NotFound.
    """
    job = Fields(body, "batch_prediction_job")
    _check(job)
    parent = name.rsplit("/", 2)[0]
    model_id, reference = model_reference(parent, job, "model")
    model = models.model(parent, model_id)
    version = models.version(parent, model_id, reference)
    _, project, _, location = parent.split("/")
    return JobDefinition(
        name=name,
        given={field: body[field] for field in _INPUT_FIELDS if job.has(field)},
        inputs=_inputs(job.section("inputConfig")),
        output_directory=_free_directory(
            _output_stem(job.section("outputConfig"), model.display_name), now, taken
        ),
        model=ModelReference(ModelOrigin.VERTEX_AI, (project, location, model_id, version.number)),
        signature_name=None,
        max_workers=job.optional_section("dedicatedResources").count(
            "maxReplicaCount", _DEFAULT_REPLICAS
        ),
        batch_size=job.optional_section("manualBatchTuningParameters").count(
            "batchSize", _DEFAULT_BATCH_SIZE
        ),
        lines=_lines(job.optional_section("instanceConfig")),
    )


def _check(job: Fields) -> None:
    display_name(job)
    job.texts_by_name("labels")
    for name in _UNSUPPORTED:
        if job.has(name):
            raise job.refuse(name, "This service does not do that.")


def _inputs(config: Fields) -> list[str]:
    if config.text("instancesFormat") != _FORMAT:
        raise config.refuse("instancesFormat", f"Only {_FORMAT} is supported.")
    return config.section("gcsSource").object_paths("uris")


def _output_stem(config: Fields, model: str) -> str:
    if config.text("predictionsFormat") != _FORMAT:
        raise config.refuse("predictionsFormat", f"Only {_FORMAT} is supported.")
    prefix = config.section("gcsDestination").bucket_path("outputUriPrefix")
    return f"{prefix.rstrip('/')}/prediction-{model.replace('/', '_')}"


def _free_directory(stem: str, now: datetime, taken: Collection[str]) -> str:
    """Return the directory of this millisecond, or of the first one after it that is free."""
    moments = (now + timedelta(milliseconds=passed) for passed in itertools.count())
    directories = (f"{stem}-{timestamp(moment):.23}Z" for moment in moments)
    return next(directory for directory in directories if directory not in taken)


def _lines(config: Fields) -> RecordLines:
    if config.has("includedFields") and config.has("excludedFields"):
        raise config.refuse("excludedFields", "Give these or included_fields, not both.")
    return RecordLines(
        instance_type=_instance_type(config),
        key_field=config.optional_text("keyField"),
        included_fields=tuple(config.texts("includedFields")),
        excluded_fields=tuple(config.texts("excludedFields")),
    )


def _instance_type(config: Fields) -> InstanceType:
    given = config.optional_text("instanceType")
    if given not in list(InstanceType):
        raise config.refuse("instanceType", "The types are object and array.")
    return InstanceType(given)
