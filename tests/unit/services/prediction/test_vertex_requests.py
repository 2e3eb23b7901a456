"""From the JSON of Vertex AI v1 to definitions of the domain."""

import itertools
from datetime import UTC, datetime

import pytest

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import InvalidArgument, NotFound
from tf_dataflow_serving.services.prediction.jobs.job import ModelOrigin, ModelReference
from tf_dataflow_serving.services.prediction.jobs.line_forms import InstanceType, RecordLines
from tf_dataflow_serving.services.prediction.registry.endpoints import EndpointDefinition
from tf_dataflow_serving.services.prediction.registry.hosting import Deployment
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.registered_documents import (
    RegisteredModelDocuments,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModels,
    Upload,
)
from tf_dataflow_serving.services.prediction.vertex import requests
from tf_dataflow_serving.services.prediction.vertex.job_requests import job_definition

NOW = datetime(2020, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
HERE = "projects/p/locations/us-central1"
NAME = f"{HERE}/batchPredictionJobs/9"
MODEL = {"displayName": "M", "artifactUri": "gs://b/m"}
JOB = {
    "displayName": "J",
    "model": f"{HERE}/models/m",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://b/in/*"]}},
    "outputConfig": {
        "predictionsFormat": "jsonl",
        "gcsDestination": {"outputUriPrefix": "gs://b/out/"},
    },
}


@pytest.fixture
def models(zoo) -> RegisteredModels:
    keeper = RegisteredModelDocuments(Documents.in_memory(), lambda _: zoo, [])
    numbers = map(str, itertools.count(1))
    made = RegisteredModels(lambda: NOW, lambda: next(numbers), keeper, [])
    for upload in (Upload("M/1", "gs://b/m", "m"), Upload("M", "gs://b/m", parent_id="m")):
        made.add(HERE, "m", upload, LazyModel.of(zoo), "copy")
    return made


def refusal(call, *arguments) -> str:
    with pytest.raises(InvalidArgument) as refused:
        call(*arguments)
    return refused.value.field


def test_an_upload_is_taken_over_with_what_describes_it():
    model = {
        **MODEL,
        "description": "d",
        "versionDescription": "v",
        "versionAliases": ["golden"],
        "labels": {"a": "b"},
        "containerSpec": {"imageUri": "i", "ports": [{"containerPort": 8080}]},
        "name": "output only",
    }
    body = {"model": model, "modelId": "m", "parentModel": f"{HERE}/models/parent"}
    assert requests.upload(HERE, body) == Upload(
        display_name="M",
        artifact_uri="gs://b/m",
        model_id="m",
        parent_id="parent",
        description="d",
        version_description="v",
        aliases=["golden"],
        labels={"a": "b"},
        attributes={"artifactUri": "gs://b/m", "containerSpec": model["containerSpec"]},
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "model"),
        ({"model": []}, "model"),
        ({"model": {"artifactUri": "gs://b/m"}}, "model.display_name"),
        ({"model": {**MODEL, "displayName": "M" * 129}}, "model.display_name"),
        ({"model": {"displayName": "M"}}, "model.artifact_uri"),
        ({"model": {**MODEL, "artifactUri": "/models/m"}}, "model.artifact_uri"),
        ({"model": {**MODEL, "artifactUri": "gs://b"}}, "model.artifact_uri"),
        ({"model": {**MODEL, "containerSpec": "i"}}, "model.container_spec"),
        ({"model": {**MODEL, "labels": {"a": 1}}}, "model.labels"),
        ({"model": {**MODEL, "versionAliases": "golden"}}, "model.version_aliases"),
        ({"model": MODEL, "modelId": 1}, "model_id"),
        ({"model": MODEL, "parentModel": "m"}, "parent_model"),
        ({"model": MODEL, "parentModel": "projects/q/locations/l/models/m"}, "parent_model"),
    ],
)
def test_an_upload_that_makes_no_sense_is_refused(body, field):
    assert refusal(requests.upload, HERE, body) == field


def test_an_endpoint_is_taken_over():
    body = {"displayName": "E", "description": "d", "labels": {"a": "b"}, "network": "n"}
    assert requests.endpoint_definition(body) == EndpointDefinition(
        "E", "d", {"a": "b"}, {"network": "n"}
    )


@pytest.mark.parametrize("share", [100, "100"])
def test_a_deployment_is_taken_over(share):
    resources = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1}
    deployed = {"model": f"{HERE}/models/m@golden", "id": "7", "dedicatedResources": resources}
    body = {"deployedModel": deployed, "trafficSplit": {"0": share}}
    assert requests.deployment(HERE, body) == Deployment(
        "m", "golden", "", "7", {"0": 100}, {"dedicatedResources": resources}
    )


@pytest.mark.parametrize("split", [[], {"0": -1}, {"0": 101}, {"0": 1.5}, {"0": "x"}, {"0": None}])
def test_a_traffic_split_has_percentages(split):
    body = {"deployedModel": {"model": f"{HERE}/models/m"}, "trafficSplit": split}
    assert refusal(requests.deployment, HERE, body) == "traffic_split"


