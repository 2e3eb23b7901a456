import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tf_dataflow_serving.services.endpoints import EndpointsMissing
from tf_dataflow_serving.services.external import CarelessEmulator, external_services
from tf_dataflow_serving.services.probe import ServiceDown

from .conftest import serving


class Careless(BaseHTTPRequestHandler):
    """Lists a dataset whatever the filter."""

    def do_GET(self) -> None:
        content = b'{"datasets": [{"id": "precious"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def careless_port() -> Iterator[int]:
    with serving(Careless) as port:
        yield port


def test_an_emulator_that_beam_would_empty_is_refused(
    environment: dict[str, str], careless_port: int
) -> None:
    environment["BIGQUERY_EMULATOR_HOST"] = f"http://127.0.0.1:{careless_port}"
    with (
        pytest.raises(CarelessEmulator, match="delete every dataset"),
        external_services(environment, {}),
    ):
        pass


@pytest.fixture
def environment(http_port: int, grpc_port: int) -> dict[str, str]:
    return {
        "GOOGLE_CLOUD_PROJECT": "theirs",
        "GOOGLE_APPLICATION_CREDENTIALS": "/a/real/secret.json",
        "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{grpc_port}",
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{http_port}",
        "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{grpc_port}",
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{http_port}",
    }


def test_the_usual_variables_name_them(environment: dict[str, str]) -> None:
    with external_services(environment, {}) as endpoints:
        assert endpoints.project == "theirs"
        assert endpoints.places() == {
            name: place for name, place in environment.items() if name.endswith("EMULATOR_HOST")
        }


def test_nobodys_credentials_are_used(environment: dict[str, str]) -> None:
    with external_services(environment, {}) as endpoints:
        account = json.loads(Path(endpoints.credentials).read_text())
        assert account["token_uri"].startswith("http://127.0.0.1:")
    assert not Path(endpoints.credentials).exists()


def test_options_win_and_any_form_of_an_address_will_do(
    environment: dict[str, str], http_port: int, grpc_port: int
) -> None:
    options = {
        "project": "mine",
        "pubsub": f"http://127.0.0.1:{grpc_port}/",
        "storage": f"127.0.0.1:{http_port}",
        "prediction": f"127.0.0.1:{http_port}/",
        "bigquery": None,
    }
    with external_services(environment, options) as endpoints:
        assert endpoints.project == "mine"
        assert endpoints.pubsub == f"127.0.0.1:{grpc_port}"
        assert endpoints.storage == f"http://127.0.0.1:{http_port}"
        assert endpoints.prediction == f"http://127.0.0.1:{http_port}"
        assert endpoints.bigquery == environment["BIGQUERY_EMULATOR_HOST"]


def test_what_nobody_named_is_named(environment: dict[str, str]) -> None:
    del environment["BIGQUERY_STORAGE_EMULATOR_HOST"]
    with (
        pytest.raises(EndpointsMissing, match="BIGQUERY_STORAGE_EMULATOR_HOST"),
        external_services(environment, {}),
    ):
        pass


def test_what_does_not_answer_is_named(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        pytest.raises(ServiceDown, match="STORAGE_EMULATOR_HOST: nothing answers"),
        external_services(environment, {}),
    ):
        pass
