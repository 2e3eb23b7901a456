"""The services that a command works with: those that run already, or fresh ones."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.experiments.samples import load_samples
from tf_dataflow_serving.flags import DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION, Services
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.services import redirect, state
from tf_dataflow_serving.services.endpoints import Endpoints, EndpointsMissing, leave_emulators
from tf_dataflow_serving.services.probe import require_answers
from tf_dataflow_serving.services.stack import DeployedModel, Stack

SAMPLE_ROWS = 50_000
SAMPLE_SEED = 2005


@contextmanager
def fresh_stack(rows: int = SAMPLE_ROWS) -> Iterator[Stack]:
    """Start services with the shipped model deployed and natality rows in BigQuery."""
    model = DeployedModel(DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION, SHIPPED)
    with Stack.start(models=[model]) as stack:
        load_samples(stack.endpoints, rows, SAMPLE_SEED)
        yield stack


@contextmanager
def running_or_fresh() -> Iterator[Endpoints]:
    """Yield the services that run already, or else start some for as long as this lasts."""
    try:
        found = running()
    except state.NothingRunning:
        sys.stderr.write("starting the embedded services for this command\n")
        with fresh_stack() as stack:
            yield stack.endpoints
    else:
        yield found


def running() -> Endpoints:
    """Return the services of this shell's environment, or else those of the state file.

    Raises NothingRunning, or ServiceDown for one that does not answer.
    """
    try:
        endpoints = Endpoints.from_environment(os.environ)
    except EndpointsMissing:
        endpoints = state.running()
    require_answers(endpoints)
    return endpoints


def activate(endpoints: Endpoints) -> None:
    """Point every Google client of this process, and of its children, at the services."""
    os.environ.update(endpoints.environment(os.environ))
    redirect.install()


def use_running(arguments: argparse.Namespace) -> str:
    """Point this process at what --services and --project name; returns the project.

    Raises NothingRunning where local services are asked for and none run.
    """
    if arguments.services == Services.GCP:
        if not arguments.project:
            raise UsageError("--services gcp needs --project")
        leave_emulators(os.environ)
        return str(arguments.project)
    endpoints = running()
    activate(endpoints)
    return arguments.project or endpoints.project
