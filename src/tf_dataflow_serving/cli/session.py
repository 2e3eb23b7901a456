"""The services that a command works with: those that run already, or fresh ones."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tf_dataflow_serving.cli.service_arguments import ServiceChoice
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.experiments.samples import ensure_samples
from tf_dataflow_serving.flags import DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION, Services
from tf_dataflow_serving.model import SHIPPED
from tf_dataflow_serving.services import redirect, state
from tf_dataflow_serving.services.containers.images import Images
from tf_dataflow_serving.services.endpoints import Endpoints, EndpointsMissing, leave_emulators
from tf_dataflow_serving.services.external import external_services
from tf_dataflow_serving.services.listening import LOOPBACK_ONLY, Listening
from tf_dataflow_serving.services.probe import require_answers
from tf_dataflow_serving.services.stack import DeployedModel, Stack

SAMPLE_ROWS = 50_000
SAMPLE_SEED = 2005
_MODELS = (DeployedModel(DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION, SHIPPED),)


@contextmanager
def fresh_stack(
    rows: int = SAMPLE_ROWS,
    data_dir: Path | None = None,
    listening: Listening = LOOPBACK_ONLY,
) -> Iterator[Stack]:
    """Start embedded services with the shipped model deployed and natality rows in BigQuery."""
    with Stack.start(models=_MODELS, data_dir=data_dir, listening=listening) as stack:
        ensure_samples(stack.endpoints, rows, SAMPLE_SEED)
        yield stack


@contextmanager
def fresh_containers(images: Images, rows: int = SAMPLE_ROWS) -> Iterator[Stack]:
    """Start the same in containers."""
    from tf_dataflow_serving.services.containers.stack import container_stack

    with _notes() as notes, container_stack(images, notes.show, models=_MODELS) as stack:
        notes.end()
        ensure_samples(stack.endpoints, rows, SAMPLE_SEED)
        yield stack


@contextmanager
def fresh(choice: ServiceChoice, rows: int = SAMPLE_ROWS) -> Iterator[Stack]:
    """Start services of the kind that was chosen."""
    if choice.services is Services.CONTAINERS:
        with fresh_containers(choice.images, rows) as stack:
            yield stack
    else:
        with fresh_stack(rows) as stack:
            yield stack


@contextmanager
def running_or_fresh(choice: ServiceChoice) -> Iterator[Endpoints]:
    """Yield the chosen services that run already, or else start some for as long as this lasts."""
    try:
        with running(choice) as found:
            yield found
            return
    except state.NothingRunning:
        kind = choice.services or Services.EMBEDDED
        sys.stderr.write(f"starting the {kind} services for this command\n")
    with fresh(choice) as stack:
        yield stack.endpoints


@contextmanager
def running(choice: ServiceChoice) -> Iterator[Endpoints]:
    """Yield the chosen services, which answer.

    Raises NothingRunning, EndpointsMissing, or ServiceDown for one that does not answer.
    """
    if choice.services is Services.EXTERNAL:
        with external_services(os.environ, choice.places) as endpoints:
            yield endpoints
        return
    endpoints = _started_before(choice.services)
    require_answers(endpoints)
    yield endpoints


def _started_before(kind: Services | None) -> Endpoints:
    """Return the services of this shell's environment, or else those of the state file."""
    if kind is None:
        try:
            return Endpoints.from_environment(os.environ)
        except EndpointsMissing:
            return state.running().endpoints
    found = state.running()
    if found.services != kind:
        raise state.NothingRunning(f"the services that run are {found.services}, not {kind}")
    return found.endpoints


def activate(endpoints: Endpoints) -> None:
    """Point every Google client of this process, and of its children, at the services."""
    os.environ.update(endpoints.applied_to(os.environ))
    redirect.install()


@contextmanager
def activated(choice: ServiceChoice) -> Iterator[str]:
    """Point this process at the chosen services, which run; yields the project.

    Raises NothingRunning where local services are asked for and none run.
    """
    if choice.services is Services.GCP:
        if not choice.project:
            raise UsageError("--services gcp needs --project")
        leave_emulators(os.environ)
        yield choice.project
        return
    with running(choice) as endpoints:
        activate(endpoints)
        yield choice.project or endpoints.project


class _Notes:
    """Tells on a terminal what goes on, in one line that changes; elsewhere, once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")
        self._told = False

    def show(self, text: str) -> None:
        if self._console.is_terminal:
            self._status.start()
            self._status.update(text)
        elif not self._told:
            self._told = True
            self._console.print(text)

    def end(self) -> None:
        self._status.stop()


@contextmanager
def _notes() -> Iterator[_Notes]:
    notes = _Notes(Console(stderr=True))
    try:
        yield notes
    finally:
        notes.end()
