"""Vertex AI v1 of the service as a process: what official clients do not show."""

import pytest


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models/none"),
        ("GET", "/models/doubler@2"),
        ("DELETE", "/models/none"),
        ("GET", "/endpoints/none"),
        ("POST", "/endpoints/none:predict"),
        ("DELETE", "/endpoints/none"),
        ("GET", "/batchPredictionJobs/1"),
        ("POST", "/batchPredictionJobs/1:cancel"),
        ("DELETE", "/batchPredictionJobs/1"),
        ("GET", "/operations/1"),
        ("POST", "/models/doubler/operations/1:wait"),
        ("DELETE", "/endpoints/doubler/operations/1"),
        ("GET", "/datasets"),
        ("PUT", "/models/doubler"),
    ],
)
def test_what_is_not_there_is_not_found(location, method, path):
    error = location.refusal(method, path, {} if method == "POST" else None)
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["/endpoints/doubler:explain", "/endpoints/doubler:streamRawPredict", "/models:copy"]
)
def test_what_is_left_out_is_named(location, path):
    error = location.refusal("POST", path, {})
    assert (error["code"], error["status"]) == (501, "UNIMPLEMENTED")
    assert path in error["message"]


def test_a_wrong_field_is_named(location):
    error = location.refusal("POST", "/endpoints", {"displayName": 1})
    assert error["message"] == (
        "List of found errors:\t1.Field: endpoint.display_name; Message: A string is expected.\t"
    )
    (violation,) = error["details"][0]["fieldViolations"]
    assert violation == {"field": "endpoint.display_name", "description": "A string is expected."}


def test_an_upload_is_an_operation(location, model_uri):
    body = {"model": {"displayName": "M", "artifactUri": model_uri}, "modelId": "m"}
    operation = location.finished(location.ask("POST", "/models:upload", body))
    assert operation["metadata"]["@type"].endswith(".UploadModelOperationMetadata")
    assert operation["metadata"]["genericMetadata"]["createTime"]
    assert operation["response"]["model"] == f"{location.name}/models/m"
    assert operation["response"]["modelVersionId"] == "1"
    listed = location.ask("GET", "/models/m/operations")["operations"]
    assert [one["name"] for one in listed] == [operation["name"]]
    location.ask("POST", f"{operation['name'].removeprefix(location.name)}:cancel", {})
    location.ask("DELETE", operation["name"].removeprefix(location.name))
    assert location.ask("GET", "/models/m/operations") == {"operations": []}


@pytest.mark.parametrize("timeout", ["5", "-1s", "1m", 5])
def test_an_operation_is_waited_for_by_seconds(location, model_uri, timeout):
    body = {"model": {"displayName": "M", "artifactUri": model_uri}}
    operation = location.ask("POST", "/models:upload", body)
    path = f"{operation['name'].removeprefix(location.name)}:wait"
    assert location.refusal("POST", path, {"timeout": timeout})["status"] == "INVALID_ARGUMENT"
    assert "response" in location.finished(operation)


def test_an_upload_without_a_saved_model_says_why(location, bucket):
    model = {"displayName": "M", "artifactUri": f"gs://{bucket.name}/nothing"}
    operation = location.ask("POST", "/models:upload", {"model": model, "modelId": "m"})
    error = location.finished(operation)["error"]
    assert error["code"] == 9
    assert "no saved_model.pb" in error["message"]
    assert location.refusal("GET", "/models/m")["status"] == "NOT_FOUND"


def test_the_traffic_goes_to_all_versions_by_their_parts(location, model_uri):
    for given in ({"modelId": "m"}, {"parentModel": f"{location.name}/models/m"}):
        location.upload(model_uri, **given)
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    location.deploy("e", "m@1", {"0": 100}, id="1")
    location.deploy("e", "m@2", {"1": 50, "0": 50}, id="2")
    answers = {
        (answer["deployedModelId"], answer["modelVersionId"])
        for answer in (location.predict("e", 1) for _ in range(40))
    }
    assert answers == {("1", "1"), ("2", "2")}
    location.ask("PATCH", "/endpoints/e", {"trafficSplit": {"2": 100}}, updateMask="trafficSplit")
    assert {location.predict("e", 1)["deployedModelId"] for _ in range(20)} == {"2"}


def test_what_is_deployed_is_not_deleted(location, model_uri):
    location.upload(model_uri, modelId="m")
    location.upload(model_uri, parentModel=f"{location.name}/models/m")
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    location.deploy("e", "m@2", {"0": 100}, id="7")
    for method, path in (
        ("DELETE", "/models/m"),
        ("DELETE", "/models/m@2:deleteVersion"),
        ("DELETE", "/models/m@1:deleteVersion"),
        ("DELETE", "/endpoints/e"),
    ):
        assert location.refusal(method, path)["status"] == "FAILED_PRECONDITION"
    location.ask("POST", "/endpoints/e:undeployModel", {"deployedModelId": "7"})
    assert location.ask("DELETE", "/models/m@2:deleteVersion")["done"]
    assert location.ask("DELETE", "/models/m")["done"]
    assert location.ask("DELETE", "/endpoints/e")["done"]


def test_an_enum_is_a_name_or_a_number(location, model_uri):
    location.upload(model_uri, modelId="m")
    location.ask("POST", "/endpoints", {"displayName": "E"}, endpointId="e")
    for accelerator in (8, "NVIDIA_TESLA_P100"):
        machine = {"machineType": "n1-standard-2", "acceleratorType": accelerator}
        resources = {"machineSpec": machine, "minReplicaCount": 1}
        done = location.deploy("e", "m", {}, dedicatedResources=resources)
        assert done["response"]["deployedModel"]["dedicatedResources"] == resources
