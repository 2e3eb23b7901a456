"""The service under google-cloud-aiplatform, its generated clients, and the discovery client."""

import json
import time
import uuid

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.ml.inference.vertex_ai_inference import VertexAIModelHandlerJSON
from apache_beam.testing.util import assert_that, equal_to
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1
from google.cloud.aiplatform import initializer
from google.cloud.aiplatform_v1.types import JobState
from googleapiclient import discovery

IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
LOCATION = "europe-west1"
DEADLINE_SECONDS = 60.0


@pytest.fixture
def project():
    """A project that nobody else changes."""
    return f"p{uuid.uuid4().hex}"


@pytest.fixture
def sdk(service_url, storage_url, project, monkeypatch):
    """The SDK, led to the service as its own `init` allows."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_url)
    aiplatform.init(
        project=project,
        location=LOCATION,
        api_endpoint=service_url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    yield aiplatform
    initializer.global_config.__init__()


@pytest.fixture
def model(sdk, model_uri):
    return sdk.Model.upload(
        display_name="Doubler", artifact_uri=model_uri, serving_container_image_uri=IMAGE
    )


class TestSdk:
    def test_a_model_comes_to_an_endpoint_and_goes(self, sdk, model):
        endpoint = model.deploy(machine_type="n1-standard-2")
        prediction = endpoint.predict([1.5, {"x": 2}])
        (deployed,) = endpoint.list_models()
        assert prediction.predictions == [3.0, 4.0]
        assert prediction.deployed_model_id == deployed.id
        assert prediction.model_resource_name == model.resource_name == deployed.model
        assert prediction.model_version_id == "1"
        assert deployed.dedicated_resources.machine_spec.machine_type == "n1-standard-2"
        with pytest.raises(exceptions.BadRequest, match="cannot be deleted"):
            model.delete()
        with pytest.raises(exceptions.BadRequest, match="undeploy its models first"):
            endpoint.delete()
        endpoint.undeploy_all()
        assert endpoint.list_models() == []
        endpoint.delete()
        model.delete()
        with pytest.raises(exceptions.NotFound):
            sdk.Model(model.resource_name)

    def test_traffic_is_split_and_moved(self, sdk, model):
        endpoint = sdk.Endpoint.create(display_name="E", endpoint_id="e")
        for percentage in (100, 30):
            endpoint.deploy(model, machine_type="n1-standard-2", traffic_percentage=percentage)
        old, new = (deployed.id for deployed in endpoint.list_models())
        assert endpoint.traffic_split == {old: 70, new: 30}
        endpoint.update(display_name="F", traffic_split={new: 100})
        assert endpoint.predict([1]).deployed_model_id == new
        endpoint.undeploy(old)
        assert sdk.Endpoint("e").traffic_split == {new: 100}
        assert [found.name for found in sdk.Endpoint.list(filter='display_name="F"')] == ["e"]

    def test_a_model_has_versions_and_aliases(self, sdk, model, model_uri):
        second = sdk.Model.upload(
            parent_model=model.resource_name,
            is_default_version=False,
            version_aliases=["candidate"],
            version_description="the second",
            artifact_uri=model_uri,
            serving_container_image_uri=IMAGE,
        )
        registry = model.versioning_registry
        assert (second.version_id, second.version_aliases) == ("2", ["candidate"])
        assert [found.version_id for found in registry.list_versions()] == ["1", "2"]
        assert sdk.Model(model.resource_name).version_id == "1"
        registry.add_version_aliases(["default"], "2")
        registry.update_version("candidate", version_description="now the first")
        assert registry.get_model().version_description == "now the first"
        assert registry.get_version_info("1").version_aliases == []
        registry.remove_version_aliases(["candidate"], "2")
        registry.delete_version("1")
        (left,) = registry.list_versions()
        assert (left.version_id, list(left.version_aliases)) == ("2", ["default"])

    def test_models_are_found_by_name_and_label(self, sdk, model):
        model.update(display_name="Renamed", description="of numbers", labels={"team": "a"})
        (found,) = sdk.Model.list(filter='display_name="Renamed" AND labels.team="a"')
        assert (found.resource_name, found.description) == (model.resource_name, "of numbers")
        assert found.container_spec.image_uri == IMAGE
        assert sdk.Model.list(filter='display_name="Doubler"') == []
        assert {one.display_name for one in sdk.Model.list()} == {"Renamed", "doubler"}

    def test_an_upload_that_fails_says_why(self, sdk, bucket):
        with pytest.raises(exceptions.FailedPrecondition, match=r"no saved_model\.pb"):
            sdk.Model.upload(
                artifact_uri=f"gs://{bucket.name}/nothing", serving_container_image_uri=IMAGE
            )

    @pytest.mark.parametrize(
        ("endpoint", "instances", "error", "message"),
        [
            ("none", [1], exceptions.NotFound, "does not exist"),
            ("doubler", ["a"], exceptions.BadRequest, "Error processing input"),
            ("doubler", [1.5] * 400_000, exceptions.BadRequest, r"exceeds 1\.500MB limit"),
        ],
    )
    def test_errors_are_those_of_their_codes(self, sdk, endpoint, instances, error, message):
        with pytest.raises(error, match=message):
            sdk.Endpoint(endpoint).predict(instances)

    def test_what_is_left_out_is_not_implemented(self, sdk):
        with pytest.raises(exceptions.MethodNotImplemented, match="explain"):
            sdk.Endpoint("doubler").explain([1])


def test_beams_own_handler_asks_the_endpoint_that_init_gave(sdk, project):
    handler = VertexAIModelHandlerJSON("doubler", project, LOCATION, max_batch_size=3)
    with beam.Pipeline("DirectRunner") as pipeline:
        results = pipeline | beam.Create(range(10)) | RunInference(handler)
        pairs = results | beam.Map(lambda result: (result.example, result.inference))
        assert_that(pairs, equal_to([(number, 2.0 * number) for number in range(10)]))


class TestBatchPrediction:
    def test_a_model_predicts_a_batch(self, sdk, model, bucket):
        bucket.blob("in/a").upload_from_string('{"x": 1}\n"no number"\n{"x": 2.5}\n')
        job = model.batch_predict(
            job_display_name="J",
            gcs_source=f"gs://{bucket.name}/in/*",
            gcs_destination_prefix=f"gs://{bucket.name}/out",
            machine_type="n1-standard-2",
            max_replica_count=2,
            batch_size=1,
        )
        assert job.state == JobState.JOB_STATE_SUCCEEDED
        stats = job.completion_stats
        assert (stats.successful_count, stats.failed_count) == (2, 1)
        assert [failure.code for failure in job.partial_failures] == [3]
        assert job.start_time <= job.end_time
        directory = job.output_info.gcs_output_directory
        assert directory.startswith(f"gs://{bucket.name}/out/prediction-Doubler-")
        assert results(job) == [
            {"instance": {"x": 1}, "prediction": 2.0},
            {"instance": {"x": 2.5}, "prediction": 5.0},
        ]
        assert [found.name for found in sdk.BatchPredictionJob.list()] == [job.name]
        job.delete()
        with pytest.raises(exceptions.NotFound):
            sdk.BatchPredictionJob(job.resource_name)

    def test_a_job_without_input_says_why(self, sdk, model, bucket):
        job = sdk.BatchPredictionJob.submit(
            model_name=model,
            gcs_source=f"gs://{bucket.name}/nothing/*",
            gcs_destination_prefix=f"gs://{bucket.name}/out",
        )
        wait_until_done(job)
        assert job.state == JobState.JOB_STATE_FAILED
        assert "doesn't contain any input files" in job.error.message

    def test_a_job_is_cancelled(self, sdk, model, bucket):
        bucket.blob("in/a").upload_from_string('{"x": 1}\n' * 300_000)
        job = sdk.BatchPredictionJob.submit(
            model_name=model,
            gcs_source=f"gs://{bucket.name}/in/*",
            gcs_destination_prefix=f"gs://{bucket.name}/out",
            machine_type="n1-standard-2",
            batch_size=1,
        )
        job.cancel()
        wait_until_done(job)
        assert job.state == JobState.JOB_STATE_CANCELLED
        assert job.error.message == "CANCELED"


class TestGeneratedClients:
    @pytest.fixture
    def options(self, service_url):
        return {
            "client_options": ClientOptions(api_endpoint=service_url),
            "credentials": AnonymousCredentials(),
            "transport": "rest",
        }

    def test_a_raw_prediction_has_the_body_of_the_model(self, options, project):
        client = aiplatform_v1.PredictionServiceClient(**options)
        body = {"signature_name": "predict_keyed", "instances": [{"x": 1, "key": "a"}]}
        answer = client.raw_predict(
            endpoint=client.endpoint_path(project, LOCATION, "doubler"),
            http_body={"data": json.dumps(body).encode(), "content_type": "application/json"},
        )
        assert json.loads(answer.data) == {"predictions": [{"y": 2.0, "key": "a"}]}

    def test_lists_come_in_pages(self, options, project):
        client = aiplatform_v1.EndpointServiceClient(**options)
        parent = client.common_location_path(project, LOCATION)
        for name in ("c", "a", "b"):
            endpoint = {"display_name": name}
            client.create_endpoint(parent=parent, endpoint=endpoint, endpoint_id=name).result(30)
        pages = client.list_endpoints({"parent": parent, "page_size": 3}).pages
        names = [[one.name.rpartition("/")[2] for one in page.endpoints] for page in pages]
        assert names == [["a", "b", "c"], ["doubler"]]

    def test_operations_are_looked_after(self, options, project):
        client = aiplatform_v1.EndpointServiceClient(**options)
        parent = client.common_location_path(project, LOCATION)
        name = client.create_endpoint(parent=parent, endpoint={"display_name": "E"}).operation.name
        assert client.get_operation({"name": name}).done
        assert client.wait_operation({"name": name, "timeout": {"seconds": 1}}).done
        client.cancel_operation({"name": name})
        client.delete_operation({"name": name})
        with pytest.raises(exceptions.NotFound):
            client.get_operation({"name": name})


def test_the_discovery_client_predicts(service_url, project):
    options = ClientOptions(api_endpoint=service_url)
    with discovery.build(
        "aiplatform",
        "v1",
        client_options=options,
        static_discovery=True,
        credentials=AnonymousCredentials(),
    ) as client:
        endpoints = client.projects().locations().endpoints()
        name = f"projects/{project}/locations/{LOCATION}/endpoints/doubler"
        answer = endpoints.predict(endpoint=name, body={"instances": [1.5]}).execute()
        assert answer["predictions"] == [3.0]
        assert endpoints.get(name=name).execute()["trafficSplit"] == {"1": 100}


def wait_until_done(job) -> None:
    """Poll quicker than the SDK, which does so every five seconds."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not job.done():
        assert time.monotonic() < end, job.state
        time.sleep(0.05)


def results(job) -> list[dict]:
    """Return the lines of all results, which several replicas have written."""
    lines = [
        line
        for blob in job.iter_outputs()
        if "/prediction.results-" in blob.name
        for line in blob.download_as_text().splitlines()
    ]
    return sorted((json.loads(line) for line in lines), key=lambda line: line["prediction"])
