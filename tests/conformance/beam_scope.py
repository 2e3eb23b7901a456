"""A pytest plugin: what Beam's integration tests find where Beam's authors run them."""

import os
import time
from types import ModuleType, SimpleNamespace

import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from beam_expectations import FAILING
from beam_inputs import OWN_BUCKET, provide

# A wait for a change to spread in the cloud: here it is there once it is acknowledged.
LONGEST_WAIT_SECONDS = 0.1
# A test that fails may try again for minutes.
FAILING_SECONDS = 40
# Of the local runners, this one alone compares tables and topics with what a test expects of
# them (on_success_matcher). The storage tests run no pipeline, but insist on the other's name.
RUNNER = "TestDirectRunner"
OTHER_RUNNERS = {
    "gcsio_integration_test": "TestDataflowRunner",
    "gcsfilesystem_integration_test": "TestDataflowRunner",
}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Make the inputs, before workers start."""
    if not hasattr(session.config, "workerinput"):
        provide(os.environ["GOOGLE_CLOUD_PROJECT"])


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Leave out the waits, and give up early where a failure is known."""
    for module in {item.module for item in items}:
        _shorten_waits(module)
    for item in items:
        if name_of(item) in FAILING:
            item.add_marker(pytest.mark.timeout(FAILING_SECONDS, func_only=True))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    """Give the test's pipelines their options, as Beam's own conftest.py does."""
    TestPipeline.pytest_test_pipeline_options = _options(_module_name(item.module))


def name_of(item: pytest.Function) -> str:
    """The name that the table has for a test."""
    return f"{_module_name(item.module)}::{item.nodeid.partition('::')[2]}"


def _module_name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _options(module: str) -> str:
    return (
        f"--runner={OTHER_RUNNERS.get(module, RUNNER)}"
        f" --project={os.environ['GOOGLE_CLOUD_PROJECT']} --region=us-central1"
        f" --temp_location=gs://{OWN_BUCKET}/temp --staging_location=gs://{OWN_BUCKET}/staging"
    )


def _shorten_waits(module: ModuleType) -> None:
    if hasattr(module, "time"):
        module.time = SimpleNamespace(time=time.time, time_ns=time.time_ns, sleep=_sleep)


def _sleep(seconds: float) -> None:
    time.sleep(min(seconds, LONGEST_WAIT_SECONDS))
