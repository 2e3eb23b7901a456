"""The service under Google's own client for the API, by the discovery document that it ships."""

import json
import time
import uuid

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

MODEL = "projects/p/models/doubler"
DEADLINE_SECONDS = 60.0


@pytest.fixture
def ml(service_url):
    with discovery.build(
        "ml",
        "v1",
        client_options=ClientOptions(api_endpoint=service_url),
        static_discovery=True,
        credentials=AnonymousCredentials(),
    ) as client:
        yield client


@pytest.fixture
def project():
    """A project that nobody else changes."""
    return f"projects/p{uuid.uuid4().hex}"


def until(read, done):
    """Poll, as the API asks its users to, until what is read is done."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not done(found := read()):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def finished_operation(ml, operation):
    get = ml.projects().operations().get(name=operation["name"])
    return until(get.execute, lambda found: found.get("done"))


def status_of(call) -> tuple[int, str]:
    with pytest.raises(HttpError) as failed:
        call.execute()
    return failed.value.status_code, json.loads(failed.value.content)["error"]["status"]


def test_predicts_online(ml):
    for name in (MODEL, f"{MODEL}/versions/v1"):
        response = ml.projects().predict(name=name, body={"instances": [1.5, {"x": -2}]}).execute()
        assert response == {"predictions": [{"y": 3.0}, {"y": -4.0}]}


def test_one_bad_instance_fails_the_request(ml):
    response = ml.projects().predict(name=MODEL, body={"instances": [1.5, "a"]}).execute()
    assert response["error"].startswith("Prediction failed: Error processing input: ")


def test_a_model_that_does_not_exist_is_not_found(ml):
    call = ml.projects().predict(name="projects/p/models/none", body={"instances": []})
    assert status_of(call) == (404, "NOT_FOUND")


def test_a_payload_that_is_too_large_is_an_invalid_argument(ml):
    call = ml.projects().predict(name=MODEL, body={"instances": [1.5] * 500_000})
    assert status_of(call) == (400, "INVALID_ARGUMENT")


def test_a_model_lives_from_creation_to_deletion(ml, project, model_uri):
    models = ml.projects().models()
    versions = models.versions()
    model = models.create(parent=project, body={"name": "m", "regions": ["europe-west1"]}).execute()
    assert model == {"name": f"{project}/models/m", "regions": ["europe-west1"]}

    for name in ("v1", "v2"):
        body = {"name": name, "deploymentUri": model_uri, "runtimeVersion": "2.11"}
        operation = versions.create(parent=model["name"], body=body).execute()
        done = finished_operation(ml, operation)
        assert "error" not in done
        assert done["metadata"]["operationType"] == "CREATE_VERSION"
    found = versions.list(parent=model["name"]).execute()["versions"]
    assert [(v["name"], v["state"], v.get("isDefault", False)) for v in found] == [
        (f"{project}/models/m/versions/v1", "READY", True),
        (f"{project}/models/m/versions/v2", "READY", False),
    ]
    assert found[0]["runtimeVersion"] == "2.11"

    second = found[1]["name"]
    assert versions.setDefault(name=second, body={}).execute()["isDefault"]
    assert models.get(name=model["name"]).execute()["defaultVersion"]["name"] == second
    predicted = ml.projects().predict(name=model["name"], body={"instances": [1]}).execute()
    assert predicted == {"predictions": [{"y": 2.0}]}

    assert status_of(versions.delete(name=second)) == (400, "FAILED_PRECONDITION")
    assert status_of(models.delete(name=model["name"])) == (400, "FAILED_PRECONDITION")
    for name in (found[0]["name"], second):
        assert finished_operation(ml, versions.delete(name=name).execute())["done"]
    models.delete(name=model["name"]).execute()
    assert status_of(models.get(name=model["name"])) == (404, "NOT_FOUND")


def test_a_version_that_cannot_be_loaded_says_why(ml, project, bucket):
    models = ml.projects().models()
    models.create(parent=project, body={"name": "m"}).execute()
    body = {"name": "v1", "deploymentUri": f"gs://{bucket.name}/nothing"}
    operation = models.versions().create(parent=f"{project}/models/m", body=body).execute()
    assert "no saved_model.pb" in finished_operation(ml, operation)["error"]["message"]
    version = models.versions().get(name=f"{project}/models/m/versions/v1").execute()
    assert version["state"] == "FAILED"
    assert "no saved_model.pb" in version["errorMessage"]


def test_a_local_path_is_not_deployed(ml, project, model_dir):
    models = ml.projects().models()
    models.create(parent=project, body={"name": "m"}).execute()
    body = {"name": "v1", "deploymentUri": str(model_dir)}
    call = models.versions().create(parent=f"{project}/models/m", body=body)
    assert status_of(call) == (400, "INVALID_ARGUMENT")


def test_lists_come_in_pages(ml, project):
    models = ml.projects().models()
    for name in ("c", "a", "b"):
        models.create(parent=project, body={"name": name}).execute()
    names, request = [], models.list(parent=project, pageSize=2)
    while request is not None:
        response = request.execute()
        names.append([model["name"].rpartition("/")[2] for model in response["models"]])
        request = models.list_next(request, response)
    assert names == [["a", "b"], ["c", "doubler"]]


def prediction_job(bucket, **source):
    return {
        "jobId": f"j{uuid.uuid4().hex}",
        "predictionInput": {
            "dataFormat": "JSON",
            "inputPaths": [f"gs://{bucket.name}/in/*"],
            "outputPath": f"gs://{bucket.name}/out",
            "region": "us-central1",
            **source,
        },
    }


def finished_job(ml, project, body):
    jobs = ml.projects().jobs()
    jobs.create(parent=project, body=body).execute()
    get = jobs.get(name=f"{project}/jobs/{body['jobId']}")
    final = ("SUCCEEDED", "FAILED", "CANCELLED")
    return until(get.execute, lambda job: job["state"] in final)


@pytest.mark.parametrize("source", ["modelName", "versionName", "uri"])
def test_predicts_a_batch(ml, project, bucket, model_uri, source):
    bucket.blob("in/a").upload_from_string('{"x": 1, "key": "a"}\n{"x": 2.5, "key": "b"}\n')
    name = {"modelName": MODEL, "versionName": f"{MODEL}/versions/v1", "uri": model_uri}[source]
    body = prediction_job(bucket, signatureName="predict_keyed", **{source: name})
    body["labels"] = {"team": "a"}
    job = finished_job(ml, project, body)
    assert job["state"] == "SUCCEEDED", job
    assert {field: job[field] for field in body} == body
    assert job["createTime"] <= job["startTime"] <= job["endTime"]
    output = job["predictionOutput"]
    assert (output["predictionCount"], output["errorCount"]) == ("2", "0")
    assert output["nodeHours"] > 0
    text = bucket.blob("out/prediction.results-00000-of-00001").download_as_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows == [{"y": 2.0, "key": "a"}, {"y": 5.0, "key": "b"}]
    listed = ml.projects().jobs().list(parent=project).execute()["jobs"]
    assert [found["jobId"] for found in listed] == [body["jobId"]]


def test_a_finished_job_cannot_be_cancelled(ml, project, bucket):
    bucket.blob("in/a").upload_from_string("1\n")
    body = prediction_job(bucket, modelName=MODEL)
    assert finished_job(ml, project, body)["state"] == "SUCCEEDED"
    call = ml.projects().jobs().cancel(name=f"{project}/jobs/{body['jobId']}", body={})
    assert status_of(call) == (400, "FAILED_PRECONDITION")
    assert status_of(ml.projects().jobs().create(parent=project, body=body)) == (
        409,
        "ALREADY_EXISTS",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"dataFormat": "TF_RECORD"},
        {"inputPaths": []},
        {"inputPaths": ["/etc/passwd"]},
        {"outputPath": "/var/out"},
        {"region": ""},
        {"maxWorkerCount": "0"},
        {"uri": "gs://b/model"},
        {"modelName": "doubler"},
    ],
)
def test_a_job_that_makes_no_sense_is_refused(ml, project, bucket, change):
    body = prediction_job(bucket, **{"modelName": MODEL, **change})
    call = ml.projects().jobs().create(parent=project, body=body)
    assert status_of(call) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("labels", [["a"], {"a": 1}])
def test_labels_are_texts(ml, project, bucket, labels):
    body = {**prediction_job(bucket, modelName=MODEL), "labels": labels}
    call = ml.projects().jobs().create(parent=project, body=body)
    assert status_of(call) == (400, "INVALID_ARGUMENT")