@pytest.mark.parametrize("name", ["", "m", f"{HERE}/models/m@", f"{HERE}/models/m@1@2", 7])
def test_a_model_is_named_in_full(name):
    body = {"deployedModel": {"model": name}}
    assert refusal(requests.deployment, HERE, body) == "deployed_model.model"


def test_only_what_the_mask_names_is_changed():
    body = {"displayName": "New", "description": "new", "labels": {"a": "b"}}
    assert requests.model_changes(body, "displayName,labels") == {
        "display_name": "New",
        "labels": {"a": "b"},
    }
    assert requests.version_changes({"versionDescription": "v"}, "version_description") == {
        "description": "v"
    }
    assert requests.endpoint_changes({}, "description,traffic_split") == ({"description": ""}, {})


@pytest.mark.parametrize("mask", ["", " , ", "*", "name", "versionDescription"])
def test_a_mask_that_names_nothing_changeable_is_refused(mask):
    assert refusal(requests.model_changes, {"displayName": "M"}, mask) == "update_mask"


def test_a_job_is_taken_over(models):
    definition = job_definition(
        NAME,
        {
            **JOB,
            "model": f"{HERE}/models/m@1",
            "instanceConfig": {"instanceType": "array", "keyField": "id", "includedFields": ["x"]},
            "dedicatedResources": {"maxReplicaCount": 3},
            "manualBatchTuningParameters": {"batchSize": 7},
        },
        models,
        NOW,
        taken=[],
    )
    assert definition.name == NAME
    assert definition.inputs == ["gs://b/in/*"]
    assert definition.output_directory == "gs://b/out/prediction-M_1-2020-01-02T03:04:05.678Z"
    assert (definition.max_workers, definition.batch_size) == (3, 7)
    assert definition.lines == RecordLines(InstanceType.ARRAY, "id", ("x",))


def test_no_two_jobs_have_the_same_output_directory(models):
    directories: list[str] = []
    for _ in range(3):
        definition = job_definition(NAME, JOB, models, NOW, directories)
        directories.append(definition.output_directory)
    stem = "gs://b/out/prediction-M_1-2020-01-02T03:04:05"
    assert directories == [f"{stem}.{milliseconds}Z" for milliseconds in (678, 679, 680)]


def test_a_job_shows_what_its_user_may_decide_and_nothing_else(models):
    kept = {**JOB, "labels": {"a": "b"}, "modelParameters": {"c": 1}}
    sent = {"name": "n", "endTime": "never", "outputInfo": {}, "error": {"code": 5}, "more": 1}
    definition = job_definition(NAME, kept | sent, models, NOW, taken=[])
    assert definition.given == kept


def test_a_field_that_is_null_is_not_there(models):
    definition = job_definition(NAME, JOB | {"labels": None}, models, NOW, taken=[])
    assert definition.given == JOB


def test_a_job_has_the_version_that_is_the_default_one_when_it_is_made(models):
    definition = job_definition(NAME, JOB, models, NOW, taken=[])
    models.merge_aliases(HERE, "m", "2", ["default"])
    path = ("p", "us-central1", "m", "1")
    assert definition.model == ModelReference(ModelOrigin.VERTEX_AI, path)
    assert (definition.max_workers, definition.batch_size) == (10, 64)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"displayName": ""}, "batch_prediction_job.display_name"),
        ({"model": "m"}, "batch_prediction_job.model"),
        ({"generateExplanation": True}, "batch_prediction_job.generate_explanation"),
        ({"inputConfig": None}, "batch_prediction_job.input_config"),
        ({"inputConfig": {"instancesFormat": "csv"}}, "input_config.instances_format"),
        ({"inputConfig": {"instancesFormat": "jsonl"}}, "input_config.gcs_source"),
        (
            {"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": []}}},
            "gcs_source.uris",
        ),
        (
            {"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["/etc/passwd"]}}},
            "gcs_source.uris",
        ),
        ({"outputConfig": {"predictionsFormat": "bigquery"}}, "output_config.predictions_format"),
        (
            {"outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {}}},
            "gcs_destination.output_uri_prefix",
        ),
        ({"instanceConfig": {"instanceType": "tf-record"}}, "instance_config.instance_type"),
        (
            {"instanceConfig": {"includedFields": ["a"], "excludedFields": ["b"]}},
            "instance_config.excluded_fields",
        ),
        ({"dedicatedResources": {"maxReplicaCount": 0}}, "dedicated_resources.max_replica_count"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(models, change, field):
    assert refusal(job_definition, NAME, {**JOB, **change}, models, NOW, []) == field


def test_a_job_needs_a_model_that_is_there(models):
    with pytest.raises(NotFound):
        job_definition(NAME, {**JOB, "model": f"{HERE}/models/none"}, models, NOW, taken=[])
