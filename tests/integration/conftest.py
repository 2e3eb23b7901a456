"""One set of embedded services for all tests of a worker process."""

import os
from collections.abc import Iterator, Mapping

import pytest

from tf_dataflow_serving.cli.session import fresh_stack
from tf_dataflow_serving.services import redirect
from tf_dataflow_serving.services.stack import Stack

SAMPLE_ROWS = 3_000


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Services with the shipped model and SAMPLE_ROWS natality rows."""
    with fresh_stack(SAMPLE_ROWS) as running:
        yield running


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
