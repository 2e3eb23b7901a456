"""One set of embedded services for all tests of a worker process."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from tf_dataflow_serving.cli.session import fresh_stack
from tf_dataflow_serving.services import redirect
from tf_dataflow_serving.services.process import ServiceProcess
from tf_dataflow_serving.services.stack import Stack

SAMPLE_ROWS = 3_000


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Services with the shipped model and SAMPLE_ROWS natality rows."""
    with fresh_stack(SAMPLE_ROWS) as running:
        yield running


@pytest.fixture(scope="session")
def start_service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., ServiceProcess]]:
    """Start one service by its name and flags; it ends with the tests."""
    with ExitStack() as running:

        def start(name: str, *flags: str) -> ServiceProcess:
            directory = tmp_path_factory.mktemp(name)
            environment = {key: value for key, value in os.environ.items() if "EMULATOR" not in key}
            service = ServiceProcess.start(
                name,
                f"tf_dataflow_serving.services.{name}",
                ["--port", "0", *flags],
                directory / f"{name}.log",
                {**environment, "HOME": str(directory), "TF_CPP_MIN_LOG_LEVEL": "2"},
            )
            running.callback(service.stop)
            return service

        yield start


@pytest.fixture(scope="session")
def storage_url(start_service: Callable[..., ServiceProcess]) -> str:
    """The URL of a storage service without the rest of a stack."""
    return f"http://127.0.0.1:{start_service('storage').ports['http']}"


@pytest.fixture
def on_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Point this process at the services for the length of a test."""
    for name, value in stack.endpoints.environment(os.environ).items():
        monkeypatch.setenv(name, value)
    redirect.install()
    return stack


@pytest.fixture
def stack_environment(stack: Stack) -> Mapping[str, str]:
    """The environment of a process on the services, and of no other ones."""
    return {**os.environ, **stack.endpoints.environment(os.environ)}
