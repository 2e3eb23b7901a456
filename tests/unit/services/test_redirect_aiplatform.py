"""Clients of Vertex AI are led to the emulator, unless their user says where they are to go.

Written for google-cloud-aiplatform 1.165, of which all of this is private.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform import initializer, utils
from google.cloud.aiplatform.utils import resource_manager_utils

from tf_dataflow_serving.services import redirect, redirect_aiplatform
from tf_dataflow_serving.services.endpoints import VARIABLES

EMULATOR = "http://127.0.0.1:5"
GOOGLE = "us-central1-aiplatform.googleapis.com"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The redirection and the configuration that an import leaves, for one test."""
    redirect.install()
    monkeypatch.setenv("PREDICTION_EMULATOR_HOST", EMULATOR)
    initializer.global_config.__init__()  # type: ignore[misc]
    yield
    initializer.global_config.__init__()  # type: ignore[misc]


def host(**given: str) -> str:
    """Return where a client goes after `init` with what is given."""
    aiplatform.init(project="p", credentials=AnonymousCredentials(), **given)
    client = initializer.global_config.create_client(utils.PredictionClientWithOverride)
    return client.select_version("v1")._transport._host


def transport(**given: str) -> str:
    aiplatform.init(project="p", credentials=AnonymousCredentials(), **given)
    client = initializer.global_config.create_client(utils.PredictionClientWithOverride)
    return client.select_version("v1")._transport.kind


def test_the_variable_is_that_of_the_services() -> None:
    assert VARIABLES["prediction"] == redirect_aiplatform.VARIABLE


@pytest.mark.parametrize("given", [{}, {"location": "europe-west1"}, {"api_transport": "grpc"}])
def test_clients_are_led_to_the_emulator(given: dict[str, str]) -> None:
    assert (host(**given), transport(**given)) == (EMULATOR, "rest")


def test_a_slash_behind_the_emulator_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICTION_EMULATOR_HOST", f"{EMULATOR}/")
    assert host() == EMULATOR


def test_an_endpoint_that_the_user_gave_stays() -> None:
    assert host(api_endpoint="http://127.0.0.1:6", api_transport="rest") == "http://127.0.0.1:6"
    assert transport(api_endpoint="127.0.0.1:6", api_transport="grpc") == "grpc"


@pytest.mark.parametrize("variable", [None, ""])
def test_clients_are_as_they_were_without_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.delenv("PREDICTION_EMULATOR_HOST")
    if variable is not None:
        monkeypatch.setenv("PREDICTION_EMULATOR_HOST", variable)
    assert (host(), transport()) == (f"{GOOGLE}:443", "grpc")


def test_projects_are_not_looked_up() -> None:
    assert resource_manager_utils.get_project_id("p") == "p"
    assert resource_manager_utils.get_project_number(project_id="p") == "p"


def test_projects_are_looked_up_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREDICTION_EMULATOR_HOST")
    asked: list[str] = []
    module = SimpleNamespace(
        get_project_id=lambda project_number: asked.append(project_number) or "id",
        get_project_number=lambda project_id: asked.append(project_id) or "number",
    )
    redirect_aiplatform.skip_project_lookups(module)  # type: ignore[arg-type]
    assert (module.get_project_id("1"), module.get_project_number("p")) == ("id", "number")
    assert asked == ["1", "p"]


def test_a_library_without_what_is_redirected_is_told() -> None:
    for patch in (
        redirect_aiplatform.redirect_clients,
        redirect_aiplatform.redirect_raw_predictions,
        redirect_aiplatform.skip_project_lookups,
    ):
        with pytest.raises(AttributeError):
            patch(SimpleNamespace())  # type: ignore[arg-type]


def test_a_configuration_without_its_attributes_is_told() -> None:
    class Config:
        """Has neither an endpoint nor a transport."""

    with pytest.raises(AttributeError, match="_api_endpoint"):
        redirect_aiplatform.redirect_clients(SimpleNamespace(_Config=Config))  # type: ignore[arg-type]
