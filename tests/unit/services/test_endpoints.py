import os
from dataclasses import asdict, replace

import pytest

from tf_dataflow_serving.services.endpoints import (
    Endpoints,
    EndpointsMissing,
    leave_emulators,
)
from tf_dataflow_serving.services.redirect import SITE_DIRECTORY

ENDPOINTS = Endpoints(
    project="local-project",
    credentials="/somewhere/credentials.json",
    pubsub="127.0.0.1:1",
    pubsub_control="http://127.0.0.1:6",
    bigquery="http://127.0.0.1:2",
    bigquery_storage="127.0.0.1:3",
    storage="http://127.0.0.1:4",
    prediction="http://127.0.0.1:5",
)


def test_the_environment_leads_back_to_the_endpoints() -> None:
    assert Endpoints.from_environment(ENDPOINTS.environment()) == ENDPOINTS


def test_google_clients_find_their_variables() -> None:
    environment = ENDPOINTS.environment()
    assert environment["PUBSUB_EMULATOR_HOST"] == "127.0.0.1:1"
    assert environment["BIGQUERY_EMULATOR_HOST"] == "http://127.0.0.1:2"
    assert environment["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:4"
    assert environment["GOOGLE_CLOUD_PROJECT"] == "local-project"


def test_missing_variables_are_named() -> None:
    environment = ENDPOINTS.environment()
    del environment["PUBSUB_EMULATOR_HOST"]
    environment["STORAGE_EMULATOR_HOST"] = ""
    with pytest.raises(EndpointsMissing) as caught:
        Endpoints.from_environment(environment)
    assert "PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST" in str(caught.value)


def test_the_callers_python_path_is_kept_behind_ours() -> None:
    base = {"PYTHONPATH": os.pathsep.join(["/mine", str(SITE_DIRECTORY), "/yours"])}
    path = ENDPOINTS.environment(base)["PYTHONPATH"].split(os.pathsep)
    assert path == [str(SITE_DIRECTORY), "/mine", "/yours"]


def test_every_endpoint_is_in_the_environment() -> None:
    assert set(asdict(ENDPOINTS).values()) <= set(ENDPOINTS.environment().values())


def test_on_the_way_to_google_cloud_nothing_local_is_kept() -> None:
    environment = {"PATH": "/bin", **ENDPOINTS.environment(), "SPANNER_EMULATOR_HOST": "x:1"}
    leave_emulators(environment)
    assert set(environment) == {"PATH", "no_proxy", "NO_PROXY"}


def test_the_python_path_of_the_users_own_is_kept() -> None:
    environment = ENDPOINTS.environment({"PYTHONPATH": "/mine"})
    leave_emulators(environment)
    assert environment["PYTHONPATH"] == "/mine"


def test_a_project_of_the_users_own_is_kept_beside_emulators_of_others() -> None:
    environment = ENDPOINTS.environment()
    environment["PYTHONPATH"] = "/mine"
    leave_emulators(environment)
    assert environment["GOOGLE_CLOUD_PROJECT"] == "local-project"
    assert environment["GOOGLE_APPLICATION_CREDENTIALS"] == "/somewhere/credentials.json"
    assert "PUBSUB_EMULATOR_HOST" not in environment


def test_what_is_for_this_machine_goes_to_no_proxy() -> None:
    environment = ENDPOINTS.environment({"NO_PROXY": "intranet,127.0.0.1"})
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intranet,127.0.0.1,localhost"


def test_what_not_everybody_has_may_be_missing() -> None:
    some = replace(ENDPOINTS, prediction=None, pubsub_control=None)
    assert Endpoints.from_environment(some.environment()) == some


def test_a_process_is_led_to_no_service_of_another_set() -> None:
    some = replace(ENDPOINTS, pubsub_control=None)
    before = {"HOME": "/home", "PUBSUB_CONTROL_EMULATOR_HOST": "http://127.0.0.1:9"}
    after = some.applied_to(before)
    assert after["HOME"] == "/home"
    assert after["PUBSUB_EMULATOR_HOST"] == "127.0.0.1:1"
    assert "PUBSUB_CONTROL_EMULATOR_HOST" not in after


def test_credentials_of_the_users_own_are_kept() -> None:
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": "/mine",
        "GOOGLE_CLOUD_PROJECT": "mine",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
    }
    leave_emulators(environment)
    assert environment == {
        "GOOGLE_APPLICATION_CREDENTIALS": "/mine",
        "GOOGLE_CLOUD_PROJECT": "mine",
    }
