"""Batch prediction jobs that users ask Vertex AI v1 for (aiplatform v1, BatchPredictionJob)."""

import re
from collections.abc import Mapping
from datetime import datetime
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
_SOURCE = re.compile(r"gs://[^/*?]+/.+")
_PREFIX = re.compile(r"gs://[^/*?]+(?:/.*)?")
# BatchDedicatedResources.max_replica_count, ManualBatchTuningParameters.batch_size.
_DEFAULT_REPLICAS = 10
_DEFAULT_BATCH_SIZE = 64
# What would change the results, and is not done here.
_UNSUPPORTED = ("generateExplanation", "unmanagedContainerModel", "explanationSpec")


def job_definition(
    parent: str, job_id: str, body: Mapping[str, Any], models: RegisteredModels, now: datetime
) -> JobDefinition:
    """Return the definition in a BatchPredictionJob; raises InvalidArgument, NotFound."""
    job = Fields(body, "batch_prediction_job")
    _check(job)
    model_id, reference = model_reference(parent, job, "model")
    model = models.model(parent, model_id)
    version = models.version(parent, model_id, reference)
    _, project, _, location = parent.split("/")
    return JobDefinition(
        name=f"{parent}/batchPredictionJobs/{job_id}",
        given=body,
        inputs=_inputs(job.section("inputConfig")),
        output_directory=_output_directory(job.section("outputConfig"), model.display_name, now),
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
    source = config.section("gcsSource")
    uris = source.texts("uris")
    if not uris:
        raise source.refuse("uris", "This field is required.")
    for uri in uris:
        if not _SOURCE.fullmatch(uri):
            raise source.refuse("uris", f"{uri!r} is not a Cloud Storage path, gs://bucket/path.")
    return uris


def _output_directory(config: Fields, model: str, now: datetime) -> str:
    if config.text("predictionsFormat") != _FORMAT:
        raise config.refuse("predictionsFormat", f"Only {_FORMAT} is supported.")
    destination = config.section("gcsDestination")
    prefix = destination.text("outputUriPrefix")
    if not _PREFIX.fullmatch(prefix):
        raise destination.refuse(
            "outputUriPrefix", f"{prefix!r} is not of the form gs://bucket/path."
        )
    milliseconds = f"{timestamp(now):.23}Z"
    return f"{prefix.rstrip('/')}/prediction-{model.replace('/', '_')}-{milliseconds}"


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
